"""The control socket, on real sockets and with real other processes."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.control import BACKLOG_MAX, CALLS_MAX, Call, ControlServer, Peer
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.control_client import ControlClient, connect_error
from kindmesh.mesh.control_frames import CONTROL_FRAME_MAX, Request, Unframer, decode_reply, error_of, pack
from kindmesh.protocol.errors import (
    AccessRefused,
    AddressInUse,
    Busy,
    DeadlineExceeded,
    FrameTooLarge,
    InternalError,
    Interrupted,
    InvalidInput,
    KindmeshError,
    Malformed,
    NoDeviceAble,
    NotRunning,
    StoreError,
    TransportClosed,
)


class Handlers:
    """What the server under test does."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.release = asyncio.Event()

    async def echo(self, params: Any, call: Call) -> Any:
        return params

    async def count(self, params: int, call: Call) -> str:
        for number in range(params):
            call.event(number)
            await asyncio.sleep(0)
        return "done"

    async def refuse(self, params: Any, call: Call) -> None:
        raise NoDeviceAble("Nothing here can render speech.", hint="Install it.", field="operation")

    async def break_down(self, params: Any, call: Call) -> None:
        raise ValueError("Dear Ada")

    async def wait(self, params: Any, call: Call) -> str:
        self.started.set()
        call.event("started")
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "released"

    async def unfit(self, params: Any, call: Call) -> object:
        return object() if params == "object" else bytes(CONTROL_FRAME_MAX + 1)

    async def who(self, params: Any, call: Call) -> list[int]:
        return [call.peer.pid, call.peer.uid]

    async def flood(self, params: Any, call: Call) -> None:
        self.started.set()
        for _ in range(BACKLOG_MAX // 1_000_000 + 10):
            call.event(bytes(1_000_000))

    def future(self, params: Any, call: Call) -> asyncio.Future[Any]:
        answer = asyncio.get_running_loop().create_future()
        if params == "fail":
            answer.set_exception(NoDeviceAble())
        elif params == "unfit":
            answer.set_result(object())
        elif params is not None:
            answer.set_result(params)
        return answer

    def table(self) -> dict[str, Any]:
        names = ("echo", "count", "refuse", "break_down", "wait", "unfit", "who", "flood", "future")
        return {f"test.{name}": getattr(self, name) for name in names}


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def server(tmp_path: Path, handlers: Handlers) -> AsyncIterator[ControlServer]:
    server = ControlServer(tmp_path / "run" / "node.sock", handlers.table())
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def client(server: ControlServer) -> AsyncIterator[AsyncControlClient]:
    client = await AsyncControlClient.connect(server.path)
    yield client
    await client.close()


async def in_thread(work: Any) -> Any:
    return await asyncio.to_thread(work)


async def test_the_socket_is_private(server: ControlServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "params", [None, 1, -1.5, "text", b"bytes", [1, [2]], {"a": {"b": None}}, "x" * 1_000_000]
)
async def test_plain_data_goes_there_and_back(
    server: ControlServer, client: AsyncControlClient, params: Any
) -> None:
    assert await client.call("test.echo", params) == params
    assert await client.call("test.future", params or 0) == (params or 0)
    with ControlClient(server.path) as blocking:
        assert await in_thread(lambda: blocking.call("test.echo", params)) == params
        assert await in_thread(lambda: blocking.call("test.echo", params)) == params


async def test_events_come_before_the_result(server: ControlServer, client: AsyncControlClient) -> None:
    seen: list[int] = []
    assert await client.call("test.count", 5, on_event=seen.append) == "done"
    assert seen == [0, 1, 2, 3, 4]

    def blocking() -> tuple[list[int], str]:
        events: list[int] = []
        with ControlClient(server.path) as other:
            return events, other.call("test.count", 3, on_event=events.append)

    assert await in_thread(blocking) == ([0, 1, 2], "done")

    def collect() -> tuple[list[int], Any]:
        events: list[int] = []
        with ControlClient(server.path) as other:
            replies = other.stream("test.count", 2)
            try:
                while True:
                    events.append(next(replies))
            except StopIteration as end:
                return events, end.value

    assert await in_thread(collect) == ([0, 1], "done")


async def test_many_calls_share_a_connection(client: AsyncControlClient) -> None:
    answers = await asyncio.gather(*(client.call("test.echo", number) for number in range(100)))
    assert answers == list(range(100))


async def test_a_typed_error_arrives_as_itself(server: ControlServer, client: AsyncControlClient) -> None:
    with pytest.raises(NoDeviceAble) as caught:
        await client.call("test.refuse")
    assert (caught.value.message, caught.value.hint, caught.value.field) == (
        "Nothing here can render speech.", "Install it.", "operation",
    )  # fmt: skip
    with pytest.raises(NoDeviceAble):
        await client.call("test.future", "fail")
    with ControlClient(server.path) as blocking, pytest.raises(NoDeviceAble):
        await in_thread(lambda: blocking.call("test.refuse"))


async def test_a_handler_may_refuse_before_it_begins(tmp_path: Path) -> None:
    def refuse(params: Any, call: Call) -> Any:
        raise InvalidInput("The parameters are not a set of named values.", field="params")

    server = ControlServer(tmp_path / "refusing.sock", {"test.refuse": refuse})
    await server.start()
    try:
        client = await AsyncControlClient.connect(server.path)
        for _ in range(2):  # the connection outlives it
            with pytest.raises(InvalidInput, match="named values"):
                await client.call("test.refuse", [1])
        await client.close()
    finally:
        await server.close()


async def test_a_bug_in_a_handler_is_an_internal_error_without_its_text(
    client: AsyncControlClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalError) as caught:
        await client.call("test.break_down")
    assert "Ada" not in str(caught.value)
    assert [record.message for record in caplog.records] == ["control handler failed"]
    assert await client.call("test.echo", 1) == 1


async def test_results_that_cannot_be_sent(client: AsyncControlClient) -> None:
    with pytest.raises(InternalError):
        await client.call("test.unfit", "object")
    with pytest.raises(InternalError):
        await client.call("test.future", "unfit")
    with pytest.raises(FrameTooLarge):
        await client.call("test.unfit")
    with pytest.raises(FrameTooLarge):
        await client.call("test.echo", bytes(CONTROL_FRAME_MAX))


async def test_an_unknown_method_names_the_nearest(client: AsyncControlClient) -> None:
    with pytest.raises(InvalidInput, match=r"test\.ecoh") as caught:
        await client.call("test.ecoh")
    assert "test.echo" in caught.value.hint
    assert caught.value.field == "method"


async def test_the_kernel_says_who_asks(server: ControlServer, client: AsyncControlClient) -> None:
    assert await client.call("test.who") == [os.getpid(), os.geteuid()]
    assert server.admits(Peer(1, 0, 0))
    assert not server.admits(Peer(1, 54321, 0))
    friendly = ControlServer(server.path.with_name("other.sock"), {}, admit_uids=[54321])
    assert friendly.admits(Peer(1, 54321, 0))


async def test_another_user_is_refused(server: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server._uids = frozenset()
    client = await AsyncControlClient.connect(server.path)
    with pytest.raises(AccessRefused):
        await client.call("test.echo")
    await client.wait_closed()
    with ControlClient(server.path) as blocking, pytest.raises(AccessRefused):
        await in_thread(lambda: blocking.call("test.echo"))


async def test_a_client_that_goes_cancels_its_handler(server: ControlServer, handlers: Handlers) -> None:
    client = await AsyncControlClient.connect(server.path)
    call = client.call("test.wait")
    await handlers.started.wait()
    await client.close()
    await handlers.cancelled.wait()
    with pytest.raises(TransportClosed):
        await call
    with pytest.raises(TransportClosed):
        await client.call("test.echo")
    assert client.closed


async def test_closing_a_stream_early_cancels_its_handler(server: ControlServer, handlers: Handlers) -> None:
    def start_and_leave() -> None:
        with ControlClient(server.path) as blocking:
            replies = blocking.stream("test.wait")
            assert next(replies) == "started"
            replies.close()

    await in_thread(start_and_leave)
    await handlers.cancelled.wait()


async def test_closing_the_server_tells_those_who_wait(server: ControlServer, handlers: Handlers) -> None:
    client = await AsyncControlClient.connect(server.path)
    call = client.call("test.wait")
    await handlers.started.wait()
    await server.close()
    await server.close()
    with pytest.raises(Interrupted):
        await call
    await client.wait_closed()
    assert not server.path.exists()
    with pytest.raises(NotRunning) as caught:
        await AsyncControlClient.connect(server.path)
    assert "kindmesh up" in caught.value.hint


async def test_closing_gives_handlers_their_grace(server: ControlServer, handlers: Handlers) -> None:
    client = await AsyncControlClient.connect(server.path)
    call = client.call("test.wait")
    await handlers.started.wait()
    closing = asyncio.create_task(server.close(grace_ms=60_000))
    await asyncio.sleep(0)
    with pytest.raises(Interrupted):
        await client.call("test.echo")
    handlers.release.set()
    assert await call == "released"
    await closing


async def test_too_many_at_once_is_busy(client: AsyncControlClient, handlers: Handlers) -> None:
    calls = [client.call("test.wait") for _ in range(CALLS_MAX + 1)]
    with pytest.raises(Busy):
        await calls[-1]
    handlers.release.set()
    assert set(await asyncio.gather(*calls[:-1])) == {"released"}


async def test_a_client_that_does_not_read_is_cut_off(server: ControlServer, handlers: Handlers) -> None:
    reader, writer = await asyncio.open_unix_connection(os.fspath(server.path), limit=1)
    writer.write(pack(Request(1, "test.flood")))
    await handlers.started.wait()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(BACKLOG_MAX + 1_000_000)
    writer.close()


async def test_closing_does_not_wait_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    sent = asyncio.Event()

    async def large(params: Any, call: Call) -> None:
        call.event(bytes(3_000_000))
        sent.set()

    server = ControlServer(tmp_path / "node.sock", {"large": large})
    await server.start()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(os.fspath(server.path))
        silent.sendall(pack(Request(1, "large")))
        await sent.wait()
        await asyncio.wait_for(server.close(), 30)


BAD = [
    b"\xff\xff\xff\xff", (CONTROL_FRAME_MAX + 1).to_bytes(4, "big") + b"x", b"\0\0\0\0", b"\0\0\0\x01\xc1",
    b"\0\0\0\x02\x91\x01", b"\0\0\0\x03\x93\x01\x02", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\x10\0" + b"\x91" * 4096,
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_frame_is_answered_and_hurts_nobody_else(
    server: ControlServer, client: AsyncControlClient, bad: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(os.fspath(server.path))
    writer.write(bad)
    [body] = Unframer().feed(await reader.read())
    reply = decode_reply(body)
    assert reply.id == 0
    assert isinstance(error_of(reply), (Malformed, FrameTooLarge))
    writer.close()
    await writer.wait_closed()
    assert await client.call("test.echo", "still here") == "still here"


async def test_the_same_id_twice_is_refused(server: ControlServer, handlers: Handlers) -> None:
    reader, writer = await asyncio.open_unix_connection(os.fspath(server.path))
    writer.write(pack(Request(7, "test.wait")) + pack(Request(7, "test.echo")))
    length = int.from_bytes(await reader.readexactly(4), "big")
    reply = decode_reply(await reader.readexactly(length))
    assert (reply.id, reply.kind) == (7, "error")
    writer.close()
    await handlers.cancelled.wait()


@given(bodies=st.lists(st.binary(max_size=300), max_size=6), cuts=st.lists(st.integers(0, 1500), max_size=8))
def test_frames_are_found_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    unframer = Unframer()
    found: list[bytes] = []
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in pairwise(places):
        found += unframer.feed(stream[start:end])
    assert found == bodies


async def test_a_second_server_on_a_live_socket_is_refused(server: ControlServer) -> None:
    with pytest.raises(AddressInUse):
        await ControlServer(server.path, {}).start()
    assert await (await connected(server)).call("test.echo", 1) == 1


async def connected(server: ControlServer) -> AsyncControlClient:
    return await AsyncControlClient.connect(server.path)


SERVE = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from kindmesh.mesh.control import ControlServer

    async def main():
        server = ControlServer(Path(sys.argv[1]), {})
        await server.start()
        print("listening", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
    """
)


async def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path, handlers: Handlers) -> None:
    path = tmp_path / "node.sock"
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, path, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"listening\n"
    with pytest.raises(AddressInUse):
        await ControlServer(path, {}).start()
    other.kill()
    await other.wait()
    assert path.is_socket()
    with ControlClient(path) as blocking, pytest.raises(NotRunning):
        blocking.call("test.echo")
    server = ControlServer(path, handlers.table())
    await server.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.close)
        assert await (await connected(server)).call("test.echo", 2) == 2


async def test_something_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    path.write_text("precious")
    with pytest.raises(StoreError, match="not a socket"):
        await ControlServer(path, {}).start()
    assert path.read_text() == "precious"


async def test_a_deep_folder_works_at_both_ends(tmp_path: Path, handlers: Handlers) -> None:
    path = tmp_path / ("d" * 100) / "node.sock"
    server = ControlServer(path, handlers.table())
    await server.start()
    with ControlClient(path) as blocking:
        assert await in_thread(lambda: blocking.call("test.echo", 3)) == 3
    await server.close()


async def test_a_blocking_client_follows_a_restart(server: ControlServer, handlers: Handlers) -> None:
    with ControlClient(server.path) as blocking:
        assert await in_thread(lambda: blocking.call("test.echo", 1)) == 1
        await server.close()
        with pytest.raises(NotRunning):
            await in_thread(lambda: blocking.call("test.echo", 2))
        again = ControlServer(server.path, handlers.table())
        await again.start()
        assert await in_thread(lambda: blocking.call("test.echo", 3)) == 3
        await again.close()


def test_an_end_in_the_middle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(path))
        listening.listen()

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with ControlClient(path) as blocking, pytest.raises(TransportClosed):
            blocking.call("test.echo", "x" * 100)
        thread.join()


def test_silence_ends_after_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as listening, ControlClient(path, timeout_ms=20) as blocking:
        listening.bind(os.fspath(path))
        listening.listen()
        with pytest.raises(DeadlineExceeded):
            blocking.call("test.echo")


def test_parameters_that_cannot_be_sent(tmp_path: Path) -> None:
    with ControlClient(tmp_path / "node.sock") as blocking:
        with pytest.raises(InvalidInput):
            blocking.call("test.echo", object())
        with pytest.raises(NotRunning):
            blocking.call("test.echo")


@pytest.mark.parametrize(
    ("error", "typed"),
    [
        (PermissionError(13, "no"), AccessRefused), (FileNotFoundError(2, "no"), NotRunning),
        (ConnectionRefusedError(111, "no"), NotRunning), (TimeoutError(110, "no"), DeadlineExceeded),
        (OSError(5, "no"), TransportClosed),
    ],
)  # fmt: skip
def test_every_failed_connection_is_typed(error: OSError, typed: type[KindmeshError]) -> None:
    assert type(connect_error(error)) is typed


def test_the_blocking_client_does_not_import_asyncio() -> None:
    code = "import sys, kindmesh.mesh.control_client; sys.exit('asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
