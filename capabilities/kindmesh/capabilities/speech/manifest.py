"""What `speech` offers: turn text into a WAV file or a stream of samples (reads, idempotent), and say text or play a
file out loud.

Saying something is a `notify`, and not idempotent: said twice is heard twice.
"""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec

__all__ = ["MANIFEST", "RATE_DEFAULT_WPM", "RATE_HZ", "RENDER_MAX", "SAY_MAX"]

RENDER_MAX: Final = 131_072
"""Characters: about two hours of speech."""
SAY_MAX: Final = 20_000
"""Characters: about twenty minutes of speech."""
RATE_DEFAULT_WPM: Final = 160
RATE_HZ: Final = 22_050
"""Samples per second of what espeak-ng makes."""

_VOICE: Final = (
    Field("voice", "text", "Voice, such as Annie, f3 or en-us+f3", required=False, max_length=64),
    Field(
        "language",
        "text",
        "Language code, such as en-gb or de",
        required=False,
        max_length=32,
        default=encode_value("en-gb"),
    ),
    Field(
        "rate_wpm",
        "integer",
        "Words per minute",
        required=False,
        minimum=80,
        maximum=450,
        default=encode_value(RATE_DEFAULT_WPM),
    ),
)

MANIFEST: Final = Manifest(
    capability="speech",
    version="1",
    title="Speech",
    requires="speech",
    operations=(
        Operation(
            name="speech.render",
            title="Turn text into spoken audio",
            input=(Field("text", "text", "What to say", max_length=RENDER_MAX), *_VOICE),
            output=(
                Field("audio", "artifact", "WAV file, 16 bits, one channel"),
                Field("duration_ms", "integer", "How long it takes to hear", minimum=0),
                Field("sample_rate_hz", "integer", "Samples per second", minimum=1),
                Field("voice", "text", "The voice that was used"),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("text",),
            limits=Limits(
                timeout_ms=120_000, max_concurrent=2, max_input_bytes=262_144, max_output_bytes=4_096
            ),
        ),
        Operation(
            name="speech.stream",
            title="Turn text into spoken audio as it is made",
            input=(Field("text", "text", "What to say", max_length=RENDER_MAX), *_VOICE),
            output=(
                Field("duration_ms", "integer", "How long it takes to hear", minimum=0),
                Field("sample_rate_hz", "integer", "Samples per second", minimum=1),
                Field("voice", "text", "The voice that was used"),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("text",),
            limits=Limits(
                timeout_ms=7_200_000, max_concurrent=2, max_input_bytes=262_144, max_output_bytes=4_096
            ),
            stream=StreamSpec("out", None, StreamMedia("audio", "s16le", RATE_HZ, 1), 7_200_000, 512 << 20),
        ),
        Operation(
            name="speech.say",
            title="Say it out loud",
            input=(
                Field("text", "text", "What to say", required=False, max_length=SAY_MAX),
                Field("audio", "artifact", "A WAV file to play instead", required=False),
                *_VOICE,
            ),
            output=(
                Field("duration_ms", "integer", "How long it was heard", minimum=0),
                Field("player", "text", "The program that played it"),
            ),
            effects=int(Effect.NOTIFY),
            idempotent=False,
            data_classes=("text", "audio"),
            limits=Limits(
                timeout_ms=1_500_000, max_concurrent=1, max_input_bytes=131_072, max_output_bytes=4_096
            ),
        ),
    ),
)
