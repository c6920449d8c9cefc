"""The process of the coordinator: `python -m kindmesh.coordinator.process`, which the launcher starts after Medulla,
confined.

    lock -> settings -> logs -> keys -> Coordinator --ready--> serving --SIGTERM--> ended
                                                          `--a part keeps ending--> Unstable: begin anew

Its exit code tells the launcher whether a clean start may help.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from kindmesh.coordinator.app import Coordinator
from kindmesh.coordinator.reachable import join_address
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.key_files import take_keys
from kindmesh.mesh.secrecy import guard_process
from kindmesh.node.config import load_config
from kindmesh.protocol.errors import KindmeshError, Unstable

EXIT_CANNOT_RUN: Final = 2
"""Tells the launcher that another try would end the same."""
EXIT_UNSTABLE: Final = 1
"""Tells the launcher that a clean start may help."""


async def serve(coordinator: Coordinator, ready_fd: int) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        Unstable: a part of it keeps ending; the process has to begin anew.
    """
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with coordinator:
        if ready_fd >= 0:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)
        failing = asyncio.ensure_future(coordinator.keeper.given_up())
        ending = asyncio.ensure_future(end.wait())
        await asyncio.wait({failing, ending}, return_when=asyncio.FIRST_COMPLETED)
        unstable = failing.result() if failing.done() else None
        for task in (failing, ending):
            task.cancel()
        await asyncio.gather(failing, ending, return_exceptions=True)
    if unstable is not None:
        raise unstable


def run(home: Home, *, listen: str, ready_fd: int) -> None:
    """The process: lock, configuration, logs, then serve.

    Raises:
        KindmeshError: why it cannot start.
    """
    from kindmesh.mesh.logs import setup_logging  # noqa: PLC0415 - only a process sets up logs
    from kindmesh.mesh.zmq_transport import ZmqTransport  # noqa: PLC0415 - the simulator runs without it

    config = load_config(home.config_file, os.environ)
    setup_logging(config.log.level, "" if config.log.format == "auto" else config.log.format)
    host, port = config.mesh.listen, config.mesh.port
    if listen:
        host, _, text = listen.rpartition(":")
        port = int(text)
    with home.lock("coordinator"):
        coordinator = Coordinator(
            home,
            config,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            transport=ZmqTransport(),
            listen=f"tcp://{join_address(host, port)}",
            door=f"tcp://{join_address(host, port + 1 if port else 0)}",
        )
        asyncio.run(serve(coordinator, ready_fd))


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m kindmesh.coordinator.process --home FOLDER [--listen HOST:PORT] [--ready-fd N] ...`; the exit code."""
    import argparse  # noqa: PLC0415 - the simulator has no command line

    parser = argparse.ArgumentParser(
        prog="kindmesh-coordinator", description="The brain's home.", allow_abbrev=False
    )
    parser.add_argument("--home", default=None, help="the state folder (default: KINDMESH_HOME, else by XDG)")
    parser.add_argument("--listen", default="", help="host:port, instead of the settings")
    parser.add_argument("--ready-fd", type=int, default=-1, help="write one line here when it serves")
    parser.add_argument("--keys-fd", type=int, default=-1, help="read what opens the private keys here")
    options = parser.parse_args(arguments)
    guard_process()
    try:
        take_keys(Home.locate(options.home).root, options.keys_fd)
        run(Home.locate(options.home), listen=options.listen, ready_fd=options.ready_fd)
    except KindmeshError as error:
        sys.stderr.write(f"{error.message}\n" + (f"{error.hint}\n" if error.hint else ""))
        return EXIT_UNSTABLE if isinstance(error, Unstable) else EXIT_CANNOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["main", "run", "serve"]
