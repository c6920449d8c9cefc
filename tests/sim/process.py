"""Simulated processes on one virtual loop: each can be killed between any two of its callbacks.

A process owns the callbacks, timers and tasks that its own code schedules: which one that is travels in a context
variable, as asyncio copies contexts anyway. `HouseLoop` counts the steps of every process and runs nothing of one that
is dead, no `finally`, no callback: as after `kill -9`. What crosses a `ProcessTransport` changes hands: under way it is
the network's, and it arrives in the receiver's process. A dead process is kept, frozen, until `bury` lets its tasks
end, after all evidence was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from kindmesh.mesh.memory import MemoryChannel, MemoryListener, MemoryNetwork, MemoryTransport
from kindmesh.mesh.transport import Admit, LinkWatcher, PeerWatcher, Receiver, TransportStatistics
from kindmesh.mesh.virtual import VirtualLoop
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import TransportClosed

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Killed(Exception):
    """What was awaited of a process that has died meanwhile."""


class Process:
    """One life of one simulated process. `aftermath` is called once, outside of it, when it has died."""

    def __init__(self, name: str, aftermath: Callable[[Process], None]) -> None:
        self.name = name
        self.dead = False
        self.steps = 0
        self.fatal_step = 0
        """The step at which it dies; 0: none."""
        self.gone = asyncio.Event()
        self._aftermath = aftermath
        self._frozen: list[Callable[[], object]] = []
        self._buried = False

    def step(self, callback: Callable[..., object], *args: Any) -> None:
        """Run one callback of this process, unless it is dead."""
        if self._buried:
            callback(*args)
            return
        self.steps += 1
        if self.steps == self.fatal_step:
            self.die()
        if self.dead:
            self._frozen.append(partial(callback, *args))
        else:
            callback(*args)

    def die(self) -> None:
        """Nothing of this process runs from now on, apart from the rest of the callback that it is in."""
        if not self.dead:
            self.dead = True
            with outside():
                asyncio.get_running_loop().call_soon(self._died)

    def _died(self) -> None:
        self._aftermath(self)
        self.gone.set()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is called here is done by this process."""
        token = OWNER.set(self)
        try:
            yield
        finally:
            OWNER.reset(token)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the process do something; for whoever looks at it from outside.

        Raises:
            Killed: it died before that was done.
        """
        with self.inside():
            task = asyncio.get_running_loop().create_task(work)
        gone = asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not task.done():
            raise Killed(self.name)
        return task.result()

    def bury(self) -> None:
        """Let the tasks of a dead process end; what they do has no effect on anything that counts any more."""
        self._buried = True
        frozen, self._frozen = self._frozen, []
        with self.inside():
            for callback in frozen:
                asyncio.get_running_loop().call_soon(callback)


OWNER: ContextVar[Process | None] = ContextVar("process", default=None)


@contextmanager
def outside() -> Iterator[None]:
    """What is called here is done by no process: the network, the test."""
    token = OWNER.set(None)
    try:
        yield
    finally:
        OWNER.reset(token)


class HouseLoop(VirtualLoop):
    """A virtual loop that knows whose callbacks it runs."""

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(_owned(callback, context), *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when, _owned(callback, context), *args, context=context)


def _owned(callback: Callable[[*Ts], object], context: Context | None) -> Callable[[*Ts], object]:
    owner = OWNER.get() if context is None else context.get(OWNER)
    if owner is None:
        return callback

    def owned(*args: *Ts) -> None:
        owner.step(callback, *args)

    return owned


def run_house(main: Coroutine[Any, Any, T]) -> T:
    """`run_virtual` on a `HouseLoop`."""
    with asyncio.Runner(loop_factory=HouseLoop) as runner:
        return runner.run(main)


class ProcessTransport:
    """The transport of one process; implements `kindmesh.mesh.transport.Transport` over the memory network."""

    def __init__(self, process: Process, network: MemoryNetwork, place: str) -> None:
        self.process = process
        self.inner = MemoryTransport(network, place)

    def listen(self, address: str, key: CurveKey, admit: Admit) -> _Listener:
        return _Listener(self.process, self.inner.listen(address, key, admit))

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> _Channel:
        return _Channel(self.process, self.inner.dial(address, server_key, key))


class _End:
    def __init__(self, process: Process) -> None:
        self.process = process

    def guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def arrive(*args: Any) -> None:
            if not self.process.dead:
                with self.process.inside():
                    self.process.step(callback, *args)

        return arrive

    @contextmanager
    def leaving(self) -> Iterator[None]:
        if self.process.dead:
            raise TransportClosed("this process is dead")
        with outside():
            yield


class _Listener(_End):
    def __init__(self, process: Process, inner: MemoryListener) -> None:
        super().__init__(process)
        self._inner = inner

    @property
    def address(self) -> str:
        return self._inner.address

    async def start(self, receiver: Receiver, watch: PeerWatcher | None = None) -> None:
        with self.leaving():
            await self._inner.start(self.guarded(receiver), self.guarded(watch) if watch else None)

    def send(self, hop_key: bytes, frames: Sequence[bytes]) -> None:
        with self.leaving():
            self._inner.send(hop_key, frames)

    def peers(self) -> frozenset[bytes]:
        return self._inner.peers()

    def statistics(self) -> TransportStatistics:
        return self._inner.statistics()

    async def close(self) -> None:
        with outside():
            await self._inner.close()


class _Channel(_End):
    def __init__(self, process: Process, inner: MemoryChannel) -> None:
        super().__init__(process)
        self._inner = inner

    @property
    def hop_key(self) -> bytes:
        return self._inner.hop_key

    @property
    def connected(self) -> bool:
        return self._inner.connected

    async def start(self, receiver: Receiver, watch: LinkWatcher | None = None) -> None:
        with self.leaving():
            await self._inner.start(self.guarded(receiver), self.guarded(watch) if watch else None)

    def send(self, frames: Sequence[bytes]) -> None:
        with self.leaving():
            self._inner.send(frames)

    def statistics(self) -> TransportStatistics:
        return self._inner.statistics()

    async def close(self) -> None:
        with outside():
            await self._inner.close()


__all__ = ["OWNER", "HouseLoop", "Killed", "Process", "ProcessTransport", "outside", "run_house"]
