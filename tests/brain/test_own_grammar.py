"""The household's own grammar: lists, reminders, alarms, calendar, people, small talk; and conversation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.brain.small_home import NOW_MS, OPERATIONS, PlainSentences, home, situation

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.services import apply
from kindmesh.coordinator.brain.cortex.conversation import TURN_AGE_MS
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation, Turn, Understanding
from kindmesh.protocol.plan_check import check_plan

CORTEX = Cortex("en", home=PlainSentences())
SILENT = frozenset(OPERATIONS - {"speech.say"})


def understand(text: str, **other: object) -> Understanding:
    said = CORTEX.understand(text, situation(**other))
    if said.plan is not None:
        check_plan(said.plan)
    return said


def plain(value: Any) -> Any:
    """A plan's value without its labels."""
    if isinstance(value, dict):
        return (
            plain(value["$value"])
            if "$value" in value
            else {name: plain(item) for name, item in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def acts(said: Understanding) -> list[tuple[str, list[str], dict[str, Any]]]:
    assert said.plan is not None, said.reply or said.question
    return [
        (args["service"], args["entities"], args["data"])
        for args in (plain(step.args) for step in said.plan.steps if step.call.startswith("home."))
    ]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("add milk and eggs to my shopping list", ["milk", "eggs"]),
        ("please put some milk, bread and butter on the grocery list", ["milk", "bread and butter"]),
        ("Add Mac and Cheese to the groceries", ["Mac and Cheese"]),
        ("put oat milk on the list", ["oat milk"]),
    ],
)
def test_each_thing_of_an_enumeration_goes_on_the_list(text: str, items: list[str]) -> None:
    assert [data["item"] for _, _, data in acts(understand(text))] == items
    assert {ids[0] for _, ids, _ in acts(understand(text))} <= {"todo.shopping"}


@pytest.mark.parametrize(
    "text",
    ["put them on the shopping list", "add those to my list", "add milk and put it on the shopping list"],
)
def test_a_pronoun_is_no_item_of_a_list(text: str) -> None:
    said = understand(text)
    assert said.plan is None
    assert said.question


@pytest.mark.parametrize(
    "text",
    ["add something to my shopping list", "put this on the shopping list", "we are out of milk",
     "remind me to call mom",
     "remind me", "wake me up", "schedule a meeting with Tom", "remind me to call mom tomorrow morning",
     "remind me today at 7 am to call mom"],
)  # fmt: skip
def test_what_is_missing_is_asked_for(text: str) -> None:
    said = understand(text)
    assert said.question
    assert said.plan is None


@pytest.mark.parametrize(
    "text",
    ["add milk to my wish list", "tell Anna I am fine", "where are my keys", "remember that the key is under the mat",
     "read this letter", "remind me every day at 9 to take my pills", "call for help", "what is on my wish list",
     "take milk off the shopping list", "remind Tom to call me", "play chess with me"],
)  # fmt: skip
def test_what_nothing_here_can_do_is_said_honestly_and_not_planned(text: str) -> None:
    said = understand(text, operations=SILENT)
    assert said.understood
    assert said.plan is None
    assert said.reply
    assert "done." not in said.reply.lower() or "nothing was done" in said.reply.lower()


def test_a_reminder_is_written_down_and_said_at_its_time() -> None:
    said = understand("remind me to take my pills at 8")
    assert said.plan is not None
    service, ids, data = acts(said)[0]
    assert (service, ids) == ("todo.add_item", ["todo.chores"])
    assert data == {"item": "take my pills", "due_datetime": "2026-11-27T20:00:00+01:00"}
    wait, aloud = said.plan.steps[1:]
    assert wait.pause is not None
    assert plain(wait.pause.until_ms) == NOW_MS + 10 * 3_600_000
    assert aloud.call == "speech.say"
    assert aloud.after == (wait.id,)
    assert "take my pills" in plain(aloud.args["text"])


def test_a_reminder_keeps_the_words_as_they_were_said() -> None:
    _, _, data = acts(understand("Remind me in twenty minutes that I'm picking up Anna's cake"))[0]
    assert data["item"] == "I'm picking up Anna's cake"


def test_an_appointment_has_a_start_and_an_end() -> None:
    service, ids, data = acts(understand("add a dentist appointment to my calendar on Friday at 3 pm"))[0]
    assert (service, ids) == ("calendar.create_event", ["calendar.family"])
    assert data["summary"] == "dentist appointment"
    assert data["start_date_time"] == "2026-11-27T15:00:00+01:00"
    assert data["end_date_time"] == "2026-11-27T16:00:00+01:00"


def with_events() -> dict[str, object]:
    calendar = home().entities["calendar.family"]
    events = [
        {
            "uid": "1",
            "summary": "Dentist",
            "start": "2026-11-28T09:00:00+01:00",
            "end": "2026-11-28T10:00:00+01:00",
        },
        {"uid": "2", "summary": "Lunch with Tom", "start": "2026-12-04", "end": "2026-12-05"},
    ]
    return {"home": home().with_entities(msgspec.structs.replace(calendar, attributes={"events": events}))}


def test_the_calendar_is_read_for_the_day_that_was_asked_about() -> None:
    assert (
        understand("what is on my calendar tomorrow", **with_events()).reply == "Dentist, tomorrow at 9:00."
    )
    assert (
        understand("do I have any appointments today", **with_events()).reply
        == "There is nothing in the calendar today."
    )
    assert "Lunch with Tom" in understand("what do I have next week", **with_events()).reply
    assert understand("when is my next appointment", **with_events()).reply.startswith("Dentist")
    assert understand("when is lunch with tom", **with_events()).reply.startswith("Lunch with Tom, Friday")


def test_only_an_appointment_that_is_there_is_cancelled() -> None:
    service, _, data = acts(understand("cancel my dentist appointment", **with_events()))[0]
    assert (service, data) == ("calendar.delete_event", {"summary": "1"})
    assert understand("cancel my meeting with Lisa", **with_events()).plan is None
    assert understand("clear my calendar", **with_events()).question


def test_the_answer_after_acting_tells_what_is_seen_and_not_what_was_meant() -> None:
    said = understand("add milk to my shopping list")
    service, ids, data = acts(said)[0]
    after, _ = apply(home(), service, ids, data, NOW_MS)
    assert CORTEX.answer(said, after, NOW_MS) == "milk is on Shopping list now."
    assert "do not see" in CORTEX.answer(said, home(), NOW_MS)


@pytest.mark.parametrize("text", ["stop", "Stop!", "halt", "emergency stop"])
def test_stop_is_understood_in_its_exact_words(text: str) -> None:
    assert understand(text).recognised[0].intent == "Stop"


@pytest.mark.parametrize("text", ["do not stop", "stop the music", "stop sign", "when does it stop"])
def test_stop_is_nothing_else(text: str) -> None:
    assert all(one.intent != "Stop" for one in understand(text).recognised)


@pytest.mark.parametrize(
    "text", ["call for help", "emergency", "I've fallen and I can't get up", "help me, I have fallen"]
)
def test_a_call_for_help_never_waits(text: str) -> None:
    said = understand(text)
    assert said.recognised[0].intent == "Emergency"
    assert said.plan is not None
    assert [step.kind for step in said.plan.steps] == ["call"]


def test_a_message_goes_only_to_people_who_are_known() -> None:
    offering = OPERATIONS | {"message.send"}
    said = understand("tell the doctor that I'm fine", operations=offering)
    assert said.plan is not None
    assert plain(said.plan.steps[0].args) == {"to": "p2", "text": "I'm fine"}
    assert said.plan.steps[0].args["to"]["$label"]["words"] == ["the", "doctor"]
    unknown = understand("send a message to Zoe saying hello", operations=offering)
    assert unknown.plan is None
    assert "Zoe" in unknown.reply
    assert not understand("tell me a story", operations=offering).understood


def test_notes_are_kept_where_a_device_keeps_notes() -> None:
    said = understand("remember that the key is under the mat", operations=OPERATIONS | {"notes.append"})
    assert said.plan is not None
    assert plain(said.plan.steps[0].args) == {"text": "the key is under the mat"}


# Conversation.


def after(*texts: str, age_ms: int = 10_000, **other: object) -> Situation:
    """The situation after these sentences were understood, one after the other."""
    known = situation(**other)
    for text in texts:
        said = CORTEX.understand(text, known)
        turn = Turn(text, said.recognised, said.reply, known.now_ms)
        known = msgspec.structs.replace(known, turns=(*known.turns, turn))
    return msgspec.structs.replace(known, now_ms=known.now_ms + age_ms)


def follow(text: str, *before: str, **other: Any) -> Understanding:
    return CORTEX.understand(text, after(*before, **other))


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("turn on the hall light", "turn it off again", ("light.turn_off", ["light.hall"])),
        ("turn on the hall light", "and the bedroom light", ("light.turn_on", ["light.bedroom"])),
        ("turn off the lights in the hall", "the same in the bedroom", ("light.turn_off", ["light.bedroom"])),
        ("turn off the lights in the hall", "what about the bedroom", ("light.turn_off", ["light.bedroom"])),
        ("turn off the hall light", "no, the bedroom light", ("light.turn_off", ["light.bedroom"])),
        ("turn off the hall light", "No, I meant the bedroom light!", ("light.turn_off", ["light.bedroom"])),
        ("turn on the kitchen light", "no, the other one", ("light.turn_on", ["light.salt"])),
        ("turn on the hall light", "undo that", ("light.turn_off", ["light.hall"])),
        ("we are out of milk", "yes please", ("todo.add_item", ["todo.shopping"])),
    ],
)
def test_a_sentence_may_refer_to_the_one_before(
    before: str, text: str, expected: tuple[str, list[str]]
) -> None:
    said = follow(text, before)
    assert [(service, ids) for service, ids, _ in acts(said)] == [expected]


def test_what_refers_back_claims_only_the_words_of_now() -> None:
    said = follow("turn it off", "turn on the hall light")
    assert said.plan is not None
    assert set(said.plan.steps[0].args["entities"]["$label"]["words"]) <= {"turn", "it", "off"}


@pytest.mark.parametrize("text", ["turn it off", "undo that", "the other one"])
def test_without_a_recent_sentence_a_reference_is_a_question(text: str) -> None:
    assert follow(text).question
    assert follow(text, "turn on the hall light", age_ms=TURN_AGE_MS + 1).question


def test_a_pronoun_may_refer_within_the_sentence() -> None:
    said = understand("turn on the hall light and turn it off in ten minutes")
    assert acts(said) == [("light.turn_on", ["light.hall"], {}), ("light.turn_off", ["light.hall"], {})]
    assert said.recognised[1].clause.delay_ms == 600_000


def test_undoing_a_lock_is_unlocking_and_says_so_to_whoever_reviews_it() -> None:
    said = follow("undo that", "lock the front door")
    assert said.plan is not None
    assert said.plan.steps[0].call == "home.access"
    assert said.plan.steps[0].args["entities"]["$label"]["words"] == ["undo", "that"]


def test_what_cannot_be_undone_is_said() -> None:
    assert follow("undo that", "add milk to my shopping list").plan is None


def test_again_repeats_the_last_answer() -> None:
    assert follow("say that again", "is the hall light on").reply == "It is."


def test_never_mind_does_not_claim_to_have_called_off_what_still_waits() -> None:
    before = "turn off the hall light in ten minutes"
    assert "still be done" in follow("never mind", before).reply
    assert follow("never mind", before, age_ms=601_000).reply == "All right, I will leave it."
    assert follow("never mind", "turn off the hall light").reply == "All right, I will leave it."


def test_of_several_that_may_be_meant_one_is_asked_for() -> None:
    lamp = Entity("light.counter", "Counter lamp", area="kitchen", state="off")
    asked = follow("the other one", "turn on the kitchen light", home=home().with_entities(lamp)).question
    assert asked == "Which one do you mean: Salt and pepper lamp or Counter lamp?"


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        (["turn off the light"], "no, the hall light", [("light.turn_off", ["light.hall"])]),
        (["turn off the light"], "no, turn on the hall light", [("light.turn_on", ["light.hall"])]),
        (["lock the front door"], "no, the hall light", []),
        ([], "no, the hall light", []),
    ],
)
def test_a_name_after_no_is_never_a_command_of_its_own(
    before: list[str], text: str, expected: list[tuple[str, list[str]]]
) -> None:
    cortex, known = Cortex("en"), situation()
    for one in before:
        turn = Turn(one, cortex.understand(one, known).recognised, "", NOW_MS)
        known = msgspec.structs.replace(known, turns=(turn,))
    found = cortex.understand(text, known)
    steps = () if found.plan is None else found.plan.steps
    assert [(one.args["service"], one.args["entities"]["$value"]) for one in steps] == expected
    assert expected or found.question
