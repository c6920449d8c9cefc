"""`python -m kindmesh.coordinator.brain.medulla --home FOLDER`: Medulla's process.

Order matters: first make this process unreadable to others, then take away the network and all files but its own, then
open the keys, then listen, then say so on `--ready-fd`. The launcher says how the coordinator is kept out
(`--isolation`); what this process can see for itself overrules that downwards only. Who may connect: with isolation
`uid` the coordinator's user, with `landlock` children of the launcher that cannot gain rights, with `none` whoever is
the same user; root always.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kindmesh.coordinator.brain.logs import log_to_stderr
from kindmesh.coordinator.brain.medulla.aside import Aside
from kindmesh.coordinator.brain.medulla.server import Peer, Server
from kindmesh.coordinator.brain.medulla.service import Service, refusal
from kindmesh.mesh import confine
from kindmesh.mesh.files import private_folder
from kindmesh.mesh.home import Home
from kindmesh.mesh.key_files import take_keys
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.permit import Isolation

log = logging.getLogger("kindmesh.coordinator.medulla")


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 0 then, 2 when it cannot run (the reason goes to stderr)."""
    options = _parser().parse_args(arguments)
    log_to_stderr()
    home = Home(options.home)
    try:
        return _serve(home, options)
    except KindmeshError as error:
        log.error("cannot run", extra={"code": error.code})
        sys.stderr.write(f"Medulla: {error.message} {error.hint}\n")
        return 2


def _serve(home: Home, options: argparse.Namespace) -> int:
    launcher = os.getppid()
    if options.die_with_parent and not confine.die_with_parent(launcher):
        return 2
    path = Path(options.socket) if options.socket else home.socket("medulla")
    if not path.parent.is_dir():
        private_folder(path.parent)
    sandbox = confine.Sandbox(
        read=[*confine.runtime_paths(), "/proc", "/etc/localtime"],
        write=[home.medulla, path.parent],
        devices=["/dev/null", "/dev/urandom"],
        network="none",
        non_dumpable=True,
    )
    done = confine.apply(sandbox)
    take_keys(home.root, options.keys_fd)
    isolation = _isolation(options.isolation, done, options.peer_uid)
    service = Service(home.medulla, isolation, confinement=done.as_dict())
    try:
        aside: Aside[Any] = Aside(service.is_long, service.alone, refusal)
        server = Server(path, service.process, _admission(isolation, options.peer_uid, launcher), aside)
        server.listen(0o660 if isolation == "uid" else 0o600)
        signal.set_wakeup_fd(server.wake_fd)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: server.stop())
        if options.ready_fd >= 0:
            os.write(options.ready_fd, b"ready\n")
            os.close(options.ready_fd)
        log.info("listening", extra={"isolation": isolation, "network": done.network})
        server.run()
    finally:
        service.close()
    return 0


def _isolation(claimed: Isolation, done: confine.Confinement, peer_uid: int) -> Isolation:
    """The launcher's claim, or `none` when this process sees that it cannot be true."""
    if claimed == "uid" and (peer_uid < 0 or 0 in (peer_uid, done.uid) or peer_uid == done.uid):
        return "none"
    if claimed == "landlock" and done.dumpable:
        return "none"
    return claimed


def _admission(isolation: Isolation, peer_uid: int, launcher: int) -> Callable[[Peer], bool]:
    own = os.geteuid()

    def admit(peer: Peer) -> bool:
        if isolation == "uid":
            return peer.uid in (peer_uid, own, 0)
        if isolation == "landlock":
            return peer.pid == launcher or _is_coordinator(peer.pid, launcher)
        return peer.uid in (own, 0)

    return admit


def _is_coordinator(pid: int, launcher: int) -> bool:
    """A child of the launcher that cannot gain rights. This device's node is one, too, but it carries one seccomp
    filter more than the launcher, which nobody can take off again."""
    if _status(pid, "PPid", "NoNewPrivs") != (str(launcher), "1"):
        return False
    return _status(pid, "Seccomp", "Seccomp_filters") == _status(launcher, "Seccomp", "Seccomp_filters")


def _status(pid: int, *names: str) -> tuple[str, ...]:
    """Fields of /proc/PID/status; empty texts where they cannot be read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return tuple(fields.get(name, "").strip() for name in names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kindmesh-medulla", description="Kindmesh's reviewer. Started by kindmesh up."
    )
    parser.add_argument("--home", required=True, help="state folder")
    parser.add_argument(
        "--isolation", choices=("uid", "landlock", "none"), default="none", help="how it is kept apart"
    )
    parser.add_argument("--peer-uid", type=int, default=-1, help="user id of the coordinator (isolation uid)")
    parser.add_argument("--socket", default="", help="where to listen, when not in the state folder")
    parser.add_argument("--ready-fd", type=int, default=-1, help="gets one line when listening")
    parser.add_argument("--keys-fd", type=int, default=-1, help="what opens the private keys is read here")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the launcher ends")
    return parser


if __name__ == "__main__":
    sys.exit(main())
