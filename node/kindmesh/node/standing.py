"""What this device knows when it judges: one home, so that jobs and streams are never judged by different knowledge."""

from __future__ import annotations

from kindmesh.mesh.trust import Trust
from kindmesh.node.gate import Standing
from kindmesh.node.journal import NodeJournal
from kindmesh.protocol.certificate import certificate_state


def standing(trust: Trust, journal: NodeJournal, sender: bytes, now_ms: int) -> Standing:
    """This device's, towards `sender` (a device id), at `now_ms` of its clock."""
    membership = trust.membership
    sent_by = membership.latest(sender)
    return Standing(
        mesh=trust.mesh,
        device=trust.certificate.subject,
        certificate=trust.certificate,
        policy_version=max(journal.policy_version, trust.policy.version),
        stale=membership.is_stale(now_ms),
        stopped=journal.stopped,
        sender_current=sent_by is not None and certificate_state(sent_by[0], now_ms) == "current",
    )


__all__ = ["standing"]
