"""`kindmesh provenance` on real processes: what a device keeps is shown, and counts anew by the owner's word."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.kit import allow, mesh
from tests.system.test_lasting import kindmesh


async def test_what_a_device_keeps_counts_as_its_own_again_once_the_owner_says_so(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "kitchen", KINDMESH_NODE_CAPABILITIES="device,notes") as lab:
        code, out, errors = await kindmesh(lab, "provenance", "show", "kitchen")
        assert (code, "Nothing was given to it yet" in out) == (0, True), errors
        allow(lab, "notes.append")
        wish = {"operation": "notes.append", "args": {"text": "milk"}, "target": "kitchen", "wait": True}
        assert lab.ask("submit", wish)["state"] == "succeeded"
        code, out, errors = await kindmesh(lab, "provenance", "show", "kitchen")
        assert (code, "something made up" in out) == (0, True), errors
        code, out, errors = await kindmesh(lab, "provenance", "reset", "kitchen", "home")
        assert (code, "There is: notes." in errors) == (2, True), errors
        code, out, errors = await kindmesh(lab, "provenance", "reset", "kitchen", "notes", said="no\n")
        assert (code, "Nothing was changed" in out, "look through it first" in errors) == (4, True, True), (
            errors
        )
        code, out, errors = await kindmesh(lab, "provenance", "reset", "kitchen", "notes", said="yes\n")
        assert (code, "counts as its own" in out) == (0, True), errors
        await lab.devices["kitchen"].down()
        await lab.devices["kitchen"].up()
        await lab.alive("desk", "kitchen")
        code, out, errors = await kindmesh(lab, "provenance", "show", "kitchen", "--json")
        (label,) = json.loads(out)["labels"]
        assert (label["capability"], label["source"], label["reset_ms"] > 0) == ("notes", "user", True)
        code, out, errors = await kindmesh(lab, "audit", "show", "--device", "kitchen", "--kind", "labels")
        assert (code, "reset" in out) == (0, True), (out, errors)
