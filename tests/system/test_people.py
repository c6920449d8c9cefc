"""People, as they would do it: invited by the owner, accepting on their own devices, asking, answering, leaving."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.protocol.errors import (
    AccessRefused,
    InvalidInput,
    KindmeshError,
    NeedsApproval,
    PermitUsed,
    Revoked,
)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(tmp_path / "lab") as made:
        await made.begin()
        await made.add("phone")
        await made.add("kitchen")
        yield made


async def typed(device: Device, line: str, *words: str) -> list[dict[str, Any]]:
    """A command with one line on standard input; what it wrote, errors as objects."""
    running = await device.start(*words, "--json", stdin=True)
    output, _ = await asyncio.wait_for(running.process.communicate(line.encode() + b"\n"), 60)
    return [json.loads(one) for one in output.splitlines()]


async def invite(lab: Lab, name: str, *words: str) -> dict[str, Any]:
    return (await lab.desk.run("people", "invite", name, *words))[-1]


async def accept(device: Device, invitation: dict[str, Any]) -> dict[str, Any]:
    return (await typed(device, invitation["text"], "people", "accept", "-"))[-1]


async def test_a_person_is_invited_accepts_asks_and_leaves(lab: Lab) -> None:
    phone, kitchen = lab.devices["phone"], lab.devices["kitchen"]
    invitation = await invite(lab, "Anna", "--role", "resident")
    async with watching(lab.desk.home.socket("coordinator")) as events:
        accepted = await accept(phone, invitation)
        assert (accepted["ok"], accepted["name"], accepted["role"]) == (True, "Anna", "resident")
        told = await asyncio.wait_for(events.get(), 20)
        while told.get("event") != "person":
            told = await asyncio.wait_for(events.get(), 20)
        assert (told["what"], told["name"]) == ("accepted", "Anna")
    key = next((phone.home.root / "people").iterdir())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600

    second = await accept(kitchen, invitation)
    assert second["error"]["code"] == PermitUsed.code
    assert "Anna" in second["error"]["message"]
    assert not list((kitchen.home.root / "people").iterdir())

    job = (await phone.run("call", "device.echo", "text=hello"))[-1]
    assert (job["ok"], job["value"]) == (True, {"text": "hello"})
    assert job["principal"]["kind"] == "person"
    assert [one["job"] for one in await phone.run("jobs")] == [job["job"]]
    known = (await lab.desk.run("people"))[-1]["people"]
    assert [(one["name"], one["role"], one["keys"][0]["device_name"]) for one in known] == [
        ("Anna", "resident", "phone")
    ]

    removed = (await lab.desk.run("revoke", "Anna"))[-1]
    assert removed["name"] == "Anna"
    assert "phone" in removed["told"] + removed["not_reached"]
    with pytest.raises(Revoked):
        await phone.run("call", "device.echo", "text=hello")
    with pytest.raises(Revoked):
        await phone.run("jobs")
    assert (await lab.desk.run("people"))[-1]["people"] == []

    await accept(phone, await invite(lab, "Anna", "--role", "guest"))
    assert (await phone.run("call", "device.echo", "text=again"))[-1]["ok"]
    assert len(list((phone.home.root / "people").iterdir())) == 1


async def test_an_alerts_only_person_can_do_nothing_else_and_sees_nobody_elses_jobs(lab: Lab) -> None:
    phone = lab.devices["phone"]
    await lab.desk.run("call", "device.echo", "text=private")
    await accept(phone, await invite(lab, "Bo", "--alerts-only"))
    refused = (await phone.run("call", "device.echo", "text=hi"))[-1]
    assert refused["error"]["code"] == "DENIED"
    assert "Bo was not given" in refused["error"]["message"]
    bare = (await phone.run("call", "device.echo", "text=hi", "--as", "-"))[-1]
    assert bare["error"]["code"] == "DENIED"
    with pytest.raises(AccessRefused):
        await phone.run("nodes")
    with pytest.raises(AccessRefused):
        await phone.run("call", "device.info", "--session")
    assert await phone.run("capabilities") == []
    assert [one["job"] for one in await phone.run("jobs")] == [refused["job"]]


async def test_a_withdrawn_invitation_and_a_taken_name_are_refused(lab: Lab) -> None:
    phone = lab.devices["phone"]
    invitation = await invite(lab, "Anna", "--role", "guest")
    with pytest.raises(InvalidInput):
        await invite(lab, "\u0391nna")
    with pytest.raises(InvalidInput):
        await invite(lab, "kitchen")
    await lab.desk.run("people", "withdraw", "Anna")
    assert (await accept(phone, invitation))["error"]["code"] == AccessRefused.code
    assert (await typed(phone, "KP1:AAAA", "people", "accept", "-"))[-1]["error"]["code"] == InvalidInput.code
    with pytest.raises(KindmeshError):
        await phone.run("people", "invite", "Carl")


async def test_a_person_whose_role_may_answers_on_their_own_device(lab: Lab, tmp_path: Path) -> None:
    phone = lab.devices["phone"]
    await accept(phone, await invite(lab, "Anna", "--role", "resident"))
    with pytest.raises(NeedsApproval):
        await phone.run("call", "notes.append", "text=milk", "--no-ask")
    waiting = await phone.run("review")
    assert [one["answerable"] for one in waiting] == [False]

    text = (await lab.desk.run("policy", "show"))[-1]["text"]
    wider = tmp_path / "policy.toml"
    wider.write_text(text.replace('approves = ["sense", "actuate"]', 'approves = ["write"]'))
    changed = (await lab.desk.run("policy", "set", str(wider), "--yes"))[-1]
    assert changed["changed"]
    async with watching(lab.desk.home.socket("coordinator")) as events:
        answered = await typed(phone, "yes", "review", waiting[0]["job"])
        assert answered[-1]["allowed"] is True
        done = await asyncio.wait_for(events.get(), 20)
        while done.get("state") != "succeeded":
            done = await asyncio.wait_for(events.get(), 20)
    assert done["job"] == waiting[0]["job"]

    await lab.desk.run("policy", "reset", "--yes")
    assert (await lab.desk.run("policy", "reset", "--yes"))[-1]["changed"] is False
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace('answer = "allow"', 'answer = "maybe"'))
    with pytest.raises(InvalidInput, match="line 6"):
        await lab.desk.run("policy", "set", str(bad), "--yes")


async def test_a_role_narrowed_while_a_job_waits_counts(lab: Lab) -> None:
    phone = lab.devices["phone"]
    await accept(phone, await invite(lab, "Anna", "--role", "resident"))
    with pytest.raises(NeedsApproval):
        await phone.run("call", "notes.append", "text=milk", "--no-ask")
    waiting = (await lab.desk.run("review"))[-1]
    await lab.desk.run("people", "role", "Anna", "guest")
    await typed(lab.desk, "yes", "review", waiting["job"])
    job = (await lab.desk.run("jobs", waiting["job"]))[-1]
    assert (job["state"], job["error"]["code"]) == ("failed", "DENIED")


async def test_a_goal_acts_for_a_person_until_that_person_leaves(lab: Lab) -> None:
    phone = lab.devices["phone"]
    await accept(phone, await invite(lab, "Anna", "--role", "caregiver"))
    acting = ("--acting", "goal:watch")
    refused = (await phone.run("call", "device.echo", "text=x", *acting))[-1]
    assert "nobody lets the goal watch act" in refused["error"]["message"]
    await phone.run("people", "delegate", "goal:watch", "--operations", "device.echo", "--days", "2")
    job = (await phone.run("call", "device.echo", "text=x", *acting))[-1]
    assert (job["ok"], job["principal"]["kind"]) == (True, "goal")
    assert [one["acting"] for one in await phone.run("people", "delegations")] == ["goal:watch"]
    await phone.run("people", "delegations", "--withdraw", "goal:watch")
    assert not (await phone.run("call", "device.echo", "text=x", *acting))[-1]["ok"]


async def test_what_runs_at_the_coordinator_acts_for_somebody_by_delegation(lab: Lab) -> None:
    await accept(lab.devices["phone"], await invite(lab, "Anna", "--role", "guest"))
    acting = ("--acting", "limb:med", "--as", "Anna")
    assert not (await lab.desk.run("call", "device.echo", "text=x", *acting))[-1]["ok"]
    await lab.desk.run(
        "people", "delegate", "limb:med", "--as", "Anna", "--operations", "*", "--effects", "read"
    )
    done = (await lab.desk.run("call", "device.echo", "text=x", *acting))[-1]
    assert (done["ok"], done["principal"]["kind"]) == (True, "limb")
    beyond = (await lab.desk.run("call", "notes.list", *acting))[-1]
    assert "the operation notes.list" in beyond["error"]["message"]
    with pytest.raises(InvalidInput):
        await lab.desk.run("call", "device.echo", "text=x", "--acting", "limb:med", "--as", "Nobody")
