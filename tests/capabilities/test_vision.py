"""Reading photographs in the real worker: good ones, crooked ones, broken ones.

Loading the models takes as long as reading a page, so most tests ask one worker (`reader`), which none of them may
bring down; where a worker's whole life matters the test has its own.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from tests.capabilities.conftest import Bench, OpenBench, bench_in
from tests.capabilities.letters import character_error_rate, compose

from kindmesh.capabilities.vision import make_sample
from kindmesh.capabilities.vision.make_sample import LETTER, Conditions, jpeg_bytes, photograph
from kindmesh.protocol.errors import ArtifactMissing, ImageDamaged, ImageTooLarge, InvalidInput

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAMPLE = Path(make_sample.__file__).parent / "samples" / "letter.jpg"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench_of_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path_factory.mktemp("reader")) as bench:
        await _read(bench, _encoded(Image.new("RGB", (8, 8), "white"), "PNG"))
        yield bench


@pytest.fixture
def reader(bench_of_all: Bench) -> Iterator[Bench]:
    """The worker that all share; it must be the same one afterwards, and have nothing left."""
    before = bench_of_all.pid("vision")
    yield bench_of_all
    assert (bench_of_all.pid("vision"), bench_of_all.leftovers()) == (before, [])


def _sample() -> Image.Image:
    return Image.open(io.BytesIO(SAMPLE.read_bytes()))


async def _read(bench: Bench, content: bytes, **arguments: Any) -> dict[str, Any]:
    return await bench.call("vision.read_text", {"image": bench.artifacts.add(content), **arguments})


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


async def test_the_shipped_letter_is_read_as_it_should_be_read_aloud(open_bench: OpenBench) -> None:
    told: list[tuple[float | None, str]] = []
    async with open_bench() as bench:
        image = bench.artifacts.add(SAMPLE.read_bytes())
        page = await bench.call(
            "vision.read_text",
            {"image": image},
            progress=lambda fraction, text: told.append((fraction, text)),
        )
        assert bench.leftovers() == []
    assert page["text"] == LETTER.strip()
    assert page["confidence"] > 0.95
    assert (page["width_px"], page["height_px"], page["turned_degrees"]) == (*_sample().size, 0)
    assert [box["paragraph"] for box in page["boxes"]] == sorted(box["paragraph"] for box in page["boxes"])
    first = page["boxes"][0]
    assert first["text"] == "Dear friend,"
    (left, top), (right, _), (_, bottom), _ = first["points"]
    assert 0 < left < right < page["width_px"]
    assert 0 < top < bottom < page["height_px"] / 2
    assert told[-1][0] == 1.0
    assert len(told) > 2


@pytest.mark.parametrize(
    ("seed", "conditions", "worst"),
    [
        (11, {}, 0.03),
        (12, {"font_px": 30, "tilt_degrees": -5.0}, 0.03),
        (13, {"font_px": 56, "perspective": 0.08}, 0.03),
        (14, {"tilt_degrees": 11.0, "darkest": 0.3}, 0.03),
        (15, {"noise": 14.0, "blur": 1.6, "quality": 50}, 0.03),
        (16, {"font_px": 24, "curl": 0.008}, 0.03),
        (17, {"font_px": 20, "noise": 9.0, "darkest": 0.3}, 0.06),
    ],
)
async def test_other_letters_are_read_with_few_errors(
    reader: Bench, seed: int, conditions: dict[str, Any], worst: float
) -> None:
    letter = compose(seed)
    content = jpeg_bytes(
        photograph(letter, Conditions(seed=seed, **conditions)), conditions.get("quality", 78)
    )
    page = await _read(reader, content)
    assert character_error_rate(page["text"], letter) <= worst


async def test_a_page_is_read_whichever_way_up_it_lies(reader: Bench) -> None:
    upright = _sample()
    turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    for degrees, turn in turns.items():
        page = await _read(reader, _encoded(upright.transpose(turn), "JPEG", quality=85))
        assert page["turned_degrees"] == degrees
        assert character_error_rate(page["text"], LETTER) <= 0.03
        assert page["boxes"][0]["text"] == "Dear friend,"


async def test_the_cameras_note_on_how_it_was_held_is_followed(reader: Bench) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = _sample().transpose(Image.Transpose.ROTATE_90)
    page = await _read(reader, _encoded(stored, "JPEG", quality=85, exif=exif))
    assert (page["turned_degrees"], page["width_px"], page["height_px"]) == (0, *_sample().size)
    assert page["text"] == LETTER.strip()


async def test_a_large_photograph_is_reduced_and_its_boxes_are_in_its_own_pixels(
    reader: Bench,
) -> None:
    large = _sample().resize((5552, 5520))
    page = await _read(reader, _encoded(large, "JPEG", quality=70))
    assert character_error_rate(page["text"], LETTER) <= 0.03
    assert (page["width_px"], page["height_px"]) == (5552, 5520)
    assert max(x for box in page["boxes"] for x, _ in box["points"]) > 3000


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
async def test_every_kind_of_pixels_is_read(reader: Bench, mode: str) -> None:
    drawn = Image.fromarray(make_sample.set_page("Tea at four o'clock.", Conditions(page_width=900)))
    if mode == "RGBA":
        picture = Image.new("RGBA", drawn.size, (0, 0, 0, 0))
        picture.putalpha(Image.eval(drawn, lambda value: 255 - value))
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(drawn, dtype=np.uint16) * 200)
    else:
        picture = drawn.convert(mode)
    page = await _read(reader, _encoded(picture, "TIFF" if mode == "CMYK" else "PNG"))
    assert page["text"] == "Tea at four o'clock."


async def test_a_blank_page_has_no_text_and_no_confidence(reader: Bench) -> None:
    page = await _read(reader, _encoded(Image.new("RGB", (600, 400), "white"), "PNG"))
    tiny = await _read(reader, _encoded(Image.new("RGB", (1, 1), "white"), "PNG"))
    strip = await _read(reader, _encoded(Image.new("RGB", (3000, 4), "white"), "PNG"))
    for one in (page, tiny, strip):
        assert (one["text"], one["confidence"], one["boxes"]) == ("", 0.0, [])


async def test_lines_below_the_wanted_confidence_are_left_out(reader: Bench) -> None:
    page = await _read(reader, SAMPLE.read_bytes(), min_confidence=1)
    assert all(box["confidence"] == 1.0 for box in page["boxes"])
    assert len(page["boxes"]) < 11


async def test_a_language_that_the_model_cannot_read_is_refused(reader: Bench) -> None:
    assert (await _read(reader, SAMPLE.read_bytes(), languages=["en-GB", "de", "fr"]))["text"]
    with pytest.raises(InvalidInput, match="'th'") as refused:
        await _read(reader, SAMPLE.read_bytes(), languages=["en", "th"])
    assert refused.value.field == "languages"


@pytest.mark.parametrize("what", ["empty", "text", "cut", "scrambled", "svg", "pdf"])
async def test_what_is_no_whole_picture_is_an_answer_and_the_worker_goes_on(reader: Bench, what: str) -> None:
    whole = SAMPLE.read_bytes()
    scrambled = bytearray(whole)
    scrambled[len(whole) // 3 : len(whole) // 3 + 400] = b"\xff" * 400
    content = {
        "empty": b"",
        "text": b"Dear friend, this is a letter and no picture.",
        "cut": whole[: len(whole) // 2],
        "scrambled": b"\x89PNG\r\n\x1a\n" + bytes(scrambled),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "pdf": b"%PDF-1.4\n%%EOF",
    }[what]
    with pytest.raises(ImageDamaged) as damaged:
        await _read(reader, content)
    assert damaged.value.field == "image"
    statistics = next(one for one in reader.host.statistics() if one.part == "vision")
    assert (statistics.crashes, statistics.starts, reader.leftovers()) == (0, 1, [])
    assert statistics.pid


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims to unpack to `width` x `height` white pixels."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    data = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_100, 30_000, 65_000])
async def test_a_decompression_bomb_is_refused_by_its_header(reader: Bench, side: int) -> None:
    with pytest.raises(ImageTooLarge) as refused:
        await _read(reader, _bomb(side, side))
    assert "resolution" in refused.value.hint
    assert reader.pid("vision")


async def test_a_picture_of_too_many_bytes_is_refused(reader: Bench) -> None:
    with pytest.raises(ImageTooLarge, match="MB"):
        await _read(reader, SAMPLE.read_bytes() + bytes(33 * 1024 * 1024))


async def test_an_artifact_that_is_not_here_is_named(reader: Bench) -> None:
    with pytest.raises(ArtifactMissing):
        await reader.call("vision.read_text", {"image": {"artifact": "ab" * 32}})


async def test_reading_is_cancelled_between_lines_and_leaves_nothing(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        image = bench.artifacts.add(SAMPLE.read_bytes())
        begun = asyncio.Event()
        running = asyncio.ensure_future(
            bench.call("vision.read_text", {"image": image}, progress=lambda fraction, text: begun.set())
        )
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (bench.leftovers(), bench.pid("vision")) == ([], 0)
        assert (await _read(bench, SAMPLE.read_bytes()))["text"] == LETTER.strip()


async def test_loading_the_models_reports_nothing_to_anybody_and_downloads_nothing(tmp_path: Path) -> None:
    program = (
        "import socket\n"
        "def refuse(*arguments): raise SystemExit('asked for the network')\n"
        "socket.getaddrinfo = refuse\n"
        "from kindmesh.capabilities.vision.reader import Reader\n"
        "Reader()\n"
    )
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    loading = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, cwd=tmp_path
    )
    assert await loading.wait() == 0
    assert os.listdir(tmp_path) == []
