"""`home` on a node: checks that a call comes through the operation that its risk asks for, hands it to the provider,
and tells the mesh what changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from kindmesh.capabilities.base import Artifact, Capability, Context, Services, operation
from kindmesh.capabilities.home.home_store import HomeStore
from kindmesh.capabilities.home.inventory import (
    INVENTORY_MAX,
    entity_row,
    home_from_document,
    home_from_text,
    home_to_document,
)
from kindmesh.capabilities.home.manifest import CHANGED, MANIFEST, TIMER_FINISHED
from kindmesh.capabilities.home.model import Change, Entity, Home
from kindmesh.capabilities.home.naming import names_of
from kindmesh.capabilities.home.provider import Happened, Provider, SimulatedHome
from kindmesh.capabilities.home.risk import ACCESS, CONTROL, NOTE, operation_for
from kindmesh.capabilities.home.timers import ends_ms
from kindmesh.protocol.errors import AccessRefused, InvalidInput, KindmeshError
from kindmesh.protocol.limits import RESULT_MAX
from kindmesh.protocol.manifest import Manifest

__all__ = ["Changes", "Description", "HomeCapability", "Loaded", "Past", "States"]

log = logging.getLogger("kindmesh.capabilities.home")

EVENTS_MAX: Final = 200
"""Events of one call; what more changed is in the history."""
_RETRY_S: Final = 30.0


class Changes(msgspec.Struct, frozen=True):
    """The answer of what acts: `{entity, attribute, before, after}` each."""

    changes: list[dict[str, Any]]


class States(msgspec.Struct, frozen=True):
    """The answer of `home.get`."""

    entities: list[dict[str, Any]]
    at_ms: int


class Past(msgspec.Struct, frozen=True):
    """The answer of `home.history`."""

    changes: list[dict[str, Any]]


class Description(msgspec.Struct, frozen=True):
    """The answer of `home.describe`."""

    floors: list[dict[str, Any]]
    areas: list[dict[str, Any]]
    entities: int
    loaded_ms: int
    undoable: bool


class Loaded(msgspec.Struct, frozen=True):
    """The answer of `home.load`."""

    entities: int
    added: list[str]
    removed: list[str]
    changed: list[str]


def check_risk(home: Home, allowed: str, service: str, entities: Sequence[str]) -> None:
    """Refuse a call that belongs to another operation; `home.access` may also do what the other two do.

    Raises:
        InvalidInput: an entity does not have the service, or the call belongs elsewhere; the hint says where.
    """
    if allowed == ACCESS:
        return
    for name in entities:
        entity = home.entities.get(name)
        needed = operation_for(entity, service, home) if entity is not None else NOTE
        if entity is None and not (service == "timer.start" and name.startswith("timer.")):
            continue  # the call itself says best what is wrong with it
        if needed != allowed:
            what = entity.name if entity is not None else name
            raise InvalidInput(
                f"{service[:80]} on {what} goes through {needed}, not {allowed}",
                field="service",
                hint=f"Call {needed}.",
            )


class HomeCapability(Capability):
    """Serves the operations of `home` on the node's own loop, and lets time go by in it from the node's start."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._store: HomeStore | None = None
        self._provider: Provider | None = None
        self._clock: asyncio.Task[None] | None = None
        self._services = Services(Path())

    async def start(self, services: Services) -> None:
        """Open the home that is kept here."""
        self._services = services
        self._store = HomeStore.open(services.data_dir)
        try:
            simulated = SimulatedHome(self._store, services.now_ms, self._tell)
        except KindmeshError:
            self._store.store.close()
            raise
        self._provider = simulated
        services.named(names_of(simulated.home))
        self._clock = services.spawn(self._keep_time(simulated), "home:time")

    async def stop(self) -> None:
        """Let go of it."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.wait([self._clock])
        if self._store is not None:
            self._store.store.close()

    async def _keep_time(self, simulated: SimulatedHome) -> None:
        while True:
            try:
                await simulated.run()
            except KindmeshError as error:
                log.warning("the home cannot keep time for now: %s", error.message)
            await asyncio.sleep(_RETRY_S)

    def _home(self) -> Provider:
        if self._provider is None:
            raise InvalidInput("the home is not open")
        return self._provider

    async def _act(self, allowed: str, service: str, entities: list[str], data: Mapping[str, Any]) -> Changes:
        provider = self._home()
        check_risk(provider.home, allowed, service, entities)
        return Changes([_plain(one) for one in await provider.call(service, entities, data)])

    @operation("home.control")
    async def control(
        self,
        context: Context,
        service: str,
        entities: list[str],
        data: dict[str, Any] = {},  # noqa: B006 - read only
    ) -> Changes:
        """Switch what is not dangerous."""
        return await self._act(CONTROL, service, entities, data)

    @operation("home.access")
    async def access(
        self,
        context: Context,
        service: str,
        entities: list[str],
        data: dict[str, Any] = {},  # noqa: B006 - read only
    ) -> Changes:
        """Open, unlock, disarm."""
        return await self._act(ACCESS, service, entities, data)

    @operation("home.note")
    async def note(
        self,
        context: Context,
        service: str,
        entities: list[str],
        data: dict[str, Any] = {},  # noqa: B006 - read only
    ) -> Changes:
        """Write down."""
        return await self._act(NOTE, service, entities, data)

    @operation("home.tell")
    async def tell(self, context: Context, states: list[dict[str, Any]]) -> Changes:
        """Take over what sensors tell."""
        return Changes([_plain(one) for one in await self._home().tell(states)])

    @operation("home.get")
    async def get(self, context: Context, entities: list[str] | None = None) -> States:
        """Tell states."""
        home = self._home().home
        names = list(dict.fromkeys(home.entities if entities is None else entities))
        unknown = [name for name in names if name not in home.entities]
        if unknown:
            raise InvalidInput(f"there is no {unknown[0][:80]!r} in this home", field="entities")
        found = States([entity_row(home.entities[name]) for name in names], self._services.now_ms())
        if len(home.entities) > 500 and len(msgspec.msgpack.encode(found)) > RESULT_MAX - 1_024:
            raise InvalidInput("that is too much for one answer", field="entities", hint="Ask for fewer.")
        return found

    @operation("home.history")
    async def history(self, context: Context, entity: str = "", since_ms: int = 0, count: int = 50) -> Past:
        """Tell what changed."""
        self._home()
        found: list[dict[str, Any]] = []
        size = 0
        for row in self._opened().history(entity, since_ms, count):
            size += len(msgspec.json.encode(row))
            if size > RESULT_MAX // 2:
                break
            found.append(row)
        return Past(found)

    @operation("home.describe")
    async def describe(self, context: Context) -> Description:
        """Tell floors and areas."""
        home, store = self._home().home, self._opened()
        document = home_to_document(Home(home.floors, home.areas))
        return Description(
            document["floors"],
            document["areas"],
            len(home.entities),
            store.kept().loaded_ms,
            store.before() is not None,
        )

    @operation("home.load")
    async def load(
        self,
        context: Context,
        inventory: dict[str, Any] | None = None,
        file: Artifact | None = None,
        undo: bool = False,
        fresh: bool = False,
    ) -> Loaded:
        """Take over an inventory."""
        provider = self._home()
        if (inventory is not None) + (file is not None) + undo != 1:
            raise InvalidInput(
                "give an inventory, or a file, or undo", field="inventory", hint="kindmesh home load FILE"
            )
        if undo:
            found = await provider.undo()
        else:
            if file is not None:
                wanted = await _read(await context.file(file))
            else:
                wanted = home_from_document(inventory)
            context.check()
            found = await provider.load(wanted, fresh=fresh)
        self._services.named(names_of(provider.home))
        return Loaded(len(provider.home.entities), *(list(names) for names in found))

    def _opened(self) -> HomeStore:
        if self._store is None:
            raise InvalidInput("the home is not open")
        return self._store

    def _tell(self, happened: Happened) -> None:
        """Events of what changed. Who may not speak (the owner took the grant away) changes things silently."""
        if happened.before.entities.keys() != happened.after.entities.keys():
            self._services.named(names_of(happened.after))
        tell = self._services.tell
        if tell is None:
            return
        try:
            for topic, values in events_of(happened):
                tell(topic, values, None)
        except AccessRefused as error:
            log.warning("nobody was told what changed in the home: %s", error.message)


def events_of(happened: Happened) -> list[tuple[str, dict[str, Any]]]:
    """Topic and values of what others may want to know: timers that ran out first."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name in happened.finished:
        before = happened.before.entities[name]
        late_ms = max(0, happened.at_ms - (ends_ms(before) or happened.at_ms))
        values = {"entity": name, "name": before.name, "duration": _duration(before), "late_ms": late_ms}
        found.append((TIMER_FINISHED, values))
    changed: dict[str, list[str]] = {}
    for change in happened.changes:
        changed.setdefault(change.entity, []).append(change.attribute)
    for name, attributes in list(changed.items())[:EVENTS_MAX]:
        after, old = happened.after.entities[name], happened.before.entities.get(name)
        values = {
            "entity": name,
            "name": after.name,
            "area": after.area,
            "state": after.state,
            "before": old.state if old is not None else "unknown",
            "attributes": [one for one in attributes if one != "state"][:200],
            "why": happened.why,
        }
        found.append((CHANGED, values))
    return found


def _duration(timer: Entity) -> str:
    return str(timer.attributes.get("duration", ""))[:40]


def _plain(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(change)
    return found


async def _read(path: Path) -> Home:
    def read() -> Home:
        if path.stat().st_size > 4 * INVENTORY_MAX:
            raise InvalidInput("the inventory is too large", field="file")
        try:
            return home_from_text(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInput("the inventory is not text", field="file") from error

    return await asyncio.to_thread(read)
