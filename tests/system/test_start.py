"""What does not let Kindmesh start: each is said in a sentence, once, with what to do, and a code that is not 0."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.system.kit import SEEN, Said, mesh, say

from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.store import Store
from kindmesh.mesh.store_schema import Migration, Schema
from kindmesh.node.journal import NODE_SCHEMA


async def made(root: Path) -> Lab:
    """A mesh that is not running."""
    lab = Lab(root)
    SEEN.append(root / "logs")
    await lab.device("desk").run("init", "--name", "desk")
    return lab


def newer(path: Path, schema: Schema) -> None:
    """Open the store as the next version of Kindmesh would."""
    step = Migration(schema.version + 1, ("CREATE TABLE of_the_future (id INTEGER PRIMARY KEY)",))
    Store.open(path, Schema(schema.name, schema.version + 1, (*schema.migrations, step))).close()


async def plain_up(device: Device) -> tuple[int, str]:
    """`kindmesh up` as a person sees it: exit code, and all that was written."""
    running = await device.start("up")
    output, _ = await running.process.communicate()
    return await running.process.wait(), output.decode() + running.log.read_text()


def ended_once(said: Said, part: str) -> None:
    """The launcher named the part, did not try again, and took everything down."""
    assert said.code != 0
    events = [one["event"] for one in said.objects]
    assert "restarting" not in events, said
    error = next(one for one in said.objects if one["event"] == "error")
    assert error["part"] == part
    assert error["message"]
    assert events[-1] == "down"


@pytest.mark.parametrize("part", ["coordinator", "node"])
async def test_a_store_from_a_newer_version_is_left_alone(tmp_path: Path, part: str) -> None:
    lab = await made(tmp_path / "lab")
    home = lab.desk.home
    path, schema = (
        (home.coordinator_journal, HEART_SCHEMA)
        if part == "coordinator"
        else (home.node_journal, NODE_SCHEMA)
    )
    newer(path, schema)
    before = path.read_bytes()
    said = await say(lab.desk, "up")
    ended_once(said, part)
    assert "newer" in said.text
    assert str(path) in said.text
    assert path.read_bytes() == before
    code, shown = await plain_up(lab.desk)
    assert code == said.code
    assert "newer" in shown
    assert "started again" not in shown


async def test_a_node_of_its_own_says_the_same(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab") as lab:
        await lab.join("kitchen")
        kitchen = lab.devices["kitchen"]
        newer(kitchen.home.node_journal, NODE_SCHEMA)
        said = await say(kitchen, "up")
        assert said.code != 0
        assert "newer" in said.text
        assert said.objects[-1]["error"]["code"] == "STORE_TOO_NEW"


@pytest.mark.parametrize("door", [0, 1], ids=["mesh", "door"])
async def test_a_port_in_use_is_named(tmp_path: Path, door: int) -> None:
    lab = await made(tmp_path / "lab")
    with socket.socket() as other:
        other.bind(("127.0.0.1", lab.port + door))
        other.listen()
        said = await say(lab.desk, "up")
        ended_once(said, "coordinator")
        assert f"127.0.0.1:{lab.port + door}" in said.text
        assert "another program uses" in said.text
    # When the other program has ended, it starts.
    await lab.desk.up()
    await lab.end()


async def test_a_second_kindmesh_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab") as lab:
        said = await say(lab.desk, "up")
        assert said.code != 0
        assert said.error["code"] == "HOME_IN_USE"
        assert said.error["hint"]
        assert (await say(lab.desk, "call", "device.echo", "text=hi")).code == 0


BROKEN = {
    "[mesh]\nport = 'seventy'\n": ("line 2", "port"),
    "[mesh]\nprot = 7437\n": ("line 2", "port"),
    "[mseh]\nport = 7437\n": ("line 1", "mesh"),
    "[mesh\nport = 7437\n": ("line 1", ""),
    "[mesh]\nport = 99999\n": ("line 2", "port"),
    "[mesh]\n\nseeds = ['nowhere']\n": ("line 3", "seeds"),
}


async def test_a_broken_settings_file_is_named_with_its_line(tmp_path: Path) -> None:
    lab = await made(tmp_path / "lab")
    desk = lab.desk
    for content, (line, word) in BROKEN.items():
        desk.home.config_file.write_text(content)
        said = await say(desk, "up")
        assert said.code == 2, said
        assert said.error["code"] == "CONFIG"
        assert f"{desk.home.config_file}, {line}" in said.error["message"], said
        assert said.error["hint"], said
        assert word in said.error["message"] + said.error["hint"], said
        doctor = await say(desk, "doctor")
        settings = next(one for one in doctor.objects[-1]["findings"] if one["check"] == "settings")
        assert (doctor.code, settings["level"]) == (1, "fail")
    desk.home.config_file.write_bytes(b"[mesh]\n\xff\xfe\n")
    assert "line 2" in (await say(desk, "up")).error["message"]


async def test_nothing_here_yet_and_nothing_running_are_answers(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    SEEN.append(tmp_path / "lab" / "logs")
    device = lab.device("desk")
    for words in (
        ("up",),
        ("nodes",),
        ("call", "device.echo", "text=hi"),
        ("jobs",),
        ("pair",),
        ("stop",),
        ("review",),
    ):
        said = await say(device, *words)
        assert said.code == 3, (words, said)
        assert said.error["code"] == "NOT_INITIALISED", words
        assert said.error["hint"], words
    await device.run("init", "--name", "desk")
    for words in (("nodes",), ("call", "device.echo", "text=hi"), ("jobs",), ("pair",), ("stop",)):
        said = await say(device, *words)
        assert said.code == 3, (words, said)
        assert said.error["code"] == "NOT_RUNNING", words
        assert said.error["hint"], words
    assert json.dumps((await say(device, "init")).error).count("belongs to a mesh already") == 1
