"""A bare node stays light: what it imports pulls in no library that only some devices, or only people, need."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

HEAVY = {
    "PIL", "anthropic", "cedarpy", "click", "cv2", "espeakng_loader", "httpx2", "hypothesis", "numpy", "onnxruntime",
    "openai", "pydantic", "pytest", "rapidocr", "requests", "rich", "segno", "typer", "yaml",
}  # fmt: skip
SHOW = (
    "import json, sys; import {module}; print(json.dumps(sorted(name.split('.')[0] for name in sys.modules)))"
)


def loaded_by(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", SHOW.format(module=module)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in ("kindmesh.protocol", "kindmesh.capabilities.registry", "kindmesh.node.process")
        if importlib.util.find_spec(name)
    ],
)
def test_it_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module) & HEAVY == set()
