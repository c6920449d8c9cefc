"""What a capability can do, as static data.

A manifest lists operations with typed inputs and outputs (expressible as JSON Schema), their set of effects, the
classes of data they touch, limits, and whether doing one twice is the same as doing it once. It is read without
importing the capability's code, signed by the node that offers it (an *advert*), and is what Medulla judges by.
Rules: an operation's name is `capability.operation`; `check_input` accepts exactly what the schema says, fills
defaults, and names the field that is wrong; only read-only operations may be `session_call`; an operation with a
`stream` is only ever opened as a stream, never run as a job or a call.
"""

from __future__ import annotations

import enum
import math
import re
from typing import Any, Final, Literal

import msgspec

from kindmesh.protocol.bounds import Count, DurationMs, Effects, Line, Measure, Word
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.extensions import Ext, check_extensions
from kindmesh.protocol.stream_spec import StreamSpec, check_spec

DATA_CLASSES: Final = ("device", "home", "notes", "text", "image", "audio", "health", "location", "other")
"""What an operation's data can be about; what fits none of the words is `other`."""

NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Effect(enum.IntFlag):
    """What an operation does to the world. A set, as bits."""

    READ = 1
    SENSE = 2
    WRITE = 4
    NOTIFY = 8
    ACTUATE = 16
    MOVE = 32
    SPEND = 64
    EXECUTE = 128


HARMLESS: Final = Effect.READ | Effect.NOTIFY
"""All that is allowed when Medulla is not isolated, or a revocation list is stale."""

EFFECT_WORDS: Final[dict[Effect, str]] = {
    Effect.READ: "reads what it is given",
    Effect.SENSE: "captures or reads private data",
    Effect.WRITE: "changes stored data",
    Effect.NOTIFY: "makes a sound or shows a message",
    Effect.ACTUATE: "switches something in the home",
    Effect.MOVE: "moves a machine",
    Effect.SPEND: "spends money",
    Effect.EXECUTE: "runs a program",
}


# Plain integers: an operation on an IntFlag costs a microsecond, and this is asked for every job.
_EFFECT_BITS: Final = tuple((int(effect), effect.name.lower()) for effect in Effect if effect.name)


def effect_names(effects: int) -> list[str]:
    """`["read", "notify"]` for READ|NOTIFY, in the order of the bits."""
    bits = int(effects)
    return [name for bit, name in _EFFECT_BITS if bits & bit]


def parse_effects(names: list[str]) -> Effect:
    """Undo `effect_names`.

    Raises:
        InvalidInput: a word that is no effect.
    """
    effects = Effect(0)
    for name in names:
        try:
            effects |= Effect[name.upper()]
        except KeyError as error:
            known = ", ".join(effect_names(255))
            raise InvalidInput(f"{name!r} is no effect", field="effects", hint=f"One of: {known}.") from error
    return effects


FieldType = Literal["text", "integer", "number", "boolean", "artifact", "bytes", "list", "object"]


class Field(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """One named input or output.

    `minimum`/`maximum` bound numbers (inclusive) and the length of lists; `max_length` bounds text (characters) and
    bytes; `choices` are for text; `default` is the canonical MessagePack of the value used when the field is absent
    (empty: none), for fields that are not required.
    """

    name: Word
    type: FieldType
    title: Line = ""
    required: bool = True
    minimum: Measure | None = None
    maximum: Measure | None = None
    max_length: Count = 4096
    choices: tuple[Line, ...] = ()
    default: bytes = b""
    items: FieldType = "text"


class Limits(msgspec.Struct, array_like=True, frozen=True):
    """Bounds the node enforces: time per call, calls at once, bytes in and out."""

    timeout_ms: DurationMs = 30_000
    max_concurrent: Count = 4
    max_input_bytes: Count = 65_536
    max_output_bytes: Count = 262_144


class Operation(msgspec.Struct, array_like=True, frozen=True):
    """One callable; see the module's rules. `effects` is a bit set of `Effect`; `stream`: how it
    streams, if it does."""

    name: Word
    title: Line
    input: tuple[Field, ...]
    output: tuple[Field, ...]
    effects: Effects
    idempotent: bool
    data_classes: tuple[Word, ...] = ()
    limits: Limits = Limits()
    session_call: bool = False
    ext: Ext = {}
    stream: StreamSpec | None = None


class Manifest(msgspec.Struct, array_like=True, frozen=True):
    """A capability: `requires` names the extra (`pip install 'kindmesh[extra]'`) its code needs, or is empty."""

    capability: Word
    version: Word
    title: Line
    operations: tuple[Operation, ...]
    requires: Word = ""
    ext: Ext = {}

    def operation(self, name: str) -> Operation | None:
        """The operation with that full name, or None."""
        return next((op for op in self.operations if op.name == name), None)


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest that breaks the rules.

    Raises:
        Malformed: which operation or field, and why.
        UnknownCritical: a critical extension we do not know.
    """
    check_extensions(manifest.ext)
    if not NAME_PATTERN.fullmatch(manifest.capability):
        raise Malformed("a capability's name is lower case letters, digits and _", field="capability")
    seen: set[str] = set()
    for operation in manifest.operations:
        check_extensions(operation.ext)
        head, _, tail = operation.name.partition(".")
        if head != manifest.capability or not NAME_PATTERN.fullmatch(tail) or operation.name in seen:
            raise Malformed(
                f"{operation.name[:80]!r} is not a new operation of {manifest.capability}", field="name"
            )
        seen.add(operation.name)
        if not 0 < operation.effects < 256:
            raise Malformed(f"{operation.name} declares no known effect", field="effects")
        unknown = [name for name in operation.data_classes if name not in DATA_CLASSES]
        if unknown:
            raise Malformed(
                f"{operation.name} declares an unknown class of data: {unknown[0][:40]!r}",
                field="data_classes",
                hint=f"One of: {', '.join(DATA_CLASSES)}.",
            )
        if operation.session_call and operation.effects != Effect.READ:
            raise Malformed(
                f"{operation.name} is a session call but does more than read", field="session_call"
            )
        if operation.stream is not None:
            check_spec(operation.stream, operation.name)
            if operation.session_call:
                raise Malformed(f"{operation.name} streams, so it is no session call", field="session_call")
        for direction, fields in (("input", operation.input), ("output", operation.output)):
            names = [item.name for item in fields]
            if len(set(names)) != len(names) or not all(NAME_PATTERN.fullmatch(name) for name in names):
                raise Malformed(f"{operation.name} has a bad or doubled field name", field=direction)
            for item in fields:
                _check_field(operation.name, item)


def _check_field(operation: str, field: Field) -> None:
    where = f"{field.name} of {operation}"
    if field.choices and field.type != "text":
        raise Malformed(f"{where} has choices, which only text can have", field=field.name)
    low, high = field.minimum, field.maximum
    if low is not None and high is not None and low > high:
        raise Malformed(f"{where} has a minimum above its maximum", field=field.name)
    if not field.default:
        return
    if field.required:
        raise Malformed(f"{where} is required and so takes no default", field=field.name)
    try:
        _check_value(field, decode_value(field.default))
    except InvalidInput as error:
        raise Malformed(f"the default of {where} is not a value it takes", field=field.name) from error


_JSON_TYPES: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "list": {"type": "array"},
    "object": {"type": "object"},
    "artifact": {
        "type": "object",
        "properties": {
            "artifact": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "size_bytes": {"type": "integer", "minimum": 0},
            "media_type": {"type": "string"},
        },
        "required": ["artifact"],
    },
}


def to_json_schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    """The fields as a JSON Schema (2020-12) object that allows nothing else."""
    properties: dict[str, Any] = {}
    for field in fields:
        schema = dict(_JSON_TYPES[field.type])
        if field.title:
            schema["title"] = field.title
        if field.type in ("integer", "number"):
            schema |= {"minimum": field.minimum} if field.minimum is not None else {}
            schema |= {"maximum": field.maximum} if field.maximum is not None else {}
        elif field.type == "list":
            schema["items"] = _JSON_TYPES[field.items]
            schema |= {"minItems": int(field.minimum)} if field.minimum is not None else {}
            schema |= {"maxItems": int(field.maximum)} if field.maximum is not None else {}
        elif field.type == "text":
            schema["maxLength"] = field.max_length
        elif field.type == "bytes":
            schema["maxLength"] = -(-field.max_length // 3) * 4
        if field.choices:
            schema["enum"] = list(field.choices)
        if field.default:
            schema["default"] = decode_value(field.default)
        properties[field.name] = schema
    required = [field.name for field in fields if field.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "bytes": (bytes,),
    "list": (list,),
    "object": (dict,),
    "artifact": (dict,),
}
_TYPE_WORDS: Final[dict[str, str]] = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "bytes": "bytes",
    "list": "a list",
    "object": "an object",
    "artifact": "a file (an artifact)",
}
_ARTIFACT_ID: Final = re.compile(r"[0-9a-f]{64}")


def check_fields(fields: tuple[Field, ...], values: Any) -> dict[str, Any]:
    """`values` (a dict) checked against `fields`; absent optional fields with a default are filled in.

    Raises:
        InvalidInput: names the first field that is wrong, says what it should be.
    """
    if not isinstance(values, dict):
        raise InvalidInput("the arguments are not a set of named values", hint="Write key=value.")
    known = {field.name: field for field in fields}
    for name in values:
        if name not in known:
            hint = f"It takes: {', '.join(known) or 'nothing'}."
            raise InvalidInput(
                f"there is no value called {str(name)[:40]!r}", field=str(name)[:40], hint=hint
            )
    checked: dict[str, Any] = {}
    for field in fields:
        if field.name not in values:
            if field.required:
                title = f" ({field.title})" if field.title else ""
                raise InvalidInput(
                    f"{field.name}{title} is missing",
                    field=field.name,
                    hint=f"Add {field.name}=... ({_TYPE_WORDS[field.type]}).",
                )
            if field.default:
                checked[field.name] = decode_value(field.default)
            continue
        checked[field.name] = _check_value(field, values[field.name])
    return checked


def _wrong(field: Field, message: str, hint: str = "") -> InvalidInput:
    return InvalidInput(f"{field.name} {message}", field=field.name, hint=hint)


def _check_value(field: Field, value: Any) -> Any:
    _check_type(field, field.type, value)
    if field.type in ("integer", "number"):
        if field.minimum is not None and value < field.minimum:
            raise _wrong(field, f"is below {field.minimum:g}")
        if field.maximum is not None and value > field.maximum:
            raise _wrong(field, f"is above {field.maximum:g}")
    elif field.type in ("text", "bytes"):
        if len(value) > field.max_length:
            raise _wrong(field, f"is longer than {field.max_length}", "Send it in parts.")
        if field.choices and value not in field.choices:
            raise _wrong(field, f"is not one of {', '.join(field.choices)}")
    elif field.type == "list":
        if field.minimum is not None and len(value) < field.minimum:
            raise _wrong(field, f"has fewer than {field.minimum:g} items")
        if field.maximum is not None and len(value) > field.maximum:
            raise _wrong(field, f"has more than {field.maximum:g} items")
        for item in value:
            _check_type(field, field.items, item)
    return value


def _check_type(field: Field, wanted: str, value: Any) -> None:
    fits = isinstance(value, _PYTHON_TYPES[wanted])
    if isinstance(value, bool) and wanted != "boolean":
        fits = False
    if not fits:
        raise _wrong(field, f"should be {_TYPE_WORDS[wanted]}", f"Got {type(value).__name__}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(field, "is not a finite number")
    if wanted == "artifact":
        _check_artifact(field, value)


def _check_artifact(field: Field, value: dict[str, Any]) -> None:
    name, size, media = value.get("artifact"), value.get("size_bytes", 0), value.get("media_type", "")
    if not isinstance(name, str) or not _ARTIFACT_ID.fullmatch(name):
        raise _wrong(field, "does not name a file", "An artifact is 64 hexadecimal characters.")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0 or not isinstance(media, str):
        raise _wrong(field, "has a wrong size or media type", "The artifact alone is enough.")


def artifacts_in(fields: tuple[Field, ...], values: dict[str, Any]) -> list[str]:
    """Ids (64 hex characters) of the artifacts that `values` (checked) refer to, each once, in field order."""
    found: dict[str, None] = {}
    for field in fields:
        if field.name not in values:
            continue
        if field.type == "artifact":
            found[values[field.name]["artifact"]] = None
        elif field.type == "list" and field.items == "artifact":
            found.update(dict.fromkeys(part["artifact"] for part in values[field.name]))
    return list(found)


__all__ = [
    "DATA_CLASSES",
    "EFFECT_WORDS",
    "HARMLESS",
    "Effect",
    "Field",
    "FieldType",
    "Limits",
    "Manifest",
    "Operation",
    "artifacts_in",
    "check_fields",
    "check_manifest",
    "effect_names",
    "parse_effects",
    "to_json_schema",
]
