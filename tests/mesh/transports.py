"""What the transport tests share: two kinds of network, an inbox, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kindmesh.mesh.memory import MemoryNetwork, MemoryTransport
from kindmesh.mesh.transport import Channel, Listener, Transport
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.crypto import CurveKey

SERVER = CurveKey(b"server".ljust(32, b"."))
CLIENT = CurveKey(b"client".ljust(32, b"."))
STRANGER = CurveKey(b"stranger".ljust(32, b"."))
PATIENCE_S = 10.0


class World:
    """One network and what the tests opened on it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._network = MemoryNetwork(seed=7, high_water=16)
        self._ends: list[Listener | Channel] = []
        self._devices = 0
        self.members: set[bytes] = {SERVER.public, CLIENT.public}

    @property
    def address(self) -> str:
        """Somewhere to listen."""
        return "memory://desk" if self.kind == "memory" else "tcp://127.0.0.1:0"

    def device(self) -> Transport:
        """The transport of one more device."""
        self._devices += 1
        if self.kind == "memory":
            return MemoryTransport(self._network, f"device-{self._devices}")
        return ZmqTransport(high_water=16)

    def admit(self, hop_key: bytes) -> bool:
        """Members only."""
        return hop_key in self.members

    async def listen(self, inbox: Inbox, *, address: str = "", key: CurveKey = SERVER) -> Listener:
        """A started listener."""
        listener = self.device().listen(address or self.address, key, self.admit)
        self._ends.append(listener)
        await listener.start(inbox.receive, inbox.met)
        return listener

    async def dial(
        self, address: str, inbox: Inbox, *, key: CurveKey = CLIENT, server: bytes = SERVER.public
    ) -> Channel:
        """A started channel, not necessarily connected."""
        channel = self.device().dial(address, server, key)
        self._ends.append(channel)
        await channel.start(inbox.receive, inbox.linked)
        return channel

    async def connect(self, listener: Listener, inbox: Inbox, *, key: CurveKey = CLIENT) -> Channel:
        """A channel that both ends know to be connected."""
        met = listener.statistics().connects
        channel = await self.dial(listener.address, inbox, key=key)
        await until(lambda: channel.connected and listener.statistics().connects > met)
        return channel

    async def close(self) -> None:
        """Close whatever is open."""
        for end in self._ends:
            await end.close()


class Inbox:
    """Takes what arrives, in order."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[bytes, list[bytes]]] = asyncio.Queue()
        self.links: list[bool] = []
        self.peers: list[tuple[bytes, bool]] = []

    def receive(self, hop_key: bytes, frames: list[bytes]) -> None:
        self.messages.put_nowait((hop_key, frames))

    def linked(self, up: bool) -> None:
        self.links.append(up)

    def met(self, hop_key: bytes, here: bool) -> None:
        self.peers.append((hop_key, here))

    async def take(self) -> tuple[bytes, list[bytes]]:
        """The next message."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.messages.get()

    async def frames(self) -> list[bytes]:
        """The frames of the next message."""
        return (await self.take())[1]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, looking again after every few milliseconds of the loop's work."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)
