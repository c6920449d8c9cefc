"""`speech.render`: text in, WAV artifact out. Runs in a worker process; the same request gives the same bytes."""

from __future__ import annotations

import asyncio

import msgspec

from kindmesh.capabilities.base import Artifact, Context, operation
from kindmesh.capabilities.speech.manifest import RATE_DEFAULT_WPM
from kindmesh.capabilities.speech.speaking import Speaking

__all__ = ["WAV", "Render", "Rendered"]

WAV = "audio/wav"


class Rendered(msgspec.Struct, frozen=True):
    """The answer of `speech.render`."""

    audio: Artifact
    duration_ms: int
    sample_rate_hz: int
    voice: str


class Render(Speaking):
    """Serves `speech.render`."""

    @operation("speech.render")
    async def render(
        self,
        context: Context,
        *,
        text: str,
        voice: str | None = None,
        language: str = "en-gb",
        rate_wpm: int = RATE_DEFAULT_WPM,
    ) -> Rendered:
        """Turn text into spoken audio."""
        engine, chosen = self.prepared(text, language, voice)
        path = context.workdir / "speech.wav"
        spoken = await asyncio.to_thread(
            engine.speak,
            text,
            voice=chosen,
            rate_wpm=rate_wpm,
            into=path,
            progress=lambda fraction: context.progress(0.95 * fraction, "speaking"),
        )
        audio = await context.keep(path, WAV)
        return Rendered(audio, spoken.duration_ms, spoken.sample_rate_hz, chosen)
