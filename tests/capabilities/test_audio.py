"""Where sound comes out, looked up in made-up file systems with real sockets and real programs in them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kindmesh.capabilities.speech.audio import find_output
from kindmesh.capabilities.speech.voices import Voice, choose
from kindmesh.protocol.errors import NoAudioDevice, UnknownVoice


def _programs(root: Path, *names: str) -> str:
    folder = root / "bin"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def _card(root: Path, listed: str = "00-00: Analog : Analog : playback 1 : capture 1\n") -> None:
    (root / "proc/asound").mkdir(parents=True)
    (root / "proc/asound/pcm").write_text(listed)
    (root / "dev/snd").mkdir(parents=True)


def test_a_device_with_nothing_says_what_would_help(tmp_path: Path) -> None:
    with pytest.raises(NoAudioDevice) as silent:
        find_output({"PATH": _programs(tmp_path, "aplay", "paplay")}, root=tmp_path, platform="linux")
    assert "loudspeaker" in silent.value.hint


def test_a_sound_card_without_a_player_names_the_player(tmp_path: Path) -> None:
    _card(tmp_path)
    with pytest.raises(NoAudioDevice, match="no program") as silent:
        find_output({"PATH": _programs(tmp_path)}, root=tmp_path, platform="linux")
    assert "aplay" in silent.value.hint


def test_a_sound_card_is_played_through_alsa(tmp_path: Path) -> None:
    _card(tmp_path)
    path = _programs(tmp_path, "aplay")
    output = find_output({"PATH": path}, root=tmp_path, platform="linux")
    assert (output.name, output.command, output.detached) == ("aplay", (f"{path}/aplay", "-q"), False)


def test_a_card_that_only_records_is_no_output(tmp_path: Path) -> None:
    _card(tmp_path, "00-00: Microphone : Microphone : capture 1\n")
    with pytest.raises(NoAudioDevice):
        find_output({"PATH": _programs(tmp_path, "aplay")}, root=tmp_path, platform="linux")


@pytest.mark.parametrize(
    ("place", "player"), [("pipewire-0", "pw-play"), ("pulse/native", "paplay")], ids=["pipewire", "pulse"]
)
def test_a_sound_server_comes_before_the_bare_card(tmp_path: Path, place: str, player: str) -> None:
    _card(tmp_path)
    path = tmp_path / "run" / place
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        environ = {"PATH": _programs(tmp_path, "aplay", player), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
        assert find_output(environ, root=tmp_path, platform="linux").name == player
    path.unlink()
    assert find_output(environ, root=tmp_path, platform="linux").name == "aplay"


def test_the_chosen_player_comes_first_with_its_options(tmp_path: Path) -> None:
    path = _programs(tmp_path, "mine", "aplay")
    output = find_output({"PATH": path, "KINDMESH_PLAYER": "mine --loud"}, root=tmp_path, platform="linux")
    assert output.command == (f"{path}/mine", "--loud")
    with pytest.raises(NoAudioDevice, match="not installed"):
        find_output({"PATH": path, "KINDMESH_PLAYER": "other"}, root=tmp_path, platform="linux")


def test_termux_and_macos_have_players_of_their_own(tmp_path: Path) -> None:
    path = _programs(tmp_path, "termux-media-player", "afplay")
    termux = find_output({"PATH": path, "TERMUX_VERSION": "0.118"}, root=tmp_path, platform="linux")
    assert (termux.name, termux.detached) == ("termux-media-player", True)
    assert find_output({"PATH": path}, root=tmp_path, platform="darwin").name == "afplay"


VOICES = (
    Voice("English (Great Britain)", "gmw/en", ("en-gb", "en")),
    Voice("English (America)", "gmw/en-US", ("en-us", "en")),
    Voice("German", "gmw/de", ("de",)),
    Voice("Portuguese (Brazil)", "roa/pt-BR", ("pt-br",)),
    Voice("Annie", "!v/Annie"),
    Voice("female3", "!v/f3"),
)


@pytest.mark.parametrize(
    ("language", "voice", "chosen"),
    [
        ("en-gb", None, "gmw/en"),
        ("EN_us", "", "gmw/en-US"),
        ("en", None, "gmw/en"),
        ("pt", None, "roa/pt-BR"),
        ("de", "ANNIE", "gmw/de+Annie"),
        ("en-gb", "female3", "gmw/en+f3"),
        ("en-gb", "German", "gmw/de"),
        ("en-gb", "de+f3", "gmw/de+f3"),
        ("en-gb", "gmw/en-US+f3", "gmw/en-US+f3"),
    ],
)
def test_a_voice_is_chosen_by_language_name_or_both(language: str, voice: str | None, chosen: str) -> None:
    assert choose(VOICES, language, voice) == chosen


@pytest.mark.parametrize(
    ("language", "voice", "field"),
    [("xx", None, "language"), ("de", "Bob", "voice"), ("de", "en+Bob", "voice")],
)
def test_what_fits_no_voice_is_refused(language: str, voice: str | None, field: str) -> None:
    with pytest.raises(UnknownVoice) as unknown:
        choose(VOICES, language, voice)
    assert unknown.value.field == field
