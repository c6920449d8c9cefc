"""Where a stream begins: which device serves it, Medulla's `session` permit, and the owner's yes where it needs one.

    a program here          stream.open   -> permit -> this coordinator opens the stream itself
    a program on a node     its node asks stream.permit -> permit for that node -> the node opens the stream itself

A stream is no job: it is for somebody who is there, and a stream that broke off is begun anew. So nothing is journaled
here; Medulla writes down what it permitted, and the device that acts what it did. The permit names the one device that
may open the stream, and its bounds. Frames between two nodes that cannot reach each other pass through here
(`mesh.stream_relay`) under keys that are not here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.brain.medulla.messages import PermitRequest, Verdict
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.medulla_client import Reviewer
from kindmesh.coordinator.params import Params
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.streams import Streams
from kindmesh.node.stream_control import StreamControl
from kindmesh.node.stream_permit import Permitted
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    Denied,
    InvalidInput,
    KindmeshError,
    NeedsApproval,
    NoDeviceAble,
)
from kindmesh.protocol.ids import RANDOM_BYTES, format_time_id, new_id
from kindmesh.protocol.limits import ARGUMENTS_MAX, STREAM_BYTES_MAX, STREAM_DURATION_MAX_MS
from kindmesh.protocol.manifest import Operation, check_fields
from kindmesh.protocol.policy import Approval, ApprovalRequest
from kindmesh.protocol.principal import OWNER, Principal
from kindmesh.protocol.roles import PURPOSES
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.stream_spec import StreamBounds, bounds_for

WAITING_MAX: Final = 32
"""Streams that wait for the owner's yes."""


class _Waiting:
    """A stream that waits for a person; `answered` with the verdict."""

    __slots__ = ("answered", "operation")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.answered: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()


class StreamDesk:
    """See the module."""

    def __init__(self, *, hub: Hub, heart: Heart, reviewer: Reviewer, clock: Clock, entropy: Entropy) -> None:
        self._hub = hub
        self._heart = heart
        self._reviewer = reviewer
        self._clock = clock
        self._entropy = entropy
        self.streams = Streams(hub, clock, entropy, relays=True)
        self.control = StreamControl(self.streams, self._for_own_program)
        self._waiting: dict[bytes, _Waiting] = {}

    def methods(self) -> dict[str, Method]:
        """For the control table; all but `stream.permit` are for this machine only."""
        return {
            "stream.permit": self._for_member,
            "stream.open": self._open,
            "stream.write": self._write,
            "stream.read": self._read,
            "stream.cancel": self._cancel,
        }

    async def _open(self, params: Params, emit: Emit, who: Principal) -> Any:
        if who.kind != "owner":
            raise AccessRefused("streams for a person are not there yet", hint="Leave out --as.")
        return await self.control.open(params.values, emit)

    async def _write(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self.control.write(params.values, emit)

    async def _read(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self.control.read(params.values, emit)

    async def _cancel(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self.control.cancel(params.values, emit)

    async def _for_own_program(self, values: dict[str, Any], emit: Emit) -> Permitted:
        return await self._permit(Params(values), emit, OWNER, self._hub.device_id)

    async def _for_member(self, params: Params, emit: Emit, who: Principal) -> Any:
        if not who.device:
            raise AccessRefused(
                "stream.permit is for other devices", field="method", hint="Use stream.open here."
            )
        permitted = await self._permit(params, emit, who, who.device)
        return {"permitted": encode(permitted)}

    async def _permit(self, params: Params, emit: Emit, who: Principal, opener: bytes) -> Permitted:
        """Choose a device and have Medulla permit the stream.

        Raises:
            UnknownOperation, InvalidInput, NoDeviceAble: what is wrong with the wish, the field named.
            Denied, NeedsApproval: Medulla or the owner said no, or nobody answered.
            NotRunning, PeerUnreachable: Medulla is not there.
        """
        name, wanted = params.text("operation"), params.text("target", "")
        target = self._heart.devices.resolve(wanted) if wanted else b""
        self._heart.devices.seats(name)
        choice = self._heart.choose(name, target)
        if not choice.device:
            raise NoDeviceAble(f"no device can do {name} now: {choice.why}", hint=choice.hint)
        operation = self._offered(name, choice.device)
        if operation.stream is None:
            raise InvalidInput(f"{name} does not stream", field="operation", hint="Use kindmesh call.")
        args = encode_value(check_fields(operation.input, params.mapping("args")))
        bounds = bounds_for(
            operation.stream,
            params.number("max_ms", 0, most=STREAM_DURATION_MAX_MS),
            params.number("max_bytes", 0, most=STREAM_BYTES_MAX),
        )
        stream_id = new_id(self._clock.now_ms(), self._entropy.token(RANDOM_BYTES))
        request = PermitRequest(
            stream_id, 0, stream_id, name, choice.device, args, 1, who, readers=(opener,),
            purpose=params.choice("purpose", PURPOSES, "household"), stream=bounds,
        )  # fmt: skip
        permit = await self._judged(request, emit)
        return Permitted(
            stream_id, choice.device, self._heart.devices.name(choice.device), name, args, permit, operation.stream,
            StreamBounds(bounds.duration_ms, bounds.data_bytes),
        )  # fmt: skip

    def _offered(self, name: str, device: bytes) -> Operation:
        seats = self._heart.devices.seats(name)
        return next(seat.operation for seat in seats if seat.candidate.device == device)

    async def _judged(self, request: PermitRequest, emit: Emit) -> Signed:
        asked: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

        def done(verdict: Verdict | KindmeshError) -> None:
            if asked.done():
                return
            if isinstance(verdict, KindmeshError):
                asked.set_exception(verdict)
            else:
                asked.set_result(verdict)

        self._reviewer.ask(request, done)
        verdict = await asked
        if verdict.answer == "ask":
            verdict = await self._approved(request, verdict, emit)
        if verdict.answer != "allow" or verdict.permit is None:
            raise Denied("; ".join(verdict.reasons) or "Medulla does not allow this")
        return verdict.permit

    # The owner's yes.

    async def _approved(self, request: PermitRequest, verdict: Verdict, emit: Emit) -> Verdict:
        """Wait, as long as whoever asked does, and the question lives."""
        if len(self._waiting) >= WAITING_MAX:
            raise Busy(
                "too many streams wait for the owner's yes already", hint="kindmesh review answers them."
            )
        shown = decode(ApprovalRequest, verdict.request, limit=2 * ARGUMENTS_MAX)
        waiting = self._waiting[request.job_id] = _Waiting(request.operation)
        name = format_time_id(request.job_id)
        emit(
            {
                "event": "approval",
                "stream": name,
                "request": verdict.request,
                "reasons": list(verdict.reasons),
            }
        )
        left_s = max(0.0, (shown.expires_ms - self._clock.now_ms()) / 1000)
        try:
            return await asyncio.wait_for(waiting.answered, left_s)
        except TimeoutError as error:
            raise NeedsApproval(f"nobody answered whether {request.operation} may stream") from error
        finally:
            del self._waiting[request.job_id]

    async def approve(self, approval: Signed) -> dict[str, Any] | None:
        """Pass on a person's signed answer if it is about a stream; None when it is not.

        Raises:
            Malformed, BadSignature, PermitRefused and its kin, NotRunning: what Medulla says.
        """
        answer = decode(Approval, approval.payload, limit=3 * ARGUMENTS_MAX)
        asked = decode(ApprovalRequest, answer.request, limit=2 * ARGUMENTS_MAX)
        waiting = self._waiting.get(asked.job_id)
        if waiting is None:
            return None
        verdict = await self._reviewer.approve(approval, 1)
        if not waiting.answered.done():
            waiting.answered.set_result(verdict)
        return {
            "stream": format_time_id(asked.job_id),
            "operation": waiting.operation,
            "answer": verdict.answer,
        }


__all__ = ["StreamDesk"]
