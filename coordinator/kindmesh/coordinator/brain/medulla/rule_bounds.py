"""When, how often, where to, who is there: quiet hours, rates, egress, and presence for what could hurt somebody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Done, Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import name_words, sink_of
from kindmesh.coordinator.brain.medulla.review_words import stem
from kindmesh.coordinator.brain.medulla.rule_amounts import DAY_MS
from kindmesh.coordinator.brain.medulla.rule_sinks import signature
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.roles import matches

_QUIET: Final = Sentence("quiet-hours")
_RATE: Final = Sentence("rate")
_EGRESS: Final = Sentence("egress")
_RISK: Final = Sentence("presence")
SAME_MS: Final = 600_000
"""For how long the same again is asked about."""
_GIVING: Final = frozenset(
    stem(word)
    for word in ("dispense", "feed", "brew", "give", "drop", "pour", "fire", "water", "irrigate", "spray")
)


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
    """No more often than the owner said."""
    facts = scene.facts
    if facts.emergency:
        return
    counted: dict[str, int] = {}
    for call in scene.made.calls:
        if call.operation is None or call.undo or not countable(scene, call):
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


def countable(scene: Scene, call: Call) -> bool:
    """Whether a rate counts it: all but what only reads."""
    return bool(call.effects & ~int(bits.READ | bits.SENSE)) or scene.outward(call)


def again(scene: Scene) -> Iterator[Reason]:
    """The same effect, with the same values, is not done twice: not in one plan, not in two within minutes, and, where
    it is known what came of which words, not within a day unless it is said once more."""
    if scene.facts.emergency:
        return
    seen: set[str] = set()
    run = scene.facts.run
    recent = _recent(scene, DAY_MS if run else SAME_MS)
    earlier = {f"{done.operation} {done.key}" for done in recent if done.run == run}
    for call in scene.made.calls:
        if call.operation is None or call.undo or not lasting(scene, call):
            continue
        key = f"{call.name} {signature(call)}"
        if key in seen:
            yield _RATE(call.step, f"{call.name} would be done twice with the same values")
        elif key in earlier:
            when = "for these words" if run else "a few minutes ago"
            yield _RATE(call.step, f"{call.name} was done with the same values {when}")
        seen.add(key)


def lasting(scene: Scene, call: Call) -> bool:
    """Whether doing it twice is more than doing it once: all but switching and reading."""
    mild = int(bits.READ | bits.SENSE | bits.ACTUATE)
    if not call.effects & ~mild:
        return bool(call.effects & bits.ACTUATE) and bool(set(name_words(call.name, None)) & _GIVING)
    return bool(call.effects & ~int(bits.NOTIFY | bits.READ | bits.SENSE)) or scene.outward(call)


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
    return (
        value.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].casefold()
        if "://" in value
        else (value.partition("/")[0].partition(":")[0].casefold() if "." in value else "")
    )


def presence(scene: Scene) -> Iterator[Reason]:
    """What moves, opens, heats or gives medicine is done while the person is there."""
    for call in scene.made.calls:
        if call.operation is None or scene.facts.present:
            continue
        if scene.physical(call) and scene.opening(call):
            yield _RISK(
                call.step,
                "this could hurt somebody or let somebody in, and nobody is known to be there",
            )


__all__ = [
    "SAME_MS",
    "again",
    "countable",
    "egress",
    "lasting",
    "presence",
    "quiet",
    "rates",
]
