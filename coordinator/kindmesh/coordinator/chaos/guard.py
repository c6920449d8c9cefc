"""Who ends what is left of a throw-away household, when whoever started it is gone, however that happened.

`python -P -m kindmesh.coordinator.chaos.guard FOLDER` waits until its standard input ends, which the kernel does for a
process that dies, also by `kill -9`. Then every process that belongs to FOLDER is ended: those that name it in their
command line or environment, and all of their sessions, stopped ones too. Linux (/proc); elsewhere it finds nobody.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

AGAIN_S = 0.1
TRIES = 50


def _of(folder: str) -> set[int]:
    """Process ids of everybody in a session in which somebody names `folder`."""
    sessions: dict[int, int] = {}
    named: set[int] = set()
    needle = folder.encode()
    own = os.getsid(0)
    for entry in Path("/proc").iterdir() if os.path.isdir("/proc") else ():
        if not entry.name.isdecimal():
            continue
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            words = (entry / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
        try:
            words += (entry / "environ").read_bytes()
        except OSError:
            pass  # another user's, or one that guards itself
        sessions[int(entry.name)] = session
        if needle in words and session != own:
            named.add(session)
    return {pid for pid, session in sessions.items() if session in named}


def sweep(folder: Path) -> int:
    """End all that belongs to `folder`, but for this process's own session; returns how many there were."""
    ended: set[int] = set()
    for _ in range(TRIES):
        found = _of(os.fspath(folder))
        if not found:
            break
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        ended |= found
        time.sleep(AGAIN_S)
    return len(ended)


def main() -> None:
    """Wait, then end everybody and remove the folder."""
    folder = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    sweep(folder)
    if "keep" not in sys.argv[2:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

__all__ = ["sweep"]
