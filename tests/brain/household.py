"""A household of its own, with two floors and the usual disorder of names, for tests of understanding."""

from __future__ import annotations

from typing import Any

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home

NOW_MS = 1_800_000_000_000
_COLOURED: dict[str, Any] = {"supported_color_modes": ["color_temp", "hs"]}
_DIMMED: dict[str, Any] = {"supported_color_modes": ["brightness"]}


def household() -> Home:
    """Twelve areas on two floors and outside."""
    floors = (Floor("ground", "Ground floor", ("downstairs",)), Floor("upper", "First floor", ("upstairs",)))
    areas = (
        Area("lounge", "Lounge", ("living room", "sitting room"), "ground"),
        Area("kitchen", "Kitchen", (), "ground"),
        Area("hall", "Hallway", ("hall", "corridor"), "ground"),
        Area("utility", "Utility Room", ("laundry",), "ground"),
        Area("bedroom", "Main Bedroom", ("bedroom",), "upper"),
        Area("nursery", "Emma's Room", ("nursery", "kids room"), "upper"),
        Area("bath", "Bathroom", ("bath",), "upper"),
        Area("study", "Study", ("office",), "upper"),
        Area("garden", "Garden", ("backyard",)),
        Area("garage", "Garage"),
    )
    return Home(
        {one.id: one for one in floors}, {one.id: one for one in areas}, {one.id: one for one in _entities()}
    )


def _entities() -> tuple[Entity, ...]:
    def make(
        name: str, called: str, area: str, state: str, aliases: tuple[str, ...] = (), **more: Any
    ) -> Entity:
        return Entity(name, called, aliases, area, state, more)

    return (
        make("light.lounge_ceiling", "Lounge Ceiling", "lounge", "on", brightness=255, **_COLOURED),
        make("light.reading", "Reading Lamp", "lounge", "on", brightness=128, **_DIMMED),
        make("light.tree", "Christmas Tree", "lounge", "off", supported_color_modes=["onoff"]),
        make("media_player.tv", "Television", "lounge", "playing", ("tv", "telly"), volume_level=0.4,
             device_class="tv"),
        make("media_player.kitchen", "Kitchen Speaker", "kitchen", "paused", volume_level=0.3),
        make("cover.lounge_left", "Left Blind", "lounge", "open", current_position=100, device_class="blind"),
        make("cover.lounge_right", "Right Blind", "lounge", "open", current_position=100, device_class="blind"),
        make("climate.lounge", "Lounge Thermostat", "lounge", "heat", temperature=20, current_temperature=19.5,
             min_temp=7, max_temp=30, hvac_modes=["off", "heat"]),
        make("light.kitchen_ceiling", "Kitchen Light", "kitchen", "on", brightness=200, **_DIMMED),
        make("light.counter", "Counter Lights", "kitchen", "off", ("worktop lights",), **_DIMMED),
        make("switch.coffee", "Coffee Machine", "kitchen", "off", ("coffee maker", "espresso machine")),
        make("switch.kettle", "Kettle", "kitchen", "off"),
        make("binary_sensor.kitchen_window", "Kitchen Window", "kitchen", "on", device_class="window"),
        make("light.hall", "Hall Light", "hall", "off", **_DIMMED),
        make("lock.front", "Front Door", "hall", "locked"),
        make("binary_sensor.front", "Front Door Contact", "hall", "off", device_class="door"),
        make("lock.back", "Back Door", "utility", "unlocked"),
        make("switch.washer", "Washing Machine", "utility", "on", ("washer",)),
        make("valve.water", "Main Water Valve", "utility", "open"),
        make("binary_sensor.leak", "Leak Sensor", "utility", "off", device_class="moisture"),
        make("light.bedroom", "Bedroom Light", "bedroom", "off", **_COLOURED),
        make("light.bed_left", "Left Bedside Lamp", "bedroom", "off", **_COLOURED),
        make("light.bed_right", "Right Bedside Lamp", "bedroom", "on", brightness=50, **_COLOURED),
        make("climate.bedroom", "Bedroom Radiator", "bedroom", "heat", temperature=18, current_temperature=17,
             min_temp=5, max_temp=28),
        make("cover.bedroom", "Bedroom Shutters", "bedroom", "closed", current_position=0, device_class="shutter"),
        make("fan.bedroom", "Ceiling Fan", "bedroom", "off", percentage=0),
        make("light.nursery", "Night Light", "nursery", "on", brightness=30, **_DIMMED),
        make("sensor.nursery", "Nursery Temperature", "nursery", "21.4", device_class="temperature",
             unit_of_measurement="°C"),
        make("light.bath", "Mirror Light", "bath", "off", supported_color_modes=["onoff"]),
        make("fan.bath", "Extractor Fan", "bath", "on", ("extractor",), percentage=60),
        make("sensor.bath", "Bathroom Humidity", "bath", "71", device_class="humidity", unit_of_measurement="%"),
        make("light.desk", "Desk Lamp", "study", "on", brightness=180, **_COLOURED),
        make("switch.printer", "Printer", "study", "on"),
        make("light.garden", "Garden Lights", "garden", "off", supported_color_modes=["onoff"]),
        make("switch.sprinkler", "Sprinkler", "garden", "off", ("sprinklers", "lawn sprinkler")),
        make("sensor.outside", "Outdoor Temperature", "garden", "8.5", ("outside temperature",),
             device_class="temperature", unit_of_measurement="°C"),
        make("lawn_mower.shaun", "Shaun", "garden", "docked"),
        make("cover.garage", "Garage Door", "garage", "closed", device_class="garage"),
        make("light.garage", "Garage Light", "garage", "off", supported_color_modes=["onoff"]),
        make("vacuum.dusty", "Dusty", "hall", "docked"),
        make("alarm_control_panel.house", "House Alarm", "hall", "disarmed", ("alarm",)),
        make("scene.movie", "Movie Night", "", "unknown"),
        make("script.goodnight", "Good Night", "", "off", ("bedtime",)),
        make("person.emma", "Emma", "", "home"),
        make("person.tom", "Tom", "", "not_home"),
        make("todo.shopping_list", "Shopping List", "", "1", items=[{"uid": "1", "summary": "milk"}]),
        make("todo.chores", "Chores", "", "0", items=[]),
        make("weather.home", "Weather", "", "cloudy", temperature=8, temperature_unit="°C"),
    )  # fmt: skip
