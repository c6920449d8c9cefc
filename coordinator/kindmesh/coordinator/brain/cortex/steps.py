"""From what was recognised to a plan: one `call` for each act, a `pause` before what shall happen later.

Clauses that nothing orders run at the same time; one that was said with "then", or that touches what an earlier one
touches, comes after it. A value that came from the person's words carries them in its label; what the grammar set by
itself is plain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Act, Recognised, words_of
from kindmesh.protocol.limits import PLAN_STEPS_MAX, PLAN_WAIT_MAX_MS
from kindmesh.protocol.plan import Pause, Plan, Step
from kindmesh.protocol.plan_values import quoted

NAME_MAX: Final = 200


class Ordered(msgspec.Struct, frozen=True):
    """What one clause means; `after`: only when the clause before it is done."""

    recognised: Recognised
    after: bool = False


def plan_of(text: str, clauses: Sequence[Ordered]) -> Plan | None:
    """The plan that does all of it; None when there is nothing to do, or more than a plan may have."""
    steps: list[Step] = []
    done: list[_Done] = []
    heard = words_of(text)
    for clause in clauses:
        acts = clause.recognised.acts
        if not acts:
            continue
        touched = frozenset(
            one for act in acts for one in act.args.get("entities", ()) if isinstance(one, str)
        )
        before = done[-1].last if clause.after and done else ()
        before = (*before, *(name for one in done if one.things & touched for name in one.names))
        after = tuple(dict.fromkeys(before))
        delay, at_ms = clause.recognised.clause.delay_ms, clause.recognised.clause.at_ms
        if delay or at_ms:
            spoken = clause.recognised.clause
            value = {"$value": delay or at_ms, **_label(heard, spoken.words)}
            steps.append(_wait(f"wait{len(done) + 1}", delay, value, spoken.text, after))
            after = (steps[-1].id,)
        title = clause.recognised.clause.text or clause.recognised.intent
        names = last = _calls(steps, acts, title, heard, after)
        back = clause.recognised.back
        if back is not None:
            pause = f"wait{len(done) + 1}b"
            value = {"$value": back.for_ms or back.at_ms, **_label(heard, back.words)}
            steps.append(_wait(pause, back.for_ms, value, title, names))
            last = _calls(steps, back.acts, title, heard, (pause,))
        done.append(_Done(names, last, touched))
    if not steps or len(steps) > PLAN_STEPS_MAX:
        return None
    return Plan(name=text[:NAME_MAX], steps=tuple(steps))


def spanned(recognised: Recognised, more: Mapping[int, int]) -> Recognised:
    """With the words that belong to those named: a value that was said in two words, and mended to one, has both."""
    if not more:
        return recognised

    def whole(acts: tuple[Act, ...]) -> tuple[Act, ...]:
        return tuple(
            msgspec.structs.replace(
                act,
                words={
                    name: tuple(sorted({*at, *(more[one] for one in at if one in more)}))
                    for name, at in act.words.items()
                },
            )
            for act in acts
        )

    back = recognised.back
    return msgspec.structs.replace(
        recognised, acts=whole(recognised.acts),
        back=None if back is None else msgspec.structs.replace(back, acts=whole(back.acts)),
    )  # fmt: skip


class _Done(msgspec.Struct, frozen=True):
    """The steps of a clause, those that end it, and what they touch."""

    names: tuple[str, ...]
    last: tuple[str, ...]
    things: frozenset[str]


def _wait(name: str, for_ms: int, value: dict[str, Any], title: str, after: tuple[str, ...]) -> Step:
    pause = Pause(for_ms=value) if for_ms else Pause(until_ms=value)
    return Step(id=name, title=f"wait: {title}"[:NAME_MAX], after=after, pause=pause)


def _calls(
    steps: list[Step], acts: Sequence[Act], title: str, heard: Sequence[str], after: tuple[str, ...]
) -> tuple[str, ...]:
    """Adds a step for each act; their names."""
    names = []
    for act in acts:
        names.append(f"do{sum(1 for step in steps if step.call) + 1}")
        steps.append(
            Step(
                id=names[-1], title=title[:NAME_MAX], call=act.operation, args=labelled(act, heard),
                target=act.target, after=after,
            )
        )  # fmt: skip
    return tuple(names)


def too_far(clause_delay_ms: int, at_ms: int, now_ms: int) -> bool:
    """Whether no plan can wait that long."""
    return max(clause_delay_ms, at_ms - now_ms) > PLAN_WAIT_MAX_MS


def labelled(act: Act, heard: Sequence[str]) -> dict[str, Any]:
    """An act's arguments as a plan has them."""
    return {name: _value(value, name, act, heard) for name, value in act.args.items()}


def _value(value: Any, path: str, act: Act, heard: Sequence[str]) -> Any:
    positions = act.words.get(path)
    if positions:
        return {"$value": value, **_label(heard, positions)}
    below = [name for name in act.words if name.startswith(f"{path}.")]
    if below and isinstance(value, dict):
        return {name: _value(item, f"{path}.{name}", act, heard) for name, item in value.items()}
    if below and isinstance(value, list):
        return [_value(item, f"{path}.{number}", act, heard) for number, item in enumerate(value)]
    return quoted(value)


def _label(heard: Sequence[str], positions: Sequence[int]) -> dict[str, Any]:
    words = [heard[at] for at in sorted(set(positions)) if 0 <= at < len(heard)]
    if not words:
        return {}
    return {"$label": {"source": "user", "words": words}}


def spoken_value(value: Any, text: str, positions: Sequence[int]) -> dict[str, Any]:
    """A literal with the label of the words that it came from."""
    return {"$value": value, **_label(words_of(text), positions)}


__all__ = ["NAME_MAX", "Ordered", "labelled", "plan_of", "spanned", "spoken_value", "too_far"]
