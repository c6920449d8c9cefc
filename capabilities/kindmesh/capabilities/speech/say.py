"""`speech.say`: out loud, on this device. Runs in its own worker, the only one that may reach the sound card.

The player is a program in the worker's process group: a cancelled call, a deadline or a node that dies ends both at
once. Whether there is a device is looked up before anything is rendered, so "no" is a fast answer. The answer tells
how long was played; a player that fails is an error, never a silent success.
"""

from __future__ import annotations

import asyncio
import os
import time
import wave
from pathlib import Path
from typing import ClassVar

import msgspec

from kindmesh.capabilities.base import Artifact, Capability, Context, Services, operation
from kindmesh.capabilities.speech.audio import Output, find_output
from kindmesh.capabilities.speech.espeak import Engine, installed
from kindmesh.capabilities.speech.manifest import MANIFEST, RATE_DEFAULT_WPM
from kindmesh.capabilities.speech.speaking import require_text
from kindmesh.capabilities.speech.voices import choose
from kindmesh.protocol.errors import CapabilityError, InvalidInput, NoAudioDevice
from kindmesh.protocol.manifest import Manifest

__all__ = ["Said", "Say"]


class Said(msgspec.Struct, frozen=True):
    """The answer of `speech.say`."""

    duration_ms: int
    player: str


def wav_duration_ms(path: Path) -> int:
    """How long a WAV file takes to hear.

    Raises:
        InvalidInput: it is no WAV file that we can play.
    """
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes() * 1000 // max(1, file.getframerate())
    except (wave.Error, EOFError) as error:
        raise InvalidInput("this is no WAV file", field="audio", hint="speech.render makes one.") from error


class Say(Capability):
    """Serves `speech.say`."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._engine: Engine | None = None

    async def start(self, services: Services) -> None:
        """Nothing to do: espeak-ng is loaded when there is text to say."""

    @operation("speech.say")
    async def say(
        self,
        context: Context,
        *,
        text: str | None = None,
        audio: Artifact | None = None,
        voice: str | None = None,
        language: str = "en-gb",
        rate_wpm: int = RATE_DEFAULT_WPM,
    ) -> Said:
        """Say `text`, or play `audio`, out loud."""
        if audio is not None and text is not None:
            raise InvalidInput("give either text or audio, not both", field="audio")
        if audio is None:
            require_text(text)
        output = find_output(os.environ)
        if audio is not None:
            path = await context.file(audio)
        else:
            path = await self._render(context, require_text(text), voice, language, rate_wpm)
        duration_ms = wav_duration_ms(path)
        await play(output, path, duration_ms, context)
        return Said(duration_ms, output.name)

    async def _render(
        self, context: Context, text: str, voice: str | None, language: str, rate_wpm: int
    ) -> Path:
        if self._engine is None:
            self._engine = Engine(*installed())
        path = context.workdir / "say.wav"
        chosen = choose(self._engine.voices, language, voice)
        await asyncio.to_thread(
            self._engine.speak,
            text,
            voice=chosen,
            rate_wpm=rate_wpm,
            into=path,
            progress=lambda fraction: context.check(),
        )
        return path


async def play(output: Output, path: Path, duration_ms: int, context: Context) -> None:
    """Play the file to its end, telling how far it is.

    Raises:
        NoAudioDevice: the player ends with an error; what it printed first is in the message.
    """
    began = time.monotonic()
    player = await asyncio.create_subprocess_exec(
        *output.command,
        str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    ending = asyncio.ensure_future(player.communicate())
    try:
        while not (await asyncio.wait([ending], timeout=0.25))[0]:
            played_ms = (time.monotonic() - began) * 1000
            context.progress(min(1.0, played_ms / max(1, duration_ms)), "speaking")
        if player.returncode == 0 and output.detached:
            await _wait_for_detached(duration_ms, began, context)
    finally:
        if not ending.done():
            player.kill()
            await asyncio.wait([ending])
    _, complaint = ending.result()
    if player.returncode != 0:
        said = complaint.decode("utf-8", "replace").strip().splitlines()
        why = f": {said[0][:200]}" if said else ""
        raise NoAudioDevice(
            f"{output.name} could not play it (status {player.returncode}){why}",
            hint="Is the loudspeaker on, and not used by another program?",
        )
    if player.returncode is None:
        raise CapabilityError(f"{output.name} did not end")


async def _wait_for_detached(duration_ms: int, began: float, context: Context) -> None:
    while (played_ms := (time.monotonic() - began) * 1000) < duration_ms:
        context.progress(played_ms / duration_ms, "speaking")
        await asyncio.sleep(0.25)
