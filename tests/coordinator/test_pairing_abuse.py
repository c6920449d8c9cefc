"""Pairing as people really do it, with real processes: interrupted, repeated, mistyped, too late, too much granted."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.lab.device import Device, Running, started
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.errors import (
    AccessRefused,
    AlreadyInitialised,
    EnrolmentRefused,
    HomeInUse,
    NoDeviceAble,
    PeerUnreachable,
    UnknownJob,
)
from kindmesh.protocol.limits import PAIR_CODE_TRIES


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(tmp_path) as made:
        await made.begin()
        yield made


async def joining(device: Device, text: str) -> Running:
    running = await device.start("join", "-", "--name", device.name, "--json", stdin=True)
    await running.write(text)
    return running


async def ended(running: Running) -> tuple[int, dict[str, Any]]:
    """Exit code and last object."""
    output = await asyncio.wait_for(running.process.stdout.read(), 30) if running.process.stdout else b""
    code = await asyncio.wait_for(running.process.wait(), 10)
    lines = output.splitlines()
    return code, json.loads(lines[-1]) if lines else {}


async def test_a_window_ends_with_its_command_however_that_ends(lab: Lab) -> None:
    first = await lab.desk.start("pair", "--json", stdin=True)
    await first.until("window")
    with pytest.raises(AlreadyInitialised):
        await lab.desk.run("pair")
    await first.kill()
    second = await lab.desk.start("pair", "--json", stdin=True)
    text = (await second.until("window"))["text"]
    second.process.send_signal(signal.SIGINT)
    code, _ = await ended(second)
    assert code == 130
    late = await joining(lab.device("phone"), text)
    code, said = await ended(late)
    assert (code, said["error"]["code"]) == (3, PeerUnreachable.code)
    async with started(lab.desk, "pair") as third:
        await third.until("window")


async def test_a_window_that_expires_says_so(lab: Lab) -> None:
    pairing = await lab.desk.start("pair", "--minutes", "0.02", "--json", stdin=True)
    code, said = await ended(pairing)
    assert (code, said["ok"], said["reason"]) == (4, False, "expired")


async def test_wrong_codes_turn_away_and_the_next_try_works(lab: Lab) -> None:
    phone = lab.device("phone")
    async with started(lab.desk, "pair") as pairing:
        text = (await pairing.until("window"))["text"]
        wrong = await joining(phone, text)
        shown = (await wrong.until("code"))["code"]
        await pairing.until("knock")
        for left in range(PAIR_CODE_TRIES - 1, -1, -1):
            await pairing.write("0000" if shown != "0000" else "1111")
            assert (await pairing.until("wrong_code"))["left"] == left
        code, said = await ended(wrong)
        assert (code, said["error"]["code"]) == (4, EnrolmentRefused.code)
        killed = await joining(phone, text)
        await killed.until("code")
        await pairing.until("knock")
        await killed.kill()
        # The owner still looks at the question about the first knock, and types what the device shows now.
        again = await joining(phone, text)
        await pairing.write((await again.until("code"))["code"])
        await again.until("joined")
        await pairing.until("paired")
        assert (await ended(again))[0] == 0
        assert (await ended(pairing))[0] == 0


async def test_what_was_not_granted_is_not_placed_and_members_see_only_their_own(lab: Lab) -> None:
    phone = lab.device("phone")
    async with started(lab.desk, "pair") as pairing:
        guest = await joining(phone, (await pairing.until("window"))["text"])
        code = (await guest.until("code"))["code"]
        await pairing.until("knock")
        await pairing.write(f"{code} device notes")
        await guest.until("joined")
        await pairing.until("paired")
        await ended(guest)
    await phone.up()
    await lab.alive("phone")
    with pytest.raises(HomeInUse):
        await phone.run("join", await invitation(lab))
    assert (await lab.desk.run("call", "device.echo", "text=hi", "--on", "phone"))[-1]["ok"]
    with pytest.raises(NoDeviceAble) as caught:
        await lab.desk.run("call", "speech.render", "text=hi", "--on", "phone")
    assert "grant" in (caught.value.message + caught.value.hint)
    secret = (await lab.desk.run("call", "device.echo", "text=secret"))[-1]["job"]
    mine = (await phone.run("call", "device.echo", "text=mine"))[-1]["job"]
    assert [job["job"] for job in await phone.run("jobs")] == [mine]
    assert {secret, mine} <= {job["job"] for job in await lab.desk.run("jobs")}
    with pytest.raises(UnknownJob):
        await phone.run("jobs", secret)
    with pytest.raises(AccessRefused):
        lab.ask("pair.open", {}, device="phone", part="node")


async def invitation(lab: Lab) -> str:
    async with started(lab.desk, "pair") as pairing:
        text: str = (await pairing.until("window"))["text"]
        return text
