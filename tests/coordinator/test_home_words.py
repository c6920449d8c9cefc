"""What people type after `kindmesh home`: a word for a state, a name for a thing, a file that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kindmesh.capabilities.home.inventory import home_from_document, home_from_text
from kindmesh.capabilities.home.services import apply
from kindmesh.coordinator.cli.home_commands import Where, find, run_load
from kindmesh.coordinator.cli.home_words import attributes_for, service_for
from kindmesh.coordinator.cli.output import Output
from kindmesh.mesh.yaml_text import from_yaml, to_yaml
from kindmesh.protocol.errors import InvalidInput

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "home.yaml"
HOME = home_from_text(EXAMPLE.read_text())


@pytest.mark.parametrize(
    ("entity", "word", "service", "data"),
    [
        ("light.kitchen", "on", "light.turn_on", {}),
        ("light.kitchen", "40%", "light.turn_on", {"brightness_pct": 40}),
        ("cover.garage", "closed", "cover.close_cover", {}),
        ("cover.bedroom", "30", "cover.set_cover_position", {"position": 30}),
        ("lock.front_door", "locked", "lock.lock", {}),
        ("climate.bedroom", "19.5", "climate.set_temperature", {"temperature": 19.5}),
        ("climate.bedroom", "auto", "climate.set_hvac_mode", {"hvac_mode": "auto"}),
        ("media_player.radio", "30", "media_player.volume_set", {"volume_level": 0.3}),
        ("vacuum.robot", "docked", "vacuum.return_to_base", {}),
        ("timer.tea", "0:04:00", "timer.start", {"duration": "0:04:00"}),
        ("todo.shopping", "tea", "todo.add_item", {"item": "tea"}),
        ("switch.kettle", "toggle", "switch.toggle", {}),
    ],
)
def test_a_word_becomes_the_service_that_makes_it_so(
    entity: str, word: str, service: str, data: dict[str, Any]
) -> None:
    assert service_for(HOME.entities[entity], word) == (service, data)
    apply(HOME, service, [entity], data, 1_700_000_000_000)


def test_a_word_that_nothing_makes_so_is_refused_with_what_there_is() -> None:
    with pytest.raises(InvalidInput, match=r"Hall light cannot be set to 'purple'") as refused:
        service_for(HOME.entities["light.hall"], "purple")
    assert "light.turn_on" in refused.value.hint
    with pytest.raises(InvalidInput):
        service_for(HOME.entities["sensor.outside_temperature"], "30")


SENSOR = home_from_document(
    {
        "entities": [
            {
                "id": "sensor.garden",
                "attributes": {
                    "battery": 80, "drift": 0.5, "low": False, "model": "80", "tags": ["a"], "gone": None,
                    "at": {"x": 1},
                },
            }
        ]
    }
).entities["sensor.garden"]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("battery=81", 81),
        ("battery=81.5", 81.5),
        ("drift=1", 1),
        ("low=yes", True),
        ("model=81", "81"),
        ("tags=b,c", ["b", "c"]),
        ('at={"x": 2}', {"x": 2}),
        ("gone=7", 7),
        ("new=7.25", 7.25),
        ("new=-3", -3),
        ("new=true", True),
        ("new=007", "007"),
        ("new=nan", "nan"),
        ("new=1e9", "1e9"),
        ("new=two words", "two words"),
        ("new=", ""),
    ],
)
def test_what_is_told_of_an_attribute_is_of_the_kind_that_it_is(word: str, value: Any) -> None:
    (found,) = attributes_for(SENSOR, [word]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("word", ["battery=full", "low=perhaps", "at=nowhere", "battery"])
def test_what_does_not_fit_an_attribute_is_refused_by_its_name(word: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        attributes_for(SENSOR, [word])
    assert refused.value.field == word.partition("=")[0]


def test_things_are_found_by_id_name_and_alias_but_not_by_guessing() -> None:
    assert find(HOME, "TELLY").id == find(HOME, "Television").id == find(HOME, "media_player.tv").id
    with pytest.raises(InvalidInput, match="there is no"):
        find(HOME, "telephone")
    two = home_from_document(
        {"entities": [{"id": "light.a", "name": "Lamp"}, {"id": "light.b", "name": "lamp"}]}
    )
    with pytest.raises(InvalidInput, match="more than one") as refused:
        find(two, "lamp")
    assert refused.value.hint == "Say which: light.a, light.b."


def test_a_file_is_checked_without_a_mesh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINDMESH_HOME", str(tmp_path / "none"))
    assert run_load(Output(as_json=True), Where(), EXAMPLE, dry=True, fresh=False) == 0
    assert json.loads(capsys.readouterr().out)["compared"] is False
    for name, content in (("wrong.yaml", b"entities: [{id: 3}]"), ("bytes.yaml", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInput):
            run_load(Output(as_json=True), Where(), tmp_path / name, dry=True, fresh=False)
    with pytest.raises(InvalidInput, match="cannot be read"):
        run_load(Output(as_json=True), Where(), tmp_path / "missing.yaml", dry=True, fresh=False)


def test_yaml_that_was_written_reads_as_the_same() -> None:
    shared = ["on", "off", "no", "1.5", "0:05:00", "2026-11-27", "", "ä\n#", None, True, 1.5]
    value = {"a": shared, "b": shared}
    assert from_yaml(to_yaml(value), "it") == value
