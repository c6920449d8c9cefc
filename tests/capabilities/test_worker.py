"""Real worker processes that hang, die, shout, lie and look around."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capabilities.conftest import Bench, OpenBench, process_ended
from tests.capabilities.probe import ENTRY, PART, ROOT

from kindmesh.capabilities.worker_wire import Frames, Working, pack
from kindmesh.protocol.errors import (
    AccessRefused,
    ArtifactMissing,
    Cancelled,
    CapabilityCrashed,
    CapabilityError,
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    Malformed,
    Stopped,
)
from kindmesh.protocol.messages.events import Labels


async def test_a_worker_starts_with_the_first_call_and_serves_the_next_ones(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        assert bench.pid("probe") == 0
        assert await bench.call("probe.echo", {"text": "héllo 👋"}) == {"text": "héllo 👋"}
        first = bench.pid("probe")
        await bench.call("probe.echo", {"text": "again"})
        assert first == bench.pid("probe") != 0
        statistics = bench.host.statistics()[0]
    assert (statistics.starts, statistics.calls, statistics.crashes) == (1, 2, 0)


async def test_an_idle_worker_is_unloaded_and_comes_back_when_asked(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY, idle_s=0.2) as bench:
        await bench.call("probe.echo", {"text": "a"})
        first = bench.pid("probe")
        await process_ended(first)
        await bench.call("probe.echo", {"text": "b"})
        assert bench.pid("probe") not in (0, first)
        assert bench.host.statistics()[0].crashes == 0


async def test_leaving_the_host_ends_its_workers_and_empties_its_folder(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        await bench.call("probe.echo", {"text": "a"})
        pid = bench.pid("probe")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not bench.work.exists()
    with pytest.raises(Stopped):
        await bench.call("probe.echo", {"text": "a"})


async def test_leaving_the_host_stops_a_running_call_by_name(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        running, _ = await _begun(bench, {"seconds": 60})
        pid = bench.pid("probe")
    with pytest.raises(Stopped, match=r"probe\.wait"):
        await running
    await process_ended(pid)


async def _begun(
    bench: Bench, arguments: dict[str, Any], **more: Any
) -> tuple[asyncio.Task[dict[str, Any]], str]:
    """A call of probe.wait that has reached its middle, and what it said there."""
    told: asyncio.Queue[str] = asyncio.Queue()
    running = asyncio.ensure_future(
        bench.call("probe.wait", arguments, progress=lambda fraction, text: told.put_nowait(text), **more)
    )
    return running, await told.get()


async def test_a_worker_killed_in_mid_call_is_a_named_crash_and_the_next_call_works(
    open_bench: OpenBench,
) -> None:
    async with open_bench(ENTRY) as bench:
        running, _ = await _begun(bench, {"seconds": 60})
        os.kill(bench.pid("probe"), signal.SIGKILL)
        with pytest.raises(
            CapabilityCrashed, match=r"probe failed during probe\.wait: it was ended by SIGKILL"
        ):
            await running
        assert bench.leftovers() == []
        assert await bench.call("probe.echo", {"text": "back"}) == {"text": "back"}
        assert bench.host.statistics()[0].crashes == 1


@pytest.mark.parametrize(
    ("how", "told"), [("exit", "status 3"), ("kill", "SIGKILL"), ("segfault", "SIGSEGV")]
)
async def test_a_crash_says_how_the_worker_ended(open_bench: OpenBench, how: str, told: str) -> None:
    async with open_bench(ENTRY) as bench:
        with pytest.raises(CapabilityCrashed, match=told):
            await bench.call("probe.die", {"how": how})


async def test_a_worker_that_died_while_idle_is_replaced_without_an_error(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        await bench.call("probe.echo", {"text": "a"})
        pid = bench.pid("probe")
        os.kill(pid, signal.SIGKILL)
        await process_ended(pid)
        assert await bench.call("probe.echo", {"text": "b"}) == {"text": "b"}


async def test_a_part_that_keeps_crashing_rests(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        for _ in range(5):
            with pytest.raises(CapabilityCrashed, match="status 3"):
                await bench.call("probe.die", {"how": "exit"})
        with pytest.raises(CapabilityCrashed, match="resting") as refused:
            await bench.call("probe.echo", {"text": "a"})
        assert "Try again in" in refused.value.hint
        assert bench.host.statistics()[0].starts == 5


async def test_a_deadline_kills_the_worker_and_whatever_it_started(open_bench: OpenBench) -> None:
    async with open_bench(replace(ENTRY, parts=(replace(PART, audio=True),))) as bench:
        running, child = await _begun(bench, {"seconds": 60, "child": True}, seconds=3)
        pid = bench.pid("probe")
        with pytest.raises(DeadlineExceeded):
            await running
        await process_ended(pid)
        await process_ended(int(child))
        assert bench.leftovers() == []


async def test_setting_cancelled_kills_the_worker_and_leaves_nothing_behind(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        cancelled = asyncio.Event()
        running, _ = await _begun(bench, {"seconds": 60}, cancelled=cancelled)
        pid = bench.pid("probe")
        cancelled.set()
        with pytest.raises(Cancelled):
            await running
        await process_ended(pid)
        assert (bench.leftovers(), bench.artifacts.ids()) == ([], set())


async def test_cancelling_the_task_kills_the_worker_and_leaves_nothing_behind(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        running, _ = await _begun(bench, {"seconds": 60})
        pid = bench.pid("probe")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert bench.leftovers() == []
        assert await bench.call("probe.echo", {"text": "b"}) == {"text": "b"}


async def test_a_call_that_waits_for_its_turn_keeps_its_own_deadline(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        running, _ = await _begun(bench, {"seconds": 60})
        with pytest.raises(DeadlineExceeded):
            await bench.call("probe.echo", {"text": "impatient"}, seconds=0.3)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])


async def test_what_native_code_prints_does_not_disturb_the_conversation(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        assert await bench.call("probe.shout", {"text": "\0\0\0\x05noise"}) == {"text": "shouted"}


async def test_too_much_memory_is_an_answer_and_the_worker_starts_afresh(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        with pytest.raises(CapabilityError, match="more memory"):
            await bench.call("probe.allocate", {"mib": 400})
        assert await bench.call("probe.allocate", {"mib": 50}) == {"text": str(50 << 20)}
        assert bench.host.statistics()[0].starts == 2


async def test_an_unexpected_error_names_its_place_and_no_values(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        with pytest.raises(InternalError, match=r"ValueError at probe\.py") as failed:
            await bench.call("probe.fail", {"how": "a private thing"})
        assert "private" not in failed.value.message + failed.value.hint


async def test_an_answer_that_breaks_the_manifest_is_refused(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        with pytest.raises(InternalError, match="promises"):
            await bench.call("probe.lie", {"how": "x"})


async def test_bad_arguments_are_refused_before_a_worker_is_started(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        with pytest.raises(InvalidInput) as refused:
            await bench.call("probe.echo", {"text": 7})
        assert (refused.value.field, bench.pid("probe")) == ("text", 0)


async def test_files_go_in_and_come_out_as_artifacts(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        given_file = bench.artifacts.add(b"12345")
        assert await bench.call("probe.measure", {"file": given_file}) == {"text": "5 True"}
        kept = (await bench.call("probe.keep", {"size": 3_000_000}))["file"]
        assert (kept["size_bytes"], kept["media_type"]) == (3_000_000, "application/x-zeros")
        assert (bench.artifacts.folder / kept["artifact"]).read_bytes() == bytes(3_000_000)
        with pytest.raises(ArtifactMissing):
            await bench.call("probe.measure", {"file": {"artifact": "0" * 64}})
        assert bench.leftovers() == []


async def test_a_worker_cannot_hand_over_a_file_of_somebody_else(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    async with open_bench(ENTRY) as bench:
        with pytest.raises(CapabilityError, match="no file of its own"):
            await bench.call("probe.steal", {"path": str(secret)})
        assert bench.artifacts.ids() == set()


async def test_a_worker_reads_no_foreign_file_and_reaches_no_network(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    secret = tmp_path / "device.key"
    secret.write_text("secret")
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server, open_bench(ENTRY) as bench:
        port = server.sockets[0].getsockname()[1]
        assert (await bench.call("probe.connect", {"port": port}))["text"] != "connected"
        assert (await bench.call("probe.look", {"path": str(secret)}))["text"] == "PermissionError"
        assert (await bench.call("probe.look", {"path": f"/proc/{os.getpid()}/environ"}))[
            "text"
        ] == "PermissionError"
        confinement = json.loads(bench.host.statistics()[0].confinement)
    assert (confinement["network"], confinement["no_new_privs"]) == ("none", True)


async def test_a_worker_inherits_no_secret_variable_and_no_open_file(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KINDMESH_SECRET", "very")
    kept_open = os.open(tmp_path / "open.txt", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(kept_open, True)
    try:
        async with open_bench(ENTRY) as bench:
            seen = json.loads((await bench.call("probe.surroundings"))["text"])
    finally:
        os.close(kept_open)
    assert "KINDMESH_SECRET" not in seen["names"]
    assert not any(str(tmp_path / "open.txt") in name for name in seen["files"])


async def test_a_part_that_does_not_load_is_an_answer(open_bench: OpenBench) -> None:
    missing = replace(PART, implementation="tests.capabilities.nowhere:Probe")
    async with open_bench(replace(ENTRY, parts=(missing,))) as bench:
        with pytest.raises(InternalError, match="ModuleNotFoundError"):
            await bench.call("probe.echo", {"text": "a"})
        assert bench.pid("probe") == 0


HOST_THAT_IS_KILLED = """
    import asyncio, sys, time
    from pathlib import Path
    from kindmesh.capabilities.host import CapabilityHost
    from kindmesh.capabilities.testing import FolderArtifacts
    from tests.capabilities.probe import ENTRY

    async def main(folder):
        async with CapabilityHost(artifacts=FolderArtifacts(folder / "a"), data_dir=folder / "d",
                                  work_root=folder / "w", entries=(ENTRY,)) as host:
            def told(fraction, text):
                print(host.statistics()[0].pid, flush=True)
            await host.call("probe.wait", {"seconds": 60}, job_id=b"j", deadline=time.monotonic() + 60, progress=told)

    asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_worker_does_not_outlive_its_host(tmp_path: Path) -> None:
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(HOST_THAT_IS_KILLED),
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *(path for path in sys.path if path)])},
    )
    assert host.stdout is not None
    worker = int(await host.stdout.readline())
    host.kill()
    await process_ended(worker)
    await host.communicate()


@given(st.binary(max_size=300))
def test_arbitrary_bytes_from_a_worker_are_refused_or_wait_for_more(data: bytes) -> None:
    frames = Frames()
    frames.feed(data)
    with contextlib.suppress(Malformed):
        while frames.from_worker() is not None:
            pass


@given(st.lists(st.text(max_size=50), max_size=5), st.integers(1, 7))
def test_messages_arrive_whole_however_they_are_cut(texts: list[str], step: int) -> None:
    frames, arrived = Frames(), []
    stream = b"".join(pack(Working(0.5, text)) for text in texts)
    for start in range(0, len(stream), step):
        frames.feed(stream[start : start + step])
        while (message := frames.from_worker()) is not None:
            arrived.append(message)
    assert arrived == [Working(0.5, text) for text in texts]


def test_a_frame_beyond_the_limit_is_refused_by_its_length() -> None:
    frames = Frames()
    frames.feed(b"\xff\xff\xff\xff")
    with pytest.raises(Malformed):
        frames.from_worker()


async def test_a_worker_publishes_events_in_the_name_of_its_capability(open_bench: OpenBench) -> None:
    heard: list[tuple[str, str, dict[str, Any], Labels | None]] = []
    async with open_bench(ENTRY) as bench:
        bench.host.on_event = lambda *told: heard.append(told)
        asked = {"topic": "perception.probe.noticed", "room": "hall"}
        assert await bench.call("probe.tell", asked) == {"text": "told"}
        assert heard == [("probe", "perception.probe.noticed", {"room": "hall"}, Labels(purpose="care"))]
        with pytest.raises(InvalidInput) as refused:
            await bench.call("probe.tell", {"topic": "perception.speech.heard", "room": "hall"})
        assert refused.value.field == "topic"
        assert len(heard) == 1


async def test_an_event_that_the_host_refuses_is_named_and_the_call_goes_on(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*told: object) -> None:
        raise AccessRefused("no")

    async with open_bench(ENTRY) as bench:
        bench.host.on_event = refuse
        asked = {"topic": "perception.probe.noticed", "room": "hall"}
        assert await bench.call("probe.tell", asked) == {"text": "told"}
    assert [record for record in caplog.records if record.getMessage() == "an event was refused"]
