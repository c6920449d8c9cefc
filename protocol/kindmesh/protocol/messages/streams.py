"""Streams: what is signed, and what rides under the keys that the signed messages agree on.

    opener                                       the device that acts
      | STREAM_OPEN (signed; permit, key, credit)  -> |  permit checked, once
      | <- STREAM_ANSWER (signed; key, credit)        |  or why not
      | == data, credit, resume, both ways =========  |  under the stream's own keys
      | <- or -> STREAM_END (signed; reason)          |

The two signed messages agree on keys as HELLO and WELCOME do (`session.derive_session`, the opener dials), so a frame
is authenticated from end to end whatever carries it: a direct link, or the coordinator, which sees a `StreamCarried`
with two ids and three frames. Inside is a `SessionBody` of type STREAM_DATA, STREAM_CREDIT or STREAM_RESUME. All counts
are totals since the stream began, so that a message that is lost, doubled or late does no harm.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import (
    Arguments,
    Count,
    DurationMs,
    Hash,
    Key,
    KeyId,
    Result,
    TimeId,
    Word,
)
from kindmesh.protocol.errors import WireError
from kindmesh.protocol.extensions import Ext
from kindmesh.protocol.limits import STREAM_ADDRESSES_MAX, STREAM_FRAME_MAX
from kindmesh.protocol.signed import Signed

StreamReason = Literal["done", "cancelled", "deadline", "limit", "broken", "stopped", "failed"]
"""Why a stream ended. `done`: the operation ended well and all of it arrived; `stopped`: the house was told to stop,
the permit lost its force, or the device is going; `failed`: the operation did."""
Addresses = Annotated[tuple[Word, ...], Meta(max_length=STREAM_ADDRESSES_MAX)]
"""`host:port`, where a device takes direct links."""
Frames = tuple[
    Annotated[bytes, Meta(max_length=17)],
    Annotated[bytes, Meta(max_length=16)],
    Annotated[bytes, Meta(max_length=STREAM_FRAME_MAX + 256)],
]


class StreamCredit(msgspec.Struct, array_like=True, frozen=True):
    """What arrived and what may come. `received`: frames that arrived without a gap; `frames` and `data_bytes`: how
    much may have been sent in all; both only rise."""

    received: Count
    frames: Count
    data_bytes: Count


class StreamOpen(msgspec.Struct, array_like=True, frozen=True):
    """`stream_id` is the job of the `session` permit; `args` as a job's; `ephemeral` an X25519 key of this stream;
    `credit` for what the device sends; `at` where the opener takes a direct link, if it does."""

    stream_id: TimeId
    operation: Word
    args: Arguments
    permit: Signed
    ephemeral: Key
    credit: StreamCredit
    ext: Ext = {}
    at: Addresses = ()


class StreamAnswer(msgspec.Struct, array_like=True, frozen=True):
    """Yes, or `error`. `open_hash` names the STREAM_OPEN; `duration_ms` and `data_bytes` are what the device will
    allow; `at`: where the device takes direct links, if it does."""

    stream_id: TimeId
    open_hash: Hash
    error: WireError | None
    ephemeral: Key
    credit: StreamCredit
    duration_ms: DurationMs = 0
    data_bytes: Count = 0
    at: Addresses = ()
    ext: Ext = {}


class StreamEnd(msgspec.Struct, array_like=True, frozen=True):
    """The end. `value` (canonical MessagePack, a map) is the operation's result when the device says `done`; `error`
    says more of any other reason; `back`: the device says so, not the opener;
    `bytes_in` and `bytes_out` are what the device took and gave."""

    stream_id: TimeId
    reason: StreamReason
    back: bool
    error: WireError | None = None
    value: Result = b""
    bytes_in: Count = 0
    bytes_out: Count = 0
    ext: Ext = {}


class StreamCarried(msgspec.Struct, array_like=True, frozen=True):
    """A frame under a stream's own keys, from `src` to `dst`; `back`: from the device that acts to the opener."""

    src: KeyId
    dst: KeyId
    back: bool
    frames: Frames


class StreamData(msgspec.Struct, array_like=True, frozen=True):
    """Frame number `sequence`; its bytes begin at `offset`. `last` ends an item, `final` this direction."""

    sequence: Count
    offset: Count
    data: Annotated[bytes, Meta(max_length=STREAM_FRAME_MAX)]
    last: bool = True
    final: bool = False


class StreamResume(msgspec.Struct, array_like=True, frozen=True):
    """Go on from frame `received`: what follows it did not arrive. Answered by a STREAM_CREDIT; also says "are you
    there"."""

    received: Count


__all__ = [
    "StreamAnswer",
    "StreamCarried",
    "StreamCredit",
    "StreamData",
    "StreamEnd",
    "StreamOpen",
    "StreamReason",
    "StreamResume",
]
