"""German through a whole batch, review and all: what is plainly said is done, what was not said is asked about."""

from __future__ import annotations

import pytest

from kindmesh.capabilities.home.inventory import home_from_text
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.desk.batch import Batch
from kindmesh.coordinator.brain.desk.judging import judge
from kindmesh.coordinator.brain.desk.wording import needs_yes
from kindmesh.coordinator.brain.medulla.review_german import english
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.plan import plan_from_document

HOME = home_from_text(
    """
areas: [{id: stube, name: Stube}, {id: kueche, name: Küche}, {id: diele, name: Diele}]
entities:
  - {id: light.decke, name: Deckenlampe, area: stube, state: 'on',
     attributes: {supported_color_modes: [hs], brightness: 128}}
  - {id: light.herd, name: Herdlicht, area: kueche, state: 'on',
     attributes: {supported_color_modes: [brightness], brightness: 128}}
  - {id: switch.kocher, name: Wasserkocher, area: kueche, state: 'off'}
  - {id: lock.haus, name: Haustür, area: diele, state: unlocked}
  - {id: lock.hof, name: Hoftür, area: kueche, state: locked}
  - {id: cover.stube, name: Rollladen Stube, area: stube, state: open,
     attributes: {device_class: shutter, current_position: 100}}
  - {id: climate.stube, name: Heizung Stube, area: stube, state: heat,
     attributes: {temperature: 19, min_temp: 7, max_temp: 28}}
  - {id: media_player.tv, name: Fernseher, area: stube, state: playing,
     attributes: {volume_level: 0.4}}
  - {id: todo.einkauf, name: Einkaufsliste, state: '1',
     attributes: {items: [Milch]}}
  - {id: todo.aufgaben, name: Aufgaben, state: '0',
     attributes: {items: []}}
"""
)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Batch(HOME, Cortex("de"), clock=SystemClock(), language="de")


@pytest.mark.parametrize(("text", "entity", "attribute", "after"), [
    ("Deckenlampe aus", "light.decke", "state", "off"),
    ("schalt bitte die Deckenlampe aus", "light.decke", "state", "off"),
    ("Licht in der Küche aus", "light.herd", "state", "off"),
    ("mach überall das Licht aus", "light.herd", "state", "off"),
    ("alle Lichter aus", "light.decke", "state", "off"),
    ("kannst du den Wasserkocher einschalten", "switch.kocher", "state", "on"),
    ("Deckenlampe auf zwanzig Prozent", "light.decke", "brightness", 51),
    ("mach die Deckenlampe rot", "light.decke", "rgb_color", [255, 0, 0]),
    ("schließ die Haustür ab", "lock.haus", "state", "locked"),
    ("schließe die Hoftür auf", "lock.hof", "state", "unlocked"),
    ("mach den Rollladen in der Stube zu", "cover.stube", "state", "closed"),
    ("Heizung in der Stube auf einundzwanzig Grad", "climate.stube", "temperature", 21),
    ("Fernseher leiser", "media_player.tv", "volume_level", 0.3),
    ("pausiere den Fernseher", "media_player.tv", "state", "paused"),
    ("stell einen Timer auf fünf Minuten", "timer.timer", "duration", "0:05:00"),
    ("streiche Milch von der Einkaufsliste", "todo.einkauf", "state", "0"),
])  # fmt: skip
def test_what_is_said_in_german_is_done(
    batch: Batch, text: str, entity: str, attribute: str, after: object
) -> None:
    answer = batch.line({"id": "1", "text": text})
    assert answer["verdict"] == "allow", answer["reply"]
    assert any(
        (one["entity"], one["attribute"], one["after"]) == (entity, attribute, after)
        for one in answer["changes"]
    )


@pytest.mark.parametrize(("text", "service", "entity", "data"), [
    ("mach die Deckenlampe aus", "light.turn_on", "light.decke", {}),
    ("mach die Deckenlampe an", "light.turn_off", "light.decke", {}),
    ("Licht in der Küche aus", "light.turn_off", "light.decke", {}),
    ("schließ die Haustür ab", "lock.unlock", "lock.haus", {}),
    ("schließ die Haustür ab", "lock.lock", "lock.hof", {}),
    ("mach das Licht nicht aus", "light.turn_off", "light.decke", {}),
    ("Deckenlampe auf zwanzig Prozent", "light.turn_on", "light.decke", {"brightness_pct": 80}),
])  # fmt: skip
def test_what_was_not_said_in_german_is_asked_about(
    text: str, service: str, entity: str, data: dict[str, object]
) -> None:
    operation = "home.access" if service.startswith("lock.") else "home.control"
    step = {"id": "a", "call": operation, "args": {"service": service, "entities": [entity], "data": data}}
    plan = plan_from_document({"plan": 1, "name": text, "steps": [step]})
    assert judge(plan, text, HOME, area="", now_ms=1_795_000_000_000, zone="UTC").verdict == "ask"


def test_a_question_for_a_yes_is_asked_in_german() -> None:
    assert "Ja" in needs_yes(("nobody said so",), "de").text


@pytest.mark.parametrize("text", [
    "turn off the light in the den", "um turn off the lamp", "will you start the fan", "play an elf song",
    "put allen on the list", "one minute", "what is the aus dollar worth",
])  # fmt: skip
def test_english_is_not_taken_for_german(text: str) -> None:
    assert english(text) is None


@pytest.mark.parametrize(("text", "meant"), [
    ("weck mich um halb sieben", "wake at half past six"),
    ("um viertel vor acht", "at quarter to eight"),
    ("in zweieinhalb stunden aus", "two and a half hours off"),
    ("um 7 uhr 30 an", "at 7:30 on"),
    ("um zwei grad wärmer", "by two degrees warmer"),
    ("auf fünfundzwanzig prozent", "to twenty five percent"),
    ("sperr die tür zu", "lock door"),
    ("mach die tür zu", "make door close"),
])  # fmt: skip
def test_numbers_times_and_particles_are_read_where_they_stand(text: str, meant: str) -> None:
    read = english(text)
    assert read is not None, "it is German"
    assert read[0] == meant
