"""One open run as the driver holds it: its machine, what it is made of, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from kindmesh.coordinator.heart.runs.run_journal import Asked, RunRow
from kindmesh.coordinator.heart.runs.run_machine import RunMachine
from kindmesh.coordinator.heart.runs.run_words import ITEM_ENDED
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.limits import ARGUMENTS_MAX, PLAN_MAX
from kindmesh.protocol.plan import plan_from_document

OnRun: TypeAlias = Callable[[dict[str, Any]], None]


class Live:
    """See the module. `listening`: how to end the subscription of an item, by path; `waiters` are called once with the
    run's document when it has ended, `watchers` with each change of an item; `broken`: another one has taken over."""

    __slots__ = ("asked", "broken", "listening", "machine", "row", "shown", "waiters", "watchers")

    def __init__(self, row: RunRow, asked: Asked) -> None:
        self.row = row
        self.asked = asked
        plan = plan_from_document(decode_value(asked.plan, limit=PLAN_MAX, depth=64))
        inputs = decode_value(asked.inputs, limit=ARGUMENTS_MAX)
        self.machine = RunMachine(plan, inputs, begun_ms=row.begun_ms, until_ms=row.until_ms)
        self.listening: dict[str, Callable[[], None]] = {}
        self.waiters: list[OnRun] = []
        self.watchers: list[OnRun] = []
        self.broken = False
        self.shown = "running"

    def unlisten(self, *, everything: bool) -> None:
        """End the subscriptions of items that have ended; or all of them."""
        for path in list(self.listening):
            if everything or self.machine.items[path].state in ITEM_ENDED:
                self.listening.pop(path)()


__all__ = ["Live", "OnRun"]
