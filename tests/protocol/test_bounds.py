"""What is shown to people cannot be forged by whoever wrote it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kindmesh.protocol.bounds import printable


def test_ordinary_text_in_any_script_is_left_alone() -> None:
    for text in ("", "Grüß Gott", "おはよう", "صباح الخير", "a = 'b'"):
        assert printable(text) == text


def test_controls_and_reordering_marks_are_shown_as_their_escapes() -> None:
    assert printable("a\nb\u2028c\u202ed\u200be\x85") == "a\\u000ab\\u2028c\\u202ed\\u200be\\u0085"
    assert printable("\U000e0041") == "\\U000e0041"


@given(st.text())
def test_the_result_is_always_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
