"""The operations of the devices present, as tools that a language model can call, and four of our own.

A tool is what the manifest says of an operation: its name (a dot is two underscores, since providers allow no dots),
its title, its effects in words, and the JSON Schema of its inputs. Left out are operations that stream, that need a
file, those of language models themselves, and those that say what there is and how it is (`NOT_A_MODELS`). What a
model calls is checked by the manifest, exactly as a device would check it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import EFFECT_WORDS, Effect, Manifest, Operation, check_fields, to_json_schema

OPERATIONS_MAX: Final = 96
"""Operations that are shown to a model; the first ones, in the order of the manifests."""
NOT_A_MODELS: Final = frozenset({"home.load", "home.tell"})
"""What a home has, and what its sensors say, is nothing that a model can know better than the home."""
FINISH: Final = "finish"
ASK: Final = "ask_person"
GIVE_UP: Final = "give_up"
WAIT: Final = "wait"
WAIT_MAX_S: Final = 31 * 24 * 3_600
_LOOK: Final = "Looks at once; you get the result."
_DO: Final = "Becomes a step of the plan, to be reviewed and done afterwards; it is not done now."


def _own(name: str, description: str, **fields: tuple[str, str]) -> dict[str, Any]:
    properties = {field: {"type": kind, "description": title} for field, (kind, title) in fields.items()}
    parameters = {
        "type": "object", "properties": properties, "required": list(fields), "additionalProperties": False,
    }  # fmt: skip
    return {"name": name, "description": description, "parameters": parameters}


OWN: Final = (
    _own(
        FINISH,
        "The plan is complete. Call it last, once.",
        say=("string", "What was asked for, in a sentence"),
    ),
    _own(ASK, "Only when it cannot be done without knowing more.", question=("string", "One short question")),
    _own(GIVE_UP, "When the devices here cannot do it.", why=("string", "Why, in one short sentence")),
    _own(WAIT, "A pause before the steps that follow.", seconds=("number", "How long, in seconds")),
)


class Toolbox:
    """See the module. `present`: full names of operations that may be used; empty: all of the manifests."""

    def __init__(self, manifests: Iterable[Manifest], present: frozenset[str] = frozenset()) -> None:
        usable = [
            operation
            for manifest in manifests
            for operation in manifest.operations
            if manifest.capability != "llm"
            and operation.name not in NOT_A_MODELS
            and _is_usable(operation)
            and (not present or operation.name in present)
        ]
        self._operations = {tool_name(operation.name): operation for operation in usable[:OPERATIONS_MAX]}

    def __len__(self) -> int:
        return len(self._operations)

    def described(self, *, looks: bool) -> list[dict[str, Any]]:
        """All tools, as `llm.chat` takes them; `looks`: what only reads is done while planning."""
        return [_described(name, operation, looks) for name, operation in self._operations.items()] + list(
            OWN
        )

    def operation(self, tool: str) -> Operation | None:
        """What the tool stands for, or None."""
        return self._operations.get(tool)


def tool_name(operation: str) -> str:
    """`home__control` for `home.control`."""
    return operation.replace(".", "__")


def only_reads(operation: Operation) -> bool:
    """Whether it may be done while planning: it reads what it is given and nothing else."""
    return operation.effects == Effect.READ


def checked(operation: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as the manifest takes them, without what it would fill in itself.

    Raises:
        InvalidInput: names the field.
    """
    whole = check_fields(operation.input, arguments)
    return {name: value for name, value in whole.items() if name in arguments}


def own_arguments(tool: str, arguments: dict[str, Any]) -> Any:
    """The one argument of a tool of our own.

    Raises:
        InvalidInput: it is not there, or not what it should be.
    """
    field = next(iter(next(own for own in OWN if own["name"] == tool)["parameters"]["properties"]))
    value = arguments.get(field)
    if set(arguments) != {field}:
        raise InvalidInput(f"{tool} takes {field} and nothing else", field=field)
    if tool == WAIT:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= WAIT_MAX_S:
            raise InvalidInput("a pause has from 1 second to 31 days", field=field)
    elif not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{field} is a short text", field=field)
    return value


def _is_usable(operation: Operation) -> bool:
    files = [item for item in operation.input if item.required and item.type in ("artifact", "bytes")]
    return operation.stream is None and not files


def _described(name: str, operation: Operation, looks: bool) -> dict[str, Any]:
    effects = ", ".join(words for effect, words in EFFECT_WORDS.items() if operation.effects & effect)
    said = _LOOK if looks and only_reads(operation) else _DO
    return {
        "name": name,
        "description": f"{operation.title} ({effects}). {said}",
        "parameters": to_json_schema(operation.input),
    }


__all__ = [
    "ASK", "FINISH", "GIVE_UP", "NOT_A_MODELS", "OPERATIONS_MAX", "OWN", "WAIT", "Toolbox", "checked", "only_reads",
    "own_arguments", "tool_name",
]  # fmt: skip
