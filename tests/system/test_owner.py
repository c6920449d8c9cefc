"""The owner's word, as the owner uses it: the fenced prompt, `review`, and `stop`."""

from __future__ import annotations

import asyncio
import os
import pty
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.system.kit import PATIENCE_S, ended, mesh, notes, say, talking

from kindmesh.coordinator.lab.device import Device, command
from kindmesh.coordinator.lab.mesh import Lab

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk and a kitchen under the first policy: what writes needs the owner's yes."""
    async with mesh(tmp_path_factory.mktemp("owner") / "lab", "kitchen") as lab:
        yield lab


def fenced(text: str) -> str:
    """What stands between the two lines of the fence."""
    return re.split(r"-{20,}", text)[1]


async def test_the_prompt_shows_what_it_signs_and_yes_has_it_done(lab: Lab) -> None:
    said = await say(lab.desk, "call", "notes.append", "text=buy milk", "--on", "kitchen", typed="yes\n")
    assert said.code == 0, said
    prompt = fenced(said.text)
    for shown in ("notes.append", "kitchen", "buy milk", "write"):
        assert shown in prompt, prompt
    assert notes(lab.devices["kitchen"]) == ["buy milk"]
    job = said.objects[-1]
    assert [entry["what"] for entry in job["timeline"]].count("result") == 1
    assert len(job["permits"]) == 1


async def test_at_a_terminal_it_is_the_same(lab: Lab) -> None:
    """With a real terminal, for people: prompt, answer, sentence."""
    mine, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command("call", "notes.append", "text=at the terminal", "--on", "kitchen"),
        stdin=theirs, stdout=theirs, stderr=theirs, env={**lab.environment, "KINDMESH_HOME": str(lab.desk.home.root)},
    )  # fmt: skip
    os.close(theirs)
    try:
        shown = await asyncio.to_thread(read_until, mine, b"yes or no: ")
        assert "at the terminal" in fenced(shown)
        os.write(mine, b"yes\n")
        rest = await asyncio.to_thread(read_until, mine, b"written_ms")
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    finally:
        os.close(mine)
    assert "line: " in rest
    assert "Traceback" not in shown + rest
    assert "at the terminal" in notes(lab.devices["kitchen"])


def read_until(terminal: int, mark: bytes) -> str:
    """All that the terminal shows, up to the mark."""
    found = b""
    while mark not in found:
        found += os.read(terminal, 4096)
    return found.decode()


async def test_no_is_a_refusal_and_nothing_happens(lab: Lab) -> None:
    before = notes(lab.devices["kitchen"])
    for typed in ("no\n", "\n", ""):
        said = await say(lab.desk, "call", "notes.append", "text=never", "--on", "kitchen", typed=typed)
        assert said.code == 4, said
        assert said.objects[-1]["error"]["code"] == "DENIED"
        assert said.objects[-1]["state"] == "failed"
    assert notes(lab.devices["kitchen"]) == before


async def test_a_wrong_passphrase_signs_nothing_and_the_job_still_waits(lab: Lab) -> None:
    wrong = Device(lab.root, "desk", {"KINDMESH_PASSPHRASE": "not the passphrase at all"}, lab.environment)
    before = notes(lab.devices["kitchen"])
    said = await say(wrong, "call", "notes.append", "text=wrong key", "--on", "kitchen", typed="yes\n")
    assert said.code == 4, said
    assert said.error["code"] == "WRONG_PASSPHRASE"
    waiting = (await say(lab.desk, "review")).objects
    assert [one["operation"] for one in waiting] == ["notes.append"]
    said = await say(lab.desk, "review", waiting[0]["job"], typed="no\n")
    assert (said.code, said.objects[-1]["allowed"]) == (0, False)
    assert (await ended(lab, waiting[0]["job"]))["error"]["code"] == "DENIED"
    assert notes(lab.devices["kitchen"]) == before


async def test_without_asking_it_waits_and_review_answers_it(lab: Lab) -> None:
    said = await say(lab.desk, "call", "notes.append", "text=later", "--on", "kitchen", "--no-ask")
    assert said.code == 4, said
    assert said.error["code"] == "NEEDS_APPROVAL"
    assert "kindmesh review" in said.error["hint"]
    assert "later" not in notes(lab.devices["kitchen"])
    waiting = (await say(lab.desk, "review")).objects
    assert [(one["operation"], one["device_name"]) for one in waiting] == [("notes.append", "kitchen")]
    job = waiting[0]["job"]
    said = await say(lab.desk, "review", job, typed="yes\n")
    assert (said.code, said.objects[-1]["allowed"]) == (0, True)
    assert "later" in fenced(said.text)
    assert (await ended(lab, job))["state"] == "succeeded"
    assert notes(lab.devices["kitchen"]).count("later") == 1
    said = await say(lab.desk, "review", job, typed="yes\n")
    assert said.code == 2, said
    assert (await say(lab.desk, "review")).objects == []


async def test_another_device_may_ask_but_not_answer(lab: Lab) -> None:
    kitchen = lab.devices["kitchen"]
    said = await say(
        kitchen, "call", "notes.append", "text=from the kitchen", "--on", "kitchen", typed="yes\n"
    )
    assert said.code == 4, said
    assert said.error["code"] == "NEEDS_APPROVAL"
    job = (await say(lab.desk, "review")).objects[0]["job"]
    assert (await say(kitchen, "review", job, typed="yes\n")).code == 4
    assert "from the kitchen" not in notes(kitchen)
    said = await say(lab.desk, "review", job, typed="yes\n")
    assert "device " in fenced(said.text)
    assert (await ended(lab, job))["state"] == "succeeded"


async def test_stop_halts_speech_until_it_is_reset_on_each_device(lab: Lab) -> None:
    desk, kitchen = lab.desk, lab.devices["kitchen"]
    said = await say(kitchen, "stop", "--reason", "enough")
    assert said.code == 0
    assert set(said.objects[-1]["devices"]) == {"desk", "kitchen"}
    for name in ("desk", "kitchen"):
        said = await say(desk, "call", "speech.say", "text=hello", "--on", name)
        assert said.objects[-1]["error"]["code"] == "STOPPED", said
        assert "stop --reset" in said.objects[-1]["error"]["hint"]
        assert said.code != 0
        # What is silent and still goes on.
        assert (await say(desk, "call", "device.echo", "text=hi", "--on", name)).code == 0
    assert (await say(desk, "call", "speech.render", "text=silent", "--on", "kitchen")).code == 0
    async with talking(kitchen, "node") as client:
        status = await client.call("status")
        assert (status["stopped"], status["stops"][0]["reason"]) == (True, "enough")
    assert (await say(kitchen, "stop", "--reset")).code == 0
    said = await say(desk, "call", "speech.say", "text=hello", "--on", "kitchen")
    assert said.code == 0 or said.objects[-1]["error"]["code"] == "NO_AUDIO_DEVICE"
    said = await say(desk, "call", "speech.say", "text=hello", "--on", "desk")
    assert said.objects[-1]["error"]["code"] == "STOPPED"
    assert (await say(desk, "stop", "--reset")).code == 0
