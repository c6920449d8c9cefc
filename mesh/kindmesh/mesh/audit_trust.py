"""Notes in the audit log what changes in a device's trust: its certificate, the policy, who came and who was removed.

Trust comes by many roads (a greeting, a heartbeat, pairing, recovery); whatever the road, `look` compares what holds
now with what held before, once a heartbeat. At a start everything that holds is noted, so that a change is in the log
even if the process ended before the next look.
"""

from __future__ import annotations

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.trust import Trust


class TrustNotes:
    """For one log and one trust; `boot` is the identity's."""

    def __init__(self, audit: AuditLog, trust: Trust, boot: int) -> None:
        self._audit, self._trust = audit, trust
        self._state: tuple[int, int, tuple[int, bytes]] | None = None
        self._members: frozenset[bytes] = frozenset()
        audit.note("device", "started", subject=audit.author, number=boot)
        self.look()

    def look(self) -> None:
        """Note what is different from the last time."""
        trust = self._trust
        anchors = trust.membership.anchors
        before = self._state
        state = self._state = (trust.certificate.serial, trust.policy.version, anchors.rank)
        members = frozenset(member.subject for member in trust.membership.members())
        if state == before and members == self._members:
            return
        if before is None or state[0] != before[0]:
            self._audit.note("certificate", "taken", subject=trust.certificate.subject, number=state[0])
        if before is None or state[1] != before[1]:
            self._audit.note("policy", "taken", number=state[1])
        if before is None or state[2] != before[2]:
            self._audit.note("anchors", "taken", subject=state[2][1][:32], number=state[2][0])
        for subject in sorted(members - self._members):
            self._audit.note("member", "known" if before is None else "added", subject=subject)
        for subject in sorted(self._members - members):
            self._audit.note("member", "removed", subject=subject)
        self._members = members


__all__ = ["TrustNotes"]
