"""`llm.*` with a scripted model: what is asked, answered, streamed, passed over, paid and kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.capabilities.conftest import Bench, OpenBench

from kindmesh.capabilities.llm.budget import FILE as BUDGET_FILE
from kindmesh.capabilities.llm.budget import SCHEMA, BudgetKeeper, money, read_ledger
from kindmesh.capabilities.llm.clients import make_client
from kindmesh.capabilities.llm.config import Budget, from_document
from kindmesh.capabilities.llm.engine import RULES, Engine
from kindmesh.capabilities.llm.model import Ask, Message, unheard
from kindmesh.capabilities.llm.routing import Wish
from kindmesh.capabilities.llm.scripted import ScriptedModel, pieces
from kindmesh.capabilities.testing import ScriptedDuplex
from kindmesh.mesh.breaker_machine import FAILURES
from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.store import Store
from kindmesh.protocol.errors import (
    BudgetExceeded,
    Cancelled,
    ConfigError,
    EgressRefused,
    InvalidInput,
    ModelMalformed,
    ModelUnavailable,
    PeerUnreachable,
)

HELLO = [{"role": "user", "text": "Good morning."}]


def write(tmp_path: Path, providers: dict[str, Any], models: dict[str, Any], **more: Any) -> None:
    """JSON is YAML."""
    (tmp_path / "llm.yaml").write_text(json.dumps({"providers": providers, "models": models, **more}))


def scripted(*answers: Any, **more: Any) -> dict[str, Any]:
    said = [{"say": one, "times": 0} if isinstance(one, str) else one for one in answers]
    return {"kind": "scripted", "answers": said, **more}


def one_model(tmp_path: Path, *answers: Any, **more: Any) -> None:
    write(tmp_path, {"script": scripted(*answers)}, {"small": {"provider": "script", "name": "s"}}, **more)


OUTSIDE: dict[str, Any] = {"price_in": 1.0, "price_out": 2.0, "name": "far", "provider": "outside"}


async def chat(bench: Bench, name: str = "llm.chat", **more: Any) -> dict[str, Any]:
    return await bench.call(name, {"messages": HELLO, **more}, duplex=more.pop("duplex", None))


async def test_it_answers_with_the_model_the_tokens_and_the_cost(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    one_model(tmp_path, "Good morning, Anna.")
    async with open_bench() as bench:
        answer = await chat(bench)
    assert answer == {
        "text": "Good morning, Anna.", "tool_calls": [], "finish": "stop", "model": "small", "local": True,
        "usage": {"input_tokens": 13, "output_tokens": 7, "estimated": True}, "cost_micros": 0, "passed_over": [],
    }  # fmt: skip


async def test_a_stream_gives_each_word_as_it_is_made(open_bench: OpenBench, tmp_path: Path) -> None:
    one_model(tmp_path, "It is  ten\no'clock. ")
    stream = ScriptedDuplex()
    async with open_bench() as bench:
        answer = await bench.call("llm.stream", {"messages": HELLO}, duplex=stream)
    assert [data.decode() for data, _ in stream.written] == ["It", " is", "  ten", "\no'clock. "]
    assert answer["text"] == "It is  ten\no'clock. "


def test_pieces_joined_are_the_text() -> None:
    for text in ("", " ", "one", " one two ", "a\n\nb  ", "  \n"):
        assert "".join(pieces(text)) == text


async def test_tool_calls_come_back_with_their_arguments(open_bench: OpenBench, tmp_path: Path) -> None:
    call = {"name": "home__control", "arguments": {"service": "light.turn_on"}}
    one_model(tmp_path, {"calls": [call]})
    async with open_bench() as bench:
        answer = await chat(bench)
    assert answer["finish"] == "tool_calls"
    assert answer["tool_calls"] == [{"id": "call_1", **call}]


async def test_without_settings_it_says_how_to_set_one_up_and_lists_none(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        with pytest.raises(ConfigError) as error:
            await chat(bench)
        assert (await bench.call("llm.models"))["models"] == []
    assert error.value.hint == "kindmesh llm add sets one up."


async def test_changed_settings_hold_from_the_next_request_on(open_bench: OpenBench, tmp_path: Path) -> None:
    one_model(tmp_path, "one")
    async with open_bench() as bench:
        assert (await chat(bench))["text"] == "one"
        one_model(tmp_path, "another")
        assert (await chat(bench))["text"] == "another"
        (tmp_path / "llm.yaml").write_text("models: {x: {provider: nobody, name: y}}")
        with pytest.raises(ConfigError) as error:
            await chat(bench)
        assert error.value.field == "models.x.provider"


async def test_a_model_that_fails_is_passed_over_and_named_with_the_reason(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    down, garbled = (
        scripted({"fails": "unavailable", "times": 0}),
        scripted({"fails": "malformed", "times": 0}),
    )
    models = {name: {"provider": name, "name": name} for name in ("down", "garbled", "good")}
    write(tmp_path, {"down": down, "garbled": garbled, "good": scripted("Here I am.")}, models)
    async with open_bench() as bench:
        for _ in range(3):
            answer = await chat(bench)
            assert (answer["model"], [one["model"] for one in answer["passed_over"]]) == (
                "good",
                ["down", "garbled"],
            )
        after = await chat(bench)
        assert "tried again in" in after["passed_over"][0]["reason"]
        listed = (await bench.call("llm.models"))["models"]
        assert ["tried again" in one["state"] for one in listed] == [True, True, False]


async def test_when_nobody_answers_the_error_names_everybody_and_why(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    down = scripted({"fails": "unavailable", "times": 0})
    write(tmp_path, {"a": down}, {name: {"provider": "a", "name": name} for name in ("one", "two")})
    async with open_bench() as bench:
        with pytest.raises(ModelUnavailable, match=r"one: the script says .*; two: the script says"):
            await chat(bench)
        with pytest.raises(ModelUnavailable, match=r"^the script says that this model is down$"):
            await chat(bench, model="one")


async def test_an_answer_that_broke_off_is_not_continued_by_another_model(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    slow = scripted({"say": "one two", "pause_ms": 400, "times": 0})
    write(
        tmp_path, {"slow": slow, "good": scripted("fine")},
        {"slow": {"provider": "slow", "name": "s"}, "good": {"provider": "good", "name": "g"}},
        timeouts={"first_s": 30, "silence_s": 0.05},
    )  # fmt: skip
    stream = ScriptedDuplex()
    async with open_bench() as bench:
        with pytest.raises(ModelUnavailable, match="fell silent"):
            await bench.call("llm.stream", {"messages": HELLO}, duplex=stream)
    assert [data for data, _ in stream.written] == [b"one"]


async def test_a_model_that_does_not_begin_is_left_for_the_next_one(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    slow = scripted({"say": "at last", "pause_ms": 30_000, "times": 0})
    write(
        tmp_path, {"slow": slow, "good": scripted("fine")},
        {"slow": {"provider": "slow", "name": "s"}, "good": {"provider": "good", "name": "g"}},
        timeouts={"first_s": 0.05},
    )  # fmt: skip
    async with open_bench() as bench:
        answer = await chat(bench)
    assert (answer["text"], answer["passed_over"][0]["reason"]) == (
        "fine",
        "the model did not begin to answer in time",
    )


async def test_altogether_it_takes_no_longer_than_allowed(open_bench: OpenBench, tmp_path: Path) -> None:
    one_model(tmp_path, {"say": "a b c d e f", "pause_ms": 40, "times": 0}, timeouts={"total_s": 0.1})
    async with open_bench() as bench:
        with pytest.raises(ModelUnavailable, match="took too long"):
            await chat(bench)


class LateClock(SystemClock):
    """A real clock, and `later_s` seconds."""

    later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s


async def test_a_try_whose_listener_is_gone_says_nothing_of_the_model_and_the_next_one_may_ask() -> None:
    settings = from_document({
        "providers": {"script": scripted({"fails": "unavailable", "times": FAILURES}, "fine")},
        "models": {"small": {"provider": "script", "name": "s"}},
    })  # fmt: skip
    clock = LateClock()
    engine = Engine(settings, make_client, None, clock)
    asked, wish = Ask((Message("user", "hello"),)), Wish("chat", 0, 0)
    for _ in range(FAILURES):
        with pytest.raises(ModelUnavailable):
            await engine.ask(wish, asked, unheard)
    assert list(engine.failing()) == ["small"]
    clock.later_s = RULES.pause_ms / 1000 + 1

    async def gone(text: str) -> None:
        raise PeerUnreachable("whoever listened is gone")

    with pytest.raises(PeerUnreachable):
        await engine.ask(wish, asked, gone)
    assert (await engine.ask(wish, asked, unheard)).answer.text == "fine"


def outside(tmp_path: Path, *answers: Any, **more: Any) -> None:
    models = {"small": {"provider": "script", "name": "s"}, "far": OUTSIDE}
    providers = {"script": scripted("at home"), "outside": scripted(*answers, local=False)}
    write(tmp_path, providers, models, **more)


@pytest.mark.parametrize("name", ["llm.chat", "llm.stream"])
async def test_what_stays_in_the_house_reaches_no_model_outside_not_even_by_name(
    open_bench: OpenBench, tmp_path: Path, name: str
) -> None:
    outside(tmp_path, "far away", outside=["*"], budget={"month": 1})
    async with open_bench() as bench:
        with pytest.raises(EgressRefused):
            await bench.call(name, {"messages": HELLO, "model": "far"}, duplex=ScriptedDuplex())


async def test_private_data_is_refused_outside_and_answered_at_home(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    outside(tmp_path, "far away", outside=["text"], budget={"month": 1}, order={"chat": ["far", "small"]})
    async with open_bench() as bench:
        free = await chat(bench, "llm.chat_outside", data_classes=["text"])
        assert (free["model"], free["local"]) == ("far", False)
        private = await chat(bench, "llm.chat_outside", data_classes=["text", "health"])
        assert (private["model"], private["passed_over"][0]["model"]) == ("small", "far")
        with pytest.raises(EgressRefused):
            await chat(bench, "llm.chat_outside", data_classes=["health"], model="far")


async def test_what_it_costs_is_reserved_before_and_settled_after(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    outside(tmp_path, "far away", outside=["*"], budget={"month": 1.0, "run": 0.002})
    async with open_bench() as bench:
        answer = await chat(bench, "llm.chat_outside", model="far", max_tokens=500, run="r")
        assert answer["cost_micros"] == 13 + 2 * 3
        with pytest.raises(BudgetExceeded, match="of what a run may cost"):
            await chat(bench, "llm.chat_outside", model="far", max_tokens=1_000, run="r")
        with pytest.raises(BudgetExceeded, match="of what a run may cost"):
            await chat(bench, "llm.chat_outside", model="far", max_tokens=1_000)
    store = Store.open_readonly(tmp_path / "data" / "llm" / BUDGET_FILE, SCHEMA)
    spent = read_ledger(store).spent(SystemClock().now_ms())
    store.close()
    assert (spent.month, spent.open_charges) == (19_000, 0)


async def test_without_a_budget_nothing_is_spent(open_bench: OpenBench, tmp_path: Path) -> None:
    outside(tmp_path, "far away", outside=["*"])
    async with open_bench() as bench:
        with pytest.raises(BudgetExceeded):
            await chat(bench, "llm.chat_outside", model="far")
        assert (await chat(bench, "llm.chat_outside"))["model"] == "small"


class Listening(ScriptedDuplex):
    """Tells when something was said."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    async def write(self, data: bytes, *, last: bool = True) -> None:
        await super().write(data, last=last)
        self.heard.set()


async def test_a_request_that_was_given_up_costs_all_that_was_reserved(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    outside(tmp_path, {"say": "slow " * 500, "pause_ms": 50, "times": 0}, outside=["*"], budget={"month": 1})
    async with open_bench() as bench:
        cancelled, stream = asyncio.Event(), Listening()
        arguments = {"messages": HELLO, "model": "far", "max_tokens": 1_000}
        call = asyncio.ensure_future(
            bench.call("llm.stream_outside", arguments, cancelled=cancelled, duplex=stream)
        )
        await asyncio.wait_for(stream.heard.wait(), 10)
        cancelled.set()
        with pytest.raises(Cancelled):
            await call
    store = Store.open_readonly(tmp_path / "data" / "llm" / BUDGET_FILE, SCHEMA)
    spent = read_ledger(store).spent(SystemClock().now_ms())
    store.close()
    assert (spent.month, spent.open_charges) == (13_000 + 2 * 1_000_000, 0)


async def test_a_reservation_outlives_a_process_that_dies(tmp_path: Path) -> None:
    budget = Budget(month=1.0)
    keeper = BudgetKeeper.open(tmp_path)
    await keeper.reserve("far", "", 900_000_000, budget)
    keeper._store.abandon()
    again = BudgetKeeper.open(tmp_path)
    standing = again.standing(budget)
    assert (standing.month_spent, standing.open_charges, standing.by_model) == (
        900_000_000,
        1,
        {"far": 900_000_000},
    )
    with pytest.raises(BudgetExceeded, match=r"this may cost up to 0\.20 EUR, .* 0\.10 EUR is left"):
        await again.reserve("far", "", 200_000_000, budget)
    again.close()


def test_small_amounts_are_shown_with_the_digits_that_it_takes() -> None:
    assert [money(nanos, "EUR") for nanos in (0, 19_000, 1_500_000_000)] == [
        "0.00 EUR",
        "0.000019 EUR",
        "1.50 EUR",
    ]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"messages": [{"role": "user", "text": "x" * 131_073}]}, "messages"),
        ({"messages": [{"role": "system", "text": "be kind"}]}, "messages"),
        ({"messages": [{"role": "boss", "text": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "text": "x", "colour": "red"}]}, "messages"),
        ({"messages": [{"role": "tool", "text": "x"}]}, "messages"),
        ({"messages": [{"role": "tool", "text": "x", "tool_call_id": "nobody"}]}, "messages"),
        (
            {"messages": [{"role": "user", "tool_calls": [{"id": "1", "name": "a", "arguments": {}}]}]},
            "messages",
        ),
        ({"messages": HELLO, "tools": [{"name": "a b"}]}, "tools"),
        ({"messages": HELLO, "tools": [{"name": "a"}, {"name": "a"}]}, "tools"),
        ({"messages": HELLO, "tools": [{"name": "a", "parameters": {"type": "string"}}]}, "tools"),
        ({"messages": HELLO, "model": "nobody"}, "model"),
        ({"messages": []}, "messages"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_field(
    open_bench: OpenBench, tmp_path: Path, arguments: dict[str, Any], field: str
) -> None:
    one_model(tmp_path, "never said")
    async with open_bench() as bench:
        with pytest.raises(InvalidInput) as error:
            await bench.call("llm.chat", arguments)
    assert error.value.field == field


async def test_a_script_is_said_in_order_and_where_it_fits() -> None:
    model = ScriptedModel.saying("one", "two")
    from kindmesh.capabilities.llm.model import Ask, Message, unheard

    ask = Ask((Message("user", "x"),))
    assert [(await model.answer(ask, unheard)).text for _ in range(2)] == ["one", "two"]
    with pytest.raises(ModelUnavailable):
        await model.answer(ask, unheard)
    assert len(model.asked) == 3


async def test_a_malformed_answer_of_the_only_model_is_said_as_that(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    one_model(tmp_path, {"fails": "malformed", "times": 0})
    async with open_bench() as bench:
        with pytest.raises(ModelMalformed):
            await chat(bench)
