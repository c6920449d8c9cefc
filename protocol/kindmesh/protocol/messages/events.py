"""What happened: events, who wants to hear of which, and the acknowledgement of those that must not be lost.

An event has a *topic* (`perception.falls.detected`: two to six words; the first is one of `ROOTS`), the device where
it happened, and labels. Whoever wants events names *interests*: a pattern of topics and perhaps a field's value.
In a pattern `*` stands for one word, at the end for one or more; `*` alone is everything.

    member                                    the coordinator
      EventSubscribe{interests}        <->      each tells the other what it wants, whole, again with each session
      MeshEvent                        <->      to who wants it and may see it; not kept, not repeated
      EventFollow{patterns}             ->      signed: keep for me, from now on, what is durable among these
      DurableEvent{signed by source}   <->      until it was taken
      EventTaken{ids}                  <->      it is on my disk; do not send it again

Labels travel with the event as its source made them, and nobody on the way may change them: `readers` are the only
devices (beside the source and the coordinator) that may have an event whose `data_class` is not `device`. A durable
event is signed by its source, labels and all.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import KeyId, OptionalTimeId, TimeId, TimeMs, Word
from kindmesh.protocol.codec import decode, decode_value, encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import AccessRefused, InvalidInput, Malformed
from kindmesh.protocol.extensions import Ext, check_extensions
from kindmesh.protocol.limits import (
    EVENT_DATA_MAX,
    EVENT_DEPTH_MAX,
    EVENT_INTERESTS_MAX,
    EVENT_MAX,
    EVENT_READERS_MAX,
    EVENT_TAKEN_MAX,
)
from kindmesh.protocol.manifest import DATA_CLASSES
from kindmesh.protocol.roles import PURPOSES
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

ROOTS: Final = ("perception", "cognition", "action", "memory", "system")
"""First words of topics: what was noticed, thought, done, remembered; and what the mesh says about itself."""
TOPIC: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){1,5}")
PATTERN: Final = re.compile(r"\*|[a-z][a-z0-9_]{0,31}(\.(\*|[a-z][a-z0-9_]{0,31})){0,5}")
OPEN_CLASS: Final = "device"
"""The one class of data that every member may see; events about anything else are for their readers."""
EVENT_DOMAIN: Final = b"kindmesh-event-v1\0"

Source = Literal["user", "memory", "device", "web", "model"]
"""Where an event's content comes from: the least trustworthy of its origins."""
EventData = Annotated[bytes, Meta(max_length=EVENT_DATA_MAX)]


class Labels(msgspec.Struct, array_like=True, frozen=True):
    """What may be done with an event's data. `readers`: ids of devices; see the module."""

    source: Source = "device"
    readers: Annotated[tuple[KeyId, ...], Meta(max_length=EVENT_READERS_MAX)] = ()
    data_class: Word = OPEN_CLASS
    purpose: Word = "household"


class MeshEvent(msgspec.Struct, array_like=True, frozen=True):
    """`source` is the device where it happened, at `at_ms` (UTC); `data` is canonical MessagePack, a map; `run_id` when
    it belongs to a run."""

    event_id: TimeId
    topic: Word
    source: KeyId
    at_ms: TimeMs
    labels: Labels
    data: EventData
    run_id: OptionalTimeId = b""
    ext: Ext = {}

    def values(self) -> dict[str, Any]:
        """`data`, decoded.

        Raises:
            Malformed: it is not a canonical map.
        """
        values = decode_value(self.data, limit=EVENT_DATA_MAX, depth=EVENT_DEPTH_MAX)
        if not isinstance(values, dict):
            raise Malformed("the data of an event is a map", field="data")
        return values


class Interest(msgspec.Struct, array_like=True, frozen=True):
    """A pattern; with a `field`, only events whose data have that `value` (canonical MessagePack) there."""

    pattern: Word
    field: Word = ""
    value: Annotated[bytes, Meta(max_length=256)] = b""


class EventSubscribe(msgspec.Struct, array_like=True, frozen=True):
    """All that the sender wants to hear of from now on; what it said before does not count any more."""

    interests: Annotated[tuple[Interest, ...], Meta(max_length=EVENT_INTERESTS_MAX)]


class DurableEvent(msgspec.Struct, array_like=True, frozen=True):
    """An event, signed by its source (`sign_event`)."""

    event: Signed
    ext: Ext = {}


class EventFollow(msgspec.Struct, array_like=True, frozen=True):
    """Durable events that fit one of the patterns are kept for the sender until it took them; no pattern: no more."""

    patterns: Annotated[tuple[Word, ...], Meta(max_length=EVENT_INTERESTS_MAX)]
    ext: Ext = {}


class EventTaken(msgspec.Struct, array_like=True, frozen=True):
    """These durable events are on the sender's disk."""

    event_ids: Annotated[tuple[TimeId, ...], Meta(max_length=EVENT_TAKEN_MAX)]


def check_topic(topic: str) -> str:
    """`topic`, if it is one.

    Raises:
        InvalidInput: its form is wrong, or its first word is no root.
    """
    if TOPIC.fullmatch(topic) is None:
        hint = "Two to six words with dots between them, such as perception.falls.detected."
        raise InvalidInput(f"{topic[:80]!r} is no topic", field="topic", hint=hint)
    if topic.partition(".")[0] not in ROOTS:
        raise InvalidInput(
            f"no topic begins with {topic.partition('.')[0]!r}",
            field="topic",
            hint=f"It begins with one of: {', '.join(ROOTS)}.",
        )
    return topic


def check_pattern(pattern: str) -> str:
    """`pattern`, if it is one.

    Raises:
        InvalidInput: its form is wrong, or no topic could ever fit it.
    """
    if PATTERN.fullmatch(pattern) is None:
        hint = "A topic, with * for one word, or at the end for any: system.device.*, perception.*, *."
        raise InvalidInput(f"{pattern[:80]!r} is no pattern of topics", field="pattern", hint=hint)
    root = pattern.partition(".")[0]
    if root not in ("*", *ROOTS):
        hint = f"It begins with one of: {', '.join(ROOTS)}, or is * alone."
        raise InvalidInput(f"no topic begins with {root!r}", field="pattern", hint=hint)
    return pattern


def fits(pattern: str, topic: str) -> bool:
    """Whether a (checked) pattern is about a (checked) topic."""
    wanted, words = pattern.split("."), topic.split(".")
    if wanted[-1] == "*":
        if len(words) < len(wanted):
            return False
        wanted, words = wanted[:-1], words[: len(wanted) - 1]
    return len(wanted) == len(words) and all(
        one in ("*", word) for one, word in zip(wanted, words, strict=True)
    )


def check_event(event: MeshEvent) -> None:
    """Refuse an event that breaks the rules of the form; whether its topic is declared is another question.

    Raises:
        InvalidInput: topic or labels. Malformed: data. UnknownCritical: an extension that is required and not known.
    """
    check_topic(event.topic)
    labels = event.labels
    if labels.data_class not in DATA_CLASSES:
        raise InvalidInput(f"{labels.data_class[:40]!r} is no class of data", field="labels.data_class")
    if labels.purpose not in PURPOSES:
        raise InvalidInput(f"{labels.purpose[:40]!r} is no purpose", field="labels.purpose")
    check_extensions(event.ext)
    event.values()


def may_read(labels: Labels, source: bytes, reader: bytes) -> bool:
    """Whether a member (a device id) may have an event with these labels from `source`. The coordinator is not asked
    about: it carries all of them."""
    return labels.data_class == OPEN_CLASS or reader == source or reader in labels.readers


def sign_event(event: MeshEvent, signing: SigningKey) -> Signed:
    """The event as its source vouches for it."""
    return sign_struct(event, EVENT_DOMAIN, signing)


def open_event(signed: Signed, public: bytes) -> MeshEvent:
    """The event in `signed`, if the key `public` made it and it breaks no rule.

    Raises:
        BadSignature, Malformed, InvalidInput, UnknownCritical.
        AccessRefused: somebody signed an event of somebody else.
    """
    event = open_signed(signed, MeshEvent, EVENT_DOMAIN, public, limit=EVENT_MAX)
    if event.source != signed.author:
        raise AccessRefused("an event is signed by the device where it happened", field="source")
    check_event(event)
    return event


def event_to_bytes(event: MeshEvent) -> bytes:
    """For a store."""
    return encode(event)


def event_from_bytes(data: bytes) -> MeshEvent:
    """Undo `event_to_bytes`.

    Raises:
        Malformed.
    """
    return decode(MeshEvent, data, limit=EVENT_MAX)


__all__ = [
    "EVENT_DOMAIN",
    "OPEN_CLASS",
    "ROOTS",
    "DurableEvent",
    "EventFollow",
    "EventSubscribe",
    "EventTaken",
    "Interest",
    "Labels",
    "MeshEvent",
    "Source",
    "check_event",
    "check_pattern",
    "check_topic",
    "event_from_bytes",
    "event_to_bytes",
    "fits",
    "may_read",
    "open_event",
    "sign_event",
]
