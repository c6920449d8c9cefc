"""Settings: defaults, then `config.toml`, then the environment; frozen, and every mistake named where it was made.

Sections and keys are the fields of the structs below; that is all there is. An unknown section or key, a value of the
wrong type or out of range is a `ConfigError` that says file and line (or the variable), and what was probably meant.
`KINDMESH_<SECTION>_<KEY>` overrides the file: text as it is, numbers and true/false as words, lists separated by
commas. Without a file everything has its default, so a device needs none. The coordinator reads the same file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from kindmesh.protocol.errors import ConfigError
from kindmesh.protocol.limits import NAME_MAX

T = TypeVar("T")

CONFIG_MAX: Final = 262_144
"""Bytes of a configuration file."""
AREA_MAX: Final = 80
"""Characters of where a device stands: what an utterance has room for."""
_PREFIX: Final = "KINDMESH_"
_ADDRESS: Final = re.compile(r"[^\s/]+:\d{1,5}")


class DeviceSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[device]`: `name` is what people call it; empty: the host's name. `area` is where it stands, in the words of the
    home's inventory ("Kitchen"), so that what is said here means that place; empty: nowhere in particular."""

    name: str = ""
    area: str = ""


class MeshSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[mesh]`: `listen` and `port` (0: any free one) of the coordinator's mesh socket; `advertise` lists the
    `host:port` addresses that other devices should use (empty: found out); `seeds` are `host:port` addresses where
    the coordinator may be; `mdns` announces and looks around on the local network; `papers` gives the mesh's public
    papers (who decides, who was removed) at the mesh port + 2, so that devices find a coordinator with new keys."""

    listen: str = "0.0.0.0"  # noqa: S104 - only members of the mesh get past the transport's keys
    port: int = 7437
    advertise: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    mdns: bool = True
    papers: bool = True


class NodeSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[node]`: `capabilities` offered (empty: all that are installed), less those `disabled`; `concurrency` jobs at
    once, of which `emergency_reserve` are kept free for emergencies; `grace_ms` is how long running jobs may take to
    finish when the node is told to end; `keep_days` is how long results are kept after they were taken (a day at
    least); `folders` outside the state folder may be used by its capabilities where the node is confined (beside
    Medulla)."""

    capabilities: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    concurrency: int = 128
    emergency_reserve: int = 8
    grace_ms: int = 5_000
    keep_days: int = 7
    artifacts_mib: int = 4_096
    folders: tuple[str, ...] = ()


class HeartSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[heart]` of the coordinator: finished jobs are kept for `keep_days`, and at most the newest `keep_jobs`; then
    they are removed, and the key of what they were given and gave is destroyed. What is not over is never removed:
    open jobs, and those of which nobody knows yet whether they happened."""

    keep_days: int = 30
    keep_jobs: int = 100_000


class HouseholdSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[household]`: where this home is, for schedules. `timezone` as region/city (empty: this machine's own);
    `latitude` and `longitude` in degrees north and east decide when the sun rises and sets (both 0: not known)."""

    timezone: str = ""
    latitude: float = 0.0
    longitude: float = 0.0


class MedullaSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[medulla]`: how it is kept apart; `auto` takes the strongest that this system offers."""

    isolation: Literal["auto", "uid", "landlock", "none"] = "auto"


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: how much goes to standard error, and as what; `auto` is `human` at a terminal, else `json`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "human"] = "auto"


class AuditSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[audit]`: `anchor` is a folder, best on another disk or machine, where the coordinator leaves the newest signed
    heads of all audit logs once an hour (empty: nowhere)."""

    anchor: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sections; see the module."""

    device: DeviceSection = DeviceSection()
    mesh: MeshSection = MeshSection()
    node: NodeSection = NodeSection()
    heart: HeartSection = HeartSection()
    household: HouseholdSection = HouseholdSection()
    medulla: MedullaSection = MedullaSection()
    log: LogSection = LogSection()
    audit: AuditSection = AuditSection()


_RANGES: Final[dict[tuple[str, str], tuple[int, int]]] = {
    ("mesh", "port"): (0, 65_535),
    ("node", "concurrency"): (1, 10_000),
    ("node", "emergency_reserve"): (0, 1_000),
    ("node", "grace_ms"): (0, 600_000),
    ("node", "keep_days"): (0, 3_650),
    ("node", "artifacts_mib"): (1, 16_777_216),
    ("heart", "keep_days"): (1, 3_650),
    ("heart", "keep_jobs"): (1, 100_000_000),
    ("household", "latitude"): (-90, 90),
    ("household", "longitude"): (-180, 180),
}
_ADDRESSES: Final = frozenset({("mesh", "advertise"), ("mesh", "seeds")})
_SECTIONS: Final[dict[str, type[msgspec.Struct]]] = get_type_hints(Config)


def load_config(path: Path | None, env: Mapping[str, str]) -> Config:
    """The settings out of `path` (None or missing: defaults), overridden by `env`.

    Raises:
        ConfigError: what is wrong, where, and what was probably meant.
    """
    text = _read(path) if path is not None else ""
    found: dict[str, dict[str, Any]] = {}
    if text and path is not None:
        for section, values in _parse(path, text).items():
            fields = _section_fields(section, f"{path}, line {_line(text, section)}")
            if not isinstance(values, dict):
                raise ConfigError(
                    f"{path}, line {_line(text, section)}: {section} is a section",
                    hint=f"Write [{section}] on a line of its own, its settings below.",
                    field=section,
                )
            for key, value in values.items():
                where = f"{path}, line {_line(text, section, key)}"
                type_ = fields[_known(section, key, fields, where)]
                found.setdefault(section, {})[key] = _checked(section, key, value, type_, where)
    for section, key, value in _from_environment(env):
        found.setdefault(section, {})[key] = value
    config = msgspec.convert(found, Config)
    if config.node.emergency_reserve >= config.node.concurrency:
        raise ConfigError(
            f"node.emergency_reserve ({config.node.emergency_reserve}) leaves nothing of"
            f" node.concurrency ({config.node.concurrency})",
            hint="Reserve less than there is.",
            field="node.emergency_reserve",
        )
    return config


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > CONFIG_MAX:
            raise ConfigError(f"{path} is larger than {CONFIG_MAX} bytes", hint="Is it the right file?")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: this is not UTF-8 text", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - only devices that have a file pay for its parser

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = re.search(r"\(at line (\d+), column (\d+)\)", message)
        line = int(at[1]) if at else text.count("\n") + 1
        what = re.sub(r"\s*\(at .*\)$", "", message)
        shown = text.splitlines()[line - 1].strip()[:60] if line <= len(text.splitlines()) else ""
        raise ConfigError(
            f"{path}, line {line}: {what[:1].lower()}{what[1:]}",
            hint=f'The line is: {shown}   Text goes in quotes: name = "kitchen".' if shown else "",
        ) from error


def _line(text: str, section: str, key: str = "") -> int:
    """The line on which a section begins, or on which its key is; 1 when it is written in an unusual way."""
    inside, at = False, 1
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].strip()
        if words.startswith("["):
            inside = words.strip("[] \t\"'") == section
            at = number if inside else at
            if inside and not key:
                return number
        name = words.split("=", 1)[0].strip().strip("\"'") if "=" in words else ""
        if name == f"{section}.{key}" or (inside and key and name == key) or (not key and name == section):
            return number
    return at


def _nearest(word: str, known: list[str]) -> str:
    import difflib  # noqa: PLC0415 - only for the mistake

    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    listed = ", ".join(known)
    return f"Did you mean {close[0]}? There is: {listed}." if close else f"There is: {listed}."


def _section_fields(section: str, where: str) -> dict[str, Any]:
    struct = _SECTIONS.get(section)
    if struct is None:
        raise ConfigError(
            f"{where}: there is no section [{section[:40]}]",
            hint=_nearest(section, list(_SECTIONS)),
            field=section[:40],
        )
    return get_type_hints(struct)


def _known(section: str, key: str, fields: Mapping[str, Any], where: str) -> str:
    if key not in fields:
        raise ConfigError(
            f"{where}: [{section}] has no setting {key[:40]!r}",
            hint=_nearest(key, list(fields)),
            field=f"{section}.{key[:40]}",
        )
    return key


def _checked(section: str, key: str, value: Any, type_: Any, where: str) -> Any:
    try:
        converted = msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{where}: {key} should be {_describe(type_)}, not {value!r}"[:300],
            hint=_example(section, key),
            field=f"{section}.{key}",
        ) from error
    low, high = _RANGES.get((section, key), (None, None))
    if low is not None and high is not None and not low <= converted <= high:
        raise ConfigError(
            f"{where}: {key} is {converted}",
            hint=f"It goes from {low} to {high}.",
            field=f"{section}.{key}",
        )
    if (section, key) in _ADDRESSES:
        for address in converted:
            if not _ADDRESS.fullmatch(address):
                raise ConfigError(
                    f"{where}: {address[:60]!r} in {key} is not an address",
                    hint="Write host:port, for example 192.168.1.20:7437.",
                    field=f"{section}.{key}",
                )
    if (section, key) == ("device", "name") and len(converted) > NAME_MAX:
        raise ConfigError(f"{where}: a name has at most {NAME_MAX} characters", field="device.name")
    if (section, key) == ("device", "area") and not is_area(converted):
        raise ConfigError(
            f"{where}: an area has at most {AREA_MAX} characters that can be shown",
            hint='Like area = "Kitchen", as it is called in your home.',
            field="device.area",
        )
    return converted


def is_area(text: str) -> bool:
    """Whether an area of a home can be called so; empty: none."""
    return len(text) <= AREA_MAX and text.isprintable()


def _describe(type_: Any) -> str:
    if get_origin(type_) is Literal:
        return "one of " + ", ".join(get_args(type_))
    if get_origin(type_) is tuple:
        return "a list of texts"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[type_]


def _example(section: str, key: str) -> str:
    default = getattr(_SECTIONS[section](), key)
    shown = list(default) if isinstance(default, tuple) else default
    return f"For example: {key} = {msgspec.json.encode(shown).decode()}"


def _from_environment(env: Mapping[str, str]) -> list[tuple[str, str, Any]]:
    found = []
    for variable in sorted(env):
        section, _, key = variable.removeprefix(_PREFIX).lower().partition("_")
        if not variable.startswith(_PREFIX) or section not in _SECTIONS or not key:
            continue
        fields = _section_fields(section, variable)
        type_ = fields[_known(section, key, fields, variable)]
        found.append(
            (section, key, _checked(section, key, _from_text(env[variable], type_), type_, variable))
        )
    return found


def _from_text(text: str, type_: Any) -> Any:
    """What a variable's text stands for; text that does not fit is left as it is, for `_checked` to name."""
    if type_ is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            text.lower(), text
        )
    if type_ is int:
        return int(text) if re.fullmatch(r"-?\d{1,12}", text) else text
    if type_ is float:
        return float(text) if re.fullmatch(r"-?\d{1,6}(\.\d{1,12})?", text) else text
    if get_origin(type_) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


__all__ = [
    "AREA_MAX",
    "AuditSection",
    "Config",
    "DeviceSection",
    "HouseholdSection",
    "LogSection",
    "MedullaSection",
    "MeshSection",
    "NodeSection",
    "is_area",
    "load_config",
]
