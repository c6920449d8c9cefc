"""A plan: a typed directed acyclic graph of steps, as data. The one format of what shall be done, whoever proposes it.

    call      an operation, on a device                        ask      a person answers, for days if need be
    sub       another plan, written here or made by a step     event    something is heard on the event bus
                                                               pause    a time passes

Edges are `after` (order) and references in values (data, see `plan_values`); what is not ordered may run at the same
time. A step is skipped when its `when` is false, or when it needs the output of a skipped step. `for_each` and `while`
repeat a step, bounded; `memo` takes an earlier output of the same act; `retry` repeats only what may be repeated;
`compensate` undoes a step that succeeded when the run does not.
A plan is plain data (JSON, YAML); its canonical form is MessagePack with sorted keys and without what is default, and
its digest is SHA-256 of that. Checking it is `plan_check.check_plan`; what nobody checked is not started.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Line, Measure, Word
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.limits import (
    DEPTH_MAX,
    PLAN_ATTEMPTS_MAX,
    PLAN_ITEMS_MAX,
    PLAN_MAX,
    PLAN_PARALLEL_MAX,
    PLAN_STEPS_MAX,
    PLAN_WAIT_MAX_MS,
)
from kindmesh.protocol.manifest import Field, FieldType
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.plan_values import quoted

PLAN_VERSION: Final = 1
ASKER: Final = "asker"
"""In `Ask.who`: whoever started the run."""

StepName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Items = Annotated[int, Meta(ge=1, le=PLAN_ITEMS_MAX)]
Parallel = Annotated[int, Meta(ge=1, le=PLAN_PARALLEL_MAX)]
Attempts = Annotated[int, Meta(ge=1, le=PLAN_ATTEMPTS_MAX)]
WaitMs = Annotated[int, Meta(ge=0, le=PLAN_WAIT_MAX_MS)]
AgeMs = Annotated[int, Meta(ge=1, le=PLAN_WAIT_MAX_MS)]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A named value that a run is given, or that a person answers: as a manifest's `Field`."""

    type: FieldType
    title: Line = ""
    required: bool = True
    minimum: Measure | None = None
    maximum: Measure | None = None
    max_length: Annotated[int, Meta(ge=0, le=65_536)] = 4096
    choices: Annotated[tuple[Line, ...], Meta(max_length=64)] = ()
    default: Any = None
    items: FieldType = "text"

    def field(self, name: str) -> Field:
        """The same as a manifest says it."""
        default = b"" if self.default is None else encode_value(self.default)
        required = self.required and self.default is None
        return Field(
            name, self.type, self.title, required, self.minimum, self.maximum, self.max_length, self.choices, default,
            self.items,
        )  # fmt: skip


class ForEach(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Once for each item of the list `over` (at most `most`), `parallel` at a time; `item` and `index` are known
    inside. The step's output is the list of outputs."""

    over: Any
    parallel: Parallel = 4
    most: Items = 100


class While(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Again as long as `condition` holds, looked at before each time; `last` is the output of the time before (null at
    first), `index` counts from 0. More than `most` times is a failure. `every_ms` lies between two times."""

    condition: Any
    most: Items = 10
    every_ms: WaitMs = 0


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often a call that may be repeated is tried altogether; `backoff_ms` before the second time, then twice as
    long each time, at most 5 minutes."""

    attempts: Attempts = 3
    backoff_ms: WaitMs = 1_000


class Memo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Take the output of the same operation for the same principal, under the same `key` (default: the arguments), if
    it is no older than `max_age_ms`."""

    max_age_ms: AgeMs
    key: Any = None


class Undo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The call that undoes a step; in its values `self` is the step's own output."""

    call: Word
    args: dict[str, Any] = {}
    target: Any = ""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question to a person. `answer` names what is to be answered; `who` may: `owner`, `asker`, `role:NAME`,
    `person:ID`. Emergencies never wait for one: a plan of that priority with an `ask` is refused."""

    question: Any
    answer: dict[str, Input] = {}
    who: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=16)] = ("owner", ASKER)


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Waits for the next event whose topic fits (`perception.*`) and for which `filter` holds; `event` is known there
    and is the output: `topic`, `source`, `at_ms`, `data`."""

    topic: Word
    filter: Any = True


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Waits `for_ms`, or until a time (UTC ms); one of the two."""

    for_ms: Any = None
    until_ms: Any = None


class Sub(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A run of its own inside this one: `plan` is a plan, or a reference to one that a step made."""

    plan: Any
    inputs: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One node of the graph; see the module. Exactly one of `call`, `ask`, `event`, `pause`, `sub`. `target` is a
    device, by name or id, or empty for whichever serves best; `deadline_ms` counts from the step's beginning;
    `label` makes the label of the output stricter."""

    id: StepName
    title: Line = ""
    call: Word = ""
    args: dict[str, Any] = {}
    target: Any = ""
    ask: Ask | None = None
    event: Event | None = None
    pause: Pause | None = None
    sub: Sub | None = None
    after: Annotated[tuple[StepName, ...], Meta(max_length=PLAN_STEPS_MAX)] = ()
    when: Any = True
    for_each: ForEach | None = None
    while_: While | None = msgspec.field(default=None, name="while")
    memo: Memo | None = None
    deadline_ms: WaitMs = 0
    retry: Retry | None = None
    compensate: Undo | None = None
    label: Label | None = None

    @property
    def kind(self) -> str:
        """`call`, `ask`, `event`, `pause` or `sub`; empty when it is none."""
        return next((name for name in KINDS if getattr(self, name)), "")


KINDS: Final = ("call", "ask", "event", "pause", "sub")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """See the module. `plan` is the version of the format. `output` names what the run gives; without it, the outputs
    of the steps that no other step needs. `deadline_ms` counts from the start; 0: as long as it takes."""

    plan: int = PLAN_VERSION
    name: Line = ""
    inputs: dict[str, Input] = {}
    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=PLAN_STEPS_MAX)]
    output: dict[str, Any] = {}
    deadline_ms: WaitMs = 0

    def step(self, name: str) -> Step:
        """The step with that id; KeyError if there is none, which `check_plan` excludes."""
        return next(step for step in self.steps if step.id == name)


def single_step(operation: str, args: dict[str, Any], target: str = "") -> Plan:
    """The plan that runs one operation; `args` are taken as they are, `target` is a device or empty."""
    return Plan(
        name=operation[:500],
        steps=(
            Step(
                id="step",
                call=operation,
                args={name: quoted(value) for name, value in args.items()},
                target=target,
            ),
        ),
    )


_PATH: Final = re.compile(r" - at `\$?\.?(?P<path>[^`]*)`$")


def plan_from_document(document: Any) -> Plan:
    """The plan that plain data stands for, not checked yet.

    Raises:
        InvalidInput: names the field that has no place in a plan, or has the wrong type.
    """
    if not isinstance(document, dict):
        raise InvalidInput("a plan is a set of named values", field="plan", hint="It begins with plan: 1.")
    if document.get("plan") != PLAN_VERSION or isinstance(document.get("plan"), bool):
        raise InvalidInput(
            f"this build reads plans of version {PLAN_VERSION}",
            field="plan",
            hint=f"Begin with plan: {PLAN_VERSION}.",
        )
    try:
        return msgspec.convert(document, Plan)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PATH.search(text)
        path = found["path"] if found else ""
        said = text[: found.start()] if found else text
        raise InvalidInput(
            f"{said[:200]}",
            field=_named(path, document)[:80] or "plan",
            hint="kindmesh run --dry FILE checks a plan; docs/reference/plan.md has all fields.",
        ) from error


def _named(path: str, document: dict[str, Any]) -> str:
    """`steps[2].args` with the step's id in place of its number, where it has one."""
    steps = document.get("steps")

    def name(found: re.Match[str]) -> str:
        number = int(found[1])
        step = steps[number] if isinstance(steps, list) and number < len(steps) else None
        known = step.get("id") if isinstance(step, dict) else None
        return f"steps.{known if isinstance(known, str) else number}"

    return re.sub(r"^steps\[(\d+)\]", name, path)


def plan_to_document(plan: Plan) -> dict[str, Any]:
    """Plain data; what is default is left out, except the version."""
    document: dict[str, Any] = msgspec.to_builtins(plan, builtin_types=(bytes,))
    return {"plan": plan.plan, **document}


def plan_to_bytes(plan: Plan) -> bytes:
    """The canonical form.

    Raises:
        Malformed: it holds something that plain data cannot say.
    """
    return encode_value(plan_to_document(plan))


def plan_from_bytes(data: bytes) -> Plan:
    """Undo `plan_to_bytes`.

    Raises:
        Malformed, InvalidInput: see `decode_value` and `plan_from_document`.
    """
    return plan_from_document(decode_value(data, limit=PLAN_MAX, depth=2 * DEPTH_MAX))


def plan_digest(plan: Plan) -> bytes:
    """SHA-256 of the canonical form (32 bytes)."""
    return sha256(plan_to_bytes(plan))


def plan_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a plan. References and graphs are beyond it: `check_plan`."""
    schema = msgspec.json.schema(Plan)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Kindmesh plan", **schema}


def check_plain(document: Any) -> None:
    """Refuse what is not plain data of bounded size.

    Raises:
        InvalidInput: says what.
    """
    try:
        decode_value(encode_value(document), limit=PLAN_MAX, depth=2 * DEPTH_MAX)
    except Malformed as error:
        hint = f"At most {PLAN_MAX} bytes, {2 * DEPTH_MAX} levels, names that are text."
        raise InvalidInput(f"this is not a plan: {error.message}", field="plan", hint=hint) from error


__all__ = [
    "ASKER",
    "KINDS",
    "PLAN_VERSION",
    "Ask",
    "Event",
    "ForEach",
    "Input",
    "Memo",
    "Pause",
    "Plan",
    "Retry",
    "Step",
    "Sub",
    "Undo",
    "While",
    "check_plain",
    "plan_digest",
    "plan_from_bytes",
    "plan_from_document",
    "plan_schema",
    "plan_to_bytes",
    "plan_to_document",
    "single_step",
]
