"""Streams for tests: the desk of a `Rig` opens them, or one node does with a permit that the desk's household signs."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.node.rig import CLOCK, ENTROPY, Desk, Rig

from kindmesh.mesh.stream_end import StreamHandle
from kindmesh.mesh.streams import Streams, stream_open
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages import StreamOpen

ECHO = "device.echo_stream"


def fresh_id() -> bytes:
    """A new stream's id."""
    return new_id(CLOCK.now_ms(), ENTROPY.token(10))


def opening(
    desk: Desk, device: bytes, opener: bytes, *, at: tuple[str, ...] = (), **changes: Any
) -> StreamOpen:
    """An opening with a session permit that fits, but for `changes` of the permit."""
    stream_id = changes.pop("stream_id", b"") or fresh_id()
    operation: str = changes.pop("operation", ECHO)
    args = encode_value(changes.pop("values", {}))
    permit = desk.household.permit(
        **{
            "target": device, "operation": operation, "args": args, "effects": int(Effect.READ), "job_id": stream_id,
            "kind": "session", "duration_ms": 60_000, "stream_bytes": 50_000_000, "readers": (opener,),
            "issued_ms": CLOCK.now_ms(), "expires_ms": CLOCK.now_ms() + 60_000, **changes,
        }
    )  # fmt: skip
    return stream_open(stream_id, operation, args, permit, at)


class StreamRig:
    """The desk's own streams, over its hub; it relays as a coordinator does."""

    def __init__(self, made: Rig) -> None:
        self.made = made
        self.streams = Streams(made.desk.hub, CLOCK, ENTROPY, relays=True)

    async def open(self, name: str = "phone", **changes: Any) -> StreamHandle:
        """From the desk to that node."""
        target = self.made.id(name)
        asked = opening(self.made.desk, target, self.made.desk.hub.device_id, **changes)
        return await self.streams.open(asked, target, takes=True, gives=True)


async def echoed(stream: StreamHandle, *pieces: bytes) -> bytes:
    """What comes back; it is read while it is written, else both ends would wait for room in the end."""

    async def send() -> None:
        for piece in pieces:
            await stream.write(piece)
        stream.close_output()

    found = b""
    sending = asyncio.ensure_future(send())
    try:
        while (frame := await stream.read()) is not None:
            found += frame.data
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return found
