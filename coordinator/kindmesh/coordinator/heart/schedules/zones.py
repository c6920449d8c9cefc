"""Time zones: local wall-clock times and instants, by the IANA rules; the one module that uses `zoneinfo`.

An instant is UTC milliseconds. A wall-clock time is a naive `datetime`. `instant_of` decides what a wall-clock time
means when clocks change: one that does not exist is the first instant after the gap, one that occurs twice is the
first. So it never goes back when wall-clock time goes on, which `cron` relies on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from kindmesh.protocol.errors import InvalidInput

_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS: Final = 253_370_764_800_000
"""The year 9999: nothing is ever due later."""


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The zone with this IANA name, such as Europe/Berlin.

    Raises:
        InvalidInput: there is none; names the nearest.
    """
    try:
        # A key is a relative path: what could leave the folder of zones is refused by zoneinfo as a ValueError.
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            f"there is no time zone {name[:64]!r}", field="zone", hint=_nearest_zones(name)
        ) from error


def is_zone(name: str) -> bool:
    """Whether there is such a zone."""
    try:
        zone_named(name)
    except InvalidInput:
        return False
    return True


def _nearest_zones(name: str) -> str:
    known = sorted(one for one in available_timezones() if "/" in one or one == "UTC")
    wanted = name.strip().replace(" ", "_").casefold()
    found = [one for one in known if wanted and one.casefold().rpartition("/")[2] == wanted]
    by_key = {one.casefold(): one for one in known}
    by_city = {one.casefold().rpartition("/")[2]: one for one in known}
    for names in (by_key, by_city):
        found += [names[key] for key in difflib.get_close_matches(wanted, names, n=2, cutoff=0.6)]
    near = list(dict.fromkeys(found))[:3]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return "A zone is named region/city, for example Europe/Berlin."


def system_zone(env: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> str:
    """The IANA name of this machine's own zone: `TZ`, else where /etc/localtime points, else UTC."""
    candidates = [env.get("TZ", "").lstrip(":")]
    if localtime.is_symlink():
        candidates.append(str(localtime.resolve()))
    for candidate in candidates:
        name = candidate.partition("zoneinfo/")[2] or candidate
        if name and is_zone(name):
            return name
    return "UTC"


def own_zone(env: Mapping[str, str]) -> str:
    """The IANA name of this machine's own zone, or empty where it does not say one."""
    zone = system_zone(env)
    return "" if zone == "UTC" else zone


def local_of(at_ms: int, zone: ZoneInfo) -> datetime:
    """The wall-clock time at an instant, with its zone."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def naive_of(at_ms: int, zone: ZoneInfo) -> datetime:
    """The wall-clock time at an instant."""
    return local_of(at_ms, zone).replace(tzinfo=None, fold=0)


def to_ms(moment: datetime) -> int:
    """An aware time as UTC milliseconds."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def instant_of(naive: datetime, zone: ZoneInfo) -> int:
    """What a wall-clock time means; see the module."""
    late = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None, fold=0) == naive:
        return to_ms(late)
    # In a gap the two folds are the two offsets around it, and the change is between the instants they give.
    before = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    seconds = [0, (late - before) // _SECOND]
    while seconds[1] - seconds[0] > 1:
        middle = sum(seconds) // 2
        changed = (before + middle * _SECOND).astimezone(zone).utcoffset() != offset
        seconds[changed] = middle
    return to_ms(before + seconds[1] * _SECOND)


def overlap_at(at_ms: int, zone: ZoneInfo) -> timedelta:
    """How far wall-clock time goes back in the overlap that this instant is in the second half of; usually nothing."""
    local = local_of(at_ms, zone)
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    return max(first - second, timedelta()) if local.fold and first and second else timedelta()


def show(at_ms: int, zone: ZoneInfo) -> str:
    """`Tue 2026-12-01 08:00 CET`: an instant for people; with seconds if there are any."""
    local = local_of(at_ms, zone)
    return local.strftime("%a %Y-%m-%d %H:%M:%S %Z" if local.second else "%a %Y-%m-%d %H:%M %Z")


__all__ = [
    "LATEST_MS",
    "instant_of",
    "is_zone",
    "local_of",
    "naive_of",
    "overlap_at",
    "own_zone",
    "show",
    "system_zone",
    "to_ms",
    "zone_named",
]
