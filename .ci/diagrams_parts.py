"""Drawings of the smaller machines; see `diagrams`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from diagrams import drawing, explore

LATE_MS = 1 << 40


def quarantine() -> str:
    """One capability of a device."""
    module = importlib.import_module("kindmesh.node.quarantine_machine")

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        for event in (module.Failed("it"), module.Succeeded("it"), module.Heal("it"), module.Tick()):
            yield event, 0
        yield module.Tick(), LATE_MS

    def situation(machine: Any) -> Hashable:
        ward = machine._wards.get("it")
        return None if ward is None else (ward.state, len(ward.failures), ward.successes)

    edges = explore([module.Quarantine()], events, lambda machine: str(machine.state("it")), situation)
    return drawing(edges, module.STATES, "well")


def restarts() -> str:
    """One long-lived task of a process."""
    module = importlib.import_module("kindmesh.mesh.restart_machine")

    def begun() -> Any:
        machine = module.Restarts()
        machine.handle(module.Begun("it"), 0)
        return machine

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        yield module.Begun("it"), 0
        yield module.Ended("it"), 0

    def situation(machine: Any) -> Hashable:
        return machine.state("it"), len(machine._parts["it"].ends)

    edges = explore([begun()], events, lambda machine: str(machine.state("it")), situation)
    return drawing(edges, ("running", "waiting", "given up"), "running")


def settle() -> str:
    """One job that ended as uncertain."""
    module = importlib.import_module("kindmesh.coordinator.heart.settle_machine")

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        for happened in (True, False):
            yield module.PersonSaid(happened, "somebody"), 0
        for evidence in (True, False, None):
            yield module.DeviceTold(evidence, b"A" * 20), 0

    edges = explore(
        [module.SettleMachine()], events, _state, lambda machine: (machine.state, machine.contradicted)
    )
    return drawing(edges, module.STATES, "asked")


def breaker() -> str:
    """One operation on one device, or one language model."""
    module = importlib.import_module("kindmesh.mesh.breaker_machine")

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        for now_ms in (0, LATE_MS):
            for event in (module.Begun(), module.Worked(), module.Failed("FAILED"), module.Released()):
                yield event, now_ms

    def situation(machine: Any) -> Hashable:
        return machine.state, min(machine.failures, module.FAILURES), machine.until_ms > LATE_MS

    return drawing(
        explore([module.Breaker(module.Rules(30_000))], events, _state, situation), module.STATES, "closed"
    )


def schedule() -> str:
    """One schedule."""
    module = importlib.import_module("kindmesh.coordinator.heart.schedules.schedule_machine")
    rules = importlib.import_module("kindmesh.coordinator.heart.schedules.words").Rules
    words = module.w

    def events(machine: Any) -> Iterator[tuple[Any, int]]:
        now_ms = 1_000
        yield words.Tick(now_ms, (words.Passed(500),), older=False, next_ms=2_000), now_ms
        yield words.Tick(now_ms, (), older=False, next_ms=0), now_ms
        yield words.ClockSetBack(100, ()), now_ms
        yield words.Triggered(600, ""), now_ms
        yield words.RunNow(700, "somebody"), now_ms
        for due_ms in machine.open:
            yield words.StartDone(due_ms, b""), now_ms
            yield words.StartRefused(due_ms, "", again=True), now_ms
            yield words.StartRefused(due_ms, "", again=False), now_ms
            yield words.RunEnded(due_ms, "succeeded"), now_ms
            if machine.open[due_ms] == "starting":
                yield words.RetryDue(due_ms), now_ms
        yield words.PauseAsked("somebody"), now_ms
        yield words.ResumeAsked("somebody"), now_ms
        yield words.MakerGone(""), now_ms
        yield words.Restarted(), now_ms

    def situation(machine: Any) -> Hashable:
        phases = tuple(sorted(machine.open.items()))
        return machine.state, machine.next_ms, phases, bool(machine.backlog), machine.cursor_ms > 500

    starts = [module.ScheduleMachine(rules(overlap=overlap), 0) for overlap in ("allow", "queue", "skip")]
    return drawing(explore(starts, events, _state, situation), words.STATES, "active")


def _state(machine: Any) -> str:
    return str(machine.state)


PARTS: dict[str, Callable[[], str]] = {
    "kindmesh.coordinator.heart.schedules.schedule_machine": schedule,
    "kindmesh.coordinator.heart.settle_machine": settle,
    "kindmesh.mesh.breaker_machine": breaker,
    "kindmesh.mesh.restart_machine": restarts,
    "kindmesh.node.quarantine_machine": quarantine,
}
"""By the module whose section of the page gets the drawing."""
