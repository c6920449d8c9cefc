"""Results are acknowledged several at once, each device its own, and never more than one message holds."""

from __future__ import annotations

import asyncio
from typing import Any

from kindmesh.coordinator.heart.taking import WAIT_S, Taking
from kindmesh.mesh.virtual import run_virtual
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import PeerUnreachable
from kindmesh.protocol.messages import ResultTaken, SessionType
from kindmesh.protocol.messages.session import TAKEN_MAX

PHONE, LAMP = b"p" * 20, b"l" * 20


class Ends:
    """The one method of an endpoint that is used; `away` cannot be reached."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, list[tuple[bytes, int]]]] = []
        self.away = b""

    def tell(self, dst: bytes, type_: SessionType, body: Any, ref: int = 0) -> None:
        assert type_ is SessionType.RESULT_TAKEN
        if dst == self.away:
            raise PeerUnreachable()
        body = decode(ResultTaken, encode(body))
        self.told.append((dst, [(body.job_id, body.epoch), *body.more]))


def job(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_results_of_a_moment_are_acknowledged_in_one_message_for_each_device() -> None:
    async def main() -> None:
        ends = Ends()
        taking = Taking(ends)  # type: ignore[arg-type] # only `tell` is used
        for number in range(3):
            taking.taken(PHONE, job(number), number + 1)
        taking.taken(LAMP, job(9), 1)
        await asyncio.sleep(WAIT_S / 2)
        assert ends.told == []
        await asyncio.sleep(WAIT_S)
        assert ends.told == [(PHONE, [(job(0), 1), (job(1), 2), (job(2), 3)]), (LAMP, [(job(9), 1)])]
        taking.taken(PHONE, job(5), 1)
        await asyncio.sleep(2 * WAIT_S)
        assert ends.told[2:] == [(PHONE, [(job(5), 1)])]

    run_virtual(main())


def test_a_message_holds_so_many_and_the_next_takes_the_rest() -> None:
    async def main() -> None:
        ends = Ends()
        taking = Taking(ends)  # type: ignore[arg-type] # only `tell` is used
        for number in range(TAKEN_MAX + 7):
            taking.taken(PHONE, job(number), 1)
        await asyncio.sleep(2 * WAIT_S)
        assert [len(jobs) for _, jobs in ends.told] == [TAKEN_MAX, 7]
        assert [one for _, jobs in ends.told for one in jobs] == [
            (job(number), 1) for number in range(TAKEN_MAX + 7)
        ]

    run_virtual(main())


def test_a_device_that_is_away_keeps_no_other_from_being_told() -> None:
    async def main() -> None:
        ends = Ends()
        ends.away = PHONE
        taking = Taking(ends)  # type: ignore[arg-type] # only `tell` is used
        taking.taken(PHONE, job(1), 1)
        taking.taken(LAMP, job(2), 1)
        await asyncio.sleep(2 * WAIT_S)
        assert ends.told == [(LAMP, [(job(2), 1)])]

    run_virtual(main())


def test_nobody_is_told_any_more_once_it_is_closed() -> None:
    async def main() -> None:
        ends = Ends()
        taking = Taking(ends)  # type: ignore[arg-type] # only `tell` is used
        taking.taken(PHONE, job(1), 1)
        taking.close()
        await asyncio.sleep(2 * WAIT_S)
        assert ends.told == []

    run_virtual(main())
