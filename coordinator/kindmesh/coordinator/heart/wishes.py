"""What somebody wants done, checked on submit: known, well formed, possible at all; each refusal names its reason."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.devices import Devices, Seat
from kindmesh.coordinator.heart.journal import HeartJournal
from kindmesh.coordinator.heart.placement import Need
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import TIME_ID
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.manifest import artifacts_in, check_fields
from kindmesh.protocol.messages.jobs import ArtifactInfo, Priority
from kindmesh.protocol.principal import OWNER, Principal
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

SLACK_MS: Final = 30_000
"""Beyond an operation's own time limit, when nobody set a deadline: for waiting, sending, moving once."""
DEADLINE_MAX_MS: Final = 7 * 24 * 3_600_000
NAME_MAX: Final = 200
HEDGE_MS: Final = 1_000
"""An emergency that has not ended after this is tried on a second device, too, if it may be done again."""


class Wish(msgspec.Struct, frozen=True):
    """One job to be. `args` plain data; `target` a device id, or empty for whichever serves best; `deadline_ms` UTC, 0:
    as long as the operation may take; `key` makes submitting twice the same as once; `run_id` 16 bytes, or empty for a
    run of its own; `full`: survives a power cut even if it only reads; `sources`: who has the files, beyond what is
    known; `principal` asks, for `purpose`, `proof` is a person's signature over it; `parent`: the permit that the
    permit of a sub-run's job chains to; `hedge_ms`: after so long a second device tries it, too, if it may be done
    again (negative: emergencies only, after `HEDGE_MS`); `labels` say where the parts of `args` came from, `evidence`
    proves to Medulla what of that was said; `doubts`: sentences that were said against it ahead, so that it asks."""

    operation: str
    args: dict[str, Any]
    target: bytes = b""
    priority: Priority = "interactive"
    deadline_ms: int = 0
    key: str | None = None
    run_id: bytes = b""
    step: int = 0
    full: bool = False
    sources: tuple[ArtifactInfo, ...] = ()
    principal: Principal = OWNER
    purpose: Purpose = "household"
    proof: Signed | None = None
    parent: Signed | None = None
    hedge_ms: int = -1
    labels: tuple[ArgumentLabel, ...] = ()
    evidence: Evidence | None = None
    doubts: tuple[str, ...] = ()


class Checked(msgspec.Struct, frozen=True):
    """A wish that can be granted as far as its words go; `args` canonical, defaults filled in."""

    args: bytes
    sources: tuple[ArtifactInfo, ...]
    need: Need
    effects: int
    idempotent: bool
    deadline_ms: int
    budget_ms: int


def check(wish: Wish, devices: Devices, journal: HeartJournal, now_ms: int) -> Checked:
    """The wish against what the devices say the operation takes.

    Raises:
        UnknownOperation: names the nearest.
        InvalidInput: names the field.
        Malformed: the arguments cannot be said in MessagePack.
    """
    seats = devices.seats(wish.operation)
    seat = _reference(seats, wish.target)
    operation = seat.operation
    if operation.stream is not None:
        raise InvalidInput(
            f"{operation.name} streams, so it is no job", field="operation", hint="Use kindmesh stream."
        )
    values = check_fields(operation.input, wish.args)
    args = encode_value(values)
    limit = min(operation.limits.max_input_bytes, ARGUMENTS_MAX)
    if len(args) > limit:
        raise InvalidInput(
            f"the values are {len(args)} bytes, {wish.operation} takes at most {limit}",
            hint="Send less, or a file.",
        )
    if wish.deadline_ms and not now_ms < wish.deadline_ms <= now_ms + DEADLINE_MAX_MS:
        raise InvalidInput("the deadline is not within the next 7 days", field="deadline_ms")
    if wish.key is not None and not 0 < len(wish.key) <= NAME_MAX:
        raise InvalidInput(f"a key has 1 to {NAME_MAX} characters", field="key")
    if len(wish.run_id) not in (0, TIME_ID) or not 0 <= wish.step < 1 << 31:
        raise InvalidInput("a run is named by 16 bytes, a step by a number", field="run")
    sources, need = wish.sources, Need(wish.operation, wish.target, emergency=wish.priority == "emergency")
    if seat.artifacts:
        sources, need = _locate(wish, artifacts_in(operation.input, values), journal, need)
    budget_ms = 0 if wish.deadline_ms else operation.limits.timeout_ms + SLACK_MS
    # Devices may differ in version: what any of them declares counts.
    effects, idempotent = operation.effects, operation.idempotent
    for other in seats:
        effects |= other.operation.effects
        idempotent = idempotent and other.operation.idempotent
    return Checked(
        args, sources, need, effects, idempotent, wish.deadline_ms or now_ms + budget_ms, budget_ms
    )


def _reference(seats: list[Seat], target: bytes) -> Seat:
    """Whose manifest the arguments are checked against: the target's, else that of one that is ready."""
    for seat in seats:
        if seat.candidate.device == target:
            return seat
    return next((seat for seat in seats if seat.candidate.ready), seats[0])


def _locate(
    wish: Wish, names: list[str], journal: HeartJournal, need: Need
) -> tuple[tuple[ArtifactInfo, ...], Need]:
    """Who has the files: a source for each, and how many bytes each device holds."""
    sources: list[ArtifactInfo] = []
    held: dict[bytes, int] = {}
    size = 0
    for name in names:
        artifact = bytes.fromhex(name)
        known = [source for source in wish.sources if source.artifact == artifact] + journal.holders(artifact)
        if not known:
            continue
        sources += known[:1]
        size += known[0].size_bytes
        for source in {source.holder: source for source in known}.values():
            held[source.holder] = held.get(source.holder, 0) + source.size_bytes
    return tuple(sources), Need(need.operation, need.target, b"", need.emergency, size, held)


__all__ = ["DEADLINE_MAX_MS", "HEDGE_MS", "SLACK_MS", "Checked", "Wish", "check"]
