"""What members offer, as their own signed adverts declare it, and what people call the things that they have. Pure.

Each device's newest advert counts; who may still be asked, and whether it is a member at all, is decided elsewhere
(`beliefs`). Names are made ready once for what all devices offer now, as a permit may need those of the whole home.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.review_home import HomeNames
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.messages.hello import Advert
from kindmesh.protocol.stream_spec import StreamBounds

NAMES_KEPT: Final = 8
"""Devices for which the names of the home's things are kept ready."""


class Offers(msgspec.Struct, frozen=True):
    """A device's newest advert: its (boot, version), and what it declared of each operation: effects, classes of
    data where there are any, the defaults (canonical MessagePack) of values that may be left out, and the most that a
    stream of it may be, where it streams; `operations`: all of it, by name; `names`: what people call its things, by
    their ids."""

    age: tuple[int, int]
    effects: dict[str, int]
    classes: dict[str, tuple[str, ...]] = {}
    defaults: dict[str, dict[str, bytes]] = {}
    streams: dict[str, StreamBounds] = {}
    operations: dict[str, Operation] = {}
    names: dict[str, tuple[str, ...]] = {}


def offers_of(advert: Advert) -> Offers:
    """What an advert declares, by operation and by thing."""
    known = [operation for offer in advert.offers for operation in offer.manifest.operations]
    return Offers(
        age=(advert.boot, advert.version),
        effects={one.name: one.effects for one in known},
        classes={one.name: one.data_classes for one in known if one.data_classes},
        defaults={
            one.name: {field.name: field.default for field in one.input if field.default} for one in known
        },
        streams={
            one.name: StreamBounds(one.stream.duration_ms, one.stream.data_bytes)
            for one in known
            if one.stream is not None
        },
        operations={one.name: one for one in known},
        names={thing.id: thing.names for offer in advert.offers for thing in offer.things},
    )


class ReadyNames:
    """What people call the things of the home, for those devices that were asked for last."""

    def __init__(self) -> None:
        self._made: dict[bytes, tuple[tuple[tuple[bytes, Offers], ...], HomeNames]] = {}

    def of(self, target: bytes, offered: dict[bytes, Offers]) -> HomeNames:
        """By id, as `target` knows them. Things of others only tell what else could be meant: they are under ids that
        no argument has, so no device says what another's things are called."""
        offers = tuple(offered.items())
        known = self._made.get(target)
        if known is not None and known[0] == offers:
            return known[1]
        others = {
            f"{thing}@{device.hex()}": called
            for device, some in offers
            if device != target
            for thing, called in some.names.items()
        }
        own = offered.get(target)
        made = HomeNames(others if own is None else {**others, **own.names})
        self._made.pop(target, None)
        if len(self._made) >= NAMES_KEPT:
            del self._made[next(iter(self._made))]
        self._made[target] = (offers, made)
        return made


__all__ = ["NAMES_KEPT", "Offers", "ReadyNames", "offers_of"]
