"""Yeses that last: what they cover, what they refuse to mean, and what the prompt says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import IDS, MESH, NOW, SIGNING, time_id

from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.errors import BadSignature, InvalidInput, Malformed
from kindmesh.protocol.policy import ApprovalRequest
from kindmesh.protocol.principal import OWNER, Principal
from kindmesh.protocol.standing import (
    DAY_MS,
    LASTS_MAX_MS,
    TIMES_MAX,
    StandingApproval,
    Wanted,
    amount_of,
    check_standing,
    covers,
    describe_standing,
    open_standing,
    shape,
    sign_standing,
)

ARGS: dict[str, Any] = {"to": "anna", "text": "milk", "euros": 5, "list": ["a", 1]}


def asked(args: Any = ARGS, **changes: Any) -> bytes:
    request = ApprovalRequest(
        MESH, time_id(1), time_id(2), time_id(3), "shop.pay", IDS["phone"], "phone", encode_value(args), 0x40, OWNER,
        ("the owner's policy asks before: spend",), NOW, NOW + 3_600_000, data_classes=("money",),
    )  # fmt: skip
    return encode(msgspec.structs.replace(request, **changes))


def standing(**changes: Any) -> StandingApproval:
    given = StandingApproval(MESH, time_id(9), asked(), "standing", NOW, NOW + 30 * DAY_MS, 3, DAY_MS)
    return msgspec.structs.replace(given, **changes)


def wanted(args: Any = ARGS, **changes: Any) -> Wanted:
    want = Wanted(
        time_id(2),
        "shop.pay",
        IDS["phone"],
        encode_value(args),
        0x40,
        OWNER,
        "household",
        ("money",),
        NOW + 1,
    )
    return msgspec.structs.replace(want, **changes)


def test_exactly_what_was_shown_is_covered_until_it_ends() -> None:
    assert covers(standing(), wanted())
    assert covers(standing(), wanted(run_id=time_id(77)))
    assert covers(standing(), wanted(effects=0, data_classes=()))
    assert not covers(standing(), wanted(now_ms=NOW + 30 * DAY_MS + 1))
    assert not covers(standing(), wanted(now_ms=NOW - DAY_MS))


@pytest.mark.parametrize(
    "other",
    [
        {"operation": "shop.order"},
        {"target": IDS["desk"]},
        {"effects": 0x41},
        {"principal": Principal("person", "x")},
        {"purpose": "care"},
        {"data_classes": ("money", "health")},
        {"args": encode_value({**ARGS, "to": "ben"})},
        {"args": encode_value({**ARGS, "more": 1})},
        {"args": encode_value({key: value for key, value in ARGS.items() if key != "to"})},
        {"args": encode_value({**ARGS, "euros": True})},
        {"args": encode_value({**ARGS, "euros": 5.0})},
        {"args": encode_value({**ARGS, "list": ["a", 2]})},
        {"args": encode_value(["anna"])},
    ],
)
def test_anything_else_is_not(other: dict[str, Any]) -> None:
    assert not covers(standing(), wanted(**other))


def test_free_values_may_be_others_of_the_same_kind() -> None:
    free = standing(free=("text", "list"))
    assert covers(free, wanted({**ARGS, "text": "bread", "list": [7, "x", "y"]}))
    for other in ({"text": 1}, {"text": None}, {"list": ["a"]}, {"list": "a"}, {"to": "ben"}):
        assert not covers(free, wanted({**ARGS, **other}))


def test_a_yes_for_one_run_covers_the_same_kinds_of_values_in_that_run_only() -> None:
    run = standing(kind="run")
    assert covers(run, wanted({**ARGS, "to": "ben", "euros": 7.5}))
    assert not covers(run, wanted(run_id=time_id(77)))
    assert not covers(run, wanted({**ARGS, "to": ["ben"]}))


def test_an_amount_is_bounded_at_once() -> None:
    spend = standing(free=("euros",), amount="euros", each=10.0, altogether=20.0)
    check_standing(spend)
    assert covers(spend, wanted({**ARGS, "euros": 10}))
    for euros in (10.01, -1):
        assert not covers(spend, wanted({**ARGS, "euros": euros}))
    assert amount_of(spend, encode_value({**ARGS, "euros": 2.5})) == 2.5
    assert amount_of(spend, encode_value({"euros": True})) is None
    assert amount_of(spend, encode_value([1])) is None
    unnamed = standing(request=asked([1, 2]))
    assert covers(unnamed, wanted([1, 2]))
    assert not covers(unnamed, wanted([2, 1]))
    assert not covers(msgspec.structs.replace(spend, request=asked({"euros": "5"})), wanted({"euros": "5"}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mesh": IDS["desk"]}, "mesh"),
        ({"expires_ms": NOW}, "days"),
        ({"expires_ms": NOW + LASTS_MAX_MS["standing"] + 1}, "days"),
        ({"kind": "run", "expires_ms": NOW + LASTS_MAX_MS["run"] + 1}, "days"),
        ({"times": 0}, "times"),
        ({"times": TIMES_MAX + 1}, "times"),
        ({"per_ms": 0}, "times"),
        ({"kind": "run", "free": ("text",)}, "free"),
        ({"free": ("nothing",)}, "free"),
        ({"amount": "nothing"}, "free"),
        ({"amount": "euros"}, "each"),
        ({"amount": "euros", "each": 2.0, "altogether": 1.0}, "each"),
        ({"amount": "text", "each": 1.0, "altogether": 1.0}, "amount"),
    ],
)
def test_what_cannot_mean_anything_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_standing(standing(**changes))
    assert caught.value.field == field


def test_the_signature_is_the_persons_and_for_this_alone() -> None:
    signed = sign_standing(standing(), SIGNING["anna"])
    assert open_standing(signed, SIGNING["anna"].public) == standing()
    with pytest.raises(BadSignature):
        open_standing(signed, SIGNING["owner"].public)
    with pytest.raises(Malformed):
        check_standing(standing(request=b"no question"))


def test_the_prompt_says_how_long_how_often_and_how_far() -> None:
    lines = describe_standing(standing(free=("text", "euros"), amount="euros", each=10.0, altogether=20.0))
    text = "\n".join(lines)
    assert "shop.pay" in text
    assert '"anna"' in text
    assert "may differ the values of: text, euros" in text
    assert "at most 3 times in a day" in text
    assert "euros at most 10 at once, 20 in a day" in text
    once = "\n".join(describe_standing(standing(kind="run", per_ms=2 * DAY_MS)))
    assert "as long as this run lasts" in once
    assert "in 2 days" in once
    assert "nothing: only these very values" in "\n".join(describe_standing(standing(per_ms=90 * 60_000)))
    assert "1.5 hours" in describe_standing(standing(per_ms=90 * 60_000))[-1]


@given(st.integers(0, 250_000_000_000_000))
def test_dates_are_those_of_the_calendar(ms: int) -> None:
    (line,) = [one for one in describe_standing(standing(expires_ms=ms)) if one.startswith("agreed")]
    assert f"{datetime.fromtimestamp(ms // 60_000 * 60, UTC):%Y-%m-%d %H:%M UTC}" in line


def test_kinds_of_values() -> None:
    assert shape({"a": [1, 2.5], "b": None}) == {"a": ["list", "'number'"], "b": "NoneType"}
    assert shape([True, "x", b"y"]) == shape([b"", "", False])
    assert shape(True) != shape(1)
