"""What people call a thing that is called something else: "the AC" for "Bedroom air con", "the tap" for "Stopcock".

A nickname means a thing only where one thing of its kind has one of the words in its own names, or stands where the
nickname says. Never for what is opened: that is called by its name. Pure.
"""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.medulla.review_scene import Scene
from kindmesh.coordinator.brain.medulla.review_words import Words, content, stem


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_NICKNAMES: Final[dict[str, tuple[tuple[frozenset[str], frozenset[str]], ...]]] = {
    kind: tuple((_stems(said), _stems(named)) for said, named in rows)
    for kind, rows in {
        "climate": (
            ("ac aircon conditioning conditioner", "ac air aircon con conditioner conditioning"),
            ("heating heat", "heating central thermostat"),
        ),
        "valve": (("tap faucet water mains", "stopcock main mains supply shutoff"), ("gas", "gas")),
        "media_player": (
            ("wireless radio", "radio wireless tuner"),
            ("show programme program film movie episode match video", "tv television telly projector screen"),
        ),
        "fan": (("extractor ventilator ventilation", "extractor hood hob ventilation"),),
        "water_heater": (("boiler immersion hot geyser", "boiler immersion hot water heater tank"),),
    }.items()
}
_OUTSIDE: Final = _stems("outside outdoor outdoors")
_OUTDOORS: Final = _stems(
    """garden yard patio deck terrace balcony porch driveway drive carport pool backyard courtyard veranda outdoor
    outdoors outside lawn orchard pergola gazebo decking poolside field paddock roof towpath jetty pontoon dock"""
)


def nicknamed(scene: Scene, text: str, words: Words) -> bool:
    """Whether a thing was called by a nickname that is no other's of its kind."""
    kind = text.partition(".")[0]
    for said, named in _NICKNAMES.get(kind, ()):
        if said.isdisjoint(words.stems):
            continue
        fits = [one for one in scene.home.of_kind(kind) if not named.isdisjoint(_own(scene, one))]
        if fits == [text]:
            return True
    return False


def is_outside(scene: Scene, text: str, words: Words) -> bool:
    """Whether "outside" was said, and the thing stands in a place that is."""
    if _OUTSIDE.isdisjoint(words.stems):
        return False
    return any(
        not _OUTDOORS.isdisjoint(content(name)) for name in scene.home[text] if name in scene.home.places
    )


def _own(scene: Scene, text: str) -> frozenset[str]:
    """Stems of what a thing itself is called."""
    places = scene.home.places
    return frozenset(word for name in scene.home[text] if name not in places for word in content(name))


__all__ = ["is_outside", "nicknamed"]
