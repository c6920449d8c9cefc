"""The drawings of docs/reference/states.md, found by trying: every event in every state that can be reached.

A transition table names the rule for a state and an event; where the rule leads depends on what else is known. So
nothing is written by hand: `explore` starts from fresh machines, tells a copy of each every event that makes a
difference, and notes from which state to which state it led, until no new situation turns up. A pair that the machine
refuses (`InvalidTransition`) is no transition. Machines whose table holds the next state are drawn from the table.
"""

from __future__ import annotations

import copy
import importlib
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, TypeAlias

from kindmesh.protocol.errors import InvalidTransition

Edge: TypeAlias = tuple[str, str, str]
"""From, event, to."""
SITUATIONS_MAX = 20_000
A, B = b"A" * 20, b"B" * 20
JOB, RUN = b"j" * 16, b"r" * 16
DEADLINE_MS = 1_000_000


def explore(
    starts: Iterable[Any],
    events: Callable[[Any], Iterable[tuple[Any, int]]],
    state: Callable[[Any], str],
    situation: Callable[[Any], Hashable],
    clone: Callable[[Any], Any] = copy.deepcopy,
) -> set[Edge]:
    """All transitions that can be reached.

    Args:
        events: what could happen to a machine now, with the time (ms) at which it does.
        situation: what makes a difference for what happens next; machines with equal ones are tried once.
    """
    waiting, seen, found = list(starts), set(), set()
    while waiting:
        machine = waiting.pop()
        for event, now_ms in events(machine):
            tried = clone(machine)
            before = state(tried)
            try:
                tried.handle(event, now_ms)
            except InvalidTransition:
                continue
            found.add((before, type(event).__name__, state(tried)))
            key = situation(tried)
            if key not in seen:
                seen.add(key)
                waiting.append(tried)
        if len(seen) > SITUATIONS_MAX:
            raise SystemExit("a machine has too many situations to be drawn: make `situation` coarser")
    return found


def drawing(edges: Iterable[Edge], states: Iterable[str], begin: str) -> str:
    """A state diagram and the same as a table; states in the order given."""
    places = {name: place for place, name in enumerate(states)}
    merged: dict[tuple[str, str], list[str]] = {}
    for source, event, target in sorted(edges):
        merged.setdefault((source, target), []).append(event)
    order = sorted(merged, key=lambda pair: (places[pair[0]], places[pair[1]]))
    lines = [f"    [*] --> {_word(begin)}"]
    for source, target in order:
        if source != target:
            lines.append(f"    {_word(source)} --> {_word(target)}: {', '.join(merged[source, target])}")
    last = [name for name in places if not any(source == name for source, _ in order)]
    lines += [f"    {_word(name)} --> [*]" for name in last]
    rows = [
        f"| {source} | {'stays' if source == target else target} | {', '.join(merged[source, target])} |"
        for source, target in order
    ]
    table = "\n".join(["| From | To | By |", "|---|---|---|", *rows])
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + f"\n```\n\n{table}\n\n"


def _word(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


# ------------------------------------------------------------------------------------- the Heart's job machine


def heart_job() -> str:
    """One job at the coordinator."""
    words = importlib.import_module("kindmesh.coordinator.heart.machine_words")
    edges = explore(
        _heart_starts(), _heart_events, lambda job: str(job.state), _heart_situation, _heart_clone
    )
    return drawing(edges, words.STATES, "queued")


def _heart_starts() -> Iterator[Any]:
    """Harmless and not, repeatable and not, new and with one try left."""
    machine = importlib.import_module("kindmesh.coordinator.heart.machine")
    parts = importlib.import_module("kindmesh.coordinator.heart.machine_job")
    # What only reads may be done again anyway, and is what a second attempt is tried with.
    for (effects, idempotent), tired in itertools.product(((1, True), (4, True), (4, False)), (True, False)):
        job = machine.JobMachine(
            JOB,
            effects=effects,
            idempotent=idempotent,
            deadline_ms=DEADLINE_MS,
            hedge_ms=0 if effects == 1 else -1,
        )
        if tired:
            job.losses, job.refusals = parts.LOSSES_MAX - 1, parts.REFUSALS_MAX - 1
        yield job


def _heart_events(job: Any) -> Iterator[tuple[Any, int]]:
    words = importlib.import_module("kindmesh.coordinator.heart.machine_words")
    parts = importlib.import_module("kindmesh.coordinator.heart.machine_job")
    epoch, now_ms = job.epoch, 1_000
    yield words.Submitted(), now_ms
    for device in (A, B):
        yield words.Placed(device, ""), now_ms
        yield words.Accepted(device, epoch), now_ms
        yield words.Running(device, epoch), now_ms
        yield words.DeviceLost(device), now_ms
        yield words.DeviceRemoved(device), now_ms
        yield words.DeviceBack(device), now_ms
        yield words.DeviceDrains(device, move=False), now_ms
        yield words.DeviceDrains(device, move=True), now_ms
        for outcome in ("succeeded", "failed", "cancelled", "interrupted", "uncertain"):
            yield words.ResultArrived(device, epoch, outcome, "FAILED" if outcome == "failed" else ""), now_ms
        for code in ("BUSY", "PERMIT_EXPIRED", "CAPABILITY_MISSING"):
            yield words.ResultArrived(device, epoch, "failed", code, begun=False), now_ms
        for code in ("CANCELLED", "PERMIT_USED", "DEADLINE_EXCEEDED"):
            yield words.ResultArrived(device, epoch, "failed", code), now_ms
        yield words.ResultArrived(device, epoch, "interrupted", "INTERRUPTED", begun=False), now_ms
    if not job.effectful:
        yield from _heart_second(job, now_ms)
    yield words.NoCandidate("", busy=True), now_ms
    yield words.NoCandidate("", busy=False), now_ms
    yield words.Permitted(epoch, JOB, 1, "uid"), now_ms
    yield words.ApprovalNeeded(epoch, DEADLINE_MS), now_ms
    yield words.Refused(epoch, "POLICY_DENIED", ""), now_ms
    yield words.ReviewerGone(epoch), now_ms
    yield words.SendFailed(epoch, ""), now_ms
    yield words.CancelAsked("somebody"), now_ms
    yield words.Preempted("something urgent"), now_ms
    yield words.RetryDue(), now_ms
    yield words.Restarted(has_permit=True), now_ms
    yield words.DeadlinePassed(), DEADLINE_MS
    yield words.DeadlinePassed(), DEADLINE_MS + parts.GRACE_MS


def _heart_second(job: Any, now_ms: int) -> Iterator[tuple[Any, int]]:
    """What can happen to a second attempt, and how one begins."""
    words = importlib.import_module("kindmesh.coordinator.heart.machine_words")
    yield words.HedgeDue(), now_ms
    if not job.second:
        for device in (A, B):
            yield words.SecondPlaced(device, ""), now_ms
        return
    epoch = job.second_epoch
    yield words.Permitted(epoch, JOB, 1, "uid"), now_ms
    yield words.Refused(epoch, "POLICY_DENIED", ""), now_ms
    yield words.SendFailed(epoch, ""), now_ms
    for outcome in ("succeeded", "failed"):
        yield words.ResultArrived(job.second, epoch, outcome, "FAILED" if outcome == "failed" else ""), now_ms


def _heart_clone(job: Any) -> Any:
    # Everything in it is immutable, but the list and the map; a deep copy takes ten times as long.
    cloned = copy.copy(job)
    cloned.story, cloned.older = [], dict(job.older)
    return cloned


def _heart_situation(job: Any) -> Hashable:
    return (
        job.state, job.lease, job.device, job.asking, job.permitted, job.approved, bool(job.cancel_by), job.overdue,
        job.preempted, job.leaving, job.second, job.second_asking, job.second_sent,
        job.movable, job.effectful, min(job.sends, 2), job.losses == 0, job.refusals == 0,
    )  # fmt: skip


# -------------------------------------------------------------------------------------- the node's job machine


def node_job() -> str:
    """One job on the device that does it."""
    edges = explore(_node_starts(), _node_events, lambda machine: str(machine.state(JOB)), _node_situation)
    order = ("absent", "accepting", "fetching", "intending", "running", "stopping", "saving", "unsaved")
    return drawing(edges, order, "absent")


def _node_starts() -> Iterator[Any]:
    yield importlib.import_module("kindmesh.node.machine").JobMachine()


def _node_events(machine: Any) -> Iterator[tuple[Any, int]]:
    words = importlib.import_module("kindmesh.node.job_events")
    errors = importlib.import_module("kindmesh.protocol.errors")
    found, now_ms = machine.find(JOB), 1_000
    epoch = found[0].epoch if found is not None else 1
    for mode, repeatable, fetch in itertools.product(("shared", "full"), (True, False), (True, False)):
        if mode == "shared" and fetch:
            continue
        for age in (0, 1):
            order = words.Order(
                JOB, epoch + age, RUN, "notes.append", JOB, A, DEADLINE_MS, mode, repeatable, fetch
            )
            if epoch + age < 3:
                yield words.JobArrived(order), now_ms
    for state, repeatable in itertools.product(("accepted", "intent", "done"), (True, False)):
        if found is None:
            record = words.Record(JOB, 1, RUN, "notes.append", JOB, A, state, repeatable)
            yield words.Restarted((record,)), now_ms
    attempt = 0 if found is None else found[1]
    for event in (words.AcceptWritten, words.InputsReady, words.IntentWritten, words.DeadlinePassed,
                  words.ResultWritten, words.ResultWriteFailed, words.RetryDue):  # fmt: skip
        yield event(JOB, attempt), now_ms
    yield words.Finished(JOB, attempt, b""), now_ms
    yield words.WriteFailed(JOB, attempt, errors.DiskFull()), now_ms
    for error in (errors.InvalidInput("no"), errors.CapabilityCrashed(), errors.Interrupted()):
        yield words.Failed(JOB, attempt, error), now_ms
    for error in (errors.Cancelled(), errors.Interrupted()):
        yield words.CancelAsked(JOB, attempt, error), now_ms


def _node_situation(machine: Any) -> Hashable:
    open_jobs = machine.open_jobs()
    if not open_jobs:
        return None
    order, _, state = open_jobs[0]
    entry = machine._open[JOB]
    return (
        state, order.mode, order.repeatable, order.fetch, order.epoch, entry.accepted, entry.on_disk, entry.begun,
        type(entry.why), bool(entry.result),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------ others


def membership() -> str:
    """What is believed about a peer: its table holds the next state."""
    module = importlib.import_module("kindmesh.mesh.membership")
    edges = {(str(a), str(signal), str(b)) for (a, signal), b in module.TRANSITIONS.items()}
    return drawing(edges, map(str, module.State), "unknown")


def supervision() -> str:
    """One part of a coordinator device, as its launcher sees it."""
    module = importlib.import_module("kindmesh.coordinator.supervision_machine")

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        yield module.Begin(), 0
        yield module.Ready("part"), 0
        yield module.Ended("part", 1), 0
        yield module.Ended("part", module.CANNOT_RUN), 0
        yield module.Stop(), 0
        yield module.Tick(), 1 << 40

    def situation(machine: Any) -> Hashable:
        return machine.states["part"], machine._stopping, min(len(machine._ends["part"]), 6)

    edges = explore(
        [module.Supervision(("part",))], events, lambda machine: str(machine.states["part"]), situation
    )
    return drawing(edges, ("down", "starting", "up", "stopping"), "down")


def trigger() -> str:
    """The debouncing of one trigger."""
    module = importlib.import_module("kindmesh.coordinator.heart.schedules.trigger_machine")
    on_event = importlib.import_module("kindmesh.coordinator.heart.schedules.words").OnEvent

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        yield module.Heard("it"), 1_000_000
        yield module.Heard("it"), 1_000_500
        yield module.Clock(), 1_000_000
        yield module.Clock(), 2_000_000

    whens = [on_event("a.b", debounce=how, quiet_ms=30_000) for how in ("none", "leading", "trailing")]
    edges = explore(
        [module.TriggerMachine(when) for when in whens],
        events,
        lambda machine: str(machine.remembered.state),
        lambda machine: (machine.when.debounce, machine.remembered.state, machine.remembered.fired_ms),
    )
    return drawing(edges, module.STATES, "idle")


def stream() -> str:
    """One end of one stream."""
    words = importlib.import_module("kindmesh.protocol.stream_words")
    wire = importlib.import_module("kindmesh.protocol.messages.streams")
    errors = importlib.import_module("kindmesh.protocol.errors")
    module = importlib.import_module("kindmesh.protocol.stream_machine")
    credit = importlib.import_module("kindmesh.protocol.stream_credit").FIRST_CREDIT
    bounds = importlib.import_module("kindmesh.protocol.stream_spec").StreamBounds(1_000, 1)
    late = 1 << 40

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        now_ms, acting = 10, machine.acting
        if not acting:
            yield words.Answered(credit, 1_000), now_ms
            yield words.Refused(errors.Busy()), now_ms
        yield words.LinkUp(), now_ms
        yield words.LinkDown(), now_ms
        yield words.Abort("cancelled", errors.Cancelled()), now_ms
        yield words.Tick(), late
        yield words.EndCame(wire.StreamEnd(JOB, "done", not acting)), now_ms
        yield words.DataCame(wire.StreamData(0, 0, b"")), now_ms
        yield words.DataCame(wire.StreamData(0, 0, b"too much" if acting else b"")), now_ms
        yield words.CreditCame(wire.StreamCredit(machine.sending.highest, 12, 1)), now_ms
        yield words.ResumeCame(wire.StreamResume(0)), now_ms
        yield words.Pull(), now_ms
        if machine.writable:
            yield words.Write(b"", True), now_ms
        if machine.readable:
            yield words.Take(), now_ms
        yield words.CloseOutput(), now_ms
        if acting:
            yield words.Finish(b""), now_ms

    def situation(machine: Any) -> Hashable:
        sending, receiving = machine.sending, machine.receiving
        return (
            machine.state, machine.acting, machine._finished, min(sending.written, 2), min(sending.highest, 2),
            min(sending.base, 2), sending.closed, min(receiving.received, 1), receiving.readable,
        )  # fmt: skip

    starts = [
        module.StreamMachine(acting=False, takes=True, gives=True, now_ms=0),
        module.StreamMachine(acting=True, takes=True, gives=True, now_ms=0, bounds=bounds),
    ]
    edges = explore(starts, events, lambda machine: str(machine.state), situation)
    return drawing(edges, ("opening", "open", "broken", "closing", "ended"), "opening")


DRAWINGS: dict[str, Callable[[], str]] = {
    "kindmesh.coordinator.heart.machine": heart_job,
    "kindmesh.coordinator.heart.schedules.trigger_machine": trigger,
    "kindmesh.coordinator.supervision_machine": supervision,
    "kindmesh.mesh.membership": membership,
    "kindmesh.node.machine": node_job,
    "kindmesh.protocol.stream_machine": stream,
}
"""By the module whose section of the page gets the drawing."""
