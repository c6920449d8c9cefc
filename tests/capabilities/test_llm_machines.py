"""The pure parts of language models: the ledger, and who may be asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.capabilities.llm import ledger_machine as ledgers
from kindmesh.capabilities.llm.config import Settings, from_document
from kindmesh.capabilities.llm.ledger_machine import (
    DAY_MS,
    Charge,
    Drop,
    Keep,
    Ledger,
    Limits,
    Refused,
    Reserve,
    Settle,
    day_of,
)
from kindmesh.capabilities.llm.routing import PassedOver, Wish, nobody, ordered, route, why_private
from kindmesh.protocol.errors import EgressRefused, InvalidInput, InvalidTransition, ModelUnavailable

NOON = 1_795_780_800_000  # 27 November 2026, 12:00 UTC
PLENTY = Limits(1_000, 500, 100)


# --------------------------------------------------------------------------------------------------- the ledger


def reserve(
    ledger: Ledger, name: bytes, nanos: int, *, run: str = "", now_ms: int = NOON, limits: Limits = PLENTY
) -> Any:
    (first, *_) = ledger.handle(Reserve(name, run, "big", nanos, limits), now_ms)
    ledger.validate()
    return first


@given(st.integers(0, 4_102_444_800_000))
def test_the_day_of_a_time_is_what_the_calendar_says(now_ms: int) -> None:
    day = dt.datetime.fromtimestamp(now_ms // 1000, dt.UTC)
    assert day_of(now_ms) == day.year * 10_000 + day.month * 100 + day.day


def test_what_is_reserved_counts_at_once_and_what_it_really_cost_afterwards() -> None:
    ledger = Ledger()
    assert reserve(ledger, b"1", 90) == Keep(Charge(b"1", "", "big", 20261127, 90))
    assert ledger.spent(NOON) == ledgers.Spent(90, 90, 90, 1)
    assert ledger.handle(Settle(b"1", 20), NOON) == [
        Keep(Charge(b"1", "", "big", 20261127, 20, settled=True))
    ]
    ledger.validate()
    assert ledger.spent(NOON) == ledgers.Spent(20, 20, 0, 0)
    assert ledger.by_model(NOON) == {"big": 20}
    assert ledger.by_model(NOON + 31 * DAY_MS) == {}


def test_each_limit_refuses_what_goes_beyond_it_and_says_what_is_left() -> None:
    ledger = Ledger()
    assert reserve(ledger, b"1", 101) == Refused("run", 100)
    assert isinstance(reserve(ledger, b"2", 100, run="r"), Keep)
    assert reserve(ledger, b"3", 1, run="r") == Refused("run", 0)
    for number in range(4):
        assert isinstance(reserve(ledger, b"d%d" % number, 100), Keep)
    assert reserve(ledger, b"4", 1) == Refused("day", 0)
    tomorrow = NOON + DAY_MS
    for number in range(5):
        assert isinstance(reserve(ledger, b"t%d" % number, 100, now_ms=tomorrow), Keep)
    assert reserve(ledger, b"5", 1, now_ms=tomorrow + DAY_MS) == Refused("month", 0)
    assert isinstance(reserve(ledger, b"6", 100, now_ms=tomorrow + 10 * DAY_MS), Keep)
    assert ledger.of_run("r") == 100
    assert ledger.of_run("") == 0


def test_a_limit_that_was_lowered_binds_at_once() -> None:
    ledger = Ledger()
    reserve(ledger, b"1", 100)
    assert reserve(ledger, b"2", 1, limits=Limits(50, 50, 50)) == Refused("day", 0)


def test_what_was_reserved_when_the_process_died_still_counts() -> None:
    ledger = Ledger()
    kept = reserve(ledger, b"1", 100, run="r").charge
    again = Ledger()
    again.restore([kept])
    again.validate()
    assert again.spent(NOON) == ledger.spent(NOON)
    assert reserve(again, b"2", 1, run="r") == Refused("run", 0)


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    ledger = Ledger()
    for number in range(5):
        reserve(ledger, b"%d" % number, 100)
    assert reserve(ledger, b"x", 1, now_ms=NOON - 400 * DAY_MS) == Refused("day", 0)


def test_charges_older_than_a_year_are_dropped_and_sooner_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Ledger()
    reserve(ledger, b"old", 5, now_ms=NOON - 400 * DAY_MS)
    reserve(ledger, b"recent", 5, now_ms=NOON - 60 * DAY_MS)
    _, dropped = ledger.handle(Reserve(b"new", "", "m", 5, PLENTY), NOON)
    assert dropped == Drop(20251100)
    monkeypatch.setattr(ledgers, "CHARGES_MAX", 1)
    _, dropped = ledger.handle(Reserve(b"newer", "", "m", 5, PLENTY), NOON)
    assert dropped == Drop(20261100)
    ledger.validate()
    assert ledger.spent(NOON) == ledgers.Spent(10, 10, 10, 2)
    assert ledger.by_model(NOON - 60 * DAY_MS) == {"m": 10}


def test_a_charge_is_made_once_and_settled_once() -> None:
    ledger = Ledger()
    reserve(ledger, b"1", 5)
    with pytest.raises(InvalidTransition):
        reserve(ledger, b"1", 5)
    ledger.handle(Settle(b"1", 0), NOON)
    for event in (Settle(b"1", 0), Settle(b"2", 0), Reserve(b"3", "", "m", -1, PLENTY)):
        with pytest.raises(InvalidTransition):
            ledger.handle(event, NOON)
    ledger.validate()
    ledger._days[1] = 1
    with pytest.raises(InvalidTransition):
        ledger.validate()


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 60), st.integers(0, 3)), max_size=60)
)
def test_reservations_never_pass_a_limit(steps: list[tuple[bool, int, int, int]]) -> None:
    ledger, now_ms, limits = Ledger(), NOON, Limits(300, 120, 60)
    for number, (new, which, nanos, days) in enumerate(steps):
        now_ms += days * DAY_MS
        before = ledger.spent(now_ms)
        if new:
            reserve(ledger, b"%d" % number, nanos, run=str(which), now_ms=now_ms, limits=limits)
            after = ledger.spent(now_ms)
            assert after.day <= max(before.day, limits.day)
            assert after.month <= max(before.month, limits.month)
            assert ledger.of_run(str(which)) <= limits.run
        elif opened := [one for one in ledger._charges.values() if not one.settled]:
            ledger.handle(Settle(opened[0].id, min(nanos, opened[0].nanos)), now_ms)
        ledger.validate()


# ------------------------------------------------------------------------------------------------------ routing


def settings(**changes: Any) -> Settings:
    return from_document(
        {
            "providers": {
                "here": {"kind": "ollama"},
                "far": {"kind": "openai", "url": "https://models.example/v1", "key": "env:FAR_KEY"},
            },
            "models": {
                "dear": {"provider": "far", "name": "d", "context": 100_000, "price_in": 5, "price_out": 10},
                "cheap": {"provider": "far", "name": "c", "context": 100_000, "price_in": 1, "price_out": 2},
                "small": {"provider": "here", "name": "s", "context": 4_096},
            },
            **changes,
        }
    )


def wish(**changes: Any) -> Wish:
    return Wish(**{"task": "chat", "tokens_in": 100, "max_tokens": 100, "may_leave": True, **changes})


def test_models_at_home_come_first_and_then_the_cheapest() -> None:
    assert ordered(settings(), "chat") == ("small", "cheap", "dear")
    assert ordered(settings(order={"plan": ["dear", "small"]}), "plan") == ("dear", "small")


@pytest.mark.parametrize(
    ("outside", "changes", "chain"),
    [
        ([], {}, ("small",)),
        (["text"], {"data_classes": ("text",)}, ("small", "cheap", "dear")),
        (["text"], {"data_classes": ("text", "health")}, ("small",)),
        (["text"], {"data_classes": ()}, ("small",)),
        (["*"], {"data_classes": ("health",)}, ("small", "cheap", "dear")),
        (["*"], {"may_leave": False}, ("small",)),
        (["*"], {"readers": ("anna",)}, ("small",)),
        (["*"], {"readers": ("anna", "*")}, ("small", "cheap", "dear")),
    ],
)
def test_what_is_private_stays_on_models_of_the_house_unless_the_owner_allows_it(
    outside: list[str], changes: dict[str, Any], chain: tuple[str, ...]
) -> None:
    assert route(wish(**changes), settings(outside=outside), {}).chain == chain


def test_the_owner_can_let_out_what_only_certain_people_may_know() -> None:
    allowed = settings(outside=["*"], outside_for_named_readers=True)
    assert why_private(wish(readers=("anna",)), allowed) == ""


@pytest.mark.parametrize(
    ("changes", "model", "reason"),
    [
        ({"tokens_in": 4_000}, "small", "4000 tokens and 100 of answer do not fit into 4096"),
        ({"task": "judge"}, "cheap", "it is not for the task judge"),
        ({"with_tools": True}, "cheap", "it cannot call tools"),
        ({"may_leave": False}, "cheap", "it is outside the house, and this request stays in it"),
        ({"data_classes": ("health",)}, "dear", "what is about health stays in the house"),
        ({"data_classes": ()}, "dear", "nobody said what it is about, so it stays in the house"),
        ({"readers": ()}, "dear", "only certain people may know this, so it stays in the house"),
    ],
)
def test_whoever_is_passed_over_is_named_with_the_reason(
    changes: dict[str, Any], model: str, reason: str
) -> None:
    models = {
        "cheap": {
            "provider": "far",
            "name": "c",
            "price_in": 1,
            "price_out": 2,
            "tasks": ["chat"],
            "tools": False,
        },
        "dear": {"provider": "far", "name": "d", "price_in": 5, "price_out": 10},
        "small": {"provider": "here", "name": "s", "context": 4_096},
    }
    found = route(wish(**changes), settings(models=models, outside=["other"]), {})
    assert reason in [one.reason for one in found.passed_over if one.model == model]


def test_a_model_that_failed_is_passed_over_but_not_when_it_is_asked_for_by_name() -> None:
    failing = {"small": "it failed (x); tried again in 9 s"}
    assert route(wish(may_leave=False), settings(), failing).chain == ()
    assert route(wish(may_leave=False, model="small"), settings(), failing).chain == ("small",)


def test_a_name_does_not_get_around_privacy() -> None:
    found = route(wish(model="dear", data_classes=("health",)), settings(outside=["text"]), {})
    assert found.chain == ()
    assert isinstance(nobody(found.passed_over), EgressRefused)


def test_a_model_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidInput) as error:
        route(wish(model="huge"), settings(), {})
    assert (error.value.field, "cheap, dear, small" in error.value.hint) == ("model", True)


def test_the_error_is_about_privacy_only_when_nothing_else_is_in_the_way() -> None:
    private, broken = PassedOver("far", "stays", at_home=True), PassedOver("near", "down")
    assert isinstance(nobody((private,)), EgressRefused)
    assert type(nobody((private, broken))) is ModelUnavailable
    assert "kindmesh llm add" in nobody(()).hint


@given(
    st.sets(st.sampled_from(["text", "home", "health", "other"])),
    st.sets(st.sampled_from(["text", "home", "health", "other"])),
    st.booleans(),
)
def test_nothing_outside_ever_gets_a_class_that_is_not_listed(
    about: set[str], listed: set[str], may_leave: bool
) -> None:
    chosen = route(wish(data_classes=tuple(about), may_leave=may_leave), settings(outside=sorted(listed)), {})
    if not (may_leave and about and about <= listed):
        assert set(chosen.chain) <= {"small"}
