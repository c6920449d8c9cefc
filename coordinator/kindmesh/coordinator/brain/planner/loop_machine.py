"""The reason-act loop of the planner: what follows from each thing that a model says. Pure.

    asking --Said: tools that look--> looking --Looked--> asking
       |----Said: steps, or a mistake that may be repaired; Garbled, once--> asking
       |----Said: finish--> judging --Judged: accepted--> over
       |                        `--Judged: reasons, at most REVISIONS_MAX times--> asking
       `----Said: an answer, a question, give_up; Failed; out of bounds--> over

It always ends, and in one of four ways: with a plan that `check_plan` accepts, an answer, a question, or an honest
word that it was not possible. Bounds: rounds, tokens, time, steps, looks. A call that a manifest refuses may be
repaired once for each operation. A plan that is refused is made again from the beginning. Nothing a model says is
taken as more than data: names are looked up, arguments checked, labels put on here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Act, Clause, Recognised, Reply, Situation, Understanding
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
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan import Pause, Plan, Step
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.plan_labels import Label, Source, Traced
from kindmesh.protocol.plan_values import check_value, evaluate, operator, references

REVISIONS_MAX: Final = 3
NAME_MAX: Final = 200
SAY_MAX: Final = 2_000
INTENT: Final = "model"
COULD_NOT: Final = "I could not work out how to do that."

State: TypeAlias = Literal["asking", "looking", "judging", "over"]


class Bounds(msgspec.Struct, frozen=True):
    """The most that one request may take."""

    rounds: int = 12
    tokens: int = 60_000
    time_ms: int = 60_000
    steps: int = 24
    looks: int = 12


class Call(msgspec.Struct, frozen=True):
    """A tool call of the model."""

    id: str
    name: str
    arguments: dict[str, Any]


class Said(msgspec.Struct, frozen=True):
    """The model answered; `tokens` that it took, in and out."""

    text: str
    calls: tuple[Call, ...]
    tokens: int


class Seen(msgspec.Struct, frozen=True):
    """What a look gave: a value, or in `error` why there is none."""

    name: str
    value: Any = None
    error: str = ""


class Looked(msgspec.Struct, frozen=True):
    """What the looks of one round gave, in their order."""

    seen: tuple[Seen, ...]


class Judged(msgspec.Struct, frozen=True):
    """What the reviewer says: no reasons, it is accepted."""

    reasons: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True):
    """No model answers, or time is up; `why` is a sentence for the person, or empty."""

    why: str = ""


class Garbled(msgspec.Struct, frozen=True):
    """What the model wrote could not be read."""


Event: TypeAlias = Said | Looked | Judged | Failed | Garbled


class Told(msgspec.Struct, frozen=True):
    """Something to say to the model: the result of one of its calls, or (without an id) a word of ours. `data` is not
    ours and is fenced."""

    text: str
    call_id: str = ""
    data: Any = None


class AskModel(msgspec.Struct, frozen=True):
    """Ask the model on, after telling it this."""

    told: tuple[Told, ...]


class LookUp(msgspec.Struct, frozen=True):
    """Do an operation that only reads; `name` is what its result is called."""

    name: str
    operation: str
    arguments: dict[str, Any]


class Look(msgspec.Struct, frozen=True):
    """Do these, all that the model asked for in this round."""

    lookups: tuple[LookUp, ...]


class Judge(msgspec.Struct, frozen=True):
    """Have this plan reviewed."""

    plan: Plan


class End(msgspec.Struct, frozen=True):
    """It is over."""

    understanding: Understanding


Instruction: TypeAlias = AskModel | Look | Judge | End


class _Draft(msgspec.Struct):
    """A step that is to be: a call with checked arguments, or a pause."""

    operation: Operation | None
    given: dict[str, Any]
    pause_ms: int = 0


class _Read(msgspec.Struct):
    """A look: what was asked, for which call, and what came of it."""

    lookup: LookUp
    call_id: str
    label: Label
    value: Any = None
    known: bool = False


class Loop:
    """See the module. `can_look`: what only reads can be done while planning; `sources`: whether a capability's
    results
    come from the web, where they are not from a device."""

    __slots__ = (
        "_bounds",
        "_can_look",
        "_drafts",
        "_finished_by",
        "_garbled",
        "_pending",
        "_reads",
        "_refused",
        "_revisions",
        "_rounds",
        "_situation",
        "_sources",
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
        self._bounds, self._can_look, self._sources = bounds, can_look, sources
        self._started_ms = now_ms
        self._drafts: list[_Draft] = []
        self._reads: dict[str, _Read] = {}
        self._pending: tuple[str, ...] = ()
        self._told: list[Told] = []
        self._refused: set[str] = set()
        self._rounds = self._tokens = self._revisions = 0
        self._text = self._finished_by = ""
        self._garbled = False

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
        within = len(self._drafts) <= self._bounds.steps and len(self._reads) <= self._bounds.looks
        if not within or self._revisions > REVISIONS_MAX or (self.state == "looking") != bool(self._pending):
            raise InvalidTransition(f"{self.state} with {len(self._drafts)} steps, {len(self._reads)} looks")

    @property
    def data_classes(self) -> tuple[str, ...]:
        """What the conversation is about so far: the request, the home, and what was looked at."""
        found = {"text", "home", *(word for read in self._reads.values() for word in read.label.data_class)}
        return tuple(sorted(found))

    # What a model said.

    def _said(self, event: Said, now_ms: int) -> list[Instruction]:
        self._rounds += 1
        self._tokens += event.tokens
        self._text = event.text.strip()[:SAY_MAX]
        self._told, self._finished_by = [], ""
        if not event.calls:
            return self._finish(self._text) if self._drafts else self._answer()
        if len(event.calls) > self._bounds.steps:
            return self._give_up()
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
                    return self._give_up()
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
            return self._give_up()
        if lookups:
            self.state, self._pending = "looking", tuple(one.name for one in lookups)
            return [Look(tuple(lookups))]
        return [AskModel(tuple(self._told))]

    def _told_of_mistakes(self) -> bool:
        return any(told.text.startswith("This call is not possible") for told in self._told)

    def _one(self, call: Call) -> Iterator[LookUp]:
        """Take one call; gives what is to be looked up."""
        if call.name == WAIT:
            self._draft(_Draft(None, {}, int(own_arguments(WAIT, call.arguments) * 1000)), call)
            return
        operation = self._toolbox.operation(call.name)
        if operation is None:
            raise InvalidInput("there is no such tool")
        plain = {name: self._resolved(value, name) for name, value in call.arguments.items()}
        plain = checked(operation, plain)
        if not (self._can_look and only_reads(operation)):
            self._draft(_Draft(operation, dict(call.arguments)), call)
            return
        if len(self._reads) >= self._bounds.looks:
            raise InvalidInput("that was looked at often enough", hint="Finish, or give up.")
        lookup = LookUp(f"look{len(self._reads) + 1}", operation.name, plain)
        source = self._sources.get(operation.name.partition(".")[0], "device")
        self._reads[lookup.name] = _Read(lookup, call.id, Label(source, data_class=operation.data_classes))
        yield lookup

    def _draft(self, draft: _Draft, call: Call) -> None:
        if len(self._drafts) >= self._bounds.steps:
            raise InvalidInput(f"a plan has at most {self._bounds.steps} steps here")
        self._drafts.append(draft)
        self._told.append(
            Told(f"Noted as step {len(self._drafts)} of the plan. It is not done yet.", call.id)
        )

    def _resolved(self, value: Any, where: str) -> Any:
        """A value with references to what was read in place of them; no other operator is a model's to use."""
        check_value(value, where)
        for word in _operators(value):
            if word != "$from":
                hint = "Write the value itself."
                raise InvalidInput(f"{word[:40]} is not for you to write", field=where, hint=hint)
        scope = {name: Traced(read.value, read.label) for name, read in self._reads.items() if read.known}
        for reference in references(value):
            if reference.root not in scope:
                raise InvalidInput(f"nothing was read as {reference.root}", field=where)
        return evaluate(value, scope, where).value

    def _ending(self, call: Call) -> list[Instruction]:
        said = str(own_arguments(call.name, call.arguments)).strip()[:SAY_MAX]
        self._finished_by = call.id
        if call.name == FINISH:
            return self._finish(said) if self._drafts else self._answer(said)
        if call.name == ASK:
            return self._end(Understanding(True, (self._recognised(),), question=said))
        return self._give_up(said)

    # What was read, and what the reviewer says.

    def _looked(self, event: Looked, now_ms: int) -> list[Instruction]:
        if tuple(one.name for one in event.seen) != self._pending:
            raise InvalidTransition("other looks than those that were asked for")
        for one in event.seen:
            read = self._reads[one.name]
            read.value, read.known = one.value, not one.error
            said = f"It did not work: {one.error}" if one.error else f"This is {one.name}:"
            self._told.append(Told(said, read.call_id, None if one.error else {"result": one.value}))
        self.state, self._pending = "asking", ()
        return [AskModel(tuple(self._told))]

    def _judged(self, event: Judged, now_ms: int) -> list[Instruction]:
        if not event.reasons:
            return self._end(self._understood(self._plan(), self._text))
        reasons = "; ".join(event.reasons)[:1_000]
        if self._revisions >= REVISIONS_MAX or self._out_of_bounds(now_ms):
            return self._give_up(f"It is not allowed: {event.reasons[0][:300]}")
        self._revisions += 1
        self._drafts = []
        self.state = "asking"
        said = "The plan was not accepted. Plan again from the beginning, or give up. Why:"
        return [AskModel((*self._told, Told(said, self._finished_by, reasons)))]

    def _read_nothing(self, event: Garbled, now_ms: int) -> list[Instruction]:
        if self._garbled or self._out_of_bounds(now_ms):
            return self._give_up("The language model did not answer sensibly.")
        self._garbled = True
        return [
            AskModel(
                (Told("Your answer could not be read. Call the tools that are there, with proper JSON."),)
            )
        ]

    def _failed(self, event: Failed, now_ms: int) -> list[Instruction]:
        return self._give_up(event.why)

    # The ends.

    def _finish(self, said: str) -> list[Instruction]:
        self._text = said
        plan = self._plan()
        try:
            check_plan(plan)
        except InvalidInput:
            return self._give_up()
        self.state = "judging"
        return [Judge(plan)]

    def _answer(self, said: str = "") -> list[Instruction]:
        """Words are all there is; they answer only where there are some."""
        text = said or self._text
        if not text:
            return self._give_up()
        return self._end(Understanding(True, (self._recognised(text),), reply=text))

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

    # The plan.

    def _plan(self) -> Plan:
        """The steps in the order in which they were called, after the looks that they refer to."""
        sources = Sources(
            self._utterance, self._situation.home, [read.label for read in self._reads.values() if read.known]
        )
        used = self._used()
        steps = [
            Step(
                id=read.lookup.name, call=read.lookup.operation,
                args={name: sources.labelled(value) for name, value in read.lookup.arguments.items()},
            )
            for read in self._reads.values()
            if read.lookup.name in used
        ]  # fmt: skip
        before: tuple[str, ...] = tuple(step.id for step in steps)
        for number, draft in enumerate(self._drafts, start=1):
            name = f"do{number}" if draft.operation is not None else f"wait{number}"
            if draft.operation is None:
                pause = Pause(for_ms=sources.labelled(draft.pause_ms))
                steps.append(Step(id=name, pause=pause, after=before))
            else:
                args = {field: _placed(value, sources) for field, value in draft.given.items()}
                title = draft.operation.title
                steps.append(Step(id=name, title=title, call=draft.operation.name, args=args, after=before))
            before = (name,)
        return Plan(name=self._utterance[:NAME_MAX], steps=tuple(steps))

    def _used(self) -> set[str]:
        return {
            reference.root
            for draft in self._drafts
            for value in draft.given.values()
            for reference in references(value)
        }

    def _understood(self, plan: Plan, said: str) -> Understanding:
        """No reply: what was done is said when it was seen to be done, and not by whoever planned it."""
        return Understanding(True, (self._recognised(said=said),), plan)

    def _recognised(self, reply: str = "", said: str = "") -> Recognised:
        calls = [draft for draft in self._drafts if draft.operation is not None]
        acts = tuple(
            Act(
                draft.operation.name,
                {name: self._resolved(value, name) for name, value in draft.given.items()},
            )
            for draft in calls
            if draft.operation is not None
        )
        named = [one for act in acts for one in act.args.get("entities", ()) if isinstance(one, str)]
        entities = tuple(dict.fromkeys(one for one in named if one in self._situation.home.entities))
        slots = {"said": said} if said else {}
        clause = Clause(self._utterance)
        return Recognised(INTENT, slots, acts, Reply(reply), 0.5, entities, clause=clause)


def _operators(value: Any) -> Iterator[str]:
    """Every operator in plain data, at whatever depth."""
    word = operator(value)
    if word:
        yield word
    if isinstance(value, dict):
        yield from (name for name in value if str(name).startswith("$") and name != word)
        for item in value.values():
            yield from _operators(item)
    elif isinstance(value, list):
        for item in value:
            yield from _operators(item)


def _placed(value: Any, sources: Sources) -> Any:
    """A value as the plan has it: references stay, everything else is labelled."""
    if operator(value):
        return value
    if isinstance(value, dict) and any(references(value)):
        return {name: _placed(item, sources) for name, item in value.items()}
    if isinstance(value, list) and any(references(value)):
        return [_placed(item, sources) for item in value]
    return sources.labelled(value)


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

__all__ = [
    "COULD_NOT", "INTENT", "REVISIONS_MAX", "TABLE", "AskModel", "Bounds", "Call", "End", "Failed", "Garbled", "Judge",
    "Judged", "Look", "LookUp", "Looked", "Loop", "Said", "Seen", "Told",
]  # fmt: skip
