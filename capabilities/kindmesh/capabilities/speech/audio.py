"""Where sound comes out of this device, if anywhere: found by looking, never assumed.

In order: the program named in KINDMESH_PLAYER (it gets the file's path as its last argument), PipeWire and PulseAudio
when their socket is there, ALSA when /proc/asound/pcm lists something that plays, Termux's player, macOS's. A player
without a device, or a device without a player, is not an output; the error says which of the two is missing.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kindmesh.protocol.errors import NoAudioDevice

__all__ = ["Output", "find_output"]


@dataclass(frozen=True, slots=True)
class Output:
    """A player: its name, the command before the file's path, and what stops a player that works in the background."""

    name: str
    command: tuple[str, ...]
    stop: tuple[str, ...] = ()

    @property
    def detached(self) -> bool:
        """True when the command returns at once and the sound goes on."""
        return bool(self.stop)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _pipewire(environ: Mapping[str, str]) -> bool:
    folders = (environ.get(name) for name in ("PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR"))
    return any(_is_socket(Path(folder) / "pipewire-0") for folder in folders if folder)


def _pulse(environ: Mapping[str, str]) -> bool:
    server = environ.get("PULSE_SERVER", "")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if server.startswith(("unix:", "/")):
        return _is_socket(Path(server.removeprefix("unix:")))
    return bool(runtime) and _is_socket(Path(str(runtime)) / "pulse" / "native")


def _alsa(root: Path) -> bool:
    try:
        listed = (root / "proc/asound/pcm").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "playback" in listed and (root / "dev/snd").is_dir()


def find_output(
    environ: Mapping[str, str], *, root: Path = Path("/"), platform: str = sys.platform
) -> Output:
    """How to play a WAV file here. `root` is where the file system begins.

    Raises:
        NoAudioDevice: nothing to play with; the hint says what is missing.
    """
    path = environ.get("PATH", os.defpath)
    chosen = shlex.split(environ.get("KINDMESH_PLAYER", ""))
    if chosen:
        program = shutil.which(chosen[0], path=path)
        if program is None:
            raise NoAudioDevice(
                f"the player {chosen[0]!r} named in KINDMESH_PLAYER is not installed",
                hint="Correct KINDMESH_PLAYER.",
            )
        return Output(Path(program).name, (program, *chosen[1:]))
    here = {
        "pw-play": _pipewire(environ),
        "paplay": _pulse(environ),
        "aplay": _alsa(root),
        "termux-media-player": "TERMUX_VERSION" in environ,
        "afplay": platform == "darwin",
    }
    for name, present in here.items():
        program = shutil.which(name, path=path) if present else None
        if program is None:
            continue
        if name == "termux-media-player":
            return Output(name, (program, "play"), stop=(program, "stop"))
        return Output(name, (program, "-q") if name == "aplay" else (program,))
    wanting = [name for name, present in here.items() if present]
    if wanting:
        raise NoAudioDevice(
            "this device has sound, but no program to play it with",
            hint=f"Install one of: {', '.join(wanting)}.",
        )
    raise NoAudioDevice(
        "this device has nothing to play sound with",
        hint="Plug in a loudspeaker, or let another device say it. speech.render makes a file to take along.",
    )
