"""Settings: defaults, file, environment; and every mistake named where it was made, with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindmesh.node.config import CONFIG_MAX, Config, load_config
from kindmesh.protocol.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refused(path: Path, text: str, env: dict[str, str] | None = None) -> ConfigError:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, env or {})
    return caught.value


def test_a_device_needs_no_file(path: Path) -> None:
    assert load_config(path, {}) == load_config(None, {}) == Config()


def test_the_file_is_read(path: Path) -> None:
    path.write_text(
        'device.name = "kitchen"\n[mesh]\nport = 9000\nseeds = ["desk.local:7437"]\nmdns = false\n'
        '[node]\ndisabled = ["speech"]\n[medulla]\nisolation = "landlock"\n[log]\nlevel = "debug"\n'
    )
    config = load_config(path, {})
    assert config.device.name == "kitchen"
    assert (config.mesh.port, config.mesh.seeds, config.mesh.mdns) == (9000, ("desk.local:7437",), False)
    assert config.node.disabled == ("speech",)
    assert (config.medulla.isolation, config.log.level) == ("landlock", "debug")


def test_the_environment_overrides_the_file(path: Path) -> None:
    path.write_text("[mesh]\nport = 9000\nmdns = true\n")
    env = {
        "KINDMESH_MESH_PORT": "9001", "KINDMESH_MESH_MDNS": "no", "KINDMESH_NODE_CAPABILITIES": "device, notes",
        "KINDMESH_DEVICE_NAME": "phone", "KINDMESH_HOME": "/somewhere", "KINDMESH_LOG": "debug", "PATH": "/bin",
    }  # fmt: skip
    config = load_config(path, env)
    assert (config.mesh.port, config.mesh.mdns, config.device.name) == (9001, False, "phone")
    assert config.node.capabilities == ("device", "notes")


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[mesh]\nprot = 1\n", 2, "port"),
        ("\n\n[mehs]\nport = 1\n", 3, "mesh"),
        ('[mesh]\nport = "a"\n', 2, "port = 7437"),
        ("[mesh]\nport = 70000\n", 2, ""),
        ('[mesh]\n# a comment\nseeds = ["nowhere"]\n', 3, "host:port"),
        ("[node]\nconcurrency = true\n", 2, "concurrency = 128"),
        ("[mesh]\nmdns = 1\n", 2, "mdns = true"),
        ('[node]\ndisabled = "speech"\n', 2, "disabled = []"),
        ('[log]\nlevel = "loud"\n', 2, "level"),
        ("mesh = 3\n", 1, "[mesh]"),
        ("[mesh\nport = 1\n", 1, "[mesh"),
        ("[device]\nname = kitchen\n", 2, "quotes"),
        ('[device]\nname = "' + "x" * 100 + '"\n', 2, ""),
        ("mesh.prot = 1\n", 1, "port"),
        ('[device]\nname = """\n', 3, ""),
    ],
)
def test_a_mistake_is_named_with_file_line_and_hint(path: Path, text: str, line: int, hint: str) -> None:
    error = refused(path, text)
    assert f"{path}, line {line}:" in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KINDMESH_MESH_PORT", "many"),
        ("KINDMESH_MESH_PROT", "1"),
        ("KINDMESH_NODE_CONCURRENCY", "0"),
        ("KINDMESH_MESH_MDNS", "perhaps"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(path: Path, variable: str, value: str) -> None:
    assert refused(path, "", {variable: value}).message.startswith(variable)


def test_reserving_more_than_there_is_makes_no_sense(path: Path) -> None:
    assert refused(path, "[node]\nconcurrency = 4\nemergency_reserve = 4\n").field == "node.emergency_reserve"


def test_what_is_no_text_or_far_too_large_is_refused(path: Path) -> None:
    path.write_bytes(b"[device]\nname = \xff\n")
    with pytest.raises(ConfigError, match="line 2"):
        load_config(path, {})
    path.write_bytes(b"#" * (CONFIG_MAX + 1))
    with pytest.raises(ConfigError, match="larger"):
        load_config(path, {})


def test_a_folder_in_its_place_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})
