"""What a node tells: its capabilities' events in their own name, around what it does, and when it was stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.node.rig import rig, value

from kindmesh.protocol.messages.events import MeshEvent


async def test_a_capability_tells_what_it_notices_in_its_own_name_and_class(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, made.node() as node:
        heard: list[MeshEvent] = []
        node.bus.subscribe("perception.*", heard.append)
        told = await made.desk.run(made.id(), "probe.read", {"text": "tell all"})
        assert value(told) == {"text": "tell all"}
        (event,) = heard
        assert (event.topic, event.source) == ("perception.probe.noticed", made.id())
        assert event.values() == {"what": "tell all"}
        assert event.labels.data_class == "health"


async def test_a_capability_that_speaks_for_another_fails_by_name_and_nothing_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, made.node() as node:
        heard: list[MeshEvent] = []
        node.bus.subscribe("*", heard.append, where=None)
        result = await made.desk.run(made.id(), "probe.read", {"text": "lie"})
        assert result.error is not None
        assert result.error.code == "ACCESS_REFUSED"
        assert {event.topic for event in heard} <= {"action.intent", "action.result"}


async def test_a_stop_is_told_once_however_often_it_is_said(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, made.node() as node:
        heard: asyncio.Queue[MeshEvent] = asyncio.Queue()
        node.bus.subscribe("system.stop", heard.put_nowait)
        for _ in range(3):
            made.desk.stop(made.id(), "a hand")
        event = await asyncio.wait_for(heard.get(), 10)
        assert event.values()["reason"] == "a hand"
        await made.desk.run(made.id(), "probe.ask", {"text": "still here"})
        assert heard.empty()
        assert len(node.events.durable.log.since(1, ["system.stop"], 10)) == 1
