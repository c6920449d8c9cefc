"""The base class: what counts as a fitting handler, and what a context does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from kindmesh.capabilities.base import Capability, Context, Progress, check_signatures, invoke, operation
from kindmesh.capabilities.testing import FolderArtifacts
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import (
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    UnknownOperation,
)
from kindmesh.protocol.manifest import Effect, Field, Manifest, Operation


class Answer(msgspec.Struct):
    total: float


def _manifest(*fields: Field) -> Manifest:
    described = Operation(
        "sum.add", "Add", fields, (Field("total", "number"),), int(Effect.READ), idempotent=True
    )
    return Manifest("sum", "1", "Sums", (described,))


FIELDS = (
    Field("first", "number"),
    Field("second", "integer", required=False, default=encode_value(2)),
    Field("note", "text", required=False),
)


class Other(msgspec.Struct):
    sum: float


class Text(msgspec.Struct):
    total: str


class Fitting(Capability):
    manifest: ClassVar[Manifest] = _manifest(*FIELDS)

    @operation("sum.add")
    async def add(self, context: Context, first: float, second: int = 2, note: str | None = None) -> Answer:
        return Answer(first + second)


def _context(
    tmp_path: Path, report: Progress = lambda fraction, text: None, *, seconds: float = 10
) -> Context:
    return Context(
        b"j", time.monotonic() + seconds, tmp_path, tmp_path, FolderArtifacts(tmp_path / "a"), report
    )


def test_a_fitting_handler_has_no_differences() -> None:
    assert check_signatures(Fitting, ["sum.add"]) == []


def test_every_kind_of_difference_is_found() -> None:
    class Wrong(Capability):
        manifest: ClassVar[Manifest] = _manifest(*FIELDS)

        @operation("sum.add")
        async def add(self, context: Context, first: str, second: int = 3, note: str = "") -> Answer:
            return Answer(0)

    found = "; ".join(check_signatures(Wrong, ["sum.add"]))
    assert "first is <class 'str'> where the manifest says number" in found
    assert "second defaults to 3, in the manifest to 2" in found
    assert "note defaults to '', in the manifest to None" in found


def test_a_missing_parameter_and_a_wrong_answer_are_found() -> None:
    class Wrong(Capability):
        manifest: ClassVar[Manifest] = _manifest(*FIELDS)

        @operation("sum.add")
        async def add(self, context: Context, first: float) -> Other:
            return Other(0)

    found = "; ".join(check_signatures(Wrong, ["sum.add", "sum.subtract"]))
    assert "takes ['first'] where the manifest says ['first', 'second', 'note']" in found
    assert "answers ['sum'] where the manifest says ['total']" in found
    assert "serves ['sum.add'], not ['sum.add', 'sum.subtract']" in found


async def test_defaults_are_filled_in_and_whole_numbers_become_numbers(tmp_path: Path) -> None:
    assert await invoke(Fitting(), "sum.add", _context(tmp_path), {"first": 1}) == {"total": 3.0}


async def test_arguments_are_checked_before_the_handler_runs(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        await invoke(Fitting(), "sum.add", _context(tmp_path), {"first": "one"})
    assert refused.value.field == "first"
    with pytest.raises(UnknownOperation):
        await invoke(Fitting(), "sum.divide", _context(tmp_path), {})


async def test_an_answer_outside_the_manifest_is_our_error(tmp_path: Path) -> None:
    class Wrong(Capability):
        manifest: ClassVar[Manifest] = _manifest()

        @operation("sum.add")
        async def add(self, context: Context) -> Text:
            return Text("three")

    with pytest.raises(InternalError, match="total should be a number"):
        await invoke(Wrong(), "sum.add", _context(tmp_path), {})


def test_progress_is_thinned_out_but_the_end_is_always_told(tmp_path: Path) -> None:
    told: list[float | None] = []
    context = _context(tmp_path, lambda fraction, text: told.append(fraction))
    for step in range(1000):
        context.progress(step / 1000)
    context.progress(1.0)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert len(told) < 50


def test_progress_ends_a_call_that_nobody_waits_for(tmp_path: Path) -> None:
    late = _context(tmp_path, seconds=-1)
    with pytest.raises(DeadlineExceeded):
        late.progress(0.5)
    given_up = _context(tmp_path)
    given_up.cancelled = lambda: True
    with pytest.raises(Cancelled):
        given_up.progress(0.5)
