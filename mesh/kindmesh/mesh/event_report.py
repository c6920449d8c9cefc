"""What `doctor` says about events: who goes wrong with them, what was lost, what the disk did not take."""

from __future__ import annotations

from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.event_durable import DurableEvents
from kindmesh.mesh.event_links import EventLinks

LOG_HINT = "The log on standard error says more, by that name."


def event_findings(bus: EventBus, links: EventLinks, durable: DurableEvents) -> list[tuple[str, str, str]]:
    """(level, message, hint) for each thing to know; level is ok or warn."""
    counted = bus.statistics()
    found: list[tuple[str, str, str]] = []
    for name, times in sorted(counted.failures.items()):
        found.append(("warn", f"{name} went wrong with {times} events.", LOG_HINT))
    for topic, times in sorted(counted.dropped.items()):
        found.append(
            ("warn", f"{times} events about {topic} went round in circles and were dropped.", LOG_HINT)
        )
    if links.dropped:
        total = sum(links.dropped.values())
        found.append(("ok", f"{total} events were not passed on to devices that could not take them.", ""))
    if durable.unwritten:
        found.append(
            ("warn", f"{durable.unwritten} events that should be kept were not written.", "Is the disk full?")
        )
    for name, times in sorted(durable.passed_over.items()):
        found.append(("warn", f"{name} could not deal with {times} events that were kept for it.", LOG_HINT))
    if durable.refused:
        total = sum(durable.refused.values())
        hint = "kindmesh audit shows which device sends what it must not."
        found.append(("warn", f"{total} events were dropped: their senders may not publish them.", hint))
    if durable.log.lost:
        hint = "A device that is gone for good should be removed: kindmesh revoke."
        found.append(("warn", f"{durable.log.lost} kept events were never fetched and are gone.", hint))
    return found


__all__ = ["event_findings"]
