"""Simulated processes on one virtual loop: each can be killed, or stopped, between any two of its callbacks.

A process owns the callbacks, timers and tasks that its own code schedules: which one that is travels in a context
variable, as asyncio copies contexts anyway. `HouseLoop` counts the steps of every process and runs nothing of one that
is dead, no `finally`, no callback: as after `kill -9`. One that is stopped (SIGSTOP, a lid that is closed) runs nothing
either, and afterwards everything that came due meanwhile, in order. What crosses a `ProcessTransport` changes hands:
under way it is the network's, and it arrives in the receiver's process. A dead process is kept, frozen, until `bury`
lets its tasks end, after all evidence was taken. `CutOff` ends the callback that it is raised in, for deaths in the
middle of one. `HouseLoop.skip` passes quiet time: see there.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Final, TypeVar, TypeVarTuple, cast

from kindmesh.mesh.memory import MemoryChannel, MemoryListener, MemoryNetwork, MemoryTransport
from kindmesh.mesh.transport import Admit, LinkWatcher, PeerWatcher, Receiver, TransportStatistics
from kindmesh.mesh.virtual import VirtualLoop
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import TransportClosed

SHORT_S: Final = 6.5
"""Longer than any pause of the things that happen again and again while nothing happens."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Killed(Exception):
    """What was awaited of a process that has died meanwhile."""


class CutOff(BaseException):
    """Raised in the middle of a callback of a process that dies there; nothing catches it but `Process`."""


class Process:
    """One life of one simulated process. `aftermath` is called once, outside of it, when it has died; `witness`, if
    there is one, whenever it changes something in the world (see `work`)."""

    def __init__(self, name: str, aftermath: Callable[[Process], None]) -> None:
        self.name = name
        self.dead = self.stopped = False
        self.steps = 0
        self.fatal_step = 0
        """The step at which it dies; 0: none."""
        self.gone = asyncio.Event()
        self.witness: Callable[[bytes, str, dict[str, Any]], None] | None = None
        self._aftermath = aftermath
        self._frozen: list[Callable[[], object]] = []
        self._held: list[Callable[[], object]] = []
        self._buried = False
        self._asked: set[asyncio.Task[Any]] = set()
        """What somebody outside awaited; it is kept while it is frozen."""

    def step(self, callback: Callable[..., object], *args: Any) -> None:
        """Run one callback of this process, unless it is dead; later, if it is stopped."""
        if self.stopped and not self.dead:
            self._held.append(partial(self.step, callback, *args))
            return
        if self._buried:
            callback(*args)
            return
        self.steps += 1
        if self.steps == self.fatal_step:
            self.die()
        if self.dead:
            self._frozen.append(partial(callback, *args))
            return
        try:
            callback(*args)
        except CutOff:
            self.die()

    def die(self) -> None:
        """Nothing of this process runs from now on, apart from the rest of the callback that it is in."""
        if not self.dead:
            self.dead, self.stopped = True, False
            with outside():
                asyncio.get_running_loop().call_soon(self._died)

    def stop(self) -> None:
        """Nothing of this process runs until `go_on`."""
        self.stopped = not self.dead

    def go_on(self) -> None:
        """Everything that came due while it was stopped runs now."""
        if self.stopped:
            self.stopped = False
            held, self._held = self._held, []
            with self.inside():
                for callback in held:
                    _call_soon(callback)

    def hold(self, callback: Callable[[], object]) -> None:
        """Keep something for `go_on`."""
        self._held.append(callback)

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
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
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


class _Owned:
    """A callback of a process, and the handle that cancels it."""

    __slots__ = ("callback", "handle", "owner")

    def __init__(self, owner: Process, callback: Callable[..., object]) -> None:
        self.owner = owner
        self.callback = callback
        self.handle: asyncio.Handle | None = None

    def __call__(self, *args: Any) -> None:
        if self.owner.stopped and not self.owner.dead:
            self.owner.hold(partial(self._late, *args))
        else:
            self.owner.step(self.callback, *args)

    def _late(self, *args: Any) -> None:
        # Whoever ran before it, after the process went on, may have cancelled it, as on any loop.
        handle = self.handle
        if handle is None or handle.cancelled():
            return
        handle._context.run(self, *args)  # type: ignore[attr-defined] # where it was going to run


def _call_soon(callback: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    asyncio.BaseEventLoop.call_soon(loop, callback)  # type: ignore[arg-type] # past the counting of steps


class HouseLoop(VirtualLoop):
    """A virtual loop that knows whose callbacks it runs. `skipped_s` is how much time was skipped."""

    skipped_s = 0.0
    _scheduled: list[asyncio.TimerHandle]
    _timer_cancelled_count: int

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's, for whoever calls."""
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is None:
            return super().call_soon(callback, *args, context=context)
        owned = _Owned(owner, callback)
        handle = owned.handle = super().call_soon(
            cast("Callable[[*Ts], object]", owned), *args, context=context
        )
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's, for whoever calls."""
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is None:
            return super().call_at(when, callback, *args, context=context)
        owned = _Owned(owner, callback)
        handle = owned.handle = super().call_at(
            when, cast("Callable[[*Ts], object]", owned), *args, context=context
        )
        return handle

    def skip(self, seconds: float) -> float:
        """Let up to so much time pass at once; returns how much did.

        All that is due within `SHORT_S` (heartbeats, looks, resends) is moved along; everything that is due later is
        not, and limits how far it goes: nothing is ever late by it. So a stretch in which nothing happens costs one
        heartbeat instead of one a second. The clocks of `world` do not count it as
        time that was waited through: no silence seems long.
        """
        now = self.time()
        timers = [timer for timer in self._scheduled if not timer.cancelled()]
        soon = [timer for timer in timers if timer.when() - now <= SHORT_S]
        later = [timer.when() - now - SHORT_S for timer in timers if timer.when() - now > SHORT_S]
        passed = min([seconds, *later])
        if passed <= 0:
            return 0.0
        for timer in soon:
            timer._when += passed  # type: ignore[attr-defined] # how asyncio keeps it
        for timer in self._scheduled:
            if timer.cancelled():
                timer._scheduled = False  # type: ignore[attr-defined] # so that it is not counted again
        self._timer_cancelled_count = 0
        heapq.heapify(timers)
        self._scheduled = timers
        self._selector.now += passed
        self.skipped_s += passed
        return passed


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
        """As `MemoryTransport.listen`."""
        return _Listener(self.process, self.inner.listen(address, key, admit))

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> _Channel:
        """As `MemoryTransport.dial`."""
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


__all__ = [
    "OWNER",
    "SHORT_S",
    "CutOff",
    "HouseLoop",
    "Killed",
    "Process",
    "ProcessTransport",
    "outside",
    "run_house",
]
