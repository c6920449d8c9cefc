"""Bad input to a whole mesh: every answer is a typed error with the field and what to do, and the mesh goes on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.system.kit import Said, mesh, say, talking

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.errors import InvalidInput, KindmeshError

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAMPLES = Path(__file__).parents[2] / "capabilities/kindmesh/capabilities/vision/samples"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk and a kitchen."""
    async with mesh(tmp_path_factory.mktemp("input") / "lab", "kitchen") as lab:
        yield lab


async def works(lab: Lab) -> bool:
    """The mesh still does what it is asked."""
    return (await say(lab.desk, "call", "device.echo", "text=still here")).code == 0


def failed_job(said: Said, code: str) -> dict[str, Any]:
    """The error of a job that ended as `failed`, with this code."""
    assert said.code == 1, said
    job = said.objects[-1]
    assert job["state"] == "failed"
    assert (job["error"]["code"], job["error"]["field"]) == (code, "image")
    assert job["error"]["hint"]
    error: dict[str, Any] = job["error"]
    return error


def png(width: int, height: int) -> bytes:
    """A small PNG that claims to be of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


async def test_a_damaged_image_is_a_failed_job_that_names_the_image(lab: Lab, tmp_path: Path) -> None:
    letter = next(SAMPLES.glob("*.jpg")).read_bytes()
    cases = {
        "noise.jpg": b"\xff\xd8\xff\xe0" + b"\x5a" * 4096,
        "cut.jpg": letter[: len(letter) // 3],
        "text.png": b"this is no picture",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        said = await say(lab.desk, "call", "vision.read_text", f"image={tmp_path / name}")
        assert "picture" in failed_job(said, "IMAGE_DAMAGED")["message"]
    assert await works(lab)


async def test_an_oversized_image_is_refused_before_it_is_unpacked(lab: Lab, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(60_000, 60_000))
    said = await say(lab.desk, "call", "vision.read_text", f"image={bomb}")
    assert "pixels" in failed_job(said, "IMAGE_TOO_LARGE")["message"]
    assert await works(lab)


async def test_an_empty_file_and_one_that_is_not_there_are_answers(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for name in ("empty.jpg", "missing.jpg"):
        said = await say(lab.desk, "call", "vision.read_text", f"image={tmp_path / name}")
        assert said.code in (1, 2)
        assert said.error["code"] in ("IMAGE_DAMAGED", "INVALID_INPUT")
    assert await works(lab)


async def test_text_in_place_of_a_number_names_the_field(lab: Lab) -> None:
    said = await say(lab.desk, "call", "speech.render", "text=hello", "rate_wpm=fast")
    assert said.code == 2
    assert (said.error["code"], said.error["field"]) == ("INVALID_INPUT", "rate_wpm")
    assert "number" in said.error["message"]
    # Past the command line's own check: the coordinator says the same.
    async with talking(lab.desk) as client:
        for args in (
            {"text": "hello", "rate_wpm": "fast"},
            {"text": 7},
            {"text": "hello", "rate_wpm": 10**9},
            {},
        ):
            with pytest.raises(KindmeshError) as caught:
                await client.call("submit", {"operation": "speech.render", "args": args})
            assert isinstance(caught.value, InvalidInput)
            assert caught.value.field in ("rate_wpm", "text")
        with pytest.raises(KindmeshError, match="named values"):
            await client.call("submit", ["not", "a", "map"])
    assert await works(lab)


async def test_an_unknown_operation_gets_the_nearest_name(lab: Lab) -> None:
    for words in (
        ("speech.rendr", "text=hi"),
        ("speech.rendr", "text=hi", "--session"),
        ("speech.rendr", "--explain"),
    ):
        said = await say(lab.desk, "call", *words)
        assert said.code == 2
        assert said.error["code"] == "UNKNOWN_OPERATION"
        assert "speech.render" in said.error["hint"]
    assert await works(lab)


async def test_no_device_able_says_why_for_each_and_how_to_install_it(tmp_path: Path) -> None:
    """Nobody has the text reader's libraries: a device that says so offers it as missing."""
    # Beside the state folders: what contains them is closed to a confined node.
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['rapidocr'] = None\n")
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(10, 10))
    async with mesh(tmp_path / "lab", "kitchen", PYTHONPATH=str(without)) as lab:
        said = await say(lab.desk, "call", "vision.read_text", f"image={picture}")
        assert said.code == 3, said
        assert said.error["code"] == "NO_DEVICE_ABLE"
        assert "desk" in said.error["message"]
        assert "kitchen" in said.error["message"]
        assert "pip install 'kindmesh[vision]'" in said.error["hint"]
        listed = await say(lab.desk, "capabilities")
        vision = [offer for offer in listed.objects if offer["capability"] == "vision"]
        assert [(offer["ready"], bool(offer["hint"])) for offer in vision] == [(False, True)] * 2
        assert await works(lab)
        # Something that nobody offers under a name that only one device could have.
        said = await say(lab.desk, "call", "device.echo", "text=hi", "--on", "cellar")
        assert said.code in (2, 3)
        assert "cellar" in said.error["message"]
