"""Where a home's states come from and its services go: one interface, so that bridges to real devices plug in.

`SimulatedHome` is the provider there is: its devices exist on this device's disk only, always answer, and do what
`services.apply` says; its sensors say what somebody tells (`telling`). A provider that speaks to real ones does the
same with what they tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kindmesh.capabilities.home.home_clock import advance, next_ms
from kindmesh.capabilities.home.home_store import HomeStore
from kindmesh.capabilities.home.inventory import entity_row
from kindmesh.capabilities.home.merging import Difference, difference, merged
from kindmesh.capabilities.home.model import Change, Home
from kindmesh.capabilities.home.services import apply, differences
from kindmesh.capabilities.home.telling import TOLD, tell
from kindmesh.protocol.errors import InvalidInput

ROW_MAX: Final = 131_072
"""Bytes of one entity with all that is written in it."""


class Happened(NamedTuple):
    """What changed from `before` to `after`, why, and which timers ran out."""

    before: Home
    after: Home
    changes: tuple[Change, ...]
    why: str
    at_ms: int
    finished: tuple[str, ...] = ()


Watcher = Callable[[Happened], None]


class Provider(Protocol):
    """See the module. Each writing method answers when what it did is safe on disk."""

    @property
    def home(self) -> Home:
        """The home now."""

    async def call(
        self, service: str, entities: Sequence[str], data: Mapping[str, Any]
    ) -> tuple[Change, ...]:
        """Call a service; what changed.

        Raises:
            InvalidInput: it cannot be done, and nothing was.
            DiskFull, StoreError.
        """

    async def tell(self, told: Sequence[Any]) -> tuple[Change, ...]:
        """Take over what sensors tell, `{entity, state, attributes}` each; what changed.

        Raises:
            InvalidInput: something of it cannot be, and nothing was taken over.
            DiskFull, StoreError.
        """

    async def load(self, inventory: Home, *, fresh: bool) -> Difference:
        """Take over an inventory. Raises DiskFull, StoreError."""

    async def undo(self) -> Difference:
        """Go back to the home before the last load.

        Raises:
            InvalidInput: there is none. DiskFull, StoreError.
        """


class SimulatedHome:
    """See the module. `now_ms` is UTC; `watch` is told of what happened, once it is on disk."""

    def __init__(self, store: HomeStore, now_ms: Callable[[], int], watch: Watcher) -> None:
        """Raises StoreDamaged: the home cannot be read."""
        self._store, self._now_ms, self._watch = store, now_ms, watch
        self._home = store.home()
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()

    @property
    def home(self) -> Home:
        """See `Provider`."""
        return self._home

    async def call(
        self, service: str, entities: Sequence[str], data: Mapping[str, Any]
    ) -> tuple[Change, ...]:
        """See `Provider`."""
        async with self._turn:
            now_ms, before = self._now_ms(), self._home
            after, changes = apply(before, service, entities, data, now_ms)
            if changes:
                _check_sizes(before, after)
                await self._become(Happened(before, after, changes, service, now_ms))
            return changes

    async def tell(self, told: Sequence[Any]) -> tuple[Change, ...]:
        """See `Provider`."""
        async with self._turn:
            now_ms, before = self._now_ms(), self._home
            after = tell(before, told, now_ms)
            changes = differences(before, after)
            _check_sizes(before, after)
            await self._become(Happened(before, after, changes, TOLD, now_ms))
            return changes

    async def load(self, inventory: Home, *, fresh: bool) -> Difference:
        """See `Provider`."""
        async with self._turn:
            now_ms, file = self._now_ms(), self._store.kept().file
            home = merged(self._home, file, inventory, now_ms, fresh=fresh)
            return await self._replace(inventory, home, (file, self._home), now_ms)

    async def undo(self) -> Difference:
        """See `Provider`."""
        async with self._turn:
            earlier = self._store.before()
            if earlier is None:
                raise InvalidInput("there is no inventory before this one", field="undo")
            now = (self._store.kept().file, self._home)
            return await self._replace(*earlier, now, self._now_ms())

    async def run(self) -> None:
        """Let time go by until it is cancelled: what happens by itself happens, also what happened meanwhile."""
        while True:
            self._moved.clear()
            wait_s = await self._pass_time()
            try:
                async with asyncio.timeout(wait_s):
                    await self._moved.wait()
            except TimeoutError:
                continue

    async def _pass_time(self) -> float:
        """Do what is due; how many seconds to wait, a minute at most, as the clock may be set."""
        async with self._turn:
            now_ms, before = self._now_ms(), self._home
            after, finished = advance(before, now_ms)
            if after is not before:
                changes = differences(before, after)
                await self._become(Happened(before, after, changes, "time", now_ms, finished))
            due = next_ms(self._home, now_ms)
        return 60.0 if due is None else min(60.0, max(0.001, (due - now_ms) / 1000))

    async def _become(self, happened: Happened) -> None:
        self._store.write(happened.before, happened.after, happened.changes, happened.why, happened.at_ms)
        await self._commit(happened.after, happened)

    async def _replace(self, file: Home, home: Home, before: tuple[Home, Home], now_ms: int) -> Difference:
        found = difference(before[1], home)
        self._store.load(file, home, before, now_ms)
        await self._commit(home, None)
        return found

    async def _commit(self, after: Home, happened: Happened | None) -> None:
        """`after` is the home once it is on disk. That somebody gives up meanwhile does not stop it."""
        writing = self._store.store.durable()
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            if writing.exception() is None:
                self._now_is(after, happened)
            raise
        self._now_is(after, happened)

    def _now_is(self, after: Home, happened: Happened | None) -> None:
        self._home = after
        self._moved.set()
        if happened is not None:
            self._watch(happened)


def _check_sizes(before: Home, after: Home) -> None:
    for name, one in after.entities.items():
        if before.entities.get(name) is not one and len(msgspec.json.encode(entity_row(one))) > ROW_MAX:
            raise InvalidInput(
                f"{one.name} is full", field="data", hint="Remove what is not needed any more."
            )


__all__ = ["ROW_MAX", "Happened", "Provider", "SimulatedHome", "Watcher"]
