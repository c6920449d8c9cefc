"""The one rule of `ext`: what is critical and not known is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.protocol.errors import UnknownCritical
from kindmesh.protocol.extensions import check_extensions


@given(
    st.dictionaries(st.text(max_size=9).filter(lambda name: not name.startswith("!")), st.binary(max_size=9))
)
def test_what_is_not_critical_is_ignored(ext: dict[str, bytes]) -> None:
    check_extensions(ext)


def test_a_critical_entry_is_refused_by_name_unless_it_is_known() -> None:
    ext = {"colour": b"", "!gait": b"\x01"}
    with pytest.raises(UnknownCritical, match="'gait'") as caught:
        check_extensions(ext)
    assert caught.value.field == "!gait"
    check_extensions(ext, frozenset({"!gait"}))
    with pytest.raises(UnknownCritical):
        check_extensions(ext, frozenset({"gait"}))


def test_a_long_name_is_cut() -> None:
    with pytest.raises(UnknownCritical) as caught:
        check_extensions({"!" + "x" * 5_000: b""})
    assert len(caught.value.field) == 41
    assert len(str(caught.value)) < 100
