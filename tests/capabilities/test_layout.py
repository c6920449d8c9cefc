"""Reading order, paragraphs and line breaks from boxes alone."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kindmesh.capabilities.vision.layout import Line, Point, arrange


def _line(
    text: str, x: float, y: float, *, width: float | None = None, height: float = 20, turn: float = 0
) -> Line:
    width = width if width is not None else 10.0 * len(text)
    angle = math.radians(turn)

    def turned(px: float, py: float) -> Point:
        return (px * math.cos(angle) - py * math.sin(angle), px * math.sin(angle) + py * math.cos(angle))

    corners = (turned(x, y), turned(x + width, y), turned(x + width, y + height), turned(x, y + height))
    return Line(corners, text, 0.9)


def test_nothing_gives_nothing() -> None:
    assert arrange([]).text == ""
    assert arrange([_line("   ", 0, 0)]).text == ""


def test_wrapped_lines_are_joined_and_gaps_make_paragraphs() -> None:
    lines = [
        _line("The apples are ripe at last", 0, 0, width=400),
        _line("and there are many of them.", 0, 30, width=395),
        _line("Come on Sunday.", 0, 100),
    ]
    assert arrange(lines).text == "The apples are ripe at last and there are many of them.\n\nCome on Sunday."


def test_a_line_that_ends_early_keeps_its_break() -> None:
    lines = [
        _line("A long line that fills the page to its very edge", 0, 0, width=480),
        _line("Warm wishes,", 0, 80, width=120),
        _line("Your neighbour, next door", 0, 110, width=250),
    ]
    assert arrange(lines).text.endswith("Warm wishes,\nYour neighbour, next door")


def test_a_hyphen_at_the_end_of_a_line_goes_when_the_word_goes_on() -> None:
    lines = [
        _line("I have asked the neigh-", 0, 0, width=300),
        _line("bour about it already.", 0, 30, width=300),
    ]
    assert arrange(lines).text == "I have asked the neighbour about it already."
    names = [
        _line("They live in Stoke-on-", 0, 0, width=300),
        _line("Trent for many years.", 0, 30, width=300),
    ]
    assert arrange(names).text == "They live in Stoke-on- Trent for many years."


def test_pieces_of_one_row_are_read_from_left_to_right() -> None:
    lines = [_line("total", 0, 0), _line("12.50", 300, 2), _line("euros", 420, -2)]
    assert arrange(lines).text == "total 12.50 euros"


def test_columns_are_read_one_after_the_other() -> None:
    left = [_line(f"left column line {number}", 0, 30 * number, width=200) for number in range(6)]
    right = [_line(f"right column line {number}", 300, 30 * number, width=200) for number in range(6)]
    mixed = [line for pair in zip(left, right, strict=True) for line in pair]
    order = [line.text for line, _ in arrange(mixed).lines]
    assert order == [line.text for line in (*left, *right)]


def test_a_heading_over_two_columns_comes_first() -> None:
    heading = _line("A heading across the whole page", 0, 0, width=500)
    left = [_line(f"left column line {number}", 0, 100 + 30 * number, width=200) for number in range(4)]
    right = [_line(f"right column line {number}", 300, 100 + 30 * number, width=200) for number in range(4)]
    order = [line.text for line, _ in arrange([*right, *left, heading]).lines]
    assert order == [line.text for line in (heading, *left, *right)]


def test_a_table_with_two_values_in_a_row_stays_a_row() -> None:
    rows = [_line("Milk", 0, 0), _line("1.20", 300, 0)]
    assert arrange(rows).text == "Milk 1.20"


@given(
    st.floats(-180, 180),
    st.integers(2, 12),
    st.randoms(use_true_random=False),
)
def test_the_order_does_not_depend_on_the_angle_of_the_photograph(
    turn: float, count: int, rng: object
) -> None:
    lines = [
        _line(f"line number {number} of the page", 0, 32 * number, width=400, turn=turn)
        for number in range(count)
    ]
    shuffled = list(lines)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [line.text for line, _ in arrange(shuffled).lines] == [line.text for line in lines]


@given(
    st.lists(
        st.tuples(st.floats(0, 2000), st.floats(0, 2000), st.floats(1, 900), st.floats(1, 90)), max_size=25
    )
)
def test_every_line_is_read_exactly_once_wherever_it_lies(
    places: list[tuple[float, float, float, float]],
) -> None:
    lines = [
        _line(f"word{number}", x, y, width=width, height=height)
        for number, (x, y, width, height) in enumerate(places)
    ]
    page = arrange(lines)
    assert sorted(line.text for line, _ in page.lines) == sorted(line.text for line in lines)
    paragraphs = [paragraph for _, paragraph in page.lines]
    assert all(after - before in (0, 1) for before, after in pairwise(paragraphs))
    assert sorted(page.text.split()) == sorted(line.text for line in lines)
