"""After every security test: no process has shown anybody a traceback, whatever it was sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.system.kit import SEEN, tracebacks


@pytest.fixture(autouse=True)
def nobody_sees_a_traceback() -> Iterator[None]:
    """Looks through the logs of all processes of the labs that are there."""
    yield
    found = tracebacks()
    SEEN[:] = [folder for folder in SEEN if folder.exists()]
    assert not found, "\n\n".join(found)
