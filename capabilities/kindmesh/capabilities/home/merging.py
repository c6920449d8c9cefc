"""What a new inventory does to a home that is in use. Pure.

People load the same file again with one lamp more, and do not want the lights to jump. So a thing whose state and
attributes the new file gives as the old file gave them keeps the state and attributes it has now; its name, aliases
and area come from the new file. A thing that the file gives differently is as the new file says. Timers that calls
have made stay. With `fresh` everything is as the file says.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kindmesh.capabilities.home.model import Entity, Home


class Difference(NamedTuple):
    """Ids of entities that one home has and the other has not, or has otherwise; floors and areas as `area NAME`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """They are the same."""
        return not (self.added or self.removed or self.changed)


def merged(now: Home, old_file: Home, new_file: Home, at_ms: int, *, fresh: bool = False) -> Home:
    """The home after `new_file` is loaded over `now`, which came from `old_file`; what is taken from the file is dated
    `at_ms`, unless the file dates it."""
    entities: dict[str, Entity] = {}
    for name, wanted in new_file.entities.items():
        before, live = old_file.entities.get(name), now.entities.get(name)
        same = before is not None and (before.state, before.attributes) == (wanted.state, wanted.attributes)
        if live is not None and same and not fresh:
            entities[name] = msgspec.structs.replace(
                wanted, state=live.state, attributes=live.attributes, changed_ms=live.changed_ms
            )
        else:
            entities[name] = msgspec.structs.replace(wanted, changed_ms=wanted.changed_ms or at_ms)
    if not fresh:
        for name, live in now.entities.items():
            if name not in entities and name not in old_file.entities and live.domain == "timer":
                area = live.area if live.area in new_file.areas else ""
                entities[name] = msgspec.structs.replace(live, area=area)
    return Home(new_file.floors, new_file.areas, entities)


def difference(before: Home, after: Home) -> Difference:
    """What is different between two homes, apart from when a state was heard of."""
    had, has = _parts(before), _parts(after)
    return Difference(
        tuple(name for name in has if name not in had),
        tuple(name for name in had if name not in has),
        tuple(name for name, one in has.items() if name in had and had[name] != one),
    )


def _parts(home: Home) -> dict[str, object]:
    return {
        **{f"floor {name}": floor for name, floor in home.floors.items()},
        **{f"area {name}": area for name, area in home.areas.items()},
        **{name: msgspec.structs.replace(one, changed_ms=0) for name, one in home.entities.items()},
    }


__all__ = ["Difference", "difference", "merged"]
