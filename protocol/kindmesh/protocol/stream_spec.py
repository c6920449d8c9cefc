"""What an operation that streams says of its stream, and whether the bytes that flow are what it says.

A stream has one or two directions, each of one medium. Bytes travel in pieces; a run of pieces up to an *end of item*
is one item: a block of samples, a token, a picture. `MediaCheck` looks at them as they pass, with constant memory: an
item of samples has whole samples of all channels, an item of text is UTF-8.
"""

from __future__ import annotations

import codecs
from typing import Final, Literal

import msgspec

from kindmesh.protocol.bounds import Count, DurationMs, Word
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.limits import STREAM_BYTES_MAX, STREAM_DURATION_MAX_MS

MediaKind = Literal["bytes", "text", "audio", "video"]
Direction = Literal["in", "out", "both"]

SAMPLE_BYTES: Final = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "u8": 1}
"""Bytes of one sample, for the encodings of audio that are plain samples (little endian)."""
RATE_MAX_HZ: Final = 384_000
CHANNELS_MAX: Final = 8


class StreamMedia(msgspec.Struct, array_like=True, frozen=True):
    """What flows. `bytes`: anything; `text`: UTF-8, an item for each token or line; `audio`: samples (`encoding` of
    `SAMPLE_BYTES`, `rate_hz`, `channels` interleaved); `video`: an item for each picture, `encoding` such as `jpeg`."""

    kind: MediaKind
    encoding: Word = ""
    rate_hz: Count = 0
    channels: Count = 0


class StreamSpec(msgspec.Struct, array_like=True, frozen=True):
    """How an operation streams: `input` flows to the device that acts, `output` from it. `duration_ms` and `data_bytes`
    (both directions together) are the most that one stream may ask for."""

    direction: Direction
    input: StreamMedia | None
    output: StreamMedia | None
    duration_ms: DurationMs = 600_000
    data_bytes: Count = 256 * 1024 * 1024


class StreamBounds(msgspec.Struct, array_like=True, frozen=True):
    """What one stream asks for, and is allowed: milliseconds, and bytes of both directions together."""

    duration_ms: DurationMs
    data_bytes: Count


def check_spec(spec: StreamSpec, operation: str) -> None:
    """Refuse a description that breaks the rules.

    Raises:
        Malformed: what is wrong.
    """
    wanted = (spec.direction != "out", spec.direction != "in")
    if (spec.input is not None, spec.output is not None) != wanted:
        raise Malformed(f"{operation} does not say what flows in which direction", field="stream")
    if not 0 < spec.duration_ms <= STREAM_DURATION_MAX_MS or not 0 < spec.data_bytes <= STREAM_BYTES_MAX:
        raise Malformed(f"{operation} streams without a proper limit", field="stream")
    for media in (spec.input, spec.output):
        if media is not None and media.kind == "audio":
            known = media.encoding in SAMPLE_BYTES
            if not (known and 0 < media.rate_hz <= RATE_MAX_HZ and 0 < media.channels <= CHANNELS_MAX):
                raise Malformed(f"{operation} streams audio without saying how", field="stream")


def bounds_for(spec: StreamSpec, duration_ms: int, size: int) -> StreamBounds:
    """What to ask for: as wanted (0: as much as there may be), never more than the operation allows.

    Raises:
        InvalidInput: more than that was wanted.
    """
    if duration_ms > spec.duration_ms:
        raise InvalidInput(
            f"a stream of it lasts at most {spec.duration_ms // 1000} s",
            field="max_ms",
            hint="Ask for less time.",
        )
    if size > spec.data_bytes:
        raise InvalidInput(
            f"a stream of it has at most {spec.data_bytes} bytes",
            field="max_bytes",
            hint="Ask for less data.",
        )
    return StreamBounds(duration_ms or spec.duration_ms, size or spec.data_bytes)


class MediaCheck:
    """One direction's bytes as they pass."""

    __slots__ = ("_decoder", "_item", "_media", "_unit")

    def __init__(self, media: StreamMedia) -> None:
        self._media = media
        self._unit = SAMPLE_BYTES[media.encoding] * media.channels if media.kind == "audio" else 1
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._item = 0

    def look(self, data: bytes, *, last: bool) -> None:
        """One piece; `last` ends an item.

        Raises:
            InvalidInput: it is not what the stream is said to carry.
        """
        self._item += len(data)
        if self._media.kind == "text":
            try:
                self._decoder.decode(data, last)
            except UnicodeDecodeError as error:
                raise InvalidInput("the stream carries text, and this is none", field="stream") from error
        if last:
            if self._item % self._unit:
                raise InvalidInput("a sample of the sound is cut in two", field="stream")
            self._item = 0
            self._decoder.reset()


__all__ = [
    "SAMPLE_BYTES",
    "Direction",
    "MediaCheck",
    "MediaKind",
    "StreamBounds",
    "StreamMedia",
    "StreamSpec",
    "bounds_for",
    "check_spec",
]
