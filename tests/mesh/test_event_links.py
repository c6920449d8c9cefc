"""Events between devices: interest, labels, loops, loss; and durable ones across crashes of either side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.mesh.event_rig import FALL, STEP, End, EventRig

from kindmesh.mesh import event_log
from kindmesh.mesh.event_durable import TRIES, WINDOW
from kindmesh.mesh.event_log import DAY_MS, KEEP_DAYS, LOST_DAYS
from kindmesh.mesh.event_report import event_findings
from kindmesh.mesh.virtual import run_virtual
from kindmesh.protocol.errors import DiskFull, InvalidInput
from kindmesh.protocol.messages import DurableEvent, EventFollow, EventSubscribe, MessageType, SessionType
from kindmesh.protocol.messages.events import Interest, Labels, MeshEvent, sign_event

Story = Callable[[EventRig], Awaitable[None]]


def play(folder: Path, story: Story) -> None:
    async def main() -> None:
        rig = EventRig(folder)
        try:
            await story(rig)
        finally:
            await rig.close()

    run_virtual(main())


def seen(end: End) -> list[int]:
    return [event.values()["n"] for event in end.heard]


def test_an_event_crosses_only_the_links_behind_which_somebody_waits(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")
        assert not phone.bus.wanted(STEP.name)
        end = kitchen.hear("perception.*")
        await asyncio.sleep(1)
        assert phone.bus.wanted(STEP.name)
        assert not kitchen.links._wants.get(kitchen.trust.coordinator.subject)
        phone.bus.emit(STEP.name, {"n": 1})
        await asyncio.sleep(1)
        assert seen(kitchen) == [1]
        assert desk.heard == phone.heard == []
        end()
        await asyncio.sleep(1)
        assert not phone.bus.wanted(STEP.name)

    play(tmp_path, story)


def test_an_event_arrives_once_however_many_want_it_and_never_comes_back(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        ends = await rig.start("desk", "phone", "kitchen")
        for end in ends:
            end.hear("*", where=("n", 2))
            end.hear("*")
        await asyncio.sleep(1)
        ends[1].bus.emit(STEP.name, {"n": 1})
        ends[1].bus.emit(STEP.name, {"n": 2})
        await asyncio.sleep(2)
        for end in ends:
            assert sorted(seen(end)) == [1, 2, 2]

    play(tmp_path, story)


def test_a_private_event_reaches_its_readers_and_nobody_else(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")
        for end in (desk, kitchen):
            end.hear("perception.*")
        await asyncio.sleep(1)
        private = Labels(data_class="health")
        phone.bus.emit(STEP.name, {"n": 1}, labels=private)
        phone.bus.emit(
            STEP.name,
            {"n": 2},
            labels=msgspec.structs.replace(private, readers=(kitchen.id,), purpose="care"),
        )
        await asyncio.sleep(1)
        assert seen(desk) == [1, 2]
        assert seen(kitchen) == [2]
        assert kitchen.heard[0].labels == Labels("device", (kitchen.id,), "health", "care")

    play(tmp_path, story)


def test_a_member_that_speaks_for_another_is_refused_and_counted(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")
        desk.hear("*")
        event = phone.bus.make(STEP.name, {"n": 1})
        phone.endpoint.tell(desk.id, SessionType.EVENT, msgspec.structs.replace(event, source=kitchen.id))
        phone.endpoint.tell(desk.id, SessionType.EVENT, msgspec.structs.replace(event, topic="home.light"))
        phone.endpoint.tell(desk.id, SessionType.EVENT_SUBSCRIBE, EventSubscribe((Interest("nonsense"),)))
        await asyncio.sleep(1)
        assert desk.heard == []
        assert desk.endpoint.refused["ACCESS_REFUSED"] == 1
        assert desk.endpoint.refused["INVALID_INPUT"] == 2

    play(tmp_path, story)


def test_a_member_that_floods_is_held_back_and_others_are_not(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")
        desk.hear("*")
        await asyncio.sleep(1)
        for number in range(3_000):
            phone.endpoint.tell(desk.id, SessionType.EVENT, phone.bus.make(STEP.name, {"n": number}))
            if number % 200 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert desk.endpoint.refused["RATE_LIMITED"] > 0
        before = len(desk.heard)
        kitchen.bus.emit(STEP.name, {"n": -1})
        await asyncio.sleep(1)
        assert [event.values()["n"] for event in desk.heard[before:]] == [-1]

    play(tmp_path, story)


def test_interests_are_told_again_after_the_link_was_lost(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone = await rig.start("desk", "phone")
        phone.hear("perception.*")
        await rig.crash("desk")
        await asyncio.sleep(20)
        (desk,) = await rig.start("desk")
        await asyncio.sleep(20)
        desk.bus.emit(STEP.name, {"n": 7})
        await asyncio.sleep(1)
        assert seen(phone) == [7]

    play(tmp_path, story)


def fall(end: End, room: str = "hall", *readers: bytes) -> MeshEvent:
    return end.bus.emit(FALL.name, {"room": room}, labels=Labels("device", readers, "health", "care"))


def test_a_durable_event_survives_the_crash_of_its_source_before_it_was_sent(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        (phone,) = await rig.start("phone")
        event = fall(phone)
        await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        await rig.crash("phone")
        desk, phone = await rig.start("desk", "phone")
        await asyncio.sleep(10)
        assert desk.log.has(event.event_id)
        assert phone.log.followers()[f"device/{desk.id.hex()}"][1] == phone.log.end()

    play(tmp_path, story)


def test_a_durable_event_survives_the_crash_of_the_coordinator_and_is_heard_once(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone = await rig.start("desk", "phone")
        sent: list[MeshEvent] = []
        for number in range(3 * WINDOW):
            sent.append(fall(phone, str(number)))
            if number in (10, 70, 150):
                await asyncio.sleep(0.02)
                await rig.crash("desk")
                await asyncio.sleep(5)
                (desk,) = await rig.start("desk")
        await asyncio.sleep(60)
        kept = desk.log.after(0, 1_000)
        assert [row.event.event_id for row in kept] == [event.event_id for event in sent]

    play(tmp_path, story)


def note_effect(end: End, event: MeshEvent) -> None:
    """Not idempotent on purpose: a second time is a second row's worth."""
    end.store.execute(
        "INSERT INTO effect VALUES (?, 1) ON CONFLICT (event_id) DO UPDATE SET n = n + 1", (event.event_id,)
    )


def test_a_follower_processes_every_event_exactly_once_across_crashes_of_all(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")

        def follow(end: End) -> None:
            end.durable.follow("care", "perception.falls.*", lambda event: note_effect(end, event))

        follow(kitchen)
        follow(desk)
        await asyncio.sleep(2)
        sent: list[MeshEvent] = []
        for number in range(60):
            sent.append(fall(phone, str(number), kitchen.id))
            await asyncio.sleep(0.005 * (number % 7))
            if number % 20 == 5:
                await rig.crash("kitchen")
                (kitchen,) = await rig.start("kitchen")
                follow(kitchen)
            if number % 20 == 11:
                await rig.crash("desk")
                (desk,) = await rig.start("desk")
                follow(desk)
            if number % 20 == 17:
                await asyncio.sleep(0.1)
                await rig.crash("phone")
                (phone,) = await rig.start("phone")
        await asyncio.sleep(120)
        for end in (kitchen, desk):
            rows = end.store.query("SELECT event_id, n FROM effect ORDER BY event_id")
            assert rows == [(event.event_id, 1) for event in sorted(sent, key=lambda one: one.event_id)]

    play(tmp_path, story)


def test_a_follower_that_was_away_gets_what_it_missed_and_nothing_that_is_not_for_it(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")
        kitchen.durable.follow("care", "perception.*", kitchen.heard.append)
        await asyncio.sleep(2)
        await rig.crash("kitchen")
        fall(phone, "for the kitchen", kitchen.id)
        fall(phone, "for nobody")
        desk.bus.emit("system.stop", {"by": "x"})
        await asyncio.sleep(5)
        (kitchen,) = await rig.start("kitchen")
        kitchen.durable.follow("care", "perception.*", kitchen.heard.append)
        await asyncio.sleep(30)
        assert [event.values() for event in kitchen.heard] == [{"room": "for the kitchen"}]
        kitchen.durable.unfollow("care")
        await asyncio.sleep(2)
        assert f"device/{kitchen.id.hex()}" not in desk.log.followers()

    play(tmp_path, story)


def test_a_follower_that_goes_wrong_is_tried_again_and_then_passed_over(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        (desk,) = await rig.start("desk")
        calls: list[str] = []

        def clumsy(event: MeshEvent) -> None:
            calls.append(event.values()["by"])
            note_effect(desk, event)
            if event.values()["by"] == "bad":
                raise KeyError("oh")

        desk.durable.follow("clumsy", "system.stop", clumsy)
        for by in ("good", "bad", "fine"):
            desk.bus.emit("system.stop", {"by": by})
        await asyncio.sleep(20)
        assert calls == ["good", *["bad"] * TRIES, "fine"]
        assert len(desk.store.query("SELECT n FROM effect")) == 2
        with pytest.raises(InvalidInput):
            desk.durable.follow("clumsy", "system.stop", clumsy)

    play(tmp_path, story)


def test_a_durable_event_with_widened_labels_or_another_author_is_refused(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone, kitchen = await rig.start("desk", "phone", "kitchen")
        event = phone.bus.make(FALL.name, {"room": "hall"})
        signed = sign_event(event, rig.household.identities["phone"].signing)
        wider = msgspec.structs.replace(
            signed, payload=msgspec.msgpack.encode(msgspec.structs.replace(event, labels=Labels()))
        )
        phone.endpoint.post(desk.id, MessageType.DURABLE_EVENT, DurableEvent(wider))
        kitchen.endpoint.post(desk.id, MessageType.DURABLE_EVENT, DurableEvent(signed))
        await asyncio.sleep(1)
        assert not desk.log.has(event.event_id)
        assert desk.endpoint.refused["BAD_SIGNATURE"] == 1
        assert desk.durable.refused["ACCESS_REFUSED"] == 1
        desk.endpoint.post(kitchen.id, MessageType.EVENT_FOLLOW, EventFollow(("*",)))
        await asyncio.sleep(1)
        assert kitchen.endpoint.refused["ACCESS_REFUSED"] == 1

    play(tmp_path, story)


def test_what_everybody_took_is_forgotten_after_a_while_and_what_nobody_fetched_later(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        (desk,) = await rig.start("desk")
        desk.durable.follow("here", "system.*", lambda event: None)
        desk.bus.emit("system.stop", {"by": "x"})
        await asyncio.sleep(2)
        now_ms = desk.clock.now_ms()
        desk.log.forget(now_ms + (KEEP_DAYS - 1) * DAY_MS)
        assert len(desk.log.after(0, 10)) == 1
        desk.log.follow("device/" + "00" * 20, ("*",))
        desk.bus.emit("system.stop", {"by": "y"})
        await asyncio.sleep(2)
        desk.log.forget(now_ms + (KEEP_DAYS + 1) * DAY_MS)
        assert [row.event.values()["by"] for row in desk.log.after(0, 10)] == ["y"]
        assert desk.log.lost == 0
        desk.log.forget(now_ms + (LOST_DAYS + 1) * DAY_MS)
        assert desk.log.after(0, 10) == []
        assert desk.log.lost == 1

    play(tmp_path, story)


def test_the_past_is_told_from_a_time_on_the_oldest_first_and_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: EventRig) -> None:
        monkeypatch.setattr(event_log, "PAGE", 2)
        (desk,) = await rig.start("desk")
        rooms = []
        for number in range(7):
            await asyncio.sleep(1)
            rooms.append(desk.bus.emit(FALL.name, {"room": str(number)}))
        await asyncio.sleep(1)
        told = list(desk.log.past(rooms[2].at_ms, "perception.*"))
        assert told == rooms[2:]
        assert list(desk.log.past(rooms[6].at_ms + 1, "*")) == []
        assert list(desk.log.past(0, "system.*")) == []
        assert next(iter(desk.log.past(0, FALL.name))) == rooms[0]

    play(tmp_path, story)


def test_what_is_on_the_disk_does_not_show_the_data(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        (phone,) = await rig.start("phone")
        fall(phone, "the blue bathroom")
        await asyncio.sleep(1)
        phone.store.commit_now()

    play(tmp_path, story)
    assert not any(b"blue bathroom" in path.read_bytes() for path in tmp_path.iterdir())


def test_doctor_names_who_goes_wrong_and_what_was_lost_and_nothing_else(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        desk, phone = await rig.start("desk", "phone")
        assert event_findings(desk.bus, desk.links, desk.durable) == []

        def clumsy(event: MeshEvent) -> None:
            raise KeyError("oh")

        desk.bus.subscribe("system.stop", clumsy, name="the clumsy one")
        desk.durable.follow("the other", "system.stop", clumsy)
        desk.bus.emit("system.stop", {"by": "x"})
        kitchen = phone.bus.make(FALL.name, {"room": "hall"})
        lie = msgspec.structs.replace(kitchen, source=desk.id)
        phone.endpoint.post(
            desk.id,
            MessageType.DURABLE_EVENT,
            DurableEvent(sign_event(lie, rig.household.identities["desk"].signing)),
        )
        await asyncio.sleep(20)
        desk.log.lost += 3
        desk.durable.unwritten += 1
        desk.links.dropped["BACK_PRESSURE"] += 2
        found = event_findings(desk.bus, desk.links, desk.durable)
        said = "\n".join(message for _, message, _ in found)
        assert "the clumsy one went wrong with 1 events" in said
        assert "the other could not deal with 1 events" in said
        assert "1 events were dropped: their senders may not publish them" in said
        assert "3 kept events were never fetched" in said
        assert all(hint for level, _, hint in found if level == "warn")

    play(tmp_path, story)


def test_a_full_disk_is_counted_and_hurts_no_publisher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: EventRig) -> None:
        (desk,) = await rig.start("desk")
        heard: list[MeshEvent] = []
        desk.bus.subscribe("system.stop", heard.append)

        def full(*_: object) -> bool:
            raise DiskFull("The disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(desk.log, "append", full)
            desk.bus.emit("system.stop", {"by": "x"})
        desk.bus.emit("system.stop", {"by": "y"})
        await asyncio.sleep(1)
        assert len(heard) == 2
        assert desk.durable.unwritten == 1
        assert [row.event.values()["by"] for row in desk.log.after(0, 9)] == ["y"]

    play(tmp_path, story)


def test_what_the_last_coordinator_did_not_take_is_for_the_one_that_replaced_it(tmp_path: Path) -> None:
    async def story(rig: EventRig) -> None:
        (phone,) = await rig.start("phone")
        old = "device/" + "11" * 20
        first = fall(phone, "taken by the old one")
        second = fall(phone, "not taken")
        await asyncio.sleep(1)
        name = f"device/{phone.trust.coordinator.subject.hex()}"
        phone.log.unfollow(name)
        phone.log.follow(old, ("*",))
        phone.log.rewind(old, phone.log.after(0, 1)[0].seq)
        await asyncio.sleep(1)
        await rig.ends.pop("phone").close()
        desk, phone = await rig.start("desk", "phone")
        await asyncio.sleep(10)
        assert desk.log.has(second.event_id)
        assert not desk.log.has(first.event_id)
        assert set(phone.log.followers()) == {name}

    play(tmp_path, story)
