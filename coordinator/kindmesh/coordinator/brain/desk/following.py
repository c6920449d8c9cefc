"""A run that was started for a sentence, followed until there is something to say.

Waited for are the steps that begin at once; what lies behind a pause or a question goes on by itself. Jobs that need a
yes are told as soon as they wait. When nobody said yes in time, the run is called off: unanswered is not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from kindmesh.coordinator.heart.runs.run_words import ITEM_ENDED, RUN_ENDED
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.protocol.ids import format_time_id

END_MS: Final = 10_000
"""How long a run that was called off may take to end."""
SLACK_MS: Final = 2_000
"""How much longer than the deadline of a step is waited for the next news of a run."""
YES_HINT: Final = "kindmesh review answers it."


class Follower:
    """One run's watcher; give it to `Runs.start`, then `wait`. `emit` is told everything on the way."""

    def __init__(self, runs: Runs, emit: Callable[[Any], None]) -> None:
        self._runs = runs
        self._emit = emit
        self._news = asyncio.Event()
        self._waiting: set[str] = set()
        self._in_vain = False

    def __call__(self, event: dict[str, Any]) -> None:
        """Something happened in the run."""
        kind, path = event.get("event"), str(event.get("path", ""))
        if kind == "job" and event.get("state") == "waiting_approval":
            self._waiting.add(path)
            self._emit({"event": "approval", "path": path, "job": event.get("job", ""), "hint": YES_HINT})
        elif kind in ("item", "job", "progress"):
            self._waiting.discard(path)
            self._emit(event)
        self._news.set()

    @property
    def waits(self) -> bool:
        """Whether a job waits for a yes, or did when the run was called off."""
        return self._in_vain or bool(self._waiting)

    async def wait(
        self, run_id: bytes, now: frozenset[str], act_ms: int, yes_ms: int
    ) -> tuple[dict[str, Any], bool]:
        """The run's document once the steps `now` have ended, and whether it was called off: nothing moved for
        `act_ms` longer than a step may take, or nobody said yes for `yes_ms`.

        Raises:
            UnknownJob.
        """
        self._emit({"event": "started", "run": format_time_id(run_id)})
        while True:
            self._news.clear()
            document = self._over(run_id, now)
            if document is not None:
                return await self._whole(run_id, document, now), False
            patience_ms = yes_ms if self._waiting else act_ms + SLACK_MS
            try:
                async with asyncio.timeout(patience_ms / 1000):
                    await self._news.wait()
            except TimeoutError:
                self._in_vain = bool(self._waiting)
                return await self._called_off(run_id), True

    def _over(self, run_id: bytes, now: frozenset[str]) -> dict[str, Any] | None:
        document = self._runs.document(run_id)
        ended = {item["step"] for item in document["items"] if item["state"] in ITEM_ENDED}
        return document if document["state"] in RUN_ENDED or now <= ended else None

    async def _whole(self, run_id: bytes, document: dict[str, Any], now: frozenset[str]) -> dict[str, Any]:
        """A run in which nothing is left to do is told once its end is on the disk."""
        if {step["id"] for step in document["steps"]} <= now:
            return await self._runs.wait(run_id)
        return document

    async def _called_off(self, run_id: bytes) -> dict[str, Any]:
        self._runs.cancel(run_id, "the desk: nobody answered in time")
        try:
            async with asyncio.timeout(END_MS / 1000):
                return await self._runs.wait(run_id)
        except TimeoutError:
            return self._runs.document(run_id)


__all__ = ["END_MS", "Follower"]
