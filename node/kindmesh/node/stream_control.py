"""Streams for programs of the user on this machine, over the control socket of a node or of a coordinator.

    stream.open    asks for the permit, opens, says `open` as an event, and answers when the stream has ended
    stream.write   hands over input; answered when there is room for more: that is the back-pressure
    stream.read    answers with what has come, as soon as something has
    stream.cancel  ends it

The stream belongs to its `stream.open`: when the program goes, the connection ends and the far end is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kindmesh.mesh.stream_end import StreamHandle
from kindmesh.mesh.streams import Streams, stream_open
from kindmesh.node.stream_permit import Permitted
from kindmesh.protocol import stream_words as w
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import (
    Cancelled,
    InvalidInput,
    KindmeshError,
    StreamBroken,
    UnknownJob,
    error_to_wire,
)
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import RESULT_MAX, STREAM_FRAME_MAX

PIECES: Final = 8
"""At most so many pieces in one answer of `stream.read`."""
WRITE_MAX: Final = 8 * STREAM_FRAME_MAX

Emit = Callable[[Any], None]


Listen = Callable[[], Awaitable[tuple[str, ...]]]
AskPermit = Callable[[dict[str, Any], Emit], Awaitable[Permitted]]


class StreamControl:
    """See the module; `permit` gets what is needed, from the coordinator or here."""

    def __init__(self, streams: Streams, permit: AskPermit, listen: Listen | None = None) -> None:
        """`listen` opens a door for direct links; a coordinator needs none."""
        self._streams = streams
        self._listen = listen
        self._permit = permit
        self._open: dict[str, StreamHandle] = {}

    async def open(self, params: Any, emit: Emit) -> dict[str, Any]:
        """`stream.open {operation, args, target?, max_ms?, max_bytes?}`; the document of its end.

        Raises:
            PermitRefused and its kin, NoDeviceAble, PeerUnreachable, Busy, InvalidInput: it was not opened.
        """
        permitted = await self._permit(_mapping(params), emit)
        spec, stream_id = permitted.spec, permitted.stream_id
        at = () if self._listen is None else await self._listen()
        asked = stream_open(stream_id, permitted.operation, permitted.args, permitted.permit, at)
        stream = await self._streams.open(
            asked, permitted.target, takes=spec.direction != "in", gives=spec.direction != "out"
        )
        name = format_time_id(stream_id)
        self._open[name] = stream
        emit({
            "event": "open", "stream": name, "device": format_id(permitted.target),
            "device_name": permitted.device_name, "route": stream.route, "direction": spec.direction,
            "input": _media(spec.input), "output": _media(spec.output), "max_ms": permitted.bounds.duration_ms,
            "max_bytes": permitted.bounds.data_bytes,
        })  # fmt: skip
        route = stream.route
        try:
            over = await stream.ended()
            route = stream.route or route
        finally:
            if not stream.over.done():
                stream.abort("cancelled", Cancelled("whoever asked for the stream has gone"))
            # What has arrived may still be read for a moment.
            asyncio.get_running_loop().call_later(_LINGER_S, self._open.pop, name, None)
        return {**_ended(stream, over, route), "stream": name, "operation": permitted.operation,
                "device": format_id(permitted.target), "device_name": permitted.device_name}  # fmt: skip

    async def write(self, params: Any, emit: Emit) -> dict[str, Any]:
        """`stream.write {stream, data, last?, final?}`.

        Raises:
            KindmeshError: the stream has ended; why.
        """
        values = _mapping(params)
        stream = self._find(values)
        data = values.get("data", b"")
        if not isinstance(data, bytes) or len(data) > WRITE_MAX:
            raise InvalidInput(f"data should be bytes, at most {WRITE_MAX}", field="data")
        if data or not values.get("final"):
            await stream.write(data, last=values.get("last", True) is not False)
        if values.get("final"):
            stream.close_output()
        return {"written": len(data)}

    async def read(self, params: Any, emit: Emit) -> dict[str, Any]:
        """`stream.read {stream}`: `pieces` of `[data, last]`, and `over` when there are no more.

        Raises:
            KindmeshError: the stream ended otherwise than well; why.
        """
        stream = self._find(_mapping(params))
        first = await stream.read()
        if first is None:
            return {"pieces": [], "over": True}
        pieces = [first]
        while len(pieces) < PIECES and stream.machine.readable:
            more = await stream.read()
            if more is None:
                break
            pieces.append(more)
        shown = [[piece.data, piece.last] for piece in pieces if not (piece.final and not piece.data)]
        return {"pieces": shown, "over": pieces[-1].final}

    async def cancel(self, params: Any, emit: Emit) -> dict[str, Any]:
        """`stream.cancel {stream}`: answered when the far end has stopped, or cannot be reached."""
        stream = self._find(_mapping(params))
        stream.abort("cancelled", Cancelled("it was cancelled"))
        over = await stream.ended()
        return {"stream": _mapping(params)["stream"], "reason": over.reason, "confirmed": over.confirmed}

    def served(self) -> list[dict[str, Any]]:
        """What this device serves now."""
        return [
            {"stream": format_time_id(stream.stream_id), "device": format_id(stream.peer), "route": stream.route,
             "bytes_in": stream.machine.receiving.offset, "bytes_out": stream.machine.sending.offset}
            for stream in self._streams.open_streams
            if stream.acting
        ]  # fmt: skip

    def listing(self) -> list[dict[str, Any]]:
        """What is open from here."""
        return [
            {
                "stream": name,
                "device": format_id(stream.peer),
                "route": stream.route,
                "state": stream.machine.state,
            }
            for name, stream in self._open.items()
        ]

    def _find(self, values: dict[str, Any]) -> StreamHandle:
        stream = self._open.get(str(values.get("stream", "")))
        if stream is None:
            raise UnknownJob("there is no such stream here", hint="It may have ended.")
        return stream


_LINGER_S: Final = 30.0


def _mapping(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise InvalidInput("the parameters are not a set of named values", field="params")
    return params


def _media(media: Any) -> dict[str, Any] | None:
    return None if media is None else {name: getattr(media, name) for name in media.__struct_fields__}


def _ended(stream: StreamHandle, over: w.Over, route: str) -> dict[str, Any]:
    machine = stream.machine
    document: dict[str, Any] = {
        "ok": over.reason == "done", "reason": over.reason, "confirmed": over.confirmed, "route": route,
        "bytes_in": machine.receiving.offset, "bytes_out": machine.sending.offset,
        "value": decode_value(over.value, limit=RESULT_MAX) if over.value else None,
    }  # fmt: skip
    error: KindmeshError | None = over.error
    if error is None and over.reason != "done":
        error = StreamBroken(f"the stream ended: {over.reason}")
    if error is not None:
        wire = error_to_wire(error)
        document["error"] = {
            "code": wire.code,
            "message": wire.message,
            "hint": wire.hint,
            "field": wire.field,
        }
    return document


__all__ = ["PIECES", "WRITE_MAX", "AskPermit", "StreamControl"]
