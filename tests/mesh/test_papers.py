"""The public papers: given to whoever knows the mesh, bounded in every way, believed only as far as they are signed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.protocol.samples import IDS, MESH, PAPERS

from kindmesh.mesh.papers import BURST, OPEN_MAX, Bucket, PapersServer, ask_papers, papers_address
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import AddressInUse, CertificateRefused, ConfigError, Malformed, PeerUnreachable
from kindmesh.protocol.papers import PAPERS_ASK, PAPERS_MAX


@pytest.fixture
async def server() -> AsyncIterator[PapersServer]:
    made = PapersServer("tcp://127.0.0.1:0", MESH, lambda: PAPERS)
    await made.start()
    yield made
    await made.close()


async def test_who_knows_the_mesh_gets_its_papers(server: PapersServer) -> None:
    read = await ask_papers(f"127.0.0.1:{server.port}", MESH)
    assert read.papers == PAPERS
    assert server.answered == 1


async def test_who_does_not_know_the_mesh_hears_nothing(server: PapersServer) -> None:
    with pytest.raises(PeerUnreachable):
        await ask_papers(f"127.0.0.1:{server.port}", IDS["stranger"])
    for asked in (b"GET / HTTP/1.1\r\nHost: kindmesh.example\r\n\r\n" * 2, b"", PAPERS_ASK):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(asked)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    assert server.answered == 0


async def test_one_asker_does_not_get_them_without_end(server: PapersServer) -> None:
    got = 0
    for _ in range(int(BURST) * 3):
        try:
            await ask_papers(f"127.0.0.1:{server.port}", MESH)
            got += 1
        except PeerUnreachable:
            break
    assert BURST <= got < BURST * 3


async def test_silent_connections_are_few_and_end(server: PapersServer) -> None:
    kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(int(BURST))]
    await asyncio.sleep(0.1)
    assert len(server._open) <= OPEN_MAX
    for reader, writer in kept:
        assert await reader.read() == b""
        writer.close()
    assert server.answered == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", PeerUnreachable),
        ((PAPERS_MAX + 1).to_bytes(4, "big"), Malformed),
        ((5).to_bytes(4, "big") + b"noise", Malformed),
        ((1000).to_bytes(4, "big") + b"cut", PeerUnreachable),
        (len(encode(PAPERS)).to_bytes(4, "big") + encode(PAPERS), CertificateRefused),
    ],
    ids=["nothing", "too long", "noise", "cut", "another mesh"],
)
async def test_what_is_no_paper_of_this_mesh_is_a_typed_error(answer: bytes, error: type[Exception]) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PAPERS_ASK) + 20)
        writer.write(answer)
        writer.close()

    liar = await asyncio.start_server(reply, "127.0.0.1", 0)
    port = liar.sockets[0].getsockname()[1]
    try:
        with pytest.raises(error):
            await ask_papers(f"127.0.0.1:{port}", IDS["stranger"])
    finally:
        liar.close()
        await liar.wait_closed()


async def test_nobody_there_is_said_so() -> None:
    with pytest.raises(PeerUnreachable):
        await ask_papers("127.0.0.1:1", MESH)
    with pytest.raises(ConfigError):
        await ask_papers("nowhere", MESH)


async def test_a_taken_port_is_named(server: PapersServer) -> None:
    other = PapersServer(f"tcp://127.0.0.1:{server.port}", MESH, lambda: PAPERS)
    with pytest.raises(AddressInUse):
        await other.start()
    await other.close()


def test_the_papers_are_two_ports_after_the_mesh() -> None:
    assert papers_address("192.0.2.7:7437") == "192.0.2.7:7439"
    assert papers_address("[2001:db8::1]:7437") == "[2001:db8::1]:7439"
    assert papers_address("192.0.2.7:65534") == papers_address("nowhere") == ""


def test_a_bucket_fills_with_time_and_no_further() -> None:
    bucket = Bucket(rate=2, burst=2, now_s=0)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert bucket.take(0.5)
    assert not bucket.take(0.5)
    assert [bucket.take(100) for _ in range(3)] == [True, True, False]
