"""The words that people use for kinds of things in a home: a kind, as it stands before the point of an id, to stems."""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.medulla.review_words import stem

_DOMAINS: Final = {
    "light": "light lamp bulb lighting brightness dim dimmer bright brighter dark darker illuminate see lantern darken "
    "brighten soften gloomy glaring dazzling lit",
    "cover": "cover blind curtain shade shutter awning garage gate window drape roller door sun sunlight sunshine "
    "daylight look slat",
    "climate": "climate heat heater heating thermostat temperature degree warm warmer hot hotter cool cooler cold "
    "colder ac aircon air conditioning chilly freezing boiling stuffy radiator cosy cosier cozy cozier draught draft "
    "perishing parky nippy draughty roasting baking sweltering stifling muggy",
    "media_player": "tv telly television music radio speaker song volume play media player stereo sound movie film "
    "programme program wireless shuffle playlist louder quieter "
    "loud quiet mute unmute pause resume track skip next previous episode podcast",
    "lock": "lock door unlock gate bolt",
    "fan": "fan ventilation ventilator extractor",
    "vacuum": "vacuum robot hoover cleaner clean sweep mop",
    "switch": "switch plug socket outlet appliance",
    "valve": "valve water irrigation sprinkler gas tap stopcock mains hose",
    "camera": "camera picture photo image",
    "timer": "timer countdown wake alarm",
    "todo": "list todo task shopping grocery chore remind reminder remember",
    "shopping_list": "list shopping grocery",
    "calendar": "calendar event appointment diary schedule",
    "scene": "scene mood mode",
    "script": "script routine",
    "automation": "automation routine",
    "alarm_control_panel": "alarm arm disarm security",
    "humidifier": "humidifier humidity",
    "water_heater": "boiler water heater hot immersion geyser",
    "lawn_mower": "lawn mower mow grass cut trim",
    "siren": "siren",
    "remote": "remote tv",
    "sensor": "sensor",
    "binary_sensor": "sensor",
    "input_boolean": "toggle mode",
    "button": "button",
    "select": "select",
    "number": "number",
    "person": "person",
    "reminder": "reminder remind",
    "alarm": "alarm wake",
}
KIND_STEMS: Final[dict[str, frozenset[str]]] = {
    domain: frozenset(stem(word) for word in words.split()) for domain, words in _DOMAINS.items()
}
ALL_KIND_STEMS: Final = frozenset(word for words in _DOMAINS.values() for word in map(stem, words.split()))

__all__ = ["ALL_KIND_STEMS", "KIND_STEMS"]
