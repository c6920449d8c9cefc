"""What `kindmesh stream` says of the data that it sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.cli.output import Output
from kindmesh.coordinator.cli.stream_app import READ_BYTES, _Talk


class Heard:
    """The control socket's end, as far as sending goes."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    async def call(self, method: str, params: dict[str, Any]) -> None:
        assert method == "stream.write"
        self.said.append(params)


@pytest.mark.parametrize(("kind", "last"), [("text", False), ("audio", False), ("bytes", True)])
async def test_where_a_read_of_text_or_sound_ends_no_item_does(
    tmp_path: Path, kind: str, *, last: bool
) -> None:
    source = tmp_path / "letter.txt"
    # The cut is in the middle of a letter.
    source.write_bytes(b"x" + "ü".encode() * READ_BYTES)
    heard = Heard()
    talk = _Talk(Output(as_json=True), heard, None)
    with source.open("rb") as reading:
        await talk._send({"stream": "one", "input": {"kind": kind}}, reading)
    *pieces, end = heard.said
    assert b"".join(piece["data"] for piece in pieces) == source.read_bytes()
    assert len(pieces) > 1
    assert {piece["last"] for piece in pieces} == {last}
    assert end == {"stream": "one", "data": b"", "final": True}
