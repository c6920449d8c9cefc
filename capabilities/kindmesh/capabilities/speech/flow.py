"""`speech.stream`: text in, samples out as they are made, so that listening begins before speaking has ended.

Signed 16-bit samples, little endian, one channel, `RATE_HZ` a second, in items of about a fifth of a second. The engine
speaks in a thread and waits there while the listener takes nothing, so a long text needs no more memory than a short
one. Reads only: what is done with the sound is the listener's business.
"""

from __future__ import annotations

import asyncio

import msgspec

from kindmesh.capabilities.base import Context, operation
from kindmesh.capabilities.speech.manifest import RATE_DEFAULT_WPM, RATE_HZ
from kindmesh.capabilities.speech.speaking import Speaking
from kindmesh.protocol.errors import CapabilityError

__all__ = ["ITEM_BYTES", "Flow", "Flowed"]

ITEM_BYTES = RATE_HZ * 2 // 5


class Flowed(msgspec.Struct, frozen=True):
    """The answer of `speech.stream`."""

    duration_ms: int
    sample_rate_hz: int
    voice: str


class Flow(Speaking):
    """Serves `speech.stream`."""

    @operation("speech.stream")
    async def stream(
        self,
        context: Context,
        *,
        text: str,
        voice: str | None = None,
        language: str = "en-gb",
        rate_wpm: int = RATE_DEFAULT_WPM,
    ) -> Flowed:
        """Turn text into samples as they are made."""
        engine, chosen = self.prepared(text, language, voice)
        loop = asyncio.get_running_loop()
        waiting = bytearray()

        def send(data: bytes) -> None:
            asyncio.run_coroutine_threadsafe(context.stream.write(data), loop).result()

        def take(samples: bytes) -> None:
            waiting.extend(samples)
            while len(waiting) >= ITEM_BYTES:
                send(bytes(waiting[:ITEM_BYTES]))
                del waiting[:ITEM_BYTES]

        spoken = await asyncio.to_thread(
            engine.speak_to,
            text,
            voice=chosen,
            rate_wpm=rate_wpm,
            take=take,
            progress=lambda fraction: context.progress(fraction, "speaking"),
        )
        if spoken.sample_rate_hz != RATE_HZ:
            raise CapabilityError(f"espeak-ng speaks at {spoken.sample_rate_hz} Hz here, not at {RATE_HZ}")
        if waiting:
            await context.stream.write(bytes(waiting))
        return Flowed(spoken.duration_ms, spoken.sample_rate_hz, chosen)
