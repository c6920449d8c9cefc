"""`kindmesh run` with real processes: the coordinator is killed in the middle, and everything is done once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.system.kit import PATIENCE_S, allow, mesh, notes, say, soon, until

from kindmesh.coordinator.lab.mesh import watching

COUNT = 30
PLAN = {
    "plan": 1,
    "name": "many notes",
    "steps": [
        {"id": "hello", "call": "device.echo", "args": {"text": "hello"}},
        {
            "id": "note",
            "call": "notes.append",
            "target": "kitchen",
            "args": {"text": {"$text": [{"$from": "hello.text"}, " ", {"$from": "item"}]}},
            "for_each": {"over": list(range(COUNT)), "parallel": 2},
        },
        {
            "id": "sub",
            "sub": {
                "plan": {
                    "plan": 1,
                    "steps": [
                        {"id": "in", "call": "notes.append", "target": "kitchen", "args": {"text": "inside"}}
                    ],
                }
            },
            "after": ["note"],
        },
        {
            "id": "sure",
            "ask": {"question": "All there?", "answer": {"yes": {"type": "boolean"}}},
            "after": ["sub"],
        },
    ],
    "output": {"sure": {"$from": "sure.yes"}},
}


async def test_a_run_goes_on_after_the_coordinator_was_killed_and_nothing_is_done_twice(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        kitchen = lab.devices["kitchen"]
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(PLAN))
        async with watching(kitchen.home.socket("node")) as events:
            first = await lab.desk.start("run", str(file), "--key", "k", "--json", stdin=True)
            for _ in range(COUNT // 3):
                await until(
                    events, lambda event: event["event"] == "intent" and event["operation"] == "notes.append"
                )
            os.kill(int(lab.ask("status")["pid"]), signal.SIGKILL)
            await first.process.communicate(b"")
        assert first.process.returncode == 3

        async def answers() -> bool:
            return (await say(lab.desk, "inbox")).code == 0

        assert await soon(answers, PATIENCE_S)
        await lab.alive("desk", "kitchen")
        again = await say(lab.desk, "run", str(file), "--key", "k", "--detach")
        run = again.objects[-1]["run"]
        shown = await say(lab.desk, "jobs", "show", run)
        while not [item for item in shown.objects[-1]["items"] if item["path"] == "sure"]:
            assert shown.objects[-1]["state"] == "running", shown.objects[-1]["error"]
            shown = await say(lab.desk, "jobs", "show", run)
        (waiting,) = (await say(lab.desk, "inbox")).objects
        assert waiting["question"] == "All there?"
        assert (await say(lab.desk, "answer", waiting["question_id"], "yes=maybe")).code == 2
        assert (await say(lab.desk, "answer", waiting["question_id"], "yes=true")).code == 0
        done = await say(lab.desk, "run", str(file), "--key", "k")
        assert (done.code, done.objects[-1]["output"]) == (0, {"sure": True})
        assert sorted(notes(kitchen)) == sorted([*(f"hello {number}" for number in range(COUNT)), "inside"])


async def test_a_wrong_plan_is_an_answer_with_its_field_and_a_failed_one_an_exit_code(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab") as lab:
        file = tmp_path / "plan.yaml"
        for text, field in (
            ("plan: 1\nsteps:\n  - {id: one, call: device.echo, after: [on]}\n", "steps.one.after"),
            ("plan: 1\nsteps: [&a {id: one, call: device.echo}, *a]\n", "file"),
            ("plan: 1\nplan: 1\n", "file"),
            ("just words", "file"),
            ("{", "file"),
        ):
            file.write_text(text)
            said = await say(lab.desk, "run", str(file))
            assert (said.code, said.error["field"]) == (2, field), text
        assert (await say(lab.desk, "run", str(tmp_path / "nothing.yaml"))).error["field"] == "file"
        file.write_text("plan: 1\ndeadline_ms: 200\nsteps:\n  - {id: nap, pause: {for_ms: 60000}}\n")
        late = await say(lab.desk, "run", str(file))
        assert (late.code, late.objects[-1]["state"]) == (6, "expired")
        file.write_text("plan: 1\nsteps:\n  - {id: nap, pause: {for_ms: 60000}}\n")
        run = (await say(lab.desk, "run", str(file), "--detach")).objects[-1]["run"]
        assert (await say(lab.desk, "jobs", "cancel", run[:12])).objects[-1]["state"] == "cancelled"


async def test_a_run_hears_of_what_happened_while_the_coordinator_was_down(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        file = tmp_path / "plan.json"
        told = {"$eq": [{"$from": "event.data.reason"}, "a hand was in the way"]}
        waits = {"id": "halt", "event": {"topic": "system.stop", "filter": told}}
        file.write_text(
            json.dumps({"plan": 1, "steps": [waits], "output": {"why": {"$from": "halt.data.reason"}}})
        )
        assert (await say(lab.desk, "run", str(file), "--key", "k", "--detach")).code == 0
        await lab.desk.kill()
        await say(lab.devices["kitchen"], "stop", "--reason", "a hand was in the way")
        await lab.desk.up()
        await lab.alive("desk", "kitchen")
        done = await say(lab.desk, "run", str(file), "--key", "k")
        assert (done.code, done.objects[-1]["output"]) == (0, {"why": "a hand was in the way"})
