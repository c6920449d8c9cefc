"""Time and randomness that a test drives: hours pass in milliseconds, and the same seed gives the same run.

`VirtualLoop` is an asyncio event loop without the outside world. When nothing is ready, its time jumps to the next
timer. When there is no timer either, everybody waits for something that can never happen: `Deadlock`. It has no
sockets, pipes, signals or subprocesses and says so; work for a worker thread is done on the next turn in the loop's
own thread, so that `asyncio.to_thread` has one outcome only. `SimulatedClock` reads that loop and can be wrong on
purpose (skew); `SeededEntropy` repeats itself for the same seed and is never for keys that matter.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from kindmesh.protocol.errors import InternalError

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

EPOCH_MS = 1_767_225_600_000
"""Where simulated wall clocks start: 2026-01-01 00:00 UTC."""


class Deadlock(InternalError):
    """Everything waits, and no timer is left that could wake anything."""


class _Jump:
    """Stands where a loop has its selector: instead of waiting, it moves the loop's time."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock(
                f"everything waits at {self.now:.3f} s of virtual time and no timer is left",
                hint="Something awaits a message that was lost, or a real thread or socket.",
            )
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time; `loop.time()` starts at 0 seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Jump()
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._selector.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Call `func` in the loop's own thread, on its next turn."""

        async def call() -> _T:
            return func(*args)

        return self.create_task(call())

    def add_reader(self, fd: object, callback: Callable[[*_Ts], object], *args: *_Ts) -> NoReturn:
        """Refused: there are no sockets in virtual time."""
        raise InternalError("a virtual loop has no sockets", hint="Use the memory transport, or a real loop.")

    def add_writer(self, fd: object, callback: Callable[[*_Ts], object], *args: *_Ts) -> NoReturn:
        """Refused: there are no sockets in virtual time."""
        self.add_reader(fd, callback, *args)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Nothing to shut down: there are no threads."""

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing ever comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody has to be woken."""


def run_virtual(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` to its end in virtual time and clean up, like `asyncio.run`.

    Raises:
        Deadlock: everything waits for ever.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class SimulatedClock:
    """A device's clock in virtual time; `skew_ms` is how wrong it is (negative: behind) and may change at any time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, start_ms: int = EPOCH_MS, skew_ms: int = 0
    ) -> None:
        self._loop = loop
        self._start_ms = start_ms
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        """UTC, milliseconds since 1970, as this device believes."""
        return self._start_ms + round(self._loop.time() * 1000) + self.skew_ms

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._loop.time()


class SeededEntropy:
    """The same bytes for the same seed. For simulations: anybody can guess them."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        """The next `size` bytes of the sequence."""
        return self._random.randbytes(size)


__all__ = ["EPOCH_MS", "Deadlock", "SeededEntropy", "SimulatedClock", "VirtualLoop", "run_virtual"]
