"""`doctor`: what is wrong here, and what to do about it.

Looks at this device itself (folder, keys, settings, disk, capabilities), then asks the processes that run for it (node,
coordinator) for what only they know. Every finding is `ok`, `warn` or `fail` with one sentence and, unless ok, one
thing to do. The exit code is 1 when anything is `fail`.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from typing import Any, Final

from kindmesh.coordinator.cli.kit import picture_of
from kindmesh.coordinator.cli.local import is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output, sentence
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.errors import KindmeshError

LOW_DISK_MIB: Final = 500
SHOWN_EXPOSED: Final = 10
_MARKS: Final = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}

Finding = dict[str, str]


def finding(check: str, level: str, message: str, hint: str = "") -> Finding:
    """One line of the report; `level` is ok, warn or fail."""
    return {"check": check, "level": level, "message": sentence(message), "hint": hint}


def run_doctor(out: Output) -> int:
    """Look at everything, report, and say by the exit code whether something has failed."""
    found: list[Finding] = []
    for one in examine(Home.locate()):
        found.append(one)
        if not out.as_json:
            hint = f"\n      {one['hint']}" if one["hint"] else ""
            out.result(None, f"{_MARKS[one['level']]}  {one['check']}: {one['message']}{hint}")
    failed = [one for one in found if one["level"] == "fail"]
    if out.as_json:
        out.result({"ok": not failed, "findings": found})
    return EXIT_FAILED if failed else EXIT_DONE


def examine(home: Home) -> Iterator[Finding]:
    """All findings, the quick ones first."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield finding("python", "ok", f"Python {version}")
    yield from _folder(home)
    yield from _settings(home)
    yield from _capabilities()
    if not (home.identity / TRUST_FILE).exists():
        hint = "Run kindmesh init (first device), or kindmesh join TEXT (every other)."
        yield finding("mesh", "warn", "this device belongs to no mesh yet", hint)
        return
    from kindmesh.mesh.removal import removal_in

    gone = removal_in(home.identity)
    if gone is not None:
        yield finding("mesh", "fail", gone.message, gone.hint)
        return
    yield from _trust(home)
    if is_coordinator(home):
        yield from _recovery_kit(home)
        yield from _isolation(home)
        yield from _ask("coordinator", home)
    yield from _ask("node", home)


def _folder(home: Home) -> Iterator[Finding]:
    if not home.exists():
        yield finding("folder", "warn", f"{home.root} does not exist yet", "kindmesh init or join makes it.")
        return
    mode = stat.S_IMODE(home.root.stat().st_mode)
    # Other parts of Kindmesh may run as users of their own, who have to pass through (x), never to read or write.
    if mode & 0o066:
        yield finding("folder", "fail", f"{home.root} can be read by others", f"chmod 700 {home.root}")
    else:
        yield finding("folder", "ok", str(home.root))
        yield from _kept_private(home)
        yield from _keys(home)
    free_mib = shutil.disk_usage(home.root).free // 2**20
    if free_mib < LOW_DISK_MIB:
        hint = "Free some space; jobs are refused when it is full."
        yield finding("disk", "fail", f"only {free_mib} MiB are free", hint)
    else:
        yield finding("disk", "ok", f"{free_mib} MiB free")


def _kept_private(home: Home) -> Iterator[Finding]:
    from kindmesh.mesh.exposure import exposed, mend

    for one in exposed(home)[:SHOWN_EXPOSED]:
        yield finding("files", "fail", f"{one.path} {one.why}", mend(home))


def _keys(home: Home) -> Iterator[Finding]:
    from kindmesh.mesh.key_conversion import key_status

    try:
        status = key_status(home)
    except KindmeshError as error:
        yield finding("keys", "fail", error.message, error.hint)
        return
    if status.half_done:
        hint = "Nothing is lost. Stop Kindmesh here and ask again: kindmesh keys protect"
        yield finding("keys", "warn", "wrapping the private keys was interrupted", hint)
    elif status.way == "plain" and status.plain:
        yield finding(
            "keys",
            "ok",
            "private keys are plain files (kindmesh keys protect wraps them)",
        )
    elif status.wrapped:
        yield finding("keys", "ok", f"private keys are wrapped ({status.way})")


def _settings(home: Home) -> Iterator[Finding]:
    from kindmesh.node.config import load_config

    try:
        load_config(home.config_file, os.environ)
    except KindmeshError as error:
        yield finding("settings", "fail", error.message, error.hint)
    else:
        yield finding(
            "settings", "ok", str(home.config_file) if home.config_file.exists() else "all at their defaults"
        )


def _capabilities() -> Iterator[Finding]:
    from kindmesh.capabilities.registry import available

    for found in available():
        name = found.manifest.capability
        if found.missing:
            yield finding(name, "warn", f"needs {', '.join(found.missing)}", found.install)
        else:
            yield finding(name, "ok", found.manifest.title)


def _trust(home: Home) -> Iterator[Finding]:
    from kindmesh.mesh.clock import SystemClock
    from kindmesh.mesh.trust import Trust
    from kindmesh.protocol.certificate import check_validity
    from kindmesh.protocol.ids import format_id

    keeper = home.identity.stat().st_uid
    if os.geteuid() == 0 and keeper != 0:
        # While it runs under users of its own, its files are theirs; what they say comes from the processes below.
        yield finding("mesh", "ok", f"kept by user {keeper} while Kindmesh runs")
        return
    try:
        trust = Trust.load(home.identity)
        check_validity(trust.certificate, SystemClock().now_ms())
    except KindmeshError as error:
        yield finding("mesh", "fail", error.message, error.hint)
        return
    left_days = (trust.certificate.expires_ms - SystemClock().now_ms()) // 86_400_000
    name = trust.certificate.name
    yield finding(
        "mesh", "ok", f"this is {name} in {format_id(trust.mesh)}, certificate good for {left_days} days"
    )


def _recovery_kit(home: Home) -> Iterator[Finding]:
    here = [path for path in (home.recovery_kit, picture_of(home.recovery_kit)) if path.exists()]
    if here:
        hint = "Print it, put it away, then delete the file."
        yield finding("recovery kit", "warn", f"{here[0]} is still on this disk", hint)
    else:
        yield finding("recovery kit", "ok", "not on this disk")


def _isolation(home: Home) -> Iterator[Finding]:
    from kindmesh.coordinator.isolation_words import isolation_words, remembered_plan

    found = remembered_plan(home)
    if not found:
        return
    words = isolation_words(found)
    weak = found["mode"] == "none" or (found["mode"] == "landlock" and not found.get("node_confined"))
    yield finding("isolation", "warn" if weak else "ok", " ".join(words), words[-1] if weak else "")


def _ask(part: str, home: Home) -> Iterator[Finding]:
    try:
        with ControlClient(home.socket(part), timeout_ms=5_000) as client:
            found: list[dict[str, Any]] = client.call("doctor")
    except KindmeshError as error:
        yield finding(part, "fail", error.message, error.hint)
        return
    for one in found:
        yield finding(one["check"], one["level"], one["message"], one.get("hint", ""))


__all__ = ["Finding", "examine", "finding", "run_doctor"]
