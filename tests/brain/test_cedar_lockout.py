"""Whoever writes rules that leave the household nothing is warned before they are signed, and nobody else is."""

from __future__ import annotations

import pytest

from kindmesh.coordinator.brain.medulla.cedar_check import known_roles, problems, starter
from kindmesh.coordinator.brain.medulla.cedar_lockout import warnings

FORBID = '@id("night")\nforbid (principal, action == Action::"lock.unlock", resource) when { context.minute < 360 };'
PERMIT = "permit (principal, action, resource)"


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (FORBID, (2, 1), "nothing in it is permitted"),
        (f"{FORBID}\nforbid (principal, action, resource);", (2, 1), "nothing in it is permitted"),
        (f'{FORBID}\npermit (principal in Role::"guest", action, resource);', (3, 1), "not even the owner"),
        ('permit (principal, action in Action::"effect.read", resource);', (1, 1), "not even the owner"),
        (f"{PERMIT} when {{ context.minute > 1439 }};", (1, 1), "not even the owner"),
        (f"{PERMIT};\nforbid (principal, action, resource);", (1, 1), "not even the owner"),
    ],
)
def test_rules_that_leave_nothing_are_sound_and_warned_of(
    text: str, place: tuple[int, int], what: str
) -> None:
    assert problems(text, known_roles()) == ()
    (found,) = warnings(text)
    assert (found.line, found.column) == place
    assert what in found.what
    assert "kindmesh policy starter" in found.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        starter(),
        f"{starter()}\n{FORBID.replace('night', 'mine')}",
        f'@answer("ask") {PERMIT};',
        f"{PERMIT} when {{ context.weekday == 7 && context.minute >= 600 }};",
        'permit (principal == Person::"owner", action in Action::"home.control", resource);',
        'permit (principal, action in Action::"light", resource) when { context.said && context.present };',
    ],
)
def test_rules_that_leave_something_are_not_warned_of(text: str) -> None:
    assert warnings(text) == ()
