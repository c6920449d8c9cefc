"""What tools there are, from a file, for reviewing plans without a mesh: our manifests, or those of other systems.

Taken are JSON or JSON lines: what `kindmesh capabilities --json` prints; a list or a map of manifests
(`{"capability", "operations": [...]}`); a list or a map of tools (`{"name", "description", "effects", "parameters":
JSON Schema}`, also wrapped in `function`, also with `input_schema` or `inputSchema`). A whole file may be a map with
`manifests`, and beside it `address_book` (name -> address or addresses), `names` (id -> name or names) and `home` (an
inventory). A tool without effects is known, but whatever calls it is denied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.manifest import DATA_CLASSES, Field, FieldType, Operation, parse_effects

FILE_MAX: Final = 16 * 1024 * 1024
_TYPES: Final[dict[str, FieldType]] = {
    "string": "text", "text": "text", "integer": "integer", "number": "number", "boolean": "boolean", "array": "list",
    "list": "list", "object": "object", "bytes": "bytes", "artifact": "artifact",
}  # fmt: skip
_SCHEMAS: Final = ("parameters", "input_schema", "inputSchema", "args_schema", "schema", "input")


class Tools(msgspec.Struct, frozen=True):
    """Operations by name, tools that have no capability by their own name, and what people call whom and what."""

    operations: dict[str, Operation]
    loose: dict[str, Operation] = {}
    address_book: dict[str, tuple[str, ...]] = {}
    names: dict[str, tuple[str, ...]] = {}

    def find(self, name: str) -> Operation | None:
        """The operation that a plan means: by its name, or a loose tool by the part after the dot."""
        found = self.operations.get(name)
        return found if found is not None else self.loose.get(name.partition(".")[2])


def read_tools(path: Path) -> Tools:
    """Read `path`.

    Raises:
        InvalidInput: it is not there, not JSON, or something in it is no manifest.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read", field="manifests") from error
    if len(data) > FILE_MAX:
        raise InvalidInput(f"{path} is more than {FILE_MAX} bytes", field="manifests")
    return tools_from_document(_parsed(data, path))


def _parsed(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in data.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path} is neither JSON nor JSON lines: {str(error)[:120]}",
            field="manifests",
            hint="kindmesh capabilities --json prints the form.",
        ) from error


def tools_from_document(document: Any) -> Tools:
    """The tools that plain data describes.

    Raises:
        InvalidInput: names what is no manifest.
    """
    book: dict[str, tuple[str, ...]] = {}
    names: dict[str, tuple[str, ...]] = {}
    if isinstance(document, dict) and isinstance(
        document.get("manifests", document.get("tools")), (list, dict)
    ):
        book = _listed(document.get("address_book", {}), "address_book")
        names = _listed(document.get("names", {}), "names")
        names |= _home_names(document.get("home"))
        document = document.get("manifests", document.get("tools"))
    operations: dict[str, Operation] = {}
    loose: dict[str, Operation] = {}
    for operation in _operations(document):
        place = operations if "." in operation.name else loose
        known = place.get(operation.name)
        # Of several devices the worst counts.
        effects = operation.effects | (known.effects if known is not None else 0)
        place[operation.name] = msgspec.structs.replace(operation, effects=effects)
    return Tools(operations, loose, book, names)


def _listed(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is a map of names", field=where)
    found = {}
    for name, given in value.items():
        many = [given] if isinstance(given, str) else given
        if not isinstance(many, list) or not all(isinstance(one, str) for one in many):
            raise InvalidInput(f"{where} of {name[:40]} is a text or a list of texts", field=where)
        found[str(name)] = tuple(many)
    return found


def _home_names(home: Any) -> dict[str, tuple[str, ...]]:
    """What people call each entity of an inventory: its names, with and without the room it is in."""
    if not isinstance(home, dict):
        return {}
    areas = {one.get("id"): one.get("name", "") for one in home.get("areas", []) if isinstance(one, dict)}
    found = {}
    for one in home.get("entities", []):
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            continue
        called = [
            name for name in (one.get("name"), *(one.get("aliases") or ())) if isinstance(name, str) and name
        ]
        area = areas.get(one.get("area"), "")
        if area:
            called += [f"{area} {one['id'].partition('.')[0].replace('_', ' ')}"]
        found[one["id"]] = tuple(called)
    return found


def _operations(document: Any, name: str = "") -> Iterator[Operation]:
    if isinstance(document, list):
        for one in document:
            yield from _operations(one)
    elif not isinstance(document, dict):
        raise InvalidInput(
            f"{str(document)[:40]!r} is no manifest",
            field="manifests",
            hint="A map with operations, or a tool with effects.",
        )
    elif isinstance(document.get("function"), dict):
        yield from _operations(
            {
                **document["function"],
                **{key: document[key] for key in ("effects", "data_classes") if key in document},
            }
        )
    elif "operations" in document:
        inner = document["operations"]
        if isinstance(inner, dict):
            inner = [{"name": key, **value} for key, value in inner.items() if isinstance(value, dict)]
        if not isinstance(inner, list):
            raise InvalidInput("operations is a list", field="operations")
        head = document.get("capability") or name
        for one in inner:
            yield _tool(one, str(head or ""))
    elif _is_tool(document):
        yield _tool({"name": name, **document} if name else document, "")
    else:
        for key, value in document.items():
            if not isinstance(value, (dict, list)):
                raise InvalidInput(
                    f"{str(key)[:40]!r} is no manifest",
                    field="manifests",
                    hint="A map with operations, or a tool with effects.",
                )
            yield from _operations(value, str(key))


def _is_tool(document: Mapping[str, Any]) -> bool:
    return (
        isinstance(document.get("name"), str)
        or "effects" in document
        or any(isinstance(document.get(key), dict) and "properties" in document[key] for key in _SCHEMAS)
    )


def _tool(document: Any, capability: str) -> Operation:
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise InvalidInput("an operation has a name", field="name")
    name = document["name"]
    if capability and "." not in name:
        name = f"{capability}.{name}"
    try:
        fields = tuple(_fields(document))
        classes = tuple(
            word if word in DATA_CLASSES else "other" for word in document.get("data_classes") or ()
        )
        title = str(document.get("title") or document.get("description") or "").partition("\n")[0][:200]
        return Operation(
            name=name, title=title, input=fields, output=(), effects=_effects(document, name),
            idempotent=bool(document.get("idempotent", False)), data_classes=classes,
        )  # fmt: skip
    except (TypeError, ValueError, AttributeError, Malformed) as error:
        raise InvalidInput(
            f"{name[:60]} is no operation that can be read: {str(error)[:100]}", field=name[:60]
        ) from error


def _effects(document: Mapping[str, Any], name: str) -> int:
    given = document.get("effects", [])
    if isinstance(given, int) and not isinstance(given, bool):
        return given if 0 <= given < 256 else 0
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, list):
        raise InvalidInput(f"effects of {name[:60]} is a list of words", field="effects")
    return int(parse_effects([str(word) for word in words]))


def _fields(document: Mapping[str, Any]) -> Iterator[Field]:
    given = next((document[key] for key in _SCHEMAS if document.get(key)), None)
    if isinstance(given, list):
        for one in given:
            if isinstance(one, str):
                yield Field(one, "text", required=False)
            else:
                yield _field(str(one["name"]), one, bool(one.get("required", True)))
    elif isinstance(given, dict):
        properties = given.get("properties", given if "type" not in given else {})
        required = given.get("required") if isinstance(given.get("required"), list) else []
        for name, one in properties.items():
            yield _field(str(name), one if isinstance(one, dict) else {}, name in (required or ()))


def _field(name: str, one: Mapping[str, Any], required: bool) -> Field:
    said = one.get("type", "text")
    kind = _TYPES.get(
        next((word for word in said if word != "null"), "text") if isinstance(said, list) else str(said),
        "text",
    )
    choices = one.get("choices") or one.get("enum") or ()
    default = one.get("default")
    return Field(
        name=name, type=kind, title=str(one.get("title") or one.get("description") or "")[:200],
        required=required and default is None, choices=tuple(str(choice) for choice in choices),
        default=encode_value(default) if default is not None and not isinstance(default, bytes) else b"",
    )  # fmt: skip


__all__ = ["FILE_MAX", "Tools", "read_tools", "tools_from_document"]
