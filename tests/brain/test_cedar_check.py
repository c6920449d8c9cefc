"""Rules that could not be meant so are refused with their place and what to write instead; nothing crashes Cedar."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.brain.medulla.cedar_check import check_rules, known_roles, problems, starter
from kindmesh.coordinator.brain.medulla.cedar_text import DEPTH_MAX, TOKENS_MAX, Problem, statements
from kindmesh.coordinator.cli.rules_words import services, shipped
from kindmesh.protocol.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
ROLES = known_roles()
ACTIONS = frozenset((*shipped(), *services()))
ANY = "permit (principal, action, resource)"

WRONG = [
    # The place is marked with ^; what is wrong, and the hint, in part.
    (f"{ANY}\n^whn {{ true }};", "condition", "Did you mean when?"),
    (f"\n{ANY} when {{ context.^minutes > 3 }};", "no 'minutes'", "Did you mean minute?"),
    (f"{ANY} when {{ context has ^minut }};", "no 'minut'", "Did you mean minute?"),
    (f'{ANY} when {{ context[^"minut"] > 1 }};', "no 'minut'", "Did you mean minute?"),
    ('forbid (principal in Role::^"gest", action, resource);', "no role 'gest'", 'Role::"guest"?'),
    ('forbid (principal in ^Rol::"guest", action, resource);', "there is no Rol", 'Role::"guest"?'),
    ('forbid (principal == Person::^"Ben", action, resource);', "nobody's id", "principal.name"),
    ('forbid (principal,\n action == Action::^"lock.unlok", resource);', "lock.unlok", '"lock.unlock"?'),
    ('forbid (principal, action == Action::^"home.access", resource);', "is a group", "action in Action"),
    ('forbid (principal, action == Action::^"lock", resource);', "is a group", "action in Action"),
    ('forbid (principal, action in Action::^"effect.mov", resource);', "nothing", '"effect.move"?'),
    ("permit (principal == ^?principal, action, resource);", "places to fill in", "Name whom"),
    (f"{ANY} when {{ context.minute > ^99999999999999999999 }};", "too large", "Whole numbers"),
    ("permit (principal,^, resource);", "unexpected", "A rule is"),
    (f"{ANY} when {{ context.minute =^> 4 }};", "unexpected", "Comparisons"),
    (f'{ANY} ^when {{ context.minute > "a" }};', "needs a number", "rules.md"),
    (f'{ANY} when {{ context.effects.^contain("move") }};', "contain", "Did you mean contains?"),
    (f'{ANY} when {{ principal.^nam == "x" }};', "no 'nam'", "Did you mean name?"),
    ("^allow (principal, action, resource);", "begins no rule", "Did you mean permit?"),
    (f'@^anser("ask") {ANY};', "no @anser", "Did you mean @answer?"),
    (f'@^answer("deny") {ANY};', "cannot answer 'deny'", '@answer("allow")'),
    ('@^answer("allow") forbid (principal, action, resource);', "cannot answer", '@answer("deny")'),
    (f'@id("a") {ANY};\n@^id("a") {ANY};', "called that, too", "another name"),
    (f'@^id("\u00c4 b") {ANY};', "no name for a rule", "night-lock"),
    (f'@^says("") {ANY};', "no sentence", "characters"),
    ("^// nothing yet\n", "no rule", "starter"),
]  # fmt: skip


def marked(text: str) -> tuple[str, int, int]:
    """The text without its mark, and line and column of it."""
    before, _, after = text.partition("^")
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(("text", "what", "hint"), WRONG)
def test_it_says_where_what_and_what_to_write(text: str, what: str, hint: str) -> None:
    text, line, column = marked(text)
    found = problems(text, ROLES, ACTIONS)
    assert [(one.line, one.column) for one in found][:1] == [(line, column)], found
    assert what in found[0].what
    assert hint in found[0].hint
    with pytest.raises(InvalidInput, match=f"line {line}, column {column}") as refused:
        check_rules(text, ROLES, ACTIONS)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "permit (principal, action, resource^)",
        f'{ANY};\n{ANY} when {{ ^"abc }};',
        f"{ANY} when {{ (true ^}};",
        f"{ANY} when ^(",
        "^};",
        f"{ANY} when {{ ^\u00e4 }};",
    ],
)
def test_what_cannot_be_cut_into_rules_has_a_place_too(text: str) -> None:
    text, line, column = marked(text)
    with pytest.raises(InvalidInput, match=f"line {line}, column {column}") as refused:
        problems(text, ROLES)
    assert refused.value.hint


def test_all_problems_are_told_in_their_order() -> None:
    text = "\n".join(f'forbid (principal in Role::"r{number}", action, resource);' for number in range(30))
    found = problems(text, ROLES)
    assert [one.line for one in found] == list(range(1, 21))


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("(", ")"), ("[", "]"), ("if true then ", " else true"), ("!", ""), ("true && ", "")],
)
def test_what_would_end_cedars_process_never_reaches_it(opening: str, closing: str) -> None:
    deep = f"{ANY} when {{ {opening * 20_000}true{closing * 20_000} }};"
    with pytest.raises(InvalidInput, match=r"more than (32 brackets|1024 words)"):
        problems(deep, ROLES)
    assert (DEPTH_MAX, TOKENS_MAX) == (32, 1_024)


def test_the_starter_set_is_sound_and_so_are_operations_that_are_not_there_yet() -> None:
    assert problems(starter(), ROLES, ACTIONS) == ()
    assert problems('permit (principal, action == Action::"robot.go_to", resource);', ROLES) == ()


def test_the_rules_in_the_docs_are_sound_together() -> None:
    text = (ROOT / "docs" / "how-to" / "rules-in-cedar.md").read_text()
    blocks = re.findall(r"```cedar\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    assert problems(starter() + "".join(blocks), ROLES, ACTIONS) == ()


def test_annotations_and_names_are_read_as_written() -> None:
    (one,) = statements(
        '@id("a") @says("she \\"said\\" \\u{e4}") @answer permit (principal, action, resource);'
    )
    assert [(found.name.text, found.value) for found in one.annotations] == [
        ("id", "a"), ("says", 'she "said" ä'), ("answer", ""),
    ]  # fmt: skip


@given(st.text(max_size=200) | st.lists(st.sampled_from([
    "permit", "forbid", "(", ")", "{", "}", "[", "]", ";", ",", "principal", "action", "resource", "when", "==", "in",
    "::", '"x"', "Role", "Action", "@", "id", "context", ".", "minute", "<", "3", "has", "like", "is", "if", "?",
])).map(" ".join))  # fmt: skip
def test_any_text_at_all_is_told_what_is_wrong(text: str) -> None:
    try:
        found = problems(text, ROLES, ACTIONS)
    except InvalidInput as error:
        found = (Problem(1, 1, error.message.partition("line ")[2], error.hint),)
    assert found or statements(text)
    assert all(one.line >= 1 and one.column >= 1 and one.what and one.hint for one in found)
