"""Logging: one JSON object a line on stderr, with ids and never with contents; a short line for a person at a terminal.

Callers write a constant sentence and put ids and numbers into `extra` (`log.info("job accepted", extra={"job": id})`).
What is not an id, a number, a yes or no, or a short word is left out by name, so that a mistake of a caller shows a
gap and not somebody's letter. Bytes are shown in hex, at most 32 of them. Of an exception the type, the wire code and
the places in the code are kept; its text is not, because it may quote what was received.

Level and form: `KINDMESH_LOG=debug|info|warning|error` and `KINDMESH_LOG_FORMAT=json|human`, else what the caller read
from config.toml, else `info`, and human at a terminal. Libraries are heard from `warning` on, without their arguments.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final, TextIO

from kindmesh.protocol.errors import ConfigError, KindmeshError

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS: Final = ("json", "human")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_WORD: Final = re.compile(r"[A-Za-z0-9_.:/@+\-\[\]]{0,128}")
_FRAMES: Final = 6


def setup_logging(
    level: str = "", form: str = "", *, env: Mapping[str, str] | None = None, stream: TextIO | None = None
) -> None:
    """Send this process's logs to `stream` (stderr) from now on; calling it again replaces what was set up before.

    Raises:
        ConfigError: a level or form that does not exist; names the variable or setting.
    """
    env = os.environ if env is None else env
    level = _choice("KINDMESH_LOG", env, level or "info", LEVELS)
    target = sys.stderr if stream is None else stream
    form = _choice("KINDMESH_LOG_FORMAT", env, form or ("human" if target.isatty() else "json"), FORMATS)
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonFormatter() if form == "json" else HumanFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("kindmesh").setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False


class JsonFormatter(logging.Formatter):
    """`{"time_ms", "level", "logger", "message", <ids>, "error", "at"}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        entry: dict[str, Any] = {
            "time_ms": int(record.created * 1000), "level": record.levelname.lower(), "logger": record.name,
            "message": _message(record), **_ids(record), **_failure(record),
        }  # fmt: skip
        return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


class HumanFormatter(logging.Formatter):
    """`12:34:56 INFO    node.jobs  job accepted  job=0123abcd`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of text."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        name = record.name.removeprefix("kindmesh.")
        details = {**_ids(record), **_failure(record)}
        tail = "".join(f"  {key}={_shown(value)}" for key, value in details.items())
        return f"{clock} {record.levelname:7} {name}  {_message(record)}{tail}"


def _choice(
    variable: str, env: Mapping[str, str], default: str, allowed: Mapping[str, int] | tuple[str, ...]
) -> str:
    value = env.get(variable, "").strip().lower()
    chosen = value or default.lower()
    if chosen not in allowed:
        where = variable if value else "the log setting"
        raise ConfigError(
            f"{where} is {chosen[:32]!r}.", hint=f"Use one of: {', '.join(allowed)}.", field=variable
        )
    return chosen


def _message(record: logging.LogRecord) -> str:
    """Our own sentences are constant; a library's may quote anything, so only its constant part is kept."""
    text = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    if record.args and record.name.partition(".")[0] == "kindmesh":
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        return text % tuple(_safe(argument) for argument in arguments)
    return text.partition("\n")[0][:200]


def _ids(record: logging.LogRecord) -> dict[str, Any]:
    return {key: _safe(value) for key, value in vars(record).items() if key not in _STANDARD}


def _safe(value: object) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return value[:32].hex()
    if isinstance(value, (list, tuple)):
        return [_safe(item) for item in value[:32]]
    text = str(value)
    return text if _WORD.fullmatch(text) else "(left out)"


def _failure(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    places = [
        f"{os.path.basename(frame.filename)}:{frame.lineno}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]
    found: dict[str, Any] = {"error": type(error).__name__, "at": places}
    if isinstance(error, KindmeshError):
        found["code"] = error.code
    return found


def _shown(value: object) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)


__all__ = ["FORMATS", "LEVELS", "HumanFormatter", "JsonFormatter", "setup_logging"]
