"""`speech.render`: text in, WAV artifact out. Runs in a worker process; the same request gives the same bytes."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import msgspec

from kindmesh.capabilities.base import Artifact, Capability, Context, Services, operation
from kindmesh.capabilities.speech.espeak import Engine, installed
from kindmesh.capabilities.speech.manifest import MANIFEST, RATE_DEFAULT_WPM
from kindmesh.capabilities.speech.voices import choose
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Manifest

__all__ = ["WAV", "Render", "Rendered", "require_text"]

WAV = "audio/wav"


class Rendered(msgspec.Struct, frozen=True):
    """The answer of `speech.render`."""

    audio: Artifact
    duration_ms: int
    sample_rate_hz: int
    voice: str


def require_text(text: str | None) -> str:
    """`text` if there is something in it.

    Raises:
        InvalidInput: empty, or only spaces.
    """
    if text is None or not text.strip():
        raise InvalidInput("there is nothing to say: the text is empty", field="text")
    return text


class Render(Capability):
    """Serves `speech.render`."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._engine: Engine | None = None

    async def start(self, services: Services) -> None:
        """Find the library and list its voices."""
        self._engine = Engine(*installed())

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
        if self._engine is None:
            raise RuntimeError("not started")
        require_text(text)
        chosen = choose(self._engine.voices, language, voice)
        path = context.workdir / "speech.wav"
        spoken = await asyncio.to_thread(
            self._engine.speak,
            text,
            voice=chosen,
            rate_wpm=rate_wpm,
            into=path,
            progress=lambda fraction: context.progress(0.95 * fraction, "speaking"),
        )
        audio = await context.keep(path, WAV)
        return Rendered(audio, spoken.duration_ms, spoken.sample_rate_hz, chosen)
