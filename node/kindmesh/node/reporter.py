"""What a node tells by itself: its heartbeat, its advert, and results until they were taken.

A result is sent when it is on the disk, and again: when the session comes back, and after a pause that doubles from
`AGAIN_S` to `AGAIN_MAX_S`, until `ResultTaken` names its job and epoch. What was taken is noted in the journal in
groups, with the next heartbeat: if that note is lost, the result is sent and taken once more, which does no harm.
The advert is signed and sent with every new session and whenever an offer changed. One timer for all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.trust import Trust
from kindmesh.node.facts import Facts
from kindmesh.node.journal import NodeJournal
from kindmesh.node.witnessing import Witnessing
from kindmesh.protocol.errors import KindmeshError, StoreDamaged, TransportError, error_to_wire
from kindmesh.protocol.messages import Draining, Heartbeat, MessageType, SessionType
from kindmesh.protocol.messages.hello import Advert, NodeFacts, Offer, SignedAdvert, sign_advert
from kindmesh.protocol.messages.jobs import JobResult

log = logging.getLogger("kindmesh.node.reporter")

AGAIN_S: Final = 2.0
AGAIN_MAX_S: Final = 60.0
BURST: Final = 64
"""Results sent again in one beat."""
_SMOOTH: Final = 0.2
FACTS_EVERY: Final = 5
"""Beats between two readings of the device's facts."""


class _Due:
    __slots__ = ("at", "epoch", "pause_s")

    def __init__(self, epoch: int, at: float) -> None:
        self.epoch, self.at, self.pause_s = epoch, at, AGAIN_S


class Reporter:
    """See the module. `running` tells how many jobs are under way, `offers` what the advert says and its version."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        identity: Identity,
        trust: Trust,
        journal: NodeJournal,
        clock: MeshClock,
        facts: Facts,
        running: Callable[[], int],
        offers: Callable[[], tuple[int, tuple[Offer, ...]]],
        witnessing: Witnessing | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._identity = identity
        self._trust = trust
        self._journal = journal
        self._clock = clock
        self._facts = facts
        self._running = running
        self._offers = offers
        self._witnessing = witnessing
        self._beat = 0
        self._beat_at = 0.0
        self._rtt_ms: float | None = None
        self.held = False
        """The coordinator hears two devices under this identity."""
        self._last_facts: NodeFacts | None = None
        self._due: dict[bytes, _Due] = {}
        self._taken: list[tuple[bytes, int]] = []
        endpoint.on_session(SessionType.RESULT_TAKEN, self._on_taken)
        endpoint.on_session(SessionType.HEARTBEAT, self._on_heartbeat)
        endpoint.on_peer(self._on_peer)

    @property
    def waiting(self) -> int:
        """Results that were not taken yet."""
        return len(self._due)

    def report(self, job_id: bytes, sender: bytes, result: JobResult) -> None:
        """Send a result that is on the disk, and keep sending it."""
        self._due[job_id] = _Due(result.epoch, self._clock.monotonic() + AGAIN_S)
        self._send(sender, result)

    def report_stored(self, job_id: bytes) -> None:
        """The same for a result that is in the journal."""
        found = self._load(job_id)
        if found is not None:
            self.report(job_id, *found)

    def resume(self, untaken: list[tuple[bytes, int]]) -> None:
        """After a restart: these results (job id, epoch) were not taken."""
        for job_id, epoch in untaken:
            self._due[job_id] = _Due(epoch, self._clock.monotonic())

    def advertise(self) -> None:
        """Send the advert, if there is a session."""
        coordinator = self._trust.coordinator.subject
        if not self._endpoint.connected(coordinator):
            return
        version, offers = self._offers()
        advert = Advert(
            self._trust.mesh,
            self._identity.device_id,
            self._identity.boot,
            version,
            self._clock.now_ms(),
            offers,
        )
        signed = SignedAdvert(sign_advert(advert, self._identity.signing))
        try:
            self._endpoint.post(coordinator, MessageType.ADVERT, signed)
        except TransportError as error:
            log.info("could not send the advert", extra={"code": error.code})

    def facts(self) -> NodeFacts:
        """How the device is, as of the last reading; the number of running jobs is that of now."""
        if self._last_facts is None or self._beat % FACTS_EVERY == 0:
            self._last_facts = self._facts.read()
        rtt_ms = None if self._rtt_ms is None else round(self._rtt_ms, 1)
        return msgspec.structs.replace(self._last_facts, running=self._running(), rtt_ms=rtt_ms)

    def draining(self, grace_ms: int) -> None:
        """Tell the coordinator that this device is going to end, so that nothing new is sent here."""
        try:
            self._endpoint.tell(
                self._trust.coordinator.subject, SessionType.DRAINING, Draining(on=True, grace_ms=grace_ms)
            )
        except TransportError as error:
            log.info("could not say that this device ends", extra={"code": error.code})

    def beat(self) -> None:
        """Once every `HEARTBEAT_MS`: tell that this device lives, send again what is due, note what was taken."""
        self._beat += 1
        if self._endpoint.connected(self._trust.coordinator.subject):
            self._heartbeat()
            self._send_due()
        self.flush()

    def _heartbeat(self) -> None:
        coordinator = self._trust.coordinator.subject
        seen, news = self._witnessing.outgoing(self._beat) if self._witnessing else ((), ())
        heartbeat = Heartbeat(
            beat=self._beat,
            clock_ms=self._clock.own_ms(),
            facts=self.facts(),
            known=self._trust.known,
            advert_version=self._offers()[0],
            audit_seen=seen,
            audit=news,
        )
        self._beat_at = self._clock.monotonic()
        try:
            self._endpoint.tell(coordinator, SessionType.HEARTBEAT, heartbeat)
        except TransportError as error:
            log.info("could not send the heartbeat", extra={"code": error.code})

    def flush(self) -> None:
        """Note in the journal what was taken."""
        if self._taken:
            try:
                self._journal.taken(self._taken, self._clock.now_ms())
            except KindmeshError as error:
                log.warning("could not note what was taken", extra={"code": error.code})
                return
            self._taken = []

    def _send_due(self) -> None:
        now = self._clock.monotonic()
        late = [job_id for job_id, due in self._due.items() if due.at <= now][:BURST]
        for job_id in late:
            due = self._due[job_id]
            due.at, due.pause_s = now + due.pause_s, min(due.pause_s * 2, AGAIN_MAX_S)
            found = self._load(job_id)
            if found is None:
                del self._due[job_id]
            else:
                self._send(*found)

    def _load(self, job_id: bytes) -> tuple[bytes, JobResult] | None:
        """A stored result; one that cannot be read any more is `uncertain`, never silence."""
        try:
            return self._journal.load_result(job_id)
        except StoreDamaged as error:
            log.error("a stored result is damaged", extra={"job": job_id.hex()})
            record = self._journal.find(job_id)
            if record is None:
                return None
            wire = error_to_wire(error)
            now_ms = self._clock.now_ms()
            return record.sender, JobResult(
                job_id, record.epoch, "uncertain", b"", wire, record.permit_id, record.started_ms, now_ms
            )

    def _send(self, sender: bytes, result: JobResult) -> None:
        try:
            self._endpoint.post(sender, MessageType.JOB_RESULT, result)
        except KindmeshError as error:
            log.info("result not sent yet", extra={"code": error.code, "job": result.job_id.hex()})

    def _on_taken(self, peer: bytes, ref: int, body: Any) -> None:
        for job_id, epoch in ((body.job_id, body.epoch), *body.more):
            due = self._due.get(job_id)
            if due is not None and due.epoch == epoch:
                del self._due[job_id]
                self._taken.append((job_id, epoch))

    def _on_heartbeat(self, peer: bytes, ref: int, body: Any) -> None:
        """The coordinator lives, which the session has noted; and this is its time."""
        if peer == self._trust.coordinator.subject:
            self._clock.learn(body.clock_ms)
            if body.beat == self._beat:
                took_ms = (self._clock.monotonic() - self._beat_at) * 1000
                known = took_ms if self._rtt_ms is None else self._rtt_ms
                self._rtt_ms = known + _SMOOTH * (took_ms - known)
            self.held = body.held
            if self._witnessing is not None:
                self._witnessing.incoming(body)
            for update in self._trust.lacking(body.known):
                try:
                    self._endpoint.tell(peer, SessionType.TRUST_UPDATE, update)
                except TransportError as error:
                    log.info("newer trust was not passed on", extra={"code": error.code})

    def _on_peer(self, peer: bytes, up: bool) -> None:
        if up and peer == self._trust.coordinator.subject:
            if self._witnessing is not None:
                self._witnessing.link()
            self._heartbeat()  # first: a session is confirmed by the first frame under its keys
            self.advertise()
            now = self._clock.monotonic()
            for due in self._due.values():
                due.at, due.pause_s = now, AGAIN_S
            self._send_due()


__all__ = ["AGAIN_MAX_S", "AGAIN_S", "Reporter"]
