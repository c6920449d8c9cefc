"""Log lines as JSON on stderr, one object a line: time (UTC ms), level, logger, message, and the `extra` fields.

Messages are constants; what varies goes into `extra` and is an id, a code, a count or a state, never content.
"""

from __future__ import annotations

import json
import logging
from typing import Final

_KNOWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """See the module; bytes are shown in hexadecimal."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "at_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _KNOWN:
                line[name] = value.hex() if isinstance(value, bytes) else value
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send the project's log lines to stderr; again is harmless."""
    logger = logging.getLogger("kindmesh")
    logger.setLevel(level)
    if not any(isinstance(handler.formatter, JsonFormatter) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)


__all__ = ["JsonFormatter", "log_to_stderr"]
