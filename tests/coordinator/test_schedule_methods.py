"""What can be asked of schedules, and by whom: the owner everything, people what their role allows, devices nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.coordinator.heart_kit import ECHO
from tests.coordinator.schedule_kit import TimeRig, at_time

from kindmesh.coordinator.brain.medulla import people_messages as m
from kindmesh.coordinator.heart.schedules.methods import ScheduleMethods
from kindmesh.coordinator.heart.schedules.place import Place
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import AccessRefused, InvalidInput, UnknownOperation
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.people import Delegation, PersonTerms
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal
from kindmesh.protocol.roles import Rights

ANNA, BEN = sha256(b"anna")[:20], sha256(b"ben")[:20]
DAY = 86_400_000
PILLS: dict[str, Any] = {
    "name": "pills",
    "operation": "notes.append",
    "args": {"text": "pills"},
    "cron": "0 8 * * *",
}
HELLO: dict[str, Any] = {
    "name": "hello",
    "operation": "device.echo",
    "args": {"text": "hi"},
    "cron": "0 9 * * *",
}


class Desk:
    """The methods over a rig; Anna lives here, Ben is a guest."""

    def __init__(self, rig: TimeRig) -> None:
        none = cast(Any, None)
        trust = rig.household.trust("desk")
        self.people = PeopleDesk(trust, none, none, rig.clock, news=print, leave=rig.schedules.leave)
        self.now_ms = rig.clock.now_ms()
        persons = tuple(
            m.Person(PersonTerms(trust.mesh, person, name, role, self.now_ms), ())
            for person, name, role in ((ANNA, "Anna", "resident"), (BEN, "Ben", "guest"))
        )
        delegations = tuple(
            m.DelegationState(
                Delegation(
                    trust.mesh, bytes([number]) * 16, "goal", f"schedule-{name}", person, Rights((operation,)),
                    self.now_ms, self.now_ms + DAY,
                ),
                who,
            )
            for number, (person, who, name, operation) in enumerate(
                ((ANNA, "Anna", "hello", "device.echo"), (BEN, "Ben", "hello", "device.echo"))
            )
        )  # fmt: skip
        self.people._learn(m.People(persons, (), delegations))
        self.methods = ScheduleMethods(
            rig.schedules, people=self.people, devices=rig.heart.devices, entropy=rig.entropy,
            place=Place("Europe/Berlin"), topics=rig.bus.topics,
        ).methods()  # fmt: skip

    async def ask(self, method: str, who: Principal = OWNER, **params: Any) -> Any:
        return await self.methods[f"schedule.{method}"](Params(params), print, who)


def acting(person: bytes, name: str, schedule: str = "hello") -> Principal:
    return Principal("goal", f"schedule-{schedule}", name, format_id(person), b"d" * 20)


@at_time("2026-05-01T06:30")
async def test_a_schedule_from_its_making_to_its_end(rig: TimeRig) -> None:
    desk = Desk(rig)
    made = await desk.ask("add", **PILLS)
    assert made["coming"][0]["local"] == "Fri 2026-05-01 10:00 CEST" or made["coming"][0]["local"].endswith(
        "08:00 CEST"
    )
    assert made["made_by"] == "owner"
    await rig.pass_to("2026-05-02T06:30")
    shown = await desk.ask("show", name="pills")
    assert [one["state"] for one in shown["history"]] == ["succeeded"]
    assert shown["args"] == {"text": "pills"}
    (line,) = await desk.ask("list")
    assert (line["next"]["local"], line["last"]["state"], line["missed"]) == (
        "Sun 2026-05-03 08:00 CEST", "succeeded", 0,
    )  # fmt: skip
    assert (await desk.ask("pause", name="pills"))["state"] == "paused"
    assert (await desk.ask("list"))[0]["next"] is None
    assert (await desk.ask("calendar"))["coming"] == []
    assert (await desk.ask("resume", name="pills"))["state"] == "active"
    await desk.ask("run", name="pills")
    await rig.settle(40)
    history = await desk.ask("history", name="pills")
    assert (history[0]["state"], history[0]["why"]) == ("succeeded", "run now, by owner")
    assert await desk.ask("history", name="pills", misses=True) == []
    assert (await desk.ask("remove", name="pills"))["ok"]
    with pytest.raises(InvalidInput, match="there is no schedule 'pills'"):
        await desk.ask("show", name="pills")


@at_time("2026-05-01T06:30")
async def test_the_calendar_is_in_order_and_bounded(rig: TimeRig) -> None:
    desk = Desk(rig)
    await desk.ask("add", **PILLS)
    await desk.ask("add", **HELLO)
    found = await desk.ask("calendar", days=2)
    assert [one["name"] for one in found["coming"]] == ["hello", "pills", "hello", "pills"]
    assert not found["more"]
    await desk.ask("add", **{**HELLO, "name": "often", "cron": "* * * * *"})
    found = await desk.ask("calendar", days=7)
    assert (len(found["coming"]), found["more"]) == (1_000, True)


@at_time("2026-05-01T06:30")
async def test_why_a_run_failed_is_read_from_its_job(rig: TimeRig) -> None:
    rig.medulla.answer = lambda request: "deny"
    desk = Desk(rig)
    await desk.ask("add", **PILLS)
    await desk.ask("run", name="pills")
    await rig.settle(40)
    (firing,) = await desk.ask("history", name="pills")
    assert (firing["state"], firing["problem"]) == ("failed", "the owner's policy forbids it; and it is late")


@at_time("2026-05-01T06:30")
async def test_what_cannot_be_done_is_refused_when_it_is_made(rig: TimeRig) -> None:
    desk = Desk(rig)
    with pytest.raises(UnknownOperation, match=r"notes\.apend"):
        await desk.ask("add", **{**PILLS, "operation": "notes.apend"})
    with pytest.raises(InvalidInput) as caught:
        await desk.ask("add", **{**PILLS, "args": {"txt": "pills"}})
    assert "txt" in caught.value.message
    with pytest.raises(InvalidInput, match="no device called 'attic'"):
        await desk.ask("add", **PILLS, target="attic")
    rig.nodes["phone"].advertise([ECHO])
    await rig.settle()
    with pytest.raises(InvalidInput, match="text"):
        await desk.ask("add", **{**HELLO, "args": {"text": "x" * 100_001}})
    assert rig.schedules.all() == []


@at_time("2026-05-01T06:30", "phone", "kitchen")
async def test_a_device_that_does_not_offer_it_is_no_target(rig: TimeRig) -> None:
    desk = Desk(rig)
    rig.nodes["kitchen"].advertise([ECHO])
    await rig.settle()
    with pytest.raises(InvalidInput, match=r"kitchen does not offer notes\.append"):
        await desk.ask("add", **PILLS, target="kitchen")
    made = await desk.ask("add", **PILLS, target="phone")
    assert made["target_name"] == "phone"


@at_time("2026-05-01T06:30")
async def test_a_trigger_is_on_what_somebody_says_and_never_on_its_own_doing(rig: TimeRig) -> None:
    desk = Desk(rig)
    base = {key: value for key, value in HELLO.items() if key != "cron"}
    with pytest.raises(InvalidInput, match=r"nothing here says system\.device\.losst") as caught:
        await desk.ask("add", **base, event={"topic": "system.device.losst"})
    assert "system.device.lost" in caught.value.hint
    for where in ([], [{"field": "operation", "value": "device.echo"}], [{"field": "name", "value": "x"}]):
        for topic in ("system.job.succeeded", "system.*", "*"):
            with pytest.raises(InvalidInput, match="again and again"):
                await desk.ask("add", **base, event={"topic": topic, "where": where})
    other = [{"field": "operation", "value": "notes.append"}]
    made = await desk.ask("add", **base, event={"topic": "system.job.*", "where": other})
    assert (made["next"], made["coming"]) == (None, [])


@at_time("2026-05-01T06:30")
async def test_people_make_schedules_that_act_for_them(rig: TimeRig) -> None:
    desk = Desk(rig)
    made = await desk.ask("add", acting(ANNA, "Anna"), **HELLO)
    assert made["principal"]["acting_for"] == format_id(ANNA)
    held = rig.schedules.find("hello")
    assert held is not None
    assert held.schedule.maker == Principal("goal", "schedule-hello", "Anna", format_id(ANNA))
    anna, ben = person_principal(ANNA, "Anna"), person_principal(BEN, "Ben")
    assert [one["name"] for one in await desk.ask("list", anna)] == ["hello"]
    assert await desk.ask("list", ben) == []
    for method in ("show", "pause", "run", "remove", "history"):
        with pytest.raises(InvalidInput, match="there is no schedule 'hello'"):
            await desk.ask(method, ben, name="hello")
    await desk.ask("remove", anna, name="hello")


@at_time("2026-05-01T06:30")
async def test_who_may_not_is_told_why(rig: TimeRig) -> None:
    desk = Desk(rig)
    with pytest.raises(AccessRefused, match="needs that person's delegation"):
        await desk.ask("add", person_principal(ANNA, "Anna"), **HELLO)
    with pytest.raises(AccessRefused, match="needs that person's delegation"):
        await desk.ask("add", device_principal(rig.nodes["phone"].device_id, "phone"), **HELLO)
    with pytest.raises(AccessRefused, match="your role does not make schedules"):
        await desk.ask("add", acting(BEN, "Ben"), **HELLO)
    with pytest.raises(AccessRefused, match=r"was not given: the operation notes\.append"):
        await desk.ask("add", acting(ANNA, "Anna"), **PILLS)
    with pytest.raises(AccessRefused, match="was not given"):
        await desk.ask("add", acting(ANNA, "Anna", "unknown"), **HELLO)
    assert rig.schedules.all() == []


PLAN: dict[str, Any] = {
    "plan": 1,
    "name": "morning",
    "inputs": {"what": {"type": "text"}},
    "steps": [
        {"id": "hello", "call": "device.echo", "args": {"text": {"$from": "inputs.what"}}},
        {
            "id": "inner",
            "sub": {
                "plan": {"plan": 1, "steps": [{"id": "note", "call": "notes.append", "args": {"text": "x"}}]}
            },
        },
    ],
}
MORNING: dict[str, Any] = {"name": "morning", "plan": PLAN, "inputs": {"what": "pills"}, "cron": "0 8 * * *"}


@at_time("2026-05-01T06:30")
async def test_a_plan_is_checked_when_it_is_made_and_run_when_it_is_due(rig: TimeRig) -> None:
    desk = Desk(rig)
    made = await desk.ask("add", **MORNING)
    assert (made["operation"], made["args"]) == ("plan morning", {"what": "pills"})
    await desk.ask("run", name="morning")
    await rig.settle(120)
    (firing,) = await desk.ask("history", name="morning")
    assert (firing["state"], firing["problem"]) == ("succeeded", "")
    assert (await desk.ask("calendar", days=1))["coming"][0]["operation"] == "plan morning"


@at_time("2026-05-01T06:30")
async def test_a_plan_that_cannot_be_is_refused(rig: TimeRig) -> None:
    desk = Desk(rig)
    with pytest.raises(InvalidInput, match="one operation or one plan"):
        await desk.ask("add", **MORNING, operation="device.echo")
    with pytest.raises(InvalidInput):
        await desk.ask("add", **{**MORNING, "inputs": {}})
    steps = [{"id": "note", "call": "notes.apend"}]
    with pytest.raises(UnknownOperation, match=r"notes\.apend"):
        await desk.ask("add", **{**MORNING, "plan": {"plan": 1, "steps": steps}, "inputs": {}})
    with pytest.raises(AccessRefused, match=r"the operation notes\.append"):
        await desk.ask("add", acting(ANNA, "Anna"), **MORNING)
    timed = {key: value for key, value in MORNING.items() if key != "cron"}
    where = [{"field": "operation", "value": "notes.append"}]
    with pytest.raises(InvalidInput, match="again and again"):
        await desk.ask("add", **timed, event={"topic": "system.job.failed", "where": where})
