"""What a plan must not be like, whatever its words: signs that nobody sees, a wait that nobody spoke of, a condition
left away, a question answered by an act, a payment once that becomes one every month.

`sinks`, `amounts` and `said` look at what an argument is called. What other systems call theirs nobody knows before,
so here every text that steers, moves or pays has to be said with all that tells it from another (`precise`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_back import only_its_state
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_looks import look
from kindmesh.coordinator.brain.medulla.review_scene import SELF, Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import field_words, is_content, sink_of
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import content, is_generic, is_place, stem, tokens
from kindmesh.coordinator.brain.medulla.rule_amounts import known_things, number_of

_SAID: Final = Sentence("said")
_ASKED: Final = Sentence("asked-for")
_INFLUENCE: Final = Sentence("influence")
_AMOUNT: Final = Sentence("amount")


@lru_cache(maxsize=64)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_STEERING: Final = int(bits.ACTUATE | bits.MOVE | bits.SPEND)
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Me", "Zl", "Zp"})
_LAYOUT: Final = "\n\r\t"
_SELECTORS: Final = frozenset({"\ufe0e", "\ufe0f"})
"""They only choose how a picture sign is drawn."""


def hidden(scene: Scene) -> Iterator[Reason]:
    """No value holds signs that nobody sees, or that turn the writing round or strike it through, unless said."""
    for call in scene.made.calls:
        for leaf in Scene.all_leaves(call):
            if isinstance(leaf.value, str) and _hides(leaf.value, scene.words.text, call, leaf):
                yield _SAID(call.step, f"{shown(leaf.value)} holds signs that nobody can see")


def _hides(text: str, said: str, call: Call, leaf: Leaf) -> bool:
    if text.isascii() and text.isprintable():
        return False
    before = ""
    for sign in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(sign)
        if (
            kind in _UNSEEN
            and sign not in said
            and not (sign in _LAYOUT and is_content(call.operation, leaf))
        ):
            return True
        if kind == "Mn" and before.isascii() and sign not in said and sign not in _SELECTORS:
            return True
        before = sign
    return False


def alphabets(scene: Scene) -> Iterator[Reason]:
    """No value mixes letters of several alphabets in one word, so that it looks like another."""
    for call in scene.made.calls:
        for leaf in Scene.all_leaves(call):
            if isinstance(leaf.value, str) and not leaf.value.isascii() and _mixed(leaf.value):
                yield _SAID(call.step, f"{shown(leaf.value)} mixes letters that look alike")


def _mixed(text: str) -> bool:
    for word in re.findall(r"[^\W\d_]+", text[:4_096]):
        kinds = {unicodedata.name(sign, "?").partition(" ")[0] for sign in word if not sign.isascii()}
        kinds |= {"LATIN"} if any(sign.isascii() for sign in word) else set()
        if "LATIN" in kinds and kinds & {
            "CYRILLIC",
            "GREEK",
            "ARMENIAN",
            "CHEROKEE",
            "FULLWIDTH",
            "MATHEMATICAL",
        }:
            return True
    return False


_WAITING: Final = _stems(
    """when whenever once if after before soon while unless wait watch alert warn wenn sobald falls nach bevor warte"""
)
_EACH_TIME: Final = re.compile(r"\b(?:every|each|next|jedes) ?(?:time|mal)\b")
_NEGATION: Final = re.compile(r"\b(?:not|no|never|unless|without|isn't|aren't|doesn't|don't|nicht|kein\w*)\b")
_LATER: Final = re.compile(r"\b(?:in|after) (?:\w+ ){1,4}(?:seconds?|minutes?|hours?|days?)\b")
_CONDITIONAL: Final = re.compile(
    r"^(?:please |bitte )?(?:if|unless|as soon as|once|falls|sobald|in case)\b|"
    r"^(?:please |bitte )?(?:only )?when (?!i |you )"
)


def waits(scene: Scene) -> Iterator[Reason]:
    """An effect waits, or depends on something, where and only where that was spoken of."""
    effects = [call for call in scene.made.calls if call.effects & ~int(bits.READ | bits.SENSE)]
    if not effects:
        return
    made, words, step = scene.made, scene.words, effects[0].step
    spoken = not words.stems.isdisjoint(_WAITING) or bool(_EACH_TIME.search(words.text))
    if made.events and (made.conditional or not spoken):
        yield _INFLUENCE(made.events[0], "this would wait for something that nobody spoke of")
    if made.negated and not _NEGATION.search(words.text):
        yield _INFLUENCE(step, "this would be done where what was said is not so")
    if made.events or made.conditional or made.pauses or made.unseen:
        return
    if _CONDITIONAL.search(words.text) and not (len(made.calls) == 1 and only_its_state(words.meant)):
        yield _ASKED(step, "there was an “if”, and nothing in the plan depends on anything")
    if _LATER.search(words.text) and not any(_timed(call, leaf) for call in effects for leaf in call.leaves):
        yield _ASKED(step, "a later time was said, and this would be done at once")


def _timed(call: Call, leaf: Leaf) -> bool:
    """Whether an argument says when, how long, or is a text in which a time may stand."""
    return bool(field_words(call.operation, leaf) & _WHEN) or is_content(call.operation, leaf)


_WHEN: Final = _stems(
    """start end time date when due at until deadline day from begin duration delay timeout for minute minutes hours
    seconds finish depart slot task what reminder"""
)


_ASKS: Final = re.compile(
    r"^(?:what|which|who|whose|where|why|did|does|is|are|was|were|has|"
    r"how (?:many|much|warm|cold|long|far|old|loud))\b(?! about)"
)
_MORE: Final = re.compile(r"[,;]|[.?!]\s+\w|\b(?:and|then|so)\b")
_AGAIN: Final = _stems(
    """every each daily weekly monthly yearly regular regularly standing recurring repeat always month months week
    weeks year quarterly subscribe subscription jeden jede monatlich dauerauftrag"""
)
_RECURRING: Final = _stems("recurring standing subscription subscribe repeat autopay recurrence")


def acts(scene: Scene) -> Iterator[Reason]:
    """A question is answered, not acted upon; what is paid once is not paid every week."""
    question = bool(_ASKS.search(scene.words.text)) and not _MORE.search(scene.words.text.rstrip("?!. "))
    for call in scene.made.calls:
        if call.operation is None or call.undo:
            continue
        beyond = int(bits.READ | bits.SENSE | bits.NOTIFY)
        if any(str(leaf.value).endswith("locate") for leaf in call.leaves):
            # "Where is it" is answered by letting it make itself heard.
            beyond |= int(bits.ACTUATE)
        if question and (
            call.effects & ~beyond or (scene.outward(call) and call.effects & ~int(bits.READ | bits.SENSE))
        ):
            yield _ASKED(
                call.step,
                f"that was a question, and this does something: {call.operation.title or call.name}",
            )
        if call.effects & bits.SPEND and scene.words.stems.isdisjoint(_AGAIN):
            name = {stem(word) for word in tokens(call.name.replace("_", " ").replace(".", " "))}
            title = {stem(word) for word in tokens(call.operation.title)}
            if (name | title) & _RECURRING:
                yield _ASKED(call.step, "this would be paid again and again, and once was spoken of")


_FREE: Final = _stems(
    """standard normal default auto automatic none any once now true false yes no fast slow low medium high asap express
    celsius fahrenheit metric percent eur usd gbp chf"""
)
_CURRENCY: Final = {
    "eur": _stems("euro euros eur cent cents"), "usd": _stems("dollar dollars usd buck bucks cent cents"),
    "gbp": _stems("pound pounds gbp quid pence"), "chf": _stems("franc francs chf franken"),
}  # fmt: skip
_SIGNS: Final = {"eur": "€", "usd": "$", "gbp": "£"}


def precise(scene: Scene) -> Iterator[Reason]:
    """Whatever an argument is called: a text that steers, moves or pays says nothing that was not said."""
    for call in scene.made.calls:
        if call.operation is None or not call.effects & _STEERING or call.undo or known_things(scene, call):
            continue
        for leaf in call.leaves:
            if not isinstance(leaf.value, str) or not leaf.value.strip() or scene.is_default(call, leaf):
                continue
            problem = _currency(scene, call, leaf) or _choice(scene, call, leaf) or _steers(scene, call, leaf)
            if problem:
                yield _SAID(call.step, problem)


def _currency(scene: Scene, call: Call, leaf: Leaf) -> str:
    code = str(leaf.value).casefold().strip()
    if "currency" not in str(leaf.field).casefold() or not call.effects & bits.SPEND:
        return ""
    said = {
        name
        for name, words in _CURRENCY.items()
        if words & scene.words.stems or _SIGNS.get(name, "\0") in scene.words.text
    }
    if code in said or (not said and code in _CURRENCY) or scene.words.says(stem(code)):
        return ""
    return f"nobody spoke of {shown(leaf.value)}"


def _choice(scene: Scene, call: Call, leaf: Leaf) -> str:
    field = Scene.field(call, leaf)
    if field is None or leaf.value not in field.choices:
        return ""
    parts = [word for word in content(leaf.value.replace("_", " ")) if word not in _FREE]
    named = all(scene.words.means(word) for word in parts)
    strict = call.effects & bits.SPEND or leaf.value.casefold() == "off"
    return f"{shown(leaf.value)} is not what was said" if strict and parts and not named else ""


def _steers(scene: Scene, call: Call, leaf: Leaf) -> str:
    value, names = str(leaf.value), field_words(call.operation, leaf)
    field = Scene.field(call, leaf)
    if (
        is_content(call.operation, leaf)
        or sink_of(call.effects, call.name, call.operation, leaf)
        or (field is not None and value in field.choices)
        or value.casefold() in SELF
        or look(value)
        or number_of(call, leaf) is not None
        or names & _NO_NAMES
    ):
        return ""
    words = scene.words_for(leaf)
    # Its kind may stand elsewhere in the sentence: "blinds in the study".
    strange = [
        word for word in content(value.replace("_", " ").replace("-", " "))
        if not is_generic(word) and word not in _FREE and not words.says(word) and not words.number_said(word)
        and (is_place(word) or not words.means(word))
    ]  # fmt: skip
    return f"this is about {shown(value)}, {scene.whence(leaf)}" if strange else ""


_NO_NAMES: Final = _stems(
    "service action command mode operation method verb state power currency unit type format language"
)
_COUNTED: Final = _stems(
    "count quantity qty pieces portions copies persons seats tickets nights units servings tablets pills times"
)
_MONEY_AFTER: Final = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(?:€|\$|£|euros?\b|dollars?\b|pounds?\b|eur\b|usd\b|gbp\b|cents?\b)"
)
_CLAUSE: Final = re.compile(r"\band\b|\bthen\b|\bund\b|[;]|,\s")


def units(scene: Scene) -> Iterator[Reason]:
    """A price is no number of pieces; and of two payments each has the amount that was said with it."""
    spending = [call for call in scene.made.calls if call.effects & bits.SPEND and not call.undo]
    text = scene.words.text
    prices = {float(found.replace(",", ".")) for found in _MONEY_AFTER.findall(text)}
    bare = {float(found) for found in re.findall(r"(?<![\w.,])\d+(?![\w.,])", _MONEY_AFTER.sub(" ", text))}
    for call in spending:
        for leaf in call.leaves:
            value = number_of(call, leaf)
            names = field_words(call.operation, leaf)
            if value is not None and names & _COUNTED and value > 1 and value in prices - bare:
                yield _AMOUNT(call.step, f"{value:g} was said as a price, not as how many")
    if len(spending) < 2:
        return
    clauses = [part for part in _CLAUSE.split(text) if part.strip()]
    for call in spending:
        names_said = [
            leaf.value for leaf in call.leaves
            if isinstance(leaf.value, str) and sink_of(call.effects, call.name, call.operation, leaf) == "recipient"
        ]  # fmt: skip
        own = [part for part in clauses if any(name.casefold() in part for name in names_said)]
        numbers = {
            float(one.replace(",", ".")) for part in own for one in re.findall(r"\d+(?:[.,]\d+)?", part)
        }
        amounts = [value for leaf in call.leaves if (value := number_of(call, leaf)) is not None]
        if numbers and amounts and not any(value in numbers or value / 100 in numbers for value in amounts):
            yield _AMOUNT(call.step, f"{amounts[0]:g} was said for somebody else")


_THITHER: Final = _stems("drop destination dest bring deliver ship arrival")


def directions(scene: Scene) -> Iterator[Reason]:
    """Where something is brought is what came after "to", not what came before it."""
    before, to, after = scene.words.text.partition(" to ")
    for call in scene.made.calls if to else ():
        for leaf in call.leaves if call.effects & _STEERING else ():
            if isinstance(leaf.value, str) and field_words(call.operation, leaf) & _THITHER:
                parts = content(leaf.value)
                there, here = (set(content(one)) for one in (after, before))
                if parts and not there & set(parts) and set(parts) <= here:
                    yield _SAID(call.step, f"{shown(leaf.value)} was not said as where to")


__all__ = ["acts", "alphabets", "directions", "hidden", "precise", "units", "waits"]
