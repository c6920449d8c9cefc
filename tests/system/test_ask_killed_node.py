"""`kill -9` of the node that keeps the home under a load of sentences: each act happens once or is told, not twice.

Adding to a list is not idempotent, so that a thing done twice would be seen: it would stand there twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from tests.system.kit import mesh, talking, until
from tests.system.test_ask import allow_home, load

from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.mesh.control_async import AsyncControlClient

THINGS = (
    "milk",
    "bread",
    "butter",
    "rice",
    "soap",
    "salt",
    "pepper",
    "flour",
    "honey",
    "onions",
    "apples",
    "tea",
)
LIST = {"entities": [{"id": "todo.shopping", "name": "Shopping list", "state": "0"}]}


async def add(client: AsyncControlClient, thing: str) -> dict[str, Any]:
    """The answer to one sentence; asked again with this key, it is the same act."""
    wish = {"text": f"add {thing} to the shopping list", "key": f"key-{thing}", "conversation": thing}
    found: dict[str, Any] = await client.call("ask", wish)
    return found


def on_the_list(lab: Lab) -> list[str]:
    """What stands on the list now."""
    wish = {"operation": "home.get", "args": {"entities": ["todo.shopping"]}, "target": "kitchen"}
    items = lab.ask("call", wish)["entities"][0]["attributes"].get("items", [])
    return [one["summary"].lower() for one in items]


async def test_the_node_with_the_home_is_killed_under_a_load_of_sentences(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen", KINDMESH_NODE_CAPABILITIES="device,home") as lab:
        allow_home(lab, "home.load", "home.note")
        await load(lab, "kitchen", LIST)
        kitchen = lab.devices["kitchen"]
        async with watching(kitchen.home.socket("node")) as events, talking(lab.desk) as client:
            asking = [asyncio.create_task(add(client, thing)) for thing in THINGS]
            # Some are done, one is just being done, the others are still on their way.
            for _ in range(len(THINGS) // 3):
                await until(
                    events, lambda event: event["event"] == "intent" and event["operation"] == "home.note"
                )
            os.kill(lab.ask("status", device="kitchen", part="node")["pid"], signal.SIGKILL)
            await kitchen.kill()
            await kitchen.up()
            answers = dict(zip(THINGS, await asyncio.gather(*asking), strict=True))
            await lab.alive("desk", "kitchen")
            # Whoever asks again what they asked before gets what became of it, and nothing is done anew.
            again = dict(
                zip(THINGS, await asyncio.gather(*(add(client, one) for one in THINGS)), strict=True)
            )
        there = on_the_list(lab)
        assert len(there) == len(set(there)), f"something was done twice: {there}"
        for thing, answer in answers.items():
            assert answer["reply"], answer
            assert again[thing]["run"] == answer["run"]
            if answer["outcome"] == "done":
                assert thing in there, answer
            elif thing in there:
                # Done, but nobody knows for sure: that is said, and it is not tried again.
                assert {one["outcome"] for one in answer["findings"]} & {"uncertain", "silent"}, answer
        done = [thing for thing, answer in answers.items() if answer["outcome"] == "done"]
        assert set(done) <= set(there) <= set(THINGS)
        assert done, answers
        assert lab.ask("status")["jobs"]["open"] == 0
