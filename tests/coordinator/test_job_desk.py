"""What people can do about stuck jobs over the control socket: who may, what is answered, what is left as it was."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.coordinator.heart_kit import Rig, wish
from tests.coordinator.test_heart import state, virtual
from tests.coordinator.test_heart_settle import lost_in_the_middle

from kindmesh.coordinator.job_desk import JobDesk
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.protocol.errors import AccessRefused, InvalidInput, UnknownJob
from kindmesh.protocol.ids import format_time_id, new_id
from kindmesh.protocol.messages import MessageType
from kindmesh.protocol.messages.jobs import JobResult
from kindmesh.protocol.principal import OWNER, Principal, device_principal


def desk(rig: Rig) -> JobDesk:
    none = cast(Any, None)
    return JobDesk(
        rig.heart, PeopleDesk(none, none, none, rig.clock, news=lambda event: None, leave=rig.heart.leave)
    )


async def ask(rig: Rig, method: str, who: Principal = OWNER, **params: Any) -> Any:
    return await desk(rig).methods()[method](Params(params), lambda event: None, who)


@virtual("phone")
async def test_an_uncertain_job_is_a_decision_until_it_is_settled(rig: Rig) -> None:
    job_id = await lost_in_the_middle(rig)
    (question,) = await desk(rig).waiting(False)
    assert (question["kind"], question["job"]) == ("uncertain", format_time_id(job_id))
    settled = await ask(rig, "jobs.settle", id=question["job"][:20], answer="did-not-happen", note="looked")
    assert (settled["new"], settled["settled"]["by"]) == (True, "the owner")
    assert await desk(rig).waiting(False) == []
    assert (await ask(rig, "jobs.settle", id=question["job"], answer="did-not-happen"))["new"] is False
    with pytest.raises(InvalidInput):
        await ask(rig, "jobs.settle", id=question["job"], answer="perhaps")


@virtual("phone")
async def test_a_device_settles_nothing_and_sees_no_letters(rig: Rig) -> None:
    job_id = await lost_in_the_middle(rig)
    phone = device_principal(rig.nodes["phone"].device_id)
    with pytest.raises(AccessRefused):
        await ask(rig, "jobs.settle", phone, id=format_time_id(job_id), answer="happened")
    for method in ("jobs.dead", "jobs.redeliver", "jobs.dismiss", "drain"):
        with pytest.raises(AccessRefused):
            await ask(rig, method, phone, id="0", device="phone")
    assert rig.heart.settler.unsettled() == [job_id]


@virtual("phone")
async def test_a_letter_is_looked_into_and_put_away_once(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    stranger = JobResult(new_id(5, b"x" * 10), 3, "succeeded", b"\x80", None, b"", 1, 2)
    phone.tell(MessageType.JOB_RESULT, stranger)
    await rig.settle()
    (letter,) = (await ask(rig, "jobs.dead"))["letters"]
    assert (letter["kind"], letter["device_name"], letter["job"]) == (
        "unknown", "phone", format_time_id(stranger.job_id),
    )  # fmt: skip
    (inside,) = (await ask(rig, "jobs.dead", id=letter["id"]))["letters"]
    assert inside["contents"]["outcome"] == "succeeded"
    with pytest.raises(UnknownJob, match="still not known"):
        await ask(rig, "jobs.redeliver", id=letter["id"])
    assert (await ask(rig, "jobs.dead"))["letters"][0]["state"] == "open"
    closed = await ask(rig, "jobs.dismiss", id=letter["id"], note="an old phone")
    assert (closed["state"], closed["by"], closed["note"]) == ("dismissed", "the owner", "an old phone")
    with pytest.raises(InvalidInput, match="before"):
        await ask(rig, "jobs.redeliver", id=letter["id"])
    assert (await ask(rig, "jobs.dead"))["letters"] == []
    assert len((await ask(rig, "jobs.dead", all=True))["letters"]) == 1


@virtual("phone")
async def test_a_job_that_no_device_could_do_is_started_anew_from_its_letter(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.down()
    document = await rig.heart.run(wish(deadline_ms=rig.clock.now_ms() + 5_000))
    assert document["state"] == "expired"
    (letter,) = (await ask(rig, "jobs.dead"))["letters"]
    assert letter["size_bytes"] == 0
    phone.up()
    await rig.settle()
    again = await ask(rig, "jobs.redeliver", id=letter["id"])
    await rig.settle()
    assert (again["state"], again["job"] != document["job"]) == ("redelivered", True)
    assert state(rig, rig.heart.read.named(again["job"])) == "succeeded"


@virtual("phone")
async def test_a_result_that_could_not_be_read_can_be_handed_in_again(rig: Rig) -> None:
    phone = rig.nodes["phone"]
    phone.hold = True
    job_id = await rig.heart.submit(wish())
    await rig.settle()
    phone.finish(value=b"\xc1")
    await rig.settle()
    (letter,) = (await ask(rig, "jobs.dead"))["letters"]
    again = await ask(rig, "jobs.redeliver", id=letter["id"])
    assert (again["state"], again["job"]) == ("redelivered", format_time_id(job_id))
    assert rig.states(job_id)[-1] == "late result"
    rig.heart.late.refused(phone.device_id, "MALFORMED")
    (bare,) = (await ask(rig, "jobs.dead"))["letters"]
    with pytest.raises(InvalidInput, match="nothing of it"):
        await ask(rig, "jobs.redeliver", id=bare["id"])


@virtual("phone")
async def test_draining_answers_with_how_it_stands(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    await rig.heart.submit(wish())
    await rig.settle()
    drained = await ask(rig, "drain", device="phone", reason="a new battery")
    assert (drained["drain"]["jobs"], drained["drain"]["empty"]) == (1, False)
    assert (await ask(rig, "drain", device="phone", undo=True))["changed"] is True
    assert (await ask(rig, "drain", device="phone", undo=True))["changed"] is False
