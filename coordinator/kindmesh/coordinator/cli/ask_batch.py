"""`ask` and `plan` with `--home`: sentences over an inventory file, without a mesh; nothing is written.

A batch is read and answered line by line, so that what comes out can be used while more goes in. A line that is wrong
is answered with an error object for that line, and the others go on; the exit code says at the end that there were
some.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output, sentence
from kindmesh.protocol.errors import InvalidInput, KindmeshError, error_to_wire

if TYPE_CHECKING:
    from kindmesh.coordinator.brain.desk.batch import Batch

HOME_FILE_MAX: Final = 16 * 1024 * 1024
PROGRESS_EVERY: Final = 500
"""Lines between two remarks on how far it is, where no terminal can redraw one."""


class Wish(msgspec.Struct, frozen=True):
    """What was typed."""

    words: tuple[str, ...]
    home: str
    batch: str
    area: str
    zone: str
    language: str
    latitude: float | None = None
    longitude: float | None = None


def run_without_mesh(out: Output, wish: Wish, *, act: bool) -> int:
    """One sentence, or a batch of them, over the home in a file."""
    if not wish.home:
        raise InvalidInput(
            "a batch is answered from an inventory file", field="home", hint="Name it: --home FILE.yaml."
        )
    if wish.batch and wish.words:
        raise InvalidInput("either a sentence or --batch", field="batch")
    if wish.batch and wish.area:
        raise InvalidInput("in a batch each line names its own area", field="area")
    if wish.home == wish.batch == "-":
        raise InvalidInput("standard input is either the home or the batch", field="batch")
    batch = make_batch(wish)
    if not wish.batch:
        return _single(out, batch, wish, act=act)
    with _opened(wish.batch) as lines:
        try:
            return _all(out, batch, lines, act=act)
        except BrokenPipeError:
            # Whoever read the answers has enough of them; Python would complain once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED


def make_batch(wish: Wish) -> Batch:
    """What answers, with everything loaded.

    Raises:
        InvalidInput: the inventory, the zone or the language.
    """
    from kindmesh.capabilities.home.inventory import home_from_text
    from kindmesh.coordinator.brain.cortex.cortex import Cortex
    from kindmesh.coordinator.brain.desk.batch import Batch
    from kindmesh.coordinator.heart.schedules.zones import system_zone, zone_named
    from kindmesh.mesh.clock import SystemClock

    with _opened(wish.home) as source:
        try:
            text = source.read(HOME_FILE_MAX + 1)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{wish.home} cannot be read: it is not text", field="home") from error
    if len(text) > HOME_FILE_MAX:
        raise InvalidInput(f"{wish.home} is longer than {HOME_FILE_MAX} characters", field="home")
    zone = wish.zone or system_zone(os.environ)
    zone_named(zone)
    home = home_from_text(text)
    place = place_of(wish.latitude, wish.longitude)
    batch = Batch(
        home, Cortex(wish.language), clock=SystemClock(), zone=zone, language=wish.language, place=place
    )
    batch.warm()
    return batch


def place_of(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """Where the home is.

    Raises:
        InvalidInput: one of the two without the other.
    """
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None:
        missing = "latitude" if latitude is None else "longitude"
        raise InvalidInput(
            "a place has a latitude and a longitude", field=missing, hint=f"Give --{missing} too."
        )
    return latitude, longitude


def _single(out: Output, batch: Batch, wish: Wish, *, act: bool) -> int:
    from kindmesh.coordinator.brain.desk.describe import plan_lines
    from kindmesh.coordinator.brain.desk.lines import read_line

    text = " ".join(wish.words)
    if text == "-":
        text = sys.stdin.read(65_536).strip()
    if not text:
        raise InvalidInput(
            "there is nothing to understand", field="text", hint='kindmesh ask "what can you do"'
        )
    document = {"id": "1", "text": text, "area": wish.area}
    if act or out.as_json:
        answer = batch.line(document, act=act)
        out.result(answer if act else {**answer, "ok": True}, answer["reply"])
        return EXIT_DONE if answer["understood"] else EXIT_FAILED
    thought = batch.think(read_line(document))
    plan, judged = thought.understanding.plan, thought.judged
    if plan is None or judged is None:
        out.result(None, batch.planned(thought))
        return EXIT_DONE if thought.understanding.understood else EXIT_FAILED
    out.result(None, *plan_lines(plan, thought.home, judged.verdict, judged.messages))
    return EXIT_DONE


def _all(out: Output, batch: Batch, lines: TextIO, *, act: bool) -> int:
    from kindmesh.coordinator.brain.desk.lines import parse_line

    wrong = count = 0
    for number, text in _lines(lines):
        document: dict[str, Any] = {}
        count += 1
        try:
            document = parse_line(text)
            answer = batch.line(document, act=act)
        except KindmeshError as error:
            wrong += 1
            wire = error_to_wire(error)
            said = {"code": wire.code, "message": wire.message, "hint": wire.hint, "field": wire.field}
            failed = {"id": document.get("id"), "ok": False, "line": number, "error": said}
            out.event(failed, f"line {number}: {sentence(wire.message)} {wire.hint}".strip())
        else:
            out.event(answer, f"{answer['id']}: {answer['reply']}")
        _tell(out, count)
    out.clear()
    if wrong:
        out.note(f"{wrong} of {count} lines could not be answered.")
    return EXIT_FAILED if wrong else EXIT_DONE


def _tell(out: Output, count: int) -> None:
    if sys.stderr.isatty():
        out.progress(f"{count} lines")
    elif count % PROGRESS_EVERY == 0:
        out.note(f"{count} lines so far.")


def _lines(lines: TextIO) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers; of one that is too long, only so much that this is seen."""
    from kindmesh.coordinator.brain.desk.lines import LINE_MAX

    number = 0
    while True:
        try:
            text = lines.readline(LINE_MAX + 2)
            while len(text) > LINE_MAX and not text.endswith("\n"):
                rest = lines.readline(LINE_MAX)
                text = text[: LINE_MAX + 1] + ("\n" if not rest or rest.endswith("\n") else "")
        except (OSError, ValueError) as error:
            raise InvalidInput(f"line {number + 1} cannot be read: it is not text", field="batch") from error
        if not text:
            return
        number += 1
        if text.strip():
            yield number, text.rstrip("\n")


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    if path == "-":
        yield sys.stdin
        return
    try:
        found = Path(path)
        if found.is_dir():
            raise InvalidInput(f"{path} is a folder", field="file")
        source = found.open(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise InvalidInput(f"{path} cannot be read: {why}", field="file") from error
    with source:
        yield source


__all__ = ["HOME_FILE_MAX", "Wish", "make_batch", "run_without_mesh"]
