"""When, how often, where to, who is there: quiet hours, rates, egress, and presence for what could hurt somebody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from kindmesh.coordinator.brain.medulla.review_facts import Done, Reason
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import sink_of
from kindmesh.coordinator.brain.medulla.rule_sinks import targets
from kindmesh.protocol.manifest import Effect, effect_names
from kindmesh.protocol.roles import matches

_QUIET: Final = Sentence("quiet-hours")
_RATE: Final = Sentence("rate")
_EGRESS: Final = Sentence("egress")
_RISK: Final = Sentence("presence")
SAME_MS: Final = 3_600_000
SAME_MOST: Final = 3
"""The same outward effect, to the same, within an hour."""


def quiet(scene: Scene) -> Iterator[Reason]:
    """In the hours that the owner named, these effects ask; emergencies do not."""
    facts = scene.facts
    if facts.emergency:
        return
    for call in scene.made.calls:
        for hours in facts.guards.quiet:
            beyond = call.effects & hours.effects
            if beyond and matches(hours.operation, call.name) and hours.covers(facts.minute):
                yield _QUIET(
                    call.step, f"it is quiet time, and this would: {', '.join(effect_names(beyond))}"
                )
                break


def rates(scene: Scene) -> Iterator[Reason]:
    """No more often than the owner said; the same to the same at most three times an hour."""
    facts = scene.facts
    if facts.emergency:
        return
    counted: dict[str, int] = {}
    same: dict[tuple[str, str], int] = {}
    for call in scene.made.calls:
        if call.operation is None or call.undo or not scene.has_effect(call):
            continue
        times = call.most if call.repeats and call.over is not None else 1
        for rate in facts.guards.rates:
            if matches(rate.operation, call.name):
                counted[rate.operation] = counted.get(rate.operation, 0) + times
                before = sum(matches(rate.operation, done.operation) for done in _recent(scene, rate.per_ms))
                if before + counted[rate.operation] > rate.count:
                    yield _RATE(
                        call.step, f"{call.name} more than {rate.count} times in {rate.per_ms / 1000:g} s"
                    )
        if scene.outward(call) and call.effects & ~int(Effect.READ):
            key = (call.name, " ".join(targets(call)))
            same[key] = same.get(key, 0) + 1
            before = sum((done.operation, done.key) == key for done in _recent(scene, SAME_MS))
            if before + same[key] > SAME_MOST:
                yield _RATE(call.step, f"{call.name} to the same more than {SAME_MOST} times in an hour")


def _recent(scene: Scene, per_ms: int) -> list[Done]:
    """What the same person was let do within that time."""
    facts = scene.facts
    mine = (done for done in facts.ledger.done if done.principal == facts.principal)
    return [done for done in mine if facts.now_ms - done.at_ms < per_ms]


def egress(scene: Scene) -> Iterator[Reason]:
    """Where the owner named destinations, nothing goes elsewhere."""
    allowed = scene.facts.guards.egress
    if not allowed:
        return
    for call in scene.made.calls:
        if call.operation is None or not scene.outward(call):
            continue
        for leaf in call.leaves:
            kind = sink_of(call.effects, call.name, call.operation, leaf)
            if kind not in ("link", "recipient") or not isinstance(leaf.value, str):
                continue
            host = _host(leaf.value)
            if host and not any(
                host == one.casefold() or host.endswith("." + one.casefold()) for one in allowed
            ):
                yield _EGRESS(call.step, f"{shown(host)} is none of the places that data may go to")


def _host(value: str) -> str:
    if "@" in value and "://" not in value:
        return value.rpartition("@")[2].casefold().strip(" >")
    try:
        return (urlsplit(value if "://" in value else f"//{value}").hostname or "") if "." in value else ""
    except ValueError:
        return value.casefold()


def presence(scene: Scene) -> Iterator[Reason]:
    """What moves, opens, heats or gives medicine is done while the person is there."""
    for call in scene.made.calls:
        if call.operation is None or scene.facts.present:
            continue
        if scene.physical(call) and scene.opening(call):
            yield _RISK(
                call.step,
                f"{call.name} could hurt somebody or let somebody in, and nobody is known to be there",
            )


__all__ = ["SAME_MOST", "SAME_MS", "egress", "presence", "quiet", "rates"]
