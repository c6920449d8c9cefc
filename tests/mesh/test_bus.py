"""The event bus of one process: who hears what, and what happens to those who go wrong or are too slow."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.bus import CASCADE_MAX, OVERFLOW, EventBus, plain_event, wanted
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import AccessRefused, InvalidInput, RemoteFailure
from kindmesh.protocol.manifest import Field
from kindmesh.protocol.messages.events import ROOTS, Interest, Labels, MeshEvent, fits
from kindmesh.protocol.topics import Topic

DEVICE = {"device": "abcd", "name": "hall"}
FALL = Topic(
    "perception.falls.detected",
    "somebody fell",
    (Field("room", "text"), Field("confidence", "number", required=False)),
    data_class="health",
)


def make_bus() -> EventBus:
    bus = EventBus(bytes(20), SystemClock(), SystemEntropy())
    bus.declare({FALL.name: FALL})
    return bus


def tell(bus: EventBus, topic: str) -> None:
    bus.emit(topic, DEVICE)


def test_an_event_reaches_those_whose_pattern_fits_in_the_order_of_subscription() -> None:
    bus, heard = make_bus(), list[tuple[str, str]]()

    def note(pattern: str, event: MeshEvent) -> None:
        heard.append((pattern, event.topic))

    for pattern in (
        "system.device.*",
        "*",
        "perception.*",
        "system.*.lost",
        "system.device.lost",
        "system.*",
    ):
        bus.subscribe(pattern, partial(note, pattern))
    bus.emit("system.device.lost", DEVICE)
    assert [pattern for pattern, _ in heard] == [
        "system.device.*", "*", "system.*.lost", "system.device.lost", "system.*",
    ]  # fmt: skip
    heard.clear()
    bus.emit(FALL.name, {"room": "kitchen"})
    assert heard == [("*", FALL.name), ("perception.*", FALL.name)]


def test_an_end_of_a_subscription_ends_it_at_once_and_twice_does_no_harm() -> None:
    bus, heard = make_bus(), list[MeshEvent]()
    end = bus.subscribe("system.*", heard.append)
    bus.emit("system.device.lost", DEVICE)
    end()
    end()
    bus.emit("system.device.lost", DEVICE)
    assert len(heard) == 1


def test_a_filter_lets_through_only_events_with_that_value() -> None:
    bus, heard = make_bus(), list[str]()
    bus.subscribe(
        "perception.*", lambda event: heard.append(event.values()["room"]), where=("room", "kitchen")
    )
    for room in ("hall", "kitchen", "bath"):
        bus.emit(FALL.name, {"room": room})
    assert heard == ["kitchen"]
    assert bus.statistics().delivered == 1


def test_what_nobody_declared_cannot_be_published_and_the_hint_names_what_can() -> None:
    bus = make_bus()
    with pytest.raises(InvalidInput) as refused:
        bus.emit("system.device.gone", DEVICE)
    assert refused.value.field == "topic"
    assert "system.device.joined" in refused.value.hint or "system.bus.overflow" in refused.value.hint
    event = bus.make("system.device.lost", DEVICE)
    with pytest.raises(InvalidInput):
        bus.publish(msgspec.structs.replace(event, topic="system.device.gone"))


def test_values_and_labels_that_the_topic_does_not_promise_are_refused_by_field() -> None:
    bus = make_bus()
    with pytest.raises(InvalidInput) as refused:
        bus.emit(FALL.name, {"room": 3})
    assert refused.value.field == "room"
    with pytest.raises(AccessRefused) as open_data:
        bus.emit(FALL.name, {"room": "hall"}, labels=Labels(data_class="device"))
    assert open_data.value.field == "labels.data_class"
    assert bus.make(FALL.name, {"room": "hall"}).labels.data_class == "health"


def test_a_subscriber_that_raises_is_named_and_counted_and_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, heard = make_bus(), list[MeshEvent]()

    def clumsy(event: MeshEvent) -> None:
        raise KeyError("oh")

    def refusing(event: MeshEvent) -> None:
        raise RemoteFailure("no")

    bus.subscribe("system.*", clumsy, name="the clumsy one")
    bus.subscribe("system.*", refusing)
    bus.subscribe("system.*", heard.append)
    for _ in range(20):
        bus.emit("system.device.lost", DEVICE)
    failures = bus.statistics().failures
    assert len(heard) == 20
    assert failures["the clumsy one"] == 20
    assert any("refusing" in name for name in failures)
    assert len([one for one in caplog.records if getattr(one, "subscriber", "") == "the clumsy one"]) == 2


def test_what_a_subscriber_publishes_comes_after_the_event_and_not_inside_it() -> None:
    bus, heard = make_bus(), list[str]()
    bus.subscribe("system.device.lost", lambda _: tell(bus, "system.device.back"))
    bus.subscribe("system.device.*", lambda event: heard.append(event.topic))
    bus.emit("system.device.lost", DEVICE)
    assert heard == ["system.device.lost", "system.device.back"]


def test_events_that_go_round_in_circles_end_and_are_counted() -> None:
    bus = make_bus()
    bus.subscribe("system.device.lost", lambda _: tell(bus, "system.device.lost"))
    bus.emit("system.device.lost", DEVICE)
    statistics = bus.statistics()
    assert statistics.published == CASCADE_MAX + 1
    assert statistics.dropped == {"system.device.lost": 1}

    wide = make_bus()

    def many(event: MeshEvent) -> None:
        for _ in range(2 * CASCADE_MAX):
            wide.emit("system.device.back", DEVICE)

    wide.subscribe("system.device.lost", many)
    wide.emit("system.device.lost", DEVICE)
    assert wide.statistics().dropped == {"system.device.back": CASCADE_MAX}
    wide.emit("system.device.back", DEVICE)


async def test_a_slow_listener_loses_its_oldest_events_and_it_is_said() -> None:
    bus, overflows = make_bus(), list[MeshEvent]()
    bus.subscribe(OVERFLOW, overflows.append)
    listener = bus.listen("system.device.*", name="a slow one", size=4)
    for number in range(10):
        bus.emit("system.device.lost", {"device": str(number), "name": ""})
    assert (len(listener), listener.dropped) == (4, 6)
    assert [one.values() for one in overflows] == [{"subscriber": "a slow one", "dropped": 1}]
    listener.close()
    assert [event.values()["device"] async for event in listener] == ["6", "7", "8", "9"]


async def test_a_listener_that_caught_up_and_is_slow_again_is_named_again() -> None:
    bus = make_bus()
    listener = bus.listen("system.device.*", name="reader", size=2)
    overflows = bus.listen(OVERFLOW, name="overflows")
    for _ in range(2):
        for _ in range(4):
            bus.emit("system.device.lost", DEVICE)
        for _ in range(2):
            await anext(listener)
    assert [(await anext(overflows)).values()["dropped"] for _ in range(2)] == [1, 3]


async def test_a_listener_of_overflows_that_overflows_itself_ends() -> None:
    bus = make_bus()
    listener = bus.listen("*", name="everything", size=1)
    for _ in range(50):
        bus.emit("system.device.lost", DEVICE)
    assert len(listener) == 1
    assert bus.statistics().published < 60


async def test_a_reader_wakes_with_the_event_and_ends_with_the_listener() -> None:
    bus = make_bus()
    listener = bus.listen("system.*", name="reader")
    reading = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    event = bus.emit("system.device.lost", DEVICE)
    assert await reading == event
    reading = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    listener.close()
    with pytest.raises(StopAsyncIteration):
        await reading


def test_interests_are_what_subscribers_want_of_the_mesh_each_once() -> None:
    bus, told = make_bus(), list[int]()
    bus.on_interests(lambda: told.append(1))
    ends = [bus.subscribe("system.*", lambda _: None) for _ in range(2)]
    bus.subscribe("*", lambda _: None, reach="here")
    bus.subscribe("perception.*", lambda _: None, where=("room", "hall"))
    assert bus.interests() == (
        Interest("perception.*", "room", encode_value("hall")),
        Interest("system.*"),
    )
    assert len(told) == 3
    for end in ends:
        end()
    assert bus.interests() == (Interest("perception.*", "room", encode_value("hall")),)
    for number in range(300):
        bus.subscribe(f"system.w{number}", lambda _: None)
    assert bus.interests() == (Interest("*"),)


def test_an_interest_with_a_value_wants_only_that_value() -> None:
    event = make_bus().make(FALL.name, {"room": "hall"})
    assert wanted([Interest("*")], event)
    assert wanted([Interest("system.*"), Interest("perception.*", "room", encode_value("hall"))], event)
    assert not wanted([Interest("perception.*", "room", encode_value("bath"))], event)
    assert not wanted([Interest("perception.*", "other", encode_value(None))], event)
    assert not wanted([], event)


def test_an_event_as_plain_data_has_its_values() -> None:
    event = make_bus().make(FALL.name, {"room": "hall"})
    assert plain_event(event)["data"] == {"room": "hall"}
    assert plain_event(event)["labels"]["data_class"] == "health"


words = st.lists(st.sampled_from(["a", "b", "c", "device"]), min_size=1, max_size=4)
topics = st.builds(lambda root, rest: ".".join([root, *rest]), st.sampled_from(ROOTS), words)


@given(topics, st.data())
def test_a_pattern_made_of_a_topic_by_putting_stars_in_it_fits_it(topic: str, data: st.DataObject) -> None:
    parts = topic.split(".")
    stars = data.draw(st.lists(st.booleans(), min_size=len(parts) - 1, max_size=len(parts) - 1))
    made = [parts[0], *("*" if star else word for word, star in zip(parts[1:], stars, strict=True))]
    assert fits(".".join(made), topic)
    assert fits(".".join([*made[:-1], "*"]), topic)
    assert fits("*", topic)
    assert not fits(".".join([*parts, "*"]), topic)
    assert not fits(".".join([*parts, "more"]), topic)


async def test_a_listener_with_several_patterns_has_each_event_once() -> None:
    bus = make_bus()
    listener = bus.listen("system.*", "system.device.lost", "system.device.lost", name="both")
    for topic in ("system.device.lost", "system.device.back", "system.device.lost"):
        bus.emit(topic, DEVICE)
    listener.close()
    assert [event.topic async for event in listener] == [
        "system.device.lost", "system.device.back", "system.device.lost",
    ]  # fmt: skip
    with pytest.raises(InvalidInput):
        bus.listen("system.*", "nonsense", name="x")
    assert bus.statistics().subscriptions == 0
