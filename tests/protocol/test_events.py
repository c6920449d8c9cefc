"""Events on the wire: forms of topics and patterns, labels that hold, signatures, and what manifests may declare."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import EVENT, IDS, SIGNED_EVENT, SIGNING

from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.errors import (
    AccessRefused,
    BadSignature,
    InvalidInput,
    KindmeshError,
    Malformed,
    UnknownCritical,
)
from kindmesh.protocol.limits import EVENT_DATA_MAX
from kindmesh.protocol.manifest import Field, Manifest, Operation
from kindmesh.protocol.messages.events import (
    Labels,
    MeshEvent,
    check_event,
    check_pattern,
    check_topic,
    event_from_bytes,
    event_to_bytes,
    fits,
    may_read,
    open_event,
    sign_event,
)
from kindmesh.protocol.topics import (
    OWN,
    TOPICS_EXT,
    Topic,
    check_payload,
    declare,
    declared_topics,
    plain_topic,
    topics_of,
    undeclared,
)

FALL = Topic("perception.falls.detected", "somebody fell", (Field("room", "text"),), data_class="health")


def manifest(*topics: Topic, capability: str = "falls") -> Manifest:
    operation = Operation(f"{capability}.look", "looks", (), (), 1, True)
    return Manifest(capability, "1.0", "Falls", (operation,), ext=declare(*topics))


@pytest.mark.parametrize("topic", ["system.stop", "perception.a.b_c.d2.e.f", "action.intent"])
def test_a_topic_is_two_to_six_words_under_a_root(topic: str) -> None:
    assert check_topic(topic) == check_pattern(topic) == topic


@pytest.mark.parametrize(
    "topic",
    ["", "system", "System.stop", "system.", "system..a", "home.light", "system.a.b.c.d.e.f", "system.*"],
)
def test_what_is_no_topic_is_refused_with_a_hint(topic: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_topic(topic)
    assert refused.value.field == "topic"
    assert refused.value.hint


@pytest.mark.parametrize("pattern", ["", "**", "*.device", "home.*", "system.*x", "system.a*", "sys"])
def test_what_is_no_pattern_is_refused_with_a_hint(pattern: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_pattern(pattern)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("*", "system.stop", True),
        ("system.*", "system.device.lost", True),
        ("system.*", "action.intent", False),
        ("system.*.lost", "system.device.lost", True),
        ("system.*.lost", "system.device.back", False),
        ("system.device.*", "system.device", False),
        ("system.stop", "system.stop.now", False),
    ],
)
def test_a_star_is_one_word_and_at_the_end_any_number(pattern: str, topic: str, expected: bool) -> None:
    assert fits(pattern, topic) is expected


def test_private_events_are_for_their_readers_and_their_source_only() -> None:
    phone, desk, stranger = IDS["phone"], IDS["desk"], IDS["stranger"]
    assert may_read(EVENT.labels, phone, desk)
    assert may_read(EVENT.labels, phone, phone)
    assert not may_read(EVENT.labels, phone, stranger)
    assert may_read(Labels(), phone, stranger)


def test_a_signed_event_opens_as_it_was_made() -> None:
    assert open_event(SIGNED_EVENT, SIGNING["phone"].public) == EVENT
    assert event_from_bytes(event_to_bytes(EVENT)) == EVENT


def test_who_widens_the_labels_on_the_way_breaks_the_signature() -> None:
    wider = msgspec.structs.replace(EVENT, labels=Labels())
    forged = msgspec.structs.replace(SIGNED_EVENT, payload=encode(wider))
    with pytest.raises(BadSignature):
        open_event(forged, SIGNING["phone"].public)


def test_an_event_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(AccessRefused):
        open_event(sign_event(EVENT, SIGNING["desk"]), SIGNING["desk"].public)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda e: msgspec.structs.replace(e, topic="home.light"), InvalidInput),
        (lambda e: msgspec.structs.replace(e, labels=Labels(data_class="gossip")), InvalidInput),
        (lambda e: msgspec.structs.replace(e, labels=Labels(purpose="fun")), InvalidInput),
        (lambda e: msgspec.structs.replace(e, data=encode_value([1])), Malformed),
        (lambda e: msgspec.structs.replace(e, data=b"\xc1"), Malformed),
        (lambda e: msgspec.structs.replace(e, data=encode_value({"a": "x" * EVENT_DATA_MAX})), Malformed),
        (lambda e: msgspec.structs.replace(e, ext={"!new": b"\xc0"}), UnknownCritical),
    ],
)
def test_an_event_that_breaks_the_form_is_refused(
    spoil: Callable[[MeshEvent], MeshEvent], error: type[KindmeshError]
) -> None:
    with pytest.raises(error):
        check_event(spoil(EVENT))


def test_a_manifest_declares_topics_under_its_own_name() -> None:
    assert declared_topics(manifest(FALL)) == (FALL,)
    assert declared_topics(samples.MANIFEST) == ()
    assert topics_of([manifest(FALL), samples.MANIFEST]) == {FALL.name: FALL}


@pytest.mark.parametrize(
    "topic",
    [
        "perception.speech.heard",
        "system.falls.detected",
        "perception.falls",
    ],
)
def test_a_manifest_cannot_declare_for_others(topic: str) -> None:
    with pytest.raises(Malformed):
        declared_topics(manifest(Topic(topic, "x")))
    assert topics_of([manifest(Topic(topic, "x"))]) == {}


def test_a_manifest_with_doubled_unknown_or_broken_topics_is_refused() -> None:
    with pytest.raises(Malformed):
        declared_topics(manifest(FALL, FALL))
    with pytest.raises(Malformed):
        declared_topics(manifest(msgspec.structs.replace(FALL, data_class="gossip")))
    broken = msgspec.structs.replace(manifest(), ext={TOPICS_EXT: b"\xc1"})
    with pytest.raises(Malformed):
        declared_topics(broken)


def test_an_event_has_the_fields_and_the_class_of_its_topic() -> None:
    event = msgspec.structs.replace(EVENT, data=encode_value({"room": "hall"}))
    check_payload(FALL, event)
    with pytest.raises(InvalidInput):
        check_payload(FALL, EVENT)
    with pytest.raises(AccessRefused):
        check_payload(FALL, msgspec.structs.replace(event, labels=Labels()))


def test_an_undeclared_topic_is_answered_with_those_that_are_near() -> None:
    assert "system.stop" in undeclared("system.halt", ["system.stop"]).hint
    assert "manifest" in undeclared("memory.x", ["system.stop"]).hint


def test_every_topic_of_the_mesh_is_well_formed() -> None:
    for name, topic in OWN.items():
        assert check_topic(name) == topic.name
        assert plain_topic(topic)["title"]
