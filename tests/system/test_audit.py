"""The audit of a household of real processes: what was done is in it, and who cuts or changes a log is named."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from tests.system.kit import PATIENCE_S, allow, mesh, say

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab

LOOK_AGAIN_S = 0.5


async def verified(desk: Device, *words: str) -> tuple[int, dict[str, Any]]:
    said = await say(desk, "audit", "verify", *words)
    return said.code, said.objects[-1]


async def witnessed(lab: Lab, log: str, device: str, entries: int) -> None:
    """Wait until somebody remembers that many entries of a log."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            _, report = await verified(lab.desk, "--all")
            for asked in report["witnesses"]:
                if (asked["log"], asked["device"]) == (log, device) and asked["entries"] >= entries:
                    return
            await asyncio.sleep(LOOK_AGAIN_S)


def size(report: dict[str, Any], log: str, device: str) -> int:
    return sum(one["entries"] for one in report["logs"] if (one["log"], one["device"]) == (log, device))


def change(device: Device, sql: str, *values: object) -> Any:
    """What somebody with a disk in hand could do; the first row, if the statement gives any."""
    connection = sqlite3.connect(device.home.node_journal)
    with connection:
        row = connection.execute(sql, values).fetchone()
    connection.close()
    return row


async def test_what_was_done_is_in_the_logs_and_they_verify_here_and_elsewhere(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        allow(lab, "notes.append")
        desk = lab.desk
        told = await say(desk, "call", "notes.append", "text=a secret", "--on", "kitchen")
        assert told.code == 0
        shown = await say(desk, "audit", "show", "--device", "kitchen", "--kind", "effect")
        assert [one["answer"] for one in shown.objects] == ["intent", "succeeded"]
        (permit,) = {one["subject"] for one in shown.objects}
        medulla = await say(desk, "audit", "show", "--log", "medulla", "--kind", "permit")
        assert (medulla.objects[-1]["subject"], medulla.objects[-1]["answer"]) == (permit, "allow")
        pairing = await say(desk, "audit", "show", "--log", "coordinator", "--kind", "pairing")
        assert {"opened", "knocked", "granted", "paired", "closed"} <= {
            one["answer"] for one in pairing.objects
        }
        await witnessed(lab, "node", "kitchen", 8)
        code, report = await verified(desk, "--all")
        assert (code, report["ok"], report["problems"]) == (0, True, [])
        assert {(one["log"], one["device"]) for one in report["logs"]} >= {
            ("coordinator", "desk (coordinator)"),
            ("medulla", "desk (coordinator)"),
            ("node", "desk"),
            ("node", "kitchen"),
        }
        export = tmp_path / "logs.jsonl"
        exported = await say(desk, "audit", "export", str(export), "--all")
        assert exported.objects[-1]["entries"] >= report["entries"]
        assert b"a secret" not in export.read_bytes()
        stranger = lab.device("elsewhere")
        elsewhere = await say(
            stranger, "audit", "verify", "--file", str(export), "--mesh", exported.objects[-1]["mesh"]
        )
        assert (elsewhere.code, elsewhere.objects[-1]["ok"]) == (0, True)
        await lab.end()
        assert (await verified(desk))[0] == 0


async def test_a_device_whose_log_was_rolled_back_is_named_by_its_peers(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        desk, kitchen = lab.desk, lab.devices["kitchen"]
        for _ in range(3):
            assert (await say(desk, "call", "device.info", "--on", "kitchen")).code == 0
        _, report = await verified(desk, "--all")
        entries = size(report, "node", "kitchen")
        await witnessed(lab, "node", "kitchen", entries)
        await kitchen.down()
        # Cut at a signature, where the log looks whole by itself.
        change(
            kitchen,
            "DELETE FROM audit WHERE seq > (SELECT seq FROM audit WHERE seal IS NOT NULL AND seq < ?"
            " ORDER BY seq DESC LIMIT 1)",
            entries - 1,
        )
        await kitchen.up()
        await lab.alive("kitchen")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                code, report = await verified(desk, "--all")
                if code:
                    break
                await asyncio.sleep(LOOK_AGAIN_S)
        (problem,) = {(one["log"], one["device"]) for one in report["problems"]}
        assert problem == ("node", "kitchen")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [one for one in lab.ask("doctor") if "tampered" in one["message"]]
                if found:
                    break
                await asyncio.sleep(LOOK_AGAIN_S)
        assert (found[0]["check"], found[0]["level"]) == ("audit", "fail")
        shown = await say(desk, "audit", "show", "--log", "coordinator", "--kind", "witness")
        assert shown.objects[-1]["subject"] == "kitchen"
        assert (await say(desk, "audit", "accept", "kitchen")).code == 0
        assert not [one for one in lab.ask("doctor") if "tampered" in one["message"]]


async def test_a_changed_entry_on_the_disk_is_named_with_the_processes_stopped(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab") as lab:
        desk = lab.desk
        assert (await say(desk, "call", "device.info")).code == 0
        await lab.end()
        code, before = await verified(desk)
        assert code == 0
        entry = bytearray(change(desk, "SELECT entry FROM audit WHERE seq = 3")[0])
        entry[-40] ^= 1
        change(desk, "UPDATE audit SET entry = ? WHERE seq = 3", bytes(entry))
        code, report = await verified(desk)
        assert (code, report["ok"], report["entries"]) == (1, False, before["entries"])
        assert [(one["device"], one["first"], one["last"]) for one in report["problems"]] == [("desk", 3, 3)]
        words = await desk.start("audit", "verify")
        assert await words.process.wait() == 1
