"""A yes that lasts, between real processes: the owner agrees for longer, is not asked again, and ends it; and from the
command line, as a person types it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.security.kit import within
from tests.system.kit import PATIENCE_S, mesh, notes, talking

from kindmesh.coordinator.lab.mesh import Lab

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk and a kitchen."""
    async with mesh(tmp_path_factory.mktemp("lasting") / "lab", "kitchen") as lab:
        yield lab


def wish(text: str) -> dict[str, Any]:
    return {"operation": "notes.append", "args": {"text": text}, "target": "kitchen"}


async def kindmesh(lab: Lab, *words: str, said: str = "") -> tuple[int, str, str]:
    """A command at the desk, with these lines typed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kindmesh.coordinator.cli", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=Path(__file__).parents[2],
        env={**os.environ, **lab.environment, "KINDMESH_HOME": str(lab.desk.home.root)},
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        out, errors = await process.communicate(said.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def question(lab: Lab, text: str) -> str:
    """A job that waits for a yes."""
    async with talking(lab.desk) as client, asyncio.timeout(PATIENCE_S):
        job: str = (await client.call("submit", wish(text)))["job"]

        async def waits() -> bool:
            return any(one["job"] == job for one in await client.call("approvals"))

        await within(waits, "the question")
    return job


async def done(lab: Lab, text: str) -> bool:
    """Whether it is done without a question."""
    async with talking(lab.desk) as client, asyncio.timeout(PATIENCE_S):
        job = (await client.call("submit", wish(text)))["job"]
        while True:
            state = (await client.call("job", {"id": job}))["state"]
            if state in ("succeeded", "waiting_approval"):
                await client.call("cancel", {"id": job})
                return bool(state == "succeeded")
            await asyncio.sleep(0.02)


async def test_a_yes_for_longer_is_shown_in_full_serves_again_and_is_ended(lab: Lab) -> None:
    job = await question(lab, "milk")
    code, out, shown = await kindmesh(lab, "review", job, said="always\ntext\n7\n3\nyes\n")
    assert code == 0, shown
    assert "allowed" in out
    assert "may differ the values of: text" in shown
    assert "at most 3 times in a day" in shown
    assert await done(lab, "bread")
    code, out, errors = await kindmesh(lab, "review", "grants", "--json")
    assert code == 0, errors
    (grant,) = json.loads(out)
    assert (grant["operation"], grant["free"], grant["used"], grant["times"]) == (
        "notes.append",
        ["text"],
        1,
        3,
    )
    code, out, _ = await kindmesh(lab, "review", "grants")
    assert "1 of 3" in out
    code, out, errors = await kindmesh(lab, "review", "grants", "revoke", grant["id"][:10])
    assert (code, "asked again" in out) == (0, True), errors
    assert not await done(lab, "butter")
    assert notes(lab.devices["kitchen"]) == ["milk", "bread"]
    code, out, _ = await kindmesh(lab, "review", "grants")
    assert "Nothing is agreed to" in out


async def test_a_yes_for_longer_survives_a_restart(lab: Lab) -> None:
    job = await question(lab, "eggs")
    code, _, shown = await kindmesh(lab, "review", job, said="always\n\n\n\nyes\n")
    assert code == 0, shown
    await lab.desk.down()
    await lab.desk.up()
    async with talking(lab.desk) as client, asyncio.timeout(PATIENCE_S):

        async def back() -> bool:
            nodes = await client.call("nodes")
            return any(node["connected"] and node["name"] == "kitchen" for node in nodes)

        await within(back, "the kitchen is back")
    assert await done(lab, "eggs")
    assert not await done(lab, "other eggs")


@pytest.mark.parametrize(
    ("typed", "field"),
    [("always\nnothing\n7\n3\n", "free"), ("always\n\nmany\n", "days"), ("always\n\n-1\n", "days")],
)
async def test_bounds_that_mean_nothing_leave_the_question_open(lab: Lab, typed: str, field: str) -> None:
    job = await question(lab, f"odd {field}")
    code, out, errors = await kindmesh(lab, "review", job, "--json", said=typed)
    assert code != 0
    told = json.loads(out or errors.splitlines()[-1])
    assert told.get("error", told)["field"] == field
    async with talking(lab.desk) as client:
        assert any(one["job"] == job for one in await client.call("approvals"))
        await client.call("cancel", {"id": job})


async def test_who_does_not_agree_to_the_bounds_agrees_to_nothing(lab: Lab) -> None:
    job = await question(lab, "never")
    code, out, shown = await kindmesh(lab, "review", job, said="run\nno\n")
    assert (code, "refused" in out) == (0, True)
    assert "as long as this run lasts" in shown
    assert "never" not in notes(lab.devices["kitchen"])


@pytest.mark.parametrize(
    "words", [("grants", "revoke"), ("grants", "mend", "x"), ("grants", "revoke", "zzzz")]
)
async def test_what_is_no_grant_is_refused_with_what_to_do(lab: Lab, words: tuple[str, ...]) -> None:
    code, _, errors = await kindmesh(lab, "review", *words)
    assert code != 0
    assert "kindmesh review grants" in errors
