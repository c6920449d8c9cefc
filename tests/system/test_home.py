"""The home on a real mesh: loaded, used, and what is dangerous waits for the owner; a killed node forgets nothing."""

from __future__ import annotations

from pathlib import Path

from tests.system.kit import mesh, say

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.signed import signed_to_bytes

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "home.yaml"


def let(lab: Lab, *operations: str) -> None:
    """The owner lets these be done without asking."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    rules = (Rule("*", 9, "allow"), *(Rule(operation, 255, "allow") for operation in operations))
    version = lab.ask("status")["policy_version"] + 1
    policy = Policy(owner.mesh, version, SystemClock().now_ms(), rules)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


async def test_a_household_loads_its_home_and_uses_it(tmp_path: Path) -> None:
    async with mesh(tmp_path, "phone") as lab:
        desk = lab.desk
        refused = await say(desk, "home", "load", str(EXAMPLE), "--no-ask")
        assert (refused.code, refused.error["code"]) == (4, "NEEDS_APPROVAL")
        (waiting,) = lab.ask("approvals")
        assert len(str(waiting)) < 4_000, "whoever is asked sees the file's hash, not every value of the home"
        let(lab, "home.load", "home.control", "home.note")
        loaded = await say(desk, "home", "load", str(EXAMPLE))
        assert (loaded.code, loaded.objects[-1]["value"]["entities"]) == (0, 49)
        done = await say(desk, "home", "set", "reading lamp", "40")
        assert {one["attribute"]: one["after"] for one in done.objects[-1]["changes"]} == {
            "state": "on",
            "brightness": 102,
            "color_mode": "brightness",
        }
        door = await say(desk, "home", "set", "front door", "unlocked", "--no-ask")
        assert (door.code, door.error["message"]) == (4, "home.access needs the owner's yes")
        around = await say(
            desk, "call", "home.control", "service=lock.unlock", "entities=lock.front_door", "--no-ask"
        )
        assert (around.code, around.objects[-1]["error"]["code"]) == (2, "INVALID_INPUT")
        rung = await say(desk, "home", "call", "timer.start", "timer.tea", "duration=1")
        assert rung.code == 0
        heard = await say(desk, "events", "perception.home.timer_finished", "--since", "1m", "--count", "1")
        assert heard.objects[-1]["data"]["entity"] == "timer.tea"
        copy = tmp_path / "copy.yaml"
        assert (await say(desk, "home", "export", str(copy))).code == 0
        same = await say(desk, "home", "load", str(copy), "--dry")
        assert [same.objects[-1][name] for name in ("added", "removed", "changed")] == [[], [], []]
        upstairs = await say(desk, "home", "list", "--area", "upstairs", "--domain", "light")
        assert {one["id"] for one in upstairs.objects[-1]["entities"]} == {
            "light.bedroom",
            "light.night",
            "light.bathroom",
            "light.stairs",
        }
        assert (await say(desk, "home", "undo")).objects[-1]["value"]["entities"] == 0
