"""What an event costs, beside a bare loop. By hand: `.venv/bin/python tests/benchmarks/bench_events.py`.

One process, `--subscribers` subscribers, one of them with a filter on a field. `bare` calls the same callbacks in a
loop; `publish` hands over events that exist; `emit` also makes and checks them; `listener` is a queue with its reader.
Latency is from the call of `publish` to the first line of the last subscriber. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.protocol.messages.events import MeshEvent

VALUES = {"device": "kitchen", "name": "kitchen tablet"}


def per_second(count: int, work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


async def listened(bus: EventBus, events: list[MeshEvent]) -> float:
    listener = bus.listen("system.device.*", name="bench", size=len(events) + 1)
    begun = time.perf_counter()

    async def read() -> None:
        for _ in events:
            await anext(listener)

    reading = asyncio.ensure_future(read())
    for number, event in enumerate(events):
        bus.publish(event)
        if number % 64 == 0:
            await asyncio.sleep(0)
    await reading
    listener.close()
    return len(events) / (time.perf_counter() - begun)


def measure(count: int, subscribers: int) -> dict[str, float | int]:
    bus = EventBus(bytes(20), SystemClock(), SystemEntropy())
    seen = [0] * subscribers
    called_at = 0.0

    def callback_of(index: int) -> Callable[[MeshEvent], None]:
        def callback(event: MeshEvent) -> None:
            seen[index] += 1

        return callback

    callbacks = [callback_of(index) for index in range(subscribers)]
    for index, callback in enumerate(callbacks):
        pattern = ("system.device.*", "system.*", "*", "system.device.lost")[index % 4]
        bus.subscribe(pattern, callback, where=("device", "kitchen") if index == 0 else None)
    for index in range(100):
        bus.subscribe(f"action.w{index}", callbacks[0])
    events = [bus.make("system.device.lost", VALUES) for _ in range(count)]

    def bare() -> None:
        for event in events:
            for callback in callbacks:
                callback(event)

    def publish() -> None:
        for event in events:
            bus.publish(event)

    def emit() -> None:
        for _ in events:
            bus.emit("system.device.lost", VALUES)

    bare_s, publish_s, emit_s = (per_second(count, work) for work in (bare, publish, emit))
    latencies: list[float] = []

    def last(event: MeshEvent) -> None:
        latencies.append(time.perf_counter() - called_at)

    end = bus.subscribe("system.device.lost", last)
    for event in events:
        called_at = time.perf_counter()
        bus.publish(event)
    end()
    latencies.sort()
    return {
        "events": count,
        "subscribers": subscribers,
        "bare_per_s": round(bare_s),
        "publish_per_s": round(publish_s),
        "emit_per_s": round(emit_s),
        "listener_per_s": round(asyncio.run(listened(bus, events))),
        "publish_to_bare": round(bare_s / publish_s, 2),
        "emit_to_bare": round(bare_s / emit_s, 2),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 4),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--subscribers", type=int, default=8)
    options = parser.parse_args()
    print(json.dumps(measure(options.events, options.subscribers)))


if __name__ == "__main__":
    main()
