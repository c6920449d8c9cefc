"""What a member asks the coordinator to do for its user, and the answers.

A node's command line reaches the coordinator as signed REQUESTs; each is answered by any number of `event` replies
and one `ok` or `error`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kindmesh.protocol.bounds import Word


class Request(msgspec.Struct, array_like=True, frozen=True):
    """`method` of the control interface; `params` are canonical MessagePack."""

    method: Word
    params: bytes


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """`payload` is canonical MessagePack: the event, the result, or the error (code, message, hint, field)."""

    status: Literal["event", "ok", "error"]
    payload: bytes


__all__ = ["Reply", "Request"]
