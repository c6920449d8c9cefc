"""The coordinator's part in the audit: heads go both ways with heartbeats, Medulla's among them, and pages of any log
reach the owner's command line.

    device    --beat: what I remember, my newest head-->  coordinator  --asks-->  Medulla
    device    <--beat: what I remember, my head, Medulla's--

Medulla has no network, so its heads travel by way of the coordinator; each carries Medulla's own signature and a proof
that fits what the receiving device remembers, so the coordinator can withhold them and nothing else. Once an hour, and
at a start, the newest heads are given to the anchor, if the settings name one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.params import Params
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.audit_anchor import Anchor
from kindmesh.mesh.audit_report import ROWS_MAX, audit_findings, heads_document, rows_document
from kindmesh.mesh.audit_trust import TrustNotes
from kindmesh.mesh.audit_witness import SEND_EVERY, Pace, Witness
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.audit import AuditNews, AuditSeen
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.messages import Heartbeat
from kindmesh.protocol.principal import Principal

log = logging.getLogger("kindmesh.coordinator.audit")

ANCHOR_EVERY_MS: Final = 3_600_000
REMOTE_MS: Final = 5_000
"""How long a device has to answer for a page of its log."""
_WANTED_MAX: Final = 64


class AuditService:
    """For one hub; `tick` once a heartbeat. `witness` and `audit` share a store. `anchor` opens the anchor, or None."""

    def __init__(
        self,
        *,
        hub: Hub,
        trust: Trust,
        boot: int,
        audit: AuditLog,
        witness: Witness,
        medulla: MedullaClient,
        clock: Clock,
        anchor: Callable[[], Anchor | None],
        resolve: Callable[[str], bytes],
    ) -> None:
        """`resolve` gives the id of the device that a name means."""
        self._hub, self._trust, self._clock = hub, trust, clock
        self.audit, self.witness = audit, witness
        self._medulla = medulla
        self._open_anchor = anchor
        self._resolve = resolve
        self._notes = TrustNotes(audit, trust, boot)
        self._pace = Pace()
        self._cloned: frozenset[bytes] = frozenset()
        self._medulla_author = b""
        self._medulla_size = 0
        self._proofs: dict[int, AuditNews] = {}
        self._wanted: set[int] = set()
        self._beats = 0
        self._anchored_ms = 0
        self._anchored: dict[bytes, bytes] = {}
        self.anchor_problem = ""
        """Why the last heads could not be anchored; empty when they were, or when there is no anchor."""
        self._task: asyncio.Task[None] | None = None
        hub.on_peer(lambda peer, up: self._pace.forget(peer))
        hub.on_refusal(lambda peer, code: audit.refused("message", peer, code))

    # With heartbeats.

    def incoming(self, peer: bytes, beat: Heartbeat) -> None:
        """What a device's heartbeat says of its own log."""
        for news in beat.audit:
            if news.head.author != peer:
                continue
            try:
                public = self._trust.membership.get(peer).ed_pub
                self.witness.take(news, public, self._clock.now_ms())
            except KindmeshError as error:
                log.warning("a head of an audit log was refused", extra={"code": error.code})
                self.audit.refused("witness", peer, error.code)

    def outgoing(self, peer: bytes, beat: Heartbeat) -> tuple[tuple[AuditSeen, ...], tuple[AuditNews, ...]]:
        """(what is remembered of its log, what is new for it) for the answer."""
        found = []
        for seen in beat.audit_seen:
            if seen.author == self.audit.author and seen.size != self.audit.committed:
                if self.audit.head is not None and self._pace.due(peer, seen.author, beat.beat):
                    found.append(self.audit.news(seen.size))
            elif seen.author == self._medulla_author and seen.size != self._medulla_size:
                proof = self._proofs.get(seen.size)
                if proof is None and len(self._wanted) < _WANTED_MAX:
                    self._wanted.add(seen.size)
                elif self._pace.due(peer, seen.author, beat.beat):
                    found.append(proof)
        return self.witness.seen([peer]), tuple(news for news in found if news is not None)

    def tick(self) -> None:
        """Time passed."""
        self._beats += 1
        self._notes.look()
        self._note_clones()
        self.audit.tick()
        if self._beats % SEND_EVERY == 1 and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._refresh(), name="audit")

    def _note_clones(self) -> None:
        for device in sorted(self._hub.cloned - self._cloned):
            self.audit.note("clone", "found", subject=device)
        self._cloned = self._hub.cloned

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _refresh(self) -> None:
        """Ask Medulla for its newest head, for this witness and for those devices that lack it; then anchor."""
        try:
            if not self._medulla_author:
                await self._ask_medulla(0)
            await self._ask_medulla(self.witness.size(self._medulla_author))
            self._proofs = {}
            wanted, self._wanted = self._wanted, set()
            for size in wanted:
                news = await self._medulla.audit_news(size)
                if news is not None:
                    self._proofs[size] = news
        except KindmeshError as error:
            log.info("Medulla's log was not seen", extra={"code": error.code})
        self._anchor()

    async def _ask_medulla(self, size: int) -> None:
        news = await self._medulla.audit_news(size)
        if news is not None:
            author = news.head.author
            public = self._trust.membership.anchors.permit_pub(author)
            # At a start its author is asked for first: what is remembered decides which proof is needed.
            if self._medulla_author or not self.witness.size(author):
                self.witness.take(news, public, self._clock.now_ms())
            self._medulla_author = author
        self._medulla_size = self.witness.size(self._medulla_author)

    def _anchor(self) -> None:
        now_ms = self._clock.now_ms()
        if self.audit.head is None or 0 <= now_ms - self._anchored_ms < ANCHOR_EVERY_MS:
            return
        self._anchored_ms = now_ms
        try:
            anchor = self._open_anchor()
            if anchor is None:
                return
            heads = [one.head for one in self.witness.all() if not one.problem]
            for head in (self.audit.head, *heads):
                if self._anchored.get(head.author) != head.signature:
                    anchor.anchor(head, now_ms)
                    self._anchored[head.author] = head.signature
            self.anchor_problem = ""
        except KindmeshError as error:
            self.anchor_problem = error.message
            log.warning("the audit anchor does not answer", extra={"code": error.code})

    # For the owner.

    async def rows(self, which: str, after: int, limit: int) -> dict[str, Any]:
        """Rows of a log: `coordinator`, `medulla`, or the id of a device that is connected.

        Raises:
            InvalidInput, PeerUnreachable, NotRunning, DeadlineExceeded.
        """
        if which == "coordinator":
            return {"rows": rows_document(self.audit.page(after, limit)), "author": self.audit.author}
        if which == "medulla":
            page = await self._medulla.log_page(after, limit)
            author = page.head.author if page.head else self._medulla_author
            rows = [[after + place, row.entry, row.seal] for place, row in enumerate(page.entries, 1)]
            return {"rows": rows, "author": author}
        device = bytes.fromhex(which)
        value = await self._hub.call(
            device, "mesh.audit", encode_value({"after": after, "limit": limit}), REMOTE_MS
        )
        return _mapping(value)

    async def heads(self, which: str) -> dict[str, Any]:
        """What the coordinator (`""`) or a connected device remembers of others' logs; raises as `rows`."""
        if not which:
            return {"heads": heads_document(self.witness)}
        return _mapping(
            await self._hub.call(bytes.fromhex(which), "mesh.audit_heads", encode_value({}), REMOTE_MS)
        )

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {
            "audit.rows": self._audit_rows,
            "audit.heads": self._audit_heads,
            "audit.accept": self._audit_accept,
        }

    async def _audit_rows(self, params: Params, emit: Emit, who: Principal) -> Any:
        limit = params.number("limit", ROWS_MAX, least=1, most=ROWS_MAX)
        return await self.rows(self._log_named(params), params.number("after", 0, least=0), limit)

    async def _audit_heads(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self.heads(self._log_named(params))

    async def _audit_accept(self, params: Params, emit: Emit, who: Principal) -> Any:
        return {"ok": self.witness.accept(params.data("author"))}

    def _log_named(self, params: Params) -> str:
        """`coordinator`, `medulla`, or a device's id as hexadecimal; nothing for the coordinator's own memory."""
        named = params.text("log", "")
        return named if named in ("", "coordinator", "medulla") else self._resolve(named).hex()

    def findings(self) -> Sequence[tuple[str, str, str]]:
        """(level, sentence, hint) for `doctor`."""
        return audit_findings(self.audit, self.witness, self._name, self.anchor_problem)

    def _name(self, subject: bytes) -> str:
        for anchor in self._trust.membership.anchors.of_kind("medulla"):
            if anchor.subject == subject:
                return "Medulla"
        for member in self._trust.membership.members():
            if member.subject == subject:
                return member.name
        return format_id(subject)


def _mapping(data: bytes) -> dict[str, Any]:
    value = decode_value(data)
    if not isinstance(value, dict):
        raise InvalidInput("the device answered with something else than its log")
    return value


__all__ = ["ANCHOR_EVERY_MS", "AuditService"]
