"""One setting of `config.toml`, written by a command; whatever else a person wrote there stays as it is.

The line of the setting is replaced where it is, else added to its section, else the section is added at the end. What
comes out is read again before it is kept: a file that is written in a way that this does not understand is left alone.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.mesh.files import disk_error, write_private
from kindmesh.node.config import load_config
from kindmesh.protocol.errors import ConfigError

_MODE: Final = 0o644
"""It holds no secrets, and each part of Kindmesh that has a user of its own reads it."""


def with_setting(text: str, section: str, key: str, value: str) -> str:
    """The file's `text` with `key = "value"` in `[section]`."""
    line = f"{key} = {msgspec.json.encode(value).decode()}"
    lines = text.splitlines()
    inside, header = False, -1
    for number, found in enumerate(lines):
        words = found.split("#", 1)[0].strip()
        if words.startswith("["):
            inside = words.strip("[] \t\"'") == section
            header = number if inside else header
        elif inside and words.split("=", 1)[0].strip().strip("\"'") == key:
            return "\n".join([*lines[:number], line, *lines[number + 1 :], ""])
    if header >= 0:
        return "\n".join([*lines[: header + 1], line, *lines[header + 1 :], ""])
    return "\n".join([*lines, *([""] if lines else []), f"[{section}]", line, ""])


def set_setting(path: Path, section: str, key: str, value: str) -> None:
    """Keep `key = "value"` in `[section]` of the file; it is made if there is none.

    Raises:
        ConfigError: the file is wrong already, or written in an unusual way; it is untouched.
        DiskFull, StoreError: it could not be read or written.
    """
    load_config(path, {})
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        kept = (path if path.exists() else path.parent).stat()
    except OSError as error:
        raise disk_error(error, path, doing="read") from error
    after = with_setting(before, section, key, value)
    if _read(after) != _with(_read(before), section, key, value):
        raise ConfigError(
            f"{path} is written in a way that is not changed by a command",
            hint=f"Write {key} = {msgspec.json.encode(value).decode()} below [{section}] yourself.",
            field=f"{section}.{key}",
        )
    keeper = (kept.st_uid, kept.st_gid) if os.geteuid() == 0 else None
    mode = kept.st_mode & 0o777 if path.exists() else _MODE
    write_private(path, after.encode(), mode=mode, keeper=keeper)


def _read(text: str) -> dict[str, dict[str, object]] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _with(
    found: dict[str, dict[str, object]] | None, section: str, key: str, value: str
) -> dict[str, dict[str, object]]:
    known = found or {}
    return {**known, section: {**known.get(section, {}), key: value}}


__all__ = ["set_setting", "with_setting"]
