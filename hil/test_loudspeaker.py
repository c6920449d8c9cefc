"""Needs a loudspeaker on this machine and a person who listens. Says one short sentence out loud, once.

Run it in a terminal with `./bootstrap hil -s`; the person answers whether they heard it.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from kindmesh.capabilities.host import CapabilityHost
from kindmesh.capabilities.testing import FolderArtifacts

SENTENCE = "Kindmesh is speaking. Did you hear me?"


async def test_a_sentence_is_heard_in_the_room(tmp_path: Path) -> None:
    if not os.isatty(0):
        pytest.fail("a person has to answer: run ./bootstrap hil -s in a terminal")
    host = CapabilityHost(
        artifacts=FolderArtifacts(tmp_path / "artifacts"),
        data_dir=tmp_path / "data",
        work_root=tmp_path / "work",
    )
    async with host:
        await host.call("speech.say", {"text": SENTENCE}, job_id=bytes(16), deadline=time.monotonic() + 60)
    answer = await asyncio.to_thread(input, f'Did you hear "{SENTENCE}"? yes or no: ')
    assert answer.strip().lower() in ("y", "yes")
