"""A certificate's life with real processes: keys that change, a device that is paired again, one that wants more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.system.kit import allow, mesh, notes, say

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import coordinator_identity, unlock_owner
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import CapabilityGrant, Certificate
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.signed import signed_to_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk and a kitchen that may write notes."""
    async with mesh(tmp_path_factory.mktemp("certificates") / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        yield lab


def certificate_of(lab: Lab, name: str) -> Certificate:
    """As the coordinator's disk has it."""
    (found,) = [node for node in lab.ask("nodes") if node["name"] == name]
    return Trust.load(coordinator_identity(lab.desk.home)).membership.get(parse_id(found["id"]))


async def writes(lab: Lab, text: str) -> None:
    said = await say(lab.desk, "call", "notes.append", f"text={text}", "--on", "kitchen")
    assert said.code == 0, said


async def rotated(device: Device, *words: str) -> list[dict[str, Any]]:
    """`kindmesh rotate`, again while the key was changed only a moment ago."""
    said = await say(device, "rotate", *words, within_s=240)
    assert said.code == 0, said
    return said.objects


async def test_keys_change_while_jobs_go_on(lab: Lab) -> None:
    before = {name: certificate_of(lab, name) for name in ("desk", "desk (coordinator)", "kitchen")}
    (answer,) = await rotated(lab.desk, "kitchen")
    assert answer["rotated"]
    assert answer["name"] == "kitchen"
    await writes(lab, "one")
    mine = await rotated(lab.desk)
    assert [one["name"] for one in mine] == ["desk", "desk (coordinator)"]
    await lab.alive("desk", "kitchen")
    await writes(lab, "two")
    for name, certificate in before.items():
        now = certificate_of(lab, name)
        assert now.subject == certificate.subject
        assert now.curve_pub != certificate.curve_pub
    assert notes(lab.devices["kitchen"]) == ["one", "two"]


async def test_a_device_that_was_away_while_the_coordinator_changed_its_key_finds_it(lab: Lab) -> None:
    kitchen = lab.devices["kitchen"]
    await kitchen.kill()
    for _ in range(2):
        answers = await rotated(lab.desk)
        assert answers[-1]["rotated"]
    await kitchen.up()
    await lab.alive("kitchen")
    await writes(lab, "three")


async def test_a_device_killed_while_it_changes_its_key_comes_back(lab: Lab) -> None:
    kitchen = lab.devices["kitchen"]
    for pause_s in (0.0, 0.005, 0.02, 0.08):
        asking = asyncio.create_task(say(kitchen, "rotate"))
        await asyncio.sleep(0.25 + pause_s)
        await kitchen.kill()
        await asking
        await kitchen.up()
        await lab.alive("kitchen")
    await writes(lab, "four")


async def test_a_device_that_is_paired_again_keeps_its_identity_and_its_jobs(lab: Lab) -> None:
    kitchen = lab.devices["kitchen"]
    before = certificate_of(lab, "kitchen")
    jobs = lab.ask("jobs", {"limit": 100})
    await kitchen.down()
    await kitchen.join(lab.desk)
    await kitchen.up()
    await lab.alive("kitchen")
    after = certificate_of(lab, "kitchen")
    assert (after.subject, after.name) == (before.subject, before.name)
    assert after.serial > before.serial
    assert lab.ask("jobs", {"limit": 100}) == jobs
    await writes(lab, "five")
    assert notes(kitchen) == ["one", "two", "three", "four", "five"]


async def test_a_wish_for_more_is_asked_granted_at_once_and_a_no_is_remembered(lab: Lab) -> None:
    known = certificate_of(lab, "kitchen")
    device = next(node["id"] for node in lab.ask("nodes") if node["name"] == "kitchen")
    # As if this version were new: the certificate knows nothing of speech, and of notes only that they are read.
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    old = (CapabilityGrant("device", 1), CapabilityGrant("notes", 1))
    grant = owner.sign_grant(
        name=known.name, ed_pub=known.ed_pub, curve_pub=known.curve_pub, roles=known.roles, capabilities=old
    )
    lab.ask("raise.answer", {"grant": signed_to_bytes(grant)})
    said = await say(lab.desk, "call", "notes.append", "text=six", "--on", "kitchen")
    assert said.code != 0
    waiting = {one["id"]: one for one in (await say(lab.desk, "review")).objects}
    assert f"{device}/notes" in waiting
    assert "kitchen now also wants more of notes: changes stored data" in waiting[f"{device}/notes"]["title"]

    said = await say(lab.desk, "review", f"{device}/notes", typed="yes\n")
    assert said.code == 0, said
    assert said.objects[-1]["allowed"]
    assert "write: changes stored data" in said.text
    await writes(lab, "six")

    for one in list(waiting):
        if not one.endswith("/notes"):
            said = await say(lab.desk, "review", one, typed="no\n")
            assert not said.objects[-1]["allowed"]
    assert (await say(lab.desk, "review")).objects == []
    refused = (await say(lab.desk, "review", "--all")).objects
    assert {one["id"] for one in refused} == set(waiting) - {f"{device}/notes"}
    assert all(one["declined"] for one in refused)
