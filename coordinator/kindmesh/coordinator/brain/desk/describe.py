"""A plan in plain words: numbered steps, where each value came from, and what Medulla says. Pure.

1. turn on the kitchen light
     entities: light.kitchen (your words "kitchen light")
     data.brightness_pct: 50 (your words "50 percent")
2. wait 10 minutes
3. lock the front door (after 2)
Medulla: allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.desk.applying import in_order
from kindmesh.coordinator.brain.desk.routing import plain
from kindmesh.coordinator.brain.desk.wording import listed, reasons_text, spoken_name
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.plan_check import needs
from kindmesh.protocol.plan_values import operator

_FROM: Final[Mapping[str, str]] = {
    "user": "from you",
    "memory": "from memory",
    "device": "from a device",
    "model": "chosen by the language model",
    "web": "from the web",
}
_VERDICTS: Final[Mapping[str, str]] = {"allow": "allowed", "ask": "needs a yes first", "deny": "refused"}
_UNITS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"))
_WORKED_OUT: Final = "worked out from the steps before"
_SHOWN_MAX: Final = 200


def plan_lines(plan: Plan, home: Home, verdict: str = "", reasons: Sequence[str] = ()) -> list[str]:
    """The plan, for people; `verdict` and `reasons` as the review gave them."""
    steps = in_order(plan)
    numbers = {step.id: number for number, step in enumerate(steps, 1)}
    lines = []
    for step in steps:
        before = sorted(numbers[name] for name in needs(step)[0])
        after = f" (after {listed([str(one) for one in before])})" if before else ""
        lines.append(f"{numbers[step.id]}. {step_words(step, home)}{after}")
        lines += [f"     {name}: {shown}" for name, shown in _values(step.args) if name != "service"]
    if verdict:
        lines.append(f"Medulla: {_VERDICTS.get(verdict, verdict)}. {reasons_text(reasons)}".strip())
    return lines


def plan_sentence(plan: Plan, home: Home) -> str:
    """The plan in one sentence: `I would turn on the kitchen light, then wait 10 minutes.`"""
    return f"I would {', then '.join(step_words(step, home) for step in in_order(plan))}."


def step_words(step: Step, home: Home) -> str:
    """What a step does: `turn on the kitchen light`."""
    if step.pause is not None:
        return _pause_words(step)
    if step.ask is not None:
        return f"ask: {plain(step.ask.question)}"
    if step.event is not None:
        return f"wait until {step.event.topic} is heard"
    if step.sub is not None:
        return "run a plan inside this one"
    service = plain(step.args.get("service"))
    if not step.call.startswith("home.") or not isinstance(service, str):
        return step.title or step.call
    entities = plain(step.args.get("entities"))
    named = [_name(home, one) for one in entities] if isinstance(entities, list) else []
    shown = named if len(named) <= 4 else [*named[:3], f"{len(named) - 3} more"]
    return f"{_verb(service)} {listed(shown)}".strip()


def _verb(service: str) -> str:
    """`close` for cover.close_cover, `pause` for media_player.media_pause: the thing's own name says what it is."""
    domain, _, verb = service.partition(".")
    return verb.removesuffix(f"_{domain}").removeprefix("media_").replace("_", " ")


def _name(home: Home, named: Any) -> str:
    entity = home.entities.get(named) if isinstance(named, str) else None
    return spoken_name(entity, str(named))


def _pause_words(step: Step) -> str:
    pause = step.pause
    for_ms = None if pause is None else plain(pause.for_ms)
    if isinstance(for_ms, int) and not isinstance(for_ms, bool):
        return f"wait {duration_words(for_ms)}"
    until_ms = None if pause is None else plain(pause.until_ms)
    if isinstance(until_ms, int) and not isinstance(until_ms, bool):
        from kindmesh.coordinator.heart.schedules.zones import show, zone_named  # noqa: PLC0415 - rarely

        return f"wait until {show(until_ms, zone_named('UTC'))}"
    return "wait"


def duration_words(milliseconds: int) -> str:
    """`1 hour 30 minutes`; at least a second."""
    left, said = max(milliseconds, 1_000), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(said[:2])


def _values(value: Any, where: str = "") -> list[tuple[str, str]]:
    """Each value of a step's arguments, with where it came from."""
    word = operator(value)
    if word == "$value" and value["$value"] in ({}, []):
        return []
    if word == "$value":
        return [(where, f"{_short(value['$value'])} ({_origin(value.get('$label', {}))})")]
    if word:
        return [(where, f"{_short(value)} ({_WORKED_OUT})")]
    if isinstance(value, dict) and (not where or any(_labelled(item) for item in value.values())):
        return [
            pair
            for name, item in value.items()
            for pair in _values(item, f"{where}.{name}" if where else name)
        ]
    if isinstance(value, list) and (origins := list(dict.fromkeys(_origins(value)))):
        return [(where, f"{_short(plain(value))} ({listed(origins)})")]
    if value in ({}, []):
        return []
    return [(where, f"{_short(value)} (what the sentence stands for)")]


def _labelled(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(operator(value)) or any(_labelled(item) for item in value.values())
    return isinstance(value, list) and any(_labelled(item) for item in value)


def _origins(value: Any) -> Iterator[str]:
    """Where the leaves of a list came from, as far as that is said."""
    word = operator(value)
    if word:
        yield _origin(value.get("$label", {})) if word == "$value" else _WORKED_OUT
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _origins(item)


def _origin(label: Any) -> str:
    source = label.get("source", "user") if isinstance(label, dict) else "user"
    words = label.get("words", ()) if isinstance(label, dict) else ()
    if source == "user" and words:
        return f'your words "{" ".join(words)}"'
    return _FROM.get(source, source)


def _short(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        text = ", ".join(value)
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."


__all__ = ["duration_words", "plan_lines", "plan_sentence", "step_words"]
