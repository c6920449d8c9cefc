""" "Never mind" on a mesh of real processes: what was just said and still waits is called off, over a restart of the
coordinator too, and nothing of anybody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.system.kit import PATIENCE_S, say, soon
from tests.system.test_ask import asked, household, state_of

from kindmesh.coordinator.lab.mesh import Lab

LATER = "turn off the kitchen light in ten minutes"
OFF = "I will not turn off the kitchen light."


def run(lab: Lab, name: str) -> dict[str, Any]:
    found: dict[str, Any] = lab.ask("run.show", {"id": name})
    return found


async def test_never_mind_calls_off_what_waits_and_nothing_of_anybody_else(tmp_path: Path) -> None:
    async with household(tmp_path / "lab") as lab:
        code, later = await asked(lab.desk, LATER)
        assert (code, later["outcome"]) == (0, "later"), later
        # Nobody else's: not from another device, though nothing waits there.
        other = lab.devices["upstairs"]
        code, found = await asked(other, "never mind")
        assert (code, found["run"]) == (0, ""), found
        assert run(lab, later["run"])["state"] == "running"
        # Only said.
        said = await say(lab.desk, "plan", "never mind")
        assert said.objects[-1]["reply"] == "I would call this off: turn off the kitchen light."
        assert run(lab, later["run"])["state"] == "running"
        # The coordinator dies in between.
        await lab.desk.kill()
        await lab.desk.up()
        await lab.alive("desk", "downstairs", "upstairs")
        code, found = await asked(lab.desk, "never mind")
        assert (code, found["outcome"], found["reply"]) == (0, "done", OFF), found
        ended = run(lab, later["run"])
        assert (ended["state"], state_of(lab, "light.kitchen")) == ("cancelled", "on")
        # Said again, it is the same; after something else, nothing waits.
        assert (await asked(lab.desk, "forget it"))[1]["reply"] == OFF
        await asked(lab.desk, "what time is it")
        assert (await asked(lab.desk, "cancel that"))[1]["reply"] == "All right, I will leave it."
        # What was said before that still counts, and is named.
        code, later = await asked(lab.desk, LATER)
        await asked(lab.desk, "what time is it")
        code, found = await asked(lab.desk, "never mind")
        assert found["reply"].startswith(
            "All right. What you said before still counts: I will turn off the kitchen light. To call it off: "
        )
        assert run(lab, later["run"])["state"] == "running"
        # What runs already is not claimed to be called off.
        await asked(lab.desk, "set a timer for five minutes")
        assert (await asked(lab.desk, "cancel that"))[1]["reply"].startswith("The timer still runs.")
        # Too late.
        code, later = await asked(lab.desk, "turn off the counter lamp in one second")
        assert code == 0, later

        async def is_over() -> bool:
            return bool(run(lab, later["run"])["state"] == "succeeded")

        assert await soon(is_over, PATIENCE_S)
        assert (await asked(lab.desk, "never mind"))[1]["reply"] == "That is done already."
        assert state_of(lab, "light.counter") == "off"
