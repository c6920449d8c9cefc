"""One schedule's life: which of its due instants are started, wait, or are missed, and why. Words in `machine_words`.

What always holds:
- a due instant is decided once. Everything up to the *cursor* is decided; when the clock is set back, so is the
  cursor, and what was already started after it is remembered as `taken`: it is not started again when that time comes;
- nothing that was due disappears: it is started, it waits, or it is a `Miss` with a reason;
- misfire policy, for what was due while nothing could be started: `once` (and `skip`, with no more grace than
  `PUNCTUAL_MS`) starts the newest within the grace time; `all` starts the newest `catch_up`, oldest first, one after
  the other unless runs may overlap;
- overlap policy, while a run goes on: `skip` misses the new one, `queue` lets one wait, `allow` starts up to
  `OPEN_MAX`;
- a start that is refused for a reason that may pass is tried again for as long as the grace time lasts;
- memory is bounded: `OPEN_MAX` runs, `CATCH_UP_MAX` that wait, `STORY_MAX` lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules.words import CATCH_UP_MAX, Rules
from kindmesh.protocol.errors import InvalidTransition

PUNCTUAL_MS: Final = 30_000
"""What begins this late still counts as on time: a restart of the coordinator takes some seconds."""
RETRY_MS: Final = 5_000
OPEN_MAX: Final = 16
NAMED_MAX: Final = 50
"""Misses of one tick that are written down one by one; older ones share a line."""
STORY_MAX: Final = 50

_Rule: TypeAlias = Callable[..., list[w.Instruction]]


class ScheduleMachine:
    """See the module. `delay_ms` shifts every start (jitter); `timed`: it ends when nothing more is due.

    `next_ms`: when the next is due, 0: never, None: not known yet; `open`: firings that are being started or run;
    `backlog`: those that wait; `taken`: see the module.
    """

    __slots__ = (
        "backlog", "begun", "cursor_ms", "delay_ms", "next_ms", "open", "rules", "state", "story", "taken", "timed",
        "why",
    )  # fmt: skip

    def __init__(self, rules: Rules, cursor_ms: int, *, delay_ms: int = 0, timed: bool = True) -> None:
        self.rules, self.delay_ms, self.timed = rules, delay_ms, timed
        self.state: w.State = "active"
        self.why = ""
        self.cursor_ms = cursor_ms
        self.next_ms: int | None = None
        self.open: dict[int, w.Phase] = {}
        self.backlog: deque[int] = deque()
        self.taken: frozenset[int] = frozenset()
        self.begun: dict[int, int] = {}
        self.story: deque[str] = deque(maxlen=STORY_MAX)

    def resume(self, state: w.State, why: str, taken: frozenset[int], firings: Mapping[int, w.Phase]) -> None:
        """Take over what the journal has; follow with Restarted."""
        self.state, self.why, self.taken = state, why, taken
        for due_ms in sorted(firings):
            if firings[due_ms] == "waiting":
                self.backlog.append(due_ms)
            else:
                self.open[due_ms] = firings[due_ms]

    def handle(self, event: w.Event, now_ms: int) -> list[w.Instruction]:
        """What to do now.

        Raises:
            InvalidTransition: the table has no such pair, or the event names a firing that is not open; nothing was
                changed.
        """
        rule = _TABLE.get((self.state, type(event)))
        if rule is None:
            raise self.invalid(event)
        found = rule(self, event, now_ms)
        self.story.append(f"{now_ms} {self.state} {type(event).__name__}: {len(found)} instructions")
        return found

    def validate(self) -> None:
        """What always holds.

        Raises:
            InvalidTransition: it does not.
        """
        problems = [
            (len(self.open) > OPEN_MAX, "too many runs at once"),
            (len(self.backlog) > CATCH_UP_MAX, "too many wait"),
            (set(self.open) & set(self.backlog), "a firing waits and runs"),
            (len(set(self.backlog)) != len(self.backlog), "a firing waits twice"),
            (self.backlog and not self.open, "something waits for nothing"),
            (self.state in ("ended", "stopped") and self.backlog, "something waits after the end"),
            (any(due_ms <= self.cursor_ms for due_ms in self.taken), "what is decided is remembered as taken"),
        ]  # fmt: skip
        found = [text for wrong, text in problems if wrong]
        if found:
            raise InvalidTransition(f"schedule: {'; '.join(found)}", story=tuple(self.story))

    # ------------------------------------------------------------------------------------------- small steps

    def invalid(self, event: w.Event) -> InvalidTransition:
        """The error for an event that cannot be."""
        return InvalidTransition(
            f"a schedule that is {self.state} got {type(event).__name__}", story=tuple(self.story)
        )

    def begin(self, due_ms: int, now_ms: int, why: str = "") -> w.Begin:
        """A firing begins to be started."""
        self.open[due_ms] = "starting"
        self.begun[due_ms] = now_ms
        return w.Begin(due_ms, max(0, now_ms - due_ms - self.delay_ms), why)

    def phase(self, event: w.StartDone | w.StartRefused | w.RunEnded | w.RetryDue) -> w.Phase:
        """The phase of the firing that an event is about."""
        phase = self.open.get(event.due_ms)
        if phase is None:
            raise self.invalid(event)
        return phase

    def run(self, due_ms: int, now_ms: int, *, room: int, why: str = "") -> w.Instruction:
        """Start it, let it wait, or miss it; `room`: how many may wait."""
        free = len(self.open) < (OPEN_MAX if self.rules.overlap == "allow" else 1)
        if free and not self.backlog:
            return self.begin(due_ms, now_ms, why)
        if len(self.backlog) < room:
            self.backlog.append(due_ms)
            return w.Wait(due_ms, why)
        return w.Miss(due_ms, "overlap", "the run before it had not ended")

    def room(self) -> int:
        """How many firings may wait."""
        return 1 if self.rules.overlap == "queue" else 0

    def go_on(self, now_ms: int) -> list[w.Instruction]:
        """A run has ended: what waits may begin, or nothing more is to come."""
        found: list[w.Instruction] = []
        limit = OPEN_MAX if self.rules.overlap == "allow" else 1
        while self.backlog and len(self.open) < limit:
            found.append(self.begin(self.backlog.popleft(), now_ms))
        return found + self.end_if_done()

    def end_if_done(self) -> list[w.Instruction]:
        """What is due at times ends when nothing is left."""
        if self.timed and self.state == "active" and self.next_ms == 0 and not (self.open or self.backlog):
            self.state = "ended"
            return [w.Keep()]
        return []


# ------------------------------------------------------------------------------------------------- time passes


def _on_tick(machine: ScheduleMachine, event: w.Tick, now_ms: int) -> list[w.Instruction]:
    """Decide everything that has become due."""
    new = [one for one in event.passed if one.due_ms not in machine.taken]
    found: list[w.Instruction] = [w.Miss(one.due_ms, "sun", one.why_not) for one in new if one.why_not]
    real = [one.due_ms for one in new if not one.why_not]
    if machine.state == "active":
        found += _decide(machine, real, now_ms, older=event.older)
    else:
        found += _missed(real, "paused", "the schedule was paused", older=event.older)
    machine.taken = frozenset(due_ms for due_ms in machine.taken if due_ms > event.until_ms)
    machine.next_ms = event.next_ms
    machine.cursor_ms = max(machine.cursor_ms, event.until_ms)
    if event.passed or event.older:
        found.append(w.Keep())
    if event.next_ms:
        found.append(w.Wake(event.next_ms + machine.delay_ms))
    return found + machine.end_if_done()


def _decide(machine: ScheduleMachine, due: list[int], now_ms: int, *, older: bool) -> list[w.Instruction]:
    """What of this is started, by the misfire policy."""
    rules = machine.rules
    every = rules.misfire == "all"
    earliest_ms = now_ms - machine.delay_ms - grace_of(rules)
    late = [due_ms for due_ms in due if due_ms < earliest_ms]
    fresh = due[len(late) :]
    chosen = fresh[-(rules.catch_up if every else 1) :]
    rest = fresh[: len(fresh) - len(chosen)]
    found = _missed(
        late,
        "late" if rules.misfire != "skip" else "away",
        "nothing could be started at that time",
        older=older,
    )
    if every:
        why = f"only the newest {rules.catch_up} that were missed are made up for"
        found += _missed(rest, "many", why, older=older and not late)
    else:
        found += _missed(rest, "newer", "a newer one was started in its place", older=older and not late)
    room = rules.catch_up if every and len(chosen) > 1 else machine.room()
    return found + [machine.run(due_ms, now_ms, room=room) for due_ms in chosen]


def grace_of(rules: Rules) -> int:
    """How late a start may be."""
    return PUNCTUAL_MS if rules.misfire == "skip" else max(rules.grace_ms, PUNCTUAL_MS)


def _missed(due: list[int], reason: w.Reason, why: str, *, older: bool) -> list[w.Instruction]:
    """Misses: the newest one by one, the others in one line."""
    named, many = due[-NAMED_MAX:], due[:-NAMED_MAX]
    found: list[w.Instruction] = []
    if many or (older and named):
        together = many or [named.pop(0)]
        found.append(w.Miss(together[-1], reason, why, together[0], len(together), older))
    return found + [w.Miss(due_ms, reason, why) for due_ms in named]


def _on_set_back(machine: ScheduleMachine, event: w.ClockSetBack, now_ms: int) -> list[w.Instruction]:
    """The clock was wrong before, or is now: what was not started yet will be due again."""
    machine.cursor_ms = min(machine.cursor_ms, event.to_ms)
    machine.taken = frozenset(due_ms for due_ms in event.taken if due_ms > machine.cursor_ms)
    machine.next_ms = None
    machine.begun = {due_ms: min(begun, now_ms) for due_ms, begun in machine.begun.items()}
    if machine.state == "ended":
        machine.state = "active"
    return [w.Retract(machine.cursor_ms), w.Keep()]


# ------------------------------------------------------------------------------------------- something happens


def _on_triggered(machine: ScheduleMachine, event: w.Triggered, now_ms: int) -> list[w.Instruction]:
    """An event: as if it were due now."""
    if machine.state != "active":
        return _missed([event.due_ms], "paused", "the schedule was paused", older=False)
    return [machine.run(event.due_ms, now_ms, room=machine.room(), why=event.why)]


def _on_run_now(machine: ScheduleMachine, event: w.RunNow, now_ms: int) -> list[w.Instruction]:
    """A person wants it now: paused or not, and whatever else runs."""
    if len(machine.open) >= OPEN_MAX:
        return [w.Miss(event.due_ms, "overlap", f"{OPEN_MAX} runs of it had not ended")]
    return [machine.begin(event.due_ms, now_ms, f"run now, by {event.by}")]


def _on_start_done(machine: ScheduleMachine, event: w.StartDone, now_ms: int) -> list[w.Instruction]:
    """It is under way."""
    machine.phase(event)
    machine.open[event.due_ms] = "started"
    return [w.Started(event.due_ms, event.ref)]


def _on_refused(machine: ScheduleMachine, event: w.StartRefused, now_ms: int) -> list[w.Instruction]:
    """Try again while the grace time lasts, if that may help."""
    machine.phase(event)
    begun_ms = machine.begun.setdefault(event.due_ms, now_ms)
    patient_ms = max(event.due_ms + machine.delay_ms + grace_of(machine.rules), begun_ms + PUNCTUAL_MS)
    if event.again and now_ms + RETRY_MS <= patient_ms and machine.state != "stopped":
        return [w.Retry(event.due_ms, now_ms + RETRY_MS, event.why)]
    return _close(machine, event.due_ms, "not started", event.why, now_ms)


def _on_retry(machine: ScheduleMachine, event: w.RetryDue, now_ms: int) -> list[w.Instruction]:
    """Once more."""
    if machine.phase(event) != "starting":
        raise machine.invalid(event)
    return [w.StartAgain(event.due_ms)]


def _on_run_ended(machine: ScheduleMachine, event: w.RunEnded, now_ms: int) -> list[w.Instruction]:
    """What was started has ended."""
    machine.phase(event)
    return _close(machine, event.due_ms, event.outcome, "", now_ms)


def _close(machine: ScheduleMachine, due_ms: int, outcome: str, why: str, now_ms: int) -> list[w.Instruction]:
    del machine.open[due_ms]
    machine.begun.pop(due_ms, None)
    return [w.Close(due_ms, outcome, why), *machine.go_on(now_ms)]


# ---------------------------------------------------------------------------------------------- people want it


def _on_pause(machine: ScheduleMachine, event: w.PauseAsked, now_ms: int) -> list[w.Instruction]:
    """What waits is not started any more; what runs goes on."""
    machine.state, machine.why = "paused", f"paused by {event.by}"
    return [*_drop_waiting(machine, "paused", "the schedule was paused"), w.Keep()]


def _on_resume(machine: ScheduleMachine, event: w.ResumeAsked, now_ms: int) -> list[w.Instruction]:
    """It goes on."""
    machine.state, machine.why = "active", ""
    return [w.Keep(), *machine.end_if_done()]


def _on_gone(machine: ScheduleMachine, event: w.MakerGone, now_ms: int) -> list[w.Instruction]:
    """It stops for good."""
    machine.state, machine.why, machine.next_ms = "stopped", event.why, 0
    return [*_drop_waiting(machine, "stopped", event.why), w.Keep()]


def _drop_waiting(machine: ScheduleMachine, reason: w.Reason, why: str) -> list[w.Instruction]:
    dropped = list(machine.backlog)
    machine.backlog.clear()
    return [w.Miss(due_ms, reason, why) for due_ms in dropped]


def _on_restarted(machine: ScheduleMachine, event: w.Restarted, now_ms: int) -> list[w.Instruction]:
    """What was being started is started again, under the same key; what waits goes on waiting."""
    again = [due_ms for due_ms, phase in machine.open.items() if phase == "starting"]
    machine.begun = dict.fromkeys(again, now_ms)
    return [*[w.StartAgain(due_ms) for due_ms in again], *machine.go_on(now_ms)]


_ANY: Final[tuple[w.State, ...]] = w.STATES


def _rows(event: type[w.Event], rule: _Rule, *states: w.State) -> dict[tuple[str, type], _Rule]:
    return dict.fromkeys([(state, event) for state in states], rule)


_TABLE: Final[dict[tuple[str, type], _Rule]] = {
    **_rows(w.Tick, _on_tick, "active", "paused"),
    **_rows(w.ClockSetBack, _on_set_back, "active", "paused", "ended"),
    **_rows(w.Triggered, _on_triggered, "active", "paused"),
    **_rows(w.RunNow, _on_run_now, "active", "paused", "ended"),
    **_rows(w.StartDone, _on_start_done, *_ANY),
    **_rows(w.StartRefused, _on_refused, *_ANY),
    **_rows(w.RetryDue, _on_retry, *_ANY),
    **_rows(w.RunEnded, _on_run_ended, *_ANY),
    **_rows(w.PauseAsked, _on_pause, "active"),
    **_rows(w.ResumeAsked, _on_resume, "paused"),
    **_rows(w.MakerGone, _on_gone, "active", "paused", "ended"),
    **_rows(w.Restarted, _on_restarted, *_ANY),
}
"""The one table: what may happen in which state."""

__all__ = ["NAMED_MAX", "OPEN_MAX", "PUNCTUAL_MS", "RETRY_MS", "STORY_MAX", "ScheduleMachine", "grace_of"]
