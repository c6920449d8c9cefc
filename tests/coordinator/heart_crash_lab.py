"""Kills a real coordinator process at every commit of its journal, before and after, and looks at what is left.

Run as a program with a folder and the number of jobs; prints one JSON line for each place of death. Each life is a
forked child with a Heart on a real loop and a real journal; at its n-th commit it kills itself with SIGKILL. Its nodes
write what they begin to a file (which, as theirs would, outlives it), and it writes what it acknowledges and hears. The
next lives go on until every acknowledged job has ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.coordinator.heart_kit import APPEND, FakeNode, Rig, wish

from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.store import Store
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.messages import Job, JobResult, MessageType

OPERATIONS = ("device.echo", "notes.append", "speech.render", "notes.append")


class Diary:
    """Lines in a file that survive `kill -9`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *words: str) -> None:
        os.write(self._fd, (" ".join(words) + "\n").encode())

    def read(self) -> list[list[str]]:
        return [line.split() for line in self.path.read_text().splitlines()]


class Journaled(FakeNode):
    """A fake node whose job table is in the diary, as a real node's is in its journal."""

    def keep(self, diary: Diary) -> None:
        self.diary = diary
        for words in diary.read():
            if words[0] == "table" and words[1] == self.name:
                job_id, known = bytes.fromhex(words[2]), bytes.fromhex(words[3])
                self.table[job_id] = decode(Job, known) if words[4] == "job" else decode(JobResult, known)
        self.kill()

    def receive(self, type_: MessageType, body: Any) -> None:
        before = dict(self.table)
        super().receive(type_, body)
        for job_id, found in self.table.items():
            if before.get(job_id) is not found:
                kind = "job" if isinstance(found, Job) else "result"
                self.diary.write("table", self.name, job_id.hex(), encode(found).hex(), kind)


class FatalStore(Store):
    """The process ends at the `at`-th commit, before it or after."""

    at = 0
    after = False
    commits = 0

    def _engine_commit(self) -> KindmeshError | None:
        self.commits += 1
        if self.commits == self.at and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        error = super()._engine_commit()
        if self.commits == self.at and self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        return error


async def live(folder: Path, jobs: int) -> None:
    diary = Diary(folder / "diary")
    rig = Rig(folder, SystemClock())
    rig.store_class = FatalStore
    for name in ("phone", "kitchen"):
        node = Journaled(rig, name)
        node.keep(diary)
        rig.nodes[name] = node
    await rig.start()
    submitted = {words[1] for words in diary.read() if words[0] == "acknowledged"}
    keys = {words[2] for words in diary.read() if words[0] == "acknowledged"}
    for awake in rig.nodes.values():
        awake.log = lambda line: diary.write(*line.split())
    for number in range(jobs):
        key = f"job-{number}"
        if key not in keys:
            job_id = await rig.heart.submit(wish(OPERATIONS[number % len(OPERATIONS)], text=key, key=key))
            diary.write("acknowledged", job_id.hex(), key)
            submitted.add(job_id.hex())
    async with asyncio.timeout(10):
        for known in sorted(submitted):
            document = await rig.heart.wait(bytes.fromhex(known))
            diary.write("ended", known, document["state"], document["operation"])
    await rig.close()


def one_life(folder: Path, jobs: int, at: int, *, after: bool) -> int:
    """How the life ended: 0, or minus the signal, or 1 for a failure of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            FatalStore.at, FatalStore.after = at, after
            asyncio.run(live(folder, jobs))
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def story(folder: Path, jobs: int, at: int, *, after: bool) -> dict[str, object]:
    folder.mkdir(parents=True)
    ends = [one_life(folder, jobs, at, after=after), one_life(folder, jobs, 2, after=after)]
    while ends[-1] == -signal.SIGKILL:
        ends.append(one_life(folder, jobs, 0, after=False))
    lines = Diary(folder / "diary").read()
    begun = Counter(words[1] for words in lines if words[0] == "begun")
    acknowledged = {words[1] for words in lines if words[0] == "acknowledged"}
    ended: dict[str, list[str]] = {}
    for words in lines:
        if words[0] == "ended":
            ended.setdefault(words[1], []).append(f"{words[3]} {words[2]}")
    return {
        "at": at,
        "after": after,
        "lives": ends,
        "acknowledged": len(acknowledged),
        "lost": sorted(acknowledged - set(ended)),
        "ends": sorted({end for found in ended.values() for end in found}),
        "two_ends": sorted(job for job, found in ended.items() if len(set(found)) > 1),
        "twice": sorted(job for job, found in ended.items() if APPEND.name in found[0] and begun[job] > 1),
    }


def main() -> None:
    folder, jobs = Path(sys.argv[1]), int(sys.argv[2])
    for at in range(1, int(sys.argv[3]) + 1):
        for after in (False, True):
            found = story(folder / f"{at}-{after}", jobs, at, after=after)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
