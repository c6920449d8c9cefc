"""What an operation says of its stream, and whether the bytes are what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.stream_spec import MediaCheck, StreamBounds, StreamMedia, StreamSpec, bounds_for

SPEC = StreamSpec("both", StreamMedia("bytes"), StreamMedia("bytes"), 60_000, 1_000_000)
STEREO = StreamMedia("audio", "s16le", 16_000, 2)


def test_what_is_not_asked_for_is_all_that_there_may_be() -> None:
    assert bounds_for(SPEC, 0, 0) == StreamBounds(60_000, 1_000_000)
    assert bounds_for(SPEC, 5_000, 10) == StreamBounds(5_000, 10)


@pytest.mark.parametrize(("wanted", "field"), [((60_001, 0), "max_ms"), ((0, 1_000_001), "max_bytes")])
def test_more_than_the_operation_allows_is_refused_by_name(wanted: tuple[int, int], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        bounds_for(SPEC, *wanted)
    assert caught.value.field == field


@given(st.text(), st.data())
def test_text_may_be_cut_anywhere_within_an_item(text: str, data: st.DataObject) -> None:
    check, raw = MediaCheck(StreamMedia("text")), text.encode()
    cut = data.draw(st.integers(0, len(raw)))
    for _ in range(2):
        check.look(raw[:cut], last=False)
        check.look(raw[cut:], last=True)


def test_what_is_no_text_is_refused_also_when_only_its_end_is_missing() -> None:
    with pytest.raises(InvalidInput):
        MediaCheck(StreamMedia("text")).look(b"\xff", last=False)
    check = MediaCheck(StreamMedia("text"))
    check.look("für".encode()[:2], last=False)
    with pytest.raises(InvalidInput):
        check.look(b"", last=True)


def test_an_item_of_sound_has_whole_samples_of_all_channels() -> None:
    check = MediaCheck(STEREO)
    check.look(b"\0" * 6, last=False)
    check.look(b"\0" * 2, last=True)
    check.look(b"", last=True)
    with pytest.raises(InvalidInput, match="cut in two"):
        check.look(b"\0" * 6, last=True)


def test_bytes_and_pictures_are_what_they_are() -> None:
    for media in (StreamMedia("bytes"), StreamMedia("video", "jpeg")):
        MediaCheck(media).look(b"\xff\xd8\xff", last=True)
