""" "Never mind": what was just said and still waits for its time is called off, and what came of that is told.

It is about the latest sentence of this conversation, so never about another person's: a conversation is a principal at
a device, and the run has to be that principal's, too. The sentence keeps its run's id on the disk, so a restart between
the two changes nothing. Said is what the run itself shows once it has ended: what will not be done any more, what was
done before it could be called off, and what nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import Turn, Understanding
from kindmesh.coordinator.brain.desk.answering import Answer
from kindmesh.coordinator.brain.desk.describe import step_words
from kindmesh.coordinator.brain.desk.following import END_MS
from kindmesh.coordinator.brain.desk.wording import Said, listed
from kindmesh.coordinator.heart.runs.run_words import RUN_ENDED
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import parse_time_id
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.principal import Principal, describe_principal, principal_text

_NO: Final = frozenset({"No", "HassNevermind"})


class Rest(msgspec.Struct, frozen=True):
    """The steps of a run that do something: `undone` (not done, and in a run that ended never will be), `done` and
    `unclear` (nobody knows); `back`: those that were taken back."""

    undone: tuple[Step, ...] = ()
    done: tuple[Step, ...] = ()
    unclear: tuple[Step, ...] = ()
    back: tuple[Step, ...] = ()


def takes_back(understanding: Understanding) -> bool:
    """Whether a sentence says no more than that what was said before shall not be done."""
    return (
        understanding.understood
        and understanding.plan is None
        and len(understanding.recognised) == 1
        and understanding.recognised[0].intent in _NO
    )


def rest_of(plan: Plan, items: Iterable[Mapping[str, Any]]) -> Rest:
    """How the steps of a plan stand, by the items of its run."""
    found: dict[str, list[Step]] = {"undone": [], "done": [], "unclear": [], "back": []}
    states: dict[str, set[str]] = {}
    taken: set[str] = set()
    for item in items:
        if str(item["path"]).startswith("undo:"):
            taken |= {str(item["step"])} if item["state"] == "succeeded" else set()
        else:
            states.setdefault(str(item["step"]), set()).add(str(item["state"]))
    for step in plan.steps:
        if not step.call:
            continue
        state = states.get(step.id, set())
        if step.id in taken:
            found["back"].append(step)
        elif "uncertain" in state:
            found["unclear"].append(step)
        else:
            found["done" if "succeeded" in state else "undone"].append(step)
    return Rest(*(tuple(found[name]) for name in ("undone", "done", "unclear", "back")))


def called_off(before: Rest, after: Rest, home: Home, language: str = "en") -> tuple[Said, ...]:
    """What to say of a run that was called off: `before` and `after` that."""
    known = {step.id for step in before.done}
    late = [step for step in after.done if step.id not in known]
    if language == "de":
        parts = ["Gut, das geschieht nicht mehr."] if after.undone else []
        parts += ["Etwas davon war schon im Gang und ist geschehen."] if late else []
        parts += ["Ob alles unterblieben ist, weiß ich nicht: Bitte sieh nach."] if after.unclear else []
        return tuple(Said(one, "safety") for one in parts or ["Das ist schon geschehen."])
    parts = [f"I will not {_said(after.undone, home)}."] if after.undone else []
    parts += [f"It was too late to call this off, it is done: {_said(late, home)}."] if late else []
    parts += (
        [f"I do not know whether this was done: {_said(after.unclear, home)}. Please look."]
        if after.unclear
        else []
    )
    parts += [f"I took this back: {_said(after.back, home)}."] if after.back else []
    return tuple(Said(one, "safety") for one in parts or ["That is done already."])


def _said(steps: Iterable[Step], home: Home) -> str:
    return listed([step_words(step, home) for step in steps], "or")


class CallingOff:
    """See the module."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def answer(
        self,
        understanding: Understanding,
        turns: tuple[Turn, ...],
        who: Principal,
        home: Home,
        language: str,
        *,
        act: bool,
    ) -> Answer | None:
        """What came of "never mind", after these turns; None: nothing of it waits or waited, so that nothing is to be
        said but what the Cortex says. `act` False: only say what it would do."""
        if not takes_back(understanding) or not turns:
            return None
        run_id = self._own(turns[-1], who)
        if run_id is None:
            return self._still(understanding, turns, who, home, language)
        plan, document = self._runs.plan(run_id), self._runs.document(run_id)
        before = rest_of(plan, document["items"])
        if not act:
            said = (
                f"I would call this off: {_said(before.undone, home)}."
                if before.undone
                else "That is done already."
            )
            return Answer((Said(said),), "planned", understanding)
        if document["state"] not in RUN_ENDED:
            self._runs.cancel(run_id, describe_principal(who))
            try:
                async with asyncio.timeout(END_MS / 1000):
                    document = await self._runs.wait(run_id)
            except TimeoutError:
                said = "I called it off, and something of it is still under way: kindmesh jobs runs shows it."
                return Answer((Said(said, "safety"),), "partly", understanding, run=turns[-1].run)
        elif document["state"] != "cancelled" and not _waited(turns[-1]):
            said = _runs_on(turns[-1], home, language)
            return Answer((Said(said, "safety"),), "answered", understanding) if said else None
        after = rest_of(plan, document["items"])
        outcome = "done" if not after.unclear else "partly"
        return Answer(called_off(before, after, home, language), outcome, understanding, run=turns[-1].run)

    def _still(
        self, understanding: Understanding, turns: tuple[Turn, ...], who: Principal, home: Home, language: str
    ) -> Answer | None:
        """Something said earlier still waits: it is left, and that is said."""
        for turn in reversed(turns[:-1]):
            run_id = self._own(turn, who)
            if run_id is None or self._runs.row(run_id).state in RUN_ENDED:
                continue
            rest = rest_of(self._runs.plan(run_id), self._runs.document(run_id)["items"])
            if rest.undone and language != "de":
                said = f"All right. What you said before still counts: I will {_said(rest.undone, home)}."
                hint = f"To call it off: kindmesh jobs cancel {turn.run[:12]}."
                return Answer((Said(said, "safety"), Said(hint, "safety")), "answered", understanding)
        return None

    def _own(self, turn: Turn, who: Principal) -> bytes | None:
        """The run of a turn, if there is one that can be read and is this principal's."""
        if not turn.run:
            return None
        try:
            run_id = parse_time_id(turn.run)
            row = self._runs.row(run_id)
            self._runs.plan(run_id)
        except KindmeshError:
            # Forgotten since, or gone with an older journal.
            return None
        return run_id if row.principal == principal_text(who) else None


def _runs_on(turn: Turn, home: Home, language: str) -> str:
    """What to say of a timer that the turn started, and that still runs; empty: there is none."""
    acts = [act for part in turn.recognised for act in part.acts if act.args.get("service") == "timer.start"]
    things = [thing for act in acts for thing in act.args.get("entities", ())]
    if not any(thing in home.entities and home.entities[thing].state == "active" for thing in things):
        return ""
    if language == "de":
        return "Der Timer läuft noch. Sag „Timer abbrechen“, um ihn zu beenden."
    return 'The timer still runs. Say "cancel the timer" to end it.'


def _waited(turn: Turn) -> bool:
    return any(part.clause.delay_ms or part.clause.at_ms for part in turn.recognised)


__all__ = ["CallingOff", "Rest", "called_off", "rest_of", "takes_back"]
