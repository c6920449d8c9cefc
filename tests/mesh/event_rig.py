"""A coordinator's end and two nodes' for events, over real sessions on the in-memory transport, in virtual time.

Each end has its own store on the disk, so that it can be abandoned as a crash does and opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.household import Household

from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.event_durable import DurableEvents
from kindmesh.mesh.event_links import EventLinks
from kindmesh.mesh.event_log import EVENT_TABLES, EventLog
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.mesh.uplink import Uplink
from kindmesh.mesh.virtual import SeededEntropy, SimulatedClock
from kindmesh.protocol.certificate import check_validity
from kindmesh.protocol.errors import AccessRefused
from kindmesh.protocol.manifest import Field
from kindmesh.protocol.messages import Heartbeat, SessionType
from kindmesh.protocol.messages.events import MeshEvent
from kindmesh.protocol.topics import Topic, check_payload

START_MS = 1_900_000_000_000
FALL = Topic(
    "perception.falls.detected", "somebody fell", (Field("room", "text"),), durable=True, data_class="health"
)
STEP = Topic("perception.falls.step", "a step", (Field("n", "integer"),))
DECLARED = {FALL.name: FALL, STEP.name: STEP}
SCHEMA = Schema(
    "events",
    1,
    (Migration(1, (*EVENT_TABLES, "CREATE TABLE effect (event_id BLOB PRIMARY KEY, n INTEGER NOT NULL)")),),
)


class End:
    """One member's bus, links and log."""

    def __init__(self, rig: EventRig, name: str) -> None:
        self.rig, self.name = rig, name
        self.trust = rig.household.trust(name)
        self.relays = name == "desk"
        self.clock = MeshClock(rig.clock)
        self.heard: list[MeshEvent] = []
        self.endpoint = self._endpoint()
        self.id = self.endpoint.device_id
        self.store = Store.open(rig.folder / f"{name}.db", SCHEMA, sync="inline")
        self.log = EventLog(self.store, bytes(32), rig.entropy)
        self.bus = EventBus(self.id, self.clock, rig.entropy)
        self.bus.declare(DECLARED)
        self.links = EventLinks(
            self.bus, self.endpoint, self.clock, admit=self.admit, current=self.current, relays=self.relays
        )
        self.durable = DurableEvents(
            self.bus,
            self.log,
            self.endpoint,
            self.trust,
            self.clock,
            signing=rig.household.identities[name].signing,
            seen=self.links.seen,
            admit=self.admit,
            current=self.current,
            relays=self.relays,
        )

    def _endpoint(self) -> Hub | Uplink:
        rig = self.rig
        identity: Identity = rig.household.identities[self.name]
        started = Identity(identity.signing, identity.curve, rig.next_boot(), rig.entropy.token(8))
        post = Post(started, self.trust, self.clock, rig.entropy)
        transport = rig.network.transport(self.name)
        if self.relays:
            made: Endpoint = Hub(post, self.clock, rig.entropy, transport, "memory://desk")
        else:
            made = Uplink(post, self.clock, rig.entropy, transport, scheme="memory://", addresses=["desk"])
        made.on_session(SessionType.HEARTBEAT, self._heartbeat)
        made.on_peer(self._greet)
        assert isinstance(made, Hub | Uplink)
        return made

    def _greet(self, peer: bytes, up: bool) -> None:
        if up and not self.relays:
            self.endpoint.tell(peer, SessionType.HEARTBEAT, Heartbeat(1, 0, None, self.trust.known, 1))

    def _heartbeat(self, peer: bytes, ref: int, body: Any) -> None:
        if self.relays:
            self.endpoint.tell(peer, SessionType.HEARTBEAT, body)

    def current(self, member: bytes) -> None:
        check_validity(self.trust.membership.get(member), self.clock.now_ms())

    def admit(self, peer: bytes, event: MeshEvent) -> None:
        if self.relays and event.source != peer:
            raise AccessRefused("in its own name only")
        check_payload(self.bus.topic(event.topic), event)

    async def start(self) -> None:
        await self.endpoint.start()
        self.durable.pump_soon()
        self._ticking = asyncio.ensure_future(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.durable.tick()
            if not self.relays and self.endpoint.connected(self.trust.coordinator.subject):
                self._greet(self.trust.coordinator.subject, True)

    async def close(self, *, crash: bool = False) -> None:
        """End; with `crash` as `kill -9` does: what was not committed is gone."""
        self._ticking.cancel()
        self.links.close()
        self.durable.close()
        if crash:
            self.store.abandon()
        await self.endpoint.close()
        if not crash:
            self.store.close()

    def hear(self, pattern: str, **rest: Any) -> Callable[[], None]:
        return self.bus.subscribe(pattern, self.heard.append, **rest)


class EventRig:
    """A mesh of `desk`, `phone` and `kitchen`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SimulatedClock(asyncio.get_running_loop())
        self.entropy = SeededEntropy("events")
        self.household = Household(1, self.clock.now_ms())
        self.household.add("desk", "coordinator")
        for name in ("phone", "kitchen"):
            self.household.add(name)
        self.network = MemoryNetwork(7)
        self.ends: dict[str, End] = {}
        self._boots = 1

    def next_boot(self) -> int:
        self._boots += 1
        return self._boots

    async def start(self, *names: str) -> list[End]:
        for name in names:
            self.ends[name] = End(self, name)
            await self.ends[name].start()
        await asyncio.sleep(3)
        return [self.ends[name] for name in names]

    async def crash(self, name: str) -> None:
        await self.ends.pop(name).close(crash=True)

    async def close(self) -> None:
        for end in reversed(list(self.ends.values())):
            await end.close()
