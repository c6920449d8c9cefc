"""Hosts with real worker processes over a plain folder of artifacts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kindmesh.capabilities.base import Duplex, Progress
from kindmesh.capabilities.host import CapabilityHost
from kindmesh.capabilities.registry import ENTRIES, Entry
from kindmesh.capabilities.testing import FolderArtifacts


class Bench:
    """A host with what a test wants to look at around it."""

    def __init__(self, host: CapabilityHost, artifacts: FolderArtifacts, work: Path) -> None:
        self.host = host
        self.artifacts = artifacts
        self.work = work

    async def call(
        self,
        operation: str,
        arguments: dict[str, Any] | None = None,
        *,
        seconds: float = 60.0,
        progress: Progress = lambda fraction, text: None,
        cancelled: asyncio.Event | None = None,
        duplex: Duplex | None = None,
    ) -> dict[str, Any]:
        return await self.host.call(
            operation,
            arguments or {},
            job_id=b"j" * 16,
            deadline=time.monotonic() + seconds,
            progress=progress,
            cancelled=cancelled,
            duplex=duplex,
        )

    def pid(self, part: str) -> int:
        return next(one.pid for one in self.host.statistics() if one.part == part)

    def leftovers(self) -> list[Path]:
        """Files that a call left in the work folder."""
        return [path for path in self.work.rglob("*") if path.is_file()]


async def process_ended(pid: int, *, seconds: float = 20.0) -> None:
    """Return when the process has ended; at once if there is none."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


OpenBench = Callable[..., AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def bench_in(folder: Path, *entries: Entry, idle_s: float = 120.0) -> AsyncIterator[Bench]:
    """A host with everything of it in this folder."""
    artifacts = FolderArtifacts(folder / "artifacts")
    work = folder / "work"
    async with CapabilityHost(
        artifacts=artifacts,
        data_dir=folder / "data",
        work_root=work,
        idle_s=idle_s,
        entries=entries or ENTRIES,
        config_dir=folder,
    ) as host:
        yield Bench(host, artifacts, work)


@pytest.fixture
def open_bench(tmp_path: Path) -> OpenBench:
    return partial(bench_in, tmp_path)
