"""A Heart with a real journal, between two purpose-built fakes: nodes that keep a job table, and a Medulla that signs.

`FakeEndpoint` delivers in the next turn of the loop and signs nothing; `FakeNode` keeps what a node's journal keeps,
and does with jobs what the test says; `FakeMedulla` answers as it is told. Keys, certificates and adverts are real.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.support.household import Household

from kindmesh.coordinator.brain.medulla.messages import Advertised, PermitRequest, Verdict
from kindmesh.coordinator.heart.heart import Heart, Wish
from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.coordinator.heart.medulla_client import OnVerdict
from kindmesh.coordinator.heart.submitting import HeartLimits
from kindmesh.coordinator.heart.taking import WAIT_S
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.post import Post
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.codec import decode, decode_value, encode, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.envelope import Envelope, Header
from kindmesh.protocol.errors import (
    Busy,
    KindmeshError,
    NotRunning,
    PeerUnreachable,
    PermitUsed,
    WireError,
    error_to_wire,
)
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import PERMIT_TTL_MS
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.messages import (
    BODIES,
    CallReply,
    Heartbeat,
    Job,
    JobAccepted,
    JobCancel,
    JobProgress,
    JobResult,
    MessageType,
    NodeFacts,
    ResultTaken,
    SessionType,
    SignedAdvert,
    TrustKnown,
)
from kindmesh.protocol.messages.hello import Advert, Offer, Thing, sign_advert
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.policy import Approval, ApprovalRequest, sign_approval
from kindmesh.protocol.session import SessionKeys
from kindmesh.protocol.signed import Signed

TEXT = Field("text", "text", "What", max_length=100_000)
ECHO = Operation(
    "device.echo", "Echo", (TEXT,), (TEXT,), int(Effect.READ), idempotent=True, session_call=True,
    limits=Limits(max_concurrent=64),
)  # fmt: skip
RENDER = Operation("speech.render", "Render", (TEXT,), (TEXT,), int(Effect.READ), idempotent=True)
APPEND = Operation(
    "notes.append", "Write down", (TEXT,), (TEXT,), int(Effect.WRITE), idempotent=False,
    limits=Limits(max_concurrent=64),
)  # fmt: skip
SWITCH = Operation("lamp.switch", "Switch", (TEXT,), (TEXT,), int(Effect.ACTUATE), idempotent=True)
READ_TEXT = Operation(
    "vision.read_text", "Read", (Field("image", "artifact"),), (TEXT,), int(Effect.READ), idempotent=True
)
ALL = (ECHO, RENDER, APPEND, SWITCH, READ_TEXT)


def manifests(operations: Sequence[Operation]) -> list[Manifest]:
    capabilities: dict[str, list[Operation]] = {}
    for operation in operations:
        capabilities.setdefault(operation.name.partition(".")[0], []).append(operation)
    return [Manifest(name, "1", name, tuple(found)) for name, found in capabilities.items()]


class FakeNode:
    """Keeps a job table. `hold`: jobs stay running until `finish`; `busy`: refuses; `deaf`: hears nothing."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        self.name = name
        self.identity = rig.household.add(name)
        self.device_id = self.identity.device_id
        self.hold = self.busy = self.deaf = False
        self.table: dict[bytes, JobResult | Job] = {}
        self.begun: Counter[bytes] = Counter()
        self.said: dict[bytes, str] = {}
        self.taken: list[tuple[bytes, int]] = []
        self.cancels: list[JobCancel] = []
        self.beat = 0
        self.version = 0
        self.before: Callable[[Job], None] = lambda job: None
        self.log: Callable[[str], None] = lambda line: None

    # What the test does.

    def up(self, operations: Sequence[Operation] = ALL, *, ready: bool = True, hint: str = "") -> None:
        self.rig.endpoint.link(self, True)
        self.advertise(operations, ready=ready, hint=hint)
        self.heartbeat()
        self.report()

    def advertise(
        self,
        operations: Sequence[Operation] = ALL,
        *,
        ready: bool = True,
        hint: str = "",
        things: tuple[Thing, ...] = (),
    ) -> None:
        self.version += 1
        offers = tuple(Offer(found, ready, hint, things=things) for found in manifests(operations))
        advert = Advert(
            self.rig.household.mesh, self.device_id, 1, self.version, self.rig.clock.now_ms(), offers
        )
        self.tell(MessageType.ADVERT, SignedAdvert(sign_advert(advert, self.identity.signing)))

    def heartbeat(self, **facts: Any) -> None:
        self.beat += 1
        beat = Heartbeat(self.beat, self.rig.clock.now_ms(), NodeFacts(**facts), TrustKnown(), self.version)
        self.say(SessionType.HEARTBEAT, beat)

    async def beating(self) -> None:
        while True:
            self.heartbeat()
            await asyncio.sleep(1)

    def down(self) -> None:
        self.rig.endpoint.link(self, False)

    def kill(self) -> None:
        """The process ends and starts anew: what ran is interrupted or uncertain; nobody is told yet."""
        for job_id, found in list(self.table.items()):
            if isinstance(found, Job):
                repeatable = found.operation != APPEND.name
                outcome: Any = "interrupted" if repeatable else "uncertain"
                self.table[job_id] = self.made(
                    found, outcome, error=WireError(outcome.upper(), "it was killed")
                )

    def finish(self, outcome: Any = "succeeded", error: WireError | None = None, **more: Any) -> None:
        for job_id, found in list(self.table.items()):
            if isinstance(found, Job):
                self.table[job_id] = self.made(found, outcome, error=error, **more)
        self.report()

    def report(self) -> None:
        taken = set(self.taken)
        for result in self.table.values():
            if isinstance(result, JobResult) and (result.job_id, result.epoch) not in taken:
                self.tell(MessageType.JOB_RESULT, result)

    # What a node does.

    def made(self, job: Job, outcome: Any, *, error: WireError | None = None, **more: Any) -> JobResult:
        now_ms = self.rig.clock.now_ms()
        value = job.args if outcome == "succeeded" else b""
        permit_id = decode(Permit, job.permit.payload).permit_id if job.permit is not None else b""
        result = JobResult(job.job_id, job.epoch, outcome, value, error, permit_id, now_ms, now_ms)
        return msgspec.structs.replace(result, **more)

    def receive(self, type_: MessageType, body: Any) -> None:
        if self.deaf:
            return
        if type_ is MessageType.JOB_CANCEL:
            self.cancels.append(body)
            found = self.table.get(body.job_id)
            if isinstance(found, Job) and found.epoch <= body.epoch:
                error = WireError("CANCELLED", "it was cancelled")
                self.table[body.job_id] = result = self.made(found, "cancelled", error=error)
                self.tell(MessageType.JOB_RESULT, result)
        elif type_ is MessageType.JOB:
            self.job(body)

    def job(self, job: Job) -> None:
        self.before(job)
        known = self.table.get(job.job_id)
        if known is None or (isinstance(known, JobResult) and known.outcome in ("interrupted", "failed", "cancelled")
                             and job.epoch > known.epoch):  # fmt: skip
            self.begin(job)
        elif job.epoch < known.epoch:
            self.refuse(job, PermitUsed("an older attempt"))
        elif isinstance(known, Job):
            self.table[job.job_id] = job
            self.say(SessionType.JOB_ACCEPTED, JobAccepted(job.job_id, job.epoch, "running"))
        else:
            self.table[job.job_id] = known = msgspec.structs.replace(known, epoch=job.epoch)
            self.tell(MessageType.JOB_RESULT, known)

    def begin(self, job: Job) -> None:
        assert job.permit is not None
        permit = decode(Permit, job.permit.payload)
        assert (permit.target, permit.epoch, permit.job_id) == (self.device_id, job.epoch, job.job_id)
        assert permit.args_hash == sha256(job.args)
        if self.busy:
            self.refuse(job, Busy("this device is busy"), retry_ms=200)
            return
        self.begun[job.job_id] += 1
        self.said[job.job_id] = str(decode_value(job.args).get("text", ""))
        self.log(f"begun {job.job_id.hex()}")
        self.table[job.job_id] = job
        self.say(SessionType.JOB_ACCEPTED, JobAccepted(job.job_id, job.epoch, "running"))
        if not self.hold:
            self.table[job.job_id] = result = self.made(job, "succeeded")
            self.tell(MessageType.JOB_RESULT, result)

    def refuse(self, job: Job, error: KindmeshError, retry_ms: int = 0) -> None:
        ext = {"retry_ms": encode_value(retry_ms)} if retry_ms else {}
        wire = error_to_wire(error)
        self.tell(
            MessageType.JOB_RESULT, JobResult(job.job_id, job.epoch, "failed", b"", wire, b"", 0, 1, (), ext)
        )

    def tell(self, type_: MessageType, body: msgspec.Struct) -> None:
        self.rig.endpoint.arrive(self.device_id, type_, body)

    def say(self, type_: SessionType, body: msgspec.Struct) -> None:
        self.rig.endpoint.said(self.device_id, type_, body)

    def progress(self, job_id: bytes, fraction: float) -> None:
        job = self.table[job_id]
        self.say(SessionType.JOB_PROGRESS, JobProgress(job_id, job.epoch, fraction, "half way"))

    def holds(self, text: bytes) -> ArtifactInfo:
        return ArtifactInfo(sha256(text), len(text), "text/plain", self.device_id)


class FakeEndpoint(Endpoint):
    """Sessions with fake nodes, without signatures; everything arrives in a later turn of the loop."""

    def __init__(self, rig: Rig, post: Post) -> None:
        super().__init__(post, rig.clock, rig.entropy)
        self.rig = rig
        self.up: dict[bytes, FakeNode] = {}
        self.sent: Counter[MessageType] = Counter()
        self.breaks: KindmeshError | None = None

    def link(self, node: FakeNode, up: bool) -> None:
        if up and node.device_id in self.up:
            self._peer_changed(node.device_id, False)
        if up:
            self.up[node.device_id] = node
        else:
            self.up.pop(node.device_id, None)
        self._peer_changed(node.device_id, up)

    def connected(self, peer: bytes) -> bool:
        return peer in self.up

    def post(
        self,
        dst: bytes,
        type_: MessageType,
        body: msgspec.Struct,
        *,
        reply_to: bytes = b"",
        ttl_ms: int = 60_000,
        trace: bytes = b"",
    ) -> bytes:
        if self.breaks is not None:
            raise self.breaks
        if dst not in self.up:
            raise PeerUnreachable()
        self.sent[type_] += 1
        copy = decode(BODIES[type_], encode(body))
        asyncio.get_running_loop().call_soon(self._reach, dst, type_, copy)
        return b"m" * 16

    def _reach(self, dst: bytes, type_: MessageType, body: Any) -> None:
        node = self.up.get(dst)
        if node is not None:
            node.receive(type_, body)

    def tell(self, dst: bytes, type_: SessionType, body: msgspec.Struct, ref: int = 0) -> None:
        node = self.up.get(dst)
        if node is None:
            raise PeerUnreachable()
        if isinstance(body, ResultTaken):
            node.taken += [(body.job_id, body.epoch), *body.more]
        elif type_ is SessionType.CALL:
            asyncio.get_running_loop().call_soon(
                self._on_call_reply, dst, ref, CallReply(encode_value({"text": "hi"}))
            )

    def arrive(self, src: bytes, type_: MessageType, body: msgspec.Struct) -> None:
        asyncio.get_running_loop().call_soon(self._arrived, src, type_, body)

    def _arrived(self, src: bytes, type_: MessageType, body: Any) -> None:
        if src not in self.up:
            return
        header = Header(
            1, int(type_), b"m" * 16, src, self.device_id, 1, b"t" * 8, 1, 0, 60_000, b"", b"", b"h" * 32
        )
        self._handlers[int(type_)](Envelope(header, b"", b"h" * 32), body)

    def said(self, src: bytes, type_: SessionType, body: msgspec.Struct) -> None:
        asyncio.get_running_loop().call_soon(self._heard, src, type_, body)

    def _heard(self, src: bytes, type_: SessionType, body: Any) -> None:
        if src in self.up:
            self._session_handlers[int(type_)](src, 0, body)

    def _session(self, peer: bytes) -> SessionKeys | None:
        raise NotImplementedError

    def _send(self, peer: bytes, frames: Sequence[bytes]) -> None:
        raise NotImplementedError

    def _next_hop(self, dst: bytes) -> bytes:
        return dst


class FakeMedulla:
    """Signs with Medulla's key. `answer` is the rule; `gone`: does not answer; questions are answered by `approve`."""

    def __init__(self, household: Household, clock: Clock) -> None:
        self.household = household
        self.clock = clock
        self.answer: Callable[[PermitRequest], str] = lambda request: "allow"
        self.gone = False
        self.asked: list[PermitRequest] = []
        self.questions: dict[bytes, PermitRequest] = {}
        self.adverts = 0
        self.number = 0

    def ask(self, request: PermitRequest, done: OnVerdict) -> None:
        self.asked.append(request)
        asyncio.get_running_loop().call_soon(lambda: done(self.judge(request)))

    def judge(self, request: PermitRequest) -> Verdict | KindmeshError:
        if self.gone:
            return NotRunning("Medulla is not running")
        answer = self.answer(request)
        if answer == "allow":
            return Verdict("allow", permit=self.permit(request))
        if answer == "ask":
            return self.question(request)
        if answer == "garbage":
            return Verdict("allow", permit=Signed(b"x", b"y", b"z"))
        return Verdict("deny", ("the owner's policy forbids it", "and it is late"), ("policy",))

    def permit(self, request: PermitRequest) -> Signed:
        self.number += 1
        now_ms = self.clock.now_ms()
        return sign_permit(
            Permit(
                self.household.mesh, "once", new_id(now_ms, self.number.to_bytes(10, "big")), request.run_id,
                request.step, request.job_id, request.operation, request.target, sha256(request.args), 255, 1,
                request.epoch, now_ms, now_ms + PERMIT_TTL_MS, 1, request.principal, "landlock", request.parent,
            ),
            self.household.medulla,
        )  # fmt: skip

    def question(self, request: PermitRequest) -> Verdict:
        self.number += 1
        now_ms = self.clock.now_ms()
        shown = encode(
            ApprovalRequest(
                self.household.mesh, self.number.to_bytes(16, "big"), request.run_id, request.job_id,
                request.operation, request.target, "phone", request.args, int(Effect.WRITE), request.principal,
                ("the owner's policy asks before: write",), now_ms, now_ms + 3_600_000,
            )
        )  # fmt: skip
        self.questions[shown] = request
        return Verdict("ask", ("the owner's policy asks before: write",), ("policy",), request=shown)

    async def approve(self, approval: Signed, epoch: int = 0) -> Verdict:
        if self.gone:
            raise NotRunning("Medulla is not running")
        answer = decode(Approval, approval.payload)
        request = self.questions.pop(answer.request, None)
        if request is None:
            raise PermitUsed("this question was answered already, or never asked")
        await asyncio.sleep(0)
        if answer.answer == "deny":
            return Verdict("deny", ("the owner said no",), ("owner",))
        return Verdict(
            "allow", permit=self.permit(msgspec.structs.replace(request, epoch=max(epoch, request.epoch)))
        )

    async def advertise(self, advert: Signed) -> Advertised:
        if self.gone:
            raise NotRunning("Medulla is not running")
        self.adverts += 1
        return Advertised((), ())

    def yes(self, request: bytes, answer: Any = "allow") -> Signed:
        return sign_approval(Approval(request, answer, self.clock.now_ms()), self.household.owner)


class Rig:
    """A desk with a Heart, and the nodes that are named. `restart` is `kill -9` of the coordinator."""

    def __init__(self, folder: Path, clock: Clock, *names: str, limits: HeartLimits | None = None) -> None:
        self.clock = clock
        self.limits = limits
        self.store_class: type[Store] = Store
        self.endpoint_class: type[FakeEndpoint] = FakeEndpoint
        self.entropy: Entropy = SeededEntropy(7)
        self.path = folder / "journal.db"
        self.household = Household(3, clock.now_ms())
        self.household.add("desk", "coordinator")
        self.nodes = {name: FakeNode(self, name) for name in names}
        self.medulla = FakeMedulla(self.household, clock)
        self.events: list[dict[str, Any]] = []

    async def start(self, *, up: bool = True) -> Rig:
        trust = self.household.trust("desk")
        post = Post(self.household.identities["desk"], trust, self.clock, self.entropy)
        self.endpoint = self.endpoint_class(self, post)
        self.store = self.store_class.open(self.path, HEART_SCHEMA, sync="inline")
        self.vault = RunVault(self.store, b"k" * 32, entropy=self.entropy)
        self.heart = Heart(
            endpoint=self.endpoint,
            trust=trust,
            store=self.store,
            vault=self.vault,
            reviewer=self.medulla,
            clock=self.clock,
            entropy=self.entropy,
            limits=self.limits,
        )
        self.heart.watch(self.events.append)
        await self.heart.start()
        if up:
            for node in self.nodes.values():
                node.up()
            await self.settle()
        return self

    async def settle(self, turns: int = 12) -> None:
        """Let everything that is on its way arrive, and what waits to be told be told (in virtual time)."""
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.sleep(2 * WAIT_S)

    async def crash(self) -> None:
        """As `kill -9` does: nothing is written any more, nobody is told."""
        self.store.abandon()
        await self.heart.close()
        self.endpoint.up.clear()

    async def close(self) -> None:
        await self.heart.close()
        self.store.close()

    def bytes_on_disk(self) -> bytes:
        return b"".join(Path(f"{self.path}{suffix}").read_bytes() for suffix in ("", "-wal"))

    def states(self, job_id: bytes) -> list[str]:
        return [entry["what"] for entry in self.heart.job(job_id)["timeline"]]


def wish(operation: str = "device.echo", text: Any = "hello", **more: Any) -> Wish:
    return Wish(operation, {"text": text}, **more)


__all__ = [
    "ALL", "APPEND", "ECHO", "READ_TEXT", "RENDER", "SWITCH", "FakeEndpoint", "FakeMedulla", "FakeNode", "Rig",
    "decode_value", "wish",
]  # fmt: skip
