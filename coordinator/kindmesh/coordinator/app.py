"""The coordinator's composition root: puts the parts together, and decides nothing.

`Coordinator` is everything that runs in this process, over whatever transport, clock, stores and link to Medulla it is
given, so that tests and the simulator run the same. Entering it opens, leaving it closes. The process around it is in
`process`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from kindmesh.coordinator.api import Api, Method, find
from kindmesh.coordinator.audit_service import AuditService
from kindmesh.coordinator.brain.desk.disclosing import Disclosing
from kindmesh.coordinator.brain.desk.place import make_desk
from kindmesh.coordinator.brain.medulla.client import MedullaClient, medulla_socket
from kindmesh.coordinator.companion import Companion
from kindmesh.coordinator.copies import Copies
from kindmesh.coordinator.decisions import Decisions, RaiseService
from kindmesh.coordinator.event_desk import EventDesk
from kindmesh.coordinator.file_desk import FileDesk
from kindmesh.coordinator.halting import Halting
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.coordinator.heart.medulla_client import MedullaReviewer
from kindmesh.coordinator.heart.retention import KeepRules
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.coordinator.heart.schedules.desk import ScheduleDesk
from kindmesh.coordinator.job_desk import JobDesk
from kindmesh.coordinator.labels_desk import LabelsDesk
from kindmesh.coordinator.lasting import LastingDesk
from kindmesh.coordinator.neighbours import Neighbours
from kindmesh.coordinator.pairing import Pairing
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.reachable import join_address, reachable
from kindmesh.coordinator.readmission import Returning
from kindmesh.coordinator.remote import Remote
from kindmesh.coordinator.renewals import RenewalService
from kindmesh.coordinator.run_desk import RunDesk, may_hear
from kindmesh.coordinator.status_desk import StatusDesk
from kindmesh.coordinator.stream_desk import StreamDesk
from kindmesh.coordinator.trust_desk import TrustDesk
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.coordinator.work_desk import WorkDesk
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.audit_anchor import open_anchor
from kindmesh.mesh.audit_witness import Witness
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.control import Call, ControlServer
from kindmesh.mesh.durability import Where
from kindmesh.mesh.enrol_host import EnrolHost
from kindmesh.mesh.event_log import EventLog
from kindmesh.mesh.exchange import Exchange
from kindmesh.mesh.home import Home
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.keeper import Keeper
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.papers import PORT_AFTER_MESH, PapersServer
from kindmesh.mesh.post import Post
from kindmesh.mesh.recollection import Recollection
from kindmesh.mesh.store import Store
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import RunVault, folder_key
from kindmesh.node.config import Config
from kindmesh.node.holding import Uploads
from kindmesh.protocol.crypto import hkdf_sha256
from kindmesh.protocol.errors import KindmeshError, TransportError
from kindmesh.protocol.limits import HEARTBEAT_MS
from kindmesh.protocol.messages import Heartbeat, SessionType
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.papers import PAPERS_VERSION, MeshPapers
from kindmesh.protocol.principal import OWNER, Principal, device_principal

log = logging.getLogger("kindmesh.coordinator.app")

VAULT_INFO: Final = b"kindmesh-coordinator-runs-v1"
EVENTS_INFO: Final = b"kindmesh-coordinator-events-v1"


class Coordinator:
    """One coordinator. `listen` and `door` are transport addresses; `control`: also serve `run/coordinator.sock`."""

    def __init__(
        self,
        home: Home,
        config: Config,
        *,
        clock: Clock,
        entropy: Entropy,
        transport: Transport,
        listen: str,
        door: str,
        medulla: MedullaClient | None = None,
        sync: Where = "auto",
        control: bool = True,
    ) -> None:
        """Opens identity, trust and stores.

        Raises:
            NotInitialised, StoreTooNew, StoreDamaged, DiskFull, StoreError, InsecurePermissions.
        """
        self.home, self.config = home, config
        identity_folder = home.coordinator / "identity"
        self.trust = Trust.load(identity_folder)
        self.identity = Identity.load(identity_folder, entropy)
        self.clock = MeshClock(clock, self.trust.floor_ms)
        self.bus = EventBus(self.identity.device_id, self.clock, entropy)
        self.keeper = Keeper(self.clock, self._task_ended)
        self.recollection = Recollection(home.coordinator / "recollection")
        self.hub = Hub(
            Post(self.identity, self.trust, self.clock, entropy, self.recollection),
            self.clock,
            entropy,
            transport,
            listen,
        )
        key = folder_key(home.coordinator / "store.key", entropy=entropy)
        self.artifacts = ArtifactStore.open(
            home.coordinator / "artifacts", key, quota=config.node.artifacts_mib << 20, entropy=entropy
        )
        self.store = Store.open(home.coordinator_journal, HEART_SCHEMA, sync=sync)
        self.audit = AuditLog(
            self.store, mesh=self.trust.mesh, signing=self.identity.signing, clock=self.clock, entropy=entropy
        )
        vault = RunVault(self.store, hkdf_sha256(key, b"", VAULT_INFO, 32), entropy=entropy)
        self.medulla = medulla or MedullaClient(medulla_socket(home))
        self.reviewer = MedullaReviewer(self.medulla)
        self.heart = Heart(
            endpoint=self.hub,
            trust=self.trust,
            store=self.store,
            vault=vault,
            reviewer=self.reviewer,
            clock=self.clock,
            entropy=entropy,
            on_heartbeat=self._on_heartbeat,
            audit=self.audit,
            keep=KeepRules(config.heart.keep_days, config.heart.keep_jobs),
        )
        self.trust_service = TrustService(self.hub, self.trust, self.medulla)
        self.trust_service.on_gone(self.heart.remove)
        self.host = EnrolHost(self.clock, entropy, transport, door, self.identity.curve)
        self.renewals = RenewalService(
            hub=self.hub, host=self.host, identity=self.identity, folder=identity_folder, trust=self.trust,
            trust_service=self.trust_service, medulla=self.medulla, clock=self.clock, entropy=entropy,
            # Only when a device that was away for long can ask for the new key.
            rotates=config.mesh.papers,
        )  # fmt: skip
        self.auditing = AuditService(
            hub=self.hub, trust=self.trust, boot=self.identity.boot, audit=self.audit,
            witness=Witness(self.store, self.audit), medulla=self.medulla, clock=self.clock,
            anchor=lambda: open_anchor(config.audit.anchor), resolve=self.heart.devices.resolve,
        )  # fmt: skip
        self.neighbours = Neighbours(
            self.trust.mesh, self.identity.device_id, lambda: self.hub.address, mdns=config.mesh.mdns
        )
        self.pairing = Pairing(
            self.host,
            self.trust,
            self.trust_service,
            self.medulla,
            self.audit,
            identity=self.identity,
            entropy=entropy,
            transport=transport,
            neighbours=self.neighbours,
            hints=lambda: self._reachable(self.host.address),
            addresses=lambda: self._reachable(self.hub.address),
        )
        # The coordinator makes no artifacts; what it holds was put here by its user.
        self.exchange = Exchange(
            self.hub, self.artifacts, self.trust, self.clock, lambda job, artifact: False
        )
        self.returning = Returning(
            self.trust, self.trust_service, self.medulla, lambda: self._reachable(self.hub.address)
        )
        if home.returning.exists():
            self.host.take_back(self.returning.decide)
        self.papers: PapersServer | None = None
        self.companion: Companion | None = None
        if self.trust.addresses:
            self.companion = Companion(
                self.hub.letters,
                self.clock,
                entropy,
                transport,
                scheme=listen.partition("://")[0] + "://",
                news=self.trust_service.learn_all,
            )
        self.uploads = Uploads(self.artifacts, entropy, self.clock.monotonic)
        self.people = PeopleDesk(
            self.trust,
            self.trust_service,
            self.medulla,
            self.clock,
            news=self.heart.announce,
            leave=self._leave,
        )
        self.copies = Copies(self.hub, self.trust, self.medulla)
        self._add_methods()
        event_log = EventLog(self.store, hkdf_sha256(key, b"", EVENTS_INFO, 32), entropy)
        self.runs = Runs(
            heart=self.heart,
            store=self.store,
            vault=vault,
            clock=self.clock,
            entropy=entropy,
            bus=self.bus,
            past=event_log.past,
            may_hear=partial(may_hear, self.people),
        )
        self.heart.retention.keepers.append(self.runs.keep)
        self.trust_service.on_gone(lambda member: self.runs.leave(device_principal(member)))
        self.api.add(RunDesk(self.runs, self.heart, self.people, self.files.sources_of).methods())
        desk = JobDesk(self.heart, self.people)
        self.decisions.add(desk.waiting)
        self.api.add(
            desk.methods()
            | LastingDesk(self.medulla, self.trust).methods()
            | LabelsDesk(self.hub, self.heart.devices).methods()
        )
        self.events = EventDesk(
            self.bus, event_log, heart=self.heart, hub=self.hub, trust=self.trust,
            trust_service=self.trust_service, clock=self.clock,
        )  # fmt: skip
        self.api.add(self.events.methods)
        self.halting.on_stop = self.events.stopped
        self.status.event_findings = self.events.findings
        self.scheduling = ScheduleDesk(
            heart=self.heart, runs=self.runs, store=self.store, vault=vault, people=self.people, trust=self.trust,
            bus=self.bus, clock=clock, trusted_ms=self.clock.now_ms, entropy=entropy, household=config.household,
            held=self._held,
        )  # fmt: skip
        self.desk = make_desk(
            heart=self.heart, runs=self.runs, people=self.people, store=self.store, vault=vault, bus=self.bus,
            trust=lambda: self.trust, clock=self.clock, entropy=entropy, household=config.household,
            stop=self.halting.stop, medulla=self.medulla,
        )  # fmt: skip
        self.status.schedule_findings, self.status.second_findings = (
            self.scheduling.findings, self.desk.second.findings,
        )  # fmt: skip
        self.stream_desk = StreamDesk(
            hub=self.hub, heart=self.heart, reviewer=self.reviewer, clock=self.clock, entropy=entropy
        )
        self.api.add(self.scheduling.methods() | self.desk.methods() | self.stream_desk.methods())
        self.work.approvers.append(self.stream_desk.approve)
        self.trust_service.on_gone(self.stream_desk.streams.drop)
        devices = self.heart.devices
        self.remote = Remote(
            self.hub,
            self.api.methods,
            check_current=lambda device: devices.check_current(device, self.clock.now_ms()),
            is_harmless=devices.is_harmless,
            people=self.people,
        )
        self._control, self._stack = control, AsyncExitStack()
        self._timer: asyncio.TimerHandle | None = None

    def _add_methods(self) -> None:
        """What can be asked of the parts there are so far."""
        self.api, self.decisions = Api(), Decisions()
        self.files = FileDesk(
            heart=self.heart, device=self.identity.device_id, artifacts=self.artifacts, exchange=self.exchange,
            uploads=self.uploads,
        )  # fmt: skip
        self.status = StatusDesk(
            heart=self.heart, hub=self.hub, trust=self.trust, medulla=self.medulla, auditing=self.auditing,
            returning=self.returning, people=self.people,
        )  # fmt: skip
        self.halting = Halting(self.heart, self.hub, self.audit)
        raises = RaiseService(self.heart, self.trust, self.trust_service, self.medulla)
        self.decisions.add(self.copies.waiting)
        self.decisions.add(raises.waiting)
        self.work = WorkDesk(
            heart=self.heart,
            people=self.people,
            sources_of=self.files.sources_of,
            decisions=self.decisions,
            disclosing=Disclosing(self.medulla, self.heart, lambda: self.trust),
        )
        trust_desk = TrustDesk(
            heart=self.heart, device=self.identity.device_id, trust=self.trust, trust_service=self.trust_service,
            pairing=self.pairing, returning=self.returning, medulla=self.medulla, people=self.people,
            copies=self.copies, renewals=self.renewals, raises=raises,
        )  # fmt: skip
        for part in (
            self.status,
            self.work,
            self.files,
            trust_desk,
            self.people,
            self.auditing,
            self.halting,
        ):
            self.api.add(part.methods())

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.callback(self.store.close)
            stack.callback(self.recollection.close)
            stack.callback(self.audit.flush)
            self.store.join()  # what was noted before there was a loop
            stack.callback(self.uploads.close)
            stack.callback(self.medulla.close)
            stack.push_async_callback(self.reviewer.close)
            await self.heart.start()
            stack.push_async_callback(self.heart.close)
            stack.callback(self.events.close)
            self.events.start()
            self.runs.recover()
            stack.push_async_callback(self.runs.close)
            self.scheduling.start()
            stack.push_async_callback(self.scheduling.close)
            stack.push_async_callback(self.remote.close)
            await self.hub.start()
            stack.push_async_callback(self.hub.close)
            stack.push_async_callback(self.stream_desk.streams.close)
            if self.companion is not None:
                await self.companion.start()
                stack.push_async_callback(self.companion.close)
            await self.host.start()
            stack.push_async_callback(self.host.close)
            stack.push_async_callback(self.keeper.close)
            self.keeper.keep("trust", self.trust_service.run)
            self.keeper.keep("copies", self.copies.run)
            stack.push_async_callback(self.auditing.close)
            stack.push_async_callback(self.renewals.close)
            self.renewals.start()
            stack.push_async_callback(self.desk.warming.close)
            stack.push_async_callback(self.desk.second.close)
            if self._control:
                await self._serve(stack)
            self._beat()
            stack.callback(self._stop_beating)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _serve(self, stack: AsyncExitStack) -> None:
        """What needs the real world: the control socket, mDNS."""
        server = ControlServer(self.home.socket("coordinator"), dict.fromkeys(self.api.methods, self._handle))
        await server.start()
        stack.push_async_callback(server.close)
        if self.config.mesh.papers:
            await self._give_papers(stack)
        await self.neighbours.start()
        stack.push_async_callback(self.neighbours.close)

    async def _give_papers(self, stack: AsyncExitStack) -> None:
        from kindmesh.mesh.addresses import parse_address  # noqa: PLC0415 - only over TCP

        bound = parse_address(self.hub.address)
        address = f"tcp://{join_address(bound.host, bound.port + PORT_AFTER_MESH)}"
        papers = PapersServer(address, self.trust.mesh, self._papers)
        try:
            await papers.start()
        except KindmeshError as error:
            # Everything else works without; `doctor` says what is missing.
            log.warning("the public papers are not given", extra={"code": error.code})
            self.status.papers_problem = error.message
            return
        self.papers = papers
        stack.push_async_callback(papers.close)

    def _papers(self) -> MeshPapers:
        trust = self.trust
        return MeshPapers(
            PAPERS_VERSION,
            trust.bundle,
            (trust.signed_certificate,),
            trust.revocations,
            tuple(self._reachable(self.hub.address)),
            tuple(self._reachable(self.host.address)),
        )

    def _handle(self, params: Any, call: Call) -> Any:
        found, given = find(self.api.methods, call.method, local=True), Params(params)
        if "proof" not in given.values and "acting" not in given.values:
            return found(given, call.event, OWNER)
        return self._as_person(found, given, call)

    async def _as_person(self, found: Method, given: Params, call: Call) -> Any:
        await self.people.ready()
        params, who = self.people.identify(call.method, given, b"")
        return await found(params, call.event, who)

    def _held(self, artifact: bytes) -> ArtifactInfo | None:
        if not self.artifacts.has(artifact):
            return None
        stat = self.artifacts.stat(artifact)
        return ArtifactInfo(artifact, stat.size, stat.media_type, self.hub.device_id)

    def _reachable(self, address: str) -> list[str]:
        return reachable(address, self.hub.address, self.config.mesh.advertise)

    def _on_heartbeat(self, peer: bytes, beat: Heartbeat) -> None:
        self.auditing.incoming(peer, beat)
        seen, news = self.auditing.outgoing(peer, beat)
        answer = Heartbeat(
            beat=beat.beat,
            clock_ms=self.clock.now_ms(),
            facts=None,
            known=self.trust.known,
            advert_version=0,
            audit_seen=seen,
            audit=news,
            held=peer in self.hub.cloned,
        )
        try:
            self.hub.tell(peer, SessionType.HEARTBEAT, answer)
        except TransportError as error:
            log.info("heartbeat not answered", extra={"code": error.code, "peer": peer.hex()[:8]})
        self.trust_service.compare(peer, beat)
        self.renewals.heard(peer, beat)

    def _task_ended(self, task: str, what: str, why: str) -> None:
        self.bus.emit("system.task.ended", {"task": task, "what": what, "why": why})

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_MS / 1000, self._beat)
        self.uploads.tick()
        self.heart.retention.tick()
        self.runs.ring()
        self.renewals.tick()
        self.auditing.tick()
        self.events.tick()
        if self._control:
            self.desk.warming.tick()
            self.desk.second.tick()

    def _leave(self, who: Principal) -> None:
        self.runs.leave(who)
        self.heart.leave(who)

    def _stop_beating(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


__all__ = ["Coordinator"]
