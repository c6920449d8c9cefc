"""What exists, what is missing, and that looking costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from kindmesh.capabilities.registry import ENTRIES, available, find_part, manifest_of
from kindmesh.protocol.errors import CapabilityMissing, UnknownOperation

HEAVY = {
    "PIL",
    "cv2",
    "numpy",
    "onnxruntime",
    "rapidocr",
    "espeakng_loader",
    "ctypes",
    "asyncio",
    "zmq",
    "nacl",
}


def test_listing_what_a_device_can_do_imports_nothing_heavy() -> None:
    program = (
        "import json, sys; from kindmesh.capabilities.registry import available; available();"
        "print(json.dumps(sorted(sys.modules)))"
    )
    listing = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    loaded = set(json.loads(listing.stdout))
    assert loaded & HEAVY == set()
    assert not {name for name in loaded if name.endswith((".handlers", ".render", ".say", ".reader"))}


def test_every_capability_is_listed_with_its_manifest() -> None:
    listed = {known.entry.capability: known for known in available()}
    assert list(listed) == ["device", "notes", "home", "vision", "speech", "llm"]
    assert all(known.manifest == manifest_of(known.entry) for known in listed.values())
    assert listed["device"].ready
    assert listed["device"].install == ""


def test_a_missing_dependency_is_listed_with_the_one_command_that_installs_it() -> None:
    vision = next(entry for entry in ENTRIES if entry.capability == "vision")
    lacking = replace(vision, modules=("json", "no_such_module_here"))
    known = available([lacking])[0]
    assert (known.ready, known.missing) == (False, ("no_such_module_here",))
    assert known.install == "pip install 'kindmesh[vision]'"
    with pytest.raises(CapabilityMissing, match="no_such_module_here") as missing:
        find_part("vision.read_text", [lacking])
    assert missing.value.hint == "pip install 'kindmesh[vision]'"


def test_an_operation_is_found_with_its_part() -> None:
    entry, part = find_part("speech.say")
    assert (entry.capability, part.name, part.isolation, part.audio) == (
        "speech",
        "speech-say",
        "process",
        True,
    )


def test_an_unknown_operation_is_named() -> None:
    with pytest.raises(UnknownOperation, match=r"speech\.sing"):
        find_part("speech.sing")


def test_only_the_part_that_plays_may_reach_the_sound_card() -> None:
    assert [part.name for entry in ENTRIES for part in entry.parts if part.audio] == ["speech-say"]
