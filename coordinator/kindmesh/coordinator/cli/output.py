"""How the command line speaks: results to stdout, progress and problems to stderr, one exit code per kind of trouble.

With `--json` stdout carries one JSON object per line and nothing else, also when the call itself was wrong. Bytes are
shown as hexadecimal. Colours and redrawn lines are used only where stderr is a terminal. What other devices said is
shown `safe`: no text from afar moves the cursor, hides a line or turns the direction of writing.

    0  done                                4  refused (no permission, wrong key, the owner said no)
    1  it failed                           5  uncertain: it may or may not have happened
    2  the call itself was wrong           6  busy or out of time: try again later
    3  not running, or not reachable     130  interrupted
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from kindmesh.protocol import errors as e

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_REFUSED: Final = 4
EXIT_UNCERTAIN: Final = 5
EXIT_LATER: Final = 6
EXIT_INTERRUPTED: Final = 130

_EXITS: Final[tuple[tuple[tuple[type[e.KindmeshError], ...], int], ...]] = (
    ((e.InvalidInput, e.ConfigError, e.UnknownJob, e.AlreadyInitialised), EXIT_USAGE),
    ((e.Uncertain,), EXIT_UNCERTAIN),
    ((e.Busy, e.BackPressure, e.DeadlineExceeded), EXIT_LATER),
    ((e.NotRunning, e.NotInitialised, e.TransportError, e.NoDeviceAble), EXIT_UNREACHABLE),
    ((e.AuthenticationError, e.PermitRefused, e.AccessRefused, e.WrongPassphrase), EXIT_REFUSED),
)


def exit_code(error: e.KindmeshError) -> int:
    """The exit code for this kind of trouble; see the module."""
    return next((code for kinds, code in _EXITS if isinstance(error, kinds)), EXIT_FAILED)


def plain(value: Any) -> Any:
    """`value` as JSON can say it: bytes as hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Output:
    """Where a command writes. `as_json` is the user's `--json`."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._drawn = False

    def result(self, value: Any, *lines: str) -> None:
        """The outcome: `value` for programs, `lines` for people."""
        if self.as_json:
            _write_json(plain(value))
        else:
            self.clear()
            for line in lines:
                sys.stdout.write(safe(line) + "\n")
        sys.stdout.flush()

    def event(self, value: Any, *lines: str) -> None:
        """Something on the way that programs want too (pairing, a job's states)."""
        self.result(value, *lines)

    def note(self, text: str) -> None:
        """A remark for people; to stderr, also with `--json`."""
        self.clear()
        sys.stderr.write(safe(text) + "\n")
        sys.stderr.flush()

    def progress(self, text: str) -> None:
        """A line that the next one replaces; only on a terminal."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{safe(text).replace(chr(10), ' ')}")
            sys.stderr.flush()
            self._drawn = True

    def clear(self) -> None:
        """Take the progress line away."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def trouble(self, error: e.KindmeshError) -> int:
        """Say what went wrong and what to do; returns the exit code."""
        self.clear()
        wire = e.error_to_wire(error)
        if self.as_json:
            body: dict[str, Any] = {
                "code": wire.code, "message": wire.message, "hint": wire.hint, "field": wire.field,
            }  # fmt: skip
            if wire.retry_ms:
                body["retry_ms"] = wire.retry_ms
            _write_json({"ok": False, "error": body})
            sys.stdout.flush()
        else:
            sys.stderr.write(f"{safe(sentence(wire.message))}\n")
            if wire.hint:
                sys.stderr.write(f"{safe(wire.hint)}\n")
            sys.stderr.flush()
        return exit_code(error)


def _write_json(value: Any) -> None:
    # Where the output is not UTF-8, JSON's own escapes say everything.
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, ensure_ascii=not utf8) + "\n")


def safe(text: str) -> str:
    """`text` with its lines and tabs, and without what could take over a terminal: controls, such as escape, and
    marks that turn the direction of writing become their `\\u` escapes."""
    return _RISKY.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_RISKY: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def sentence(text: str) -> str:
    """`text` with a capital and a full stop, unless it already ends itself."""
    text = text.strip()
    if not text:
        return text
    # The name of an operation or a file stays as it is written.
    first = text.split(maxsplit=1)[0].rstrip(",:")
    opening = text[0] if "." in first or "/" in first or "_" in first else text[0].upper()
    return opening + text[1:] + ("" if text[-1] in ".!?:" else ".")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows under headings, in columns as wide as they need to be; the last is not padded."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = []
    for row in [headings, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def age(milliseconds: int | None) -> str:
    """How long ago, for people: `now`, `12 s`, `3 min`, `2 h`, `5 days`; `never` for None."""
    if milliseconds is None:
        return "never"
    seconds = max(0, milliseconds) // 1000
    if seconds < 2:
        return "now"
    for limit, size, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} days"


__all__ = [
    "EXIT_DONE",
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_LATER",
    "EXIT_REFUSED",
    "EXIT_UNCERTAIN",
    "EXIT_UNREACHABLE",
    "EXIT_USAGE",
    "Output",
    "age",
    "exit_code",
    "plain",
    "safe",
    "sentence",
    "table",
]
