"""What a worker process and its host say to each other.

A frame is a length (4 bytes, big endian) and one MessagePack value; both run over one private socket pair, so that
whatever a native library prints to stdout or stderr cannot get between. The host says `Begin` once, then `Call`; the
worker answers `Ready` once, then for each call any number of `Working` and `Published` and exactly one `Done` or
`Failed`. In a call that streams both send `Chunk`s, each at most `CHUNKS_AHEAD` beyond what the other has `Taken`:
neither side keeps more than that. Ending the connection ends the worker. A frame beyond the limit, or one that does not
decode, is the end of the connection: the host treats what a worker sends as it treats what comes from a network.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import Malformed, WireError
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.messages.events import Labels

__all__ = [
    "CHUNKS_AHEAD",
    "Begin",
    "Call",
    "Chunk",
    "Done",
    "Failed",
    "Frames",
    "FromHost",
    "FromWorker",
    "Output",
    "Published",
    "Ready",
    "Taken",
    "Working",
    "pack",
]

FRAME_LIMIT: Final = BODY_MAX + 65_536
_LENGTH: Final = 4
CHUNKS_AHEAD: Final = 8


class Begin(msgspec.Struct, array_like=True, frozen=True, tag="begin"):
    """How to be: what to load, where to work, what to allow. `memory_mib` 0 means unbounded."""

    implementation: str
    workdir: str
    memory_mib: int = 0
    file_mib: int = 1024
    audio_sockets: tuple[str, ...] = ()
    audio: bool = False
    programs: tuple[str, ...] = ()
    search_path: tuple[str, ...] = ()


class Call(msgspec.Struct, array_like=True, frozen=True, tag="call"):
    """Do one operation. `arguments` is MessagePack; `inputs` maps artifact ids to file names in `folder`."""

    operation: str
    arguments: bytes
    folder: str
    job_id: bytes
    remaining_ms: int
    inputs: dict[str, str] = {}
    streams: bool = False


class Chunk(msgspec.Struct, array_like=True, frozen=True, tag="chunk"):
    """A piece of the call's stream; `final`: no more in this direction."""

    data: bytes
    last: bool = True
    final: bool = False


class Taken(msgspec.Struct, array_like=True, frozen=True, tag="taken"):
    """One more of the other side's chunks was taken."""


class Ready(msgspec.Struct, array_like=True, frozen=True, tag="ready"):
    """Loaded. `confinement` is what the worker observed about its own rights, as JSON text."""

    load_ms: int
    confinement: str


class Working(msgspec.Struct, array_like=True, frozen=True, tag="working"):
    """How far it is: 0..1, or None where that is unknown."""

    fraction: float | None
    text: str = ""


class Published(msgspec.Struct, array_like=True, frozen=True, tag="published"):
    """An event, during a call: `values` are MessagePack, a map; the host checks topic, values and labels."""

    topic: str
    values: bytes
    labels: Labels | None = None


class Output(msgspec.Struct, array_like=True, frozen=True):
    """A file in the call's folder that becomes an artifact."""

    artifact: str
    file: str
    size_bytes: int
    media_type: str


class Done(msgspec.Struct, array_like=True, frozen=True, tag="done"):
    """The result, as MessagePack, and the files it refers to."""

    result: bytes
    outputs: tuple[Output, ...] = ()


class Failed(msgspec.Struct, array_like=True, frozen=True, tag="failed"):
    """A typed error."""

    error: WireError


FromHost = Begin | Call | Chunk | Taken
FromWorker = Ready | Working | Published | Done | Failed | Chunk | Taken


_FROM_HOST: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)
_FROM_WORKER: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
M = TypeVar("M")


def _decode(decoder: msgspec.msgpack.Decoder[M], body: bytes) -> M:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"not a worker's message: {str(error)[:200]}") from error


def pack(message: FromHost | FromWorker) -> bytes:
    """One frame.

    Raises:
        Malformed: larger than a frame may be.
    """
    body = encode(message)
    if len(body) > FRAME_LIMIT:
        raise Malformed(f"{len(body)} bytes where a worker's message has at most {FRAME_LIMIT}")
    return len(body).to_bytes(_LENGTH, "big") + body


class Frames:
    """Bytes as they arrive in, whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._buffer += data

    def body(self) -> bytes | None:
        """The next whole frame's body, or None when more must arrive.

        Raises:
            Malformed: the length is beyond the limit.
        """
        if len(self._buffer) < _LENGTH:
            return None
        length = int.from_bytes(self._buffer[:_LENGTH], "big")
        if length > FRAME_LIMIT:
            raise Malformed(f"a message of {length} bytes")
        if len(self._buffer) < _LENGTH + length:
            return None
        body = bytes(self._buffer[_LENGTH : _LENGTH + length])
        del self._buffer[: _LENGTH + length]
        return body

    def from_worker(self) -> FromWorker | None:
        """The next message of a worker, or None."""
        body = self.body()
        return None if body is None else _decode(_FROM_WORKER, body)

    def from_host(self) -> FromHost | None:
        """The next message of the host, or None."""
        body = self.body()
        return None if body is None else _decode(_FROM_HOST, body)
