"""The ways into a mesh, with real processes: a picture, a typed code, a label; with mDNS and without."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.system.kit import SEEN, mesh, say

from kindmesh.coordinator.lab.device import Device, Running, started
from kindmesh.coordinator.lab.mesh import Lab, free_port
from kindmesh.protocol.errors import AlreadyInitialised, PeerUnreachable

CAPABILITIES = {"KINDMESH_NODE_CAPABILITIES": "device"}


async def typed_by_owner(pairing: Running, joining: Running, words: str = "") -> None:
    """The person reads the code from the device and types it at the coordinator."""
    code = await joining.until("code")
    await pairing.until("knock")
    await pairing.write(f"{code['code']} {words}".strip())
    await joining.until("joined")
    await pairing.until("paired")


async def test_a_saved_picture_is_scanned_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with mesh(tmp_path / "mesh", **CAPABILITIES) as lab:
        picture = tmp_path / "invitation.png"
        phone = lab.device("phone")
        async with started(lab.desk, "pair", "--save", str(picture)) as pairing:
            await pairing.until("window")
            async with started(phone, "join", "--scan", str(picture), "--name", "phone") as joining:
                await typed_by_owner(pairing, joining)
            closed = await pairing.until("closed")
            assert (closed["ok"], closed["reason"]) == (True, "paired")
        assert not picture.exists()
        async with started(lab.desk, "pair", "--save", str(picture)) as pairing:
            await pairing.until("window")
            assert picture.exists()
        assert not picture.exists()


async def test_a_typed_code_with_mdns_off_needs_the_address_and_wrong_ones_are_counted(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path, **CAPABILITIES) as lab:
        phone = lab.device("phone")
        async with started(lab.desk, "pair", "--typed") as pairing:
            window = await pairing.until("window")
            first, second, digits = window["typed"].split()
            with pytest.raises(PeerUnreachable):
                await phone.run("join", "--code", window["typed"])
            wrong = f"{first} {second} {(int(digits) + 1) % 10_000:04d}"
            said = await say(phone, "join", "--code", "-", "--at", window["at"][0], typed=wrong + "\n")
            assert (said.code, said.error["code"]) == (4, "ENROLMENT_REFUSED")
            assert (await pairing.until("failed"))["left"] == 4
            said = await say(phone, "join", "--code", f"{first}x {second} {digits}", "--at", window["at"][0])
            assert (said.code, said.error["hint"]) == (2, f"Did you mean {first}?")
            forgiving = f"{first.upper()}-{second}{digits}"
            words = ("join", "--code", forgiving, "--at", window["at"][0], "--name", "phone")
            async with started(phone, *words) as joining:
                await typed_by_owner(pairing, joining, "device=read")
        await phone.up()
        await lab.alive("phone")
        assert (await lab.desk.run("call", "device.echo", "text=hi", "--on", "phone"))[-1]["ok"]
        with pytest.raises(PeerUnreachable):
            await lab.device("late").run("join", "--code", window["typed"], "--at", window["at"][0])


async def labelled(lab: Lab, name: str) -> tuple[Device, str]:
    port = free_port()
    device = lab.device(name, {"KINDMESH_MESH_PORT": str(port)})
    made = (await device.run("label", "--name", name))[-1]
    assert (await device.run("label"))[-1]["label"] == made["label"]
    return device, made["label"]


@pytest.mark.parametrize("mdns", [False, True], ids=["address", "mdns"])
async def test_a_device_without_a_screen_is_adopted_when_it_appears(tmp_path: Path, mdns: bool) -> None:
    async with Lab(tmp_path, settings=CAPABILITIES, mdns=mdns) as lab:
        SEEN.append(tmp_path / "logs")
        await lab.begin()
        hall, label = await labelled(lab, "hall")
        at = [] if mdns else ["--at", f"127.0.0.1:{hall_port(hall) + 1}"]
        async with started(lab.desk, "pair", "--label", "-", *at) as pairing:
            await pairing.write(label)
            assert (await pairing.until("window"))["name"] == "hall"
            running = await hall.start("up", "--json")
            hall.running = running
            assert (await running.until("waiting"))["name"] == "hall"
            assert (await pairing.until("adopting"))["state"] == "found"
            knock = await pairing.until("knock")
            assert knock["recognised"]
            await pairing.write("yes")
            await running.until("adopted")
            await pairing.until("paired")
        # The same command goes on as an ordinary node.
        await running.until("ready")
        await lab.alive("hall")
        assert (await lab.desk.run("call", "device.echo", "text=hi", "--on", "hall"))[-1]["ok"]
        await hall.down()
        with pytest.raises(AlreadyInitialised):
            await hall.run("label")
        # A member is never adopted again: it does not even listen for it.
        await hall.up()
        async with started(lab.desk, "pair", "--minutes", "0.05", "--label", "-", *at) as pairing:
            await pairing.write(label)
            closed = await pairing.until("closed")
            assert (closed["ok"], closed["reason"]) == (False, "expired")


def hall_port(device: Device) -> int:
    return int(device._env["KINDMESH_MESH_PORT"])


async def test_a_label_that_was_changed_adopts_nothing(tmp_path: Path) -> None:
    async with mesh(tmp_path, **CAPABILITIES) as lab:
        hall, label = await labelled(lab, "hall")
        _, other = await labelled(lab, "cellar")
        running = await hall.start("up", "--json")
        try:
            await running.until("waiting")
            import msgspec

            from kindmesh.protocol.adopt import label_from_text, label_to_text

            wrong = msgspec.structs.replace(label_from_text(label), secret=label_from_text(other).secret)
            at = f"127.0.0.1:{hall_port(hall) + 1}"
            async with started(lab.desk, "pair", "--label", "-", "--at", at) as pairing:
                await pairing.write(label_to_text(wrong))
                refused = await pairing.until("adopting")
                assert (refused["state"], refused["code"]) == ("refused", "ENROLMENT_REFUSED")
                assert (await running.until("turned_away"))["left"] == 4
        finally:
            await running.stop()


async def test_a_removed_device_is_told_what_works(tmp_path: Path) -> None:
    async with mesh(tmp_path, "phone", **CAPABILITIES) as lab:
        phone = lab.devices["phone"]
        await phone.down()
        await lab.desk.run("revoke", "phone")
        async with started(lab.desk, "pair") as pairing:
            window = await pairing.until("window")
            running = await phone.start("join", "-", "--json", stdin=True)
            await running.write(window["text"])
            code = await running.until("code")
            await pairing.until("knock")
            await pairing.write(code["code"])
            assert (await pairing.until("refused"))["code"] == "REVOKED"
            assert running.process.stdout is not None
            last = json.loads((await asyncio.wait_for(running.process.stdout.read(), 30)).splitlines()[-1])
            assert (last["error"]["code"], "join --fresh" in last["error"]["hint"]) == ("REVOKED", True)
