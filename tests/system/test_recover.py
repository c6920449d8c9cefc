"""The coordinator is lost, and made anew elsewhere from the kit: every device comes back by itself, or stays out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import InvalidInput, KindmeshError, WrongPassphrase

BACK_S = 90.0
PAUSE_S = 0.3


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(tmp_path / "lab") as lab:
        await lab.begin()
        yield lab


async def lose(lab: Lab) -> str:
    """The desk and everything on it are gone; the text of the sheet in the drawer."""
    sheet = lab.desk.home.recovery_kit.read_text()
    await lab.desk.kill()
    shutil.rmtree(lab.desk.home.root)
    return sheet


async def recover(lab: Lab, kit: Path, *more: str) -> Device:
    attic = lab.device("attic")
    await attic.run("recover", str(kit), "--name", "attic", *more)
    await attic.up()
    return attic


def ask(device: Device, method: str, part: str = "coordinator") -> Any:
    with ControlClient(device.home.socket(part), timeout_ms=30_000) as client:
        return client.call(method)


async def until(condition: Any, what: str) -> None:
    for _ in range(int(BACK_S / PAUSE_S)):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(PAUSE_S)
    pytest.fail(f"waited for: {what}")


def alive(device: Device) -> set[str]:
    return {
        node["name"]
        for node in ask(device, "nodes")
        if node["state"] == "alive" and node["role"] == "node" and node["offers"]
    }


async def test_all_devices_come_back_without_pairing_and_the_removed_one_stays_out(
    lab: Lab, tmp_path: Path
) -> None:
    for name in ("kitchen", "cellar", "gone"):
        await lab.add(name)
    await lab.desk.run("revoke", "gone")
    before = Trust.load(lab.devices["kitchen"].home.identity).certificate
    kit = tmp_path / "sheet.txt"
    kit.write_text(await lose(lab))

    attic = await recover(lab, kit)
    await until(lambda: {"attic", "kitchen", "cellar"} <= alive(attic), "kitchen and cellar")

    said = await attic.run("call", "device.echo", "text=we are back", "--on", "kitchen")
    assert said[-1]["state"] == "succeeded"
    trust = Trust.load(lab.devices["kitchen"].home.identity)
    assert trust.mesh == before.mesh
    assert not trust.is_retired
    for field in ("subject", "name", "ed_pub", "curve_pub", "roles", "capabilities"):
        assert getattr(trust.certificate, field) == getattr(before, field)
    assert {"desk", "desk (coordinator)"}.isdisjoint(member.name for member in trust.membership.members())

    gone = lab.devices["gone"]
    await until(
        lambda: any(
            "removed" in one["message"] and one["level"] == "fail" for one in ask(gone, "doctor", "node")
        ),
        "the removed device to say so",
    )
    assert "gone" not in {node["name"] for node in ask(attic, "nodes")}

    # And it holds over a restart of everything.
    await attic.down()
    await lab.devices["kitchen"].kill()
    await attic.up()
    await lab.devices["kitchen"].up()
    await until(lambda: {"kitchen", "cellar"} <= alive(attic), "kitchen and cellar, again")


async def test_after_a_theft_the_owner_is_asked_about_each(lab: Lab, tmp_path: Path) -> None:
    await lab.add("kitchen")
    kit = tmp_path / "sheet.txt"
    kit.write_text(await lose(lab))
    attic = await recover(lab, kit, "--stolen")
    await until(lambda: ask(attic, "readmit.waiting"), "kitchen to wait")
    assert "kitchen" not in alive(attic)
    running = await attic.start("recover", "--waiting", "--json", stdin=True)
    shown = await running.until("waiting")
    assert (shown["name"], "ed_pub" in shown) == ("kitchen", False)
    await running.write("yes")
    assert (await running.until("answered"))["readmitted"]
    await running.stop()
    await until(lambda: "kitchen" in alive(attic), "kitchen")


async def test_a_kit_that_does_not_open_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    sheet = lab.desk.home.recovery_kit.read_text()
    kit = tmp_path / "sheet.txt"
    kit.write_text(sheet)
    attic = lab.device("attic")
    checked = await attic.run("recover", str(kit), "--check")
    assert checked[-1]["ok"]
    assert not attic.home.exists()
    attic._env["KINDMESH_PASSPHRASE"] = "not this passphrase"
    with pytest.raises(WrongPassphrase):
        await attic.run("recover", str(kit))
    lines = sheet.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("01 "))
    last = lines[first][4]
    lines[first] = lines[first][:4] + ("b" if last == "a" else "a") + lines[first][5:]
    for text, error in (("\n".join(lines), InvalidInput), ("milk, eggs", InvalidInput), ("", InvalidInput)):
        kit.write_text(text)
        with pytest.raises(error):
            await attic.run("recover", str(kit))
    kit.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(KindmeshError):
        await attic.run("recover", str(kit))
    assert not attic.home.exists()
    assert (await lab.desk.run("call", "device.echo", "text=still here"))[-1]["state"] == "succeeded"
