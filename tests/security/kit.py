"""What the security tests share: one mesh per module, a canary that shows that nothing else breaks, and what was noted.

Every attack is tried between two looks at the canary: a job and a session call of a device that has nothing to do
with the attack. `Watch` reads what the mesh says about refusals: the counters of `status`, the sockets' count of those
turned away, and the log. Where a part changes how it reports, it changes here.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from tests.system.kit import PATIENCE_S, mesh, talking

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.audit import AuditEntry
from kindmesh.protocol.codec import decode
from kindmesh.protocol.ids import parse_id

CANARY = "kitchen"


@asynccontextmanager
async def household(root: Path, *members: str, **settings: str) -> AsyncIterator[Lab]:
    """A desk, the canary's device, and `members` that are paired and not started: their keys are the adversary's."""
    async with mesh(root / "lab", CANARY, **settings) as lab:
        for name in members:
            await lab.join(name)
        yield lab


async def sings(lab: Lab) -> None:
    """A job and a session call of the canary's device, both answered."""
    async with talking(lab.desk) as client, asyncio.timeout(PATIENCE_S):
        wish = {"operation": "device.echo", "args": {"text": "still here"}, "target": CANARY}
        job = await client.call("submit", {**wish, "wait": True, "quiet": True})
        assert job["state"] == "succeeded", job
        assert (await client.call("call", wish))["text"] == "still here"


@asynccontextmanager
async def canary(lab: Lab) -> AsyncIterator[None]:
    """Nothing else breaks: it sings before and after, and no process of the canary or the desk was started anew."""
    await sings(lab)
    before = {name: pids(lab.devices[name]) for name in ("desk", CANARY)}
    yield
    await sings(lab)
    assert {name: pids(lab.devices[name]) for name in ("desk", CANARY)} == before


def pids(device: Device) -> set[int]:
    """The parts of a running device, whatever they are: `kindmesh up` and its children."""
    assert device.running is not None
    launcher = device.running.pid
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return {launcher, *map(int, children)}


def id_of(lab: Lab, name: str) -> bytes:
    """The id of a member."""
    return parse_id(next(node["id"] for node in lab.ask("nodes") if node["name"] == name))


class Watch:
    """What the coordinator (or, with `device`, that device's node) has noted of refusals since it was made."""

    def __init__(self, lab: Lab, device: str = "", part: str = "coordinator") -> None:
        self._lab = lab
        self._device, self._part = device or "desk", part
        self._since_ms = time.time_ns() // 1_000_000
        self._before = self._status()

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._lab.ask("status", device=self._device, part=self._part)
        return found

    def refused(self) -> dict[str, int]:
        """Messages refused since, by code."""
        now, before = self._status()["refused"], self._before["refused"]
        return {
            code: count - before.get(code, 0) for code, count in now.items() if count != before.get(code, 0)
        }

    def turned_away(self) -> int:
        """Connections and messages that the socket refused since."""
        return int(self._status()["turned_away"] - self._before["turned_away"])

    async def refuses(self, code: str, at_least: int = 1) -> None:
        """Wait until it has refused that often with that code, and said so in its log."""
        await within(lambda: asyncio.to_thread(lambda: self.refused().get(code, 0) >= at_least), f"{code}")
        sentence = "a member sends too much" if code == "RATE_LIMITED" else "message refused"
        assert self.logged(sentence, code), f"{code} is not in the log of {self._device}"
        await self.noted("message", "refused", code)

    async def noted(self, kind: str, answer: str, code: str = "") -> None:
        """Wait until the audit log has an entry of that kind, answer and code. Many alike of one minute are one entry,
        so it may be older than this watch."""

        async def there() -> bool:
            return any((one.kind, one.answer, one.code) == (kind, answer, code) for one in self.audit())

        await within(there, f"{kind} {answer} {code} in the audit log of {self._device}")

    def audit(self) -> list[AuditEntry]:
        """The whole audit log of the part, as it is on the disk."""
        home = self._lab.devices[self._device].home
        path = (home.coordinator if self._part == "coordinator" else home.node) / "journal.db"
        with closing(sqlite3.connect(path)) as rows:
            return [
                decode(AuditEntry, entry) for (entry,) in rows.execute("SELECT entry FROM audit ORDER BY seq")
            ]

    async def turns_away(self, at_least: int = 1) -> None:
        """Wait until the socket has refused that often."""
        await within(lambda: asyncio.to_thread(lambda: self.turned_away() >= at_least), "turned away")

    def logged(self, message: str, code: str = "") -> list[dict[str, Any]]:
        """Entries of the device's newest log with that sentence, and that code if one is given, since."""
        log = max(self._lab.desk.logs.glob(f"{self._device}-*-up.log"))
        found = []
        for line in log.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            fits = isinstance(entry, dict) and entry.get("message") == message
            if fits and (not code or entry.get("code") == code) and entry["time_ms"] >= self._since_ms - 1000:
                found.append(entry)
        return found


async def within(ask: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not await ask():
        assert time.monotonic() < end, f"did not happen: {what}"
        await asyncio.sleep(0.02)


def resident_kib(pid: int) -> int:
    """Memory of a process."""
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1])
