"""A learned routine on a mesh of real processes: asked about each time, until the person agrees to it once; then done
when they say it, verified, also after a restart; asked about again once that is over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.system.kit import mesh
from tests.system.test_ask import ROOMS, allow_home, asked, household, load, state_of
from tests.system.test_lasting import kindmesh
from tests.system.test_llm import DARK, DARKER, set_up

from kindmesh.coordinator.lab.mesh import Lab

SENTENCE = "I am home"
DOES = "unlock the front door and turn off the kitchen light"
DOOR, LIGHT = "lock.front_door", "light.kitchen"


def states(lab: Lab) -> tuple[str, str]:
    return state_of(lab, DOOR), state_of(lab, LIGHT)


async def again(lab: Lab) -> dict[str, Any]:
    """The door is locked and the light is on, as before; then the sentence is said."""
    assert (await asked(lab.desk, "lock the front door and turn on the kitchen light"))[0] == 0
    return (await asked(lab.desk, SENTENCE, "--wait", "2"))[1]


async def test_a_routine_that_was_agreed_to_is_done_when_it_is_said_until_that_is_over(
    tmp_path: Path,
) -> None:
    async with household(tmp_path / "lab", acts=("home.load",)) as lab:
        await asked(lab.desk, SENTENCE)
        code, out, errors = await kindmesh(lab, "ask", "--wrong", DOES, "--json")
        routine = json.loads(out)["proposed"]["id"]
        # Confirmed, but not agreed to: each step is asked about.
        code, out, errors = await kindmesh(lab, "ask", "routines", "confirm", routine, said="\n\nno\n")
        assert (code, "Learned" in out, "Not agreed to" in errors) == (0, True, True), errors
        found = await again(lab)
        assert (found["outcome"], found["verdict"], states(lab)) == ("unanswered", "ask", ("locked", "on")), (
            found
        )
        # Agreed to, for 7 days and 3 times a day.
        code, out, errors = await kindmesh(lab, "ask", "routines", "confirm", routine, said="7\n3\nyes\n")
        assert (code, "at most 3 times a day" in errors, "lock.front_door" in errors) == (0, True, True), (
            errors
        )
        found = await again(lab)
        assert (found["outcome"], found["verdict"], states(lab)) == ("done", "allow", ("unlocked", "off")), (
            found
        )
        assert {one["outcome"] for one in found["findings"]} == {"verified"}
        assert lab.ask("approvals") == []
        await lab.desk.down()
        await lab.desk.up()
        await lab.alive("desk", "downstairs", "upstairs")
        found = await again(lab)
        assert (found["outcome"], states(lab)) == ("done", ("unlocked", "off")), found
        # Other words, with the same plan behind them, are asked about.
        found = (await asked(lab.desk, f"{SENTENCE}, please", "--wait", "2"))[1]
        assert found["outcome"] == "unanswered", found
        code, out, errors = await kindmesh(lab, "review", "grants", "--json")
        (grant,) = json.loads(out)
        assert (grant["kind"], grant["sentence"], grant["used"], grant["times"]) == (
            "routine",
            "i am home",
            2,
            3,
        )
        code, out, errors = await kindmesh(lab, "review", "grants", "revoke", grant["id"][:10])
        assert (code, "asked again" in out) == (0, True), errors
        found = await again(lab)
        assert (found["outcome"], states(lab)) == ("unanswered", ("locked", "on")), found
        # Forgotten: what was agreed to anew goes with it.
        assert (await kindmesh(lab, "ask", "routines", "confirm", routine, said="\n\nyes\n"))[0] == 0
        code, out, errors = await kindmesh(lab, "ask", "routines", "forget", routine, "--json")
        assert json.loads(out)["agreement_ended"] is True
        assert json.loads((await kindmesh(lab, "review", "grants", "--json"))[1]) == []


async def test_what_a_model_solved_once_needs_no_model_the_next_time(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", KINDMESH_NODE_CAPABILITIES="device,home,llm") as lab:
        set_up(lab.device("upstairs"), DARKER)
        for name in ROOMS:
            await lab.add(name)
        await lab.alive("desk", *ROOMS)
        allow_home(lab, "home.load")
        await load(lab, "downstairs", ROOMS["downstairs"])
        code, found = await asked(lab.desk, DARK)
        assert (code, found["outcome"], state_of(lab, LIGHT)) == (0, "done", "off"), found
        code, out, errors = await kindmesh(lab, "ask", "--good", "--json")
        proposed = json.loads(out)["proposed"]
        assert proposed["sentence"] == DARK, errors
        (listed,) = [
            json.loads(line) for line in (await kindmesh(lab, "ask", "routines", "--json"))[1].splitlines()
        ]
        assert (listed["why"], listed["state"]) == ("model", "proposed")
        code, out, errors = await kindmesh(
            lab, "ask", "routines", "confirm", proposed["id"], said="\n\nyes\n"
        )
        assert (code, "Agreed to" in errors) == (0, True), errors
        assert (await asked(lab.desk, "turn on the kitchen light"))[0] == 0
        await lab.devices["upstairs"].kill()
        code, found = await asked(lab.desk, DARK, "--wait", "2")
        assert (code, found["outcome"], found["verdict"], state_of(lab, LIGHT)) == (
            0,
            "done",
            "allow",
            "off",
        ), found
