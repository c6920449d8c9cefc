"""What is told of the home, and what is not: the veil, what a sentence is answered with under it, and who is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.coordinator.medulla_kit import key

from kindmesh.capabilities.home.model import Area, Change, Entity, Home
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.coordinator.brain.desk.batch import Batch
from kindmesh.coordinator.brain.desk.disclosing import UNCHECKED, Called, Disclosing
from kindmesh.coordinator.brain.desk.homes import Seen
from kindmesh.coordinator.brain.desk.veil import OPEN, Hidden, Veil, without
from kindmesh.coordinator.brain.desk.verifying import Finding, Verified
from kindmesh.coordinator.brain.desk.withholding import (
    as_done,
    as_far,
    done_to,
    open_changes,
    told,
    unknowable,
    withheld_words,
)
from kindmesh.coordinator.brain.desk.wording import plain_text
from kindmesh.coordinator.brain.medulla.look_messages import THINGS_MAX, Look, Looked, Withheld
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.errors import (
    AccessRefused,
    KindmeshError,
    NotRunning,
    PeerUnreachable,
    StoreError,
    UnknownOperation,
)
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.policy import Answer, Policy, Rule, first_policy
from kindmesh.protocol.principal import OWNER

T0 = 1_800_000_000_000
WHY = "guests are not told about it (rule door)"
DOOR = Veil((Hidden("deny", "cedar", WHY, ("lock.front", "light.hall")),))
EVERY = Veil(every=Hidden("deny", "asker", "Bo was not given: the operation home.get"))
CORTICES = {language: Cortex(language) for language in ("en", "de")}


def home(front: str = "unlocked", brightness: int = 100) -> Home:
    rooms = {"hall": Area("hall", "Hall"), "kitchen": Area("kitchen", "Kitchen")}
    things = (
        Entity("lock.front", "Front door", area="hall", state=front, attributes={"battery_level": 5}),
        Entity("lock.back", "Back door", area="kitchen", state="locked"),
        Entity(
            "light.hall", "Hall lamp", area="hall", state="on",
            attributes={"brightness": brightness, "supported_color_modes": ["brightness"]},
        ),
        Entity("light.kitchen", "Kitchen lamp", area="kitchen", state="on"),
    )  # fmt: skip
    return Home(areas=rooms, entities={one.id: one for one in things})


def understood(text: str, veil: Veil, there: Home, language: str = "en") -> Understanding:
    situation = Situation(
        veil.over(there), T0, language=language, operations=frozenset({"home.control", "home.access"})
    )
    return CORTICES[language].understand(text, situation)


def reply(text: str, veil: Veil, there: Home, language: str = "en") -> str:
    """What is said to a sentence that only asks."""
    found = told(understood(text, veil, there, language), veil, there)
    said = "" if not found.anything else CORTICES[language].answer(found.understanding, veil.over(there), T0)
    return " ".join(
        one for one in (as_far(said, found, there, language), plain_text(withheld_words(found, veil, there, language)))
        if one
    )  # fmt: skip


QUESTIONS = (
    "is the front door locked", "is the front door unlocked", "which doors are locked", "are all doors locked",
    "is any door open", "which lights are on", "how bright is the hall lamp", "which batteries are low",
    "is the hall lamp on and is the kitchen lamp on", "turn off the lights", "turn off the light", "lock the door",
    "make the hall lamp brighter", "what is the state of the front door", "how many lights are on in the hall",
)  # fmt: skip


@settings(max_examples=40)
@given(st.sampled_from(QUESTIONS), st.sampled_from(("locked", "unlocked", "jammed")), st.integers(1, 255))
def test_nothing_that_is_said_or_planned_depends_on_what_may_not_be_told(
    text: str, front: str, bright: int
) -> None:
    one, other = home("unlocked", 100), home(front, bright)
    assert understood(text, DOOR, one) == understood(text, DOOR, other)
    assert reply(text, DOOR, one) == reply(text, DOOR, other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("is the front door locked", f"I may not tell you about the front door: {WHY}."),
        ("is the back door locked", "Yes"),
        (
            "is the front door locked and is the kitchen lamp on",
            f"Kitchen lamp: Yes I may not tell you about the front door: {WHY}.",
        ),
        ("what time is it", "8:00 AM"),
    ],
)  # fmt: skip
def test_what_may_be_told_is_told_and_the_rest_is_named_with_the_reason(text: str, said: str) -> None:
    assert reply(text, DOOR, home()) == said


def test_an_answer_chosen_among_what_is_hidden_too_says_so() -> None:
    assert reply("which lights are on", DOOR, home()).endswith(
        f"I may not tell you about the hall lamp: {WHY}."
    )
    assert reply("which batteries are low", DOOR, home()).startswith("As far as I may tell you: ")
    assert reply("welche Lampen sind an", DOOR, home(), "de").endswith(
        "Über Hall lamp darf ich nichts sagen."
    )


def test_the_warmest_of_what_may_be_told_is_no_more_than_that() -> None:
    warm = [
        Entity(f"sensor.{area}", f"{area} temperature", area=area, state=state,
               attributes={"device_class": "temperature", "unit_of_measurement": "°C"})
        for area, state in (("kitchen", "20"), ("hall", "23"))
    ]  # fmt: skip
    there = home().with_entities(*warm)
    assert reply("where is it warmest", OPEN, there) == "Hall: 23 °C"
    hall = Veil((Hidden("deny", "cedar", WHY, ("sensor.hall",)),))
    assert reply("where is it warmest", hall, there) == "As far as I may tell you: Kitchen: 20 °C"


def test_who_may_know_nothing_is_told_nothing_but_what_is_not_of_the_home() -> None:
    for text in ("is the back door locked", "which lights are on", "how warm is it", "is any door open"):
        said = reply(text, EVERY, home())
        assert said.startswith("I may not tell you "), said
        assert said.endswith("Bo was not given: the operation home.get.")
    assert reply("what time is it", EVERY, home()) == "8:00 AM"


def test_what_needs_a_yes_and_what_nobody_could_check_are_said_as_such() -> None:
    asks = Veil((Hidden("ask", "cedar", "somebody has to say yes (rule ask)", ("lock.front",)),))
    assert reply("is the front door locked", asks, home()) == (
        "I may tell you about the front door only with a yes: somebody has to say yes (rule ask)."
    )
    assert asks.judged(("lock.front", "lock.back")).verdict == "ask"
    assert OPEN.judged(("lock.front",)).verdict == "allow"
    assert reply("is the front door locked", Veil(every=UNCHECKED), home()) == (
        "I cannot tell you about the front door yet: nobody can check just now whether I may; please try again in a"
        " moment."
    )
    hall = Veil((Hidden("ask", "cedar", "x", ("light.hall",)),))
    said = reply("ist Hall lamp an", hall, home(), "de")
    assert said == "Über Hall lamp darf ich ohne ein Ja nichts sagen."


def test_the_veil_leaves_names_places_and_what_a_thing_can_do() -> None:
    veiled = DOOR.over(home()).entities["light.hall"]
    assert (veiled.name, veiled.area, veiled.state) == ("Hall lamp", "hall", "unknown")
    assert veiled.attributes == {"supported_color_modes": ["brightness"]}
    assert DOOR.over(home(), frozenset({"lock.front"})).entities["lock.front"].state == "unlocked"
    assert OPEN.over(home()) == home()
    assert {one.state for one in EVERY.over(home()).entities.values()} == {"unknown"}


def test_what_was_done_is_told_as_it_is_now_and_never_as_it_was() -> None:
    verified = Verified(
        (
            Finding("lock.front", "verified"),
            Finding("light.kitchen", "verified"),
            Finding("lock.back", "refused"),
        ),
        (Change("lock.front", "state", "locked", "unlocked"), Change("light.kitchen", "state", "off", "on")),
    )
    assert done_to(verified) == {"lock.front", "light.kitchen"}
    assert [one.entity for one in open_changes(verified, DOOR).changes] == ["light.kitchen"]
    assert as_done(verified, DOOR, home())[-1] == Change("lock.front", "state", None, "unlocked")


def test_what_a_device_tells_a_language_model_is_without_what_is_withheld() -> None:
    rows = {"entities": [{"id": "lock.front"}, {"id": "lock.back"}], "at_ms": 1}
    assert without(DOOR, "home.get", rows) == {"entities": [{"id": "lock.back"}], "at_ms": 1}
    changes = {"changes": [{"entity": "lock.front"}, {"entity": "lock.back"}]}
    assert without(DOOR, "home.history", changes) == {"changes": [{"entity": "lock.back"}]}
    assert without(EVERY, "home.get", rows) == {"entities": [], "at_ms": 1}
    for operation, value in (("notes.list", changes), ("home.get", {"entities": 3}), ("home.get", None)):
        assert without(DOOR, operation, value) == value
    assert without(OPEN, "home.get", rows) == rows


class Judge:
    """Stands where Medulla's client stands; `say` answers each look."""

    def __init__(self, say: Callable[[Look], Looked]) -> None:
        self.looks: list[Look] = []
        self._say = say

    async def look(self, wanted: Look) -> Looked:
        self.looks.append(wanted)
        return self._say(wanted)


class Devices:
    """What stands for the devices that offer to tell how things are; `policy` of the household beside it."""

    def __init__(self, policy: Policy, effects: int = int(Effect.READ)) -> None:
        self.policy = policy
        operation = Operation("home.get", "Tell", (), (), effects, idempotent=True)
        self._seats: list[Any] = [SimpleNamespace(operation=operation)] if effects else []

    @property
    def devices(self) -> Devices:
        return self

    def seats(self, operation: str) -> list[Any]:
        if not self._seats:
            raise UnknownOperation("nobody offers that")
        return self._seats


POLICY = first_policy(bytes(20), T0)
RULED = msgspec.structs.replace(POLICY, cedar="permit (principal, action, resource);")


def disclosing(judge: Any, policy: Policy = RULED, effects: int = int(Effect.READ)) -> Disclosing:
    around: Any = Devices(policy, effects)
    return Disclosing(judge, around, lambda: around)


UP, DOWN = key_id(key("up").public), key_id(key("down").public)


def seen(many: int = 0) -> Seen:
    where = {f"light.n{number}": format_id(UP) for number in range(many)} | {"lock.front": format_id(DOWN)}
    return Seen(Home(), where, {})


def veil_of(say: Callable[[Look], Looked], what: Seen) -> tuple[Veil, list[Look]]:
    judge: Any = Judge(say)
    return asyncio.run(disclosing(judge).veil(what, OWNER, None)), judge.looks


def test_each_device_is_asked_once_where_rules_cannot_differ_and_by_thing_where_they_can() -> None:
    found, looks = veil_of(lambda _: Looked("allow"), seen(3 * THINGS_MAX))
    assert (found, len(looks)) == (OPEN, 2)

    def by_thing(look: Look) -> Looked:
        kept = tuple(
            Withheld(one, "deny", "cedar", WHY) for one in look.things if one in ("light.n70", "lock.front")
        )
        return Looked("allow", withheld=kept, by_thing=True)

    found, looks = veil_of(by_thing, seen(THINGS_MAX + 9))
    assert sorted(len(one.things) for one in looks) == [1, 9, THINGS_MAX]
    assert found == Veil((Hidden("deny", "cedar", WHY, ("light.n70", "lock.front")),))


def test_a_device_that_may_not_be_told_of_hides_its_things_and_all_that_are_refused_hide_everything() -> None:
    def down(look: Look) -> Looked:
        return Looked("deny", "held", "two devices use it") if look.target == DOWN else Looked("allow")

    found, _ = veil_of(down, seen(2))
    assert found == Veil((Hidden("deny", "held", "two devices use it", ("lock.front",)),))
    found, _ = veil_of(lambda _: Looked("deny", "asker", "no"), seen(2))
    assert found == Veil(every=Hidden("deny", "asker", "no"))

    def asks(look: Look) -> Looked:
        kept = tuple(Withheld(one, "deny", "cedar", WHY) for one in look.things if one == "lock.front")
        return Looked("ask", "policy", "it asks", kept, by_thing=True)

    found, _ = veil_of(asks, seen(1))
    assert {one.answer: one.things for one in found.some} == {"ask": ("light.n0",), "deny": ("lock.front",)}


def test_where_medulla_does_not_answer_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: Look) -> Looked:
        raise StoreError("its store failed")

    found, looks = veil_of(damaged, seen(0))
    assert (found, len(looks)) == (Veil(every=UNCHECKED), 1)
    died: list[int] = []

    def started_anew(_: Look) -> Looked:
        died.append(1)
        if len(died) < 3:
            raise NotRunning("Medulla is not running")
        return Looked("allow")

    monkeypatch.setattr("kindmesh.coordinator.brain.desk.disclosing.AGAIN_S", 0.0)
    found, looks = veil_of(started_anew, seen(0))
    assert (found, len(looks)) == (OPEN, 3)

    def away(_: Look) -> Looked:
        raise NotRunning("Medulla is not running")

    monkeypatch.setattr("kindmesh.coordinator.brain.desk.disclosing.WITHIN_S", 0.02)
    assert veil_of(away, seen(0))[0] == Veil(every=UNCHECKED)

    class Hangs:
        async def look(self, wanted: Look) -> Looked:
            await asyncio.get_running_loop().create_future()
            raise KindmeshError("never")

    hangs: Any = Hangs()
    assert asyncio.run(disclosing(hangs).veil(seen(1), OWNER, None)) == Veil(every=UNCHECKED)


def test_what_depends_on_how_a_hidden_thing_is_is_not_done_by_a_guess() -> None:
    brighter = understood("make the hall lamp brighter", DOOR, home())
    refused = unknowable(brighter, DOOR, home())
    assert refused is not None
    assert (refused.verdict, refused.messages) == (
        "deny",
        (f"it depends on how the hall lamp is now: {WHY}",),
    )
    for text in (
        "make the kitchen lamp brighter",
        "turn off the hall lamp",
        "set the hall lamp to 50 percent",
    ):
        assert unknowable(understood(text, DOOR, home()), DOOR, home()) is None, text
    assert unknowable(brighter, OPEN, home()) is None


def test_people_are_called_by_their_names_and_a_named_thing_that_is_not_found_is_no_denial() -> None:
    people = Home(entities={
        "person.ida": Entity("person.ida", "Ida", state="home"),
        "timer.egg": Entity("timer.egg", "Egg timer", state="active"),
    })  # fmt: skip
    hidden = Veil((Hidden("deny", "cedar", WHY, tuple(people.entities)),))
    assert reply("where is Ida", hidden, people) == f"I may not tell you about Ida: {WHY}."
    assert reply("how long is left on the egg timer", hidden, people).startswith("As far as I may tell you: ")


def test_a_session_call_of_a_member_says_what_is_withheld_and_refuses_what_was_named() -> None:
    def by_thing(look: Look) -> Looked:
        kept = tuple(Withheld(one, "deny", "cedar", WHY) for one in look.things if one == "lock.front")
        return Looked("allow", withheld=kept, by_thing=True)

    def call(
        say: Callable[[Look], Looked], operation: str, told: dict[str, Any], *named: str
    ) -> dict[str, Any]:
        judge: Any = Judge(say)
        return asyncio.run(disclosing(judge).call(Called(operation, DOWN), OWNER, told, named))

    door = {
        "id": "lock.front", "name": "Front door", "area": "hall", "state": "locked",
        "attributes": {"battery_level": 5, "device_class": "lock"}, "changed_ms": 7,
    }  # fmt: skip
    lamp = {"id": "light.hall", "state": "on", "attributes": {}}
    rows = {"entities": [door, lamp], "at_ms": 1}
    assert call(lambda _: Looked("allow"), "home.get", rows) == rows
    found = call(by_thing, "home.get", rows)
    assert (found["entities"][1], found["withheld"]) == (lamp, ["lock.front"])
    assert found["entities"][0] == {
        **door, "state": "withheld", "attributes": {"device_class": "lock"}, "changed_ms": 0,
    }  # fmt: skip
    changes = {"changes": [{"entity": "lock.front"}, {"entity": "light.hall"}]}
    assert call(by_thing, "home.history", changes)["changes"] == [{"entity": "light.hall"}]
    with pytest.raises(AccessRefused, match="not told about it"):
        call(by_thing, "home.history", {"changes": []}, "lock.front")
    with pytest.raises(AccessRefused, match="no such role"):
        call(lambda _: Looked("deny", "asker", "no such role"), "home.get", rows)
    assert call(by_thing, "home.history", {"changes": []}) == {"changes": []}


@pytest.mark.parametrize(
    ("policy", "effects", "told"),
    [
        (POLICY, int(Effect.READ), True),
        (RULED, int(Effect.READ), False),
        (POLICY, int(Effect.READ | Effect.SENSE), False),
        (msgspec.structs.replace(POLICY, rules=(Rule("home.get", 1, "ask"),)), int(Effect.READ), False),
        (POLICY, 0, False),
    ],
)
def test_without_medulla_the_home_is_told_where_no_rule_could_keep_anything_from_anybody(
    policy: Policy, effects: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Look) -> Looked:
        raise NotRunning("Medulla is not running")

    monkeypatch.setattr("kindmesh.coordinator.brain.desk.disclosing.WITHIN_S", 0.02)
    made = disclosing(Judge(away), policy, effects)
    assert asyncio.run(made.veil(seen(1), OWNER, None)) == (OPEN if told else Veil(every=UNCHECKED))
    rows = {"entities": [{"id": "lock.front"}]}
    call = made.call(Called("home.get", DOWN), OWNER, rows, ())
    if told:
        assert asyncio.run(call) == rows
    else:
        with pytest.raises(PeerUnreachable, match="nobody can check"):
            asyncio.run(call)


def test_a_batch_tells_what_its_policy_lets_be_told() -> None:
    def batch(answer: Answer) -> Batch:
        return Batch(
            home(),
            CORTICES["en"],
            clock=SystemClock(),
            policy=lambda name, _: answer if name == "home.get" else "allow",
        )

    line = {"id": 1, "text": "is the front door locked"}
    assert batch("allow").line(line)["reply"] == "No, unlocked"
    denied = batch("deny").line(line)["reply"]
    assert denied == "I may not tell you about the front door: the owner's policy forbids home.get (read)."
    assert (
        batch("ask")
        .line(line, act=False)["reply"]
        .startswith("I may tell you about the front door only with a yes")
    )
    done = batch("deny").line({"id": 2, "text": "turn off the kitchen lamp and is the front door locked"})
    assert done["reply"].endswith("the owner's policy forbids home.get (read)."), done
    assert done["reply"].startswith("The kitchen lamp is off."), done
