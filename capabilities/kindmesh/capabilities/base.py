"""What a capability is: typed operations, and the context each call runs in.

A capability has a *manifest* (static data, in its own module without heavy imports) and one or more *parts*: classes
derived from `Capability` whose methods, marked with `@operation`, do the work. A handler's parameters are exactly the
manifest's inputs, its return value (a struct) exactly the outputs; `check_signatures` compares them, and the
conformance suite runs it on every capability. Rules:
- a handler never sees an argument that the manifest does not allow: `invoke` checks first, and checks the result too;
- files come and go as artifacts: a handler reads a plain file in its private work folder and hands back plain files,
  which become artifacts only when the whole operation succeeded, so a cancelled call leaves nothing behind;
- a handler that takes long calls `context.progress(...)` often; that is also where a cancelled call ends;
- the handler of an operation that streams reads its input from `context.stream` and writes its output there; both wait
  for the other end, so it holds no more than one piece at a time.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeVar

import msgspec

from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.errors import (
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    UnknownOperation,
)
from kindmesh.protocol.manifest import Field, Manifest, Operation, check_fields
from kindmesh.protocol.messages.events import Labels

__all__ = [
    "Artifact",
    "Artifacts",
    "Capability",
    "Context",
    "Duplex",
    "Named",
    "Piece",
    "Progress",
    "Services",
    "Tell",
    "check_signatures",
    "checked_result",
    "handlers",
    "invoke",
    "operation",
]

Progress = Callable[[float | None, str], None]
"""Called with a fraction 0..1 (None: unknown) and a short text for a person."""

Tell = Callable[[str, dict[str, Any], Labels | None], None]
"""Takes a topic, its values, and labels where they are not the topic's own."""

Named = Callable[[Mapping[str, Sequence[str]]], None]
"""Takes what people call each thing that a capability works on, by the thing's id."""

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]

Handler = Callable[..., Awaitable[msgspec.Struct]]
F = TypeVar("F", bound=Handler)

_MARK: Final = "__kindmesh_operation__"


class Artifact(msgspec.Struct, frozen=True):
    """A reference to bytes too large for a message: `artifact` is their SHA-256 as 64 hex characters."""

    artifact: str
    size_bytes: int = 0
    media_type: str = ""


class Artifacts(Protocol):
    """How a call reaches artifacts; the node implements it over its store, a worker process over its folder."""

    async def open(self, artifact_id: str, folder: Path) -> Path:
        """A plain file with the artifact's bytes, beneath `folder`; it lives as long as the call.

        Raises:
            ArtifactMissing, ArtifactDamaged.
        """
        ...

    async def put_file(self, path: Path, media_type: str) -> str:
        """Take over the bytes of `path`; returns the artifact's id (64 hex characters).

        Raises:
            ArtifactTooLarge, QuotaExceeded, DiskFull.
        """
        ...


class Piece(msgspec.Struct, frozen=True):
    """Some bytes of a stream; `last` ends an item (see `protocol.stream_spec`)."""

    data: bytes
    last: bool = True


class Duplex(Protocol):
    """The stream of a call, as its handler sees it."""

    async def read(self) -> Piece | None:
        """The next piece of input, or None when there is no more; waits.

        Raises:
            KindmeshError: the stream has ended.
        """
        ...

    async def write(self, data: bytes, *, last: bool = True) -> None:
        """Send output; waits until there is room.

        Raises:
            KindmeshError: the stream has ended.
        """
        ...


@dataclass(slots=True)
class Context:
    """One call: `deadline` in seconds on the monotonic clock; `workdir` is private to the call and empty at first;
    `duplex` where the operation streams."""

    job_id: bytes
    deadline: float
    workdir: Path
    data_dir: Path
    artifacts: Artifacts
    report: Progress
    cancelled: Callable[[], bool] = lambda: False
    monotonic: Callable[[], float] = time.monotonic
    tell: Tell | None = None
    duplex: Duplex | None = None
    _last: float = field(default=0.0, init=False)

    @property
    def stream(self) -> Duplex:
        """The call's stream.

        Raises:
            InternalError: this operation does not stream.
        """
        if self.duplex is None:
            raise InternalError("this operation was not called as a stream")
        return self.duplex

    def progress(self, fraction: float | None, text: str = "") -> None:
        """Tell how far it is (at most ten times a second get through), and stop here when nobody waits any more.

        Raises:
            Cancelled: the caller gave up.
            DeadlineExceeded: the time allowed is over.
        """
        self.check()
        now = self.monotonic()
        if now - self._last >= 0.1 or fraction == 1.0:
            self._last = now
            self.report(None if fraction is None else min(1.0, max(0.0, fraction)), text)

    def publish(self, topic: str, values: dict[str, Any], *, labels: Labels | None = None) -> None:
        """Tell the mesh what happened: a topic that the manifest declares, with the values that it promises there.

        Raises:
            InvalidInput: the topic or a value is not what the manifest says.
            AccessRefused: the topic is not this capability's, or the labels are wider than the topic's.
        """
        if self.tell is None:
            raise InternalError("events are not heard here")
        self.tell(topic, values, labels)

    def check(self) -> None:
        """Raise `Cancelled` or `DeadlineExceeded` where that is so."""
        if self.cancelled():
            raise Cancelled()
        if self.remaining_ms() <= 0:
            raise DeadlineExceeded()

    def remaining_ms(self) -> int:
        """Milliseconds left; 0 when the deadline has passed."""
        return max(0, int((self.deadline - self.monotonic()) * 1000))

    async def file(self, artifact: Artifact) -> Path:
        """The artifact as a plain file in `workdir`."""
        return await self.artifacts.open(artifact.artifact, self.workdir)

    async def keep(self, path: Path, media_type: str) -> Artifact:
        """Hand over a file of `workdir` as part of the result."""
        size = os.stat(path).st_size
        return Artifact(await self.artifacts.put_file(path, media_type), size, media_type)


def _unnamed(things: Mapping[str, Sequence[str]]) -> None:
    """Nobody is told what things are called."""


def _nowhere(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    work.close()
    raise InternalError(f"{name} cannot go on between calls here")


@dataclass(frozen=True, slots=True)
class Services:
    """What a part is given when it starts: the folder where it may keep data of its own, and the one in which a person
    writes its settings (None: there is none); on the node's own loop also the time (UTC, ms), where to tell events
    outside of a call (None: nobody hears), `named(things)` to say, anew whenever that changed, what people call the
    things that it works on, and `spawn(work, name)` for work that goes on between calls: the part cancels it when it
    stops, and if it fails by itself the node ends with it."""

    data_dir: Path
    config_dir: Path | None = None
    now_ms: Callable[[], int] = SystemClock().now_ms
    tell: Tell | None = None
    named: Named = _unnamed
    spawn: Spawn = _nowhere


class Capability:
    """Base of all parts. Subclasses set `manifest` and mark their handlers with `@operation`."""

    manifest: ClassVar[Manifest]
    operation_handlers: ClassVar[dict[str, Handler]] = {}
    operations: ClassVar[dict[str, Operation]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        methods = inspect.getmembers(cls, inspect.isfunction)
        cls.operation_handlers = {
            getattr(method, _MARK): method for _, method in methods if hasattr(method, _MARK)
        }
        if hasattr(cls, "manifest"):
            cls.operations = {described.name: described for described in cls.manifest.operations}

    async def start(self, services: Services) -> None:
        """Get ready; called once, before the first call. Loading a model belongs here."""

    async def stop(self) -> None:
        """Let go of everything; called once, after the last call."""


def operation(name: str) -> Callable[[F], F]:
    """Mark a method as the handler of the operation `name` (`capability.operation`)."""

    def mark(method: F) -> F:
        setattr(method, _MARK, name)
        return method

    return mark


def handlers(cls: type[Capability]) -> dict[str, Handler]:
    """Operation name -> method, for every marked method of `cls`."""
    return cls.operation_handlers


async def invoke(part: Capability, name: str, context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    """Check `arguments`, run the handler, check and return its result as plain data.

    Raises:
        InvalidInput: an argument is not what the manifest says, named by its field.
        UnknownOperation: this part does not have it.
        InternalError: the handler's result is not what the manifest promises.
        KindmeshError: whatever the handler raises.
    """
    described_as = part.operations.get(name)
    method = part.operation_handlers.get(name)
    if described_as is None or method is None:
        raise UnknownOperation(f"{name[:64]!r} is not served here", field="operation")
    checked = check_fields(described_as.input, arguments)
    values = {
        item.name: _native(item, checked[item.name]) for item in described_as.input if item.name in checked
    }
    context.check()
    result = await method(part, context, **values)
    return checked_result(described_as, msgspec.to_builtins(result, builtin_types=(bytes,)))


def checked_result(described_as: Operation, result: Any) -> dict[str, Any]:
    """`result` if it is what the manifest promises.

    Raises:
        InternalError: it is not.
    """
    try:
        return check_fields(described_as.output, result)
    except InvalidInput as error:
        raise InternalError(
            f"{described_as.name} answered something else than it promises: {error.message}"
        ) from error


def _native(item: Field, value: Any) -> Any:
    if item.type == "artifact":
        return _artifact(item.name, value)
    if item.type == "number":
        return float(value)
    if item.type == "list" and item.items == "artifact":
        return [_artifact(item.name, part) for part in value]
    return value


def _artifact(name: str, value: Any) -> Artifact:
    try:
        return msgspec.convert(value, Artifact)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"{name} is not a proper reference to a file", field=name, hint=str(error)[:120]
        ) from error


_NATIVE: Final[dict[str, Any]] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "bytes": bytes,
    "list": list,
    "object": dict,
    "artifact": Artifact,
}


def check_signatures(cls: type[Capability], operations: typing.Collection[str]) -> list[str]:
    """Differences between the handlers of `cls` and its manifest, in plain words; empty when they fit.

    `operations` are the names that this class must serve.
    """
    wrong: list[str] = []
    found = handlers(cls)
    if set(found) != set(operations):
        wrong.append(f"{cls.__name__} serves {sorted(found)}, not {sorted(operations)}")
    for name, method in found.items():
        entry = cls.manifest.operation(name)
        if entry is None:
            wrong.append(f"{name} is not in the manifest")
            continue
        if not asyncio.iscoroutinefunction(method):
            wrong.append(f"{name} is not an async method")
        wrong += [f"{name}: {difference}" for difference in _input_differences(entry, method)]
        wrong += [f"{name}: {difference}" for difference in _output_differences(entry, method)]
    return wrong


def _input_differences(entry: Operation, method: Handler) -> list[str]:
    hints = typing.get_type_hints(method)
    parameters = list(inspect.signature(method).parameters.values())
    if len(parameters) < 2 or hints.get(parameters[1].name) is not Context:
        return ["the first parameter is not the Context"]
    given = {parameter.name: parameter for parameter in parameters[2:]}
    wanted = {item.name: item for item in entry.input}
    if list(given) != list(wanted):
        return [f"takes {list(given)} where the manifest says {list(wanted)}"]
    wrong: list[str] = []
    for name, item in wanted.items():
        default = given[name].default
        optional = not item.required and not item.default
        if not _fits(item, hints.get(name), optional=optional):
            wrong.append(f"{name} is {hints.get(name)} where the manifest says {item.type}")
        expected: Any = inspect.Parameter.empty
        if not item.required:
            expected = msgspec.msgpack.decode(item.default) if item.default else None
        if default != expected:
            wrong.append(f"{name} defaults to {default!r}, in the manifest to {expected!r}")
    return wrong


def _output_differences(entry: Operation, method: Handler) -> list[str]:
    answer = typing.get_type_hints(method).get("return")
    if not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        return ["the answer is not a struct"]
    fields = {item.name: item.type for item in msgspec.structs.fields(answer)}
    if list(fields) != [item.name for item in entry.output]:
        return [f"answers {list(fields)} where the manifest says {[item.name for item in entry.output]}"]
    return [
        f"answers {item.name} as {fields[item.name]} where the manifest says {item.type}"
        for item in entry.output
        if not _fits(item, fields[item.name], optional=not item.required)
    ]


def _fits(item: Field, hint: Any, *, optional: bool) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        if not optional or len(members) != 1:
            return False
        hint = members[0]
    elif optional:
        return False
    return (typing.get_origin(hint) or hint) is _NATIVE[item.type]
