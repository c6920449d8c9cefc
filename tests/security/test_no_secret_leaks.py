"""No secret in any output: real processes, logs at their most talkative, and a look for the bytes in every spelling.

A household is made, a device joins, works and is removed; the keys of all parts, the invitation's secret, the owner's
and the root's seed and the passphrase are then looked for in everything that was written: logs, standard error,
`--json`, what `ps` shows, and crash output. The one exception is the window's own display, which is what the invitation
is for.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.kit import SEEN

from kindmesh.coordinator.lab.device import Device, Running, started
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.coordinator.sealed import open_recovery_kit
from kindmesh.mesh.key_conversion import key_files
from kindmesh.mesh.key_files import read_key
from kindmesh.protocol.enrol import invitation_from_text
from kindmesh.protocol.errors import KindmeshError

TALKATIVE = {"KINDMESH_LOG_LEVEL": "debug"}


def spellings(secret: bytes) -> Iterator[bytes]:
    """Raw, hex, base64 (both alphabets), base32, as Python writes bytes, and as a list of numbers."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for text in (base64.b64encode(secret), base64.urlsafe_b64encode(secret), base64.b32encode(secret)):
        yield text.rstrip(b"=")
        yield text.rstrip(b"=").lower()
    yield repr(secret)[2:-1].encode()
    yield json.dumps(list(secret))[1:-1].encode()


def found_in(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    return [name for name, secret in secrets.items() if any(form in text for form in spellings(secret))]


def secrets_of(lab: Lab) -> dict[str, bytes]:
    """Every secret of this household by name."""
    passphrase = lab.environment["KINDMESH_PASSPHRASE"]
    found = {"the passphrase": passphrase.encode()}
    for name, device in lab.devices.items():
        for path in key_files(device.home):
            found[f"{name}: {path.relative_to(device.home.root)}"] = read_key(path)
    found["the owner's seed"] = unlock_owner(lab.desk.home, passphrase)._key.seed
    kit = lab.desk.home.recovery_kit.read_text()
    found["the root's seed"] = open_recovery_kit(kit, passphrase)[0].seed
    return found


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def family(pid: int) -> list[int]:
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


def shown_by_ps(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def core_limit(pid: int) -> list[str]:
    """The soft and the hard limit of a core dump's size."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in limits if line.startswith("Max core file size")).split()[4:6]


async def settled(running: Running) -> bytes:
    """What `ps` shows of a command once it is at work."""
    await asyncio.sleep(0)
    return await asyncio.to_thread(shown_by_ps, running.pid)


async def joined_with_the_text_as_an_argument(device: Device, door: Device) -> tuple[bytes, bytes, bytes]:
    """Pair as a person would who types the text: what `ps` showed meanwhile, what was written, and the secret."""
    async with started(door, "pair") as pairing:
        window = await pairing.until("window")
        secret = invitation_from_text(window["text"]).secret
        async with started(device, "join", window["text"], "--name", device.name) as joining:
            code = await joining.until("code")
            shown = await settled(joining)
            knock = await pairing.until("knock")
            await pairing.write(code["code"])
            said = [code, knock, await joining.until("joined"), await pairing.until("paired")]
    written = json.dumps(said).encode()
    return shown, written, secret


async def test_no_secret_is_in_any_output(tmp_path: Path) -> None:
    SEEN.append(tmp_path / "lab" / "logs")
    async with Lab(tmp_path / "lab", settings=TALKATIVE) as lab:
        desk = await lab.begin()
        attic = lab.device("attic")
        shown, written, invited = await joined_with_the_text_as_an_argument(attic, desk)
        await attic.up()
        await lab.alive("attic")
        said: list[object] = [
            await desk.run("call", "device.echo", "text=hello", "--on", "attic"),
            await desk.run("nodes"),
            await desk.run("keys", "status"),
            await desk.run("doctor"),
            await attic.run("doctor"),
            await desk.run("audit", "show"),
            await desk.run("revoke", "attic"),
        ]
        for wrong in (["join", "KM1:NONSENSE"], ["recover", "--check"], ["call", "device.echo", "wrong=1"]):
            try:
                said.append(await attic.run(*wrong))
            except KindmeshError as error:
                said.append([error.code, error.message, error.hint])
        secrets = secrets_of(lab) | {"the invitation's secret": invited}
        assert len(secrets) >= 12
        assert desk.running is not None
        for pid in family(desk.running.pid):
            assert found_in(shown_by_ps(pid), secrets) == []
    assert shown.count(b"join") == 1
    assert b"KM1:" not in shown
    assert found_in(shown, secrets) == []
    assert found_in(written, secrets) == []
    assert found_in(json.dumps(said).encode(), secrets) == []
    logs = everything(tmp_path / "lab" / "logs")
    assert logs
    for name, text in logs.items():
        assert found_in(text, secrets) == [], name


async def test_processes_that_hold_keys_leave_no_core_and_no_locals_behind(tmp_path: Path) -> None:
    async with Lab(tmp_path / "lab", settings=TALKATIVE) as lab:
        desk = await lab.begin()
        assert desk.running is not None
        pids = family(desk.running.pid)
        assert len(pids) >= 4
        secrets = secrets_of(lab)
        for pid in pids:
            assert core_limit(pid) == ["0", "0"], pid
        node = next(pid for pid in pids if b"kindmesh.node.process" in shown_by_ps(pid))
        os.kill(node, signal.SIGABRT)
        await desk.running.until("ended")
        text = b"".join(everything(tmp_path / "lab" / "logs").values())
        assert found_in(text, secrets) == []
    assert [name for name in everything(tmp_path) if name.startswith("core.") or name == "core"] == []


def test_the_search_finds_a_secret_in_each_spelling() -> None:
    secret = bytes(range(100, 132))
    for form in spellings(secret):
        assert found_in(b"before " + form + b" after", {"it": secret}) == ["it"]
    assert found_in(b"nothing here", {"it": secret}) == []


@pytest.mark.parametrize("command", ["join", "people accept", "call", "recover"])
def test_commands_that_are_told_secrets_hide_them(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kindmesh.coordinator.cli import main

    hidden: list[str] = []
    monkeypatch.setattr(main, "hide_arguments", hidden.extend)
    main._hide_arguments(["kindmesh", *command.split(), "SECRET", "--code=OTHER", "--name", "anna"])
    assert {"SECRET", "OTHER", "anna"} <= set(hidden)
