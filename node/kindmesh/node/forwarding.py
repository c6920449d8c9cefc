"""Passes on to the coordinator what a local client asks and is not this device's own business.

A call becomes a signed REQUEST; its REPLYs come back as events and one result. Nothing is retried here: what was lost
is an error that says so, and whoever asked decides (submitting the same key twice makes one job). When the local
client goes, its waiting ends; the coordinator's work does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.removal import check_not_removed, removal
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.codec import decode, decode_value, encode_value
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import (
    Malformed,
    PeerUnreachable,
    WireError,
    error_from_wire,
)
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.messages import MessageType, Reply, Request


class Forwarding:
    """One endpoint's requests to its coordinator."""

    def __init__(self, endpoint: Endpoint, trust: Trust) -> None:
        self._endpoint = endpoint
        self._trust = trust
        self._waiting: dict[bytes, tuple[asyncio.Future[Any], Callable[[Any], None]]] = {}
        endpoint.on(MessageType.REPLY, self._on_reply)
        endpoint.on_peer(self._on_peer)

    async def ask(self, method: str, params: Any, event: Callable[[Any], None]) -> Any:
        """The coordinator's result; what it sends before goes to `event`.

        Raises:
            Revoked: this device was removed from the mesh.
            PeerUnreachable: it cannot be reached, or the link was lost before it answered.
            KindmeshError: what it answered.
        """
        check_not_removed(self._trust)
        coordinator = self._trust.coordinator.subject
        try:
            request_id = self._endpoint.post(
                coordinator, MessageType.REQUEST, Request(method, encode_value(params))
            )
        except PeerUnreachable as error:
            raise PeerUnreachable(
                "the coordinator cannot be reached now", hint="Is it switched on, and in the same network?"
            ) from error
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = (answer, event)
        try:
            return await answer
        finally:
            self._waiting.pop(request_id, None)

    def _on_reply(self, envelope: Envelope, body: Any) -> None:
        reply: Reply = body
        answer, event = self._waiting.get(envelope.header.in_reply_to, (None, None))
        if (
            answer is None
            or event is None
            or answer.done()
            or envelope.header.src != self._trust.coordinator.subject
        ):
            return
        try:
            if reply.status == "event":
                event(decode_value(reply.payload, limit=BODY_MAX))
            elif reply.status == "ok":
                answer.set_result(decode_value(reply.payload, limit=BODY_MAX))
            else:
                answer.set_exception(error_from_wire(decode(WireError, reply.payload)))
        except Malformed as error:
            answer.set_exception(error)

    def _on_peer(self, peer: bytes, up: bool) -> None:
        if up:
            return
        gone = removal(self._trust)
        for answer, _ in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(
                    gone
                    or PeerUnreachable(
                        "the link to the coordinator was lost before it answered",
                        hint="Ask again when it is back; kindmesh jobs shows what became of it.",
                    )
                )


__all__ = ["Forwarding"]
