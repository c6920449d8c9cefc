"""A node and its coordinator for tests: a real `Node` on a real folder, and a hub that plays the coordinator.

The hub does what the heart would: it signs permits, sends jobs, takes results. Everything it hears is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.node.probe_capability import PROBES
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.files import write_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import BOOT_FILE, CURVE_FILE, SEED_FILE
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.post import Post
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.node.app import Node
from kindmesh.node.config import Config, MeshSection, NodeSection
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages import Job, JobCancel, JobResult, MessageType, ResultTaken, SessionType, Stop
from kindmesh.protocol.messages.hello import Advert, open_advert
from kindmesh.protocol.messages.jobs import ArtifactInfo, Priority
from kindmesh.protocol.signed import Signed

CLOCK = SystemClock()
ENTROPY = SystemEntropy()
EFFECTS = {
    "probe.write": Effect.WRITE, "probe.crash_write": Effect.WRITE, "notes.append": Effect.WRITE,
    "speech.say": Effect.NOTIFY,
}  # fmt: skip


class Desk:
    """The coordinator's side. `take` says whether results are acknowledged as they come."""

    def __init__(self, household: Household, transport: Transport, listen: str) -> None:
        self.household = household
        self.identity = household.identities["desk"]
        self.hub = Hub(
            Post(self.identity, household.trust("desk"), CLOCK, ENTROPY), CLOCK, ENTROPY, transport, listen
        )
        self.take = True
        self.heard: list[tuple[str, Any]] = []
        self.adverts: list[Advert] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.hub.on(MessageType.JOB_RESULT, self._on_result)
        self.hub.on(MessageType.ADVERT, self._on_advert)
        for type_ in (SessionType.JOB_ACCEPTED, SessionType.JOB_PROGRESS, SessionType.DRAINING):
            self.hub.on_session(type_, lambda peer, ref, body: self._hear(type(body).__name__, body))
        self.hub.on_session(SessionType.HEARTBEAT, self._on_heartbeat)
        self.hub.on_peer(lambda peer, up: self._hear("up" if up else "down", peer))

    def _hear(self, what: str, body: Any) -> None:
        self.heard.append((what, body))
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _on_result(self, envelope: Any, body: Any) -> None:
        self._hear("result", body)
        if self.take and body.started_ms:
            # Last: a device that has ended meanwhile cannot be told any more.
            self.taken(envelope.header.src, body)

    def _on_heartbeat(self, peer: bytes, ref: int, body: Any) -> None:
        self.hub.tell(peer, SessionType.HEARTBEAT, body)
        self._hear("Heartbeat", body)

    def taken(self, node: bytes, result: JobResult) -> None:
        self.hub.tell(node, SessionType.RESULT_TAKEN, ResultTaken(result.job_id, result.epoch))

    def _on_advert(self, envelope: Any, body: Any) -> None:
        advert = open_advert(body.advert, self.hub._post.trust.membership.get(envelope.header.src).ed_pub)
        self.adverts.append(advert)
        self._hear("advert", advert)

    async def until(self, found: Callable[[], Any], timeout_s: float = 10) -> Any:
        """Wait until `found()` is true; returns it."""
        async with asyncio.timeout(timeout_s), self._changed:
            while not (answer := found()):
                await self._changed.wait()
        return answer

    def all(self, what: str, job_id: bytes = b"") -> list[Any]:
        return [body for name, body in self.heard if name == what and (not job_id or body.job_id == job_id)]

    async def result(self, job_id: bytes, epoch: int = 1) -> JobResult:
        """The first result of that attempt."""

        def found() -> JobResult | None:
            return next((body for body in self.all("result", job_id) if body.epoch == epoch), None)

        answer: JobResult = await self.until(found)
        return answer

    def job(self, node: bytes, operation: str, args: dict[str, Any], **changes: Any) -> Job:
        """A job with a permit that fits."""
        now_ms = CLOCK.now_ms()
        data = encode_value(args)
        job_id = changes.pop("job_id", b"") or new_id(now_ms, ENTROPY.token(10))
        epoch: int = changes.pop("epoch", 1)
        permit = changes.pop("permit", None) or self.permit(node, operation, data, job_id, epoch)
        deadline_ms = now_ms + changes.pop("within_ms", 20_000)
        priority: Priority = changes.pop("priority", "interactive")
        sources: tuple[ArtifactInfo, ...] = changes.pop("sources", ())
        base = Job(job_id, job_id, 0, epoch, operation, data, deadline_ms, priority, permit, sources)
        return msgspec.structs.replace(base, **changes)

    def permit(
        self, node: bytes, operation: str, data: bytes, job_id: bytes, epoch: int = 1, **more: Any
    ) -> Signed:
        effects = int(EFFECTS.get(operation, Effect.READ))
        return self.household.permit(
            target=node, operation=operation, args=data, effects=effects, job_id=job_id, epoch=epoch,
            **{"issued_ms": CLOCK.now_ms(), "expires_ms": CLOCK.now_ms() + 60_000, **more},
        )  # fmt: skip

    def send(self, node: bytes, job: Job) -> bytes:
        self.hub.post(node, MessageType.JOB, job)
        return job.job_id

    async def run(self, node: bytes, operation: str, args: dict[str, Any], **changes: Any) -> JobResult:
        job = self.job(node, operation, args, **changes)
        self.send(node, job)
        return await self.result(job.job_id, job.epoch)

    def cancel(self, node: bytes, job: Job, epoch: int | None = None) -> None:
        self.hub.post(
            node, MessageType.JOB_CANCEL, JobCancel(job.job_id, job.epoch if epoch is None else epoch, "x")
        )

    def stop(self, node: bytes, reason: str = "") -> None:
        self.hub.post(node, MessageType.STOP, Stop(reason))


class Rig:
    """One household: "desk" and nodes by name, on one transport."""

    def __init__(
        self, folder: Path, transport: Transport | None = None, listen: str = "memory://desk"
    ) -> None:
        self.folder = folder
        self.household = Household(3, int(time.time() * 1000) - 1_000)
        self.household.add("desk", "coordinator")
        for name in ("phone", "kitchen"):
            self.household.add(name)
        self.network = MemoryNetwork(5)
        self.transport = transport or self.network.transport("all")
        self.desk = Desk(self.household, self.transport, listen)

    def id(self, name: str = "phone") -> bytes:
        return self.household.identities[name].device_id

    def home(self, name: str = "phone", address: str = "desk") -> Home:
        """The state folder of a device that was paired."""
        home = Home(self.folder / name).create()
        if not (home.identity / SEED_FILE).exists():
            identity = self.household.identities[name]
            write_private(home.identity / SEED_FILE, identity.signing.seed)
            write_private(home.identity / CURVE_FILE, identity.curve.secret)
            write_private(home.identity / BOOT_FILE, b"1\n")
            Trust.create(home.identity, self.household.trust_file(name, addresses=(address,)))
        return home

    def make(self, name: str = "phone", *, control: bool = False, **settings: Any) -> Node:
        """A node that was not started yet."""
        config = Config(mesh=MeshSection(mdns=False), node=NodeSection(**{"grace_ms": 200, **settings}))
        return Node(
            self.home(name), config, clock=CLOCK, entropy=ENTROPY, transport=self.transport, scheme="memory://",
            entries=PROBES, control=control,
        )  # fmt: skip

    @asynccontextmanager
    async def node(
        self, name: str = "phone", *, control: bool = False, **settings: Any
    ) -> AsyncIterator[Node]:
        """A running node that the desk knows."""
        before = len(self.desk.adverts)
        async with self.make(name, control=control, **settings) as node:
            await self.desk.until(lambda: len(self.desk.adverts) > before)
            yield node


@contextmanager
def watching(node: Node, event: str) -> Iterator[asyncio.Event]:
    """Set when the node's executor tells its watchers this."""
    seen = asyncio.Event()

    def watch(told: dict[str, Any]) -> None:
        if told["event"] == event:
            seen.set()

    node.executor.watchers.append(watch)
    try:
        yield seen
    finally:
        node.executor.watchers.remove(watch)


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    made = Rig(folder)
    await made.desk.hub.start()
    try:
        yield made
    finally:
        await made.desk.hub.close()


def value(result: JobResult) -> Any:
    """What a succeeded job answered."""
    assert result.error is None, result.error
    return decode_value(result.value)
