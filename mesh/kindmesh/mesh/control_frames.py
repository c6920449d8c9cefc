"""The control socket's frames: a 32-bit big-endian length, then one MessagePack array.

    request  [id, method, params]
    reply    [id, "event", payload]*  then  [id, "ok", result]  or  [id, "error", [code, message, hint, field]]

Ids are chosen by the caller, unique per connection while unanswered, not 0: that one is the connection's own. `params`
and payloads are plain data. A frame longer than `CONTROL_FRAME_MAX` is refused before it is read. Only the local user
(and root) can connect, so the frames are not signed; what needs a signature carries its own.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from kindmesh.protocol.bounds import Reference, Word
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import FrameTooLarge, KindmeshError, WireError, error_from_wire, error_to_wire

CONTROL_FRAME_MAX: Final = 4_194_304
"""Bytes of one frame without its length; larger things are artifacts."""
_LENGTH: Final = 4


class Request(msgspec.Struct, array_like=True, frozen=True):
    """What a client asks."""

    id: Reference
    method: Word
    params: Any = None


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """What a server says, one or many times for a request."""

    id: int
    kind: Literal["ok", "error", "event"]
    payload: Any = None


def pack(frame: Request | Reply) -> bytes:
    """A frame with its length in front.

    Raises:
        FrameTooLarge: more than `CONTROL_FRAME_MAX`. TypeError: not plain data.
    """
    body = encode(frame)
    if len(body) > CONTROL_FRAME_MAX:
        raise FrameTooLarge(
            f"{len(body)} bytes are too many for the control socket.", hint="Use an artifact."
        )
    return len(body).to_bytes(_LENGTH, "big") + body


def pack_error(request_id: int, error: KindmeshError) -> bytes:
    """An error reply."""
    return pack(Reply(request_id, "error", msgspec.to_builtins(error_to_wire(error))))


def error_of(reply: Reply) -> KindmeshError:
    """The error that an error reply carries. Raises Malformed."""
    return error_from_wire(decode(WireError, msgspec.msgpack.encode(reply.payload)))


def decode_request(body: bytes) -> Request:
    """Raises Malformed."""
    return decode(Request, body, limit=CONTROL_FRAME_MAX)


def decode_reply(body: bytes) -> Reply:
    """Raises Malformed."""
    return decode(Reply, body, limit=CONTROL_FRAME_MAX)


class Unframer:
    """Cuts a stream of bytes into frame bodies."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete with `data`, in order.

        Raises:
            FrameTooLarge: a length is over the limit; the stream cannot be used any more.
        """
        buffer = self._buffer
        if (
            not buffer
            and len(data) >= _LENGTH
            and int.from_bytes(data[:_LENGTH], "big") == len(data) - _LENGTH
        ):
            if len(data) - _LENGTH > CONTROL_FRAME_MAX:
                raise FrameTooLarge()
            return [data[_LENGTH:]]
        buffer += data
        bodies = []
        start = 0
        while len(buffer) - start >= _LENGTH:
            length = int.from_bytes(buffer[start : start + _LENGTH], "big")
            if length > CONTROL_FRAME_MAX:
                raise FrameTooLarge(f"A frame of {length} bytes is too long for the control socket.")
            end = start + _LENGTH + length
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[start + _LENGTH : end]))
            start = end
        del buffer[:start]
        return bodies


__all__ = [
    "CONTROL_FRAME_MAX",
    "Reply",
    "Request",
    "Unframer",
    "decode_reply",
    "decode_request",
    "error_of",
    "pack",
    "pack_error",
]
