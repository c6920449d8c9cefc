"""Medulla in the simulation: the real service over its own store and keys, behind a socket that can break.

`MedullaHouse` is the process: it takes request frames after a moment, all that came in as one batch, and answers a
moment later; when it is killed, its connections end and what was asked is answered by nobody. `SimulatedLink` is the
shipped client; only what it connects to is no real socket.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.service import Service
from kindmesh.coordinator.simulate.process import OWNER, Process, outside
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.errors import NotRunning

LINK_S: Final = 0.001
"""How long a frame takes, each way."""


class MedullaHouse:
    """Medulla as a process; `start`, `kill`, and again."""

    def __init__(self, folder: Path, seed: str, clock: Clock) -> None:
        self._folder, self._seed, self._clock = folder, seed, clock
        self._service: Service | None = None
        self._lives = 0
        self._frames: list[tuple[Wire, bytes]] = []
        self._wires: list[Wire] = []

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._service is not None

    def start(self) -> None:
        """Begin a new life, from its disk."""
        self._lives += 1
        entropy = SeededEntropy(f"{self._seed}/medulla/{self._lives}")
        self._service = Service(self._folder, "landlock", clock=self._clock, entropy=entropy)

    def kill(self) -> None:
        """Every batch is committed when it is decided, so that there is nothing to lose but the answers."""
        if self._service is not None:
            self._service.close()
            self._service = None
        self._frames.clear()
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.lost()

    def connect(self, client: MedullaClient) -> Wire:
        """A connection for the process that asks for it.

        Raises:
            NotRunning: nobody listens.
        """
        process = OWNER.get()
        if self._service is None or process is None:
            raise NotRunning("Medulla is not running, so nothing can be permitted")
        wire = Wire(self, client, process)
        self._wires.append(wire)
        return wire

    def take(self, wire: Wire, data: bytes) -> None:
        """Whole frames, as the client writes them."""
        waiting = bool(self._frames)
        while data:
            size = 4 + int.from_bytes(data[:4], "big")
            self._frames.append((wire, data[4:size]))
            data = data[size:]
        if not waiting:
            with outside():
                asyncio.get_running_loop().call_later(LINK_S, self._decide, self._lives)

    def _decide(self, life: int) -> None:
        if self._service is None or life != self._lives or not self._frames:
            return
        frames, self._frames = self._frames, []
        replies = self._service.process([frame for _, frame in frames])
        for wire in dict.fromkeys(wire for wire, _ in frames):
            mine = b"".join(reply for (owner, _), reply in zip(frames, replies, strict=True) if owner is wire)
            asyncio.get_running_loop().call_later(LINK_S, wire.answer, mine)


class Wire(asyncio.Transport):
    """One connection of one process to the house."""

    def __init__(self, house: MedullaHouse, client: MedullaClient, process: Process) -> None:
        super().__init__()
        self._house, self._client, self._process = house, client, process
        self._open = True

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        if self._open:
            self._house.take(self, bytes(data))

    def close(self) -> None:
        self._open = False

    def is_closing(self) -> bool:
        return not self._open

    def answer(self, data: bytes) -> None:
        """What Medulla wrote arrives."""
        if self._open and not self._process.dead:
            with self._process.inside():
                self._process.step(self._client.data_received, data)

    def lost(self) -> None:
        """The other side is gone."""
        if self._open and not self._process.dead:
            self._open = False
            with self._process.inside():
                self._process.step(self._client.connection_lost, None)


class SimulatedLink(MedullaClient):
    """The shipped client, with the house in place of a socket."""

    def __init__(self, house: MedullaHouse) -> None:
        super().__init__(Path("nowhere"))
        self._house = house

    async def _connect(self) -> None:
        self.connection_made(self._house.connect(self))


__all__ = ["MedullaHouse", "SimulatedLink"]
