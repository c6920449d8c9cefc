"""A hijacked coordinator: it has the coordinator's own keys and place, and no permit that fits. The node does nothing.

Nodes only dial, so whoever wants to get past the coordinator has to be it. Here the test takes its identity folder and
its address, and sends jobs to a real node with permits that Medulla signed for something else, long ago, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.system.kit import PATIENCE_S, medulla_key, mesh, notes

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.clock import Clock, SystemClock, SystemEntropy
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.post import Post
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.ids import new_id, parse_id
from kindmesh.protocol.limits import PERMIT_TTL_MS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages import Heartbeat, Job, JobResult, MessageType, ResultTaken, SessionType
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import Signed

pytestmark = pytest.mark.asyncio(loop_scope="module")
ARGS = encode_value({"text": "a note that nobody allowed"})


class Impostor:
    """The coordinator's identity in the wrong hands."""

    def __init__(self, lab: Lab, node: bytes, clock: Clock | None = None) -> None:
        folder = lab.desk.home.coordinator / "identity"
        self.identity = Identity.load(folder, SystemEntropy())
        self.trust = Trust.load(folder)
        self.node = node
        self.medulla = medulla_key(lab)
        self.clock = clock or SystemClock()
        post = Post(self.identity, self.trust, self.clock, SystemEntropy())
        self.hub = Hub(post, self.clock, SystemEntropy(), ZmqTransport(), f"tcp://127.0.0.1:{lab.port}")
        self.up = asyncio.Event()
        self._results: asyncio.Queue[JobResult] = asyncio.Queue()
        self.hub.on(MessageType.JOB_RESULT, self._on_result)
        self.hub.on(MessageType.ADVERT, lambda envelope, body: None)
        self.hub.on_session(SessionType.HEARTBEAT, self._on_heartbeat)
        self.hub.on_session(SessionType.JOB_ACCEPTED, lambda *_: None)
        self.hub.on_peer(self._on_peer)

    def _on_peer(self, peer: bytes, here: bool) -> None:
        if here and peer == self.node:
            self.up.set()

    def _on_heartbeat(self, peer: bytes, ref: int, beat: Heartbeat) -> None:
        self.hub.tell(
            peer, SessionType.HEARTBEAT, msgspec.structs.replace(beat, clock_ms=self.clock.now_ms())
        )

    def _on_result(self, envelope: Envelope, result: Any) -> None:
        self._results.put_nowait(result)

    def job(self, permit: Signed | None, job_id: bytes, epoch: int = 1) -> Job:
        """A note to be written."""
        deadline_ms = self.clock.now_ms() + 30_000
        return Job(job_id, job_id, 0, epoch, "notes.append", ARGS, deadline_ms, "interactive", permit)

    def new_id(self) -> bytes:
        """A job's or permit's id."""
        return new_id(self.clock.now_ms(), SystemEntropy().token(10))

    def permit(self, job_id: bytes, key: SigningKey | None = None, **changes: Any) -> Signed:
        """The permit that would fit, with `changes`."""
        now_ms = self.clock.now_ms()
        permit = Permit(
            mesh=self.trust.mesh, kind="once", permit_id=self.new_id(), run_id=job_id, step=0, job_id=job_id,
            operation="notes.append", target=self.node, args_hash=sha256(ARGS), effects=int(Effect.WRITE),
            policy_version=self.trust.policy.version, epoch=1, issued_ms=now_ms, expires_ms=now_ms + PERMIT_TTL_MS,
            max_uses=1, principal=OWNER, isolation="landlock",
        )  # fmt: skip
        return sign_permit(msgspec.structs.replace(permit, **changes), key or self.medulla)

    async def result_of(self, job: Job) -> JobResult:
        """What the node answers."""
        self.hub.post(self.node, MessageType.JOB, job)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                result = await self._results.get()
                self.hub.tell(self.node, SessionType.RESULT_TAKEN, ResultTaken(result.job_id, result.epoch))
                if result.job_id == job.job_id:
                    return result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impostor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Lab, Impostor]]:
    """A kitchen whose coordinator was replaced."""
    async with mesh(tmp_path_factory.mktemp("permits") / "lab", "kitchen") as lab:
        node = parse_id(lab.ask("status", device="kitchen", part="node")["id"])
        await lab.desk.down()
        found = Impostor(lab, node)
        await found.hub.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await found.up.wait()
            yield lab, found
        finally:
            await found.hub.close()


def cases(impostor: Impostor, job_id: bytes) -> dict[str, tuple[Signed | None, str, str]]:
    """Permit, the code of the refusal, the field it names."""
    long_ago = impostor.clock.now_ms() - 10 * PERMIT_TTL_MS
    permit = impostor.permit
    return {
        "none": (None, "PERMIT_MISSING", ""),
        "expired": (permit(job_id, issued_ms=long_ago, expires_ms=long_ago + PERMIT_TTL_MS), "PERMIT_EXPIRED", ""),
        "other values": (permit(job_id, args_hash=sha256(b"other")), "PERMIT_MISMATCH", "args"),
        "another node": (permit(job_id, target=impostor.identity.device_id), "PERMIT_MISMATCH", "target"),
        "another operation": (permit(job_id, operation="notes.list"), "PERMIT_MISMATCH", "operation"),
        "another job": (permit(impostor.new_id()), "PERMIT_MISMATCH", "job"),
        "another attempt": (permit(job_id, epoch=2), "PERMIT_MISMATCH", "epoch"),
        "another mesh": (permit(job_id, mesh=b"\1" * 20), "PERMIT_MISMATCH", "mesh"),
        "fewer effects": (permit(job_id, effects=int(Effect.READ)), "PERMIT_MISMATCH", "effects"),
        "an older policy": (permit(job_id, policy_version=0), "PERMIT_STALE", ""),
        "an unisolated Medulla": (permit(job_id, isolation="none"), "PERMIT_REFUSED", "isolation"),
        "no kind we honour": (permit(job_id, kind="standing"), "PERMIT_REFUSED", "kind"),
        "signed by the coordinator": (permit(job_id, impostor.identity.signing), "PERMIT_REFUSED", ""),
    }  # fmt: skip


async def test_no_permit_that_does_not_fit_makes_a_node_act(impostor: tuple[Lab, Impostor]) -> None:
    lab, played = impostor
    for name in cases(played, played.new_id()):
        job_id = played.new_id()
        permit, code, field = cases(played, job_id)[name]
        result = await played.result_of(played.job(permit, job_id))
        assert result.outcome == "failed", name
        assert result.error is not None, name
        assert (result.error.code, result.error.field) == (code, field), name
        assert result.error.message, name
        assert result.started_ms == 0, name
    assert notes(lab.devices["kitchen"]) == []


async def test_a_permit_that_fits_works_once_and_its_repetition_is_answered_from_the_journal(
    impostor: tuple[Lab, Impostor],
) -> None:
    """So it was the permit that was missing above, and nothing else."""
    lab, played = impostor
    job_id = played.new_id()
    permit = played.permit(job_id)
    job = played.job(permit, job_id)
    first = await played.result_of(job)
    assert first.outcome == "succeeded"
    assert decode_value(first.value)["line"] == 1
    again = await played.result_of(job)
    assert (again.outcome, again.value, again.started_ms) == (first.outcome, first.value, first.started_ms)
    # The same permit for a later attempt, for other values under the same job, for another job.
    later = await played.result_of(played.job(permit, job_id, epoch=2))
    assert later.error is None or later.error.code == "PERMIT_MISMATCH"
    other = msgspec.structs.replace(job, args=encode_value({"text": "something else"}))
    assert (await played.result_of(other)).outcome == "failed"
    new_job = played.job(permit, played.new_id())
    assert (await played.result_of(new_job)).outcome == "failed"
    assert notes(lab.devices["kitchen"]) == ["a note that nobody allowed"]
