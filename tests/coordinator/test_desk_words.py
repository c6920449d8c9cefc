"""The desk's pure parts: plans applied, split over devices, held against what was read back, and told."""

from __future__ import annotations

from typing import Any

import pytest

from kindmesh.capabilities.home.inventory import home_from_document
from kindmesh.capabilities.home.model import Area, Change, Entity, Home
from kindmesh.coordinator.brain.desk.applying import apply_plan, delayed, in_order, net
from kindmesh.coordinator.brain.desk.describe import duration_words, plan_lines, step_words
from kindmesh.coordinator.brain.desk.personas import (
    persona_from_document,
    persona_named,
    persona_names,
    worded,
)
from kindmesh.coordinator.brain.desk.routing import entities_of, routed
from kindmesh.coordinator.brain.desk.verifying import finding_parts, verify
from kindmesh.coordinator.brain.desk.wording import (
    Said,
    batch_reply,
    confirmed,
    left,
    needs_yes,
    not_changed,
    plain_text,
    refused,
)
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.plan import Plan, plan_from_document
from kindmesh.protocol.plan_check import check_plan

KITCHEN = Entity("light.kitchen", "kitchen light", area="kitchen", state="on")
BEDROOM = Entity("light.bedroom", "bedroom light", area="bedroom", state="on")
HOME = Home({}, {"kitchen": Area("kitchen", "Kitchen")}, {one.id: one for one in (KITCHEN, BEDROOM)})
EVERYWHERE = frozenset(HOME.entities)


def light(name: str, *entities: str, service: str = "light.turn_off", **more: Any) -> dict[str, Any]:
    args = {"service": service, "entities": {"$value": list(entities)}, "data": {}}
    return {"id": name, "call": "home.control", "args": args, **more}


def plan(*steps: dict[str, Any]) -> Plan:
    made = plan_from_document({"plan": 1, "steps": list(steps)})
    check_plan(made)
    return made


def test_steps_are_applied_in_their_order_and_only_net_changes_count() -> None:
    made = plan(
        light("b", "light.kitchen", after=["a"], service="light.turn_on"),
        light("a", "light.kitchen"),
        light("c", "light.bedroom"),
    )
    assert [step.id for step in in_order(made)] == ["a", "b", "c"]
    found = apply_plan(HOME, made, 5)
    assert found.done == ("a", "b", "c")
    assert [(one.entity, one.attribute, one.after) for one in found.changes] == [
        ("light.bedroom", "state", "off")
    ]


def test_what_comes_after_a_pause_or_a_question_is_not_done_now() -> None:
    made = plan(
        {"id": "wait", "pause": {"for_ms": 1000}},
        light("late", "light.kitchen", after=["wait"]),
        {"id": "sure", "ask": {"question": "Well?", "answer": {"yes": {"type": "boolean"}}}},
        light("if_yes", "light.kitchen", when={"$from": "sure.yes"}),
        light("now", "light.bedroom"),
        {"id": "other", "call": "speech.say", "args": {"text": "hi"}},
        light("then", "light.kitchen", after=["other"]),
    )
    found = apply_plan(HOME, made, 5)
    assert delayed(made) == {"wait", "late", "sure", "if_yes"}
    assert found.done == ("now",)
    assert set(found.later) == {"wait", "late", "sure", "if_yes", "other", "then"}


def test_a_refused_step_changes_nothing_and_what_needs_it_fails_too() -> None:
    made = plan(
        light("bad", "light.moon"),
        light("after", "light.kitchen", after=["bad"]),
        light("good", "light.bedroom"),
        light("off", "light.kitchen", when=False),
        light("worse", "light.kitchen", when={"$eq": [1, "a", 2][:2]}),
        {"id": "odd", "call": "home.control", "args": {"service": 5, "entities": [], "data": {}}},
    )
    found = apply_plan(HOME, made, 5)
    assert [one.step for one in found.failed] == ["bad", "after", "odd"]
    assert found.done == ("good",)
    assert set(found.skipped) == {"off", "worse"}
    said = plain_text(batch_reply(found, "All good"))
    assert "All good" not in said
    assert "bedroom light is off" in said
    assert "was not changed" in said


def test_changes_that_cancel_out_are_none() -> None:
    one, back = Change("a", "state", "on", "off"), Change("a", "state", "off", "on")
    assert net([one, back]) == ()
    assert net([one, one]) == (one,)


# ------------------------------------------------------------------------------------------------------- routing


def test_a_step_about_two_devices_becomes_one_for_each_with_its_own_deadline() -> None:
    label = {"source": "user", "words": ["lights"]}
    both = light("do1", "light.kitchen", "light.bedroom")
    both["args"]["entities"]["$label"] = label
    made = plan(both, light("do2", "light.kitchen", after=["do1"]), {"id": "do1_2", "pause": {"for_ms": 1}})
    where = {"light.kitchen": "K", "light.bedroom": "B"}
    found = routed(made, where, lambda device, operation: {"K": 8, "B": 2}[device])
    check_plan(found)
    assert [(one.id, one.target, one.deadline_ms) for one in found.steps] == [
        ("do1", "K", 8), ("do1_3", "B", 2), ("do2", "K", 8), ("do1_2", "", 0),
    ]  # fmt: skip
    assert found.step("do1_3").args["entities"] == {"$value": ["light.bedroom"], "$label": label}
    assert found.step("do2").after == ("do1", "do1_3")


def test_labels_at_every_leaf_as_a_language_model_plans_change_neither_places_nor_words() -> None:
    said = {"source": "user", "words": ["kitchen", "light"]}
    kitchen = {"$value": "light.kitchen", "$label": said}
    bedroom = {"$value": "light.bedroom", "$label": {"source": "model"}}
    service = {"$value": "light.turn_off", "$label": {"source": "model"}}
    data = {"$value": {}, "$label": {"source": "model"}}
    made = plan(
        {"id": "do1", "call": "home.control",
         "args": {"service": service, "entities": [kitchen, bedroom], "data": data}},
        {"id": "look1", "call": "home.get", "args": {"entities": [bedroom]}},
    )  # fmt: skip
    where = {"light.kitchen": "K", "light.bedroom": "B"}
    found = routed(made, where, lambda device, operation: 5)
    assert [(one.id, one.target, one.args["entities"]) for one in found.steps] == [
        ("do1", "K", [kitchen]), ("do1_2", "B", [bedroom]), ("look1", "B", [bedroom]),
    ]  # fmt: skip
    assert entities_of(made.steps[0]) == ["light.kitchen", "light.bedroom"]
    lines = plan_lines(made, HOME)
    assert lines[:2] == [
        "1. turn off the kitchen light and the bedroom light",
        "     entities: light.kitchen, light.bedroom"
        ' (your words "kitchen light" and chosen by the language model)',
    ]
    assert "data" not in lines[2]
    # Reasons are sentences, also one after the other.
    assert plan_lines(made, HOME, "ask", ["one", "two"])[-1] == "Medulla: needs a yes first. One. Two."
    mixed = {"id": "do2", "call": "home.control", "args": {
        "service": "light.turn_off", "entities": [bedroom, {"$from": "look1.entities"}], "data": {}}}  # fmt: skip
    assert (
        "chosen by the language model and worked out from the steps before"
        in plan_lines(
            plan({"id": "look1", "call": "home.get", "args": {"entities": [bedroom]}}, mixed), HOME
        )[-1]
    )


def test_a_step_whose_output_is_read_stays_whole() -> None:
    made = plan(
        light("a", "light.kitchen", "light.bedroom"),
        light("b", "light.kitchen", when={"$eq": [{"$count": {"$from": "a.changes"}}, 2]}),
    )
    found = routed(made, {"light.kitchen": "K", "light.bedroom": "B"}, lambda device, operation: 5)
    assert [one.id for one in found.steps] == ["a", "b"]


# ------------------------------------------------------------------------------------------------------ verifying


def item(
    step: str, state: str, *changes: tuple[str, str, Any], code: str = "", message: str = ""
) -> dict[str, Any]:
    output = {"changes": [{"entity": e, "attribute": a, "before": "on", "after": v} for e, a, v in changes]}
    error = {"code": code, "message": message} if code else None
    return {"step": step, "path": step, "state": state, "output": output if changes else None, "error": error}


OFF = Home(
    HOME.floors,
    HOME.areas,
    {**HOME.entities, "light.kitchen": Entity("light.kitchen", "kitchen light", state="off")},
)
TWO = plan(light("k", "light.kitchen"), light("b", "light.bedroom"))


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (item("b", "failed", code="DEADLINE_EXCEEDED"), "The bedroom light did not answer."),
        (item("b", "failed", code="NO_DEVICE_ABLE"), "The bedroom light did not answer."),
        (item("b", "failed", code="PERMIT_REFUSED", message="the owner said no"),
         "The bedroom light was not changed: The owner said no."),
        (item("b", "failed", code="NEEDS_APPROVAL"), "The bedroom light was left as it was."),
        (item("b", "uncertain"), "I do not know whether it worked for the bedroom light: please look."),
        (item("b", "cancelled"), "The bedroom light was left as it was."),
        (item("b", "succeeded", ("light.bedroom", "state", "off")), "The bedroom light was told, but it says on."),
    ],
)  # fmt: skip
def test_only_what_was_read_back_is_claimed_and_the_rest_is_told_by_name(
    other: dict[str, Any], sentence: str
) -> None:
    items = [item("k", "succeeded", ("light.kitchen", "state", "off")), other]
    found = verify(TWO, items, OFF, EVERYWHERE, frozenset({"k", "b"}))
    assert not found.all_good
    assert [one.entity for one in found.changes] == ["light.kitchen"]
    parts = finding_parts(found, OFF)
    assert plain_text(parts) == f"The kitchen light is off. {sentence}"
    assert {part.kind for part in parts} == {"safety"}


def test_a_step_that_nothing_is_known_of_was_not_done_and_one_that_hangs_is_uncertain() -> None:
    items = [item("k", "running")]
    found = verify(TWO, items, HOME, EVERYWHERE, frozenset({"k", "b"}), given_up=True)
    assert [one.outcome for one in found.findings] == ["uncertain", "unasked"]
    unsaid = [item("k", "failed", code="NEEDS_APPROVAL")]
    found = verify(TWO, unsaid, HOME, EVERYWHERE, frozenset({"k"}), given_up=True)
    assert [one.outcome for one in found.findings] == ["unasked"], "nobody asked the lamp"
    called_off = verify(TWO, [item("k", "cancelled")], HOME, EVERYWHERE, frozenset({"k"}), given_up=True)
    assert [one.outcome for one in called_off.findings] == ["silent"]


def test_what_changed_but_could_not_be_read_back_is_not_claimed() -> None:
    items = [item("k", "succeeded", ("light.kitchen", "state", "off")), item("b", "succeeded")]
    found = verify(TWO, items, OFF, frozenset({"light.bedroom"}), frozenset({"k", "b"}))
    assert [(one.entity, one.outcome) for one in found.findings] == [
        ("light.kitchen", "silent"), ("light.bedroom", "verified"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "seen", "outcome"),
    [
        (None, ["milk"], ["milk"], "verified"),
        (None, ["milk"], ["bread", "milk", "tea"], "verified"),  # somebody else wrote on it as well
        (["bread"], ["bread", "milk"], ["milk"], "verified"),  # and somebody else took the bread
        (["bread"], ["bread", "milk"], ["bread"], "differs"),
        (["bread", "milk"], ["bread"], ["tea"], "verified"),
        (["bread", "milk"], ["bread"], ["milk"], "differs"),
        (["milk"], None, [], "verified"),
        (None, ["milk"], None, "differs"),
    ],
)
def test_of_a_list_it_is_claimed_what_was_put_there_whatever_others_wrote_meanwhile(
    before: Any, after: Any, seen: Any, outcome: str
) -> None:
    step = {"id": "a", "call": "home.note", "args": {
        "service": "todo.add_item", "entities": ["todo.shopping"], "data": {"item": "milk"},
    }}  # fmt: skip
    attributes = {} if seen is None else {"items": seen}
    home = home_from_document({
        "entities": [{"id": "todo.shopping", "state": str(len(seen or [])), "attributes": attributes}]
    })  # fmt: skip
    changes = [
        {"entity": "todo.shopping", "attribute": "state", "before": "0", "after": "1"},
        {"entity": "todo.shopping", "attribute": "items", "before": before, "after": after},
    ]
    done = {"step": "a", "state": "succeeded", "output": {"changes": changes}}
    found = verify(plan_from_document({"plan": 1, "steps": [step]}), [done], home, frozenset({"todo.shopping"}),
                   frozenset({"a"}))  # fmt: skip
    assert [one.outcome for one in found.findings] == [outcome]


# ------------------------------------------------------------------------------------------------------- personas


def test_every_persona_keeps_safety_wording_word_for_word_and_alone() -> None:
    safe = [
        (refused(["the door must be named"]),),
        (needs_yes(["it opens a door"]),),
        (Said("The kitchen light is off.", "safety"), Said("The bedroom light did not answer.", "safety")),
        (Said("Done.", "done"), Said("Nobody said yes in time, so it was not done.", "safety")),
        (Said("Which lamp do you mean?", "question"),),
    ]
    for name in persona_names():
        for language in ("en", "de"):
            for parts in safe:
                assert worded(parts, persona_named(name), language) == plain_text(parts)


def test_a_persona_puts_words_around_what_was_done_and_never_changes_it() -> None:
    for name in persona_names():
        for kind in ("done", "answer", "lost"):
            said = worded([Said("Turned off the light", kind)], persona_named(name))
            assert "Turned off the light" in said
    butler = worded([Said("Turned off the light", "done")], persona_named("butler"))
    assert butler.startswith("Very good. Turned off the light ")
    assert worded([Said("Turned off the light", "done")], persona_named("brief")) == "Turned off the light"


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "x", "humour": 4}, {"name": "x", "jokes": 1}, [], {"humour": 1}]
)
def test_a_wrong_persona_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        persona_from_document(wrong)
    with pytest.raises(InvalidInput, match="no persona"):
        persona_named("../plain")


# -------------------------------------------------------------------------------------------------------- words


def test_a_plan_in_words_names_things_times_and_where_values_come_from() -> None:
    args = {
        "service": "light.turn_on",
        "entities": ["light.kitchen"],
        "data": {"brightness_pct": {"$value": 50, "$label": {"source": "model"}}},
    }
    made = plan(
        {"id": "wait", "pause": {"for_ms": 5_400_000}},
        {"id": "on", "call": "home.control", "args": args, "after": ["wait"]},
        {"id": "say", "title": "say hello", "call": "speech.say", "args": {"text": {"$from": "on.changes"}}},
    )
    assert plan_lines(made, HOME, "ask", ["somebody has to say yes."]) == [
        "1. wait 1 hour 30 minutes",
        "2. turn on the kitchen light (after 1)",
        "     entities: light.kitchen (what the sentence stands for)",
        "     data.brightness_pct: 50 (chosen by the language model)",
        "3. say hello (after 2)",
        '     text: {"$from": "on.changes"} (worked out from the steps before)',
        "Medulla: needs a yes first. Somebody has to say yes.",
    ]
    assert duration_words(1) == "1 second"
    assert duration_words(90_061_000) == "1 day 1 hour"
    many = light("x", *[f"light.l{number}" for number in range(9)])
    assert step_words(plan(many).steps[0], HOME) == "turn off light.l0, light.l1, light.l2 and 6 more"


def test_two_reasons_are_told_and_the_others_counted() -> None:
    said = plain_text([needs_yes([f"this is about thing {n}" for n in range(7)])])
    assert said.endswith("This is about thing 0. This is about thing 1. And 5 more.")
    lines = plan_lines(TWO, HOME, "ask", ["it opens a door", "it opens a door", "it is late"])
    assert lines[-1] == "Medulla: needs a yes first. It opens a door. It is late."


def test_of_what_was_asked_for_it_is_told_what_changed_and_what_was_so_before() -> None:
    doors = [
        {"id": f"lock.{name}", "name": f"{name.title()} door", "state": "locked"}
        for name in ("front", "back")
    ]
    lights = [{"id": f"light.n{one}", "name": f"Light {one}", "state": "off"} for one in range(6)]
    home = home_from_document({"entities": [*doors, *lights]})
    locks, lamps = ["lock.front", "lock.back"], [one["id"] for one in lights]
    front = Change("lock.front", "state", "unlocked", "locked")
    said = confirmed("Locking", [front], home, touched=locks)
    assert said == "The front door is locked. The back door was already locked."
    said = confirmed("Locking", [], home, touched=locks)
    assert said == "The front door was already locked. The back door was already locked."
    lamp = Change("light.n0", "state", "on", "off")
    said = confirmed("Turned off the lights", [lamp], home, touched=lamps)
    assert said == "The light 0 is off. 5 more were already off."
    said = confirmed("Turned off the lights", [], home, touched=lamps)
    assert said == "The light 0, the light 1 and 4 more were already off."
    assert confirmed("Brightness set", [], home, touched=lamps) == "Brightness set"
    # Beside something else, the bare word gives way to how both doors are; what else was touched is not talked about.
    said = confirmed("Locking. milk is on Shopping list now.", [front], home, touched=[*locks, "light.n1"])
    assert said == "Milk is on Shopping list now. The front door is locked. The back door was already locked."
    assert confirmed("Brightness set. Unlocking", [], home, touched=locks) == "Brightness set. Unlocking"


def test_what_is_called_by_a_plural_is_spoken_of_as_several() -> None:
    names = {"cover.blinds": "Living room blinds", "light.kitchen": "Kitchen light"}
    home = home_from_document({"entities": [{"id": one, "name": name} for one, name in names.items()]})
    assert left(home, "cover.blinds") == "The living room blinds were left as they were."
    assert left(home, "light.kitchen") == "The kitchen light was left as it was."
    assert (
        not_changed(home, "cover.blinds", "no power") == "The living room blinds were not changed: No power."
    )


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("cover.close_cover", "close the blinds"), ("valve.open_valve", "open the blinds"),
        ("media_player.media_pause", "pause the blinds"), ("lock.lock", "lock the blinds"),
        ("light.turn_off", "turn off the blinds"), ("cover.set_cover_position", "set cover position the blinds"),
    ],
)  # fmt: skip
def test_what_a_step_does_is_said_with_a_verb_and_a_name(service: str, said: str) -> None:
    home = home_from_document({"entities": [{"id": "cover.blinds", "name": "Blinds"}]})
    (step,) = plan(light("a", "cover.blinds", service=service)).steps
    assert step_words(step, home) == said
