"""Which of several things is meant: the one that is in a state that the intent speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PREFERRED: Final[Mapping[str, tuple[str, ...]]] = {
    "HassMediaPause": ("playing",),
    "HassMediaStop": ("playing", "paused"),
    "HassMediaUnpause": ("paused",),
    "HassMediaShuffle": ("playing",),
    "HassMediaUnshuffle": ("playing",),
    "HassMediaNext": ("playing",),
    "HassMediaPrevious": ("playing",),
    "HassSetVolume": ("playing",),
    "HassSetVolumeRelative": ("playing",),
    "HassMediaPlayerMute": ("playing",),
    "HassMediaPlayerUnmute": ("playing",),
    "HassVacuumReturnToBase": ("cleaning", "paused"),
    "HassVacuumPause": ("cleaning",),
    "HassVacuumStop": ("cleaning",),
    "HassStopMoving": ("opening", "closing"),
}
"""States that single out the one that is meant."""

__all__ = ["PREFERRED"]
