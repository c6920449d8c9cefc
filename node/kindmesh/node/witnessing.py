"""What a node's heartbeats say about audit logs: its own newest head, and how much it remembers of the coordinator's
and of Medulla's. What comes back is judged and kept by `kindmesh.mesh.audit_witness`; a head that is not its author's
is refused and noted, and the rest of the heartbeat counts.
"""

from __future__ import annotations

import logging
from typing import Any

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.audit_report import ROWS_MAX, audit_findings, heads_document, rows_document
from kindmesh.mesh.audit_witness import Pace, Witness
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.audit import AUDIT_HEADS_MAX, AuditNews, AuditSeen
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.messages import Heartbeat

log = logging.getLogger("kindmesh.node.witnessing")


class Witnessing:
    """For one node and its coordinator."""

    def __init__(self, *, trust: Trust, audit: AuditLog, witness: Witness, clock: Clock) -> None:
        self._trust, self._audit, self._witness, self._clock = trust, audit, witness, clock
        self._pace = Pace()
        self._seen: int | None = None

    def _authors(self) -> dict[bytes, bytes]:
        """Whose logs this device witnesses, with their public keys."""
        coordinator = self._trust.coordinator
        medullas = self._trust.membership.anchors.of_kind("medulla")[: AUDIT_HEADS_MAX - 1]
        return {one.subject: one.ed_pub for one in (coordinator, *medullas)}

    def outgoing(self, beat: int) -> tuple[tuple[AuditSeen, ...], tuple[AuditNews, ...]]:
        """(what is remembered, what is new) for the next heartbeat."""
        news: AuditNews | None = None
        if self._seen is not None and self._audit.head is not None and self._seen != self._audit.committed:
            coordinator = self._trust.coordinator.subject
            if self._pace.due(coordinator, self._audit.author, beat):
                news = self._audit.news(self._seen)
        return self._witness.seen(self._authors()), (news,) if news else ()

    def incoming(self, heartbeat: Heartbeat) -> None:
        """The coordinator's heartbeat."""
        for seen in heartbeat.audit_seen:
            if seen.author == self._audit.author:
                self._seen = seen.size
        authors = self._authors()
        for news in heartbeat.audit:
            public = authors.get(news.head.author)
            if public is None:
                continue
            try:
                self._witness.take(news, public, self._clock.now_ms())
            except KindmeshError as error:
                log.warning("a head of an audit log was refused", extra={"code": error.code})
                self._audit.refused("witness", news.head.author, error.code)

    def rows(self, params: Any) -> dict[str, Any]:
        """A page of this device's log, for the coordinator: `{"after", "limit"}` in, rows and the author's id out.

        Raises:
            InvalidInput: not such parameters.
        """
        values = params if isinstance(params, dict) else {}
        after, limit = values.get("after", 0), values.get("limit", ROWS_MAX)
        if type(after) is not int or type(limit) is not int or after < 0 or not 0 < limit <= ROWS_MAX:
            raise InvalidInput(f"a page begins at 0 or later and has 1 to {ROWS_MAX} rows", field="limit")
        return {"rows": rows_document(self._audit.page(after, limit)), "author": self._audit.author}

    def heads(self, params: Any) -> dict[str, Any]:
        """What this device remembers of others' logs."""
        return {"heads": heads_document(self._witness)}

    def findings(self) -> list[tuple[str, str, str]]:
        """(level, sentence, hint) for `doctor`."""
        coordinator = self._trust.coordinator
        return audit_findings(
            self._audit,
            self._witness,
            lambda author: coordinator.name if author == coordinator.subject else "Medulla",
        )

    def link(self) -> None:
        """A session began: what the other side remembers is not known yet."""
        self._seen = None
        self._pace.forget(self._trust.coordinator.subject)


__all__ = ["Witnessing"]
