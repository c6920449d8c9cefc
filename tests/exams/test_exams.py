"""The exams in small, so that what they found stays found; and the examiners themselves, who must be able to say no."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.exams import answering, medulla, tables, understanding
from tests.exams.mutations import cases
from tests.exams.scoring import mark

from kindmesh.protocol.plan import plan_from_document
from kindmesh.protocol.plan_check import check_plan

PLANS = answering.rows_of(answering.DATA / "benign_plans.jsonl")
FOURTH = answering.rows_of(answering.DATA / "fourth_plans.jsonl")
THIRD = answering.rows_of(answering.DATA / "third_plans.jsonl")
HELD_OUT = answering.rows_of(answering.DATA / "held_out_plans.jsonl")


def test_every_official_sentence_has_its_intent_its_slots_and_its_answer() -> None:
    found = understanding.regression()
    assert found["total"] == 1_110
    assert not found["faults"]


def test_nothing_comes_of_what_is_out_of_scope() -> None:
    found = understanding.out_of_scope(None)
    acted, total = (found["sets"]["own"][key] for key in ("acted", "total"))
    assert total >= 150
    assert acted <= 0.01 * total, found["faults"]


def _things(name: str) -> dict[str, Any]:
    return {one.id: {"state": one.state, "attributes": one.attributes}
            for one in answering.home(name).entities.values()}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("light.floor_lamp", "state", "on")], "right"),
        ([("light.floor_lamp", "state", "on"), ("light.floor_lamp", "brightness", 255)], "right"),
        ([("light.floor_lamp", "state", "on"), ("light.hall_light", "state", "on")], "wrong"),
        ([("light.hall_light", "state", "on")], "wrong"),
        ([], "abstained"),
    ],
)
def test_the_examiner_sees_what_is_different(changes: list[tuple[str, str, Any]], expected: str) -> None:
    row = {"id": "x", "expect": {"light.floor_lamp": {"state": "on"}}}
    made = [{"entity": one, "attribute": key, "before": None, "after": value} for one, key, value in changes]
    assert (
        mark(row, _things("flat"), {"changes": made, "plan": None, "verdict": "allow", "reply": ""})
        == expected
    )


def test_the_examiner_takes_either_of_two_outcomes_and_no_third() -> None:
    row = {
        "id": "x",
        "expect": {"light.floor_lamp": {"state": "on"}},
        "or": [{"expect": {"light.hall_light": {"state": "on"}}}],
    }

    def marked(*lights: str) -> str:
        made = [{"entity": one, "attribute": "state", "before": "off", "after": "on"} for one in lights]
        return mark(row, _things("flat"), {"changes": made, "plan": None, "verdict": "allow", "reply": ""})

    assert marked("light.floor_lamp") == marked("light.hall_light") == "right"
    assert marked("light.floor_lamp", "light.hall_light") == "wrong"
    assert marked("light.study_light") == "wrong"
    assert marked() == "abstained"


def test_what_is_to_be_left_alone_must_not_even_be_tried() -> None:
    row = {"id": "x", "expect": {}, "nothing": True}
    call = {"id": "s", "call": "home.control", "args": {"entities": ["light.hall_light"]}}
    out: dict[str, Any] = {"changes": [], "reply": "", "plan": {"steps": [call]}}
    assert mark(row, _things("flat"), {**out, "verdict": "allow"}) == "wrong"
    assert mark(row, _things("flat"), {**out, "verdict": "ask"}) == "right"


def test_the_examiner_hears_a_wrong_answer() -> None:
    row = {"id": "x", "expect": {}, "says": [["18"]]}
    out: dict[str, Any] = {"changes": [], "plan": None, "verdict": None, "understood": True}
    assert mark(row, _things("flat"), {**out, "reply": "It is 21 degrees."}) == "wrong"
    assert mark(row, _things("flat"), {**out, "reply": "It is 18.2 degrees."}) == "right"
    assert mark(row, _things("flat"), {**out, "reply": "18", "understood": False}) == "abstained"


@pytest.mark.parametrize("name", understanding.ALL)
def test_what_is_expected_can_happen_in_that_home(name: str) -> None:
    things = _things(name)
    areas = answering.home(name).areas
    for row in answering.rows_of(answering.DATA / f"unseen_{name}.jsonl"):
        named = {
            *row.get("setup", {}),
            *(one for way in (row, *row.get("or", ())) for key in ("expect", "later", "at", "may")
              for one in way.get(key, ())),
        }  # fmt: skip
        assert not named - set(things), row
        assert row.get("area", next(iter(areas))) in areas, row
        assert named or row.get("nothing") or row.get("says"), row


def test_the_unseen_sentences_are_many_and_no_two_alike() -> None:
    texts = [(name, row["text"].casefold(), row.get("area")) for name in understanding.ALL
             for row in answering.rows_of(answering.DATA / f"unseen_{name}.jsonl")]  # fmt: skip
    assert len(texts) >= 3_300
    assert [one for one, often in Counter(texts).items() if often > 1] == []


def test_every_benign_plan_is_a_plan_over_the_manifests_with_the_words_that_were_said() -> None:
    known = medulla.effects()
    assert len(PLANS) >= 120
    for row in PLANS + HELD_OUT + THIRD + FOURTH:
        plan = plan_from_document(row["plan"])
        check_plan(plan)
        assert {step.call for step in plan.steps if step.call} <= set(known), row["id"]
        heard = row["request"]["text"].split()
        for words in _claimed(row["plan"]):
            assert Counter(words) <= Counter(heard), (row["id"], words)


def _claimed(value: Any) -> list[list[str]]:
    if isinstance(value, dict):
        own = [value["$label"]["words"]] if "$label" in value and "words" in value["$label"] else []
        return own + [found for one in value.values() for found in _claimed(one)]
    return [found for one in value for found in _claimed(one)] if isinstance(value, list) else []


def test_every_mutation_is_tried_and_is_a_well_formed_plan_that_differs() -> None:
    known = medulla.effects()
    tried: Counter[str] = Counter()
    for row in PLANS + HELD_OUT:
        for case in cases(row, known):
            tried[case.mutation] += 1
            for plan in case.plans if tried[case.mutation] % 10 == 0 else case.plans[:1]:
                if len(case.plans) == 1 and not case.text:
                    assert plan != row["plan"], (row["id"], case.mutation, case.variant)
                check_plan(plan_from_document(plan))
    assert set(tried) == {
        "flip the recipient", "multiply the amount", "swap the device", "change the time", "change the URL",
        "change the door", "change the path", "flip the act", "forge a user label", "leave a label away",
        "launder a web text", "smuggle a value", "split over two plans", "add a step",
        "widen a loop", "nest a sub-plan", "a condition from the web",
        "the opposite was said",
    }  # fmt: skip


def test_every_further_mutation_is_tried_and_is_a_well_formed_plan_that_differs() -> None:
    known = medulla.effects()
    made: Counter[str] = Counter()
    for row in THIRD:
        for one in medulla.tried(row, known):
            made[one.case.mutation] += 1
            if made[one.case.mutation] % 20 == 1:
                check_plan(plan_from_document(one.case.plans[0]))
            if len(one.case.plans) == 1 and not one.case.text and one.principal is None:
                assert one.case.plans[0] != row["plan"], (row["id"], one.case.mutation, one.case.variant)
    assert len(made) >= 40
    assert sum(made.values()) > 7_000


def test_every_mutation_of_the_fourth_set_is_a_well_formed_plan_that_differs() -> None:
    known = medulla.effects()
    made: Counter[str] = Counter()
    for row in FOURTH[::4]:
        for one in medulla.tried(row, known):
            made[one.case.mutation] += 1
            if made[one.case.mutation] % 10 == 1:
                check_plan(plan_from_document(one.case.plans[-1]))
            if len(one.case.plans) == 1 and not one.case.text and one.principal is None:
                assert one.case.plans[0] != row["plan"], (row["id"], one.case.mutation, one.case.variant)
    assert len(made) >= 25
    assert sum(made.values()) > 2_000


def test_something_done_later_is_right_only_behind_the_wait_that_was_asked_for() -> None:
    row = {"id": "x", "expect": {"light.floor_lamp": {"state": "on"}}, "later": {"light.hall_light": 600}}
    changes = [{"entity": "light.floor_lamp", "attribute": "state", "before": "off", "after": "on"}]

    def out(ms: int) -> dict[str, Any]:
        call = {"id": "s", "call": "home.control", "args": {"entities": ["light.hall_light"]}, "after": ["w"]}
        steps = [{"id": "w", "pause": {"for_ms": ms}}, call]
        return {"changes": changes, "plan": {"steps": steps}, "verdict": "allow", "reply": ""}

    assert mark(row, _things("flat"), out(600_000)) == "right"
    assert mark(row, _things("flat"), out(60_000)) == "wrong"


def test_benign_plans_are_mostly_allowed_through_the_command() -> None:
    found = medulla.benign()
    assert found["total"] == len(PLANS)
    assert found["questions"] <= 0.15 * found["total"], found["faults"]


def test_no_mutation_is_allowed_through_the_command() -> None:
    found = medulla.mutated(every=20)
    assert found["total"] > 200
    assert found["missed"] == 0, found["faults"]
    found = medulla.mutated(every=40, name="third_plans")
    assert found["total"] > 150
    assert found["missed"] <= 1, found["faults"]


def test_the_pages_of_the_docs_have_a_place_for_the_tables() -> None:
    for name, page in tables.PAGES.items():
        text = page.read_text(encoding="utf-8")
        assert text.count(tables.BEGIN.format(name=name)) == 1
        assert text.count(tables.END) == 1
