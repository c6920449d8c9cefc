"""Whatever the plan: more influence from outside, or fewer proven words, never make the verdict milder."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.brain.review_kit import call, home, judge

from kindmesh.protocol.plan_labels import SOURCES
from kindmesh.protocol.policy import SEVERITY

TEXTS = (
    "turn off the kitchen light", "email bob@example.com that I will be late", "transfer 50 euros to Bob",
    "lock the front door and turn the bedroom light on", "set a timer for ten minutes", "delete old_notes.txt",
)  # fmt: skip
VALUES = (
    "light.kitchen",
    "light.bedroom",
    "bob@example.com",
    "Bob",
    "I will be late",
    "old_notes.txt",
    "50",
    "late",
)


def labelled(value: Any, source: str) -> Any:
    return {"$value": value, "$label": {"source": source}} if source else value


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    values = st.sampled_from(VALUES)
    kinds = ("light", "mail", "pay", "delete")
    return draw(
        st.lists(
            st.tuples(st.sampled_from(kinds), st.lists(values, min_size=2, max_size=2)),
            min_size=1,
            max_size=3,
        )
    )


def made(kind: str, values: list[Any], source: str) -> dict[str, Any]:
    one, other = (labelled(value, source) for value in values)
    return {
        "light": lambda: home("light.turn_off", one),
        "mail": lambda: call("mail.send", to=one, subject=other, body=other),
        "pay": lambda: call("bank.transfer", payee=one, amount=50, reference=other),
        "delete": lambda: call("files.delete", path=one),
    }[kind]()


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(TEXTS), steps(), st.lists(st.sampled_from(SOURCES), min_size=2, max_size=2))
def test_a_worse_source_never_makes_the_verdict_milder(text: str, wanted: Any, sources: list[str]) -> None:
    better, worse = sorted(sources, key=SOURCES.index)
    verdicts = [
        SEVERITY[judge(text, *(made(kind, values, source) for kind, values in wanted)).verdict]
        for source in (better, worse)
    ]
    assert verdicts[0] <= verdicts[1]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(TEXTS), steps())
def test_without_the_words_the_verdict_is_never_milder(text: str, wanted: Any) -> None:
    plan = [made(kind, values, "") for kind, values in wanted]
    assert SEVERITY[judge(text, *plan).verdict] <= SEVERITY[judge("", *plan).verdict]
