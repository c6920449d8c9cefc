"""The reason-act loop of the planner: what follows from each thing that a model says. Pure.

    asking --Said: tools that look--> looking --Looked--> asking
       |----Said: steps, or a mistake that may be repaired; Garbled, once--> asking
       |----Said: finish--> judging --Judged: accepted--> over
       |                        `--Judged: reasons, at most REVISIONS_MAX times--> asking
       `----Said: an answer, a question, give_up, the same plan again; Failed; out of bounds--> over

It always ends, and in one of four ways: with a plan that `check_plan` accepts, an answer, a question, or an honest
word that it was not possible. Bounds: rounds, tokens, time, steps, looks. A call that a manifest refuses may be
repaired once for each operation. A plan that is refused, or that a person would be asked about, is made again from the
beginning, at most `REVISIONS_MAX` times, and then it is refused or asked about as it is. Nothing a model says is
taken as more than data: names are looked up, arguments checked, labels put on here (`draft`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Reply, Situation, Understanding
from kindmesh.coordinator.brain.planner.draft import Draft
from kindmesh.coordinator.brain.planner.loop_words import (
    AskModel,
    Bounds,
    Call,
    End,
    Event,
    Failed,
    Garbled,
    Instruction,
    Judge,
    Judged,
    Look,
    Looked,
    LookUp,
    Said,
    Told,
)
from kindmesh.coordinator.brain.planner.tools import (
    ASK,
    FINISH,
    GIVE_UP,
    WAIT,
    Toolbox,
    checked,
    only_reads,
    own_arguments,
)
from kindmesh.coordinator.brain.planner.words import Sources
from kindmesh.protocol.errors import InvalidInput, InvalidTransition
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.plan_labels import Source

REVISIONS_MAX: Final = 3
SAY_MAX: Final = 2_000
INTENT: Final = "model"
COULD_NOT: Final = "I could not work out how to do that."

State: TypeAlias = Literal["asking", "looking", "judging", "over"]


class Loop:
    """See the module. `can_look`: what only reads can be done while planning; `sources`: as of `Draft`."""

    __slots__ = (
        "_bounds",
        "_can_look",
        "_draft",
        "_finished_by",
        "_garbled",
        "_kept",
        "_pending",
        "_refused",
        "_revisions",
        "_rounds",
        "_situation",
        "_started_ms",
        "_text",
        "_tokens",
        "_told",
        "_toolbox",
        "_utterance",
        "state",
    )  # fmt: skip

    def __init__(
        self,
        text: str,
        situation: Situation,
        toolbox: Toolbox,
        *,
        now_ms: int,
        bounds: Bounds,
        can_look: bool,
        sources: Mapping[str, Source],
    ) -> None:
        self.state: State = "asking"
        self._utterance, self._situation, self._toolbox = text, situation, toolbox
        self._bounds, self._can_look = bounds, can_look
        self._started_ms = now_ms
        self._draft = Draft(bounds.steps, bounds.looks, sources)
        self._pending: tuple[str, ...] = ()
        self._told: list[Told] = []
        self._refused: set[str] = set()
        self._rounds = self._tokens = self._revisions = 0
        self._text = self._finished_by = ""
        self._garbled = False
        self._kept: Understanding | None = None
        """The plan that was judged last, and not accepted."""

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What follows from it.

        Raises:
            InvalidTransition: it cannot be now; nothing was changed.
        """
        rule = TABLE.get((self.state, type(event)))
        if rule is None:
            raise InvalidTransition(f"{type(event).__name__} while {self.state}")
        return rule(self, event, now_ms)

    def validate(self) -> None:
        """Check what must hold between any two events.

        Raises:
            InvalidTransition: which rule is broken.
        """
        if (
            not self._draft.within
            or self._revisions > REVISIONS_MAX
            or (self.state == "looking") != bool(self._pending)
        ):
            raise InvalidTransition(f"{self.state} with {len(self._draft)} steps")

    @property
    def data_classes(self) -> tuple[str, ...]:
        """What the conversation is about so far: the request, the home, and what was looked at."""
        return tuple(sorted({"text", "home", *self._draft.data_classes}))

    # What a model said.

    def _said(self, event: Said, now_ms: int) -> list[Instruction]:
        self._rounds += 1
        self._tokens += event.tokens
        self._text = event.text.strip()[:SAY_MAX]
        self._told, self._finished_by = [], ""
        if not event.calls:
            return self._finish(self._text)
        if len(event.calls) > self._bounds.steps:
            return self._stuck()
        lookups: list[LookUp] = []
        ending: Call | None = None
        for call in event.calls:
            try:
                if call.name in (FINISH, ASK, GIVE_UP):
                    own_arguments(call.name, call.arguments)
                    if ending is not None:
                        raise InvalidInput("there is one end")
                    ending = call
                else:
                    lookups += self._one(call)
            except InvalidInput as error:
                if call.name in self._refused:
                    return self._stuck()
                self._refused.add(call.name)
                self._told.append(
                    Told(f"This call is not possible: {error.message} {error.hint}".strip(), call.id)
                )
        # Whatever a model says of its end counts only when everything else of the round was right and is known.
        settled = not lookups and not self._told_of_mistakes()
        if ending is not None and settled:
            return self._ending(ending)
        if ending is not None:
            self._told.append(Told("Not yet: look at the other results first.", ending.id))
        if self._out_of_bounds(now_ms):
            return self._stuck()
        if lookups:
            self.state, self._pending = "looking", tuple(one.name for one in lookups)
            return [Look(tuple(lookups))]
        return [AskModel(tuple(self._told))]

    def _told_of_mistakes(self) -> bool:
        return any(told.text.startswith("This call is not possible") for told in self._told)

    def _one(self, call: Call) -> Iterator[LookUp]:
        """Take one call; gives what is to be looked up."""
        if call.name == WAIT:
            self._note(self._draft.wait(int(own_arguments(WAIT, call.arguments) * 1000)), call)
            return
        operation = self._toolbox.operation(call.name)
        if operation is None:
            raise InvalidInput("there is no such tool")
        plain = {name: self._draft.resolved(value, name) for name, value in call.arguments.items()}
        plain = checked(operation, plain)
        if not (self._can_look and only_reads(operation)):
            self._note(self._draft.call(operation, dict(call.arguments)), call)
            return
        yield self._draft.look(operation, plain, call.id)

    def _note(self, number: int, call: Call) -> None:
        self._told.append(Told(f"Noted as step {number} of the plan. It is not done yet.", call.id))

    def _ending(self, call: Call) -> list[Instruction]:
        said = str(own_arguments(call.name, call.arguments)).strip()[:SAY_MAX]
        self._finished_by = call.id
        if call.name == FINISH:
            return self._finish(said)
        if call.name == ASK:
            return self._end(Understanding(True, (self._recognised(),), question=said))
        return self._give_up(said)

    # What was read, and what the reviewer says.

    def _looked(self, event: Looked, now_ms: int) -> list[Instruction]:
        if tuple(one.name for one in event.seen) != self._pending:
            raise InvalidTransition("other looks than those that were asked for")
        for one in event.seen:
            read = self._draft.seen(one)
            said = f"It did not work: {one.error}" if one.error else f"This is {one.name}:"
            self._told.append(Told(said, read.call_id, None if one.error else {"result": one.value}))
        self.state, self._pending = "asking", ()
        return [AskModel(tuple(self._told))]

    def _judged(self, event: Judged, now_ms: int) -> list[Instruction]:
        made = self._understood(self._plan(), self._text)
        again = self._kept is not None and self._kept.plan == made.plan
        if not event.reasons or again or self._revisions >= REVISIONS_MAX or self._out_of_bounds(now_ms):
            return self._end(made)
        self._kept = made
        reasons = "; ".join(event.reasons)[:1_000]
        self._revisions += 1
        self._draft.restart()
        self.state = "asking"
        said = _ASKED if event.asks else _REFUSED
        return [AskModel((*self._told, Told(said, self._finished_by, reasons)))]

    def _read_nothing(self, event: Garbled, now_ms: int) -> list[Instruction]:
        if self._garbled or self._out_of_bounds(now_ms):
            return self._stuck("The language model did not answer sensibly.")
        self._garbled = True
        return [
            AskModel(
                (Told("Your answer could not be read. Call the tools that are there, with proper JSON."),)
            )
        ]

    def _failed(self, event: Failed, now_ms: int) -> list[Instruction]:
        return self._stuck(event.why)

    # The ends.

    def _finish(self, said: str) -> list[Instruction]:
        if not len(self._draft):
            return self._answer(said) if self._kept is None else self._end(self._kept)
        self._text = said
        plan = self._plan()
        try:
            check_plan(plan)
        except InvalidInput:
            return self._stuck()
        self.state = "judging"
        return [Judge(plan)]

    def _answer(self, said: str = "") -> list[Instruction]:
        """Words are all there is; they answer only where there are some."""
        text = said or self._text
        if not text:
            return self._give_up()
        return self._end(Understanding(True, (self._recognised(text),), reply=text))

    def _stuck(self, why: str = "") -> list[Instruction]:
        """No better plan than the one that was judged, if there is one: that is told as it is, with its reasons."""
        return self._give_up(why) if self._kept is None else self._end(self._kept)

    def _give_up(self, why: str = "") -> list[Instruction]:
        reply = f"{COULD_NOT} {why}".strip()
        return self._end(Understanding(False, reply=reply))

    def _end(self, understanding: Understanding) -> list[Instruction]:
        self.state, self._pending = "over", ()
        return [End(understanding)]

    def _out_of_bounds(self, now_ms: int) -> bool:
        return (
            self._rounds >= self._bounds.rounds
            or self._tokens >= self._bounds.tokens
            or now_ms - self._started_ms >= self._bounds.time_ms
        )

    # What it comes to.

    def _plan(self) -> Plan:
        sources = Sources(self._utterance, self._situation.home, self._draft.known)
        return self._draft.plan(self._utterance, sources)

    def _understood(self, plan: Plan, said: str) -> Understanding:
        """No reply: what was done is said when it was seen to be done, and not by whoever planned it."""
        return Understanding(True, (self._recognised(said=said),), plan)

    def _recognised(self, reply: str = "", said: str = "") -> Recognised:
        acts = self._draft.acts()
        named = [one for act in acts for one in act.args.get("entities", ()) if isinstance(one, str)]
        entities = tuple(dict.fromkeys(one for one in named if one in self._situation.home.entities))
        slots = {"said": said} if said else {}
        clause = Clause(self._utterance)
        return Recognised(INTENT, slots, acts, Reply(reply), 0.5, entities, clause=clause)


_REFUSED: Final = "The plan was not accepted. Plan again from the beginning, or give up. Why:"
_ASKED: Final = (
    "A person would have to say yes to this plan first. If you can, plan again from the beginning without what is in "
    "doubt; else call finish, and the person is asked. Why:"
)

TABLE: Final[dict[tuple[str, type], Callable[..., list[Instruction]]]] = {
    ("asking", Said): Loop._said,  # noqa: SLF001 - rules of the machine itself
    ("asking", Garbled): Loop._read_nothing,  # noqa: SLF001
    ("asking", Failed): Loop._failed,  # noqa: SLF001
    ("looking", Looked): Loop._looked,  # noqa: SLF001
    ("looking", Failed): Loop._failed,  # noqa: SLF001
    ("judging", Judged): Loop._judged,  # noqa: SLF001
    ("judging", Failed): Loop._failed,  # noqa: SLF001
}
"""The one table. Over is over."""

__all__ = ["COULD_NOT", "INTENT", "REVISIONS_MAX", "TABLE", "Loop"]
