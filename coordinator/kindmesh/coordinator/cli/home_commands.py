"""What the commands `home ...` do: reads are quick calls, everything else is a job with a permit like any other."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from kindmesh.capabilities.home.home_clock import stale
from kindmesh.capabilities.home.inventory import (
    INVENTORY_MAX,
    home_from_document,
    home_from_text,
    home_to_document,
)
from kindmesh.capabilities.home.merging import difference
from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.capabilities.home.risk import NOTE, operation_for
from kindmesh.capabilities.home.scenes import Nested
from kindmesh.capabilities.home.services import SERVICES, service_of, services_of
from kindmesh.capabilities.home.telling import tell
from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.call_commands import failed_job, submit_job
from kindmesh.coordinator.cli.home_words import attributes_for, service_for
from kindmesh.coordinator.cli.local import check_target, upload
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home as Folder
from kindmesh.protocol.errors import InvalidInput, NoDeviceAble, NotInitialised, NotRunning

_TIMEOUT_MS: Final = 10_000
_SHOWN_MAX: Final = 12


class Where(NamedTuple):
    """`on`: the device that keeps the home; `person`: who asks; `ask`: whether the owner may be asked here."""

    on: str = ""
    person: str = ""
    ask: bool = False


class _Reach:
    """The home as it can be reached from here."""

    def __init__(self, client: ControlClient, where: Where) -> None:
        """Raises NoDeviceAble, InvalidInput: no device keeps a home, or several do."""
        self.client, self.where = client, where
        self.target = _keeper(client, where.on)

    def read(self, operation: str, **args: Any) -> dict[str, Any]:
        """A quick call."""
        request = {"operation": operation, "args": args, "target": self.target, "timeout_ms": _TIMEOUT_MS}
        found: dict[str, Any] = self.client.call("call", request)
        return found

    def job(self, out: Output, operation: str, args: dict[str, Any]) -> dict[str, Any]:
        """A job, waited for."""
        request = {"operation": operation, "args": args, "target": self.target, "full": False, "wait": True}
        return submit_job(out, Folder.locate(), self.client, request, self.where.ask)

    def home(self) -> tuple[Home, int]:
        """The home now, and when that is."""
        described, states = self.read("home.describe"), self.read("home.get")
        rows = {name: described[name] for name in ("floors", "areas")}
        return home_from_document({**rows, "entities": states["entities"]}), states["at_ms"]


def _keeper(client: ControlClient, on: str) -> str:
    if on:
        return on
    keepers = [
        offer for offer in client.call("capabilities") if offer["capability"] == "home" and offer["ready"]
    ]
    if not keepers:
        raise NoDeviceAble(
            "no device keeps a home", hint="kindmesh review grants it to the coordinator's device."
        )
    if len(keepers) > 1:
        names = ", ".join(offer["device_name"] for offer in keepers)
        raise InvalidInput("several devices keep a home", field="on", hint=f"Choose with --on: {names}.")
    return str(keepers[0]["device"])


def _open(where: Where) -> ControlClient:
    return connect_as(Folder.locate(), where.person)


def run_load(out: Output, where: Where, file: Path, *, dry: bool, fresh: bool) -> int:
    """Check an inventory, show what is different, and take it over."""
    wanted = home_from_text(_text_of(file))
    if dry:
        return _show_difference(out, where, wanted)
    with _open(where) as client:
        reach = _Reach(client, where)
        args: dict[str, Any] = {"fresh": True} if fresh else {}
        if file.is_file():
            # By its hash: whoever is asked for a yes sees what is different above, not hundreds of lines of values.
            args["file"] = upload(client, file, lambda part: out.progress(f"{file.name} {part * 100:.0f} %"))
        else:
            args["inventory"] = home_to_document(wanted)
        out.clear()
        lines = _difference_lines(difference(reach.home()[0], wanted)._asdict())
        for line in ["Compared with how the home is now:", *lines] if lines else []:
            out.note(line)
        return _loaded(out, reach.job(out, "home.load", args))


def run_undo(out: Output, where: Where) -> int:
    """Go back to the home before the last load."""
    with _open(where) as client:
        return _loaded(out, _Reach(client, where).job(out, "home.load", {"undo": True}))


def _show_difference(out: Output, where: Where, wanted: Home) -> int:
    before, known = Home(), True
    try:
        with _open(where) as client:
            before, _ = _Reach(client, where).home()
    except (NotInitialised, NotRunning, NoDeviceAble):
        known = False
    found = difference(before, wanted)
    value = {"ok": True, "entities": len(wanted.entities), "compared": known, **found._asdict()}
    lines = _difference_lines(value) if known else ["There is nothing here to compare it with."]
    out.result(value, f"The inventory is in order: {len(wanted.entities)} things.", *lines)
    return EXIT_DONE


def _loaded(out: Output, job: dict[str, Any]) -> int:
    if job["state"] != "succeeded":
        return failed_job(out, job)
    value = job["value"]
    lines = _difference_lines(value) or ["Nothing is different."]
    out.result({"ok": True, **job}, f"The home has {value['entities']} things now.", *lines)
    return EXIT_DONE


def _difference_lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, words in (("added", "new"), ("removed", "gone"), ("changed", "different")):
        ids = list(found[name])
        if ids:
            more = f" and {len(ids) - _SHOWN_MAX} more" if len(ids) > _SHOWN_MAX else ""
            lines.append(f"{len(ids)} {words}: {', '.join(ids[:_SHOWN_MAX])}{more}")
    return lines


def run_list(out: Output, where: Where, area: str, domain: str) -> int:
    """List things with their states."""
    with _open(where) as client:
        home, now_ms = _Reach(client, where).home()
    areas = _areas(home, area)
    found = [
        one
        for one in home.entities.values()
        if (areas is None or one.area in areas) and (not domain or one.domain == domain)
    ]
    rows = [_plain(one, now_ms) for one in found]
    widths = [
        max((len(cell) for cell in column), default=0) for column in zip(*map(_cells, found), strict=True)
    ]
    lines = ["  ".join(map(str.ljust, _cells(one), widths)).rstrip() for one in found]
    if not home.entities:
        lines = ["There is nothing in this home yet: kindmesh home load FILE."]
    out.result({"ok": True, "at_ms": now_ms, "entities": rows}, *lines)
    return EXIT_DONE


def _cells(entity: Entity) -> tuple[str, str, str, str]:
    unit = entity.attributes.get("unit_of_measurement")
    state = f"{entity.state} {unit}" if isinstance(unit, str) else entity.state
    return entity.id, state, entity.area, entity.name


def _plain(entity: Entity, now_ms: int) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(entity)
    return {**found, "stale": stale(entity, now_ms)}


def _areas(home: Home, wanted: str) -> set[str] | None:
    """Ids of the areas meant; None: all."""
    if not wanted:
        return None
    key = wanted.casefold()

    def called(one: Any) -> bool:
        return key in (one.id.casefold(), one.name.casefold(), *(name.casefold() for name in one.aliases))

    floors = {one.id for one in home.floors.values() if called(one)}
    found = {one.id for one in home.areas.values() if called(one) or one.floor in floors}
    if not found and not floors:
        names = ", ".join([*home.areas, *home.floors][:30])
        raise InvalidInput(f"there is no area {wanted[:60]!r}", field="area", hint=f"There are {names}.")
    return found


def find(home: Home, name: str) -> Entity:
    """The entity with this id, name or alias.

    Raises:
        InvalidInput: there is none, or more than one.
    """
    if name in home.entities:
        return home.entities[name]
    key = name.strip().casefold()
    found = [
        one
        for one in home.entities.values()
        if key in (one.name.casefold(), *(alias.casefold() for alias in one.aliases))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        hint = f"Say which: {', '.join(one.id for one in found[:10])}."
        raise InvalidInput(f"{name[:60]!r} is more than one thing", field="entity", hint=hint)
    hint = "kindmesh home list shows what there is."
    raise InvalidInput(f"there is no {name[:60]!r} in this home", field="entity", hint=hint)


def run_show(out: Output, where: Where, name: str) -> int:
    """Show one thing."""
    with _open(where) as client:
        home, now_ms = _Reach(client, where).home()
    entity = find(home, name)
    area = home.areas.get(entity.area)
    mine = services_of(entity)
    lines = [f"{entity.name} ({entity.id}): {entity.state}"]
    if area is not None:
        lines.append(f"in: {area.name}")
    if entity.aliases:
        lines.append(f"also called: {', '.join(entity.aliases)}")
    if entity.changed_ms:
        old = ", not heard of for long" if stale(entity, now_ms) else ""
        lines.append(f"since: {_when(entity.changed_ms)}{old}")
    lines += [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entity.attributes.items()]
    lines.append(f"services: {', '.join(mine)}" if mine else "It only tells something.")
    out.result({"ok": True, **_plain(entity, now_ms), "services": mine}, *lines)
    return EXIT_DONE


def run_set(out: Output, where: Where, name: str, word: str) -> int:
    """Make one thing so."""
    with _open(where) as client:
        reach = _Reach(client, where)
        home, _ = reach.home()
        entity = find(home, name)
        service, data = service_for(entity, word)
        return _act(out, reach, home, Nested(service, (entity.id,), data))


def run_tell(out: Output, where: Where, name: str, state: str, words: Sequence[str]) -> int:
    """Tell what a sensor says."""
    with _open(where) as client:
        reach = _Reach(client, where)
        home, _ = reach.home()
        entity = find(home, name)
        row: dict[str, Any] = {"entity": entity.id, "state": state}
        if words:
            row["attributes"] = attributes_for(entity, words)
        tell(home, [row], 0)  # what is wrong with it is said before anybody is asked
        job = reach.job(out, "home.tell", {"states": [row]})
    if job["state"] != "succeeded":
        return failed_job(out, job)
    changes = job["value"]["changes"]
    lines = [_change_line(one) for one in changes] or ["It said so already; it is fresh now."]
    out.result({"ok": True, "jobs": [job["job"]], "changes": changes}, *lines)
    return EXIT_DONE


def run_call(out: Output, where: Where, service: str, names: str, words: Sequence[str]) -> int:
    """Call a service."""
    fields = (
        {field.name: {"type": field.type} for field in SERVICES[service].fields}
        if service in SERVICES
        else {}
    )
    data = parse_arguments(words, fields, _no_files)
    with _open(where) as client:
        reach = _Reach(client, where)
        home, _ = reach.home()
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        new_timers = service == "timer.start"
        ids = [name if new_timers and name.startswith("timer.") else find(home, name).id for name in wanted]
        return _act(out, reach, home, Nested(service, tuple(ids), data))


def _no_files(path: Path) -> dict[str, Any]:
    raise InvalidInput(f"no service takes a file ({path.name})", field="data")


def _act(out: Output, reach: _Reach, home: Home, call: Nested) -> int:
    """One job for each of the three operations that the entities need."""
    service, ids, data = call
    by_operation: dict[str, list[str]] = {}
    for name in ids:
        entity = home.entities.get(name)
        if entity is not None:
            service_of(entity, service)
        needed = operation_for(entity, service, home) if entity is not None else NOTE
        by_operation.setdefault(needed, []).append(name)
    if not by_operation:
        raise InvalidInput("no entity is named", field="entities", hint="Such as light.kitchen.")
    changes: list[dict[str, Any]] = []
    jobs: list[str] = []
    for operation, names in by_operation.items():
        job = reach.job(out, operation, {"service": service, "entities": names, "data": dict(data)})
        if job["state"] != "succeeded":
            return failed_job(out, job)
        changes += job["value"]["changes"]
        jobs.append(job["job"])
    lines = [_change_line(one) for one in changes] or ["Nothing changed: it was so already."]
    out.result({"ok": True, "jobs": jobs, "changes": changes}, *lines)
    return EXIT_DONE


def _change_line(change: dict[str, Any]) -> str:
    before, after = _short(change["before"]), _short(change["after"])
    return f"{change['entity']} {change['attribute']}: {before} -> {after}"


def _short(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def run_history(out: Output, where: Where, name: str, count: int) -> int:
    """Show what changed."""
    with _open(where) as client:
        reach = _Reach(client, where)
        entity = find(reach.home()[0], name).id if name else ""
        changes = reach.read("home.history", entity=entity, count=count)["changes"]
    lines = [f"{_when(one['at_ms'])}  {_change_line(one)}  ({one['why']})" for one in changes]
    out.result({"ok": True, "changes": changes}, *(lines or ["Nothing has changed yet."]))
    return EXIT_DONE


def run_export(out: Output, where: Where, file: Path | None) -> int:
    """Write the home as an inventory."""
    from kindmesh.mesh.yaml_text import to_yaml

    if file is not None:
        check_target(file)
    with _open(where) as client:
        home, _ = _Reach(client, where).home()
    document = home_to_document(home)
    if file is None:
        out.result(document, to_yaml(document).rstrip("\n"))
        return EXIT_DONE
    temporary = file.with_name(file.name + ".part")
    try:
        temporary.write_text(to_yaml(document), encoding="utf-8")
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInput(f"{file} cannot be written: {error.strerror}", field="file") from error
    value = {"ok": True, "path": str(file), "entities": len(home.entities)}
    out.result(value, f"Wrote {len(home.entities)} things to {file}.")
    return EXIT_DONE


def _text_of(file: Path) -> str:
    try:
        if file.is_file() and file.stat().st_size > 4 * INVENTORY_MAX:
            raise InvalidInput(f"{file} is too large for an inventory", field="file")
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidInput(f"{file} cannot be read: {why}", field="file") from error


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


__all__ = [
    "Where", "find", "run_call", "run_export", "run_history", "run_list", "run_load", "run_set", "run_show", "run_tell",
    "run_undo",
]  # fmt: skip
