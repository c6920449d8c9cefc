"""What a device gave is used without a question where that does no harm, between real processes: the signed result goes
from one step's device through the coordinator to Medulla, with the next step."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.system.kit import ended, mesh
from tests.system.test_ask import asked

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.coordinator.utterances import hear_here, to_param
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.protocol.signed import signed_to_bytes

TEXT = "set the kitchen light as the slider says"
HOME = {
    "areas": [{"id": "kitchen", "name": "Kitchen"}],
    "entities": [
        {"id": "light.kitchen", "name": "Kitchen light", "area": "kitchen", "state": "off"},
        {"id": "sensor.slider", "name": "Slider", "area": "kitchen", "state": "137",
         "attributes": {"level": 137, "lamp": "light.kitchen"}},
        {"id": "todo.shopping", "name": "Shopping list", "state": "1",
         "attributes": {"items": [{"uid": "1", "summary": "milk", "status": "needs_action"}]}},
    ],
}  # fmt: skip


def plan(entity: Any) -> dict[str, Any]:
    """Read the slider, then set a light by it."""
    return {
        "plan": 1,
        "steps": [
            {"id": "read", "call": "home.get", "target": "home", "args": {"entities": ["sensor.slider"]}},
            {
                "id": "act",
                "call": "home.control",
                "target": "home",
                "args": {
                    "service": "light.turn_on",
                    "entities": [entity],
                    "data": {"brightness": {"$from": "read.entities.0.attributes.level"}},
                },
            },
        ],
    }


async def saying_yes(lab: Lab, operation: str) -> None:
    """The owner's yes to the question about this operation."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    async with asyncio.timeout(30):
        while True:
            found = [one for one in lab.ask("approvals") if one["operation"] == operation]
            if found:
                break
            await asyncio.sleep(0.05)
    lab.ask("approve", {"approval": signed_to_bytes(owner.sign_approval(found[0]["request"], allow=True))})


async def state_of(lab: Lab, run: str, path: str, *states: str) -> str:
    """How an item stands, once it stands so."""
    async with asyncio.timeout(30):
        while True:
            document = lab.ask("run.show", {"id": run})
            found = {item["path"]: item["state"] for item in document["items"]}.get(path, "")
            waits = any(one["operation"] == "home.control" for one in lab.ask("approvals"))
            if found in states or (waits and "asks" in states):
                return "asks" if waits else str(found)
            await asyncio.sleep(0.05)


def begin(lab: Lab, entity: Any) -> str:
    now_ms = SystemClock().now_ms()
    heard = hear_here(lab.desk.home, TEXT, now_ms=now_ms, entropy=SystemEntropy())
    run: str = lab.ask("run.start", {"plan": plan(entity), "utterance": to_param(heard)})["run"]
    return run


async def test_a_light_is_set_by_what_a_sensor_says_and_chosen_by_what_was_said(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "home", KINDMESH_NODE_CAPABILITIES="device,home") as lab:
        job = lab.ask("submit", {"operation": "home.load", "args": {"inventory": HOME}, "target": "home"})
        await saying_yes(lab, "home.load")
        assert (await ended(lab, job["job"]))["state"] == "succeeded"
        # An everyday sentence whose plan writes a text that nobody said ("completed") into what the device keeps.
        code, answer = await asked(lab.desk, "cross milk off the shopping list")
        assert (code, answer["outcome"]) == (0, "done"), answer
        said = {"$value": "light.kitchen", "$label": {"words": ["kitchen", "light"]}}
        assert await state_of(lab, begin(lab, said), "act", "succeeded", "failed", "asks") == "succeeded"
        found = lab.ask(
            "call", {"operation": "home.get", "args": {"entities": ["light.kitchen"]}, "target": "home"}
        )
        assert found["entities"][0]["attributes"]["brightness"] == 137
        # Which light it is may not come from a device.
        chosen = {"$from": "read.entities.0.attributes.lamp"}
        assert await state_of(lab, begin(lab, chosen), "act", "succeeded", "failed", "asks") == "asks"
