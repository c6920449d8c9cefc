"""What all tests share: reproducible property tests, and a home of its own for every test.

`KINDMESH_HOME` points into the test's temporary folder, so that no test can see, let alone change, the household
of the person who runs it. Hypothesis runs without a deadline (two slow cores are common) and prints how to
reproduce a failure; `HYPOTHESIS_PROFILE=thorough` looks much longer.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def kindmesh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder that this test's processes would use; not created."""
    home = tmp_path / "home"
    monkeypatch.setenv("KINDMESH_HOME", str(home))
    return home
