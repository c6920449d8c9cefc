"""Tests of one run share the machine, and one that is marked `alone` has it for itself: with real processes."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from pathlib import Path
from tests.support.turnstile import Turnstile
print("wants", flush=True)
with Turnstile(Path(sys.argv[1])).passed(alone=sys.argv[2] == "alone"):
    print("in", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def contender(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that wants to run a test; it says `wants`, then `in` when it may, and ends when it reads a line."""
    words = [sys.executable, "-c", CHILD, str(folder), how]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def stays_out(process: subprocess.Popen[str]) -> bool:
    """Whether it says nothing for a while, after it said that it wants in."""
    assert process.stdout is not None
    return select.select([process.stdout], [], [], 0.3)[0] == []


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=30)


def test_ordinary_tests_run_together_and_a_lone_one_by_itself(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(contender(tmp_path, "shared")) for _ in range(2))
        for one in (first, second):
            assert (says(one), says(one)) == ("wants", "in")
        lone = stack.enter_context(contender(tmp_path, "alone"))
        end(first)
        assert says(lone) == "wants"
        assert stays_out(lone)
        end(second)
        assert says(lone) == "in"
        late = stack.enter_context(contender(tmp_path, "shared"))
        assert says(late) == "wants"
        assert stays_out(late)
        end(lone)
        assert says(late) == "in"
        end(late)


def test_a_lone_test_that_dies_leaves_the_way_free(tmp_path: Path) -> None:
    with ExitStack() as stack:
        lone = stack.enter_context(contender(tmp_path, "alone"))
        assert (says(lone), says(lone)) == ("wants", "in")
        lone.send_signal(signal.SIGKILL)
        after = stack.enter_context(contender(tmp_path, "shared"))
        assert (says(after), says(after)) == ("wants", "in")
        end(after)
