"""Jobs that may or may not have happened, and letters that reached nobody: in sight until somebody deals with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.coordinator.heart_kit import ECHO, Rig, wish
from tests.coordinator.test_heart import beat, state, virtual

from kindmesh.coordinator.heart import dead_letters
from kindmesh.coordinator.heart.dead_letters import DeadLetters
from kindmesh.coordinator.heart.settling import Settled
from kindmesh.protocol.errors import InvalidInput, StoreConflict, WireError
from kindmesh.protocol.ids import format_time_id, new_id, parse_time_id
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.messages import MessageType
from kindmesh.protocol.messages.jobs import JobResult

NOTIFY = Operation("alert.raise", "Raise", ECHO.input, ECHO.output, int(Effect.NOTIFY), idempotent=True)


async def lost_in_the_middle(rig: Rig) -> bytes:
    """A job that is uncertain: its device went away with it and never reported in time."""
    phone = rig.nodes["phone"]
    phone.hold = True
    job_id = await rig.heart.submit(wish("notes.append", deadline_ms=rig.clock.now_ms() + 20_000))
    await rig.settle()
    phone.down()
    await asyncio.sleep(30)
    assert state(rig, job_id) == "uncertain"
    return job_id


def settle(rig: Rig, job_id: bytes, *, happened: bool, by: str = "Anna", note: str = "") -> bool:
    return rig.heart.settler.settle(
        rig.heart.read.row(job_id), happened=happened, by=by, note=note, now_ms=rig.clock.now_ms()
    )


@virtual("phone")
async def test_a_person_says_whether_it_happened_and_it_is_told_to_whoever_built_on_it(rig: Rig) -> None:
    told: list[Settled] = []
    rig.heart.settler.on_settled(told.append)
    job_id = await lost_in_the_middle(rig)
    assert rig.heart.settler.unsettled() == [job_id]
    assert [one["settled"] for one in rig.heart.jobs(state="uncertain")] == [None]
    assert settle(rig, job_id, happened=True, note="it is in the book")
    await rig.settle()
    assert [(one.job_id, one.happened, one.by) for one in told] == [(job_id, True, "Anna")]
    assert [event["happened"] for event in rig.events if event["event"] == "settled"] == [True]
    document = rig.heart.job(job_id)
    assert document["state"] == "uncertain"
    assert document["settled"]["happened"] is True
    assert document["settled"]["note"] == "it is in the book"
    assert document["timeline"][-1]["what"] == "settled"
    assert rig.heart.settler.unsettled() == []
    assert settle(rig, job_id, happened=True, by="Ben") is False
    with pytest.raises(StoreConflict):
        settle(rig, job_id, happened=False)
    with pytest.raises(InvalidInput, match="note"):
        settle(rig, job_id, happened=True, note="x" * 501)


@virtual("phone")
async def test_a_settlement_survives_a_restart_and_its_note_is_sealed(rig: Rig) -> None:
    job_id = await lost_in_the_middle(rig)
    settle(rig, job_id, happened=False, note="a very private remark")
    await rig.settle()
    assert b"a very private remark" not in rig.bytes_on_disk()
    await rig.crash()
    await rig.start(up=False)
    assert rig.heart.job(job_id)["settled"]["note"] == "a very private remark"
    assert rig.heart.forget(rig.heart.read.row(job_id).facts.run_id)
    assert "private" not in rig.heart.job(job_id)["settled"]["note"]


@virtual("phone")
async def test_a_result_that_comes_after_all_settles_it_by_itself(rig: Rig) -> None:
    told: list[Settled] = []
    rig.heart.settler.on_settled(told.append)
    job_id = await lost_in_the_middle(rig)
    phone = rig.nodes["phone"]
    for found in [one for one in phone.table.values() if not isinstance(one, JobResult)]:
        phone.table[found.job_id] = phone.made(found, "succeeded")
    phone.up()
    await rig.settle()
    settled = rig.heart.job(job_id)["settled"]
    assert (settled["happened"], settled["by"], settled["value"]) == (True, "phone", {"text": "hello"})
    assert [(one.happened, bool(one.value)) for one in told] == [(True, True)]
    assert phone.taken == [(job_id, 1)]


@virtual("phone")
async def test_a_result_that_says_otherwise_is_kept_beside_a_persons_word(rig: Rig) -> None:
    job_id = await lost_in_the_middle(rig)
    settle(rig, job_id, happened=False)
    phone = rig.nodes["phone"]
    phone.hold = False
    phone.finish()
    phone.up()
    await rig.settle()
    settled = rig.heart.job(job_id)["settled"]
    assert (settled["happened"], settled["contradicted"]) == (False, True)
    assert "contradicted" in rig.states(job_id)


@virtual("phone")
async def test_only_what_is_uncertain_can_be_settled(rig: Rig) -> None:
    done = parse_time_id((await rig.heart.run(wish()))["job"])
    with pytest.raises(InvalidInput, match="nothing to settle"):
        settle(rig, done, happened=True)


# Dead letters.


def letters(rig: Rig, **more: Any) -> list[dead_letters.Letter]:
    return rig.heart.letters.letters(**more)


@virtual("phone")
async def test_a_result_of_a_job_that_nobody_knows_is_kept_and_only_then_taken(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    stranger = JobResult(new_id(5, b"x" * 10), 3, "succeeded", b"\x80", None, b"", 1, 2)
    for _ in range(2):
        phone.tell(MessageType.JOB_RESULT, stranger)
        await rig.settle()
    (letter,) = letters(rig)
    assert (letter.kind, letter.device, letter.job_id, letter.times) == (
        "unknown", phone.device_id, stranger.job_id, 2,
    )  # fmt: skip
    assert phone.taken == [(stranger.job_id, 3)] * 2
    assert msgspec.msgpack.decode(rig.heart.letters.body(letter))[2] == "succeeded"


@virtual("phone")
async def test_a_result_that_cannot_be_read_is_kept_as_it_came(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    job_id = await rig.heart.submit(wish())
    await rig.settle()
    phone.finish(value=b"\xc1")
    await rig.settle()
    assert rig.heart.job(job_id)["error"]["code"] == "MALFORMED"
    (letter,) = letters(rig)
    assert (letter.kind, letter.job_id) == ("unreadable", job_id)
    rig.heart.late.refused(phone.device_id, "MALFORMED")
    rig.heart.late.refused(phone.device_id, "MALFORMED")
    rig.heart.late.refused(b"?" * 20, "MALFORMED")
    rig.heart.late.refused(phone.device_id, "EXPIRED")
    assert rig.heart.letters.counts() == {"unreadable": 2}


@virtual("phone")
async def test_a_job_that_no_device_can_do_any_more_is_a_letter_that_can_be_tried_again(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    phone.down()
    job_id = await rig.heart.submit(wish(deadline_ms=rig.clock.now_ms() + 20_000))
    await asyncio.sleep(25)
    assert state(rig, job_id) == "expired"
    (letter,) = letters(rig)
    assert (letter.kind, letter.code) == ("refused", "NO_DEVICE_ABLE")
    phone.up()
    await rig.settle()
    again = await rig.heart.again(job_id, letter.letter)
    assert again != job_id
    assert await rig.heart.again(job_id, letter.letter) == again
    rig.heart.letters.close(letter, "redelivered", "the owner", "")
    assert letters(rig) == []
    assert [one.by for one in letters(rig, everything=True)] == ["the owner"]
    with pytest.raises(InvalidInput, match="before"):
        rig.heart.letters.close(letters(rig, everything=True)[0], "dismissed", "the owner", "")


def test_an_alert_that_failed_while_nobody_was_waiting_is_a_letter(tmp_path: Path) -> None:
    @virtual("phone")
    async def body(rig: Rig) -> None:
        phone = rig.nodes["phone"]
        phone.advertise((NOTIFY,))
        phone.hold = True
        await rig.settle()
        rig.heart._dispatch.telling.watchers.clear()
        job_id = await rig.heart.submit(wish("alert.raise", priority="emergency"))
        await rig.settle()
        phone.finish("failed", WireError("NO_AUDIO_DEVICE", "no loudspeaker"))
        await rig.settle()
        assert [(one.kind, one.job_id) for one in letters(rig)] == [("alert", job_id)]
        heard = asyncio.ensure_future(rig.heart.run(wish("alert.raise", "two", priority="emergency")))
        await rig.settle()
        phone.finish("failed", WireError("NO_AUDIO_DEVICE", "no loudspeaker"))
        await heard
        assert len(letters(rig)) == 1

    body(tmp_path)


@virtual("phone")
async def test_letters_are_bounded_and_what_made_room_is_counted(rig: Rig) -> None:
    kept: DeadLetters = rig.heart.letters
    for number in range(dead_letters.OPEN_MAX + 3):
        kept.add("unknown", job_id=number.to_bytes(16, "big"), body=b"x" * 10)
    assert kept.counts() == {"unknown": dead_letters.OPEN_MAX}
    assert kept.overflow()["unknown"][0] == 3
    await asyncio.sleep(1)
    kept.add("unreadable", job_id=b"j" * 16, body=b"x" * dead_letters.BYTES_MAX)
    assert kept.counts() == {"unreadable": 1}
    (letter,) = kept.letters()
    assert kept.find(format_time_id(letter.letter)) == letter
    with pytest.raises(InvalidInput, match="no such letter"):
        kept.find("vvvv")
    kept.close(letter, "dismissed", "the owner", "an old phone")
    kept.add("unreadable", job_id=b"j" * 16)
    assert kept.letters()[0].times == 2


@virtual("phone")
async def test_a_letter_that_comes_again_counts_among_the_open_ones_and_is_nobodys_any_more(rig: Rig) -> None:
    kept = rig.heart.letters
    kept.add("unknown", job_id=b"again", code="X")
    kept.close(kept.letters()[0], "dismissed", "Anna", "known")
    for number in range(dead_letters.OPEN_MAX):
        kept.add("unknown", job_id=number.to_bytes(16, "big"), code="X")
    await asyncio.sleep(1)
    kept.add("unknown", job_id=b"again", code="X")
    assert kept.counts() == {"unknown": dead_letters.OPEN_MAX}
    (found,) = [letter for letter in kept.letters(1_000) if letter.job_id == b"again"]
    assert (found.times, found.by, found.note) == (2, "", "")


@virtual("phone")
async def test_letters_that_were_dealt_with_are_bounded_too(rig: Rig) -> None:
    kept: DeadLetters = rig.heart.letters
    for number in range(dead_letters.CLOSED_MAX + 5):
        kept.add("unknown", job_id=number.to_bytes(16, "big"))
        kept.close(kept.letters(1)[0], "dismissed", "the owner", "")
    assert len(kept.letters(1000, everything=True)) == dead_letters.CLOSED_MAX
    await beat(rig, "phone", seconds=1)
