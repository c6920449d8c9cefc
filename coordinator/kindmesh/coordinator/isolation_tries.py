"""The small program by which `isolation` finds out whether a part could start as another user, or confined.

It starts the interpreter, loads the compiled libraries, and opens a module in each folder that the part is loaded from:
what keeps one file of a folder from somebody keeps all of it, so the whole part need not be loaded for that, which
takes three times as long. Then it does to folders and the network what the part will have to do. What does not work
is the last line of what it writes to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Literal

_NEEDED: Final = {
    "medulla": ("kindmesh.coordinator.brain.medulla.service", "kindmesh.mesh.store"),
    "coordinator": ("kindmesh.coordinator.process", "kindmesh.node.intake", "kindmesh.mesh.store"),
    "node": ("kindmesh.node.process", "kindmesh.capabilities.worker_main", "kindmesh.mesh.store"),
}
_PROGRAM: Final = """
import importlib.util, os, sys
import kindmesh.protocol.crypto, msgspec, sqlite3, zmq
part, modules, folders = sys.argv[1], sys.argv[2].split(), sys.argv[3:]
for name in modules:
    found = importlib.util.find_spec(name)
    if found is None:
        raise ModuleNotFoundError(f"No module named {name!r}")
    open(found.origin, "rb").close()
for folder in folders:
    os.stat(folder)
if part == "node":
    import socket
    for folder in folders:
        path = os.path.join(folder, ".tried")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        os.unlink(path)
    socket.create_server(("127.0.0.1", 0)).close()
    open("/proc/self/status").close()
"""


def tries_to_start(part: Literal["medulla", "coordinator", "node"], *folders: Path) -> list[str]:
    """The command line; it ends with 0 where the part could start. `folders`: what it has to reach, and a node to
    write to."""
    words = [part, " ".join(_NEEDED[part]), *map(os.fspath, folders)]
    return [sys.executable, "-P", "-c", _PROGRAM, *words]


__all__ = ["tries_to_start"]
