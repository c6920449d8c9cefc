"""The run machine alone: made-up plans and made-up worlds, restarts at every point, and each rule by itself."""

from __future__ import annotations

import copy
import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kindmesh.coordinator.heart.runs import run_words as w
from kindmesh.coordinator.heart.runs.run_machine import RunMachine
from kindmesh.coordinator.heart.runs.run_machine_items import STORY_MAX, index_of
from kindmesh.protocol.errors import InvalidTransition
from kindmesh.protocol.limits import RUN_OPEN_MAX
from kindmesh.protocol.plan import plan_from_document
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.plan_labels import Label, Traced

NO = w.Trouble("CAPABILITY", "it did not work")


def machine(*steps: dict[str, Any], until_ms: int = 0, **more: Any) -> RunMachine:
    plan = plan_from_document({"plan": 1, "name": "test", "steps": list(steps), **more})
    check_plan(plan)
    given = {name: known.default for name, known in plan.inputs.items()}
    return RunMachine(plan, given, begun_ms=0, until_ms=until_ms)


def again(old: RunMachine) -> RunMachine:
    """What the journal makes of it after a restart."""
    new = RunMachine(old.plan, old.inputs.value, begun_ms=old.begun_ms, until_ms=old.until_ms)
    items = [msgspec.msgpack.decode(msgspec.msgpack.encode(item), type=w.Item) for item in old.items.values()]
    new.resume(old.state, old.end, old.cause, old.where, items)
    return new


class World:
    """Does what the machine asks for, as a made-up world would: `fate` says how each attempt of each path ends.

    `restart_at`: after so many events the coordinator dies and what it had not followed up is lost.
    """

    def __init__(self, run: RunMachine, fate: dict[str, list[str]], restart_at: int = -1) -> None:
        self.run = run
        self.fate = fate
        self.restart_at = restart_at
        self.now_ms = 1
        self.events: list[w.RunEvent] = [w.Begin()]
        self.did: Counter[str] = Counter()
        self.jobs: dict[tuple[str, int], w.RunEvent] = {}
        self.told = 0
        self.ended: list[str] = []
        self.args: dict[str, Any] = {}
        self.order: list[str] = []

    def go(self, limit: int = 3_000) -> RunMachine:
        for _ in range(limit):
            if self.run.ended:
                return self.run
            self.turn()
        raise AssertionError(f"{self.run.state} for ever: {self.run.story[-5:]}")

    def turn(self) -> None:
        if self.events:
            event = self.events.pop(0)
        else:
            at_ms = self.run.next_time()
            assert at_ms or [item for item in self.run.open_items() if item.state in ("asking", "listening")]
            self.now_ms = max(self.now_ms, at_ms)
            waiting = [item for item in self.run.open_items() if item.state in ("asking", "listening")]
            event = w.ClockRang()
            if waiting and not at_ms:
                item = waiting[0]
                answered = w.Answered(item.path, {"yes": True}, "owner")
                event = answered if item.state == "asking" else w.Heard(item.path, {"topic": "a.b"})
        wishes = self.run.handle(event, self.now_ms)
        self.run.validate()
        self.told += 1
        if self.told == self.restart_at and not self.run.ended:
            self.run = again(self.run)
            self.events = [w.Resumed()]
            return
        for wish in wishes:
            self.follow(wish)

    def follow(self, wish: w.RunInstruction) -> None:
        if isinstance(wish, (w.Submit, w.Spawn)):
            self.work(wish)
        elif isinstance(wish, w.Recall):
            self.events.append(w.Recalled(wish.path, None))
        elif isinstance(wish, w.EndRun):
            self.ended.append(wish.state)

    def work(self, wish: w.Submit | w.Spawn) -> None:
        """One job for one key, however often it is asked for."""
        key = (wish.path, wish.attempt)
        if key not in self.jobs and wish.known_only:
            self.events.append(w.NotStarted(*key, w.Trouble("BUSY", "not begun")))
            return
        if key not in self.jobs:
            outcomes = self.fate.get(wish.path, [])
            outcome = outcomes[min(wish.attempt, len(outcomes)) - 1] if outcomes else "succeeded"
            self.did[wish.path] += outcome != "refused"
            self.order.append(wish.path)
            self.args[wish.path] = wish.args if isinstance(wish, w.Submit) else wish.plan
            if outcome == "refused":
                self.jobs[key] = w.NotStarted(*key, w.Trouble("NO_DEVICE_ABLE", "no device"))
            elif outcome == "later":
                self.jobs[key] = w.NotStarted(*key, w.Trouble("BUSY", "busy"), 500)
                self.fate[wish.path] = ["succeeded"]
            else:
                value = {"path": wish.path, "text": "x", "list": [1, 2]} if outcome == "succeeded" else None
                repeatable = outcome != "broken"
                state: Any = "failed" if outcome == "broken" else outcome
                self.jobs[key] = w.WorkEnded(*key, state, value, Label("device"), NO, repeatable)
        if not isinstance(self.jobs[key], w.NotStarted):
            self.events.append(w.Attached(*key, wish.path.encode()))
        self.events.append(self.jobs[key])
        if isinstance(self.jobs[key], w.NotStarted) and self.fate.get(wish.path) == ["succeeded"]:
            del self.jobs[key]


# ------------------------------------------------------------------------------------------------- made-up worlds


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = [f"s{number}" for number in range(draw(st.integers(1, 6)))]
    found = []
    for place, name in enumerate(names):
        before = draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=2)) if place else []
        step: dict[str, Any] = {"id": name}
        kind = draw(st.sampled_from(["call", "call", "call", "sub", "pause", "ask", "event"]))
        if kind == "call":
            step["call"] = "a.b"
            step["args"] = {one: {"$from": f"{one}", "$default": 1} for one in before[:1]}
            step |= draw(
                st.sampled_from(
                    [{}, {"retry": {"attempts": 3, "backoff_ms": 10}}, {"memo": {"max_age_ms": 5}}]
                )
            )
        elif kind == "sub":
            step["sub"] = {"plan": {"plan": 1, "steps": [{"id": "in", "call": "a.b"}]}}
        else:
            step |= {"pause": {"for_ms": 50}} if kind == "pause" else {}
            step |= {"ask": {"question": "Well?"}} if kind == "ask" else {}
            step |= {"event": {"topic": "action.*"}} if kind == "event" else {}
        step |= draw(
            st.sampled_from(
                [
                    {},
                    {},
                    {"for_each": {"over": [1, 2, 3], "parallel": 2}},
                    {"while": {"condition": {"$lt": [{"$from": "index"}, 2]}, "every_ms": 7}},
                    {"when": {"$eq": [1, 2]}},
                    {"deadline_ms": 100_000},
                ]
            )
        )
        if draw(st.booleans()):
            step["compensate"] = {"call": "a.undo", "args": {"of": {"$from": "self", "$default": 0}}}
        found.append({**step, "after": before})
    return found


OUTCOMES = ("succeeded", "failed", "broken", "uncertain", "cancelled", "expired", "refused", "later")
FATES = st.dictionaries(
    st.sampled_from([f"s{n}" for n in range(6)] + [f"s{n}[{i}]" for n in range(4) for i in range(3)]
                    + [f"undo:s{n}" for n in range(3)]),
    st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=3),
    max_size=3,
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(steps(), FATES, st.integers(0, 10**6))
def test_any_plan_in_any_world_ends_once_and_a_restart_anywhere_changes_nothing(
    made: list[dict[str, Any]], fate: dict[str, list[str]], where: int
) -> None:
    calm = World(machine(*made), copy.deepcopy(fate))
    calm.go()
    assert calm.ended == [calm.run.state]
    killed = World(machine(*made), copy.deepcopy(fate), restart_at=1 + where % max(calm.told, 1))
    killed.go()
    assert len(killed.ended) == 1
    assert killed.run.state == calm.run.state
    for world in (calm, killed):
        # One job for each attempt; what is not to be repeated happened once.
        assert all(times <= 3 for times in world.did.values())
    if calm.run.state == "succeeded":
        assert killed.did == calm.did
        assert killed.run.output.value.keys() == calm.run.output.value.keys()


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(steps(), st.integers(0, 10**6), st.integers(0, 40))
def test_events_in_any_order_and_strange_ones_never_break_a_rule(
    made: list[dict[str, Any]], seed: int, at: int
) -> None:
    dice = random.Random(seed)
    run = machine(*made, until_ms=1_000_000)
    world = World(run, {})
    world.turn()
    for number in range(400):
        if run.ended:
            break
        if number == at:
            world.events.append(w.CancelRun("somebody"))
        if dice.random() < 0.2:
            path = dice.choice(["s0", "s1[0]", "undo:s0", "nobody"])
            strange: list[w.RunEvent] = [
                w.Recalled(path, Traced(1)), w.Heard(path, {"topic": "x"}), w.Answered(path, {}, "owner"),
                w.ClockRang(), w.Attached(path, 9, b"x"), w.WorkEnded(path, 9, "failed"), w.NotStarted(path, 9, NO),
            ]  # fmt: skip
            world.events.insert(0, dice.choice(strange))
        dice.shuffle(world.events)
        world.turn()
    world.go()
    assert run.ended


def test_every_restart_of_a_big_plan_gives_the_same_outcome_and_does_nothing_twice() -> None:
    def wanted() -> RunMachine:
        return machine(
            {"id": "left", "call": "a.b", "compensate": {"call": "a.undo"}},
            {"id": "right", "call": "a.b", "retry": {"attempts": 3, "backoff_ms": 5}},
            {
                "id": "each",
                "call": "a.b",
                "for_each": {"over": {"$from": "left.list"}},
                "compensate": {"call": "a.undo"},
            },
            {"id": "in", "sub": {"plan": {"$from": "inputs.plan"}}, "after": ["right"]},
            {"id": "end", "call": "a.b", "after": ["each", "in"]},
            inputs={"plan": {"type": "object", "default": {"plan": 1}}},
        )  # fmt: skip

    fate = {"right": ["failed", "succeeded"], "end": ["broken"]}
    calm = World(wanted(), copy.deepcopy(fate))
    calm.go()
    assert calm.run.state == "failed"
    assert calm.order[-3:] == ["undo:each[1]", "undo:each[0]", "undo:left"]
    for restart_at in range(1, calm.told + 1):
        world = World(wanted(), copy.deepcopy(fate), restart_at)
        world.go()
        assert (world.run.state, world.did, world.ended) == ("failed", calm.did, ["failed"]), restart_at


# ------------------------------------------------------------------------------------------------------ one by one


def only(wishes: list[w.RunInstruction], kind: type) -> Any:
    (found,) = [wish for wish in wishes if isinstance(wish, kind)]
    return found


def test_an_uncertain_step_is_never_retried_and_makes_the_run_uncertain() -> None:
    run = machine({"id": "a", "call": "a.b", "retry": {"attempts": 5}}, {"id": "b", "call": "a.b"})
    world = World(run, {"a": ["uncertain"]})
    world.go()
    assert (run.state, run.where, world.did["a"]) == ("uncertain", "a", 1)


def test_a_worse_ending_that_comes_while_stopping_counts() -> None:
    run = machine({"id": "a", "call": "a.b"}, {"id": "b", "call": "a.b"})
    run.handle(w.Begin(), 1)
    run.handle(w.WorkEnded("a", 1, "failed", trouble=NO), 2)
    assert run.state == "stopping"
    run.handle(w.WorkEnded("b", 1, "uncertain", trouble=NO), 3)
    assert (run.state, run.where) == ("uncertain", "b")


def test_what_may_not_be_repeated_is_not_and_denied_is_denied() -> None:
    for outcome, trouble, repeatable in (("failed", NO, False), ("failed", w.Trouble("DENIED", "no"), True)):
        run = machine({"id": "a", "call": "a.b", "retry": {"attempts": 5}})
        run.handle(w.Begin(), 1)
        run.handle(w.WorkEnded("a", 1, outcome, trouble=trouble, repeatable=repeatable), 2)  # type: ignore[arg-type]  # words
        assert (run.state, run.cause) == ("failed", trouble)


def test_a_deadline_ends_waits_and_retries_and_is_passed_on_to_jobs() -> None:
    run = machine({"id": "a", "call": "a.b", "deadline_ms": 100, "retry": {"attempts": 9, "backoff_ms": 60}})
    assert only(run.handle(w.Begin(), 1), w.Submit).deadline_ms == 101
    run.handle(w.NotStarted("a", 1, NO, again_ms=200), 1)
    assert run.next_time() == 101
    run.handle(w.ClockRang(), 101)
    assert (run.state, run.items["a"].trouble) == (
        "failed",
        w.Trouble("DEADLINE_EXCEEDED", "the time for this step is over"),
    )


def test_the_run_s_own_deadline_makes_it_expired() -> None:
    run = machine({"id": "a", "call": "a.b"}, {"id": "q", "ask": {"question": "Well?"}}, until_ms=50)
    run.handle(w.Begin(), 1)
    assert only(run.handle(w.ClockRang(), 50), w.CancelWork).path == "a"
    run.handle(w.WorkEnded("a", 1, "succeeded", {}), 51)
    assert run.state == "expired"


def test_a_question_an_event_and_a_memo_give_their_output_with_its_label() -> None:
    run = machine(
        {"id": "q", "ask": {"question": {"$text": ["Is it ", {"$from": "inputs.x"}, "?"]}}},
        {"id": "e", "event": {"topic": "action.*", "filter": {"$eq": [{"$from": "event.data.n"}, 1]}}},
        {
            "id": "m",
            "call": "a.b",
            "memo": {"max_age_ms": 10, "key": {"$from": "inputs.x"}},
            "target": "phone",
        },
        inputs={"x": {"type": "text", "default": "on"}},
    )
    wishes = run.handle(w.Begin(), 1)
    assert (only(wishes, w.Listen).topic, only(wishes, w.Recall).key) == ("action.*", ["on"])
    assert only(wishes, w.Listen).since_ms == 0
    wishes = run.handle(w.Resumed(), 2)
    assert {type(wish) for wish in wishes} == {w.Listen, w.Recall}
    assert only(wishes, w.Listen).since_ms == 1
    run.handle(w.Heard("e", {"data": {"n": 2}}), 2)
    run.handle(w.Heard("e", {"data": {"n": 1}}, Label("web")), 3)
    run.handle(w.Answered("q", {"yes": True}, "person x"), 4)
    run.handle(w.Recalled("m", Traced({"text": "old"}, Label("device"), ("m",))), 5)
    assert run.state == "succeeded"
    assert run.items["e"].output == Traced({"data": {"n": 1}}, Label("web"), ("e", "event"))
    assert run.items["q"].output == Traced({"yes": True}, Label("user"), ("answer by person x", "q"))
    assert run.output.label.source == "web"


def test_a_memo_that_has_nothing_is_done_and_kept() -> None:
    run = machine({"id": "m", "call": "a.b", "args": {"n": 1}, "memo": {"max_age_ms": 10}})
    assert only(run.handle(w.Begin(), 1), w.Recall).key == [{"n": 1}, ""]
    assert only(run.handle(w.Recalled("m", None), 2), w.Submit).args == {"n": 1}
    assert only(run.handle(w.WorkEnded("m", 1, "succeeded", {}), 3), w.Memorise).key == [{"n": 1}, ""]


def test_a_while_step_goes_on_until_its_condition_is_false_or_it_is_too_often() -> None:
    condition = {"$ne": [{"$from": "last.text"}, "x"]}
    run = machine({"id": "a", "call": "a.b", "while": {"condition": condition}})
    assert World(run, {}).go().items["a"].iterations == 1
    for_ever = machine({"id": "a", "call": "a.b", "while": {"condition": True, "most": 3}})
    assert World(for_ever, {}).go().cause == w.Trouble(
        "JOB", "it still had to go on after 3 times", "Raise most, or change the condition."
    )
    broken = machine({"id": "a", "call": "a.b", "while": {"condition": {"$from": "index"}}})
    assert World(broken, {}).go().state == "failed"
    late = machine(
        {"id": "a", "call": "a.b", "deadline_ms": 50, "while": {"condition": True, "every_ms": 40}}
    )
    assert (World(late, {}).go().where, late.items["a"].iterations) == ("a", 2)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"call": "a.b", "args": {"$from": "inputs.n"}}, "named"),
        ({"call": "a.b", "args": {"x": {"$from": "inputs.n.y"}}}, "is not there"),
        ({"call": "a.b", "target": {"$from": "inputs.n"}}, "target"),
        ({"call": "a.b", "args": {"x": {"$from": "inputs.long"}, "y": {"$from": "inputs.long"}}}, "bytes"),
        ({"call": "a.b", "when": {"$from": "inputs.n"}}, "condition"),
        ({"call": "a.b", "for_each": {"over": {"$from": "inputs.n"}}}, "list"),
        ({"call": "a.b", "for_each": {"over": [1, 2, 3], "most": 2}}, "3 items"),
        (
            {"call": "a.b", "args": {"x": {"$from": "item.no"}}, "for_each": {"over": [{"a": 1}]}},
            "is not there",
        ),
        ({"ask": {"question": {"$from": "inputs.n"}}}, "a question"),
        ({"pause": {"for_ms": {"$from": "inputs.t"}}}, "whole number"),
        ({"pause": {"for_ms": 10**12}}, "31 days"),
        ({"sub": {"plan": {"$from": "inputs.n"}}}, "no plan"),
    ],
)
def test_what_cannot_be_evaluated_fails_the_step_by_name(step: dict[str, Any], said: str) -> None:
    inputs = {
        "n": {"type": "integer", "default": 7},
        "t": {"type": "text", "default": "soon"},
        "long": {"type": "text", "max_length": 65_536, "default": "x" * 60_000},
    }
    if "long" in str(step):
        step = {**step, "args": {str(number): {"$from": "inputs.long"} for number in range(5)}}
    run = machine({"id": "a", **step}, inputs=inputs)
    assert World(run, {}).go().state == "failed"
    assert run.cause is not None
    assert said in run.cause.message


def test_a_pause_until_a_time_that_is_over_is_short() -> None:
    run = machine({"id": "a", "pause": {"until_ms": 5}})
    run.handle(w.Begin(), 100)
    assert run.next_time() == 100
    run.handle(w.ClockRang(), 100)
    assert run.output.value == {"a": {"at_ms": 100}}


def test_outputs_of_a_run_are_bounded_altogether() -> None:
    run = machine({"id": "a", "call": "a.b", "for_each": {"over": list(range(30)), "parallel": 1}})
    run.handle(w.Begin(), 1)
    for number in range(30):
        run.handle(w.WorkEnded(f"a[{number}]", 1, "succeeded", "x" * 700_000), 2)
        if run.ended:
            break
    assert run.cause is not None
    assert (run.state, run.cause.message) == ("failed", "the outputs of this run are too much altogether")


def test_a_filter_that_is_no_condition_and_an_output_that_is_not_there_fail_the_run() -> None:
    run = machine({"id": "e", "event": {"topic": "action.*", "filter": {"$from": "event.n"}}})
    run.handle(w.Begin(), 1)
    run.handle(w.Heard("e", {"n": 1}), 2)
    assert (run.state, run.where) == ("failed", "e")
    run = machine({"id": "a", "call": "a.b"}, output={"x": {"$from": "a.no"}})
    assert World(run, {}).go().state == "failed"


def test_skipping_passes_on_to_what_needs_the_output_and_to_nothing_else() -> None:
    run = machine(
        {"id": "a", "call": "a.b", "when": False},
        {"id": "needs", "call": "a.b", "args": {"x": {"$from": "a.text"}}},
        {"id": "default", "call": "a.b", "args": {"x": {"$from": "a.text", "$default": "none"}}},
        {"id": "after", "call": "a.b", "after": ["a"]},
    )
    world = World(run, {})
    world.go()
    assert run.items["needs"].state == "skipped"
    assert (world.did, world.args["default"]) == ({"default": 1, "after": 1}, {"x": "none"})


def test_compensations_are_tried_again_and_what_could_not_be_undone_is_named() -> None:
    undo = {"call": "a.undo", "args": {"of": {"$from": "self.text"}}}
    wanted: list[dict[str, Any]] = [
        {"id": "a", "call": "a.b", "compensate": undo},
        {"id": "b", "call": "a.b", "compensate": {"call": "a.undo", "args": {"x": {"$from": "self.no"}}}},
        {"id": "c", "call": "a.b", "compensate": {"call": "a.undo", "args": {"$from": "self.text"}}},
        {"id": "z", "call": "a.b", "after": ["a", "b", "c"]},
    ]
    run = machine(*wanted)
    world = World(run, {"z": ["broken"], "undo:a": ["failed", "refused", "succeeded"]})
    world.go()
    assert {path: item.state for path, item in run.items.items() if path.startswith(w.UNDO)} == {
        "undo:c": "failed", "undo:b": "failed", "undo:a": "succeeded",
    }  # fmt: skip
    assert world.args["undo:a"] == {"of": "x"}
    run = machine(*wanted[:1], {"id": "z", "call": "a.b", "after": ["a"]})
    World(run, {"z": ["broken"], "undo:a": ["broken"]}).go()
    assert (run.state, run.items["undo:a"].state) == ("failed", "failed")
    run = machine(*wanted[:1], {"id": "z", "call": "a.b", "after": ["a"]})
    World(run, {"z": ["broken"], "undo:a": ["uncertain"]}).go()
    assert (run.state, run.where) == ("uncertain", "undo:a")


def test_cancelling_stops_and_undoes_and_again_is_only_noted() -> None:
    run = machine({"id": "a", "call": "a.b", "compensate": {"call": "a.undo"}}, {"id": "b", "call": "a.b"})
    run.handle(w.Begin(), 1)
    run.handle(w.WorkEnded("a", 1, "succeeded", {}), 2)
    assert only(run.handle(w.CancelRun("Ann"), 3), w.CancelWork).path == "b"
    run.handle(w.WorkEnded("b", 1, "cancelled"), 4)
    assert run.state == "undoing"
    run.handle(w.CancelRun("Ann"), 5)
    run.handle(w.WorkEnded("undo:a", 1, "succeeded", {}), 6)
    assert (run.state, run.cause) == ("cancelled", w.Trouble("CANCELLED", "cancelled by Ann"))


def test_after_a_restart_a_stopping_run_takes_up_what_had_begun_and_begins_nothing() -> None:
    run = machine({"id": "a", "call": "a.b"}, {"id": "b", "call": "a.b"})
    run.handle(w.Begin(), 1)
    run.handle(w.CancelRun("Ann"), 2)
    wishes = run.handle(w.Resumed(), 3)
    assert [wish.known_only for wish in wishes if isinstance(wish, w.Submit)] == [True, True]
    run.handle(w.NotStarted("a", 1, NO), 4)
    run.handle(w.WorkEnded("b", 1, "failed", repeatable=True), 5)
    assert (run.state, run.items["a"].state) == ("cancelled", "cancelled")


def test_not_too_much_is_open_at_once() -> None:
    each = {"id": "each", "call": "a.b", "for_each": {"over": list(range(50)), "parallel": 32}}
    loop = {"id": "loop", "call": "a.b", "while": {"condition": {"$lt": [{"$from": "index"}, 2]}}}
    run = machine(each, *({"id": f"s{number}", "call": "a.b"} for number in range(40)), loop)
    run.handle(w.Begin(), 1)
    run.validate()
    assert len(run.open_items()) == RUN_OPEN_MAX
    assert World(run, {}) is not None
    world = World(machine(each, loop), {})
    assert len(world.go().items) == 54


def test_a_repeating_step_ends_as_the_worst_of_its_iterations() -> None:
    for fate, state in (("uncertain", "uncertain"), ("broken", "failed"), ("cancelled", "cancelled")):
        run = machine({"id": "a", "call": "a.b", "for_each": {"over": [1, 2]}})
        World(run, {"a[0]": [fate]}).go()
        assert run.items["a"].state == state


def test_a_sub_run_is_told_which_jobs_led_to_it() -> None:
    run = machine(
        {"id": "a", "call": "a.b"},
        {"id": "b", "call": "a.b", "args": {"x": {"$from": "a.text"}}},
        {"id": "in", "sub": {"plan": {"$value": {"plan": 1}}}, "after": ["b"]},
    )
    wishes = run.handle(w.Begin(), 1)
    for name in ("a", "b"):
        run.handle(w.Attached(name, 1, name.encode() * 16), 2)
        run.handle(w.Attached(name, 1, name.encode() * 16), 2)
        wishes = run.handle(w.WorkEnded(name, 1, "succeeded", {"text": "x"}), 3)
    assert only(wishes, w.Spawn).after == (b"b" * 16, b"a" * 16)
    assert only(run.handle(w.Resumed(), 4), w.Spawn).plan == {"plan": 1}


def test_a_pair_that_the_table_has_not_is_a_bug_with_a_story() -> None:
    run = machine({"id": "a", "pause": {"for_ms": 1}})
    run.handle(w.Begin(), 1)
    run.handle(w.ClockRang(), 2)
    with pytest.raises(InvalidTransition) as error:
        run.handle(w.Begin(), 3)
    assert error.value.story[-1] == "2 a succeeded"
    for number in range(2 * STORY_MAX):
        run.note(number, "x")
    assert len(run.story) <= STORY_MAX


def test_validate_names_the_broken_rule() -> None:
    run = machine({"id": "a", "call": "a.b"})
    run.handle(w.Begin(), 1)
    run.items["a"].state = "succeeded"
    with pytest.raises(InvalidTransition, match=r"counted once; .*success has an output"):
        run.validate()


def test_what_comes_late_or_for_nobody_changes_nothing() -> None:
    run = machine(
        {"id": "a", "call": "a.b"},
        {"id": "p", "pause": {"for_ms": 9}},
        {"id": "e", "event": {"topic": "action.*"}},
    )
    run.handle(w.Begin(), 1)
    before = copy.deepcopy(run.items)
    late: list[w.RunEvent] = [
        w.WorkEnded("a", 2, "failed"), w.WorkEnded("b", 1, "failed"), w.NotStarted("a", 2, NO), w.Attached("b", 1, b""),
        w.Recalled("a", None), w.Heard("a", {}), w.Heard("b", {}), w.Answered("p", {}, "x"), w.ClockRang(),
    ]  # fmt: skip
    for event in late:
        run.handle(event, 2)
        run.validate()
    assert run.items == before


def test_the_first_of_two_repeating_steps_that_goes_wrong_stops_the_other() -> None:
    condition = {"$from": "index"}
    run = machine(
        {"id": "a", "call": "a.b", "while": {"condition": condition}},
        {"id": "b", "call": "a.b", "while": {"condition": condition}},
    )
    run.handle(w.Begin(), 1)
    assert (run.state, run.where, run.items["b"].state) == ("failed", "a", "cancelled")


def test_two_waits_that_are_over_at_once_end_the_run_once() -> None:
    waits = [{"id": name, "ask": {"question": "Well?"}, "deadline_ms": 10} for name in ("a", "b")]
    run = machine(*waits)
    run.handle(w.Begin(), 1)
    run.handle(w.ClockRang(), 11)
    assert [item.state for item in run.items.values()] == ["failed", "cancelled"]


def test_paths_name_iterations() -> None:
    assert [index_of("a"), index_of("a[12]")] == [-1, 12]
