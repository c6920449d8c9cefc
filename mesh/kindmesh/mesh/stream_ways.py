"""The ways from this device to the other end of a stream: a direct link, else the coordinator, which passes frames on.

Frames of a stream take the best way there is now. Its signed messages (opened, answered, ended) go as any other message
does, so that they do not depend on a direct link that may have gone; over that link only when there is no other way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from kindmesh.mesh.endpoint import Endpoint
from kindmesh.protocol.errors import KindmeshError, PeerUnreachable, TransportError
from kindmesh.protocol.messages import MessageType

log = logging.getLogger("kindmesh.mesh.streams")


class StreamWays:
    """See the module. `endpoint` reaches everybody, perhaps through the coordinator; those that are added reach whom
    they are linked to only."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._direct: list[Endpoint] = []

    def add(self, endpoint: Endpoint) -> None:
        """There is a direct link more."""
        self._direct.append(endpoint)

    def remove(self, endpoint: Endpoint) -> None:
        """That direct link is closed for good."""
        if endpoint in self._direct:
            self._direct.remove(endpoint)

    def route(self, peer: bytes) -> str:
        """How frames get there now: `direct`, `relayed`, or empty: not at all."""
        if any(endpoint.connected(peer) for endpoint in self._direct) or self._endpoint.connected(peer):
            return "direct"
        try:
            return "relayed" if self._endpoint.connected(self._endpoint.hop_to(peer)) else ""
        except TransportError:
            return ""

    def to(self, peer: bytes) -> Endpoint:
        """The endpoint over which frames get there best."""
        return next((one for one in self._direct if one.connected(peer)), self._endpoint)

    def deliver(self, peer: bytes, frames: Sequence[bytes]) -> None:
        """Send a signed message.

        Raises:
            PeerUnreachable and other `TransportError`s: there is no way.
        """
        try:
            self._endpoint.deliver(peer, frames)
        except PeerUnreachable:
            way = self.to(peer)
            if way is self._endpoint:
                raise
            way.deliver(peer, frames)

    def say(self, peer: bytes, type_: MessageType, body: msgspec.Struct) -> None:
        """Write a message and send it; whoever does not hear it asks again."""
        try:
            _, frames = self._endpoint.letters.write(type_, peer, body)
            self.deliver(peer, frames)
        except KindmeshError as error:
            log.info("not told", extra={"code": error.code, "type": type_.name})


__all__ = ["StreamWays"]
