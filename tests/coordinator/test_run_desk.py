"""Who may do what with runs: a member sees, cancels and answers what is its own, or what its role allows."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.coordinator.runs_kit import RunRig, virtual
from tests.coordinator.test_people_desk import PERSON
from tests.coordinator.test_people_desk import Desk as People

from kindmesh.coordinator.params import Params
from kindmesh.coordinator.run_desk import RunDesk, may_hear
from kindmesh.protocol.errors import AccessRefused, InvalidInput, UnknownJob
from kindmesh.protocol.ids import format_id, parse_time_id
from kindmesh.protocol.messages.events import Labels
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal

PHONE, KITCHEN = (device_principal(letter * 20) for letter in (b"p", b"k"))
ANNA = person_principal(PERSON, "Anna", b"p" * 20)
CARL = person_principal(b"c" * 20, "Carl", b"p" * 20)
GOAL = Principal("goal", "plants", "Anna", acting_for=format_id(PERSON))
EVERYBODY = (OWNER, PHONE, KITCHEN, ANNA, CARL, GOAL)
"""Anna is a resident; Carl has no role (any more)."""


async def ask(rig: RunRig, method: str, who: Principal = OWNER, **params: Any) -> Any:
    desk = RunDesk(rig.runs, rig.heart, People().desk, lambda params, who: ())
    return await desk.methods()[method](Params(params), lambda event: None, who)


def question(*who: str) -> dict[str, Any]:
    asked = {"question": "Well?", "who": list(who), "answer": {"yes": {"type": "boolean"}}}
    return {"plan": 1, "steps": [{"id": "q", "ask": asked}]}


async def started(rig: RunRig, who: Principal, *whom: str, **more: Any) -> str:
    run: str = (await ask(rig, "run.start", who, plan=question(*whom), **more))["run"]
    return run


@virtual()
async def test_a_member_sees_and_cancels_its_own_runs_and_others_do_not_exist(rig: RunRig) -> None:
    runs = {who: await started(rig, who, "owner") for who in EVERYBODY}
    for who in EVERYBODY:
        own = {who, GOAL} if who is ANNA else set(EVERYBODY) if who is OWNER else {who}
        assert {one["run"] for one in await ask(rig, "run.list", who)} == {runs[one] for one in own}
        for other, run in runs.items():
            if other in own:
                assert (await ask(rig, "run.show", who, id=run))["run"] == run
                continue
            for method in ("run.show", "run.cancel"):
                with pytest.raises(UnknownJob):
                    await ask(rig, method, who, id=run)
    assert rig.runs.statistics()["open"] == len(EVERYBODY)
    for who in (PHONE, KITCHEN, ANNA, CARL):
        assert (await ask(rig, "run.cancel", who, id=runs[who]))["state"] == "cancelled"
    await ask(rig, "run.cancel", ANNA, id=runs[GOAL])
    await rig.settle()
    assert [live.asked.principal for live in rig.runs.open.values()] == [OWNER]


@virtual()
async def test_a_run_is_found_by_the_beginning_of_its_id_among_ones_own(rig: RunRig) -> None:
    run = await started(rig, PHONE, "owner")
    await started(rig, KITCHEN, "owner")
    assert (await ask(rig, "run.show", PHONE, id=run[:6]))["run"] == run
    with pytest.raises(InvalidInput) as error:
        await ask(rig, "run.show", OWNER, id=run[:6])
    assert error.value.field == "id"


@pytest.mark.parametrize(
    ("asker", "whom", "listed", "may"),
    [
        (PHONE, ("owner",), {OWNER, PHONE}, {OWNER}),
        (PHONE, ("asker",), {OWNER, PHONE}, {PHONE}),
        (OWNER, ("asker",), {OWNER}, {OWNER}),
        (ANNA, ("asker",), {OWNER, ANNA}, {ANNA}),
        (GOAL, ("asker",), {OWNER, ANNA, GOAL}, {ANNA}),
        (PHONE, (f"person:{ANNA.id}",), {OWNER, PHONE, ANNA}, {ANNA}),
        (KITCHEN, ("role:resident",), {OWNER, KITCHEN, ANNA}, {ANNA}),
        (CARL, ("role:guest",), {OWNER, CARL}, set()),
        (PHONE, ("owner", "role:resident"), {OWNER, PHONE, ANNA}, {OWNER, ANNA}),
    ],
)
def test_a_question_is_shown_and_answered_by_whom_the_plan_names(
    tmp_path: Any, asker: Principal, whom: tuple[str, ...], listed: set[Principal], may: set[Principal]
) -> None:
    async def body(rig: RunRig) -> None:
        run = await started(rig, asker, *whom)
        await rig.settle()
        (waiting,) = rig.runs.inbox()
        for who in EVERYBODY:
            found = await ask(rig, "inbox", who)
            assert [one["answerable"] for one in found] == ([who in may] if who in listed else [])
            if who in may:
                continue
            refused = AccessRefused if who in listed else UnknownJob
            with pytest.raises(refused):
                await ask(rig, "inbox.answer", who, id=waiting["question_id"], values={"yes": True})
        assert rig.state(parse_time_id(run), "q") == "asking"
        for who in list(may)[:1]:
            await ask(rig, "inbox.answer", who, id=waiting["question_id"], values={"yes": True})
            assert (await rig.ended(parse_time_id(run)))["state"] == "succeeded"

    virtual()(body)(tmp_path)


@virtual()
async def test_a_members_key_is_its_own_and_a_persons_signature_starts_no_plan(rig: RunRig) -> None:
    first = await started(rig, PHONE, "owner", key="k")
    assert await started(rig, PHONE, "owner", key="k") == first
    assert len({first, *[await started(rig, who, "owner", key="k") for who in (OWNER, KITCHEN, GOAL)]}) == 4
    people = People()
    params, who = people.ask(people.proof({"plan": question("owner")}))
    with pytest.raises(AccessRefused):
        await RunDesk(rig.runs, rig.heart, people.desk, lambda params, who: ()).methods()["run.start"](
            params, lambda event: None, who
        )


@virtual()
async def test_who_no_longer_waits_for_a_run_is_not_told_of_it(rig: RunRig) -> None:
    told: list[Any] = []
    desk = RunDesk(rig.runs, rig.heart, People().desk, lambda params, who: ())
    plan = {"plan": 1, "steps": [{"id": "nap", "pause": {"for_ms": 60_000}}]}
    for _ in range(3):
        waits = asyncio.ensure_future(
            desk.methods()["run.start"](Params({"plan": plan, "key": "k", "wait": True}), told.append, PHONE)
        )
        await rig.settle()
        waits.cancel()
        await asyncio.wait([waits])
    (live,) = rig.runs.open.values()
    assert (live.watchers, live.waiters) == ([], [])
    told.clear()
    assert (await rig.ended(live.row.run_id))["state"] == "succeeded"
    assert told == []


@virtual()
async def test_a_members_run_hears_of_private_things_only_what_its_device_may_read(rig: RunRig) -> None:
    people = People().desk
    topic, data = "system.device.removed", {"device": "x", "name": "lamp"}
    open_, private = rig.bus.make(topic, data), Labels("user", (b"k" * 20,), "health")
    closed = msgspec.structs.replace(open_, labels=private)
    own = msgspec.structs.replace(closed, source=b"p" * 20)
    wanted = {
        OWNER: [True, True, True],
        PHONE: [True, False, True],
        KITCHEN: [True, True, True],
        ANNA: [True, False, True],
        CARL: [True, False, False],
    }
    for who, hears in wanted.items():
        run_id = parse_time_id(await started(rig, who, "owner"))
        live = rig.runs.open[run_id]
        assert [may_hear(people, live, event) for event in (open_, closed, own)] == hears, who
