"""Requests that members send for their users: each a signed REQUEST, answered by signed REPLYs.

The principal is the device that asked. A request runs as one task; when its device is lost or its method ends, that
task ends. At most `REQUESTS_MAX` run at once for each device, so that one device cannot occupy the coordinator.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any, Final

from kindmesh.coordinator.api import Method, find
from kindmesh.coordinator.params import Params
from kindmesh.mesh.hub import Hub
from kindmesh.protocol.codec import decode_value, encode, encode_value
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import Busy, KindmeshError, TransportError, error_to_wire
from kindmesh.protocol.ids import short_id
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.messages import MessageType, Reply, Request

log = logging.getLogger("kindmesh.coordinator.remote")

REQUESTS_MAX: Final = 64


class Remote:
    """Serves `methods` to members over `hub`."""

    def __init__(self, hub: Hub, methods: dict[str, Method]) -> None:
        self._hub = hub
        self._methods = methods
        self._tasks: dict[asyncio.Task[None], bytes] = {}
        self._open: Counter[bytes] = Counter()
        hub.on(MessageType.REQUEST, self._on_request)
        hub.on_peer(self._on_peer)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_request(self, envelope: Envelope, body: Request) -> None:
        src = envelope.header.src
        task = asyncio.get_running_loop().create_task(self._serve(src, envelope.header.message_id, body))
        self._tasks[task] = src
        self._open[src] += 1
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._open[self._tasks.pop(task)] -= 1

    async def _serve(self, src: bytes, request_id: bytes, request: Request) -> None:
        def emit(event: Any) -> None:
            try:
                self._answer(src, request_id, Reply("event", encode_value(event)))
            except TransportError as error:
                log.info("event not delivered", extra={"code": error.code, "peer": src.hex()[:8]})

        try:
            if self._open[src] > REQUESTS_MAX:
                raise Busy("this device asks for too much at once", hint="Wait until some of it is answered.")
            method = find(self._methods, request.method, local=False)
            params = Params(decode_value(request.params, limit=BODY_MAX))
            reply = Reply("ok", encode_value(await method(params, emit, f"device {short_id(src)}")))
        except KindmeshError as error:
            reply = Reply("error", encode(error_to_wire(error)))
        try:
            self._answer(src, request_id, reply)
        except TransportError as error:
            log.warning("answer not delivered", extra={"code": error.code, "peer": src.hex()[:8]})

    def _answer(self, src: bytes, request_id: bytes, reply: Reply) -> None:
        self._hub.post(src, MessageType.REPLY, reply, reply_to=request_id)

    def _on_peer(self, peer: bytes, up: bool) -> None:
        if not up:
            for task in [task for task, src in self._tasks.items() if src == peer]:
                task.cancel()


__all__ = ["Remote"]
