"""The process of a node: how it starts, says that it serves, and ends.

    lock -> settings -> logs -> keys -> Node --ready--> serving --SIGTERM--> draining --done, or a second one--> ended

`python -m kindmesh.node.process` locks the folder, says `ready` on `--ready-fd`, and ends on SIGTERM, SIGINT or SIGHUP:
running jobs may finish within the grace time, a second signal ends at once (what was under way is then `interrupted` or
`uncertain` at the next start). Exit code 2 tells the launcher that another try would end the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.exposure import check_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.key_files import take_keys
from kindmesh.mesh.removal import removal_in
from kindmesh.mesh.secrecy import guard_process
from kindmesh.mesh.transport import Transport
from kindmesh.node.app import Node
from kindmesh.node.config import load_config
from kindmesh.protocol.errors import KindmeshError, error_to_wire
from kindmesh.protocol.ids import format_id

log = logging.getLogger("kindmesh.node.process")

EXIT_CANNOT_RUN: Final = 2
"""Tells the launcher that another try would end the same."""


async def serve(node: Node, say: Callable[..., None]) -> None:
    """Run until SIGTERM or SIGINT; a second one does not wait for running jobs."""
    loop = asyncio.get_running_loop()
    end, at_once = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (at_once if end.is_set() else end).set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    node.uplink.on_peer(lambda _, up: say("connected" if up else "disconnected", address=node.uplink.address))
    async with node:
        say("ready", device=format_id(node.identity.device_id), name=node.trust.certificate.name)
        await end.wait()
        say("stopping")
        draining = asyncio.ensure_future(node.drain())
        hurry = asyncio.ensure_future(at_once.wait())
        await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurry):
            task.cancel()
        drained, _ = await asyncio.gather(draining, hurry, return_exceptions=True)
        if isinstance(drained, Exception):
            # What was under way is found in the journal at the next start.
            log.error("the graceful end went wrong", exc_info=drained)
    say("stopped")


def _speaker(as_json: bool, ready_fd: int) -> Callable[..., None]:
    def say(event: str, **details: Any) -> None:
        if event == "ready" and ready_fd >= 0:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)
        plain = " ".join([event, *map(str, details.values())])
        sys.stdout.write((json.dumps({"event": event, **details}) if as_json else plain) + "\n")
        sys.stdout.flush()

    return say


def _transport() -> Transport:
    from kindmesh.mesh.zmq_transport import ZmqTransport  # noqa: PLC0415 - the simulator runs without it

    return ZmqTransport()


def run(home: Home, *, as_json: bool, ready_fd: int) -> None:
    """The process: lock, configuration, logs, then serve.

    Raises:
        Revoked: this device was removed from the mesh. KindmeshError: why else it cannot start.
    """
    from kindmesh.mesh.logs import setup_logging  # noqa: PLC0415 - only a process sets up logs

    config = load_config(home.config_file, os.environ)
    form = config.log.format
    setup_logging(config.log.level, "" if form == "auto" else form)
    with home.lock("node"):
        check_private(home)
        gone = removal_in(home.identity)
        if gone is not None:
            raise gone
        node = Node(home, config, clock=SystemClock(), entropy=SystemEntropy(), transport=_transport())
        asyncio.run(serve(node, _speaker(as_json, ready_fd)))


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m kindmesh.node.process --home FOLDER [--json] [--ready-fd N] [--keys-fd N]`; the exit code."""
    import argparse  # noqa: PLC0415 - other ways to start a node have no command line

    parser = argparse.ArgumentParser(
        prog="kindmesh-node", description="The program on a device.", allow_abbrev=False
    )
    parser.add_argument("--home", default=None, help="the state folder (default: KINDMESH_HOME, else by XDG)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--ready-fd", type=int, default=-1, help="write one line here when it serves")
    parser.add_argument("--keys-fd", type=int, default=-1, help="read what opens the private keys here")
    options = parser.parse_args(arguments)
    guard_process()
    try:
        take_keys(Home.locate(options.home).root, options.keys_fd)
        run(Home.locate(options.home), as_json=options.json, ready_fd=options.ready_fd)
    except KindmeshError as error:
        wire = error_to_wire(error)
        if options.json:
            described = {"code": wire.code, "message": wire.message, "hint": wire.hint, "field": wire.field}
            sys.stdout.write(json.dumps({"event": "failed", "error": described}) + "\n")
        sys.stderr.write(f"{error.message}\n" + (f"{error.hint}\n" if error.hint else ""))
        return EXIT_CANNOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["main", "run", "serve"]
