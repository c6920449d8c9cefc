"""./bootstrap on machines that lack something: it says exactly what to install, and leaves nothing half made.

The real script runs with a PATH on which only chosen programs exist; the interpreters there are shell scripts that
answer as an old Python, or as a Debian Python without python3-venv, would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "cat", "cksum", "dirname", "mkdir", "rm", "sed", "sleep")
OLD = "#!/bin/sh\nexit 0\n"
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) echo 3.11.2;; esac\n'
BREAKS = '#!/bin/sh\ncase "$1" in -m) exit 1;; *) echo 3.11.2;; esac\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name that holds what bootstrap needs from the repository."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("bootstrap", "justfile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH of its own, without any Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return folder


def bootstrap(checkout: Path, path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "bootstrap", *args],
        cwd="/",
        env={"PATH": str(path), "HOME": "/nonexistent"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_without_python_it_names_the_packages(checkout: Path, path: Path) -> None:
    done = bootstrap(checkout, path, "test")
    assert done.returncode == 1
    assert "sudo apt-get install python3 python3-venv" in done.stderr


def test_an_old_python_is_as_good_as_none(checkout: Path, path: Path) -> None:
    program(path / "python3", OLD)
    assert "Python 3.11 or newer is needed" in bootstrap(checkout, path, "test").stderr


def test_python_without_venv_names_the_one_package(checkout: Path, path: Path) -> None:
    program(path / "python3", WITHOUT_VENV)
    done = bootstrap(checkout, path, "test")
    assert done.returncode == 1
    assert "python3 (3.11.2)" in done.stderr
    assert "sudo apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_later_interpreter_is_found_behind_an_old_one(checkout: Path, path: Path) -> None:
    program(path / "python3", OLD)
    program(path / "python3.12", WITHOUT_VENV)
    assert "python3.12 (3.11.2)" in bootstrap(checkout, path, "test").stderr


def test_a_failed_setup_leaves_no_environment_and_no_lock(checkout: Path, path: Path) -> None:
    program(path / "python3", BREAKS)
    done = bootstrap(checkout, path, "test")
    assert done.returncode == 1
    assert "making .venv failed" in done.stderr
    assert sorted(entry.name for entry in checkout.iterdir() if entry.name.startswith(".")) == []


def test_the_lock_of_a_dead_setup_is_taken_over(checkout: Path, path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (checkout / ".venv.lock").mkdir()
    (checkout / ".venv.lock" / "pid").write_text(f"{ended.pid}\n")
    program(path / "python3", BREAKS)
    assert "making .venv failed" in bootstrap(checkout, path, "test").stderr


def test_it_is_plain_posix_shell_and_executable() -> None:
    assert os.access(ROOT / "bootstrap", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["/bin/sh", "-n", ROOT / "bootstrap"], check=True)
