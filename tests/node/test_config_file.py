"""One setting of a person's `config.toml` changes, and nothing else in it."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.node.config import AREA_MAX, load_config
from kindmesh.node.config_file import set_setting, with_setting
from kindmesh.protocol.errors import ConfigError, StoreError

PLACES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=AREA_MAX)
HAND_WRITTEN = """# our kitchen tablet
[mesh]
port = 7001   # the usual one is taken

[device]   # this one
name = "tablet"
"""


@given(
    place=PLACES,
    before=st.sampled_from(["", HAND_WRITTEN, HAND_WRITTEN + 'area = "Hall"\n', "[mesh]\nport = 1"]),
)
def test_it_is_there_afterwards_and_all_else_is_as_it_was(place: str, before: str) -> None:
    after = with_setting(before, "device", "area", place)
    found, expected = tomllib.loads(after), tomllib.loads(before)
    expected.setdefault("device", {})["area"] = place
    assert found == expected
    kept = [line for line in before.splitlines() if not line.startswith("area")]
    assert [line for line in after.splitlines() if line in kept][: len(kept)] == kept


def test_a_file_is_made_where_there_is_none_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "conf" / "config.toml"
    set_setting(path, "device", "area", 'Küche "oben"')
    assert load_config(path, {}).device.area == 'Küche "oben"'
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_who_may_read_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(HAND_WRITTEN)
    path.chmod(0o600)
    set_setting(path, "device", "area", "Kitchen")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_config(path, {}).device.name == "tablet"


@pytest.mark.parametrize(
    "text",
    ['device = {name = "x"}\n', '[device]\narea = """\nHall"""\n', '[device]\n"ar\\u0065a" = "Hall"\n'],
)
def test_what_is_written_in_an_unusual_way_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        set_setting(path, "device", "area", "Kitchen")
    assert path.read_text() == text
    assert caught.value.hint


def test_a_file_that_is_wrong_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[devise]\n")
    with pytest.raises(ConfigError, match="devise"):
        set_setting(path, "device", "area", "Kitchen")
    assert path.read_text() == "[devise]\n"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, ConfigError)):
        set_setting(tmp_path / "file" / "config.toml", "device", "area", "Kitchen")


@pytest.mark.parametrize("area", ["a" * (AREA_MAX + 1), "a\tb"])
def test_what_no_area_is_called_is_refused_with_its_line(tmp_path: Path, area: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(with_setting("", "device", "area", area))
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert "line 2" in caught.value.message
    assert caught.value.field == "device.area"
