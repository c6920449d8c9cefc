"""What the owner says is done without a question, between real processes, with the policy a household starts with."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
