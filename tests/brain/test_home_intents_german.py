"""German goes the same way as English: another official grammar, another file of words."""

from __future__ import annotations

import pytest

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home
from kindmesh.coordinator.brain.cortex.intents import HomeIntents, answer
from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Situation, words_of

READER = HomeIntents("de")
HOME = Home(
    {"eg": Floor("eg", "Erdgeschoss")},
    {"wohn": Area("wohn", "Wohnzimmer", floor="eg"), "kueche": Area("kueche", "Küche", floor="eg")},
    {
        one.id: one
        for one in (
            Entity("light.decke", "Deckenlampe", (), "wohn", "on", {"brightness": 255}),
            Entity("light.lese", "Leselampe", (), "wohn", "off"),
            Entity("light.kueche", "Küchenlicht", (), "kueche", "on"),
            Entity("lock.haus", "Haustür", (), "", "locked"),
            Entity("cover.wohn", "Rollladen links", (), "wohn", "open", {"device_class": "shutter"}),
            Entity("climate.wohn", "Heizung Wohnzimmer", (), "wohn", "heat", {"temperature": 20}),
        )
    },
)


def heard(text: str, area: str = "") -> Recognised | None:
    situation = Situation(HOME, 1_800_000_000_000, area=area, language="de")
    return READER.recognise(Clause(text, tuple(range(len(words_of(text))))), situation)


@pytest.mark.parametrize(("text", "area", "service", "entities"), [
    ("schalte die Deckenlampe aus", "", "light.turn_off", {"light.decke"}),
    ("mach das Licht in der Küche aus", "", "light.turn_off", {"light.kueche"}),
    ("mach das Licht an", "kueche", "light.turn_on", {"light.kueche"}),
    ("mach alle Lichter außer der Leselampe aus", "", "light.turn_off", {"light.decke", "light.kueche"}),
    ("stell die Leselampe auf dreißig Prozent", "", "light.turn_on", {"light.lese"}),
    ("mach die Rollläden im Wohnzimmer zu", "", "cover.close_cover", {"cover.wohn"}),
    ("schließ die Haustür auf", "", "lock.unlock", {"lock.haus"}),
    ("stell das Wohnzimmer auf 21 Grad", "", "climate.set_temperature", {"climate.wohn"}),
])  # fmt: skip
def test_german_sentences_act(text: str, area: str, service: str, entities: set[str]) -> None:
    found = heard(text, area)
    assert found is not None
    assert not found.question
    assert {act.args["service"] for act in found.acts} == {service}
    assert {one for act in found.acts for one in act.args["entities"]} == entities


def test_a_german_question_is_answered_from_state() -> None:
    found = heard("ist die Haustür abgeschlossen")
    assert found is not None
    assert answer(found.reply, found, HOME, 1_800_000_000_000) == "Ja"


@pytest.mark.parametrize("text", ["wie wird das Wetter in Rom morgen früh", "erzähl mir einen Witz"])
def test_german_that_is_no_matter_of_the_home_is_left_alone(text: str) -> None:
    found = heard(text)
    assert found is None or not found.acts


@pytest.mark.parametrize(("text", "wanted"), [
    ("wie warm ist es im Wohnzimmer", "20 Grad"),
    ("welche Lampen sind an", "Deckenlampe und Küchenlicht"),
])  # fmt: skip
def test_a_german_question_never_gets_an_empty_answer(text: str, wanted: str) -> None:
    warm = HOME.with_entities(
        Entity("climate.wohn", "Heizung Wohnzimmer", (), "wohn", "heat", {"current_temperature": 20})
    )
    found = READER.recognise(
        Clause(text, tuple(range(len(words_of(text))))), Situation(warm, 0, language="de")
    )
    assert found is not None
    assert answer(found.reply, found, warm, 0) == wanted
