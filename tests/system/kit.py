"""What the system tests share: a mesh of real processes, commands as a person types them, and raw members.

`mesh` starts nothing by itself; it remembers the lab, so that after every test the logs of all processes are looked
through: a traceback anywhere fails the test. `Mole` is a real member (paired like any other) whose messages the test
writes itself: it keeps what it sent and can send anything on its live connection.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.quick_mesh import quick_mesh

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.transport import Channel, Listener, Transport
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.node.forwarding import Forwarding
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.limits import HEARTBEAT_MS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages import Heartbeat, SessionType
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.signed import signed_to_bytes

PATIENCE_S = 30.0
SEEN: list[Path] = []
"""Log folders of all labs of this run."""


@asynccontextmanager
async def mesh(root: Path, *nodes: str, **settings: str) -> AsyncIterator[Lab]:
    """A lab with a desk and these nodes, all alive; `settings` are environment overrides for all of them (with other
    Python modules, `kindmesh init` has to see for itself what there is)."""
    async with Lab(root, settings=settings) as lab:
        SEEN.append(root / "logs")
        if "PYTHONPATH" in settings:
            await lab.begin()
        else:
            quick_mesh(lab.device("desk").home, lab.environment["KINDMESH_PASSPHRASE"])
            await lab.desk.up()
        for name in nodes:
            await lab.add(name)
        await lab.alive("desk", *nodes)
        yield lab


def tracebacks() -> list[str]:
    """Lines of logs in which something was not foreseen: a traceback, or its short form in our logs (`at`)."""
    found = []
    for log in (log for folder in SEEN for log in sorted(folder.glob("*.log"))):
        lines = log.read_text(errors="replace").splitlines()
        found += [f"{log}: {line[:2000]}" for line in lines if "Traceback" in line or '"at":[' in line]
    return found


class Said(NamedTuple):
    """How a command ended: exit code, its JSON objects, what it wrote for people."""

    code: int
    objects: list[dict[str, Any]]
    text: str

    @property
    def error(self) -> dict[str, Any]:
        """The error in its last object."""
        found: dict[str, Any] = self.objects[-1]["error"]
        return found


async def say(device: Device, *words: str, typed: str = "", within_s: float = 60.0) -> Said:
    """`kindmesh words --json` to its end, with `typed` on its standard input."""
    running = await device.start(*words, "--json", stdin=True)
    try:
        output, _ = await asyncio.wait_for(running.process.communicate(typed.encode()), within_s)
    finally:
        if running.process.returncode is None:
            await running.kill()
    code = await running.process.wait()
    return Said(code, [json.loads(line) for line in output.splitlines()], running.log.read_text())


def allow(lab: Lab, *operations: str) -> None:
    """The owner's policy lets these operations write without asking."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    rules = (
        Rule("*", int(Effect.READ | Effect.NOTIFY), "allow"),
        *(Rule(operation, int(Effect.READ | Effect.WRITE), "allow") for operation in operations),
    )
    version = lab.ask("status")["policy_version"] + 1
    policy = Policy(owner.mesh, version, SystemClock().now_ms(), rules)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


def notes(device: Device) -> list[str]:
    """The texts in a device's file of notes, as they are on its disk."""
    path = device.home.data / "notes" / "notes.jsonl"
    return [json.loads(line)["text"] for line in path.read_bytes().splitlines()] if path.exists() else []


@asynccontextmanager
async def talking(device: Device, part: str = "coordinator") -> AsyncIterator[AsyncControlClient]:
    """A client of a control socket."""
    client = await AsyncControlClient.connect(device.home.socket(part))
    try:
        yield client
    finally:
        await client.close()


async def until(
    events: asyncio.Queue[dict[str, Any]], fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The next event that fits."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event = await events.get()
            if fits(event):
                return event


async def ended(lab: Lab, job: str) -> dict[str, Any]:
    """A job's document once it has ended, however it ended; also across restarts of the coordinator."""
    async with asyncio.timeout(PATIENCE_S):
        async with talking(lab.desk) as client:
            seen = asyncio.Event()
            begun = asyncio.Event()

            def take(event: dict[str, Any]) -> None:
                if event.get("event") == "watching":
                    begun.set()
                if event.get("job") == job:
                    seen.set()

            watching = asyncio.ensure_future(client.call("watch", on_event=take))
            try:
                await begun.wait()
                while True:
                    found: dict[str, Any] = await client.call("job", {"id": job})
                    if found["ended_ms"] is not None:
                        return found
                    await seen.wait()
                    seen.clear()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


async def soon(ask: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether it becomes true in time; asks again as soon as it was answered."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if await ask():
            return True
    return False


async def turned_away(lab: Lab) -> int:
    """How often the coordinator's socket has refused somebody's connection or message."""
    async with talking(lab.desk) as client:
        status = await client.call("status")
        count: int = status["turned_away"]
        return count


class Tapped:
    """A transport whose dialled channel the test can use too: `sent` is everything that went out, in order."""

    def __init__(self) -> None:
        self._inner: Transport = ZmqTransport()
        self.sent: list[list[bytes]] = []
        self.channel: Channel | None = None

    def listen(self, address: str, key: CurveKey, admit: Callable[[bytes], bool]) -> Listener:
        """As the real one."""
        return self._inner.listen(address, key, admit)

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> Channel:
        """As the real one, with a tap."""
        channel = self._inner.dial(address, server_key, key)
        plain_send = channel.send

        def send(frames: Sequence[bytes]) -> None:
            self.sent.append(list(frames))
            plain_send(frames)

        self.channel = channel
        return _TappedChannel(channel, send)


class _TappedChannel:
    def __init__(self, inner: Channel, send: Callable[[Sequence[bytes]], None]) -> None:
        self._inner = inner
        self.send = send
        self.start, self.close, self.statistics = inner.start, inner.close, inner.statistics

    @property
    def hop_key(self) -> bytes:
        return self._inner.hop_key

    @property
    def connected(self) -> bool:
        return self._inner.connected


class Mole:
    """A member whose messages the test writes. `identity` and `trust` may be swapped for what an attacker has."""

    def __init__(self, home: Home, address: str) -> None:
        self.identity = Identity.load(home.identity, SystemEntropy())
        self.trust = Trust.load(home.identity)
        self.tap = Tapped()
        self.clock = MeshClock(SystemClock())
        post = Post(self.identity, self.trust, self.clock, SystemEntropy())
        self.uplink = Uplink(post, self.clock, SystemEntropy(), self.tap, addresses=[address])
        self._forwarding = Forwarding(self.uplink, self.trust)
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def coordinator(self) -> bytes:
        """Whom it talks to."""
        return self.trust.coordinator.subject

    async def __aenter__(self) -> Self:
        up = asyncio.Event()

        def on_peer(_: bytes, here: bool) -> None:
            if here:
                # As every member does: the first frame under the session's keys makes it live.
                self._beat()
                up.set()

        self.uplink.on_peer(on_peer)
        self.uplink.on_session(SessionType.HEARTBEAT, lambda *_: None)
        await self.uplink.start()
        async with asyncio.timeout(PATIENCE_S):
            await up.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self.uplink.close()

    def _beat(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_MS / 1000, self._beat)
        self._beats += 1
        if self.uplink.connected(self.coordinator):
            beat = Heartbeat(self._beats, self.clock.now_ms(), None, self.uplink._post.trust.known, 0)
            self.uplink.tell(self.coordinator, SessionType.HEARTBEAT, beat)

    async def ask(self, method: str, params: Any = None) -> Any:
        """A request to the coordinator, after everything that was sent before."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._forwarding.ask(method, params or {}, lambda _: None)

    async def refused(self) -> dict[str, int]:
        """The coordinator's counters of refused messages, after everything that was sent before."""
        status = await self.ask("status")
        counters: dict[str, int] = status["refused"]
        return counters

    def send(self, frames: Sequence[bytes]) -> None:
        """These frames, as they are, on the live connection."""
        assert self.tap.channel is not None
        self.tap.channel.send(frames)


def medulla_key(lab: Lab) -> SigningKey:
    """Medulla's permit key: the tests write what it would have signed for something else, or long ago."""
    return SigningKey((lab.desk.home.medulla / "keys" / "permit.key").read_bytes())
