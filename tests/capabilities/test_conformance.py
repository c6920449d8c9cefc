"""Every capability of ours keeps the common rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.capabilities.conftest import Bench, OpenBench

import kindmesh.capabilities.vision
from kindmesh.capabilities.registry import ENTRIES, Entry, find_part, manifest_of
from kindmesh.capabilities.testing import ScriptedDuplex, handler_problems, refused_arguments, static_problems
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.manifest import Operation

SAMPLE = Path(next(iter(kindmesh.capabilities.vision.__path__))) / "samples" / "letter.jpg"
GOOD: dict[str, dict[str, Any]] = {
    "device.info": {},
    "device.echo": {"text": "hello"},
    "device.echo_stream": {},
    "speech.stream": {"text": "Good morning."},
    "notes.append": {"text": "buy bread"},
    "notes.list": {},
    "home.control": {"service": "light.turn_on", "entities": ["light.a"]},
    "home.access": {"service": "lock.lock", "entities": ["lock.a"]},
    "home.note": {"service": "timer.start", "entities": ["timer.a"], "data": {"duration": 60}},
    "home.get": {},
    "home.history": {},
    "home.describe": {},
    "home.tell": {"states": [{"entity": "sensor.a", "state": "21.5"}]},
    "home.load": {"inventory": {"entities": [{"id": "light.a"}]}},
    "vision.read_text": {"image": SAMPLE},
    "speech.render": {"text": "Good morning."},
    "speech.say": {"text": "Good morning."},
    "llm.chat": {"messages": [{"role": "user", "text": "Good morning."}]},
    "llm.chat_outside": {"messages": [{"role": "user", "text": "Good morning."}]},
    "llm.stream": {"messages": [{"role": "user", "text": "Good morning."}]},
    "llm.stream_outside": {"messages": [{"role": "user", "text": "Good morning."}]},
    "llm.models": {},
}
OPERATIONS = [operation for entry in ENTRIES for operation in manifest_of(entry).operations]


def _arguments(bench: Bench, name: str) -> dict[str, Any]:
    return {
        key: bench.artifacts.add(value.read_bytes()) if isinstance(value, Path) else value
        for key, value in GOOD[name].items()
    }


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.capability)
def test_static_side(entry: Entry) -> None:
    assert static_problems(entry) == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.capability)
def test_handlers_fit_the_manifest(entry: Entry) -> None:
    assert handler_problems(entry) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_bad_arguments_are_refused_by_field_and_start_nothing(
    open_bench: OpenBench, operation: Operation
) -> None:
    async with open_bench() as bench:
        for field, arguments in refused_arguments(operation, _arguments(bench, operation.name)):
            with pytest.raises(InvalidInput) as refused:
                await bench.call(operation.name, arguments)
            assert refused.value.field == field
        assert all(one.starts == 0 for one in bench.host.statistics())


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if operation.idempotent],
    ids=lambda operation: operation.name,
)
async def test_doing_an_idempotent_operation_twice_gives_the_same(
    open_bench: OpenBench, operation: Operation
) -> None:
    async with open_bench() as bench:
        arguments = _arguments(bench, operation.name)
        streams = [ScriptedDuplex(b"one", b"two") if operation.stream else None for _ in range(2)]
        once, twice = [await bench.call(operation.name, arguments, duplex=stream) for stream in streams]
        assert len({None if stream is None else tuple(stream.written) for stream in streams}) == 1
        for changing in ("uptime_ms", "memory_available_bytes", "at_ms"):
            once.pop(changing, None)
            twice.pop(changing, None)
        assert once == twice
        assert bench.leftovers() == []


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if find_part(operation.name)[1].isolation == "process"],
    ids=lambda operation: operation.name,
)
async def test_a_call_without_time_left_leaves_nothing_behind(
    open_bench: OpenBench, operation: Operation
) -> None:
    async with open_bench() as bench:
        arguments = _arguments(bench, operation.name)
        before = bench.artifacts.ids()
        with pytest.raises(KindmeshError):
            await bench.call(operation.name, arguments, seconds=0.05)
        assert (bench.leftovers(), bench.artifacts.ids()) == ([], before)
        assert bench.pid(find_part(operation.name)[1].name) == 0
