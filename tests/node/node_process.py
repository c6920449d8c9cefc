"""A node as its own process, with the probes among its capabilities: `python -m tests.node.node_process HOME`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.node.probe_capability import PROBES

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.node.app import Node
from kindmesh.node.config import Config, MeshSection, NodeSection
from kindmesh.node.process import serve


def say(event: str, **details: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
    sys.stdout.flush()


def main() -> None:
    config = Config(mesh=MeshSection(mdns=False), node=NodeSection(grace_ms=int(sys.argv[2])))
    home, transport = Home(Path(sys.argv[1])), ZmqTransport()
    node = Node(
        home, config, clock=SystemClock(), entropy=SystemEntropy(), transport=transport, entries=PROBES
    )
    asyncio.run(serve(node, say))


if __name__ == "__main__":
    main()
