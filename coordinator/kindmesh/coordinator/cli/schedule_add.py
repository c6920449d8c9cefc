"""`schedule add`: what is to be done and when, out of the words of a command line.

For a person it also signs a delegation: the schedule may do this one operation, for this purpose, for so many days, as
`goal:schedule-NAME`. The owner's own schedules need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from kindmesh.coordinator.cli.arguments import Upload, parse_arguments
from kindmesh.coordinator.cli.as_person import AsPerson, connect_as
from kindmesh.coordinator.cli.call_commands import fields_of
from kindmesh.coordinator.cli.local import upload
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.coordinator.cli.run_commands import read_plan
from kindmesh.coordinator.cli.schedule_words import changed, condition, milliseconds
from kindmesh.coordinator.heart.schedules.plan_starter import calls_in
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, format_time_id, new_id
from kindmesh.protocol.manifest import parse_effects
from kindmesh.protocol.people import Delegation, check_delegation
from kindmesh.protocol.plan import plan_from_document
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.roles import ANY, PURPOSES, Rights
from kindmesh.protocol.signed import signed_to_bytes


class Happening(msgspec.Struct, frozen=True):
    """The options about events, as they were typed."""

    on: str = ""
    where: tuple[str, ...] = ()
    change: str = ""
    lasting: str = ""
    nth: int = 1
    quiet: str = ""
    max_wait: str = ""
    leading: bool = False


class Timing(msgspec.Struct, frozen=True):
    """The options that say when, as they were typed; empty or None: not given."""

    cron: str = ""
    every: str = ""
    at: str = ""
    sunrise: str = ""
    sunset: str = ""
    tz: str = ""
    latitude: float | None = None
    longitude: float | None = None
    happening: Happening = Happening()


def timing_params(timing: Timing) -> dict[str, Any]:
    """As the coordinator takes them.

    Raises:
        InvalidInput: two ways at once, or no length of time.
    """
    params: dict[str, Any] = {}
    if timing.sunrise and timing.sunset:
        raise InvalidInput("a schedule is due in one way, not at sunrise and at sunset", field="when")
    if timing.cron:
        params["cron"] = timing.cron
    if timing.every:
        params["every_ms"] = milliseconds(timing.every, "every")
    if timing.at:
        params["at"] = timing.at
    if timing.sunrise or timing.sunset:
        params["sun"] = "sunrise" if timing.sunrise else "sunset"
        params["offset_ms"] = milliseconds(timing.sunrise or timing.sunset, params["sun"], signed=True)
    if timing.tz:
        params["zone"] = timing.tz
    event = event_params(timing.happening)
    if event:
        params["event"] = event
    place = {"latitude": timing.latitude, "longitude": timing.longitude}
    return {**params, **{name: value for name, value in place.items() if value is not None}}


def event_params(given: Happening) -> dict[str, Any]:
    """As the coordinator takes them; nothing if no topic is named.

    Raises:
        InvalidInput: options about events without a topic, or one that cannot be read.
    """
    if not given.on:
        if given != Happening():
            raise InvalidInput(
                "these options are about events, and no topic is named", field="on", hint="Add --on TOPIC."
            )
        return {}
    params: dict[str, Any] = {"topic": given.on, "every_nth": given.nth}
    params["where"] = [condition(text) for text in given.where]
    if given.change:
        params["change"] = changed(given.change)
        if given.lasting:
            params["change"]["for_ms"] = milliseconds(given.lasting, "for")
    elif given.lasting:
        raise InvalidInput(
            "--for says how long a change lasts", field="for", hint="Add --change FIELD=VALUE."
        )
    if given.quiet:
        params["quiet_ms"] = milliseconds(given.quiet, "quiet")
        params["debounce"] = "leading" if given.leading else "trailing"
    elif given.leading or given.max_wait:
        raise InvalidInput("debouncing needs a quiet time", field="quiet", hint="For instance --quiet 30s.")
    if given.max_wait:
        params["max_wait_ms"] = milliseconds(given.max_wait, "max-wait")
    return params


def run_add(
    out: Output,
    name: str,
    operation: str,
    words: Sequence[str],
    timing: Timing,
    *,
    plan: str,
    target: str,
    misfire: str,
    grace: str,
    overlap: str,
    jitter: str,
    priority: str,
    purpose: str,
    person: str,
    days: float,
) -> int:
    """Make a schedule, and say when it is due."""
    request: dict[str, Any] = {
        "name": name, "misfire": misfire, "overlap": overlap, "priority": priority,
        "purpose": purpose, **timing_params(timing),
    }  # fmt: skip
    if grace:
        request["grace_ms"] = milliseconds(grace, "grace")
    if jitter:
        request["jitter_ms"] = milliseconds(jitter, "jitter")
    if target:
        request["target"] = target
    home = Home.locate()
    with connect_as(home, person) as client:
        offers = client.call("capabilities")

        def take(path: Path) -> dict[str, Any]:
            return upload(client, path, lambda part: out.progress(f"{path.name} {part * 100:.0f} %"))

        calls = {operation}
        if plan:
            given = [operation, *words] if operation else list(words)
            calls = _plan_params(request, plan, given, take)
        elif operation:
            request["operation"] = operation
            request["args"] = parse_arguments(words, fields_of(offers, operation), take)
        else:
            raise InvalidInput(
                "what is to be done?", field="operation", hint="Name an operation, or --plan FILE."
            )
        if isinstance(client, AsPerson):
            made = _add_as(client, request, _rights(offers, calls, purpose), days)
        else:
            made = client.call("schedule.add", request)
    coming = [f"  {due['local']}{' - ' + due['why_not'] if due['why_not'] else ''}" for due in made["coming"]]
    out.result(
        {"ok": True, **made},
        f"{made['name']}: {made['when']} ({made['zone']}).",
        *(["It is due:", *coming] if coming else []),
    )
    return EXIT_DONE


def _plan_params(request: dict[str, Any], file: str, words: Sequence[str], take: Upload) -> set[str]:
    """The plan in a file and what it is given; returns the operations that it names."""
    document = read_plan(file)
    found = plan_from_document(document)
    check_plan(found, emergency=request["priority"] == "emergency")
    fields = {known: {"name": known, "type": value.type} for known, value in found.inputs.items()}
    request["plan"], request["inputs"] = document, parse_arguments(words, fields, take)
    return calls_in(found)


def _rights(offers: list[dict[str, Any]], calls: set[str], purpose: str) -> Rights:
    """These operations, with the effects that devices declare for them, for this purpose."""
    if purpose not in PURPOSES:
        raise InvalidInput(f"purpose is not one of {', '.join(PURPOSES)}", field="purpose")
    found: set[str] = set()
    for offer in offers:
        for one in offer["operations"]:
            if one["name"] in calls:
                found.update(one["effects"])
    return Rights(tuple(sorted(calls)), int(parse_effects(sorted(found))), ANY, (purpose,))


def _add_as(client: AsPerson, request: dict[str, Any], rights: Rights, days: float) -> dict[str, Any]:
    """Make it for the person who signs; a delegation that then serves nothing is taken back."""
    if any(one["name"] == request["name"] for one in client.call("schedule.list", {})):
        # Its delegation must not be replaced by one for something else.
        raise InvalidInput(
            f"you have a schedule {request['name']!r} already",
            field="name",
            hint="Choose another name, or remove it.",
        )
    delegation = _delegate(client, f"schedule-{request['name']}", rights, days)
    try:
        made: dict[str, Any] = client.call(
            "schedule.add", {**request, "acting": f"goal:schedule-{request['name']}"}
        )
    except KindmeshError:
        client.call("undelegate", {"delegation": format_time_id(delegation)})
        raise
    return made


def _delegate(signer: AsPerson, acting_id: str, rights: Rights, days: float) -> bytes:
    """Let the schedule do this one thing for the person who signs; the delegation's id."""
    now_ms = signer.call("clock")["now_ms"]
    delegation = Delegation(
        mesh=signer.person.file.mesh,
        delegation_id=new_id(now_ms, SystemEntropy().token(RANDOM_BYTES)),
        kind="goal",
        acting_id=acting_id,
        person=signer.person.certificate.person,
        rights=rights,
        issued_ms=now_ms,
        expires_ms=now_ms + int(days * 86_400_000),
    )
    check_delegation(delegation)
    signer.call("delegate", {"delegation": signed_to_bytes(signer.person.sign_delegation(delegation))})
    return delegation.delegation_id


__all__ = ["Timing", "run_add", "timing_params"]
