"""A node whose clock is wrong: `python -m tests.system.skewed_node HOME OFFSET_MS`, else as every node."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.logs import setup_logging
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.node.app import Node
from kindmesh.node.config import load_config
from kindmesh.node.process import serve


class WrongClock(SystemClock):
    """Off by `offset_ms`."""

    def __init__(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        """What this device believes."""
        return super().now_ms() + self._offset_ms


def say(event: str, **details: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run until SIGTERM."""
    home, clock = Home(Path(sys.argv[1])), WrongClock(int(sys.argv[2]))
    setup_logging("info", "json")
    config = load_config(home.config_file, os.environ)
    node = Node(home, config, clock=clock, entropy=SystemEntropy(), transport=ZmqTransport())
    asyncio.run(serve(node, say))


if __name__ == "__main__":
    main()
