"""Streams that this device serves: judged once when they are opened, again whenever what is known changes.

A stream is let in when its `session` permit says so (`gate.check_stream`), the permit was not used before (on the disk
before anything is begun, so neither a restart nor a second copy of the opening begins it again), and there is room. Its
task runs the operation with the stream as its `Duplex`; however that task or the stream ends, the other one ends too.
What flows is checked against the manifest's media. `stop`, a newer policy, a removed member or a stale list of removals
end it as they would refuse it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

from kindmesh.capabilities.base import Piece
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.stream_end import StreamHandle
from kindmesh.mesh.streams import Accepted, Streams
from kindmesh.mesh.trust import Trust
from kindmesh.node.admission import Room
from kindmesh.node.gate import check_running, check_stream, open_signed_permit
from kindmesh.node.journal import NodeJournal
from kindmesh.node.standing import standing
from kindmesh.node.stream_journal import StreamJournal
from kindmesh.node.supervisor import Supervisor
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import (
    Cancelled,
    CapabilityCrashed,
    InternalError,
    InvalidInput,
    KindmeshError,
    PermitMismatch,
    PermitUsed,
    Stopped,
)
from kindmesh.protocol.extensions import check_extensions
from kindmesh.protocol.ids import short_id
from kindmesh.protocol.limits import RESULT_MAX
from kindmesh.protocol.manifest import Effect, Operation, artifacts_in, check_fields
from kindmesh.protocol.messages import StreamOpen
from kindmesh.protocol.messages.streams import StreamReason
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.stream_spec import MediaCheck, StreamBounds, StreamMedia, StreamSpec

log = logging.getLogger("kindmesh.node.streaming")

_ANYTHING: Final = StreamMedia("bytes")


class _Checked:
    """A stream as the operation sees it: what flows is what the manifest says."""

    def __init__(self, stream: StreamHandle, spec: StreamSpec) -> None:
        self._stream = stream
        self._input = MediaCheck(spec.input or _ANYTHING)
        self._output = MediaCheck(spec.output or _ANYTHING)
        self._gives = spec.direction != "in"

    async def read(self) -> Piece | None:
        """See `Duplex`; InvalidInput when the opener sends something else than the operation takes."""
        frame = await self._stream.read()
        try:
            # What ends in the middle of an item is looked at like an item.
            self._input.look(b"" if frame is None else frame.data, last=frame is None or frame.last)
        except InvalidInput as error:
            # Whoever pumps it to a worker only sees that nothing more comes; so it ends here.
            self._stream.abort("failed", error)
            raise
        if frame is None or (frame.final and not frame.data):
            return None
        return Piece(frame.data, frame.last)

    async def write(self, data: bytes, *, last: bool = True) -> None:
        """See `Duplex`."""
        if not self._gives:
            raise InternalError("the operation sends where its manifest says that nothing flows")
        self._look(data, last=last)
        await self._stream.write(data, last=last)

    def finished(self) -> None:
        """The operation has ended well. Raises: InternalError, as `write`."""
        self._look(b"", last=True)

    def _look(self, data: bytes, *, last: bool) -> None:
        try:
            self._output.look(data, last=last)
        except InvalidInput as error:
            wrong = InternalError(f"the operation sends something else than it promises: {error.message}")
            self._stream.abort("failed", wrong)
            raise wrong from error


class _Serving:
    """One stream that is served."""

    __slots__ = ("operation", "permit", "stream", "task", "values")

    def __init__(self, operation: Operation, permit: Permit, values: dict[str, Any]) -> None:
        self.operation = operation
        self.permit = permit
        self.values = values
        self.stream: StreamHandle | None = None
        self.task: asyncio.Task[None] | None = None


class Streaming:
    """See the module; `tick` once a heartbeat, `close` before the streams."""

    def __init__(
        self,
        *,
        streams: Streams,
        device: bytes,
        trust: Trust,
        journal: NodeJournal,
        kept: StreamJournal,
        supervisor: Supervisor,
        room: Room,
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._device = device
        self._trust = trust
        self._journal = journal
        self._kept = kept
        self._supervisor = supervisor
        self._room = room
        self._clock = clock
        self._serving: dict[bytes, _Serving] = {}
        self._closed = False
        streams.on_open = self._judge

    # Opening.

    def _judge(self, opener: bytes, asked: StreamOpen) -> Accepted:
        try:
            return self._judged(opener, asked)
        except KindmeshError as error:
            self._kept.refused(opener, error.code)
            raise

    def _judged(self, opener: bytes, asked: StreamOpen) -> Accepted:
        if self._closed:
            raise Stopped("this device is just being switched off")
        check_extensions(asked.ext)
        permit = open_signed_permit(asked.permit, self._trust.membership.anchors)
        if (permit.mesh, permit.target) != (self._trust.mesh, self._device):
            raise PermitMismatch("the permit is for another device", field="target")
        operation = self._supervisor.find(asked.operation)
        spec = operation.stream
        if spec is None:
            raise InvalidInput(
                f"{operation.name} does not stream", field="operation", hint="Use kindmesh call."
            )
        now_ms = self._clock.now_ms()
        known = standing(self._trust, self._journal, opener, now_ms)
        check_stream(asked, permit, operation, known, now_ms, opener=opener)
        self._journal.see_policy(permit.policy_version)
        if len(asked.args) > operation.limits.max_input_bytes:
            raise InvalidInput(f"the values of {operation.name} are too large", hint="Send less.")
        values = check_fields(operation.input, decode_value(asked.args))
        if artifacts_in(operation.input, values):
            raise InvalidInput(
                f"{operation.name} takes no files as a stream", hint="Stream the bytes instead."
            )
        self._room.check(operation, "interactive")
        if not self._kept.use(permit, now_ms):
            raise PermitUsed("this permit opened its stream already", hint="Ask for a new one.")
        bounds = StreamBounds(
            min(permit.duration_ms, spec.duration_ms), min(permit.stream_bytes, spec.data_bytes)
        )
        serving = _Serving(operation, permit, values)
        self._kept.begun(asked, opener, permit)
        return Accepted(
            bounds, spec.direction != "out", spec.direction != "in", partial(self._begin, serving, spec)
        )

    def _begin(self, serving: _Serving, spec: StreamSpec, stream: StreamHandle) -> None:
        serving.stream = stream
        self._serving[stream.stream_id] = serving
        self._room.enter(serving.operation.name)
        task = asyncio.get_running_loop().create_task(self._run(serving, stream, spec), name="stream")
        serving.task = task
        stream.over.add_done_callback(lambda _: task.cancel())
        task.add_done_callback(partial(self._ended, serving, stream))

    async def _run(self, serving: _Serving, stream: StreamHandle, spec: StreamSpec) -> None:
        operation = serving.operation
        try:
            await self._kept.written(full=bool(operation.effects & ~int(Effect.READ)))
            duplex = _Checked(stream, spec)
            value = await self._supervisor.call(
                operation.name,
                serving.values,
                job_id=stream.stream_id,
                timeout_ms=min(serving.permit.duration_ms, spec.duration_ms),
                duplex=duplex,
            )
            duplex.finished()
            data = encode_value(value)
            if len(data) > min(operation.limits.max_output_bytes, RESULT_MAX):
                raise InternalError(f"{operation.name} answered with more than it promises")
            stream.finish(data)
            await stream.ended()
        except KindmeshError as error:
            if isinstance(error, (CapabilityCrashed, InternalError)):
                self._supervisor.failed(operation.name)
            stream.abort("failed", error)

    def _ended(self, serving: _Serving, stream: StreamHandle, task: asyncio.Task[None]) -> None:
        self._serving.pop(stream.stream_id, None)
        self._room.leave(serving.operation.name)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a capability failed", exc_info=error, extra={"operation": serving.operation.name})
            self._supervisor.failed(serving.operation.name)
            stream.abort(
                "failed", CapabilityCrashed(f"{serving.operation.name} failed by a mistake of its own")
            )
        elif task.cancelled():
            stream.abort("stopped", Cancelled("the device ended it"))
        over = stream.over.result()
        machine = stream.machine
        size = machine.sending.offset + machine.receiving.offset
        code = "" if over.error is None else over.error.code
        self._kept.ended(serving.permit, stream.peer, over.reason, code=code, size=size)

    # What ends them.

    def stop(self, sender: bytes) -> None:
        """The device was told to stop: what moves, switches or speaks ends (the latch is set)."""
        self._look("stopped", f"{short_id(sender)} told this device to stop")

    def look(self) -> None:
        """What this device knows may have changed."""
        self._look("stopped", "")

    def _look(self, reason: StreamReason, why: str) -> None:
        now_ms = self._clock.now_ms()
        # Those that this device opened, too: what it sends would go on to whoever was removed.
        gone = {stream.peer for stream in self._streams.open_streams} & self._trust.membership.revoked
        for member in gone:
            self._streams.drop(member)
        for serving in list(self._serving.values()):
            stream = serving.stream
            if stream is None:
                continue
            try:
                known = standing(self._trust, self._journal, stream.peer, now_ms)
                check_running(serving.operation, serving.permit, known, now_ms)
            except Stopped as error:
                stream.abort(reason, Stopped(why) if why else error)
            except KindmeshError as error:
                stream.abort(reason, error)

    def tick(self) -> None:
        """Once a heartbeat."""
        if self._serving:
            self.look()

    @property
    def running(self) -> list[tuple[bytes, str, str]]:
        """(stream id, operation, route) of those that are served."""
        return [
            (key, serving.operation.name, serving.stream.route if serving.stream is not None else "")
            for key, serving in self._serving.items()
        ]

    async def close(self) -> None:
        """End all of them, and wait for the operations to end."""
        self._closed = True
        tasks = [serving.task for serving in self._serving.values() if serving.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


__all__ = ["Streaming"]
