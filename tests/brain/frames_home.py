"""A house in which names mislead: a boiler and a boiler room, several heatings, players with lists of sources."""

from __future__ import annotations

from typing import Any

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home


def house() -> Home:
    """Seven areas, of which two are outside."""
    floors = (Floor("down", "Downstairs", ()), Floor("up", "Upstairs", ()))
    areas = (
        Area("lounge", "Lounge", (), "down"), Area("kitchen", "Kitchen", (), "down"),
        Area("boiler_room", "Boiler room", (), "down"), Area("study", "Study", (), "up"),
        Area("bedroom", "Bedroom", (), "up"), Area("patio", "Patio"), Area("yard", "Yard"),
    )  # fmt: skip
    return Home(
        {one.id: one for one in floors}, {one.id: one for one in areas}, {one.id: one for one in _entities()}
    )


def _entities() -> tuple[Entity, ...]:
    def make(name: str, called: str, area: str, state: str, **more: Any) -> Entity:
        return Entity(name, called, (), area, state, more)

    dimmed = {"supported_color_modes": ["brightness"]}
    heated = {"min_temp": 5, "max_temp": 30, "hvac_modes": ["off", "heat"]}
    return (
        make("light.lounge", "Lounge light", "lounge", "on", brightness=200, **dimmed),
        make("light.shelf", "Shelf light", "lounge", "off", supported_color_modes=["hs", "color_temp"]),
        make("light.spots", "Kitchen spots", "kitchen", "on", brightness=200, **dimmed),
        make("light.boiler_room", "Boiler room light", "boiler_room", "off"),
        make("light.desk", "Desk lamp", "study", "off", **dimmed),
        make("light.left", "Left bedside lamp", "bedroom", "off", **dimmed),
        make("light.right", "Right bedside lamp", "bedroom", "off", **dimmed),
        make("light.patio", "Patio lights", "patio", "on"),
        make("light.flood", "Flood light", "yard", "on"),
        make("climate.main", "Central heating", "lounge", "heat", temperature=20, **heated),
        make("climate.study", "Study radiator", "study", "heat", temperature=19, **heated),
        make("climate.ac", "Bedroom air con", "bedroom", "cool", temperature=24, min_temp=16, max_temp=30,
             hvac_modes=["off", "cool"]),
        make("water_heater.boiler", "Boiler", "boiler_room", "eco", temperature=55, min_temp=35, max_temp=65),
        make("humidifier.bedroom", "Humidifier", "bedroom", "on", humidity=45, min_humidity=30, max_humidity=70),
        make("fan.ceiling", "Ceiling fan", "bedroom", "on", percentage=66, percentage_step=33.33,
             direction="forward", oscillating=False),
        make("cover.lounge", "Lounge curtains", "lounge", "open", device_class="curtain", current_position=100),
        make("cover.blind", "Bedroom blind", "bedroom", "open", device_class="blind", current_position=40),
        make("valve.stopcock", "Stopcock", "boiler_room", "open", device_class="water"),
        make("valve.gas", "Gas valve", "kitchen", "open", device_class="gas"),
        make("switch.pump", "Pond pump", "yard", "off"),
        make("switch.bread", "Bread maker", "kitchen", "off"),
        make("switch.charger", "Car charger", "yard", "off"),
        make("media_player.tv", "Lounge TV", "lounge", "playing", device_class="tv", volume_level=0.4,
             source_list=["HDMI 1", "PlayStation"], source="HDMI 1"),
        make("media_player.radio", "Kitchen radio", "kitchen", "playing", volume_level=0.3,
             source_list=["Radio 4", "Classic FM"], source="Classic FM", shuffle=False),
        make("scene.movie", "Movie night", "", "unknown", entities={"light.lounge": "off"}),
    )  # fmt: skip


__all__ = ["house"]
