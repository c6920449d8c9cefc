"""Virtual time, and the clocks and random sources that stand for real ones."""

from __future__ import annotations

import asyncio
import time

import pytest

from kindmesh.mesh.clock import FlooredClock, SystemClock, SystemEntropy
from kindmesh.mesh.virtual import EPOCH_MS, Deadlock, SeededEntropy, SimulatedClock, run_virtual
from kindmesh.protocol.errors import InternalError


def test_a_day_passes_at_once() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400 * 3)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main()) == pytest.approx(86_400 * 3)
    assert time.monotonic() - began < 5


def test_timers_fire_in_order_and_time_does_not_pass_while_there_is_work() -> None:
    order: list[tuple[str, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(2, lambda: order.append(("two", loop.time())))
        loop.call_later(1, lambda: order.append(("one", loop.time())))
        for _ in range(1_000):
            await asyncio.sleep(0)
        order.append(("busy", loop.time()))
        await asyncio.sleep(3)

    run_virtual(main())
    assert order == [("busy", 0.0), ("one", pytest.approx(1)), ("two", pytest.approx(2))]


def test_timeouts_work() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(30)


def test_waiting_for_nothing_is_a_deadlock_and_not_a_hang() -> None:
    cleaned: list[bool] = []

    async def main() -> None:
        await asyncio.sleep(5)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(True)

    with pytest.raises(Deadlock, match=r"5\.000 s"):
        run_virtual(main())
    assert cleaned == [True]


def test_worker_threads_are_the_loop_itself() -> None:
    async def main() -> tuple[int, float]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        result = await asyncio.to_thread(lambda: 6 * 7)
        return result, asyncio.get_running_loop().time()

    assert run_virtual(main()) == (42, 0.0)


def test_sockets_are_refused_with_a_hint() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(InternalError, match="no sockets") as caught:
            loop.add_reader(0, print)
        assert "memory transport" in caught.value.hint
        with pytest.raises(InternalError):
            loop.add_writer(0, print)

    run_virtual(main())


def test_a_simulated_clock_follows_the_loop_and_can_be_wrong() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        right, behind = SimulatedClock(loop), SimulatedClock(loop, skew_ms=-600_000)
        await asyncio.sleep(1.5)
        assert right.now_ms() == EPOCH_MS + 1_500
        assert behind.now_ms() == right.now_ms() - 600_000
        behind.skew_ms = 10
        assert behind.now_ms() == right.now_ms() + 10
        assert right.monotonic() == behind.monotonic() == loop.time()

    run_virtual(main())


def test_a_floored_clock_never_reads_below_what_it_was_told_and_goes_on_from_there() -> None:
    async def main() -> None:
        base = SimulatedClock(asyncio.get_running_loop())
        clock = FlooredClock(base, floor_ms=EPOCH_MS - 5_000)
        assert clock.now_ms() == EPOCH_MS
        clock.raise_floor(EPOCH_MS + 60_000)
        assert clock.now_ms() == EPOCH_MS + 60_000
        await asyncio.sleep(1)
        assert clock.now_ms() == EPOCH_MS + 61_000
        clock.raise_floor(EPOCH_MS)
        assert clock.now_ms() == clock.floor_ms == EPOCH_MS + 61_000
        base.skew_ms = 3_600_000
        assert clock.now_ms() == base.now_ms()
        base.skew_ms = -3_600_000
        assert clock.now_ms() == EPOCH_MS + 61_000
        assert clock.monotonic() == base.monotonic()

    run_virtual(main())


def test_the_real_clock_and_the_real_entropy() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 1_000
    assert clock.monotonic() <= clock.monotonic()
    one, other = SystemEntropy().token(32), SystemEntropy().token(32)
    assert len(one) == 32
    assert one != other


def test_seeded_entropy_repeats_itself() -> None:
    one, again, other = SeededEntropy(7), SeededEntropy(7), SeededEntropy("household 8")
    assert [one.token(10), one.token(3)] == [again.token(10), again.token(3)]
    assert SeededEntropy(7).token(10) != other.token(10)
