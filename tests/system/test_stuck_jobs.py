"""As people do it, on real processes: what is stuck is dealt with."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.system.kit import allow, ended, mesh, say, talking, until
from tests.system.test_kill import pid_of

from kindmesh.coordinator.lab.mesh import Lab, watching


async def uncertain(lab: Lab, text: str) -> dict[str, Any]:
    """A job whose device, frozen as it is, does not report in time."""
    async with talking(lab.desk) as client:
        wish = {
            "operation": "notes.append", "args": {"text": text}, "target": "kitchen",
            "deadline_ms": (await client.call("clock"))["now_ms"] + 3_000,
        }  # fmt: skip
        job: dict[str, Any] = await ended(lab, (await client.call("submit", wish))["job"])
    assert job["state"] == "uncertain", job
    assert job["settled"] is None
    return job


async def test_an_uncertain_job_is_asked_about_settled_and_started_anew(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        desk, pid = lab.desk, pid_of(lab, "kitchen")
        os.kill(pid, signal.SIGSTOP)
        job = await uncertain(lab, "one")
        waiting = await say(desk, "review")
        assert [one["kind"] for one in waiting.objects] == ["uncertain"]
        found = await say(desk, "doctor")
        assert "uncertain" in {one["check"] for one in found.objects[-1]["findings"]}
        named = job["job"]
        settled = await say(desk, "jobs", "settle", named, "--did-not-happen", "--note", "looked", "--again")
        assert settled.code == 0, settled
        shown = (await say(desk, "jobs", "show", named)).objects[-1]
        assert (shown["settled"]["happened"], shown["settled"]["by"]) == (False, "the owner")
        again = await say(desk, "jobs", "settle", named, "--did-not-happen", "--again")
        assert again.objects[-1]["again"] == settled.objects[-1]["again"]
        assert (await say(desk, "jobs", "settle", named, "--happened")).error["code"] == "STORE_CONFLICT"
        logged = await say(desk, "audit", "show", "--kind", "settled")
        assert [one["answer"] for one in logged.objects if one.get("kind") == "settled"] == ["did not happen"]
        assert (await say(desk, "jobs", "dead")).objects == []
        os.kill(pid, signal.SIGCONT)
        assert (await ended(lab, again.objects[-1]["again"]))["state"] == "succeeded"


async def test_a_device_is_emptied_before_it_is_switched_off(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        desk, kitchen = lab.desk, lab.devices["kitchen"]
        async with watching(desk.home.socket("coordinator")) as events:
            drained = await say(desk, "drain", "kitchen", "--reason", "a new battery")
            assert (drained.code, drained.objects[-1]["drain"]["empty"]) == (0, True)
            explained = lab.ask("explain", {"operation": "device.echo", "args": {"text": "x"}})
            why_not = {one["device_name"]: one["why_not"] for one in explained["candidates"]}
            assert "switched off" in why_not["kitchen"]
            assert (await say(desk, "call", "device.echo", "text=x")).objects[-1]["device_name"] == "desk"
            listed = {one["name"]: one["draining"] for one in (await say(desk, "nodes")).objects}
            assert "the owner" in listed["kitchen"]
            assert listed["desk"] == ""
            assert (await say(desk, "drain", "kitchen", "--undo")).objects[-1]["changed"] is True
            assert (await say(desk, "drain", "kitchn")).error["field"] == "target"
            # A device that is told to end says so itself.
            while not events.empty():
                events.get_nowait()
            await kitchen.down()
            said = await until(events, lambda event: event["event"] == "drain")
            assert (said["device_name"], said["state"]) == ("kitchen", "draining")
