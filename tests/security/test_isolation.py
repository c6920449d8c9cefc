"""A process of the same user that wants Medulla's memory or keys: in each mode of isolation it is refused, or the mesh
says that it is not kept apart.

Real Medulla, real coordinator and node, started by the launcher in a state folder that belongs to an ordinary user.
The probe is a program of its own: once with the rights of the coordinator's part (its confinement included), once as
any other program of that user.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.coordinator.test_launcher import DRIVER
from tests.support.quick_mesh import quick_mesh

from kindmesh.coordinator.lab.mesh import free_port
from kindmesh.mesh import confine
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = f"/usr/bin/python3.{sys.version_info.minor}"
USER = 61_290
"""An ordinary user; nobody has that number (systemd leaves it to be used dynamically)."""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(SYSTEM_PYTHON) or confine.landlock_abi() < 6,
    reason="needs root, to become others; a system Python, for them to run; and Landlock",
)

PROBE = """
import ctypes, json, os, sys
pid, root = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
found = {}

def tried(name, action):
    try:
        found[name] = "done" if action() else "refused"
    except OSError:
        found[name] = "refused"

def opened(path):
    def action():
        with open(path, "rb") as file:
            file.read(1)
        return True
    return action

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def vm_read():
    here = ctypes.create_string_buffer(16)
    local, remote = Vector(ctypes.addressof(here), 16), Vector(0x400000, 16)
    libc.process_vm_readv.restype = ctypes.c_ssize_t
    read = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return read >= 0 or ctypes.get_errno() not in (1, 13, 3)

def steal_descriptor():
    pidfd = libc.syscall(434, pid, 0)
    return pidfd >= 0 and libc.syscall(438, pidfd, 0, 0) >= 0

for name in ("mem", "maps", "environ", "auxv", "stack"):
    tried("memory " + name, opened(f"/proc/{pid}/{name}"))
tried("memory ptrace attach", lambda: libc.ptrace(16, pid, None, None) == 0)
tried("memory ptrace seize", lambda: libc.ptrace(0x4206, pid, None, None) == 0)
tried("memory process_vm_readv", vm_read)
tried("memory descriptor", steal_descriptor)
tried("memory through fd", lambda: os.listdir(f"/proc/{pid}/fd") and False)
for name in ("medulla/keys/issuer.key", "medulla/keys/permit.key", "owner/owner.key"):
    tried("file " + name, opened(os.path.join(root, name)))
    tried("file through proc " + name, opened(f"/proc/{pid}/root" + os.path.join(root, name)))
tried("file list", lambda: bool(os.listdir(os.path.join(root, "medulla", "keys"))))
print(json.dumps(found))
"""

AS_PART = (
    """
import subprocess
from kindmesh.coordinator.brain.medulla.client import medulla_call, medulla_socket
from kindmesh.coordinator.brain.medulla.messages import Status, StatusWanted
from kindmesh.mesh.home import Home
status = medulla_call(medulla_socket(Home(Path(root))), "status", StatusWanted(), Status)
probe = """
    + repr(PROBE)
    + """
sys.argv = ["probe", str(status.pid), root]
import io, contextlib
said = io.StringIO()
with contextlib.redirect_stdout(said):
    exec(probe, {})
tell(json.loads(said.getvalue()))
"""
)

PART = """
import json, os, signal, sys
from pathlib import Path
name, root, work = sys.argv[1:4]
ready = int(sys.argv[sys.argv.index("--ready-fd") + 1])
def tell(found):
    os.write(2, ("FOUND " + json.dumps(found) + "\\n").encode())
{body}
os.write(ready, b"ready\\n")
os.close(ready)
signal.sigwait([signal.SIGTERM])
"""


class Household:
    """A state folder of an ordinary user, and the launcher in it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        quick_mesh(self.home)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)

    @contextmanager
    def up(self, mode: str, bodies: dict[str, str]) -> Iterator[dict[str, Any]]:
        """The launcher as that user (as root for `uid`): its parts' pids, and `found` once it has ended."""
        paths = [path for path in sys.path if path.startswith(str(ROOT)) and os.path.isdir(path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOME": str(self.home.root)}
        port = str(free_port())
        environment.update(
            KINDMESH_MESH_LISTEN="127.0.0.1", KINDMESH_MESH_PORT=port, KINDMESH_MESH_MDNS="false"
        )
        environment["KINDMESH_MESH_SEEDS"] = f"127.0.0.1:{port}"
        command = [SYSTEM_PYTHON, "-P", "-c", DRIVER, os.fspath(self.home.root), json.dumps(bodies)]
        if mode == "none":
            command.append("none")
        become: dict[str, Any] = {} if mode == "uid" else {"user": USER, "group": USER, "extra_groups": []}
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd="/",
            **become,
        )
        seen: dict[str, Any] = {}
        try:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "isolation":
                    assert event["mode"] == mode, event
                if event["event"] == "starting":
                    seen[event["part"]] = event["pid"]
                if event["event"] == "up" and "part" not in event:
                    break
            else:
                raise AssertionError(process.communicate()[1])
            yield seen
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
            seen["found"] = [
                json.loads(line.removeprefix("FOUND "))
                for line in errors.splitlines()
                if line.startswith("FOUND ")
            ]

    def another_program(self, pid: int, user: int) -> dict[str, str]:
        """What any other program of that user can do to Medulla."""
        ended = subprocess.run(
            [SYSTEM_PYTHON, "-I", "-c", PROBE, str(pid), os.fspath(self.home.root)],
            user=user, group=user, extra_groups=[], capture_output=True, text=True, check=True, cwd="/",
        )  # fmt: skip
        found: dict[str, str] = json.loads(ended.stdout)
        return found

    def ask(self, method: str, params: Any = None) -> Any:
        """A request to the coordinator; root may."""
        with ControlClient(self.home.socket("coordinator"), timeout_ms=30_000) as client:
            return client.call(method, params)


@pytest.fixture
def household() -> Iterator[Household]:
    """In a place where an ordinary user can get."""
    folder = Path(f"/var/tmp/kindmesh-security-{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    try:
        yield Household(folder)
    finally:
        shutil.rmtree(folder)


def until_offered(household: Household) -> None:
    """The node beside the coordinator has said what it offers."""
    end = time.monotonic() + 30
    while not any(node["offers"] for node in household.ask("nodes")):
        assert time.monotonic() < end, "the node did not come"
        time.sleep(0.02)


def done(found: dict[str, str]) -> set[str]:
    return {name for name, how in found.items() if how != "refused"}


@pytest.mark.parametrize("mode", ["uid", "landlock"])
def test_a_hijacked_coordinator_that_reads_medullas_memory_or_keys(household: Household, mode: str) -> None:
    bodies = {"coordinator": PART.replace("{body}", AS_PART), "node": PART.replace("{body}", "")}
    with household.up(mode, bodies) as seen:
        assert seen["medulla"]
    (found,) = seen["found"]
    assert len(found) > 15
    assert done(found) == set()


def test_a_process_of_the_same_user_with_users_apart(household: Household) -> None:
    """Isolation `uid`: the coordinator's user is not Medulla's, and not the owner's."""
    with household.up("uid", {}) as seen:
        others = os.stat(f"/proc/{seen['coordinator']}").st_uid
        medulla = household.ask("status")["medulla"]["uid"]
        assert len({others, medulla, 0}) == 3
        found = household.another_program(seen["medulla"], others)
        # The owner's sealed key belongs to the user who made the mesh; it is sealed with the passphrase.
        assert {name for name in done(found) if "owner.key" not in name} == set()
        assert household.ask("status")["medulla"]["isolation"] == "uid"


def test_a_process_of_the_same_user_under_landlock(household: Household) -> None:
    """Memory is closed to it. The files are not, and `doctor` says so."""
    with household.up("landlock", {}) as seen:
        found = household.another_program(seen["medulla"], USER)
        assert {name for name in done(found) if name.startswith("memory")} == set()
        findings = {one["check"]: one for one in household.ask("doctor")}
        assert household.ask("status")["medulla"]["isolation"] == "landlock"
        assert ("key files" in findings["medulla"]["message"]) is bool(done(found))
        assert "root" in findings["medulla"]["hint"]


def test_a_process_of_the_same_user_without_isolation(household: Household) -> None:
    """It may read the keys; so Medulla says in every permit that it is not kept apart, and nothing is written."""
    with household.up("none", {}) as seen:
        found = household.another_program(seen["medulla"], USER)
        assert any(name.startswith("file medulla") for name in done(found))
        findings = {one["check"]: one for one in household.ask("doctor")}
        assert findings["medulla"]["level"] == "warn"
        assert "isolation: none" in findings["medulla"]["message"]
        assert household.ask("status")["medulla"]["isolation"] == "none"
        until_offered(household)
        wish = {"operation": "notes.append", "args": {"text": "not here"}, "target": "desk", "wait": True}
        job = household.ask("submit", {**wish, "quiet": True})
        assert (job["state"], job["error"]["code"]) == ("failed", "DENIED")
        wish = {"operation": "device.echo", "args": {"text": "this is fine"}, "target": "desk", "wait": True}
        assert household.ask("submit", {**wish, "quiet": True})["state"] == "succeeded"
