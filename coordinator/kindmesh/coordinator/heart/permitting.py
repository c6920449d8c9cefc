"""Permits for the attempts of jobs: Medulla is asked, and what it answers becomes an event of the job's machine.

    AskPermit --> PermitRequest --> Medulla --> Verdict: allow | ask a person | deny
                                        `----> away: the machine waits for it

Rules: an answer counts for the attempt that it is about only; a question to a person, and the yes to one, are on the
disk before anything is sent on the strength of them, so that nobody is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kindmesh.coordinator.brain.medulla.messages import PermitRequest, Verdict
from kindmesh.coordinator.heart.entry import Entry
from kindmesh.coordinator.heart.machine_words import (
    ApprovalNeeded,
    AskPermit,
    Event,
    Permitted,
    Refused,
    ReviewerGone,
)
from kindmesh.coordinator.heart.medulla_client import Reviewer
from kindmesh.coordinator.heart.sending import Sender
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import KindmeshError, Malformed, NotRunning, PeerUnreachable
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.policy import ApprovalRequest


class Permitting:
    """See the module. `reader` is this device, which may read what comes out; `is_open` says whether a job goes on
    with that very entry, and `tell` takes an event to its machine."""

    def __init__(
        self,
        *,
        reviewer: Reviewer,
        reader: bytes,
        sender: Sender,
        tell: Callable[[Entry, Event], None],
        is_open: Callable[[Entry], bool],
    ) -> None:
        self._reviewer = reviewer
        self._reader = reader
        self._sender = sender
        self._tell = tell
        self._is_open = is_open

    def wanted(self, entry: Entry, wish: AskPermit, now_ms: int) -> None:
        """The machine wants a permit for an attempt."""
        if wish.epoch == entry.machine.second_epoch:
            entry.second_permit = None
        else:
            entry.permit, entry.question = None, b""
        self.ask(entry, wish.device, wish.epoch)
        if entry.stored:
            self._sender.hold(entry)
            self._sender.release_when_saved(entry)

    def ask(self, entry: Entry, device: bytes, epoch: int) -> None:
        """Ask Medulla about an attempt."""
        facts, asked = entry.facts, entry.request
        request = PermitRequest(
            facts.run_id, facts.step, facts.job_id, facts.operation, device, asked.args, epoch,
            asked.principal, readers=(self._reader,), purpose=asked.purpose, proof=asked.proof,
            priority=facts.priority, parent_permit=asked.parent,
            parent=b"" if asked.parent is None else decode(Permit, asked.parent.payload).permit_id,
            labels=asked.labels, evidence=asked.evidence, doubts=asked.doubts,
        )  # fmt: skip
        self._reviewer.ask(request, partial(self._answered, entry, epoch))

    def _answered(self, entry: Entry, epoch: int, verdict: Verdict | KindmeshError) -> None:
        if not self._is_open(entry):
            return
        if isinstance(verdict, (NotRunning, PeerUnreachable)):
            self._tell(entry, ReviewerGone(epoch))
        elif isinstance(verdict, KindmeshError):
            self._tell(entry, Refused(epoch, verdict.code, verdict.message, verdict.hint))
        else:
            try:
                self.judged(entry, epoch, verdict)
            except Malformed as error:
                self._tell(
                    entry, Refused(epoch, error.code, f"Medulla's answer cannot be read: {error.message}")
                )

    def judged(self, entry: Entry, epoch: int, verdict: Verdict) -> None:
        """Medulla's verdict about an attempt of an open job.

        Raises:
            Malformed: it cannot be read; nothing was done.
        """
        machine = entry.machine
        if verdict.answer == "allow" and verdict.permit is not None:
            permit = decode(Permit, verdict.permit.payload)
            allowed = Permitted(epoch, permit.permit_id, permit.policy_version, permit.isolation)
            if machine.second_asking and epoch == machine.second_epoch:
                entry.second_permit = verdict.permit
                self._tell(entry, allowed)
                return
            if not machine.answers(epoch):
                return
            entry.permit = verdict.permit
            if entry.question:
                # Nobody should be asked twice: this permit is on the disk before it is used.
                entry.question = b""
                self._sender.hold(entry)
                self._tell(entry, allowed)
                self._sender.release_when_saved(entry)
            else:
                self._tell(entry, allowed)
        elif verdict.answer == "ask":
            request = decode(ApprovalRequest, verdict.request, limit=2 * ARGUMENTS_MAX)
            if epoch == machine.second_epoch:
                self._tell(entry, ApprovalNeeded(epoch, request.expires_ms))
                return
            entry.question = verdict.request
            self._sender.hold(entry)
            self._tell(entry, ApprovalNeeded(epoch, request.expires_ms))
            self._sender.release_when_saved(entry)
        else:
            reasons = "; ".join(verdict.reasons) or "Medulla does not allow this"
            self._tell(entry, Refused(epoch, "DENIED", reasons))


__all__ = ["Permitting"]
