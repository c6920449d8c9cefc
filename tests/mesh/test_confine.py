"""Confinement on the real kernel: each test forks, restricts the child, and tries what must fail."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindmesh.mesh import confine
from kindmesh.mesh.confine import Sandbox, User
from kindmesh.mesh.confine_landlock import _Fs, _supported
from kindmesh.protocol.errors import ConfinementFailed

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
landlocked = pytest.mark.skipif(confine.landlock_abi() < 6, reason="needs Landlock ABI 6")
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def in_child(work: Callable[[], Any]) -> Any:
    """The JSON-able result of `work`, run in a forked child; its exception's class name when it raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            try:
                answer = work()
            except (OSError, ConfinementFailed, ValueError) as error:
                answer = type(error).__name__
            os.write(writing, json.dumps(answer).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    return json.loads(data)


def attempt(action: Callable[[], Any]) -> str:
    try:
        result = action()
    except OSError as error:
        return type(error).__name__
    if hasattr(result, "close"):
        result.close()
    return "done"


@landlocked
def test_only_listed_hierarchies_can_be_read_or_written(tmp_path: Path) -> None:
    for name in ("secret", "shared", "own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)

    def work() -> Any:
        done = confine.apply(Sandbox(read=[tmp_path / "shared"], write=[tmp_path / "own"]))
        return [
            done.filesystem,
            attempt(lambda: open(tmp_path / "secret" / "file")),
            attempt(lambda: open(tmp_path / "shared" / "file")),
            attempt(lambda: open(tmp_path / "shared" / "file", "a")),
            attempt(lambda: open(tmp_path / "own" / "new", "w")),
            attempt(lambda: os.rename(tmp_path / "own" / "file", tmp_path / "own" / "moved")),
            attempt(lambda: os.truncate(tmp_path / "shared" / "file", 0)),
            attempt(lambda: os.link(tmp_path / "shared" / "file", tmp_path / "own" / "linked")),
        ]

    refused = "PermissionError"
    assert in_child(work)[:6] == ["confined", refused, "done", refused, "done", "done"]
    assert (tmp_path / "shared" / "file").read_text() == "shared"


@landlocked
def test_restriction_survives_exec(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    code = f"open({str(tmp_path / 'secret')!r})"

    def work() -> Any:
        paths = confine.runtime_paths()
        confine.apply(Sandbox(read=["/proc", "/etc"], execute=paths, devices=["/dev/null", "/dev/urandom"]))
        run = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
        return [run.returncode, "PermissionError" in run.stderr]

    assert in_child(work) == [1, True]


@landlocked
def test_an_outside_process_can_be_neither_signalled_nor_looked_into() -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)

    def work() -> Any:
        done = confine.apply(Sandbox(read=["/proc"]))
        return [
            done.ptrace,
            done.signals,
            attempt(lambda: os.kill(victim.pid, signal.SIGKILL)),
            attempt(lambda: open(f"/proc/{victim.pid}/mem", "rb")),
            attempt(lambda: open(f"/proc/{victim.pid}/environ", "rb").read()),
        ]

    try:
        assert in_child(work) == ["refused", "refused", *["PermissionError"] * 3]
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.communicate()


@linux
def test_no_network_leaves_only_unix_sockets() -> None:
    def work() -> Any:
        reach = confine.no_network()
        families = [socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET]
        tried = [attempt(functools.partial(socket.socket, family, socket.SOCK_RAW)) for family in families]
        left, right = socket.socketpair()
        left.send(b"x")
        return [reach, *tried, attempt(lambda: socket.socket(socket.AF_UNIX)), right.recv(1).decode()]

    assert in_child(work) == ["none", *["PermissionError"] * 4, "done", "x"]


@linux
def test_landlock_alone_denies_tcp_and_says_that_udp_remains() -> None:
    def work() -> Any:
        confine.no_new_privs()
        done = confine.landlock_restrict(tcp="deny")
        return [done.tcp, confine.network_reach()]

    expected = [True, "tcp-denied"] if confine.landlock_abi() >= 4 else [False, "open"]
    assert in_child(work) == expected


@root
def test_drop_user_is_final_and_leaves_no_capability() -> None:
    def work() -> Any:
        done = confine.apply(Sandbox(user=User(61_300, 61_301, (61_302,)), scope_signals=False))
        back = attempt(lambda: os.setuid(0))
        return [done.uid, os.getgid(), os.getgroups(), back, confine.drop_capabilities()]

    assert in_child(work) == [61_300, 61_301, [61_302], "PermissionError", True]


@root
def test_user_zero_without_capabilities_is_an_ordinary_user(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text("x")
    os.chown(private, 61_300, 61_300)
    private.chmod(0o600)

    def work() -> Any:
        confine.apply(Sandbox(scope_signals=False))
        return attempt(lambda: open(private))

    assert in_child(work) == "PermissionError"


@linux
def test_non_dumpable_is_read_back() -> None:
    assert in_child(confine.non_dumpable) is True
    assert in_child(lambda: confine.apply(Sandbox(non_dumpable=True)).dumpable) is False


def test_a_user_that_cannot_be_had_is_an_error_not_a_shortfall() -> None:
    def work() -> Any:
        if os.geteuid() == 0:
            confine.drop_user(User(61_300, 61_300))
        confine.drop_user(User(61_305, 61_305))
        return "became somebody else"

    assert in_child(work) == "ConfinementFailed"


def test_what_could_not_be_had_is_said_in_words() -> None:
    def work() -> Any:
        return confine.apply(Sandbox(read=["/"], scope_signals=False)).as_dict()

    answer = in_child(work)
    if answer["landlock_abi"] < 9:
        assert any("Unix sockets" in words or "not restricted" in words for words in answer["shortfalls"])


def test_path_lists_without_read_are_refused() -> None:
    if confine.landlock_abi():
        with pytest.raises(ValueError, match="open everything"):
            confine.landlock_restrict(write=["/tmp"])


@landlocked
def test_absent_paths_are_listed() -> None:
    def work() -> Any:
        confine.no_new_privs()
        return list(confine.landlock_restrict(read=["/usr", "/does/not/exist"]).absent)

    assert in_child(work) == ["/does/not/exist"]


@pytest.mark.parametrize(
    ("abi", "right"), [(2, _Fs.REFER), (3, _Fs.TRUNCATE), (5, _Fs.IOCTL_DEV), (9, _Fs.RESOLVE_UNIX)]
)
def test_each_right_is_asked_for_only_from_its_abi_on(abi: int, right: _Fs) -> None:
    assert not _supported(abi - 1) & right
    assert _supported(abi) & right


@linux
def test_confining_after_threads_were_started_is_refused() -> None:
    code = (
        "import threading; from kindmesh.mesh import confine; e = threading.Event()\n"
        "t = threading.Thread(target=e.wait); t.start()\n"
        "try: confine.apply(confine.Sandbox())\n"
        "except confine.ConfinementFailed as error: print(error)\n"
        "e.set(); t.join()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "2 threads" in run.stdout


@linux
def test_die_with_parent_notices_a_parent_that_is_gone() -> None:
    assert in_child(lambda: confine.die_with_parent(os.getppid())) is True
    assert in_child(lambda: confine.die_with_parent(1)) is False


def test_runtime_paths_leave_out_what_contains_the_protected_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    assert os.fspath(tmp_path) in confine.runtime_paths()
    assert os.fspath(tmp_path) not in confine.runtime_paths(tmp_path / "home")
