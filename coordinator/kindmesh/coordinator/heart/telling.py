"""Who is told what becomes of jobs and devices: watchers of everything, watchers of one job, and who waits for its end.

Watchers get `{"event": "job", "job", "operation", "state", ...}` at every change of state, `{"event": "progress", ...}`
and `{"event": "node", ...}`, and at the end the whole document; waiters only the document. An ending is told when it is
on the disk. A callback must not block.
"""

from __future__ import annotations

from collections.abc import Callable

from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.documents import summary, with_ending, with_story
from kindmesh.coordinator.heart.entry import Document, Entry, Watcher
from kindmesh.coordinator.heart.journal import Ending, Progress
from kindmesh.protocol.ids import format_time_id


class Telling:
    """See the module. `watchers` hear of everything."""

    def __init__(self, devices: Devices) -> None:
        self.watchers: list[Watcher] = []
        self.news: list[Watcher] = []
        """Told of what concerns no single job, only."""
        self.on_state: Callable[[Entry, str], None] | None = None
        """Told of every state of every job, without a document being made for it."""
        self._devices = devices

    def document(self, entry: Entry, now: Progress, ending: Ending | None, ended_ms: int) -> Document:
        """A job as plain data, with all that is known of it."""
        document = with_ending(summary(entry.facts, now, ended_ms, self._devices.name), ending)
        return with_story(document, now.story, self._devices.name)

    def state(self, entry: Entry) -> None:
        """The state of an open job, if it is news."""
        machine = entry.machine
        if machine.state == entry.shown:
            return
        entry.shown = machine.state
        if self.on_state is not None:
            self.on_state(entry, machine.state)
        if not (self.watchers or entry.watchers):
            return
        event: Document = {
            "event": "job",
            "job": format_time_id(entry.facts.job_id),
            "operation": entry.facts.operation,
            "state": machine.state,
            "device_name": self._devices.name(machine.device),
            "why": machine.why,
        }
        if entry.question:
            event["request"] = entry.question
        self._tell(entry, event)

    def progress(self, entry: Entry, fraction: float, text: str) -> None:
        """How far a running job is, 0..1."""
        if self.watchers or entry.watchers:
            job = format_time_id(entry.facts.job_id)
            self._tell(entry, {"event": "progress", "job": job, "fraction": fraction, "text": text})

    def ended(self, entry: Entry, now: Progress, ending: Ending, ended_ms: int) -> None:
        """A job has ended, and the disk knows."""
        if self.on_state is not None:
            self.on_state(entry, now.state)
        if not (entry.waiters or entry.watchers or self.watchers):
            return
        document = self.document(entry, now, ending, ended_ms)
        self._tell(entry, {"event": "job", **document})
        for waiter in entry.waiters:
            waiter(document)

    def everybody(self, event: Document) -> None:
        """News that concern no single job."""
        for watcher in [*self.watchers, *self.news]:
            watcher(event)

    def _tell(self, entry: Entry, event: Document) -> None:
        for watcher in [*entry.watchers, *self.watchers]:
            watcher(event)


__all__ = ["Telling"]
