"""`demo`: run the story and tell it."""

from __future__ import annotations

import asyncio
from importlib.resources import as_file, files
from pathlib import Path

from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output
from kindmesh.protocol.errors import CapabilityMissing


def run_demo(out: Output, image: Path | None, folder: Path) -> int:
    """Run the main job on this machine."""
    from kindmesh.capabilities.registry import available
    from kindmesh.coordinator.cli import qr
    from kindmesh.coordinator.demo.report import as_data, timeline
    from kindmesh.coordinator.demo.story import Story

    missing = [found.install for found in available() if found.missing]
    if missing:
        raise CapabilityMissing("the demo reads and speaks, which is not installed here", hint=missing[0])

    def say(text: str) -> None:
        if out.as_json:
            out.note(text)
        else:
            out.result(None, text)

    def show(text: str) -> None:
        if not out.as_json:
            out.result(None, *qr.terminal_lines(text))

    with as_file(files("kindmesh.capabilities.vision") / "samples" / "letter.jpg") as sample:
        told = asyncio.run(Story(image or sample, folder, say, show).run())
    data = as_data(told)
    out.result(data, *timeline(told))
    return EXIT_DONE if data["ok"] else EXIT_FAILED


__all__ = ["run_demo"]
