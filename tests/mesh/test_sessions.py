"""Small pure parts of the transports: whose connection it is, addresses, ZeroMQ's authentication protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh import zap
from kindmesh.mesh.addresses import Address, look_up, parse_address
from kindmesh.mesh.sessions import SUPERSEDED_MAX, Sessions
from kindmesh.protocol.errors import ConfigError

KEY, OTHER = b"k" * 32, b"o" * 32


def test_the_newest_route_of_a_key_is_its_session_and_older_ones_never_come_back() -> None:
    sessions = Sessions()
    first = sessions.meet(b"1", 10, KEY.hex(), chosen=False)
    second = sessions.meet(b"2", 11, KEY.hex(), chosen=False)
    assert first is not None
    assert second is not None
    assert sessions.find(KEY) is second
    assert sessions.by_route == {b"2": second}
    assert sessions.meet(b"1", 10, KEY.hex(), chosen=False) is None
    assert sessions.at_socket(10) is None
    sessions.forget(first)
    assert sessions.find(KEY) is second
    sessions.forget(second)
    assert sessions.keys() == frozenset()


def test_a_route_speaks_for_one_key_only_and_clients_do_not_name_routes() -> None:
    sessions = Sessions()
    session = sessions.meet(b"1", 10, KEY.hex(), chosen=False)
    assert sessions.meet(b"1", 10, OTHER.hex(), chosen=False) is None
    assert sessions.meet(b"2", 11, OTHER.hex(), chosen=True) is None
    for nonsense in ("", "zz", "00", KEY.hex() + "00"):
        assert sessions.meet(b"3", 12, nonsense, chosen=False) is None
    assert sessions.find(KEY) is session
    assert sessions.find(OTHER) is None


def test_a_socket_number_that_is_used_again_belongs_to_the_newcomer() -> None:
    sessions = Sessions()
    old = sessions.meet(b"1", 10, KEY.hex(), chosen=False)
    new = sessions.meet(b"2", 10, OTHER.hex(), chosen=False)
    assert old is not None
    sessions.forget(old)
    assert sessions.at_socket(10) is new
    sessions.clear()
    assert sessions.at_socket(10) is None


def test_memory_of_old_routes_is_bounded() -> None:
    sessions = Sessions()
    for number in range(SUPERSEDED_MAX + 10):
        sessions.meet(number.to_bytes(4, "big"), number, KEY.hex(), chosen=False)
    assert len(sessions._superseded) == SUPERSEDED_MAX
    assert len(sessions.by_route) == 1


def request(**change: bytes) -> list[bytes]:
    frames = {
        "route": b"r",
        "empty": b"",
        "version": b"1.0",
        "id": b"7",
        "domain": b"here",
        "address": b"192.0.2.1",
        "identity": b"",
        "mechanism": b"CURVE",
        "key": KEY,
    }
    return list({**frames, **change}.values())


def admit(domain: bytes, key: bytes) -> bool:
    return (domain, key) == (b"here", KEY)


def test_an_admitted_key_becomes_the_user_id() -> None:
    reply = zap.answer(request(), admit)
    assert reply == [b"r", b"", b"1.0", b"7", b"200", b"OK", KEY.hex().encode(), b""]
    assert zap.key_of(reply[6].decode()) == KEY


@pytest.mark.parametrize(
    "change",
    [
        {"key": OTHER},
        {"domain": b"elsewhere"},
        {"mechanism": b"NULL"},
        {"mechanism": b"PLAIN"},
        {"key": KEY[:31]},
        {"key": KEY, "more": b"x"},
    ],
)
def test_everything_else_is_refused(change: dict[str, bytes]) -> None:
    reply = zap.answer(request(**change), admit)
    assert reply is not None
    assert reply[4] == b"400"
    assert reply[6] == b""


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_no_request_gets_a_yes_by_accident(frames: list[bytes]) -> None:
    reply = zap.answer(frames, lambda _domain, _key: False)
    assert reply is None or reply[4] == b"400"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://192.0.2.7:7437", Address("192.0.2.7", 7437)),
        ("tcp://[2001:db8::1]:0", Address("2001:db8::1", 0)),
        ("tcp://[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
        ("tcp://*:65535", Address("*", 65_535)),
        ("tcp://desk.local:80", Address("desk.local", 80)),
    ],
)
def test_addresses_are_taken_apart_and_put_together(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text
    assert address.is_literal == ("desk" not in text)


@pytest.mark.parametrize(
    "text",
    ["", "tcp://", "tcp://:1", "tcp://host", "tcp://host:", "tcp://host:x", "tcp://host:65536", "tcp://::1:1",
     "http://host:1", "tcp://[::1:1", "tcp://a/b:1", "tcp://ho st:1", "tcp://host:²"],
)  # fmt: skip
def test_other_text_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        parse_address(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    try:
        address = parse_address("tcp://" + text)
    except ConfigError:
        return
    assert parse_address(str(address)) == address


async def test_numbers_are_not_looked_up() -> None:
    assert await look_up("tcp://192.0.2.7:7437") == Address("192.0.2.7", 7437)
    assert (await look_up("tcp://localhost:1")).host in {"127.0.0.1", "::1"}
