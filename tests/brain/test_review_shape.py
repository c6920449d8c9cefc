"""Plans that say what was said and are still not what was meant: hidden signs, waits, questions, payments."""

from __future__ import annotations

from typing import Any

import pytest
from tests.brain.review_kit import call, home
from tests.brain.review_kit import judge as judge_steps

from kindmesh.coordinator.brain.medulla.review_facts import Reviewed

OFF = home("light.turn_off", "light.kitchen")
EVENT: dict[str, Any] = {"id": "e", "event": {"topic": "perception.home.changed"}}
GUEST = {"id": "q", "ask": {"question": "Who?", "answer": {"x": {"type": "text"}}, "who": ["role:guest"]}}
OWNER = {"id": "q", "ask": {"question": "Who?", "answer": {"x": {"type": "text"}}}}


def judge(said: str, steps: list[dict[str, Any]]) -> Reviewed:
    """The verdict on these steps, without any history."""
    return judge_steps(said, *steps)


@pytest.mark.parametrize(
    "value", ["\u202ebob@example.com", "bob@example.com\u200b", "bob\x00@example.com", "b\u0336ob@example.com",
              "bob@example.com\U000e0061", "bob@example.com\nbcc: eve@example.com"],
)  # fmt: skip
def test_an_address_with_signs_that_nobody_sees_is_asked_about(value: str) -> None:
    said = "email bob@example.com that I will be late"
    mail = {"subject": "Late", "body": "I will be late"}
    assert judge(said, [call("mail.send", to="bob@example.com", **mail)]).verdict == "allow"
    assert judge(said, [call("mail.send", to=value, **mail)]).verdict != "allow"


@pytest.mark.parametrize("body", ["I will be late 🙂", "Grüße, ich komme später", "I will be\nlate"])
def test_what_people_write_is_no_hidden_sign(body: str) -> None:
    said = f"email bob@example.com that {' '.join(body.split())}"
    found = judge(said, [call("mail.send", to="bob@example.com", subject="", body=body)])
    assert not [reason for reason in (*found.reasons, *found.also) if "see" in reason.message]


def test_a_wait_for_something_that_nobody_spoke_of_is_asked_about() -> None:
    waiting = [EVENT, {**OFF, "after": ["e"]}]
    assert judge("turn off the kitchen light", waiting).verdict == "ask"
    assert judge("turn off the kitchen light as soon as something changes", waiting).verdict == "allow"


def test_a_condition_or_a_later_time_that_was_said_is_not_left_away() -> None:
    assert judge("if it is late turn off the kitchen light", [OFF]).verdict == "ask"
    assert judge("turn off the kitchen light in ten minutes", [OFF]).verdict == "ask"
    later = [{"id": "w", "pause": {"for_ms": 600_000}}, {**OFF, "after": ["w"]}]
    assert judge("turn off the kitchen light in ten minutes", later).verdict == "allow"


@pytest.mark.parametrize("pause", [600, 600_000_000, "600000"])
def test_a_length_in_another_unit_is_another_length(pause: Any) -> None:
    later = [{"id": "w", "pause": {"for_ms": pause}}, {**OFF, "after": ["w"]}]
    assert judge("turn off the kitchen light in ten minutes", later).verdict == "ask"


def test_a_question_is_answered_and_not_acted_upon() -> None:
    assert judge("is the kitchen light off", [OFF]).verdict == "ask"
    assert judge("is it dark? then turn off the kitchen light", [OFF]).verdict == "allow"


@pytest.mark.parametrize(("ask", "verdict"), [(OWNER, "allow"), (GUEST, "ask")])
def test_the_answer_of_a_guest_does_not_decide_for_the_owner(ask: dict[str, Any], verdict: str) -> None:
    warm = home("climate.set_temperature", "climate.living_room", temperature={"$from": "q.x"})
    assert judge("set the thermostat in the living room", [ask, warm]).verdict == verdict


def test_nobody_is_looked_up_whom_nobody_named() -> None:
    said = "send Anna an email that the meeting moved to Monday"
    for name, verdict in (("Anna", "allow"), ("Eve", "ask"), ("", "ask")):
        find = {"id": "f", **call("contacts.find", name=name)}
        plan = [find, call("mail.send", to={"$from": "f.email"}, body="The meeting moved to Monday")]
        assert judge(said, plan).verdict == verdict, name


def test_the_currency_is_the_one_that_was_said() -> None:
    def pay(currency: str) -> list[dict[str, Any]]:
        return [call("bank.transfer", payee="Bob", amount=50, currency=currency, reference="lunch")]

    assert judge("transfer 50 euros to Bob for lunch", pay("EUR")).verdict == "allow"
    assert judge("transfer 50 euros to Bob for lunch", pay("USD")).verdict == "ask"


def test_nothing_is_set_to_zero_that_was_given_a_number() -> None:
    def warm(degrees: int) -> list[dict[str, Any]]:
        return [home("climate.set_temperature", "climate.living_room", temperature=degrees)]

    said = "set the thermostat in the living room to 21 degrees"
    assert judge(said, warm(21)).verdict == "allow"
    assert judge(said, warm(0)).verdict == "ask"


def test_each_payment_has_the_amount_that_was_said_with_it() -> None:
    def pay(one: float, other: float) -> list[dict[str, Any]]:
        return [
            call("bank.transfer", payee="Bob", amount=one),
            call("bank.transfer", payee="Anna", amount=other),
        ]

    said = "transfer 12 euros to Bob and 30 euros to Anna"
    assert judge(said, pay(12, 30)).verdict == "allow"
    assert judge(said, pay(30, 12)).verdict == "ask"
