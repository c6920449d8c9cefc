"""What `home` offers: three operations that act, by how risky they are (see `risk`), and what reads and describes.

`home.control`, `home.access` and `home.note` take the same arguments: a service with Home Assistant's name, the
entities, and the service's data. `home.access` also does what the other two do; they do nothing of its kind. None is
declared idempotent, because some services (`toggle`, `volume_up`, `add_item`) are not. `home.tell` is for whatever
reads sensors: what they say, and nothing that can be switched.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.limits import ARGUMENTS_MAX, RESULT_MAX
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation

__all__ = ["CHANGED", "HISTORY_PAGE", "MANIFEST", "TIMER_FINISHED"]

HISTORY_PAGE: Final = 500
"""Changes in one answer of `home.history`."""
CHANGED: Final = "perception.home.changed"
TIMER_FINISHED: Final = "perception.home.timer_finished"
_NAMES_MAX: Final = 1_000
_ROWS_MAX: Final = 20_000

_CALL: Final = (
    Field("service", "text", "Such as light.turn_on", max_length=100),
    Field("entities", "list", "Ids such as light.kitchen", minimum=1, maximum=_NAMES_MAX),
    Field("data", "object", "What the service takes", required=False, default=encode_value({})),
)
_CHANGES: Final = (
    Field("changes", "list", "Objects: entity, attribute, before, after", maximum=_ROWS_MAX, items="object"),
)
_ACTING: Final = Limits(
    timeout_ms=10_000, max_concurrent=16, max_input_bytes=65_536, max_output_bytes=RESULT_MAX
)
_READING: Final = Limits(
    timeout_ms=10_000, max_concurrent=16, max_input_bytes=65_536, max_output_bytes=RESULT_MAX
)


def _acting(name: str, title: str, effect: Effect) -> Operation:
    return Operation(
        name=name,
        title=title,
        input=_CALL,
        output=_CHANGES,
        effects=int(effect),
        idempotent=False,
        data_classes=("home",),
        limits=_ACTING,
    )


def _count(name: str, title: str) -> Field:
    return Field(name, "integer", title, minimum=0)


def _ids(name: str, title: str) -> Field:
    return Field(name, "list", title, maximum=_ROWS_MAX)


class _Topic(msgspec.Struct, array_like=True, frozen=True):
    """As `protocol.topics.Topic`, whose module needs cryptography; a manifest is read without any."""

    name: str
    title: str
    fields: tuple[Field, ...]
    durable: bool
    data_class: str = "home"
    publisher: str = "node"


class _Topics(msgspec.Struct, array_like=True, frozen=True):
    topics: tuple[_Topic, ...]


_TOPICS: Final = _Topics((
    _Topic(
        CHANGED,
        "something in the home changed",
        (
            Field("entity", "text", "its id", max_length=130),
            Field("name", "text", "what it is called", max_length=100),
            Field("area", "text", "the id of its area, or empty", max_length=64),
            Field("state", "text", "its state now", max_length=255),
            Field("before", "text", "its state before", max_length=255),
            Field("attributes", "list", "the names of what else changed", maximum=200.0),
            Field("why", "text", "the service, or what else made it change", max_length=100),
        ),
        False,
    ),
    _Topic(
        TIMER_FINISHED,
        "a timer ran out",
        (
            Field("entity", "text", "its id", max_length=130),
            Field("name", "text", "what it is called", max_length=100),
            Field("duration", "text", "how long it ran", max_length=40),
            Field("late_ms", "integer", "how long ago it ended, if the device was off", minimum=0.0),
        ),
        True,
    ),
))  # fmt: skip
MANIFEST: Final = Manifest(
    capability="home",
    version="1",
    title="The home",
    operations=(
        _acting("home.control", "Switch lights, blinds, heating, music and the like", Effect.ACTUATE),
        _acting("home.access", "Lock and unlock, open doors and valves, arm and disarm", Effect.ACTUATE),
        _acting("home.note", "Write on lists and calendars, set timers", Effect.WRITE),
        Operation(
            name="home.tell",
            title="Take over what sensors tell",
            input=(
                Field(
                    "states",
                    "list",
                    "Objects: entity, state, and perhaps attributes",
                    minimum=1,
                    maximum=_NAMES_MAX,
                    items="object",
                ),
            ),
            output=_CHANGES,
            effects=int(Effect.WRITE),
            idempotent=False,
            data_classes=("home",),
            limits=_ACTING,
        ),
        Operation(
            name="home.get",
            title="Tell the state of things in the home",
            input=(
                Field("entities", "list", "Ids; all without", required=False, minimum=1, maximum=_NAMES_MAX),
            ),
            output=(
                Field(
                    "entities",
                    "list",
                    "As in the inventory, with changed_ms",
                    maximum=_ROWS_MAX,
                    items="object",
                ),
                Field("at_ms", "integer", "When this was so (UTC)", minimum=0),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("home",),
            limits=_READING,
            session_call=True,
        ),
        Operation(
            name="home.history",
            title="Tell what changed in the home, the latest first",
            input=(
                Field(
                    "entity",
                    "text",
                    "Only of this one",
                    required=False,
                    max_length=130,
                    default=encode_value(""),
                ),
                Field(
                    "since_ms", "integer", "From then on", required=False, minimum=0, default=encode_value(0)
                ),
                Field(
                    "count",
                    "integer",
                    "How many at most",
                    required=False,
                    minimum=1,
                    maximum=HISTORY_PAGE,
                    default=encode_value(50),
                ),
            ),
            output=(
                Field(
                    "changes",
                    "list",
                    "Objects: at_ms, entity, attribute, before, after, why",
                    maximum=HISTORY_PAGE,
                    items="object",
                ),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("home",),
            limits=_READING,
            session_call=True,
        ),
        Operation(
            name="home.describe",
            title="Tell the floors and rooms of the home",
            input=(),
            output=(
                Field("floors", "list", "As in the inventory", maximum=_ROWS_MAX, items="object"),
                Field("areas", "list", "As in the inventory", maximum=_ROWS_MAX, items="object"),
                _count("entities", "How many things there are"),
                _count("loaded_ms", "When the inventory was loaded (UTC); 0: never"),
                Field("undoable", "boolean", "Whether the inventory before it is kept"),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("home",),
            limits=_READING,
            session_call=True,
        ),
        Operation(
            name="home.load",
            title="Take over an inventory of the home, or go back to the one before",
            input=(
                Field("inventory", "object", "floors, areas, entities", required=False),
                Field("file", "artifact", "The same as a file, for large homes", required=False),
                Field(
                    "undo",
                    "boolean",
                    "Go back to the one before",
                    required=False,
                    default=encode_value(False),
                ),
                Field(
                    "fresh",
                    "boolean",
                    "Take all states from the file, also of what is there already",
                    required=False,
                    default=encode_value(False),
                ),
            ),
            output=(
                _count("entities", "How many things there are now"),
                _ids("added", "Ids"),
                _ids("removed", "Ids"),
                _ids("changed", "Ids"),
            ),
            effects=int(Effect.WRITE),
            idempotent=False,
            data_classes=("home",),
            limits=Limits(
                timeout_ms=30_000,
                max_concurrent=1,
                max_input_bytes=ARGUMENTS_MAX,
                max_output_bytes=RESULT_MAX,
            ),
        ),
    ),
    ext={"topics": encode(_TOPICS)},
)
