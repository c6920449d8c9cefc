"""What becomes of the jobs of, and on, a member that was removed: they move or end, and say why."""

from __future__ import annotations

import pytest
from tests.coordinator.heart_kit import Rig, wish
from tests.coordinator.test_heart import state, virtual
from tests.coordinator.test_heart_machine import A, B, Job, write

from kindmesh.coordinator.heart.machine_words import (
    AskPermit,
    CancelAsked,
    DeadlinePassed,
    DeviceBack,
    DeviceLost,
    DeviceRemoved,
    Place,
    Placed,
    Submitted,
)
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.principal import device_principal


def test_what_may_be_done_again_moves_from_a_removed_device() -> None:
    job = Job().sent(A)
    assert job.tell(DeviceRemoved(A)) == [Place(A)]
    assert job.words[-1] == "removed"
    assert job.tell(DeviceLost(A)) == []
    assert job.tell(DeviceRemoved(A)) == []
    assert job.tell(Placed(B, "it is here"))[0] == AskPermit(B, job.machine.epoch)
    # The removed device is never told to stop: it is not there for us any more.
    assert job.tell(DeviceRemoved(A)) == []
    assert job.tell(DeviceBack(A)) == []


@pytest.mark.parametrize("lost_before", [False, True])
def test_an_effect_on_a_removed_device_is_uncertain_at_once(lost_before: bool) -> None:
    job = write().sent(A)
    if lost_before:
        job.tell(DeviceLost(A))
        assert job.state == "waiting_device"
    end = job.end(job.tell(DeviceRemoved(A)))
    assert (end.state, end.code) == ("uncertain", "UNCERTAIN")
    assert "removed from the mesh" in end.message


def test_what_nobody_would_hear_of_fails_and_may_be_started_again() -> None:
    job = Job(Effect.SENSE).sent(A)
    assert not job.machine.movable
    end = job.end(job.tell(DeviceRemoved(A)))
    assert (end.state, end.code, end.hint) == ("failed", "INTERRUPTED", "Start it again.")


def test_a_cancelled_job_on_a_removed_device_is_cancelled() -> None:
    job = Job().sent(A)
    job.tell(CancelAsked("the owner"))
    assert job.end(job.tell(DeviceRemoved(A))).state == "cancelled"


def test_an_overdue_job_on_a_removed_device_ends() -> None:
    job = Job().sent(A)
    job.now = 60_000
    job.tell(DeadlinePassed())
    assert job.end(job.tell(DeviceRemoved(A))).state == "failed"


def test_a_job_that_was_only_meant_for_a_removed_device_is_placed_anew() -> None:
    job = Job()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    assert job.tell(DeviceRemoved(A)) == [Place(A)]
    assert job.state == "queued"


def test_anothers_removal_changes_nothing() -> None:
    job = Job().sent(A)
    assert job.tell(DeviceRemoved(B)) == []
    assert job.state == "placed"


@virtual("phone", "kitchen")
async def test_jobs_of_a_removed_device_move_or_end_on_the_disk(rig: Rig) -> None:
    phone, kitchen = rig.nodes["phone"], rig.nodes["kitchen"]
    phone.hold = kitchen.hold = True
    render = await rig.heart.submit(wish("speech.render"))
    await rig.settle()
    first, second = (phone, kitchen) if phone.begun else (kitchen, phone)
    append = await rig.heart.submit(wish("notes.append", target=first.device_id))
    asked = await rig.heart.submit(wish("speech.render", principal=device_principal(first.device_id)))
    await rig.settle()
    first.down()
    rig.heart.remove(first.device_id)
    await rig.settle()
    assert render in second.begun
    assert "removed from the mesh" in rig.heart.job(append)["error"]["message"]
    assert (state(rig, append), state(rig, asked)) == ("uncertain", "cancelled")


@virtual("phone")
async def test_a_device_removed_while_the_coordinator_was_down_keeps_no_job(rig: Rig) -> None:
    rig.nodes["phone"].hold = True
    job_id = await rig.heart.submit(wish("notes.append"))
    await rig.settle()
    await rig.crash()
    rig.household.revoked.append(rig.nodes["phone"].device_id)
    await rig.start(up=False)
    await rig.settle()
    assert state(rig, job_id) == "uncertain"
