"""Requests that members send for their users: each a signed REQUEST, answered by signed REPLYs.

The principal is the person who signed it, else the device that asked. A
request runs as one task; when its device is lost or its method ends, that
task ends. At most `REQUESTS_MAX` run at once for each device, so that one device cannot occupy the coordinator. Every
request is answered: with an error when the answer is too large for a message, or when a method has a bug. A member
whose certificate has ended may only stop, and raise alerts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kindmesh.coordinator.api import Method, find
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.mesh.hub import Hub
from kindmesh.protocol.codec import decode_value, encode, encode_value
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import (
    Busy,
    FrameTooLarge,
    InternalError,
    KindmeshError,
    error_to_wire,
)
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.messages import MessageType, Reply, Request
from kindmesh.protocol.principal import device_principal

log = logging.getLogger("kindmesh.coordinator.remote")

REQUESTS_MAX: Final = 64
ROOM: Final = 64
"""What a REPLY's other fields take of its body."""


class Remote:
    """Serves `methods` to members over `hub`."""

    def __init__(
        self,
        hub: Hub,
        methods: dict[str, Method],
        check_current: Callable[[bytes], None],
        is_harmless: Callable[[str], bool],
        people: PeopleDesk | None = None,
    ) -> None:
        """`check_current` refuses a member outside its certificate's time; `is_harmless` says of an operation that
        it only reads and notifies; without `people` every request is the device's own."""
        self._hub = hub
        self._people = people
        self._methods = methods
        self._check_current = check_current
        self._is_harmless = is_harmless
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
        request_id = envelope.header.message_id
        if self._open[src] >= REQUESTS_MAX:
            busy = Busy("this device asks for too much at once", hint="Wait until some of it is answered.")
            self._answer(src, request_id, _refusal(busy))
            return
        task = asyncio.get_running_loop().create_task(self._serve(src, request_id, body))
        self._tasks[task] = src
        self._open[src] += 1
        task.add_done_callback(partial(self._done, request_id))

    def _done(self, request_id: bytes, task: asyncio.Task[None]) -> None:
        src = self._tasks.pop(task)
        self._open[src] -= 1
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a request went wrong", exc_info=error, extra={"peer": src.hex()[:8]})
            self._answer(src, request_id, _refusal(InternalError()))

    async def _serve(self, src: bytes, request_id: bytes, request: Request) -> None:
        def emit(event: Any) -> None:
            self._answer(src, request_id, Reply("event", encode_value(event)))

        try:
            method = find(self._methods, request.method, local=False)
            params, who = Params(decode_value(request.params, limit=BODY_MAX)), device_principal(src)
            # `stop` is everybody's, and waits for nobody.
            if self._people is not None and request.method != "stop":
                await self._people.ready()
                params, who = self._people.identify(request.method, params, src)
            if not self._is_urgent(request.method, params):
                self._check_current(src)
            reply = Reply("ok", encode_value(await method(params, emit, who)))
        except KindmeshError as error:
            reply = _refusal(error)
        self._answer(src, request_id, reply)

    def _is_urgent(self, method: str, params: Params) -> bool:
        """Whether also a member whose certificate has ended may ask for it: `stop`, and alerts."""
        if method != "submit":
            return method == "stop"
        return params.text("priority", "") == "emergency" and self._is_harmless(params.text("operation", ""))

    def _answer(self, src: bytes, request_id: bytes, reply: Reply) -> None:
        try:
            if len(reply.payload) > BODY_MAX - ROOM:
                raise FrameTooLarge(
                    f"the answer has {len(reply.payload)} bytes", hint="Ask for less at once."
                )
            self._hub.post(src, MessageType.REPLY, reply, reply_to=request_id)
        except FrameTooLarge as error:
            log.warning("answer too large", extra={"code": error.code, "peer": src.hex()[:8]})
            if reply.status == "ok":
                self._answer(src, request_id, _refusal(error))
        except KindmeshError as error:
            log.warning("answer not delivered", extra={"code": error.code, "peer": src.hex()[:8]})

    def _on_peer(self, peer: bytes, up: bool) -> None:
        if not up:
            for task in [task for task, src in self._tasks.items() if src == peer]:
                task.cancel()


def _refusal(error: KindmeshError) -> Reply:
    return Reply("error", encode(error_to_wire(error)))


__all__ = ["Remote"]
