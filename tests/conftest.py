"""What all tests share: reproducible property tests, a home of its own for every test, and how they share the machine.

`KINDMESH_HOME` points into the test's temporary folder, so that no test can see, let alone change, the household
of the person who runs it. Hypothesis runs without a deadline (two slow cores are common) and prints how to
reproduce a failure; `HYPOTHESIS_PROFILE=thorough` looks much longer.

A run of whole folders is shared out to several processes (`-n auto` in pyproject.toml; `-n0` for none, `-n 4` for
four). What was named more closely (`tests/x/test_y.py`, a test) runs in the process that was started, where a debugger
can look. What waits most begins first, so that the processors have other work meanwhile and no long test is left for
the end. The tests of one file stay together (`--dist loadfile`), so that what a module makes once is made once. `alone`
is explained in `support/turnstile.py`.
"""

from __future__ import annotations

import compileall
import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.support.turnstile import Turnstile

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

WAITING_FIRST = ("system", "security", "sim")
"""Folders whose tests take longest and wait most, in the order in which they begin."""
NOT_COUNTED = frozenset(("benchmarks", "exams", "fuzz", "security", "sim", "system"))
"""Folders whose tests run whole households, mostly in processes of their own where nothing is counted. What must be
covered completely is covered by the tests of that part alone; counting in these as well makes them half as fast."""
BESIDE_EACH_OTHER = 2
"""How many more processes than processors: one waits for a mesh to come up while another calculates."""
ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protocol", "mesh", "capabilities", "node", "coordinator", "tests")
TURNSTILE = pytest.StashKey[Turnstile]()
FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


@pytest.fixture(autouse=True)
def kindmesh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder that this test's processes would use; not created."""
    home = tmp_path / "home"
    monkeypatch.setenv("KINDMESH_HOME", str(home))
    return home


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: none where files or tests were named."""
    if any(not Path(word.partition("::")[0]).is_dir() for word in config.args):
        return 0
    return len(os.sched_getaffinity(0)) + BESIDE_EACH_OTHER


def pytest_configure(config: pytest.Config) -> None:
    """A worker finds the turnstile of its run; whoever started the workers makes it, and compiles our code.

    Tests start hundreds of processes; with PYTHONDONTWRITEBYTECODE in the environment, or as another user, each of
    them would compile all of it again. The same goes for the tests themselves, as pytest rewrites them: a worker reads
    what another wrote.
    """
    sys.dont_write_bytecode = False
    given: str | None = getattr(config, "workerinput", {}).get("turnstile")
    if given is None:
        for portion in PORTIONS:
            compileall.compile_dir(ROOT / portion, quiet=2)
        folder = config.stash[FOLDER] = tempfile.TemporaryDirectory(prefix="kindmesh-turnstile-")
        given = folder.name
    config.stash[TURNSTILE] = Turnstile(Path(given))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing stays behind."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        folder.cleanup()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where its run's turnstile is."""
    node.workerinput["turnstile"] = str(node.config.stash[TURNSTILE].folder)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is not counted in the coverage; and for workers the order in which files begin, the same for all of them."""
    here = Path(__file__).parent
    folders = {name: number for number, name in enumerate(WAITING_FIRST)}

    def folder(item: pytest.Item) -> str:
        return "".join(item.path.relative_to(here).parts[:1] if item.path.is_relative_to(here) else ())

    for item in items:
        if folder(item) in NOT_COUNTED:
            item.add_marker("no_cover")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: folders.get(folder(item), len(folders)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Outside of the test's time limit: pass the turnstile."""
    alone = item.get_closest_marker("alone") is not None
    with item.config.stash[TURNSTILE].passed(alone=alone):
        return (yield)
