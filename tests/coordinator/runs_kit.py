"""A desk with a Heart and runs, between the fake nodes and Medulla of `heart_kit`, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.coordinator.heart_kit import ALL, FakeNode, Rig

from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.virtual import SimulatedClock, run_virtual
from kindmesh.protocol.ids import parse_time_id
from kindmesh.protocol.messages.events import MeshEvent, fits
from kindmesh.protocol.plan import Plan, plan_from_document


def plan(*steps: dict[str, Any], **more: Any) -> Plan:
    """A plan of these steps."""
    return plan_from_document({"plan": 1, "steps": list(steps), **more})


def call(name: str, text: Any = "hi", operation: str = "device.echo", **more: Any) -> dict[str, Any]:
    """A step that calls an operation of the fake nodes; its output is what it was given."""
    return {"id": name, "call": operation, "args": {"text": text}, **more}


class RunRig(Rig):
    """A `Rig` with `runs`; `life` counts the coordinator's."""

    runs: Runs
    life = 0
    kept: tuple[MeshEvent, ...] = ()
    """Durable events, the oldest first."""

    async def start(self, *, up: bool = True) -> RunRig:
        await super().start(up=False)
        self.life += 1
        self.bus = EventBus(self.household.identities["desk"].device_id, self.clock, self.entropy)
        self.runs = Runs(
            heart=self.heart,
            store=self.store,
            vault=self.vault,
            clock=self.clock,
            entropy=self.entropy,
            bus=self.bus,
            past=self.past,
        )
        self.runs.recover()
        if up:
            for node in self.nodes.values():
                node.up(ALL)
        return self

    def past(self, since_ms: int, pattern: str) -> list[MeshEvent]:
        """As the log of events."""
        return [event for event in self.kept if event.at_ms >= since_ms and fits(pattern, event.topic)]

    async def crash(self) -> None:
        self.store.abandon()
        await self.runs.close()
        await super().crash()

    async def close(self) -> None:
        await self.runs.close()
        await super().close()

    async def restart(self) -> None:
        """`kill -9` and a new coordinator; the nodes keep what they know."""
        await self.crash()
        await self.start()

    async def ended(self, run_id: bytes, within_s: float = 3_600) -> dict[str, Any]:
        """The run's document once it has ended."""
        return await asyncio.wait_for(self.runs.wait(run_id), within_s)

    def state(self, run_id: bytes, path: str) -> str:
        """How an item stands; empty when it has not begun."""
        items = {item["path"]: item["state"] for item in self.runs.document(run_id)["items"]}
        return str(items.get(path, ""))

    async def until(self, run_id: bytes, path: str, state: str) -> None:
        """Wait until an item is in a state."""
        for _ in range(10_000):
            if self.state(run_id, path) == state:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{path} is {self.state(run_id, path)}, not {state}")

    def done(self) -> list[str]:
        """What the nodes have begun, each time it was: the texts, in order of the tables."""
        return [text for node in self.nodes.values() for text in texts(node)]


def texts(node: FakeNode) -> list[str]:
    """What a node was told to do, once for each time that it did."""
    return [node.said[job_id] for job_id, times in node.begun.items() for _ in range(times)]


def items(document: dict[str, Any]) -> dict[str, str]:
    """How the items of a run stand, by path."""
    return {item["path"]: item["state"] for item in document["items"]}


def job_of(document: dict[str, Any], path: str) -> bytes:
    """The id of an item's job."""
    (item,) = [item for item in document["items"] if item["path"] == path]
    return parse_time_id(item["job"]["job"])


Body = Callable[[RunRig], Awaitable[None]]
Test = Callable[[Path], None]


def virtual(*names: str) -> Callable[[Body], Test]:
    """Run the test in virtual time, with a rig that has these nodes."""

    def decorate(body: Body) -> Test:
        def test(tmp_path: Path) -> None:
            async def main() -> None:
                clock = SimulatedClock(asyncio.get_running_loop())
                rig = await RunRig(tmp_path, clock, *(names or ("phone",))).start()
                await rig.settle()
                await body(rig)
                await rig.close()

            run_virtual(main())

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        return test

    return decorate


__all__ = ["RunRig", "call", "items", "job_of", "plan", "texts", "virtual"]
