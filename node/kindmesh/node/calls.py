"""Session calls: read-only operations answered at once, without a permit, a journal or a signature of their own.

They come over a live session, whose keys prove who asks. Only operations that the manifest marks `session_call` are
served this way, which by rule only read. Nothing is kept: a call that is lost is asked again. What the node itself
answers, such as pages of its audit log for the coordinator, is in `own`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kindmesh.mesh.endpoint import Endpoint
from kindmesh.node.admission import Room
from kindmesh.node.supervisor import Supervisor
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import (
    CapabilityCrashed,
    InternalError,
    InvalidInput,
    KindmeshError,
    PermitMissing,
    TransportError,
    error_to_wire,
)
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.messages import Call, CallReply, SessionType

log = logging.getLogger("kindmesh.node.calls")

_NO_JOB = bytes(16)
Own = Callable[[Any], Any]
"""Answers at once, with plain data, or raises a `KindmeshError`."""


class SessionCalls:
    """Answers CALLs of one endpoint."""

    def __init__(
        self, endpoint: Endpoint, supervisor: Supervisor, room: Room, own: Mapping[str, Own] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._supervisor = supervisor
        self._room = room
        self._own = own or {}
        self._tasks: set[asyncio.Task[None]] = set()
        endpoint.on_session(SessionType.CALL, self._on_call)

    def _on_call(self, peer: bytes, ref: int, body: Any) -> None:
        call: Call = body
        try:
            if call.operation in self._own:
                answer = self._own[call.operation](decode_value(call.args))
                self._reply(peer, ref, CallReply(encode_value(answer)))
                return
            operation = self._supervisor.find(call.operation)
            if not operation.session_call or operation.effects != Effect.READ:
                raise PermitMissing(f"{call.operation} needs a job with a permit", hint="Send it as a job.")
            if len(call.args) > operation.limits.max_input_bytes:
                raise InvalidInput(f"the values of {call.operation} are too large", hint="Send less.")
            values = decode_value(call.args)
            self._room.check(operation, "interactive")
        except KindmeshError as error:
            self._reply(peer, ref, CallReply(b"", error_to_wire(error)))
            return
        self._room.enter(operation.name)
        task = asyncio.get_running_loop().create_task(self._answer(peer, ref, call, operation, values))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, peer, ref, operation))

    async def _answer(self, peer: bytes, ref: int, call: Call, operation: Operation, values: Any) -> None:
        timeout_ms = min(call.timeout_ms, operation.limits.timeout_ms)
        try:
            value = await self._supervisor.call(operation.name, values, job_id=_NO_JOB, timeout_ms=timeout_ms)
            data = encode_value(value)
            if len(data) > operation.limits.max_output_bytes:
                raise InternalError(f"{operation.name} answered with more than it promises")
            reply = CallReply(data)
            self._supervisor.succeeded(operation.name)
        except KindmeshError as error:
            reply = CallReply(b"", error_to_wire(error))
        self._reply(peer, ref, reply)

    def _ended(self, peer: bytes, ref: int, operation: Operation, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.leave(operation.name)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a capability failed", exc_info=error, extra={"operation": operation.name})
            self._supervisor.failed(operation.name, f"a mistake of its own ({type(error).__name__})")
            failure = CapabilityCrashed(f"{operation.name} failed by a mistake of its own")
            self._reply(peer, ref, CallReply(b"", error_to_wire(failure)))

    def _reply(self, peer: bytes, ref: int, reply: CallReply) -> None:
        try:
            self._endpoint.tell(peer, SessionType.CALL_REPLY, reply, ref)
        except TransportError as error:
            log.info("a call was not answered", extra={"code": error.code})

    async def close(self) -> None:
        """Cancel what still runs."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


__all__ = ["SessionCalls"]
