"""The owner's rules in Cedar, evaluated: what they say of one thing that somebody wants to have done.

    forbids that match    the worst of their answers: `deny`, or `ask` where the rule says @answer("ask")
    permits that match    the mildest of their answers: `allow`, or `ask` where the rule says @answer("ask")
    no permit matches     `deny`
    the worst of the two counts, and afterwards the worst of this, the policy and everything else

So a forbid more never makes an answer milder, and a permit more never makes one graver. A rule that cannot be worked
out (a number that overflows) denies; Cedar itself would leave it out, also when it is a forbid. Rules that cannot be
used at all (no cedarpy, a text that does not hold any more) deny everything. Pure: the same question, the same answer.
This is the one module that knows `cedarpy`, which is imported when there are rules, and not before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.cedar_text import Statement, Token, statements
from kindmesh.protocol.errors import ConfigError, InvalidInput, KindmeshError
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.policy import SEVERITY, Answer

CACHE_MAX: Final = 4_096
"""Answers that are remembered."""
AMOUNT_MAX: Final = 10**12
"""What an amount that is not known counts as."""
_UNFINISHED: Final = "unexpected end of input"
_NEUTRAL: Final[dict[str, Any]] = {
    "minute": 0, "weekday": 1, "present": False, "said": False, "proven": False, "purpose": "", "amount": 0,
    "source": "", "area": (), "data": (),
}  # fmt: skip


class Asked(msgspec.Struct, frozen=True):
    """One question for the rules: who, what, with which thing, and how things stand; see `rules.cedarschema`.

    `thing`: its id, `?` where that is not known yet, empty where the operation is about the device as such; `names`:
    what people call it and where it is; `amount`: whole units; `effects`: a bit set; `later`: what is only known later,
    in words for a person (a review of a plan), empty: all is known.
    """

    action: str
    operation: str
    effects: int
    person: str = "owner"
    name: str = ""
    kind: str = "owner"
    role: str = "owner"
    service: str = ""
    thing: str = ""
    names: tuple[str, ...] = ()
    device: str = ""
    minute: int = 0
    weekday: int = 1
    present: bool = False
    said: bool = False
    proven: bool = False
    purpose: str = "household"
    amount: int = 0
    source: str = "model"
    area: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    later: str = ""

    @property
    def about(self) -> str:
        """In words: the action and its thing."""
        called = next(iter(self.names), "") or self.thing.removeprefix("?") or self.device
        return f"{self.action} on {called}" if called else self.action


class Ruled(msgspec.Struct, frozen=True):
    """The answer, a sentence for a person, and the ids of the rules that made it (none: nothing permits it)."""

    answer: Answer
    reason: str = ""
    rules: tuple[str, ...] = ()


class _Known(msgspec.Struct, frozen=True):
    """A rule as it counts."""

    id: str
    answer: Answer
    says: str
    permit: bool


class Rules:
    """See the module. `problem`: why nothing can be permitted, empty: they hold."""

    def __init__(self, text: str) -> None:
        self.problem = ""
        self.names_devices = False
        """Whether a rule is about a device by name."""
        self._answers: dict[Asked, Ruled] = {}
        self._needs: frozenset[str] = frozenset()
        self._known: list[list[_Known]] = [[], []]
        self._sets: list[Any] = [None, None]
        try:
            self._compile(text)
        except KindmeshError as error:
            self.problem = f"the owner's rules cannot be used: {error.message} {error.hint}".strip()

    def _compile(self, text: str) -> None:
        cut = statements(text)
        self._needs = mentioned(cut)
        self.names_devices = any(uid.type.text == "Device" for one in cut for uid in one.uids)
        asking = [one for one in cut if _is_asking_forbid(one)]
        for place, some in enumerate(([one for one in cut if one not in asking], asking)):
            self._known[place] = [_rule(one) for one in some]
            self._sets[place] = parsed("\n".join(one.text for one in some)) if some or not place else None

    def needs(self, name: str) -> bool:
        """Whether a rule looks at `context.NAME`."""
        return name in self._needs

    def answer(self, asked: Asked) -> Ruled:
        """What the rules say of it."""
        if self.problem:
            return Ruled("deny", self.problem)
        unneeded = {name: value for name, value in _NEUTRAL.items() if name not in self._needs}
        key = msgspec.structs.replace(asked, **unneeded)
        found = self._answers.get(key)
        if found is None:
            if len(self._answers) >= CACHE_MAX:
                self._answers.clear()
            found = self._answers[key] = self._ruled(key)
        return found

    def _ruled(self, asked: Asked) -> Ruled:
        question, entities = _question(asked), _entities(asked)
        allowed, first, wrong = self._evaluated(0, question, entities)
        asking: list[_Known] = []
        if self._sets[1] is not None:
            _, asking, more = self._evaluated(1, question, entities)
            wrong += more
        if wrong:
            called = ", ".join(one.id for one in wrong)
            return Ruled("deny", f"a rule of the owner's cannot be worked out here: {called}", _ids(wrong))
        if not allowed:
            return _denied(asked, first)
        mildest: Answer = min((one.answer for one in first), key=SEVERITY.__getitem__)
        if mildest == "allow" and not asking:
            return Ruled("allow", "", _ids(one for one in first if one.answer == "allow"))
        deciding = asking or first
        says = next((one.says for one in deciding if one.says), "")
        says = says or f"the owner's rules ask before {asked.about}"
        return Ruled("ask", f"{says} (rule {', '.join(_ids(deciding))})", _ids(deciding))

    def _evaluated(
        self, place: int, question: dict[str, Any], entities: str
    ) -> tuple[bool, list[_Known], list[_Known]]:
        """Whether it is allowed, the rules that made it so, and those that cannot be worked out."""
        said = _library().is_authorized(question, self._sets[place], entities)
        known = self._known[place]
        wrong = [known[_number(one)] for one in said.diagnostics.errors]
        return said.allowed, [known[_number(one)] for one in said.diagnostics.reasons], wrong


def _denied(asked: Asked, forbids: list[_Known]) -> Ruled:
    if forbids:
        says = next((one.says for one in forbids if one.says), "")
        says = says or f"the owner's rules forbid {asked.about}"
        return Ruled("deny", f"{says} (rule {', '.join(_ids(forbids))})", _ids(forbids))
    if asked.later:
        return Ruled("ask", f"no rule of the owner's permits {asked.about} whatever it is: {asked.later}")
    return Ruled("deny", f"no rule of the owner's permits {asked.about}")


def _ids(rules: Iterable[_Known]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.id for one in rules))


def _number(said: str) -> int:
    """The place of a rule: in `policy7`, or in a sentence about it."""
    digits = said.rpartition("`policy")[2] if "`policy" in said else said.removeprefix("policy")
    return int(digits.partition("`")[0])


def _is_asking_forbid(one: Statement) -> bool:
    rule = _rule(one)
    return not rule.permit and rule.answer == "ask"


def _rule(one: Statement) -> _Known:
    said = {annotation.name.text: annotation.value for annotation in one.annotations}
    permit = effect_of(one).text == "permit"
    usual: Answer = "allow" if permit else "deny"
    answer: Answer = "ask" if said.get("answer") == "ask" else usual
    return _Known(said.get("id") or f"line {one.tokens[0].line}", answer, said.get("says", ""), permit)


def effect_of(one: Statement) -> Token:
    """The word `permit` or `forbid` of a rule; the first token where neither is there."""
    place, words = 0, one.tokens
    while place + 1 < len(words) and words[place].text == "@":
        place += 5 if place + 2 < len(words) and words[place + 2].text == "(" else 2
    return words[min(place, len(words) - 1)]


def mentioned(cut: Iterable[Statement]) -> frozenset[str]:
    """The parts of the context that rules look at; all of them where one uses the context as a whole."""
    found: set[str] = set()
    for one in cut:
        uses = sum(token.text == "context" for token in one.tokens)
        names = [token.value if token.kind == "text" else token.text for token in one.of_context()]
        if len(names) < uses:
            return frozenset(_NEUTRAL)
        found |= set(names)
    return frozenset(found)


# ------------------------------------------------------------------------------------------------- what Cedar is given


def _question(asked: Asked) -> dict[str, Any]:
    context = {
        "minute": asked.minute, "weekday": asked.weekday, "present": asked.present, "said": asked.said,
        "proven": asked.proven, "purpose": asked.purpose, "effects": effect_names(asked.effects),
        "amount": min(asked.amount, AMOUNT_MAX), "source": asked.source, "area": list(asked.area),
        "data": list(asked.data), "operation": asked.operation, "service": asked.service,
    }  # fmt: skip
    return {
        "principal": _uid("Person", asked.person),
        "action": _uid("Action", asked.action),
        "resource": _resource(asked),
        "context": context,
    }


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _resource(asked: Asked) -> dict[str, str]:
    return _uid("Thing", asked.thing) if asked.thing else _uid("Device", asked.device)


def _entities(asked: Asked) -> str:
    names = [name.casefold() for name in asked.names]
    called = next(iter(asked.names), "") or asked.thing
    device = _uid("Device", asked.device)
    if asked.thing:
        attrs = {"name": called, "kind": asked.thing.partition(".")[0], "names": names}
        above = [_uid("Area", name) for name in names] + ([device] if asked.device else [])
    else:
        attrs, above = {"name": asked.device, "kind": "device", "names": [asked.device.casefold()]}, []
    return json.dumps([
        {
            "uid": _uid("Person", asked.person),
            "attrs": {"name": asked.name, "kind": asked.kind},
            "parents": [_uid("Role", asked.role)],
        },
        {"uid": _resource(asked), "attrs": attrs, "parents": above},
        {"uid": _uid("Action", asked.action), "attrs": {}, "parents": _groups(asked)},
    ])  # fmt: skip


def _groups(asked: Asked) -> list[dict[str, str]]:
    """What an action belongs to: its effects, its operation, and what stands before the dot of both."""
    groups = {f"effect.{name}" for name in effect_names(asked.effects)}
    groups |= {asked.operation, asked.operation.partition(".")[0], asked.action.partition(".")[0]}
    return [_uid("Action", name) for name in sorted(groups - {asked.action, ""})]


# --------------------------------------------------------------------------------------------------- Cedar's own words


def _library() -> ModuleType:
    """`cedarpy`.

    Raises:
        ConfigError: it is not installed, or cannot be loaded here.
    """
    try:
        import cedarpy  # noqa: PLC0415 - only once somebody has rules
    except ImportError as error:
        raise ConfigError(
            "cedarpy is not installed where Medulla runs", field="cedar", hint="pip install 'kindmesh[brain]'"
        ) from error
    return cedarpy


def parsed(text: str) -> Any:
    """Rules, parsed once for many questions.

    Raises:
        InvalidInput: Cedar does not understand them. ConfigError: no cedarpy.
    """
    problem = parse_problem(text)
    if problem:
        raise InvalidInput(f"this is not Cedar: {problem}", field="cedar")
    return _library().PolicySet.from_str(text)


def parse_problem(text: str) -> str:
    """What Cedar's parser has against a text, or empty.

    Raises:
        ConfigError: no cedarpy.
    """
    library = _library()
    try:
        library.PolicySet.from_str(text)
    except ValueError as error:
        return str(error)
    return ""


def first_wrong(one: Statement) -> Token | None:
    """Where Cedar's parser stops making sense of a rule: the shortest beginning that no end could complete. None: the
    grammar holds, and what is wrong is something else."""
    tokens, text = one.tokens, one.text
    base = tokens[0].start
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high) // 2
        said = parse_problem(text[: tokens[middle].end - base])
        if said and said != _UNFINISHED:
            high = middle
        else:
            low = middle + 1
    found = None if low == len(tokens) else tokens[low]
    return None if found is None or not parse_problem(text).startswith("unexpected token") else found


def type_problems(texts: Mapping[int, str], schema: str) -> dict[int, list[str]]:
    """What Cedar's validator has against rules, by the number under which each is given.

    Raises:
        ConfigError: no cedarpy.
    """
    library = _library()
    known = library.Schema.from_str(schema)
    found = {}
    for number, text in texts.items():
        said = library.validate_policies(text, known)
        sentences = [str(one.error).removeprefix("for policy `policy0`, ") for one in said.errors]
        if sentences:
            found[number] = list(dict.fromkeys(sentences))
    return found


__all__ = [
    "AMOUNT_MAX", "CACHE_MAX", "Asked", "Ruled", "Rules", "effect_of", "first_wrong", "mentioned", "parse_problem",
    "parsed", "type_problems",
]  # fmt: skip
