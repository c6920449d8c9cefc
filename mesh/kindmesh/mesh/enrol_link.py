"""A dialled connection on which two devices that are not members of one mesh yet talk in turns.

Entering a `Link` waits until it is up; `receive` gives one message after the other, decoded by what the conversation
speaks. A refusal of the other side is raised as the error that it says, a link that does not hold as `LinkBroken`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Self, TypeVar

import msgspec

from kindmesh.mesh.transport import Transport
from kindmesh.protocol.adopt import AdoptRefused
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.enrol import EnrolRefused
from kindmesh.protocol.errors import TransportError, error_from_wire

T = TypeVar("T")
M = TypeVar("M", bound=msgspec.Struct)

ANSWER_S = 5.0
"""How long the other side may take for what needs no person."""


class LinkBroken(Exception):
    """The link did not hold; `reached` when the other side had answered at all."""

    def __init__(self, reached: bool) -> None:
        self.reached = reached


class Link(Generic[M]):
    """See the module. `curve_pub` is the key that the other side has to prove, `key` our own."""

    def __init__(
        self,
        transport: Transport,
        address: str,
        curve_pub: bytes,
        key: CurveKey,
        decode: Callable[[bytes], M],
    ) -> None:
        self._channel = transport.dial(address, curve_pub, key)
        self._decode = decode
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._up = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self._channel.start(lambda hop, frames: self._inbox.put_nowait(frames[0]), self._watch)
            await _within(self._up.wait(), ANSWER_S, reached=False)
        except TransportError as error:
            await self._channel.close()
            raise LinkBroken(False) from error
        except BaseException:
            await self._channel.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    def _watch(self, connected: bool) -> None:
        if connected:
            self._up.set()
        elif self._up.is_set():
            self._inbox.put_nowait(None)

    def send(self, message: M) -> None:
        """One message.

        Raises:
            LinkBroken.
        """
        try:
            self._channel.send([encode(message)])
        except TransportError as error:
            raise LinkBroken(True) from error

    async def receive(self, patience_s: float | None = ANSWER_S) -> M:
        """The next message; None waits as long as the link holds.

        Raises:
            LinkBroken. KindmeshError: what the other side says went wrong.
        """
        waiting = self._inbox.get()
        data = await (_within(waiting, patience_s, reached=True) if patience_s else waiting)
        if data is None:
            raise LinkBroken(True)
        message = self._decode(data)
        if isinstance(message, (EnrolRefused, AdoptRefused)):
            raise error_from_wire(message.error)
        return message


async def _within(waiting: Coroutine[Any, Any, T], patience_s: float, *, reached: bool) -> T:
    try:
        return await asyncio.wait_for(waiting, patience_s)
    except TimeoutError as error:
        raise LinkBroken(reached) from error


__all__ = ["ANSWER_S", "Link", "LinkBroken"]
