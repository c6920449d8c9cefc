"""Which topics there are, who may publish them, and what their data look like: static data.

`TOPICS` are the mesh's own. A capability adds topics in its manifest (`declare`, `declared_topics`): their second word
is the capability's name (`perception.falls.detected`), so nobody can speak for another, and the first is not `system`.
A topic that nobody declared cannot be published. `durable` topics are journaled where they happen, until everybody who
follows them took them; all others are for who listens now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Line, Word
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import AccessRefused, InvalidInput, Malformed
from kindmesh.protocol.extensions import Ext
from kindmesh.protocol.limits import MANIFEST_MAX, TOPICS_MAX
from kindmesh.protocol.manifest import DATA_CLASSES, Field, Manifest, check_fields
from kindmesh.protocol.messages.events import OPEN_CLASS, MeshEvent, check_topic, fits

TOPICS_EXT: Final = "topics"
"""The manifest's `ext` entry that holds its `Topics`."""
Publisher = Literal["coordinator", "node", "anyone"]


class Topic(msgspec.Struct, array_like=True, frozen=True):
    """One topic. `fields` are the data; `publisher` who may say it (of a capability's own topics: its node)."""

    name: Word
    title: Line
    fields: tuple[Field, ...] = ()
    durable: bool = False
    data_class: Word = OPEN_CLASS
    publisher: Publisher = "node"


class Topics(msgspec.Struct, array_like=True, frozen=True):
    """What a manifest declares."""

    topics: Annotated[tuple[Topic, ...], Meta(max_length=TOPICS_MAX)]


def _text(name: str, title: str, *, required: bool = True) -> Field:
    return Field(name, "text", title, required=required, max_length=500)


_DEVICE: Final = (_text("device", "its id"), _text("name", "its name"))
_JOB: Final = (
    _text("job", "the job's id"),
    _text("run", "the run it belongs to"),
    _text("operation", "what was asked for"),
    _text("device", "the device that has it, if any", required=False),
)
_CAPABILITY: Final = (
    _text("capability", "its name"),
    _text("why", "what happened, for a person"),
    _text("by", "who let it go on, if a person did", required=False),
)
_ACTION: Final = (
    _text("job", "the job's id"),
    _text("operation", "what is done"),
    _text("outcome", "how it ended", required=False),
)
_ASK: Final = (
    _text("ask", "the sentence's id; never what was said"),
    _text("verdict", "what Medulla said of the plan", required=False),
    _text("outcome", "how it ended", required=False),
    _text("run", "the run that it became, if any", required=False),
)
ASK_STAGES: Final[dict[str, str]] = {
    "heard": "somebody asked for something in plain words",
    "planned": "a sentence became a plan, which was reviewed",
    "answered": "a sentence was answered",
}
JOB_STATES: Final[dict[str, str]] = {
    "queued": "a job waits for a device",
    "waiting_approval": "a job waits for a person's yes",
    "waiting_device": "a job waits until a device can do it",
    "placed": "a job was sent to a device",
    "accepted": "a device has the job on its disk",
    "running": "a device works on a job",
    "succeeded": "a job is done",
    "failed": "a job went wrong",
    "cancelled": "a job was called off",
    "expired": "a job's time was over",
    "uncertain": "nobody can know whether a job was done; a person is asked",
}
TOPICS: Final[tuple[Topic, ...]] = (
    Topic("system.device.joined", "a device is here for the first time", _DEVICE, publisher="coordinator"),
    Topic("system.device.lost", "a device is not heard any more", _DEVICE, publisher="coordinator"),
    Topic("system.device.back", "a device that was lost is here again", _DEVICE, publisher="coordinator"),
    Topic(
        "system.device.removed",
        "a device does not belong to the mesh any more",
        _DEVICE,
        durable=True,
        publisher="coordinator",
    ),
    *(
        Topic(f"system.job.{state}", title, _JOB, publisher="coordinator")
        for state, title in JOB_STATES.items()
    ),
    Topic(
        "system.capability.quarantined", "a capability fails too often and rests", _CAPABILITY, durable=True
    ),
    Topic("system.capability.restored", "a capability that rested goes on", _CAPABILITY, durable=True),
    Topic(
        "system.stop",
        "somebody stopped the machines",
        (_text("by", "the id of who said so"), _text("reason", "why", required=False)),
        durable=True,
        publisher="anyone",
    ),
    Topic(
        "system.task.ended",
        "a part of the program ended by itself",
        (
            _text("task", "its name"),
            _text("what", "restarted, or given up"),
            _text("why", "the error's code"),
        ),
        publisher="anyone",
    ),
    Topic(
        "system.bus.overflow",
        "a listener was too slow, and the oldest of what waited for it was dropped",
        (_text("subscriber", "its name"), Field("dropped", "integer", "how many so far", minimum=1)),
        publisher="anyone",
    ),
    *(
        Topic(f"cognition.ask.{what}", title, _ASK, publisher="coordinator")
        for what, title in ASK_STAGES.items()
    ),
    Topic("action.intent", "a device is about to do something", _ACTION),
    Topic("action.result", "a device has done something", _ACTION),
)
OWN: Final[Mapping[str, Topic]] = {topic.name: topic for topic in TOPICS}


def declare(*topics: Topic) -> Ext:
    """The `ext` of a manifest that declares these."""
    return {TOPICS_EXT: encode(Topics(topics))}


def declared_topics(manifest: Manifest) -> tuple[Topic, ...]:
    """The topics that a manifest declares.

    Raises:
        Malformed: they are not well-formed, or not this capability's to declare.
        InvalidInput: a name is no topic.
    """
    raw = manifest.ext.get(TOPICS_EXT)
    if raw is None:
        return ()
    topics = decode(Topics, raw, limit=MANIFEST_MAX).topics
    seen: set[str] = set()
    for topic in topics:
        root, second, *rest = check_topic(topic.name).split(".")
        if root == "system" or second != manifest.capability or not rest or topic.name in seen:
            raise Malformed(
                f"{topic.name} is not a new topic of {manifest.capability}",
                field="topics",
                hint=f"Its own topics look like perception.{manifest.capability}.noticed.",
            )
        if topic.data_class not in DATA_CLASSES:
            raise Malformed(f"{topic.name} is about an unknown class of data", field="topics")
        seen.add(topic.name)
    return topics


def topics_of(manifests: Iterable[Manifest]) -> dict[str, Topic]:
    """What these manifests declare, by name; a manifest whose topics are wrong declares none."""
    found: dict[str, Topic] = {}
    for manifest in manifests:
        try:
            found.update((topic.name, topic) for topic in declared_topics(manifest))
        except (Malformed, InvalidInput):
            continue
    return found


def check_payload(topic: Topic, event: MeshEvent) -> None:
    """Refuse an event that is not what its topic says.

    Raises:
        InvalidInput: names the field. Malformed: the data are no map.
        AccessRefused: its labels say that its data are less private than the topic's are.
    """
    check_fields(topic.fields, event.values())
    if topic.data_class not in (OPEN_CLASS, event.labels.data_class):
        raise AccessRefused(f"{topic.name} is about {topic.data_class} data", field="labels.data_class")


def undeclared(topic: str, known: Iterable[str]) -> InvalidInput:
    """The error for a topic that nobody declared; its hint names those nearby."""
    root = topic.partition(".")[0]
    near = [name for name in sorted(known) if fits(f"{root}.*", name)][:6]
    hint = f"Declared are {', '.join(near)}." if near else "A capability's manifest declares its topics."
    return InvalidInput(f"nobody declared the topic {topic[:80]}", field="topic", hint=hint)


def plain_topic(topic: Topic) -> dict[str, Any]:
    """For people and JSON."""
    return {
        "topic": topic.name,
        "title": topic.title,
        "fields": [field.name for field in topic.fields],
        "durable": topic.durable,
        "data_class": topic.data_class,
        "publisher": topic.publisher,
    }


__all__ = [
    "ASK_STAGES",
    "JOB_STATES",
    "OWN",
    "TOPICS",
    "TOPICS_EXT",
    "Publisher",
    "Topic",
    "Topics",
    "check_payload",
    "declare",
    "declared_topics",
    "plain_topic",
    "topics_of",
    "undeclared",
]
