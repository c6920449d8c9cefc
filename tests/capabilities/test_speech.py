"""Text to speech in the real worker: valid files, honest refusals, hard texts, and playing out loud."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import stat
import wave
from pathlib import Path
from typing import Any

import pytest
from tests.capabilities.conftest import Bench, OpenBench, process_ended

from kindmesh.capabilities.speech.espeak import Engine, installed
from kindmesh.protocol.errors import Cancelled, InvalidInput, NoAudioDevice, UnknownVoice

LETTER = "Dear friend,\n\nThe apples on my tree are ripe at last.\n\nWarm wishes,\nYour neighbour"


def _wav(bench: Bench, answer: dict[str, Any]) -> tuple[wave._wave_params, bytes]:
    content = (bench.artifacts.folder / answer["audio"]["artifact"]).read_bytes()
    assert len(content) == answer["audio"]["size_bytes"]
    with wave.open(io.BytesIO(content)) as file:
        return file.getparams(), file.readframes(file.getnframes())


def _loudness(samples: bytes) -> int:
    return max(abs(value) for value in memoryview(samples).cast("h"))


async def test_text_becomes_a_valid_wav_file_with_sound_in_it(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        answer = await bench.call("speech.render", {"text": LETTER})
        parameters, samples = _wav(bench, answer)
        assert bench.leftovers() == []
    assert (parameters.nchannels, parameters.sampwidth, parameters.framerate) == (
        1,
        2,
        answer["sample_rate_hz"],
    )
    assert answer["duration_ms"] == parameters.nframes * 1000 // parameters.framerate
    assert 4_000 < answer["duration_ms"] < 12_000
    assert _loudness(samples) > 5_000
    assert (answer["audio"]["media_type"], answer["voice"]) == ("audio/wav", "gmw/en")


async def test_the_same_text_gives_the_same_bytes_in_one_worker_and_in_another(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        once = await bench.call("speech.render", {"text": LETTER})
        await bench.call("speech.render", {"text": "something else in between", "voice": "f3"})
        assert await bench.call("speech.render", {"text": LETTER}) == once
    async with open_bench() as bench:
        assert await bench.call("speech.render", {"text": LETTER}) == once


async def test_rate_voice_and_language_are_heard(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        slow = await bench.call("speech.render", {"text": LETTER, "rate_wpm": 80})
        fast = await bench.call("speech.render", {"text": LETTER, "rate_wpm": 300})
        assert slow["duration_ms"] > 2 * fast["duration_ms"]
        named = await bench.call("speech.render", {"text": LETTER, "voice": "annie", "language": "en-US"})
        assert named["voice"] == "gmw/en-US+Annie"
        german = await bench.call("speech.render", {"text": "Guten Morgen", "language": "de"})
        assert german["voice"] == "gmw/de"
        both = await bench.call("speech.render", {"text": LETTER, "voice": "fr+f3"})
        assert both["voice"].endswith("fr+f3")


@pytest.mark.parametrize(
    ("arguments", "field", "near"),
    [
        ({"voice": "Anie"}, "voice", "Annie"),
        ({"voice": "en-us+femal3"}, "voice", "female3"),
        ({"language": "en-gbb"}, "language", "en-gb"),
    ],
)
async def test_an_unknown_voice_names_the_nearest(
    open_bench: OpenBench, arguments: dict[str, str], field: str, near: str
) -> None:
    async with open_bench() as bench:
        with pytest.raises(UnknownVoice) as unknown:
            await bench.call("speech.render", {"text": "hello", **arguments})
    assert unknown.value.field == field
    assert near in unknown.value.hint


@pytest.mark.parametrize("text", ["", "   \n\t ", "...", "\u200b", "\x00\x01"])
async def test_a_text_without_words_is_refused_and_makes_no_file(open_bench: OpenBench, text: str) -> None:
    async with open_bench() as bench:
        with pytest.raises(InvalidInput) as refused:
            await bench.call("speech.render", {"text": text})
        assert (refused.value.field, bench.artifacts.ids(), bench.leftovers()) == ("text", set(), [])


@pytest.mark.parametrize(
    "text",
    [
        "😀👵🏽",
        "naïve café — “quotes”",
        "Привет, 你好, مرحبا",
        "before\0after",
        "a" * 3000,
        "<speak>&amp;</speak>",
        "[[h@l'oU]]",
    ],
)
async def test_unusual_characters_are_spoken_somehow(open_bench: OpenBench, text: str) -> None:
    async with open_bench() as bench:
        answer = await bench.call("speech.render", {"text": text})
        _, samples = _wav(bench, answer)
    assert _loudness(samples) > 1_000


async def test_what_follows_a_zero_character_is_spoken_too(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        whole = await bench.call("speech.render", {"text": "good\0morning everybody in the house"})
        half = await bench.call("speech.render", {"text": "good"})
    assert whole["duration_ms"] > 2 * half["duration_ms"]


async def test_a_hundred_kilobytes_are_streamed_with_progress_and_little_memory(
    open_bench: OpenBench,
) -> None:
    told: list[float] = []
    text = ("The bus leaves at nine, and the next one an hour later. " * 2000)[:100_000]
    async with open_bench() as bench:
        answer = await bench.call(
            "speech.render",
            {"text": text, "rate_wpm": 450},
            progress=lambda fraction, said: told.append(fraction or 0.0),
        )
        worker = next(one for one in bench.host.statistics() if one.part == "speech-render")
        assert bench.leftovers() == []
    assert answer["duration_ms"] > 30 * 60_000
    assert answer["audio"]["size_bytes"] > 50_000_000
    assert told == sorted(told)
    assert len(told) > 5
    assert 0 < worker.rss_mib < 64


async def test_cancelling_a_long_text_leaves_no_file_and_no_process(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        cancelled, begun = asyncio.Event(), asyncio.Event()
        running = asyncio.ensure_future(
            bench.call(
                "speech.render",
                {"text": "The bus leaves at nine. " * 4000},
                cancelled=cancelled,
                progress=lambda fraction, said: begun.set(),
            )
        )
        await begun.wait()
        pid = bench.pid("speech-render")
        cancelled.set()
        with pytest.raises(Cancelled):
            await running
        await process_ended(pid)
        assert (bench.leftovers(), bench.artifacts.ids()) == ([], set())


def test_a_data_path_too_long_for_the_library_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library, data = installed()
    far = tmp_path / ("deep-" * 20) / ("down-" * 20)
    far.mkdir(parents=True)
    (far / "espeak-ng-data").symlink_to(data / "espeak-ng-data")
    engine = Engine(library, far)
    spoken = engine.speak(
        "hello", voice="gmw/en", rate_wpm=160, into=tmp_path / "a.wav", progress=lambda fraction: None
    )
    assert spoken.words == 1


def test_what_the_progress_callback_raises_comes_out_of_speaking(tmp_path: Path) -> None:
    def stop(fraction: float) -> None:
        raise Cancelled()

    with pytest.raises(Cancelled):
        Engine(*installed()).speak(
            "hello", voice="gmw/en", rate_wpm=160, into=tmp_path / "a.wav", progress=stop
        )


def _player(folder: Path, script: str) -> Path:
    """A program in place of a loudspeaker: what comes out of the house's last wire is all that is made up here."""
    path = folder / "loudspeaker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _silence(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A device without sound, whatever this machine has."""
    for name in (
        "KINDMESH_PLAYER",
        "PULSE_SERVER",
        "XDG_RUNTIME_DIR",
        "PIPEWIRE_RUNTIME_DIR",
        "TERMUX_VERSION",
    ):
        monkeypatch.delenv(name, raising=False)
    shell = shutil.which("sh")
    assert shell is not None
    (folder / "bin").mkdir()
    (folder / "bin" / "sh").symlink_to(shell)
    monkeypatch.setenv("PATH", str(folder / "bin"))


async def test_without_a_loudspeaker_it_says_so(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _silence(monkeypatch, tmp_path)
    async with open_bench() as bench:
        with pytest.raises(NoAudioDevice) as silent:
            await bench.call("speech.say", {"text": "hello"})
    assert silent.value.hint


async def test_text_and_audio_are_played_to_their_end(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    player = _player(tmp_path, 'test "$(head -c 4 "$1")" = RIFF || { echo "no sound in $1" >&2; exit 7; }')
    monkeypatch.setenv("KINDMESH_PLAYER", str(player))
    async with open_bench() as bench:
        said = await bench.call("speech.say", {"text": "hello there", "voice": "f3"})
        assert said["player"] == "loudspeaker"
        rendered = await bench.call("speech.render", {"text": "hello there", "voice": "f3"})
        played = await bench.call("speech.say", {"audio": rendered["audio"]})
        assert played["duration_ms"] == rendered["duration_ms"] == said["duration_ms"] > 300
        assert bench.leftovers() == []


async def test_a_player_that_fails_is_no_silent_success(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KINDMESH_PLAYER", str(_player(tmp_path, "echo the cone is torn >&2; exit 3")))
    async with open_bench() as bench:
        with pytest.raises(NoAudioDevice, match=r"status 3.*the cone is torn"):
            await bench.call("speech.say", {"text": "hello"})


async def test_cancelling_stops_the_player_at_once(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KINDMESH_PLAYER", str(_player(tmp_path, "exec sleep 60")))
    async with open_bench() as bench:
        playing = asyncio.Event()
        running = asyncio.ensure_future(
            bench.call("speech.say", {"text": "hello"}, progress=lambda fraction, said: playing.set())
        )
        await playing.wait()
        group = bench.pid("speech-say")
        members = [pid for pid in _processes() if _group_of(pid) == group]
        assert len(members) == 2
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        for pid in members:
            await process_ended(pid)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "text"),
        ({"text": " "}, "text"),
        ({"text": "hello", "audio": {"artifact": hashlib.sha256(b"RIFF").hexdigest()}}, "audio"),
    ],
)
async def test_say_wants_either_text_or_audio(
    open_bench: OpenBench, arguments: dict[str, Any], field: str
) -> None:
    async with open_bench() as bench:
        bench.artifacts.add(b"RIFF")
        with pytest.raises(InvalidInput) as refused:
            await bench.call("speech.say", arguments)
    assert refused.value.field == field


async def test_a_file_that_is_no_wav_is_refused(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KINDMESH_PLAYER", str(_player(tmp_path, "exit 0")))
    async with open_bench() as bench:
        with pytest.raises(InvalidInput) as refused:
            await bench.call("speech.say", {"audio": bench.artifacts.add(b"ID3 something else")})
    assert refused.value.field == "audio"
