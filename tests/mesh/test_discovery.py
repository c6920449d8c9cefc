"""Discovery between real processes over real multicast, and its parsing of whatever a network may say."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.announcement import (
    ADDRESSES_MAX,
    SHORT,
    DiscoveredPeer,
    Presence,
    read_announcement,
    short_text,
    write_txt,
)
from kindmesh.mesh.discovery import Discovery, own_addresses

MESH, OTHER_MESH = b"m" * 20, b"o" * 20
DESK, PHONE = b"d" * 20, b"p" * 20
LOOPBACK = ("127.0.0.1",)
PATIENCE_S = 15.0

NEIGHBOUR = """
import asyncio, sys
from kindmesh.mesh.announcement import Presence
from kindmesh.mesh.discovery import Discovery

async def main(device, mesh, *ports):
    discovery = Discovery(mesh, device, interfaces=["127.0.0.1"])
    await discovery.start()
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    for port in ports:
        await discovery.announce(Presence(device=device, mesh=mesh, role="node", port=port, hosts=("127.0.0.1",)))
        await lines.readline()
    await discovery.close()

asyncio.run(main(bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), *map(int, sys.argv[3:])))
"""


class Neighbour:
    """Another process that announces itself; every `step` goes on to its next port, the last one says goodbye."""

    def __init__(self, device: bytes, mesh: bytes, *ports: int) -> None:
        arguments = [device.hex(), mesh.hex(), *map(str, ports)]
        self.process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR, *arguments], stdin=subprocess.PIPE)

    def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
async def desk() -> AsyncIterator[Discovery]:
    discovery = Discovery(MESH, DESK, interfaces=LOOPBACK)
    await discovery.start()
    assert discovery.problem == ""
    yield discovery
    await discovery.close()


async def next_hint(discovery: Discovery) -> DiscoveredPeer:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(discovery.events())


async def test_a_device_in_another_process_is_found_corrected_and_says_goodbye(desk: Discovery) -> None:
    neighbour = Neighbour(PHONE, MESH, 7001, 7002)
    try:
        found = await next_hint(desk)
        assert found == DiscoveredPeer(
            device=PHONE[:SHORT], mesh=MESH[:SHORT], role="node", addresses=("127.0.0.1:7001",), source="mdns"
        )
        assert found.may_be(PHONE)
        assert not found.may_be(DESK)
        neighbour.step()
        assert (await next_hint(desk)).addresses == ("127.0.0.1:7002",)
        assert desk.addresses(PHONE) == ["127.0.0.1:7002"]
        neighbour.step()
        gone = await next_hint(desk)
        assert (gone.device, gone.here) == (PHONE[:SHORT], False)
        assert desk.peers() == []
    finally:
        neighbour.end()


async def test_a_device_that_is_announced_already_is_found_at_once_by_a_newcomer(desk: Discovery) -> None:
    await desk.announce(Presence(device=DESK, mesh=MESH, role="coordinator", port=7437, hosts=LOOPBACK))
    newcomer = Discovery(MESH, PHONE, interfaces=LOOPBACK)
    await newcomer.start()
    found = await next_hint(newcomer)
    assert (found.role, found.addresses) == ("coordinator", ("127.0.0.1:7437",))
    await newcomer.close()


async def test_other_meshes_and_oneself_are_not_reported(desk: Discovery) -> None:
    await desk.announce(Presence(device=DESK, mesh=MESH, role="coordinator", port=7437, hosts=LOOPBACK))
    stranger, friend = Neighbour(b"x" * 20, OTHER_MESH, 7003), Neighbour(PHONE, MESH, 7004)
    try:
        watcher = Discovery(OTHER_MESH, b"y" * 20, interfaces=LOOPBACK)
        await watcher.start()
        assert (await next_hint(watcher)).device == b"x" * SHORT
        assert (await next_hint(desk)).device == PHONE[:SHORT]
        assert [peer.device for peer in desk.peers()] == [PHONE[:SHORT]]
        await watcher.close()
    finally:
        stranger.end()
        friend.end()


async def test_seeds_work_where_there_is_no_multicast() -> None:
    discovery = Discovery(MESH, DESK, seeds=("192.0.2.7:7437", "attic.lan:7437"), mdns=False)
    await discovery.start()
    await discovery.announce(Presence(device=DESK, mesh=MESH, role="node", port=1))
    assert discovery.problem
    assert discovery.addresses(PHONE) == ["192.0.2.7:7437", "attic.lan:7437"]
    await discovery.close()
    hints = [hint async for hint in discovery.events()]
    assert [hint.addresses for hint in hints] == [("192.0.2.7:7437",), ("attic.lan:7437",)]
    assert {hint.source for hint in hints} == {"seed"}
    await discovery.close()


async def test_what_a_device_says_itself_is_tried_before_the_seeds() -> None:
    discovery = Discovery(MESH, DESK, seeds=("192.0.2.7:7437",), interfaces=LOOPBACK)
    await discovery.start()
    neighbour = Neighbour(PHONE, MESH, 7005)
    try:
        assert (await next_hint(discovery)).source == "seed"
        assert (await next_hint(discovery)).source == "mdns"
        assert discovery.addresses(PHONE) == ["127.0.0.1:7005", "192.0.2.7:7437"]
        assert discovery.addresses(DESK) == ["192.0.2.7:7437"]
    finally:
        neighbour.end()
        await discovery.close()


async def test_an_interface_that_does_not_exist_is_a_named_problem_and_no_crash() -> None:
    discovery = Discovery(MESH, DESK, seeds=("192.0.2.7:7437",), interfaces=("203.0.113.99",))
    await discovery.start()
    assert "mDNS" in discovery.problem
    await discovery.announce(Presence(device=DESK, mesh=MESH, role="node", port=1))
    assert discovery.addresses(PHONE) == ["192.0.2.7:7437"]
    await discovery.close()


def test_a_bare_import_does_not_load_zeroconf() -> None:
    code = "import sys, kindmesh.mesh.discovery; sys.exit('zeroconf' in sys.modules or 'zmq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_this_machine_has_an_address() -> None:
    assert own_addresses()


def announced(presence: Presence) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in write_txt(presence).items()}


ids = st.binary(min_size=20, max_size=20)


@given(ids, ids, st.sampled_from(["coordinator", "node"]), st.integers(1, 65_535), st.ip_addresses())
def test_announcements_are_read_as_they_were_written(
    device: bytes, mesh: bytes, role: str, port: int, ip: object
) -> None:
    presence = Presence(device=device, mesh=mesh, role="node" if role == "node" else "coordinator", port=port)
    peer = read_announcement(announced(presence), port, ["127.0.0.1", str(ip)])
    assert peer is not None
    assert peer.may_be(device)
    assert (peer.mesh, peer.role) == (mesh[:SHORT], role)
    assert f"127.0.0.1:{port}" in peer.addresses


@given(
    st.dictionaries(
        st.sampled_from([b"v", b"id", b"mesh", b"role", b"x"]),
        st.one_of(st.none(), st.binary(max_size=20), st.sampled_from([b"1", b"node", b"a" * 16])),
    ),
    st.one_of(st.none(), st.integers(-1, 70_000)),
    st.lists(st.text(max_size=20), max_size=12),
)
def test_nonsense_on_the_network_never_raises(
    txt: dict[bytes, bytes | None], port: int | None, hosts: list[str]
) -> None:
    peer = read_announcement(txt, port, [*hosts, "192.0.2.1"])
    if peer is not None:
        assert len(peer.device) == len(peer.mesh) == SHORT
        assert 0 < len(peer.addresses) <= ADDRESSES_MAX


@pytest.mark.parametrize(
    ("change", "port"),
    [
        ({b"v": b"2"}, 1),
        ({b"id": b"a" * 15}, 1),
        ({b"id": b"A" * 10 + b"======"}, 1),
        ({b"mesh": None}, 1),
        ({b"mesh": b"1" * 16}, 1),
        ({b"role": b"king"}, 1),
        ({}, 0),
        ({}, None),
    ],
)
def test_wrong_announcements_are_ignored(change: dict[bytes, bytes | None], port: int | None) -> None:
    presence = Presence(device=PHONE, mesh=MESH, role="node", port=1)
    assert read_announcement(announced(presence), 1, ["192.0.2.1"]) is not None
    assert read_announcement({**announced(presence), **change}, port, ["192.0.2.1"]) is None


def test_useless_addresses_are_left_out_and_the_likely_ones_come_first() -> None:
    presence = Presence(device=PHONE, mesh=MESH, role="node", port=1)
    hosts = [
        "fe80::1%2",
        "fd00::1",
        "0.0.0.0",
        "224.0.0.251",
        "nonsense",
        "192.0.2.9",
        "169.254.1.1",
        "192.0.2.9",
    ]
    peer = read_announcement(announced(presence), 80, hosts)
    assert peer is not None
    assert peer.addresses == ("192.0.2.9:80", "[fd00::1]:80", "169.254.1.1:80", "[fe80::1%2]:80")
    assert read_announcement(announced(presence), 80, ["::", "x"]) is None
    many = read_announcement(announced(presence), 80, [f"192.0.2.{n}" for n in range(1, 100)])
    assert many is not None
    assert len(many.addresses) == ADDRESSES_MAX


def test_announcements_carry_no_more_than_the_beginning_of_an_id() -> None:
    txt = write_txt(Presence(device=PHONE, mesh=MESH, role="node", port=1))
    assert set(txt) == {"v", "id", "mesh", "role"}
    assert txt["id"] == short_text(PHONE)
    assert len(txt["id"]) == 16
