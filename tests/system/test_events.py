"""`kindmesh events` on real processes: who came and went, and what must not be lost to `kill -9` of either side."""

from __future__ import annotations

from pathlib import Path

from tests.system.kit import PATIENCE_S, mesh, say

from kindmesh.coordinator.lab.device import started

SINCE = ["--since", "1h"]


async def test_events_are_watched_across_devices_and_outlive_kill_9_of_both_ends(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        desk, kitchen = lab.desk, lab.devices["kitchen"]
        async with (
            started(desk, "events", "system.device.*", "action.*") as here,
            started(kitchen, "events", "system.device.*", "system.job.*") as there,
        ):
            await here.until("watching")
            await there.until("watching")
            assert (await say(desk, "call", "device.info", "--on", "kitchen")).code == 0
            assert (await here.read(PATIENCE_S))["topic"] == "action.intent"
            done = await here.read(PATIENCE_S)
            assert (done["topic"], done["source_name"]) == ("action.result", "kitchen")
            job = await there.read(PATIENCE_S)
            while job["topic"] != "system.job.succeeded":
                job = await there.read(PATIENCE_S)
            assert job["data"]["job"] == done["data"]["job"]
            await kitchen.kill()
            lost = await here.read(PATIENCE_S)
            assert (lost["topic"], lost["data"]["name"]) == ("system.device.lost", "kitchen")
            await kitchen.up()
            back = await here.read(PATIENCE_S)
            assert (back["topic"], back["data"]["name"]) == ("system.device.back", "kitchen")
        # Nobody is there to hear it, and then its own power goes, too: it is told when both are back.
        await desk.kill()
        await say(kitchen, "stop", "--reason", "a hand was in the way")
        await kitchen.kill()
        await desk.up()
        await kitchen.up()
        await lab.alive("desk", "kitchen")
        kept = await say(desk, "events", "system.stop", *SINCE, "--count", "1", within_s=PATIENCE_S)
        assert [one["event"] for one in kept.objects] == ["watching", "event"]
        assert kept.objects[1]["source_name"] == "kitchen"
        assert kept.objects[1]["data"]["reason"] == "a hand was in the way"
        await desk.kill()
        await desk.up()
        again = await say(desk, "events", "system.stop", *SINCE, "--count", "1", within_s=PATIENCE_S)
        assert again.objects[1]["id"] == kept.objects[1]["id"]
