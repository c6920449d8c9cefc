"""The launcher with real processes: isolation tried out, order, restarts, and nothing left behind.

Medulla is the real one; coordinator and node are stand-ins that say `ready`, so that each test decides what they do.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.quick_mesh import quick_mesh

from kindmesh.coordinator.isolation import IsolationPlan, choose_isolation, coordinator_sandbox, node_sandbox
from kindmesh.coordinator.isolation_words import (
    PLAN_FILE,
    describe,
    isolation_words,
    remember_plan,
    remembered_plan,
)
from kindmesh.mesh import confine
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import ConfigError

landlocked = pytest.mark.skipif(confine.landlock_abi() < 6, reason="needs Landlock ABI 6")

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

DRIVER = """
import json, sys
from pathlib import Path
from kindmesh.coordinator import launcher, isolation
from kindmesh.mesh.home import Home
home = Home(Path(sys.argv[1]))
bodies = json.loads(sys.argv[2])
plan = isolation.choose_isolation(home)
if len(sys.argv) > 3:
    plan = isolation.IsolationPlan(sys.argv[3])
isolation.take_over(home, plan)
parts = launcher.commands(home, plan)
for name, code in bodies.items():
    parts[name] = [sys.executable, "-P", "-c", code, name, str(home.root), ""]
try:
    sys.exit(launcher.Launcher(home, plan, parts, as_json=True).run())
finally:
    isolation.give_back(home)
"""

ATTACKS = """
import ctypes
from kindmesh.coordinator.brain.medulla.client import medulla_call, medulla_socket
from kindmesh.coordinator.brain.medulla.messages import Status, StatusWanted
from kindmesh.mesh.home import Home
home = Home(Path(root))
status = medulla_call(medulla_socket(home), "status", StatusWanted(), Status)
def refused(action):
    try:
        action()
    except PermissionError:
        return "refused"
    return "done"
found = {"isolation": status.isolation, "uid": os.getuid(), "medulla_uid": status.uid}
for path in ("medulla/keys/issuer.key", "medulla/keys/permit.key", "medulla/state/medulla.db", "owner/owner.key",
             "recovery-kit.txt", "identity/device.key"):
    found["read " + path] = refused(lambda: open(home.root / path, "rb"))
    found["write " + path] = refused(lambda: open(home.root / path, "ab"))
found["list"] = refused(lambda: os.listdir(home.medulla / "keys"))
found["memory"] = refused(lambda: open(f"/proc/{status.pid}/mem", "rb"))
found["environ"] = refused(lambda: open(f"/proc/{status.pid}/environ", "rb").read())
found["signal"] = refused(lambda: os.kill(status.pid, signal.SIGTERM))
libc = ctypes.CDLL(None, use_errno=True)
found["ptrace"] = "done" if libc.ptrace(16, status.pid, None, None) == 0 else "refused"
found["replace socket"] = refused(lambda: os.unlink(medulla_socket(home)))
found["rename keys"] = refused(lambda: os.rename(home.medulla / "keys", home.coordinator / "keys"))
(home.coordinator / "own").write_text("x")
found["own"] = (home.coordinator / "own").read_text()
tell(found)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    quick_mesh(found)
    return found


class Running:
    """The launcher as a process; `events` reads its lines until one fits."""

    def __init__(
        self, home: Home, *mode: str, python: str = sys.executable, shell: int | None = None, **bodies: str
    ) -> None:
        """`shell`: a descriptor that the launcher inherits."""
        code = {name: PART.replace("{body}", bodies.get(name, "")) for name in ("coordinator", "node")}
        command = [python, "-P", "-c", DRIVER, os.fspath(home.root), json.dumps(code), *mode]
        environment = dict(os.environ)
        if python != sys.executable:
            environment["PYTHONPATH"] = os.pathsep.join(
                path for path in sys.path if path and os.path.isdir(path)
            )
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            pass_fds=() if shell is None else (shell,),
        )  # fmt: skip
        self.seen: list[dict[str, Any]] = []

    def until(self, event: str, part: str = "") -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(json.loads(line))
            if self.seen[-1]["event"] == event and self.seen[-1].get("part", "") == part:
                return self.seen[-1]
        raise AssertionError(f"the launcher ended after {self.seen}: {self.process.communicate()[1]}")

    def pid(self, part: str) -> int:
        started = [line for line in self.seen if line["event"] == "starting" and line["part"] == part]
        return int(started[-1]["pid"])

    def finish(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=30)
        self.seen += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, errors


@pytest.fixture
def started() -> Iterator[list[Running]]:
    found: list[Running] = []
    yield found
    for running in found:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def found_in(errors: str) -> dict[str, Any]:
    line = next(line for line in errors.splitlines() if line.startswith("FOUND "))
    result: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    return result


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_parts_start_in_order_and_stop_in_reverse(home: Home, started: list[Running]) -> None:
    running = Running(home)
    started.append(running)
    running.until("up")
    code, _ = running.finish()
    events = [(line["event"], line.get("part")) for line in running.seen]
    assert [part for event, part in events if event == "ready"] == ["medulla", "coordinator", "node"]
    assert [part for event, part in events if event == "ended"] == ["node", "coordinator", "medulla"]
    assert events[-1] == ("down", None)
    assert code == 0


def test_what_the_shell_had_open_is_not_handed_on_to_the_parts(home: Home, started: list[Running]) -> None:
    reading, writing = os.pipe()
    try:
        looks = f"""
try:
    os.fstat({writing})
    tell("handed on")
except OSError:
    tell("nothing")
"""
        running = Running(home, shell=writing, coordinator=looks, node=looks)
        started.append(running)
        os.close(writing)
        running.until("up")
        medulla = {os.readlink(one) for one in Path(f"/proc/{running.pid('medulla')}/fd").iterdir()}
        assert os.readlink(f"/proc/self/fd/{reading}") not in medulla
        _, errors = running.finish()
        assert [line for line in errors.splitlines() if line.startswith("FOUND")] == ['FOUND "nothing"'] * 2
        assert os.read(reading, 1) == b"", "nobody holds the other end any more"
    finally:
        os.close(reading)


@landlocked
def test_a_hijacked_coordinator_reaches_neither_medulla_nor_the_owners_files(
    home: Home, started: list[Running]
) -> None:
    running = Running(home, coordinator=ATTACKS)
    started.append(running)
    running.until("up")
    code, errors = running.finish()
    found = found_in(errors)
    assert code == 0
    assert found.pop("isolation") == next(
        line["mode"] for line in running.seen if line["event"] == "isolation"
    )
    assert found.pop("own") == "x"
    uids = found.pop("uid"), found.pop("medulla_uid")
    assert {name: result for name, result in found.items() if result != "refused"} == {}
    assert uids[0] == os.geteuid()


SYSTEM_PYTHON = f"/usr/bin/python3.{sys.version_info.minor}"


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(SYSTEM_PYTHON), reason="needs root and a system Python"
)
def test_as_root_with_a_reachable_interpreter_medulla_has_its_own_user(
    started: list[Running],
) -> None:
    folder = Path(f"/var/tmp/kindmesh-test-{os.getpid()}")
    folder.mkdir()
    try:
        home = Home(folder / "home")
        quick_mesh(home)
        before = {path: (path.stat().st_uid, path.stat().st_mode) for path in home.root.rglob("*")}
        running = Running(home, python=SYSTEM_PYTHON, coordinator=ATTACKS)
        started.append(running)
        running.until("up")
        mode = next(line for line in running.seen if line["event"] == "isolation")
        assert mode["mode"] == "uid" or mode["reasons"]
        node = Path(f"/proc/{running.pid('node')}/status").read_text(encoding="ascii")
        assert ("Uid:\t0" in node) is (mode["mode"] != "uid")
        code, errors = running.finish()
        assert code == 0, errors
        found = found_in(errors)
        assert found.pop("own") == "x"
        assert found.pop("isolation") == mode["mode"]
        uids = {found.pop("uid"), found.pop("medulla_uid"), 0}
        assert len(uids) == (3 if mode["mode"] == "uid" else 1)
        assert {name: result for name, result in found.items() if result != "refused"} == {}
        for path, (uid, permissions) in before.items():
            if path.exists():
                assert (path.stat().st_uid, path.stat().st_mode) == (uid, permissions), path
    finally:
        subprocess.run(["rm", "-rf", os.fspath(folder)], check=True)


def test_a_killed_part_comes_back_and_the_others_stay(home: Home, started: list[Running]) -> None:
    running = Running(home)
    started.append(running)
    running.until("up")
    coordinator, node = running.pid("coordinator"), running.pid("node")
    for part in ("medulla", "medulla", "node"):
        os.kill(running.pid(part), signal.SIGKILL)
        ended = running.until("ended", part)
        assert ended["status"] == -signal.SIGKILL
        running.until("ready", part)
    assert running.pid("coordinator") == coordinator
    assert running.pid("node") != node
    assert running.finish(signal.SIGINT)[0] == 0


def test_a_part_that_keeps_ending_stops_everything_by_name(home: Home, started: list[Running]) -> None:
    running = Running(home, node="sys.exit(7)")
    started.append(running)
    error = running.until("error", "node")
    assert "6 times within 60 seconds" in error["message"]
    assert error["hint"]
    running.until("down")
    assert running.process.wait(10) == 1


def test_a_part_that_cannot_run_is_not_tried_again(home: Home, started: list[Running]) -> None:
    running = Running(home, coordinator="sys.exit(2)")
    started.append(running)
    assert "cannot run" in running.until("error", "coordinator")["message"]
    running.until("down")
    assert (
        len([line for line in running.seen if line["event"] == "starting" and line["part"] == "coordinator"])
        == 1
    )


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_killing_the_launcher_leaves_nothing_running(home: Home, started: list[Running]) -> None:
    running = Running(home)
    started.append(running)
    running.until("up")
    pids = [running.pid(part) for part in ("medulla", "coordinator", "node")]
    watched = [os.pidfd_open(pid) for pid in pids]
    running.process.kill()
    running.process.wait()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)
    assert not any(alive(pid) for pid in pids)


def test_without_isolation_the_launcher_and_medulla_say_so(home: Home, started: list[Running]) -> None:
    body = (
        "from kindmesh.coordinator.brain.medulla.client import *\n"
        "from kindmesh.coordinator.brain.medulla.messages import *\n"
        "from kindmesh.mesh.home import Home\n"
        "tell(medulla_call(medulla_socket(Home(Path(root))), 'status', StatusWanted(), Status).isolation)"
    )
    running = Running(home, "none", coordinator=body)
    started.append(running)
    running.until("up")
    assert running.seen[0] == {"event": "isolation", "mode": "none", "reasons": []}
    _, errors = running.finish()
    assert 'FOUND "none"' in errors


def test_a_launcher_is_small(
    home: Home, started: list[Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As installed, with its modules compiled: compiling them takes memory, too.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "compiled"))
    subprocess.run([sys.executable, "-P", "-c", DRIVER.split("home =", maxsplit=1)[0]], check=True)
    running = Running(home)
    started.append(running)
    running.until("up")
    lines = Path(f"/proc/{running.process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    assert private < 16_384, f"{private} KiB"


@landlocked
def test_the_coordinators_sandbox_opens_nothing_that_contains_the_state_folder(home: Home) -> None:
    sandbox = coordinator_sandbox(home)
    opened = [*(sandbox.read or ()), *sandbox.write, *sandbox.execute, *sandbox.devices]
    for path in [os.path.realpath(os.fspath(item)) for item in opened]:
        for secret in (home.medulla, home.owner, home.recovery_kit):
            assert os.path.commonpath([path, os.path.realpath(secret)]) != path, path


@landlocked
def test_choosing_isolation_changes_nothing(home: Home) -> None:
    before = sorted((path, path.stat().st_mode, path.stat().st_uid) for path in home.root.rglob("*"))
    code = (
        "import sys; from pathlib import Path; from kindmesh.mesh.home import Home\n"
        "from kindmesh.coordinator.isolation import choose_isolation\n"
        "print(choose_isolation(Home(Path(sys.argv[1]))).mode)"
    )
    chosen = subprocess.run(
        [sys.executable, "-P", "-c", code, os.fspath(home.root)], capture_output=True, text=True, check=True
    )
    assert chosen.stdout.strip() in ("uid", "landlock")
    assert sorted((path, path.stat().st_mode, path.stat().st_uid) for path in home.root.rglob("*")) == before


def test_a_state_folder_around_the_program_is_seen_as_not_isolated(home: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from kindmesh.mesh import confine; from kindmesh.mesh.home import Home\n"
        "from kindmesh.coordinator import isolation\n"
        "real = isolation.coordinator_sandbox\n"
        "import msgspec, dataclasses\n"
        "isolation.coordinator_sandbox = lambda home, user=None, anchor='': dataclasses.replace(\n"
        "    real(home, user), read=['/'])\n"
        "plan = isolation.choose_isolation(Home(Path(sys.argv[1])))\n"
        "print(plan.mode, plan.reasons)"
    )
    tried = subprocess.run(
        [sys.executable, "-P", "-c", code, os.fspath(home.root)], capture_output=True, text=True, check=True
    )
    if not tried.stdout.startswith("uid"):
        assert tried.stdout.startswith("none")
        assert "issuer.key" in tried.stdout


AS_NODE = """
import socket, subprocess
from kindmesh.coordinator.brain.medulla.client import medulla_call, medulla_socket
from kindmesh.coordinator.brain.medulla.messages import Status, StatusWanted
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import KindmeshError
home = Home(Path(root))
def refused(action):
    try:
        action()
    except (PermissionError, KindmeshError):
        return "refused"
    return "done"
found = {}
for path in ("medulla/keys/issuer.key", "medulla/keys/permit.key", "medulla/state/medulla.db", "owner/owner.key",
             "recovery-kit.txt", "coordinator/identity/device.key"):
    found["read " + path] = refused(lambda: open(home.root / path, "rb"))
    found["write " + path] = refused(lambda: open(home.root / path, "ab"))
found["ask medulla"] = refused(lambda: medulla_call(medulla_socket(home), "status", StatusWanted(), Status))
found["rename keys"] = refused(lambda: os.rename(home.medulla / "keys", home.node / "keys"))
found["own"] = refused(lambda: (home.node / "own").write_text("x"))
found["network"] = refused(lambda: socket.create_server(("127.0.0.1", 0)).close())
started = [sys.executable, "-P", "-c", "import kindmesh.capabilities.host"]
found["child"] = refused(lambda: subprocess.run(started, check=True))
found["elsewhere"] = refused(lambda: open("/letter", "ab"))
tell(found)
"""


@landlocked
def test_the_node_beside_medulla_reaches_neither_her_nor_the_owners_files(
    home: Home, tmp_path: Path, started: list[Running]
) -> None:
    running = Running(home, node=AS_NODE)
    started.append(running)
    isolation = running.until("isolation")
    assert isolation.get("node_confined", isolation["mode"] == "uid"), isolation
    running.until("up")
    _, errors = running.finish()
    found = found_in(errors)
    works = {"own", "network", "child"}
    if isolation["mode"] == "uid":  # there it shares a user with the coordinator, and no more
        works |= {
            "read coordinator/identity/device.key",
            "write coordinator/identity/device.key",
            "ask medulla",
        }
    assert {name for name, what in found.items() if what == "done"} == works, found


@landlocked
def test_a_chosen_folder_is_the_nodes_and_none_around_the_state_folder(home: Home, tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    assert os.fspath(letters) in [os.fspath(path) for path in node_sandbox(home, [str(letters)]).write]
    for wrong in (tmp_path, home.root, home.medulla, Path("/")):
        with pytest.raises(ConfigError):
            node_sandbox(home, [str(wrong)])
        with pytest.raises(ConfigError):
            choose_isolation(home, [str(wrong)])


def test_why_nothing_stronger_was_possible_is_said_with_what_to_do(home: Home) -> None:
    closed = IsolationPlan(
        "landlock", reasons=("Python lies below /root, which is closed to other users",), node_confined=True
    )
    words = " ".join(isolation_words(describe(closed)))
    assert "closed to other users" in words
    assert "/opt/kindmesh" in words
    assert "kept out of Medulla's" in words
    opened = IsolationPlan("landlock", node_reasons=("files are not restricted",))
    assert "could not be confined (files are not restricted)" in " ".join(isolation_words(describe(opened)))
    assert "Why: no Landlock." in isolation_words(describe(IsolationPlan("none", reasons=("no Landlock",))))
    assert isolation_words(describe(IsolationPlan("uid"))) == ["Medulla is isolated (uid)."]
    remember_plan(home, closed)
    assert remembered_plan(home) == describe(closed)
    (home.run / PLAN_FILE).write_text("{")
    assert remembered_plan(home) == {}
