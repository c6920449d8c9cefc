"""Does anything grow without end? Every table and queue that can be reached from a part is measured now and then.

Nobody has to say where the queues are: all objects of ours are followed, attribute by attribute, and whatever holds
things (dict, list, set, deque) is counted. A household of this size, with some hundred jobs a day and a few open at
once, has no reason for a container beyond the bound; what remembers things on purpose has a bound of its own, named
here with its reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

BOUND: Final = 1_500
"""Entries in one container in memory. `HeartLimits.open_jobs` is 1,024, the network's high water 256."""
KNOWN: Final[dict[str, int]] = {
    # Ids of signed messages are remembered until they have expired (an hour of TTLs); the file has a bound itself.
    "recollection": 50_000,
    # Frozen tables that were made once.
    "manifest": 100_000,
}
OBJECTS_MAX: Final = 200_000
_CONTAINERS: Final = (dict, list, set, deque)


def oversized(part: object, name: str) -> list[tuple[str, int]]:
    """(path, entries) of all containers below `part` that hold more than they may."""
    found = []
    for path, size in _sizes(part, name):
        bound = next((most for word, most in KNOWN.items() if word in path), BOUND)
        if size > bound:
            found.append((path, size))
    return found


def _sizes(part: object, name: str) -> Iterator[tuple[str, int]]:
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(name, part)]
    while waiting and len(seen) < OBJECTS_MAX:
        path, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, _CONTAINERS):
            yield path, len(value)
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(f"{path}[]", one) for one in list(inner)[:50] if _ours(one)]
        else:
            waiting += [(f"{path}.{key}", one) for key, one in _attributes(value) if _ours(one)]


def _ours(value: object) -> bool:
    return isinstance(value, _CONTAINERS) or type(value).__module__.startswith("kindmesh.")


def _attributes(value: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, key):
                yield key, getattr(value, key)


__all__ = ["BOUND", "oversized"]
