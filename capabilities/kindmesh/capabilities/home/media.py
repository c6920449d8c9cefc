"""Media players: playing, volume, sources.

Volume is 0..1. A player that never told its volume starts at a half; the next and the previous piece are counted in
`media_track`. Source: https://www.home-assistant.io/integrations/media_player/.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import (
    Data,
    Run,
    Service,
    amend,
    cannot,
    choice,
    known,
    measure,
    number,
    table,
    tidy,
    truth,
    word,
)

_PIECE: Final = (
    "media_content_id",
    "media_content_type",
    "media_title",
    "media_artist",
    "media_album_name",
    "media_track",
    "media_position",
    "media_duration",
)


def _set(state: str) -> Run:
    def run(entity: Entity, data: Data, now_ms: int) -> Entity:
        return amend(entity, {}, state)

    return run


def _pause(entity: Entity, data: Data, now_ms: int) -> Entity:
    """Only what plays can be paused."""
    return amend(entity, {}, "paused") if entity.state in ("playing", "buffering", "on") else entity


def _play_pause(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, "paused" if entity.state == "playing" else "playing")


def _stop(entity: Entity, data: Data, now_ms: int) -> Entity:
    if entity.state in ("off", "standby"):
        return entity
    return amend(entity, {}, "idle", _PIECE)


def _turn_off(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, "off", _PIECE)


def _turn_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, "on") if entity.state in ("off", "standby", "unknown") else entity


def _toggle(entity: Entity, data: Data, now_ms: int) -> Entity:
    off = entity.state in ("off", "standby", "unknown")
    return (_turn_on if off else _turn_off)(entity, data, now_ms)


def _track(entity: Entity, by: int) -> Entity:
    track = max(1, int(measure(entity, "media_track", 1)) + by)
    told: dict[str, Any] = {"media_track": track}
    if known(entity, "media_position"):
        told["media_position"] = 0
    return amend(entity, told)


def _next(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _track(entity, 1)


def _previous(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _track(entity, -1)


def _volume(entity: Entity, level: float) -> Entity:
    return amend(entity, {"volume_level": tidy(round(min(1.0, max(0.0, level)), 2))})


def _volume_set(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _volume(entity, data["volume_level"])


def _louder(entity: Entity, direction: int) -> Entity:
    step = measure(entity, "volume_step", 0.1)
    return _volume(entity, measure(entity, "volume_level", 0.5) + direction * step)


def _volume_up(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _louder(entity, 1)


def _volume_down(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _louder(entity, -1)


def _mute(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"is_volume_muted": data["is_volume_muted"]})


def _play_media(entity: Entity, data: Data, now_ms: int) -> Entity:
    told = {
        "media_content_id": data["media_content_id"],
        "media_content_type": data["media_content_type"],
        "media_title": data["media_content_id"],
    }
    return amend(entity, told, "playing", _PIECE)


def _source(entity: Entity, data: Data, now_ms: int) -> Entity:
    told = {"source": choice(entity, data["source"], "source_list", "source")}
    return amend(entity, told, "on" if entity.state in ("off", "standby", "unknown") else None)


def _sound_mode(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"sound_mode": choice(entity, data["sound_mode"], "sound_mode_list", "sound_mode")})


def _shuffle(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"shuffle": data["shuffle"]})


def _repeat(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"repeat": data["repeat"]})


def _seek(entity: Entity, data: Data, now_ms: int) -> Entity:
    if entity.state not in ("playing", "paused"):
        raise cannot(entity, "jump to a place: nothing plays")
    return amend(entity, {"media_position": tidy(data["seek_position"])})


_P: Final = "media_player."
_WHAT: Final = (
    word("media_content_id", "what to play: an address, or words to look for", required=True, most=2_000),
    word("media_content_type", "music, playlist, tvshow, channel ...", required=True),
    word("enqueue", "", choices=("play", "next", "add", "replace")),
    truth("announce", "", required=False),
)
MEDIA: Final = table(
    Service(_P + "turn_on", "Switch on", _turn_on, feature=128),
    Service(_P + "turn_off", "Switch off", _turn_off, feature=256),
    Service(_P + "toggle", "The other way", _toggle, idempotent=False),
    Service(_P + "media_play", "Play", _set("playing"), feature=16_384),
    Service(_P + "media_pause", "Pause", _pause, feature=1),
    Service(_P + "media_play_pause", "Play or pause", _play_pause, feature=1 | 16_384, idempotent=False),
    Service(_P + "media_stop", "Stop", _stop, feature=4_096),
    Service(_P + "media_next_track", "The next piece", _next, feature=32, idempotent=False),
    Service(_P + "media_previous_track", "The piece before", _previous, feature=16, idempotent=False),
    Service(
        _P + "volume_set",
        "Set the volume",
        _volume_set,
        (number("volume_level", "0 to 1", 0, 1, required=True),),
        4,
    ),
    Service(_P + "volume_up", "Louder", _volume_up, feature=4 | 1_024, idempotent=False),
    Service(_P + "volume_down", "Quieter", _volume_down, feature=4 | 1_024, idempotent=False),
    Service(_P + "volume_mute", "Mute", _mute, (truth("is_volume_muted", "whether"),), 8),
    Service(_P + "play_media", "Play this", _play_media, _WHAT, 512),
    Service(
        _P + "select_source",
        "Choose the source",
        _source,
        (word("source", "one of source_list", required=True),),
        2_048,
    ),
    Service(
        _P + "select_sound_mode",
        "Choose the sound",
        _sound_mode,
        (word("sound_mode", "one of sound_mode_list", required=True),),
        65_536,
    ),
    Service(_P + "shuffle_set", "Shuffle", _shuffle, (truth("shuffle", "whether"),), 32_768),
    Service(
        _P + "repeat_set",
        "Repeat",
        _repeat,
        (word("repeat", "off, one, all", required=True, choices=("off", "one", "all")),),
        262_144,
    ),
    Service(
        _P + "media_seek",
        "Jump there",
        _seek,
        (number("seek_position", "seconds", 0, 1e6, required=True),),
        2,
    ),
)

__all__ = ["MEDIA"]
