"""Private keys wrapped under a passphrase: the whole household works on, and only with the passphrase."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.system.kit import SEEN

from kindmesh.coordinator.lab.device import Device, command
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.errors import HomeInUse, KeysLocked, WrongPassphrase

PASSPHRASE = "the keys of the kitchen"
OTHER = "another set of words"


def without_the_owners(device: Device, **more: str) -> dict[str, str]:
    """The device's environment, in which nobody has put a passphrase."""
    kept = {name: value for name, value in device._env.items() if name != "KINDMESH_PASSPHRASE"}
    return {**kept, **more}


def typed(device: Device, *words: str, stdin: str = "", **more: str) -> tuple[int, dict[str, Any]]:
    """A command, with what is typed into it."""
    done = subprocess.run(
        [*command(*words), "--json"], input=stdin, env=without_the_owners(device, **more), capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert PASSPHRASE not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def file_with(folder: Path, text: str) -> str:
    path = folder / f"passphrase-{len(text)}"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


async def test_a_household_with_protected_keys_lives_and_renews(tmp_path: Path) -> None:
    SEEN.append(tmp_path / "lab" / "logs")
    async with Lab(tmp_path / "lab") as lab:
        desk = await lab.begin()
        kitchen = await lab.add("kitchen")
        with pytest.raises(HomeInUse):
            await kitchen.run("keys", "protect")
        device_key = (kitchen.home.identity / "device.key").read_bytes()
        for device in (kitchen, desk):
            await device.down()
            assert typed(device, "keys", "protect", stdin=f"{PASSPHRASE}\n")[0] == 0
            status = typed(device, "keys", "status")[1]
            assert status["ok"]
            assert (status["kept"], status["plain"]) == ("passphrase", [])
        for path in kitchen.home.root.rglob("*"):
            assert not path.is_file() or device_key not in path.read_bytes(), path

        keys = file_with(tmp_path, PASSPHRASE)
        for device in (desk, kitchen):
            device._env["KINDMESH_KEYS_PASSPHRASE_FILE"] = keys
            await device.up()
        await lab.alive("kitchen")
        done = await desk.run("call", "device.echo", "text=hello", "--on", "kitchen")
        assert done[-1]["ok"]
        for device in (desk, kitchen):
            assert device.running is not None
            for pid in (device.running.pid, *children(device.running.pid)):
                assert PASSPHRASE.encode() not in shown(pid)


def shown(pid: int) -> bytes:
    """What every process of the user can see of it."""
    return b"".join(Path(f"/proc/{pid}/{where}").read_bytes() for where in ("cmdline", "environ"))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_without_the_passphrase_nothing_starts_and_nothing_is_made_anew(tmp_path: Path) -> None:
    SEEN.append(tmp_path / "lab" / "logs")
    lab = Lab(tmp_path / "lab")
    desk = lab.device("desk")
    await desk.run("init", "--name", "desk")
    typed(desk, "keys", "protect", stdin=f"{PASSPHRASE}\n")
    before = (desk.home.identity / "device.key").read_bytes()
    code, said = typed(desk, "up")
    assert code != 0
    assert said["error"]["code"] == KeysLocked.code
    code, said = typed(desk, "up", stdin="not these words\n")
    assert code != 0
    assert said["error"]["code"] == WrongPassphrase.code
    assert (desk.home.identity / "device.key").read_bytes() == before


async def test_the_passphrase_is_changed_and_taken_away(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    desk = lab.device("desk")
    await desk.run("init", "--name", "desk")
    before = (desk.home.identity / "device.key").read_bytes()
    old, new = file_with(tmp_path, PASSPHRASE), file_with(tmp_path, OTHER)
    assert typed(desk, "keys", "protect", KINDMESH_PASSPHRASE_FILE=old)[0] == 0
    changed = {"KINDMESH_PASSPHRASE_FILE": old, "KINDMESH_NEW_PASSPHRASE_FILE": new}
    assert typed(desk, "keys", "protect", **changed)[0] == 0
    assert typed(desk, "keys", "unprotect", KINDMESH_PASSPHRASE_FILE=old)[0] == 4
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    os.rename(new, credentials / "kindmesh-passphrase")
    code, said = typed(desk, "keys", "unprotect", CREDENTIALS_DIRECTORY=str(credentials))
    assert (code, said["kept"], said["wrapped"]) == (0, "plain", [])
    assert (desk.home.identity / "device.key").read_bytes() == before
    assert not (desk.home.root / "keys.lock").exists()


async def test_a_protected_node_needs_its_passphrase_too(tmp_path: Path) -> None:
    SEEN.append(tmp_path / "lab" / "logs")
    async with Lab(tmp_path / "lab") as lab:
        await lab.begin()
        await lab.join("kitchen")
        kitchen = lab.devices["kitchen"]
        typed(kitchen, "keys", "protect", stdin=f"{PASSPHRASE}\n")
        assert typed(kitchen, "up")[1]["error"]["code"] == KeysLocked.code
        # Nor does the program on its own start without being handed what opens them.
        assert alone(kitchen)["error"]["code"] == KeysLocked.code


def alone(device: Device) -> dict[str, Any]:
    """The node's program, started by hand."""
    done = subprocess.run(
        [sys.executable, "-m", "kindmesh.node.process", "--home", str(device.home.root), "--json"], env=device._env,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
