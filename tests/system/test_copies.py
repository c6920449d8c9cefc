"""The same state folder started twice, as somebody who copied it would: noticed, named, held, and the owner chooses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.system.kit import PATIENCE_S, Said, allow, mesh, notes, say, soon

from kindmesh.coordinator.lab.device import Device, started
from kindmesh.coordinator.lab.mesh import Lab


async def write(lab: Lab) -> Said:
    return await say(lab.desk, "call", "notes.append", "text=milk", "--on", "phone", "--no-ask")


async def started_twice(lab: Lab) -> Device:
    """A copy of the phone's folder, running beside the phone."""
    phone = lab.devices["phone"]
    copy = lab.device("copy")
    shutil.copytree(phone.home.root, copy.home.root, ignore=shutil.ignore_patterns("run"))
    await copy.up()

    async def named() -> bool:
        decisions: list[dict[str, Any]] = lab.ask("decisions")
        return any(one["kind"] == "clone" and one["device_name"] == "phone" for one in decisions)

    assert await soon(named, PATIENCE_S)
    return copy


async def choose(lab: Lab, answer: str) -> None:
    decision = next(one for one in lab.ask("decisions") if one["kind"] == "clone")
    async with started(lab.desk, "review", decision["id"]) as review:
        await review.write(answer)
        await review.read()


@pytest.mark.parametrize("answer", ["keep", "remove"])
async def test_a_copied_state_folder_is_noticed_and_held_until_the_owner_chooses(
    tmp_path: Path, answer: str
) -> None:
    async with mesh(tmp_path / "lab", "phone") as lab:
        allow(lab, "notes.append")
        assert (await write(lab)).code == 0
        copy = await started_twice(lab)

        async def held() -> bool:
            said = await write(lab)
            return said.code != 0 and "two devices use one identity" in str(said.objects[-1])

        assert await soon(held, PATIENCE_S)
        before = notes(lab.devices["phone"]) + notes(copy)
        assert (await say(lab.desk, "call", "device.echo", "text=still here?", "--on", "phone")).code == 0
        doctor = await say(lab.desk, "doctor")
        findings = doctor.objects[-1]["findings"]
        assert any("use its identity" in one["message"] for one in findings if one["check"] == "phone"), (
            doctor
        )
        # The hold outlives a restart of the coordinator and of Medulla.
        await lab.desk.kill()
        await lab.desk.up()
        await lab.alive("phone")
        assert await held()
        assert notes(lab.devices["phone"]) + notes(copy) == before
        await copy.down()
        await choose(lab, answer)
        if answer == "keep":
            await lab.alive("phone")

            async def works() -> bool:
                return (await write(lab)).code == 0

            assert await soon(works, PATIENCE_S)
            assert lab.ask("decisions") == []
        else:
            assert "phone" not in {node["name"] for node in lab.ask("nodes")}
            assert (await write(lab)).code != 0
