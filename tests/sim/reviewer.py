"""Medulla in the simulation: the real service over its own store and keys, and a link to it that can break.

`MedullaHouse` is the process: it takes request frames after a moment, all that came in as one batch, and answers a
moment later; when it is killed, what was asked is answered by nobody. `SimulatedLink` is what the coordinator holds in
place of its socket: everything above `call` is the shipped client.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tests.sim.process import outside

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.service import Service
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.errors import NotRunning, PeerUnreachable, WireError, error_from_wire

T = TypeVar("T", bound=msgspec.Struct)
LINK_S = 0.001


class MedullaHouse:
    """Medulla as a process; `start`, `kill`, and again."""

    def __init__(self, folder: Path, seed: str, clock: Clock) -> None:
        self._folder, self._seed, self._clock = folder, seed, clock
        self._service: Service | None = None
        self._lives = 0
        self._frames: list[tuple[bytes, asyncio.Future[bytes]]] = []

    @property
    def alive(self) -> bool:
        return self._service is not None

    def start(self) -> None:
        self._lives += 1
        entropy = SeededEntropy(f"{self._seed}/medulla/{self._lives}")
        self._service = Service(self._folder, "landlock", clock=self._clock, entropy=entropy)

    def kill(self) -> None:
        """Every batch is committed when it is decided, so that there is nothing to lose but the answers."""
        if self._service is not None:
            self._service.close()
            self._service = None
        frames, self._frames = self._frames, []
        for _, answer in frames:
            self._lost(answer)

    def ask(self, frame: bytes, answer: asyncio.Future[bytes]) -> None:
        if self._service is None:
            raise NotRunning("Medulla is not running, so nothing can be permitted")
        self._frames.append((frame, answer))
        if len(self._frames) == 1:
            with outside():
                asyncio.get_running_loop().call_later(LINK_S, self._decide)

    def _decide(self) -> None:
        frames, self._frames = self._frames, []
        if self._service is None or not frames:
            return
        life = self._lives
        replies = self._service.process([frame for frame, _ in frames])
        for (_, answer), reply in zip(frames, replies, strict=True):
            asyncio.get_running_loop().call_later(LINK_S, self._reply, life, answer, reply)

    def _reply(self, life: int, answer: asyncio.Future[bytes], reply: bytes) -> None:
        if self._service is None or life != self._lives:
            self._lost(answer)
        elif not answer.done():
            answer.set_result(reply[4:])

    def _lost(self, answer: asyncio.Future[bytes]) -> None:
        if not answer.done():
            answer.set_exception(PeerUnreachable("Medulla ended before it answered"))


class SimulatedLink(MedullaClient):
    """The shipped client, with the house in place of the socket."""

    def __init__(self, house: MedullaHouse) -> None:
        super().__init__(Path("nowhere"))
        self._house = house
        self._calls = 0

    async def call(self, method: str, params: msgspec.Struct, answer: type[T]) -> T:
        self._calls += 1
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._house.ask(msgspec.msgpack.encode((self._calls, method, params)), reply)
        received: Any = msgspec.msgpack.decode(await reply, type=m.Reply)
        if received.status != "ok":
            raise error_from_wire(msgspec.msgpack.decode(received.payload, type=WireError))
        return msgspec.msgpack.decode(received.payload, type=answer)


__all__ = ["MedullaHouse", "SimulatedLink"]
