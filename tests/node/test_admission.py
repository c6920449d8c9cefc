"""Room for jobs: limits of each operation and in all, with some kept free for emergencies."""

from __future__ import annotations

import pytest

from kindmesh.node.admission import Room
from kindmesh.protocol.errors import Busy
from kindmesh.protocol.manifest import Limits, Operation


def operation(limit: int, name: str = "a.b", timeout_ms: int = 8_000) -> Operation:
    return Operation(
        name, "", (), (), 1, idempotent=True, limits=Limits(max_concurrent=limit, timeout_ms=timeout_ms)
    )


def test_an_operation_has_its_own_limit_and_keeps_its_last_place_for_emergencies() -> None:
    room, op = Room(100, 0), operation(3)
    room.enter("a.b")
    room.check(op, "interactive")
    room.enter("a.b")
    with pytest.raises(Busy):
        room.check(op, "interactive")
    room.check(op, "emergency")
    room.enter("a.b")
    with pytest.raises(Busy):
        room.check(op, "emergency")


def test_an_operation_with_one_place_serves_everybody() -> None:
    Room(100, 0).check(operation(1), "background")


def test_some_room_in_all_is_kept_for_emergencies() -> None:
    room = Room(4, 2)
    room.enter("x.y")
    room.enter("x.z")
    with pytest.raises(Busy):
        room.check(operation(9), "interactive")
    room.check(operation(9), "emergency")
    room.leave("x.y")
    room.check(operation(9), "interactive")
    assert room.total == 1


def test_the_estimate_learns_from_how_long_it_usually_takes() -> None:
    room, op = Room(8, 0), operation(1)
    assert room.retry_ms(op) == 2_000
    room.enter("a.b")
    room.leave("a.b", 400)
    assert room.retry_ms(op) == 400
    room.enter("a.b")
    room.leave("a.b", 800)
    assert room.retry_ms(op) == 500
    room.enter("a.b")
    with pytest.raises(Busy) as caught:
        room.check(op, "interactive")
    assert "0.5 s" in caught.value.hint
