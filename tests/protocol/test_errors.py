"""The error tree: as drawn, each with its own code, and through the wire and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kindmesh.protocol.errors as module
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import (
    ERRORS,
    InternalError,
    InvalidTransition,
    KindmeshError,
    LocalError,
    PermitMismatch,
    RemoteError,
    RemoteFailure,
    ReportedError,
    WireError,
    error_from_wire,
    error_to_wire,
)


def _classes(base: type[KindmeshError]) -> list[type[KindmeshError]]:
    return [base, *(found for child in base.__subclasses__() for found in _classes(child))]


def _ours() -> list[type[KindmeshError]]:
    return [error for error in _classes(KindmeshError) if error.__module__ == module.__name__]


def _drawn() -> dict[str, str]:
    """Class name -> its parent's name, read from the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (module.__doc__ or "").splitlines():
        match = re.match(r"^( {4}[| ]*?)((?:\||`)-- )?([A-Z]\w+(?:, [A-Z]\w+)*,?)(?=$| {2,}|\s*$)", line)
        if match is None:
            continue
        depth = len(match[1]) if match[2] else 0
        if not match[2] and match[3] != "KindmeshError":
            continue
        while above and above[-1][0] >= depth:
            above.pop()
        names = [name for name in match[3].split(", ") if name]
        for name in names:
            parents[name] = above[-1][1] if above else ""
        above.append((depth, names[0]))
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    real = {error.__name__: error.__base__.__name__ for error in _ours() if error.__base__}
    real["KindmeshError"] = ""
    assert _drawn() == real


def test_every_error_is_public_and_has_a_code_of_its_own_and_a_cause() -> None:
    ours = _ours()
    assert {error.__name__ for error in ours} <= set(module.__all__)
    codes = [error.code for error in ours if error is not ReportedError]
    assert len(set(codes)) == len(codes)
    assert set(codes) == set(ERRORS)
    for error in ours:
        assert re.fullmatch(r"[A-Z][A-Z_]*", error.code)
        assert (error.__doc__ or "").strip().endswith(".")


@pytest.mark.parametrize("cls", [cls for cls in ERRORS.values() if cls is not InvalidTransition])
def test_an_error_is_the_same_on_the_other_side(cls: type[KindmeshError]) -> None:
    error = cls(field="where")
    assert str(error) == error.message == (cls.__doc__ or "").strip().splitlines()[0]
    again = error_from_wire(decode(WireError, encode(error_to_wire(error))))
    assert type(again) is cls
    assert (again.message, again.hint, again.field) == (error.message, error.hint, "where")
    assert isinstance(again, (RemoteError, LocalError)) or cls is KindmeshError


def test_a_hint_replaces_the_usual_one() -> None:
    assert module.DiskFull().hint == module.DiskFull.default_hint
    assert module.DiskFull("the disk of desk is full", hint="Look in /home.").hint == "Look in /home."


def test_a_code_that_is_not_known_here_is_kept_and_passed_on() -> None:
    wire = WireError("TOO_WINDY", "it is too windy to fly", "Wait.", "wind")
    error = error_from_wire(wire)
    assert isinstance(error, RemoteFailure)
    assert (error.code, str(error)) == ("REMOTE_FAILURE", "it is too windy to fly")
    assert error_to_wire(error) == wire
    assert str(error_from_wire(WireError("TOO_WINDY", ""))) == "TOO_WINDY"


def test_an_invalid_transition_carries_its_story_and_is_an_internal_error_elsewhere() -> None:
    error = InvalidTransition("no way from done to running", story=("queued", "done"))
    assert error.story == ("queued", "done")
    assert type(error_from_wire(error_to_wire(error))) is InternalError


def test_text_from_another_device_cannot_move_the_cursor_or_hide_itself() -> None:
    error = error_from_wire(WireError("DENIED", "no\n\x1b[2Jyes \u202eabc", "a\rb", "f\x00"))
    assert str(error) == "no\\u000a\\u001b[2Jyes \\u202eabc"
    assert (error.hint, error.field) == ("a\\u000db", "f\\u0000")
    assert isinstance(error_from_wire(WireError("X\nY", "")), ReportedError)


@given(st.text(), st.text(), st.text())
def test_an_error_on_the_wire_is_never_large(message: str, hint: str, field: str) -> None:
    wire = error_to_wire(PermitMismatch(message * 200, hint=hint * 200, field=field * 200))
    assert len(wire.message) <= 500
    assert len(wire.hint) <= 500
    assert decode(WireError, encode(wire)) == wire
