"""The stages of a job, announced from inside the shipped processes without a word about it in shipped code.

A process that is started with `environment(home)` loads `mortal/sitecustomize.py`, which has the modules of `_HOOKS`
wrapped as soon as they are imported: around what the program does anyway, before or after. At a stage the process looks
for the file `orders` in its own folder. If that names this stage and the operation of this job, the process renames it
to `reached` and stands still until somebody takes `reached` away: whoever wrote the orders now kills whom they want,
that process or another one, at exactly this moment. Without orders a stage costs one failing `open`.

Also here, because it has to be in the same processes: the capability `work` of the simulator, whose operations leave a
line on the disk each time they are done.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_S: Final = 60.0

STAGES: Final[dict[str, str]] = {
    "submitted": "coordinator",
    "journaled": "coordinator",
    "placed": "coordinator",
    "permit asked": "medulla",
    "permit written": "medulla",
    "sent": "coordinator",
    "accepted": "node",
    "INTENT written": "node",
    "effect begun": "node",
    "effect done": "node",
    "RESULT written": "node",
    "reported": "node",
    "taken": "coordinator",
    "acknowledged": "node",
}
"""In the order of a job's life, with the process that gets there."""


def environment() -> dict[str, str]:
    """What a process needs to see to announce its stages."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "system" / "mortal"), str(ROOT)])}


def at(stage: str, operation: str) -> None:
    """A job of this operation is at that stage in this process."""
    folder = Path(os.environ["KINDMESH_HOME"]) / STAGES[stage]
    try:
        wanted = (folder / "orders").read_text()
    except FileNotFoundError:
        return
    if wanted != f"{stage}|{operation}":
        return
    reached = folder / "reached"
    os.rename(folder / "orders", reached)
    end = time.monotonic() + PATIENCE_S
    while reached.exists() and time.monotonic() < end:
        time.sleep(0.002)


def _before(owner: type, name: str, tell: Callable[..., None]) -> None:
    """Have `tell` called with what the method is called with, before it."""
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        tell(*args, **kwargs)
        return plain(*args, **kwargs)

    setattr(owner, name, wrapped)


def _after(owner: type, name: str, tell: Callable[..., None]) -> None:
    """The same, after it."""
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found = plain(*args, **kwargs)
        tell(*args, **kwargs)
        return found

    setattr(owner, name, wrapped)


def _heart_journal(module: ModuleType) -> None:
    _before(module.HeartJournal, "submit", lambda _, facts, *__: at("submitted", facts.operation))


def _dispatch(module: ModuleType) -> None:
    _before(module.Dispatch, "_submitted", lambda _, entry: at("journaled", entry.facts.operation))
    _before(module.Dispatch, "_ended", lambda _, entry, *__: at("taken", entry.facts.operation))


def _permitting(module: ModuleType) -> None:
    _before(module.Permitting, "wanted", lambda _, entry, *__: at("placed", entry.facts.operation))


def _sending(module: ModuleType) -> None:
    _after(module.Sender, "_send", lambda _, entry, wish: at("sent", entry.facts.operation))


def _medulla(module: ModuleType) -> None:
    asked: list[str] = []

    def hear(event: Any) -> None:
        operation = getattr(event, "operation", "")
        if operation:
            asked.append(operation)
            at("permit asked", operation)

    def answered(*_: Any, **__: Any) -> None:
        for operation in asked:
            at("permit written", operation)
        asked.clear()

    _before(module.Service, "_decide", lambda _, event: hear(event))
    _after(module.Service, "_keep", answered)


def _executor(module: ModuleType) -> None:
    def written(executor: Any, event: Any, error: object) -> None:
        found = executor._machine.find(event.job_id)
        if error is None and found is not None and isinstance(event, module.IntentWritten):
            at("INTENT written", found[0].operation)

    def result(executor: Any, job_id: bytes, attempt: int, error: object) -> None:
        found = executor._machine.find(job_id)
        if error is None and found is not None:
            at("RESULT written", found[0].operation)

    _before(module.Executor, "_written", written)
    _before(module.Executor, "_result_written", result)


def _intake(module: ModuleType) -> None:
    _after(module.Intake, "judge", lambda self, sender, job, now_ms: at("accepted", job.operation))


def _reporter(module: ModuleType) -> None:
    def told(reporter: Any, job_id: bytes, stage: str) -> None:
        record = reporter._journal.find(job_id)
        if record is not None:
            at(stage, record.operation)

    _after(module.Reporter, "_send", lambda self, _, result: told(self, result.job_id, "reported"))

    def thanked(reporter: Any, peer: bytes, ref: int, body: Any) -> None:
        for job_id in (body.job_id, *(job_id for job_id, _ in body.more)):
            told(reporter, job_id, "acknowledged")

    _after(module.Reporter, "_on_taken", thanked)


def _work(module: ModuleType) -> None:
    plain = module._do

    async def _do(what: str, *args: Any) -> Any:
        at("effect begun", what)
        found = await plain(what, *args)
        at("effect done", what)
        return found

    module._do = _do  # type: ignore[attr-defined] # a module that is known when it is loaded


def _registry(module: ModuleType) -> None:
    names = ("work.read", "work.tidy", "work.add", "work.switch")
    part = module.Part("work", "kindmesh.coordinator.simulate.work:Work", names)
    entry = module.Entry("work", "kindmesh.coordinator.simulate.work:MANIFEST", (part,))
    module.ENTRIES = (*module.ENTRIES, entry)  # type: ignore[attr-defined] # a module that is known when it is loaded


_HOOKS: Final[dict[str, Callable[[ModuleType], None]]] = {
    "kindmesh.coordinator.heart.journal": _heart_journal,
    "kindmesh.coordinator.heart.dispatch": _dispatch,
    "kindmesh.coordinator.heart.permitting": _permitting,
    "kindmesh.coordinator.heart.sending": _sending,
    "kindmesh.coordinator.brain.medulla.service": _medulla,
    "kindmesh.node.executor": _executor,
    "kindmesh.node.intake": _intake,
    "kindmesh.node.reporter": _reporter,
    "kindmesh.capabilities.registry": _registry,
    "kindmesh.coordinator.simulate.work": _work,
}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what every other finder finds, and has the hook called when it was loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        hook = _HOOKS.get(fullname)
        spec = None if hook is None else importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if hook is None or spec is None or spec.loader is None:
            return None
        plain = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            plain(module)
            hook(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign] # this loader is ours alone
        return spec


def install() -> None:
    """From now on."""
    sys.meta_path.insert(0, _Finder())


__all__ = ["ROOT", "STAGES", "at", "environment", "install"]
