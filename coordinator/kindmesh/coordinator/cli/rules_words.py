"""What commands need to know of rules in Cedar: which operations and services there are, and how a file is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.cli.local import connect
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.limits import CEDAR_MAX
from kindmesh.protocol.manifest import Operation

_RULE: Final = re.compile(r"^\s*(?:@\w+[^\n]*\s+)*(?:permit|forbid)\s*\(", re.MULTILINE)


def read_text(path: str) -> str:
    """The text of a file (`-`: standard input).

    Raises:
        InvalidInput: it cannot be read as text.
    """
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as text", field="file") from error


def read_rules(path: str) -> str:
    """The rules in a file (`-`: standard input).

    Raises:
        InvalidInput: it cannot be read as text, or is too long.
    """
    text = read_text(path)
    if len(text.encode()) > CEDAR_MAX:
        raise InvalidInput(f"rules in Cedar take at most {CEDAR_MAX} bytes", field="file")
    return text


def looks_like_rules(path: Path, text: str) -> bool:
    """Whether a file of a policy holds rules in Cedar: by its name, or by what is in it."""
    return path.suffix == ".cedar" or (path.suffix != ".toml" and bool(_RULE.search(text)))


def services() -> frozenset[str]:
    """The services of things in the home."""
    from kindmesh.capabilities.home.services import SERVICES

    return frozenset(SERVICES)


def shipped() -> dict[str, Operation]:
    """The operations that Kindmesh comes with, by name."""
    from kindmesh.capabilities.registry import ENTRIES, manifest_of

    return {one.name: one for entry in ENTRIES for one in manifest_of(entry).operations}


def offered() -> dict[str, Operation]:
    """The operations that devices offer, as far as somebody can be asked now; else none."""
    from kindmesh.coordinator.cli.review_manifests import tools_from_document

    return tools_from_document(asked("capabilities") or []).operations


def asked(method: str, params: dict[str, Any] | None = None) -> Any:
    """What the mesh answers; None where there is none, or it does not run or answer."""
    try:
        with connect(Home.locate(), timeout_ms=5_000) as client:
            return client.call(method, params or {})
    except KindmeshError:
        return None


def known_actions(more: Iterable[str] = ()) -> frozenset[str]:
    """Every operation and service that rules may be about."""
    return frozenset((*shipped(), *services(), *offered(), *more))


__all__ = [
    "asked",
    "known_actions",
    "looks_like_rules",
    "offered",
    "read_rules",
    "read_text",
    "services",
    "shipped",
]
