"""The words of the job machine: what can happen to a job on a node, and what the machine then tells the driver to do.

Events come from the mesh, the disk, the capability and the clock; instructions go to `executor`. An attempt is named
by its job and a number that the machine gives and never uses again, so that late news of an attempt that was settled
cannot be taken for news of the next. Plain frozen structs; the rules are in `machine`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.messages.jobs import Outcome

Mode = Literal["shared", "normal", "full"]
"""How INTENT and RESULT are written: in one commit, in a commit each, or each safe from a power cut."""
State = Literal["absent", "accepting", "fetching", "intending", "running", "stopping", "saving", "unsaved"]
Relation = Literal["new", "repeat", "stale", "takeover", "answered"]


class Order(msgspec.Struct, frozen=True):
    """A job whose permit, input and room were checked. `repeatable`: it only reads, or is idempotent; `fetch`: inputs
    have to be fetched first; `sender` is told the result; `deadline_ms` is UTC."""

    job_id: bytes
    epoch: int
    run_id: bytes
    operation: str
    permit_id: bytes
    sender: bytes
    deadline_ms: int
    mode: Mode
    repeatable: bool
    fetch: bool = False


class Record(msgspec.Struct, frozen=True):
    """What the journal says of a job; `begun` when its INTENT was written, `outcome` is empty unless done."""

    job_id: bytes
    epoch: int
    run_id: bytes
    operation: str
    permit_id: bytes
    sender: bytes
    state: Literal["accepted", "intent", "done"]
    repeatable: bool
    mode: Mode = "normal"
    begun: bool = False
    outcome: str = ""
    started_ms: int = 0


class JobArrived(msgspec.Struct, frozen=True):
    """A job came; `known` is the journal's record of it."""

    order: Order
    known: Record | None = None


class _Attempt(msgspec.Struct, frozen=True):
    job_id: bytes
    attempt: int


class AcceptWritten(_Attempt, frozen=True):
    """ACCEPT is on the disk."""


class InputsReady(_Attempt, frozen=True):
    """Everything it needs is here."""


class IntentWritten(_Attempt, frozen=True):
    """INTENT is on the disk."""


class WriteFailed(_Attempt, frozen=True):
    """ACCEPT or INTENT is not on the disk."""

    error: KindmeshError


class Finished(_Attempt, frozen=True):
    """The operation ended well; `value` is canonical MessagePack."""

    value: bytes


class Failed(_Attempt, frozen=True):
    """The operation, or fetching its inputs, ended with an error."""

    error: KindmeshError


class CancelAsked(_Attempt, frozen=True):
    """Somebody does not want it any more; `error` says who or why."""

    error: KindmeshError


class DeadlinePassed(_Attempt, frozen=True):
    """It should have ended by now, and did not end itself."""


class ResultWritten(_Attempt, frozen=True):
    """RESULT is on the disk."""


class ResultWriteFailed(_Attempt, frozen=True):
    """RESULT is not on the disk."""


class RetryDue(_Attempt, frozen=True):
    """Try again to write what could not be written."""


class Restarted(msgspec.Struct, frozen=True):
    """The node began; these jobs were open in its journal."""

    records: tuple[Record, ...]


Event: TypeAlias = (
    JobArrived | AcceptWritten | InputsReady | IntentWritten | WriteFailed | Finished | Failed | CancelAsked
    | DeadlinePassed | ResultWritten | ResultWriteFailed | RetryDue | Restarted
)  # fmt: skip


class WriteAccept(msgspec.Struct, frozen=True):
    """Put ACCEPT on the disk, then tell `AcceptWritten` or `WriteFailed`."""

    order: Order
    attempt: int


class WriteIntent(msgspec.Struct, frozen=True):
    """Put INTENT on the disk as the order's mode says, then tell `IntentWritten` or `WriteFailed`."""

    order: Order
    attempt: int


class WriteEpoch(msgspec.Struct, frozen=True):
    """Note that a later epoch and its permit took over; no answer."""

    order: Order


class Acknowledge(msgspec.Struct, frozen=True):
    """Tell the sender that the job is in the journal; `soon` when it may as well end first."""

    order: Order
    state: Literal["accepted", "running"]
    soon: bool = False


class Fetch(msgspec.Struct, frozen=True):
    """Fetch the inputs, then tell `InputsReady` or `Failed`."""

    order: Order
    attempt: int


class Run(msgspec.Struct, frozen=True):
    """Run the operation, then tell `Finished` or `Failed`."""

    order: Order
    attempt: int


class StopWork(msgspec.Struct, frozen=True):
    """Cancel the fetching or running; with `abandon` nobody waits for how it ends."""

    job_id: bytes
    attempt: int
    abandon: bool


class WriteResult(msgspec.Struct, frozen=True):
    """Put RESULT on the disk, then tell `ResultWritten` or `ResultWriteFailed`."""

    order: Order
    attempt: int
    outcome: Outcome
    begun: bool
    started_ms: int
    ended_ms: int
    value: bytes = b""
    error: KindmeshError | None = None


class Report(msgspec.Struct, frozen=True):
    """Send the result that is on the disk; again until it was taken."""

    job_id: bytes


class Refuse(msgspec.Struct, frozen=True):
    """Tell the sender that nothing was done, and why; nothing is kept."""

    order: Order
    error: KindmeshError


class RetryLater(msgspec.Struct, frozen=True):
    """Tell `RetryDue` after a while."""

    job_id: bytes
    attempt: int


Instruction: TypeAlias = (
    WriteAccept | WriteIntent | WriteEpoch | Acknowledge | Fetch | Run | StopWork | WriteResult | Report | Refuse
    | RetryLater
)  # fmt: skip

__all__ = [
    "AcceptWritten",
    "Acknowledge",
    "CancelAsked",
    "DeadlinePassed",
    "Event",
    "Failed",
    "Fetch",
    "Finished",
    "InputsReady",
    "Instruction",
    "IntentWritten",
    "JobArrived",
    "Mode",
    "Order",
    "Record",
    "Refuse",
    "Relation",
    "Report",
    "Restarted",
    "ResultWriteFailed",
    "ResultWritten",
    "RetryDue",
    "RetryLater",
    "Run",
    "State",
    "StopWork",
    "WriteAccept",
    "WriteEpoch",
    "WriteFailed",
    "WriteIntent",
    "WriteResult",
]
