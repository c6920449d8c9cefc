"""The node's composition root: puts the parts together, and decides nothing.

`Node` is everything that runs for one device, over whatever transport, clock and stores it is given, so that tests and
the simulator run the same. Entering it opens; leaving it closes; `drain` before leaving is the graceful end. The
process around it is in `process`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

from kindmesh.capabilities.registry import ENTRIES, Entry
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.audit_trust import TrustNotes
from kindmesh.mesh.audit_witness import Witness
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.direct import DirectLinks
from kindmesh.mesh.durability import Where
from kindmesh.mesh.event_log import EventLog
from kindmesh.mesh.exchange import Exchange
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.papers import ask_papers
from kindmesh.mesh.post import Post
from kindmesh.mesh.readmit_guest import come_back
from kindmesh.mesh.recollection import Recollection
from kindmesh.mesh.store import Store
from kindmesh.mesh.streams import Streams
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.mesh.vault import folder_key
from kindmesh.node.admission import Room
from kindmesh.node.calls import SessionCalls
from kindmesh.node.config import Config
from kindmesh.node.doorway import direct_address, reachable
from kindmesh.node.event_desk import NodeEvents
from kindmesh.node.executor import Executor
from kindmesh.node.facts import Facts
from kindmesh.node.forwarding import Forwarding
from kindmesh.node.holding import HeldArtifacts, Uploads
from kindmesh.node.homecoming import Homecoming
from kindmesh.node.journal import NODE_SCHEMA, NodeJournal
from kindmesh.node.kept_labels import KeptLabels
from kindmesh.node.label_resets import LabelResets
from kindmesh.node.leaving import Leaving
from kindmesh.node.lookout import Finder, Lookout
from kindmesh.node.people_renewal import PeopleRenewal
from kindmesh.node.quarantine_machine import Changed
from kindmesh.node.receipts import Receipts
from kindmesh.node.renewing import Renewing
from kindmesh.node.reporter import Reporter
from kindmesh.node.stream_control import StreamControl
from kindmesh.node.stream_journal import StreamJournal
from kindmesh.node.stream_permit import ask_permit
from kindmesh.node.streaming import Streaming
from kindmesh.node.supervisor import Supervisor
from kindmesh.node.ward import Ward
from kindmesh.node.witnessing import Witnessing
from kindmesh.protocol.crypto import hkdf_sha256
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import HEARTBEAT_MS

log = logging.getLogger("kindmesh.node.app")

STORE_KEY: Final = "store.key"
EVENTS_INFO: Final = b"kindmesh-node-events-v1"
RESULTS_INFO: Final = b"kindmesh-node-results-v1"
FORGET_EVERY: Final = 60
"""Beats between two rounds of forgetting old results."""
DAY_MS: Final = 86_400_000


class Node:
    """One device. `control`: also serve `run/node.sock` (needs a real loop). See the module."""

    def __init__(
        self,
        home: Home,
        config: Config,
        *,
        clock: Clock,
        entropy: Entropy,
        transport: Transport,
        scheme: str = "tcp://",
        entries: Sequence[Entry] = ENTRIES,
        sync: Where = "auto",
        control: bool = True,
        idle_s: float = 120.0,
        facts: Facts | None = None,
    ) -> None:
        """Opens the identity, the trust and the stores; `facts` other than this machine's are for simulations.

        Raises:
            NotInitialised: this folder belongs to no mesh.
            StoreTooNew, StoreDamaged, DiskFull, StoreError, InsecurePermissions.
        """
        home.create()
        self.home, self.config = home, config
        self.trust = Trust.load(home.identity)
        self.identity = Identity.load(home.identity, entropy)
        self.clock = MeshClock(clock, self.trust.floor_ms)
        self.bus = EventBus(self.identity.device_id, self.clock, entropy)
        self.recollection = Recollection(home.node / "recollection")
        key = folder_key(home.node / STORE_KEY, entropy=entropy)
        self.artifacts = ArtifactStore.open(
            home.artifacts, key, quota=config.node.artifacts_mib << 20, entropy=entropy
        )
        self.store = Store.open(home.node_journal, NODE_SCHEMA, sync=sync)
        self.audit = AuditLog(
            self.store, mesh=self.trust.mesh, signing=self.identity.signing, clock=self.clock, entropy=entropy
        )
        self.witness = Witness(self.store, self.audit)
        self.witnessing = Witnessing(
            trust=self.trust, audit=self.audit, witness=self.witness, clock=self.clock
        )
        self.trust_notes = TrustNotes(self.audit, self.trust, self.identity.boot)
        self.journal = NodeJournal(self.store, hkdf_sha256(key, b"", RESULTS_INFO, 32), entropy, self.audit)
        post = Post(self.identity, self.trust, self.clock, entropy, self.recollection)
        self.uplink = Uplink(post, self.clock, entropy, transport, scheme=scheme, addresses=config.mesh.seeds)
        self.ward = Ward(self.store, self.clock.now_ms)
        self.ward.on_change.append(self._quarantine_changed)
        self.supervisor = Supervisor(
            ward=self.ward,
            artifacts=HeldArtifacts(self.artifacts),
            data_dir=home.data,
            work_root=home.node / "work",
            settings=config.node,
            certificate=lambda: self.trust.certificate,
            monotonic=self.clock.monotonic,
            entries=entries,
            idle_s=idle_s,
            config_dir=home.node,
            now_ms=self.clock.now_ms,
            first=home.coordinator.exists(),
        )
        room = Room(config.node.concurrency, config.node.emergency_reserve)
        self.reporter = Reporter(
            endpoint=self.uplink,
            identity=self.identity,
            trust=self.trust,
            journal=self.journal,
            clock=self.clock,
            facts=facts or Facts(home.root),
            running=lambda: room.total,
            offers=lambda: (self.supervisor.version, self.supervisor.offers()),
            witnessing=Witnessing(trust=self.trust, audit=self.audit, witness=self.witness, clock=self.clock),
        )
        self.exchange = Exchange(self.uplink, self.artifacts, self.trust, self.clock, self.journal.produced)
        kept = KeptLabels(self.store)
        self.executor = Executor(
            endpoint=self.uplink,
            trust=self.trust,
            journal=self.journal,
            supervisor=self.supervisor,
            reporter=self.reporter,
            artifacts=self.artifacts,
            exchange=self.exchange,
            clock=self.clock,
            room=room,
            receipts=Receipts(self.identity, self.trust, kept),
        )
        self.streams = Streams(self.uplink, self.clock, entropy)
        self.streaming = Streaming(
            streams=self.streams,
            device=self.identity.device_id,
            trust=self.trust,
            journal=self.journal,
            kept=StreamJournal(self.store, self.audit),
            supervisor=self.supervisor,
            room=room,
            clock=self.clock,
        )
        self.executor.on_stop = self.streaming.stop
        resets = LabelResets(kept, self.trust, self.audit, self.clock, self.executor.under_way)
        own = {
            "mesh.audit": self.witnessing.rows,
            "mesh.audit_heads": self.witnessing.heads,
            **resets.calls(),
        }
        self.calls = SessionCalls(self.uplink, self.supervisor, room, own)
        self.uploads = Uploads(self.artifacts, entropy, self.clock.monotonic)
        self.forwarding = Forwarding(self.uplink, self.trust)
        self.direct = DirectLinks(
            self.streams, post, self.clock, entropy, transport, scheme=scheme,
            listen=direct_address(scheme, config.mesh.listen, self.identity.device_id),
            places=partial(reachable, config.mesh.listen),
        )  # fmt: skip
        self.stream_control = StreamControl(
            self.streams, partial(ask_permit, self.forwarding, self.trust, self.clock), self.direct.listen
        )
        self.lookout = Lookout(self.uplink, self._finder)
        self.leaving = Leaving(self.trust, self.uplink, self.executor)
        self.homecoming = Homecoming(
            self.uplink,
            self.trust,
            ask=ask_papers,
            come_back=partial(
                come_back,
                trust=self.trust,
                identity=self.identity,
                clock=self.clock,
                transport=transport,
                scheme=scheme,
            ),
            places=lambda: [*self.uplink.places, *config.mesh.seeds, *self.lookout.coordinators],
        )
        # The simulator has no sockets for papers.
        self._seeks_papers = scheme == "tcp://"
        self.renewing = Renewing(
            uplink=self.uplink,
            identity=self.identity,
            folder=home.identity,
            trust=self.trust,
            clock=self.clock,
            entropy=entropy,
        )
        self.people = PeopleRenewal(
            home.root,
            self.trust,
            self.clock,
            self.forwarding.ask,
            lambda: self.uplink.connected(self.uplink.coordinator),
        )
        self.events = NodeEvents(
            self.bus, EventLog(self.store, hkdf_sha256(key, b"", EVENTS_INFO, 32), entropy), uplink=self.uplink,
            trust=self.trust, journal=self.journal, supervisor=self.supervisor, executor=self.executor,
            clock=self.clock,
        )  # fmt: skip
        self.supervisor.hear(self.events.publish)
        self.supervisor.on_change = self.reporter.advertise
        self.uplink.on_trust(self.supervisor.granted_anew)
        self.uplink.on_trust(self.trust_notes.look)
        self.uplink.on_trust(self.leaving.look)
        self.uplink.on_trust(self.streaming.look)
        self.uplink.on_refusal(partial(self.audit.refused, "message"))
        self._control = control
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.callback(self.store.close)
            self.store.join()  # what was noted before there was a loop
            stack.callback(self.recollection.close)
            stack.callback(self.audit.flush)
            stack.callback(self.uploads.close)
            await stack.enter_async_context(self.supervisor)
            stack.push_async_callback(self.calls.close)
            stack.push_async_callback(self.people.close)
            stack.push_async_callback(self.executor.close)
            stack.callback(self.events.close)
            stack.push_async_callback(self.uplink.close)
            stack.push_async_callback(self.direct.close)
            stack.push_async_callback(self.streams.close)
            stack.push_async_callback(self.streaming.close)
            stack.push_async_callback(self.lookout.close)
            stack.push_async_callback(self.homecoming.close)
            stack.push_async_callback(self.leaving.close)
            self.executor.resume()
            self.events.start()
            await self.uplink.start()
            if self._control:
                await self._serve_control(stack)
            self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_MS / 1000, self._beat)
            stack.callback(self._stop_beating)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def drain(self) -> None:
        """The graceful end: the coordinator is told, no new jobs; running ones finish within the grace time (what may
        not be repeated: some time more) or are cancelled, and it is told."""
        self.reporter.draining(self.config.node.grace_ms)
        await self.executor.drain(self.config.node.grace_ms)
        self.reporter.flush()

    async def _serve_control(self, stack: AsyncExitStack) -> None:
        # The simulator has no sockets, and does not pay for what serves them.
        from kindmesh.mesh.control import ControlServer  # noqa: PLC0415
        from kindmesh.node.local_control import LocalControl  # noqa: PLC0415

        local = LocalControl(
            identity=self.identity,
            trust=self.trust,
            clock=self.clock,
            uplink=self.uplink,
            journal=self.journal,
            supervisor=self.supervisor,
            executor=self.executor,
            reporter=self.reporter,
            artifacts=self.artifacts,
            uploads=self.uploads,
            forwarding=self.forwarding,
            witnessing=self.witnessing,
            renewing=self.renewing,
            homecoming=self.homecoming,
            streams=self.stream_control,
        )
        local.event_findings = self.events.findings
        own = {"events": self.events.watch, "events.topics": self.events.topics}
        server = ControlServer(self.home.socket("node"), {**local.handlers(), **own})
        await server.start()
        stack.push_async_callback(server.close)

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_MS / 1000, self._beat)
        self._beats += 1
        self.reporter.beat()
        self.executor.tick()
        self.streaming.tick()
        self.direct.tick()
        self.renewing.tick()
        self.people.tick()
        self.supervisor.tick()
        self.events.tick()
        self.uploads.tick()
        self.trust_notes.look()
        self.audit.tick()
        self.journal.save_latch()
        self.leaving.look()
        if self.config.mesh.mdns and not self.leaving.begun:
            self.lookout.beat()
        if self._seeks_papers and not self.leaving.begun:
            self.homecoming.beat()
        if self._beats % FORGET_EVERY == 0:
            try:
                now_ms = self.clock.now_ms()
                before_ms = now_ms - self.config.node.keep_days * DAY_MS
                # A day longer than it was taken, whatever is set: the coordinator may be put back from a backup.
                self.journal.forget(min(before_ms, now_ms - DAY_MS))
                self.audit.forget_before(before_ms)
            except KindmeshError as error:
                log.warning("could not forget old results", extra={"code": error.code})

    def _quarantine_changed(self, change: Changed) -> None:
        """Say it to everybody who listens; being on trial is no news."""
        if change.state == "probing":
            return
        topic = "restored" if change.state == "well" else "quarantined"
        told = {"capability": change.capability, "why": change.why}
        self.bus.emit(f"system.capability.{topic}", {**told, "by": "a person"} if change.healed else told)

    def _finder(self) -> Finder:
        from kindmesh.mesh.discovery import Discovery  # noqa: PLC0415 - most nodes know where their coordinator is

        return Discovery(self.trust.mesh, self.identity.device_id)

    def _stop_beating(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


__all__ = ["Node"]
