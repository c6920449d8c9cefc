"""What the owner says is done without a question, between real processes, with the policy a household starts with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.system.test_ask import asked, household, state_of

from kindmesh.coordinator.lab.mesh import Lab

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A home whose policy asks before anything is done there."""
    async with household(tmp_path_factory.mktemp("said") / "lab", acts=("home.load",)) as lab:
        yield lab


async def test_what_the_owner_says_is_done_and_read_back(lab: Lab) -> None:
    code, answer = await asked(lab.desk, "turn off the kitchen light")
    assert (code, state_of(lab, "light.kitchen")) == (0, "off"), answer


async def test_a_door_is_locked_for_words_said_at_the_machine(lab: Lab) -> None:
    code, answer = await asked(lab.desk, "lock the front door")
    assert (code, state_of(lab, "lock.front_door")) == (0, "locked"), answer


UPSTAIRS = {
    "floors": [{"id": "upper", "name": "Upper floor", "aliases": ["upstairs"]}],
    "areas": [
        {"id": "bedroom", "name": "Bedroom", "floor": "upper"},
        {"id": "bathroom", "name": "Bathroom", "floor": "upper"},
    ],
    "entities": [
        {"id": "light.bedroom", "name": "Bedroom light", "area": "bedroom", "state": "on"},
        {"id": "light.bathroom", "name": "Bathroom light", "area": "bathroom", "state": "on"},
        {
            "id": "media_player.set",
            "name": "Television",
            "aliases": ["telly"],
            "area": "bedroom",
            "state": "on",
        },
        {"id": "todo.shopping", "name": "Shopping list", "state": "0", "attributes": {"items": []}},
    ],
}


def upstairs(lab: Lab) -> dict[str, dict[str, Any]]:
    """The things upstairs as they are now."""
    found = lab.ask("call", {"operation": "home.get", "args": {}, "target": "upstairs"})
    return {entity["id"]: entity for entity in found["entities"]}


async def test_things_are_meant_by_what_people_call_them_and_by_where_they_are(lab: Lab) -> None:
    """Names, aliases, floors: what the ids do not tell, as soon as the inventory that has them is there."""
    wish = {"operation": "home.load", "args": {"inventory": UPSTAIRS}, "target": "upstairs", "wait": True}
    assert lab.ask("submit", wish)["state"] == "succeeded"
    code, answer = await asked(lab.desk, "turn off all the lights upstairs")
    assert (code, answer["outcome"], answer["verdict"]) == (0, "done", "allow"), answer
    assert {change["entity"] for change in answer["changes"]} == {"light.bedroom", "light.bathroom"}
    assert {upstairs(lab)[light]["state"] for light in ("light.bedroom", "light.bathroom")} == {"off"}
    code, answer = await asked(lab.desk, "turn off the telly")
    assert (code, upstairs(lab)["media_player.set"]["state"]) == (0, "off"), answer
    code, answer = await asked(lab.desk, "unlock the front door")
    assert (code, state_of(lab, "lock.front_door")) == (0, "unlocked"), answer
    code, answer = await asked(lab.desk, "turn on the kitchen light and add milk to the shopping list")
    assert (code, state_of(lab, "light.kitchen")) == (0, "on"), answer
    assert "milk" in str(upstairs(lab)["todo.shopping"]["attributes"]["items"]), answer
