"""Plans: what is one, what is refused and where, the canonical form, values and labels."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.protocol.codec import decode, decode_value, encode, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import (
    EXPRESSION_DEPTH_MAX,
    LINEAGE_MAX,
    PLAN_DEPTH_MAX,
    PLAN_MAX,
    UTTERANCE_WORD_MAX,
    UTTERANCE_WORDS_MAX,
)
from kindmesh.protocol.plan import (
    Input,
    Plan,
    Step,
    check_plain,
    plan_digest,
    plan_from_bytes,
    plan_from_document,
    plan_schema,
    plan_to_bytes,
    plan_to_document,
    single_step,
)
from kindmesh.protocol.plan_check import check_inputs, check_plan, needs
from kindmesh.protocol.plan_labels import SOURCES, Label, Traced, gather, join
from kindmesh.protocol.plan_values import check_value, evaluate, operator, quoted, references, truth, weigh

PERSON = "person:aaaa-aaaa"


def step(**more: Any) -> dict[str, Any]:
    return {"id": "one", "call": "device.echo", **more}


def checked(*steps: dict[str, Any], **more: Any) -> Plan:
    plan = plan_from_document({"plan": 1, "steps": list(steps), **more})
    check_plan(plan)
    return plan


def refused(*steps: dict[str, Any], **more: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        checked(*steps, **more)
    assert error.value.field
    return error.value


# ------------------------------------------------------------------------------------------------ the format


def test_a_plan_of_one_operation_takes_its_values_as_they_are() -> None:
    plan = single_step(
        "device.echo", {"text": "hi", "odd": {"$from": "nowhere"}, "list": [{"$x": 1}, 2]}, "phone"
    )
    check_plan(plan)
    made = evaluate(plan.steps[0].args, {}, "args").value
    assert made == {"text": "hi", "odd": {"$from": "nowhere"}, "list": [{"$x": 1}, 2]}
    assert plan.steps[0].target == "phone"
    assert plan.step("step").kind == "call"


def test_the_canonical_form_leaves_out_what_is_default_and_comes_back_the_same() -> None:
    plan = checked(step(args={"data": b"\0"}), name="x")
    assert plan_to_document(plan) == {
        "plan": 1, "name": "x", "steps": ({"id": "one", "call": "device.echo", "args": {"data": b"\0"}},),
    }  # fmt: skip
    assert plan_from_bytes(plan_to_bytes(plan)) == plan
    assert plan_digest(plan) == sha256(plan_to_bytes(plan))


def test_a_plan_that_says_its_defaults_has_the_same_digest() -> None:
    plain, wordy = checked(step()), checked(step(when=True, after=[], deadline_ms=0), name="")
    assert plan_digest(plain) == plan_digest(wordy)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (None, "plan"),
        ({}, "plan"),
        ({"plan": 2, "steps": []}, "plan"),
        ({"plan": True, "steps": []}, "plan"),
        ({"plan": 1}, "plan"),
        ({"plan": 1, "steps": []}, "steps"),
        ({"plan": 1, "steps": 7}, "steps"),
        ({"plan": 1, "steps": [7]}, "steps.0"),
        ({"plan": 1, "steps": [{"id": "A"}]}, "steps.A.id"),
        ({"plan": 1, "steps": [step(retries=3)]}, "steps.one"),
        ({"plan": 1, "steps": [step(retry={"attempts": 11})]}, "steps.one.retry.attempts"),
        ({"plan": 1, "steps": [step(label={"source": "heaven"})]}, "steps.one.label.source"),
        ({"plan": 1, "steps": [step()], "inputs": {"a": {"type": "colour"}}}, "inputs[...].type"),
    ],
)
def test_what_has_no_place_in_a_plan_is_named(document: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        plan_from_document(document)
    assert error.value.field == field
    assert error.value.hint


@pytest.mark.parametrize("bad", [{1: 2}, {"a": object()}, {"a": float("nan")}, {"a": "x" * (PLAN_MAX + 1)}])
def test_what_is_not_plain_data_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput):
        check_plain(bad)


def test_the_schema_accepts_what_the_code_takes_by_name() -> None:
    schema = plan_schema()
    named = schema["$defs"]["Step"]["properties"]
    assert {field.encode_name for field in _fields(Step)} == set(named)
    assert schema["$defs"]["Step"]["additionalProperties"] is False
    json.dumps(schema)


def _fields(type_: Any) -> Any:
    import msgspec

    return msgspec.structs.fields(type_)


# --------------------------------------------------------------------------------------------- what is refused


def test_every_kind_of_step_can_stand_in_a_plan() -> None:
    inner = {
        "plan": 1,
        "inputs": {"text": {"type": "text"}},
        "steps": [step(args={"text": {"$from": "inputs.text"}})],
    }
    checked(
        step(args={"text": {"$from": "inputs.name"}}, memo={"max_age_ms": 5, "key": {"$from": "inputs.name"}}),
        {"id": "wait", "event": {"topic": "perception.*", "filter": {"$eq": [{"$from": "event.data.x"}, 1]}}},
        {"id": "nap", "pause": {"for_ms": {"$from": "wait.data.x"}}, "after": ["one"]},
        {"id": "till", "pause": {"until_ms": 5}},
        {"id": "who", "ask": {"question": {"$text": ["Is ", {"$from": "one.text"}, "?"]}, "answer": {"yes": {
            "type": "boolean"}}, "who": ["owner", "asker", "role:caregiver"]}},
        {"id": "inner", "sub": {"plan": inner, "inputs": {"text": {"$from": "one.text"}}}},
        {"id": "made", "sub": {"plan": {"$from": "one.plan"}}, "when": {"$from": "who.yes"}},
        {"id": "each", "call": "notes.append", "args": {"text": {"$from": "item"}, "n": {"$from": "index"}},
         "for_each": {"over": ["a", "b"], "parallel": 2},
         "compensate": {"call": "notes.remove", "args": {"id": {"$from": "self.id"}, "n": {"$from": "index"}}}},
        {"id": "loop", "call": "device.echo", "args": {"text": "x"},
         "while": {"condition": {"$ne": [{"$from": "last.state"}, "ready"]}, "most": 5, "every_ms": 10},
         "label": {"data_class": ["health"], "purpose": ["care"]}},
        inputs={"name": {"type": "text", "default": "x"}},
        output={"name": {"$from": "each.0.text"}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "field", "said"),
    [
        ([step(), step()], "steps.one.id", "two steps"),
        ([{"id": "item", "call": "a.b"}], "steps.item.id", "cannot be called"),
        ([{"id": "one"}], "steps.one", "does nothing"),
        ([step(pause={"for_ms": 1})], "steps.one", "both"),
        ([{"id": "one", "pause": {"for_ms": 1}, "args": {"a": 1}}], "steps.one.args", "belongs to a call"),
        ([{"id": "one", "pause": {"for_ms": 1}, "target": "x"}], "steps.one.target", "belongs to a call"),
        ([{"id": "one", "pause": {"for_ms": 1}, "retry": {}}], "steps.one.retry", "belongs to a call"),
        ([{"id": "one", "pause": {"for_ms": 1}, "memo": {"max_age_ms": 1}}], "steps.one.memo", "belongs to"),
        ([{"id": "one", "pause": {}}], "steps.one.pause", "either"),
        ([step(for_each={"over": []}, **{"while": {"condition": True}})], "steps.one.while", "together"),
        ([{"id": "one", "call": "echo"}], "steps.one.call", "no operation"),
        ([step(compensate={"call": "echo"})], "steps.one.compensate.call", "no operation"),
        ([{"id": "one", "event": {"topic": "No Topic"}}], "steps.one.event.topic", "topic"),
        ([{"id": "one", "ask": {"question": "x", "who": ["mum"]}}], "steps.one.ask.who", "nobody"),
        ([{"id": "one", "ask": {"question": "x", "who": [PERSON]}}], "steps.one.ask.who", "id has 34"),
        (
            [{"id": "one", "ask": {"question": "x", "answer": {"A": {"type": "text"}}}}],
            "steps.one.ask.answer",
            "name",
        ),
        ([step(after=["two"])], "steps.one.after", "no step called two"),
        ([step(args={"a": {"$from": "tow.x"}}), {"id": "two", "call": "a.b"}], "steps.one.args.a", "no step"),
        ([step(args={"a": {"$from": "inputs.x"}})], "steps.one.args.a", "no input called x"),
        ([step(args={"a": {"$from": "item"}})], "steps.one.args.a", "item is not known"),
        ([step(when={"$from": "index"}, for_each={"over": []})], "steps.one.when", "index is not known"),
        ([step(args={"$from": "self"})], "steps.one.args", "self is not known"),
        ([step(when="yes")], "steps.one.when", "a condition is"),
        ([step(when={"$count": "x"})], "steps.one.when", "a condition is"),
        ([step(args={"a": {"$from": "No"}})], "steps.one.args.a", "no reference"),
        ([step(args={"a": {"$sum": [1]}})], "steps.one.args.a", "no operator"),
        ([step(args={"a": {"$eq": [1]}})], "steps.one.args.a", "two values"),
        ([step(args={"a": {"$text": "x"}})], "steps.one.args.a", "takes a list"),
        ([step(args={"a": {"$and": []}})], "steps.one.args.a", "takes a list"),
        ([step(args={"a": {"$not": True, "b": 1}})], "steps.one.args.a", "stands alone"),
        ([step(args={"a": {"$default": 1}})], "steps.one.args.a", "no operator"),
        ([step(args={"a": {"$value": 1, "$label": {"source": "x"}}})], "steps.one.args.a.$label", "no label"),
        ([step(label={"data_class": ["gossip"]})], "steps.one.label.data_class", "not known"),
        ([step(label={"purpose": ["fun"]})], "steps.one.label.purpose", "not known"),
        ([step(args={"a": {"$from": "one.x"}})], "steps.one", "wait for each other"),
        ([{"id": "one", "sub": {"plan": 7}}], "steps.one.sub.plan", "written here"),
        ([{"id": "one", "sub": {"plan": {"$text": ["x"]}}}], "steps.one.sub.plan", "written here"),
        ([{"id": "one", "sub": {"plan": {"plan": 1}}}], "steps.one.sub.plan.plan", "missing"),
        (
            [{"id": "one", "sub": {"plan": {"plan": 1, "steps": [step(when=3)]}}}],
            "steps.one.sub.plan.steps.one.when",
            "a condition is",
        ),
        (
            [{"id": "one", "sub": {"plan": {"plan": 1, "steps": [step()]}, "inputs": {"x": 1}}}],
            "steps.one.sub.inputs",
            "no input",
        ),
        (
            [
                {
                    "id": "one",
                    "sub": {"plan": {"plan": 1, "steps": [step()], "inputs": {"x": {"type": "text"}}}},
                }
            ],
            "steps.one.sub.inputs",
            "needs x",
        ),
    ],
)
def test_a_plan_that_could_not_run_is_refused_at_its_field(
    steps: list[dict[str, Any]], field: str, said: str
) -> None:
    error = refused(*steps)
    assert error.field == field
    assert said in error.message


def test_wrong_inputs_and_outputs_are_named() -> None:
    assert refused(step(), inputs={"Bad": {"type": "text"}}).field == "inputs"
    assert refused(step(), inputs={"a": {"type": "integer", "choices": ["x"]}}).field == "inputs.a"
    assert refused(step(), inputs={"a": {"type": "integer", "default": "x"}}).field == "inputs.a"
    assert refused(step(), output={"a": {"$from": "two"}}).field == "output.a"


def test_the_nearest_name_is_offered() -> None:
    error = refused(step(after=["tow"]), {"id": "two", "call": "a.b"})
    assert error.hint == "Did you mean two?"
    assert refused(step(args={"a": {"$from": "inputs.x"}})).hint == "There are: none."
    assert "There are: one." in refused(step(after=["something_else_that_is_long"])).hint


def test_a_circle_is_named_step_by_step() -> None:
    error = refused(
        {"id": "a", "call": "x.y", "after": ["c"]},
        {"id": "b", "call": "x.y", "args": {"v": {"$from": "a.v"}}},
        {"id": "c", "call": "x.y", "after": ["b", "d"]},
        {"id": "d", "call": "x.y"},
    )
    assert error.message == "these steps wait for each other: a <- c <- b <- a"


def test_too_many_steps_and_too_deep_plans_are_refused() -> None:
    inner = [{"id": f"s{number}", "call": "a.b"} for number in range(100)]
    error = refused(
        {"id": "x", "sub": {"plan": {"plan": 1, "steps": inner}}},
        {"id": "y", "sub": {"plan": {"plan": 1, "steps": inner}}},
    )
    assert error.field == "steps"
    deep: dict[str, Any] = {"plan": 1, "steps": [step()]}
    for _ in range(PLAN_DEPTH_MAX):
        deep = {"plan": 1, "steps": [{"id": "in", "sub": {"plan": deep}}]}
    with pytest.raises(InvalidInput, match="plans inside plans"):
        check_plan(plan_from_document(deep))
    value: Any = 1
    for _ in range(EXPRESSION_DEPTH_MAX + 2):
        value = [value]
    assert "levels deep" in refused(step(args={"a": value})).message


def test_an_emergency_never_waits_for_an_answer() -> None:
    plan = plan_from_document({"plan": 1, "steps": [{"id": "q", "ask": {"question": "Well?"}}]})
    check_plan(plan)
    with pytest.raises(InvalidInput, match="emergency"):
        check_plan(plan, emergency=True)


def test_what_comes_before_a_step_is_order_and_data() -> None:
    plan = checked(
        {"id": "a", "call": "x.y"},
        {"id": "b", "call": "x.y"},
        {"id": "c", "call": "x.y", "after": ["a"], "args": {"v": {"$from": "b", "$default": {"$from": "a"}}},
         "compensate": {"call": "x.z", "args": {"v": {"$from": "c"}}}},
    )  # fmt: skip
    assert [set(part) for part in needs(plan.step("c"))] == [{"a", "b"}, {"a"}]


def test_inputs_are_checked_and_filled_in() -> None:
    plan = checked(step(), inputs={"a": {"type": "integer", "default": 3}, "b": {"type": "text"}})
    assert check_inputs(plan, {"b": "x"}) == {"a": 3, "b": "x"}
    with pytest.raises(InvalidInput):
        check_inputs(plan, {})
    assert Input("text", required=False).field("x").required is False


# ------------------------------------------------------------------------------------------------------ values

SCOPE = {
    "read": Traced({"text": "hi", "n": 3, "list": [1, {"x": None}], "half": 0.5}, Label("web"), ("read",)),
    "gone": Traced(None, Label("device"), ("gone",)),
    "inputs": Traced({"name": "Ann"}, Label(), ("inputs",)),
}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (7, 7),
        ({"a": [1, {"$from": "read.n"}], "b": {}}, {"a": [1, 3], "b": {}}),
        ([], []),
        ({"$value": {"$from": "x"}}, {"$from": "x"}),
        ({"$from": "read.list.1.x"}, None),
        ({"$from": "read.list.1.x.y.z"}, None),
        ({"$from": "gone.a.b"}, None),
        ({"$from": "gone", "$default": {"$from": "read.n"}}, 3),
        ({"$from": "read.none", "$default": 5}, 5),
        ({"$from": "read.list.7", "$default": 5}, 5),
        ({"$from": "read.n", "$default": 5}, 3),
        ({"$text": ["a", {"$from": "read.n"}, 0.5]}, "a30.5"),
        ({"$count": {"$from": "read.list"}}, 2),
        ({"$eq": [1, 1.0]}, True),
        ({"$eq": [1, True]}, False),
        ({"$eq": [None, None]}, True),
        ({"$eq": [{"a": [1, 2]}, {"a": [1, 2.0]}]}, True),
        ({"$eq": [{"a": 1}, {"b": 1}]}, False),
        ({"$eq": [[1], [1, 2]]}, False),
        ({"$ne": ["a", "b"]}, True),
        ({"$lt": [1, 2]}, True),
        ({"$le": ["b", "a"]}, False),
        ({"$gt": [2, 1.5]}, True),
        ({"$ge": [1, 1]}, True),
        ({"$in": [3, [1, 3]]}, True),
        ({"$in": [True, [1, 3]]}, False),
        ({"$and": [True, {"$not": False}]}, True),
        ({"$or": [False, False]}, False),
    ],
)
def test_values(value: Any, wanted: Any) -> None:
    check_value(value, "v")
    found = evaluate(value, SCOPE, "v").value
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    "value",
    [
        {"$from": "nobody"},
        {"$from": "read.none"},
        {"$from": "read.list.x"},
        {"$from": "read.text.x"},
        {"$lt": [1, "a"]},
        {"$lt": [None, 1]},
        {"$gt": [True, False]},
        {"$in": [1, "abc"]},
        {"$and": [False, 1]},
        {"$not": None},
        {"$text": [True]},
        {"$text": [None]},
        {"$text": ["x" * 200_000, "x" * 200_000]},
        {"$count": 3},
    ],
)
def test_what_cannot_be_evaluated_says_so(value: Any) -> None:
    check_value(value, "v")
    with pytest.raises(InvalidInput) as error:
        evaluate(value, SCOPE, "v")
    assert error.value.field == "v"


def test_a_condition_is_true_or_false_and_nothing_else() -> None:
    assert truth({"$gt": [{"$from": "read.half"}, 0.2]}, SCOPE, "when")
    for neither in ({"$from": "read.n"}, {"$from": "gone"}):
        with pytest.raises(InvalidInput, match="condition"):
            truth(neither, SCOPE, "when")


def test_a_result_carries_the_labels_and_origins_of_all_that_was_looked_at() -> None:
    made = evaluate({"$text": ["Dear ", {"$from": "inputs.name"}, {"$from": "read.text"}]}, SCOPE, "v")
    assert (made.label.source, made.origins) == ("web", ("inputs", "plan", "read"))
    labelled = evaluate({"$value": 1, "$label": {"source": "memory", "readers": ["ann"]}}, SCOPE, "v")
    assert labelled.label == Label("memory", ("ann",))


def test_references_are_found_at_any_depth_and_not_in_quotes() -> None:
    value = {"a": [{"$from": "x.y", "$default": {"$from": "z"}}], "b": {"$value": {"$from": "no"}}}
    found = [(one.root, one.path, one.optional) for one in references(value)]
    assert found == [("x", ("y",), True), ("z", (), False)]
    assert operator([1]) == operator({"a": 1}) == ""


def test_weight_is_bounded_without_building_anything() -> None:
    big = "x" * 1000
    assert weigh({"a": [1, b"23"]}, 100, "v") == 8
    with pytest.raises(InvalidInput):
        weigh([big] * 1000, 10_000, "v")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DOLLARS = st.recursive(
    st.integers(0, 9),
    lambda inner: st.dictionaries(st.sampled_from(["$from", "$value", "a", "$x"]), inner, max_size=2),
    max_leaves=6,
)


@given(PLAIN | DOLLARS)
def test_quoted_data_come_out_as_they_are(value: Any) -> None:
    wrapped = quoted(value)
    check_value(wrapped, "v")
    assert evaluate(wrapped, {}, "v").value == value


@given(st.dictionaries(st.sampled_from(["text", "a", "$b"]), PLAIN | DOLLARS, max_size=3))
def test_any_call_survives_the_canonical_form(args: dict[str, Any]) -> None:
    plan = single_step("a.b", args)
    data = plan_to_bytes(plan)
    again = plan_from_bytes(data)
    assert plan_to_bytes(again) == data
    assert encode_value(decode_value(data)) == data


# ------------------------------------------------------------------------------------------------------ labels

WORDS = st.lists(st.sampled_from(["*", "a", "b", "c"]), max_size=3).map(tuple)
HEARD = st.lists(st.sampled_from(["lock", "the", "Door,", "*"]), max_size=4).map(tuple)
LABELS = st.builds(Label, st.sampled_from(SOURCES), WORDS, WORDS, WORDS, HEARD)


def but_for_order(label: Label) -> Label:
    return msgspec.structs.replace(label, words=tuple(sorted(label.words)))


@given(LABELS, LABELS, LABELS)
def test_joining_labels_is_a_least_upper_bound(one: Label, two: Label, three: Label) -> None:
    assert but_for_order(join([one, two])) == but_for_order(join([two, one]))
    assert join([join([one, two]), three]) == join([one, join([two, three])])
    assert join([one, one]) == join([one])


@given(LABELS, LABELS)
def test_a_joined_label_is_never_less_strict(one: Label, two: Label) -> None:
    both = join([one, two])
    assert SOURCES.index(both.source) == max(SOURCES.index(one.source), SOURCES.index(two.source))
    for part in (one, two):
        assert "*" in part.readers or set(both.readers) <= set(part.readers)
        assert "*" in part.purpose or set(both.purpose) <= set(part.purpose)
        assert "*" in both.data_class or set(part.data_class) <= set(both.data_class)
        assert set(part.words) <= set(both.words)


def test_words_keep_their_order_and_do_not_change_who_is_to_be_trusted() -> None:
    both = join([Label("user", words=("lock", "the", "door")), Label("web", words=("the", "gate"))])
    assert both.words == ("lock", "the", "door", "gate")
    assert both.source == "web"


def test_the_words_of_a_label_are_bounded() -> None:
    many = [Label(words=(f"w{number}",)) for number in range(UTTERANCE_WORDS_MAX + 5)]
    assert join(many).words == tuple(f"w{number}" for number in range(UTTERANCE_WORDS_MAX))
    for words in (["x"] * (UTTERANCE_WORDS_MAX + 1), ["x" * (UTTERANCE_WORD_MAX + 1)], [""]):
        with pytest.raises(InvalidInput) as caught:
            check_value({"$value": 1, "$label": {"words": words}}, "args.a")
        assert caught.value.field == "args.a.$label"


def test_a_label_with_words_survives_the_canonical_form() -> None:
    value = {"$value": "Kitchen,", "$label": {"source": "user", "words": ["Kitchen,"]}}
    traced = evaluate({"room": value}, {}, "args")
    assert traced.label == Label(words=("Kitchen,",))
    assert decode(Traced, encode(traced)) == traced


def test_of_nothing_the_label_is_the_default_and_origins_are_bounded() -> None:
    assert join([]) == Label()
    many = [Traced(1, Label(), (f"s{number:03}",)) for number in range(100)]
    assert len(gather(many)[1]) == LINEAGE_MAX
