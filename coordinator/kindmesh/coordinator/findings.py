"""What `doctor` learns from the coordinator: Medulla's isolation, missing devices, skewed clocks, old trust."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import CLOCK_SKEW_MS

DAY_MS: Final = 86_400_000
_COUNTED: Final = 100
_ISOLATION: Final = {
    "uid": ("ok", "Medulla runs under a user of its own.", ""),
    "landlock": (
        "ok",
        "Medulla cannot be looked into, and the coordinator is confined (Landlock). Other programs of this user can "
        "still read its key files.",
        "Start kindmesh up as root to give Medulla a user of its own.",
    ),
    "none": (
        "warn",
        "Medulla is not isolated (isolation: none), so nothing beyond read and notify is allowed.",
        "Run the coordinator on Linux 5.13 or newer with Landlock, or start it as root.",
    ),
}


def _finding(check: str, level: str, message: str, hint: str = "") -> dict[str, str]:
    return {"check": check, "level": level, "message": message, "hint": hint}


async def coordinator_findings(
    heart: Heart,
    trust: Trust,
    medulla: MedullaClient,
    hub: Hub,
    audit: Sequence[tuple[str, str, str]] = (),
    *,
    papers_problem: str = "",
    returning: int = 0,
) -> list[dict[str, Any]]:
    """A list of `{check, level, message, hint}`, level one of ok, warn, fail."""
    found = [_finding("coordinator", "ok", f"Listens at {hub.address}.")]
    try:
        status = await medulla.status()
    except KindmeshError as error:
        hint = error.hint or "kindmesh up restarts it by itself; its log says why it ended."
        found.append(
            _finding("medulla", "fail", f"{error.message}; nothing new is permitted meanwhile.", hint)
        )
    else:
        level, message, hint = _ISOLATION[status.isolation]
        found.append(_finding("medulla", level, message, hint))
    age_ms = time.time_ns() // 1_000_000 - trust.membership.revocations_issued_ms
    if age_ms > DAY_MS:
        hint = "Is Medulla running? Is this device's clock right?"
        found.append(
            _finding("revocations", "warn", "The list of removed devices is older than a day.", hint)
        )
    found.append(_about_journal(heart))
    found += [_finding("audit", level, message, hint) for level, message, hint in audit]
    if returning:
        hint = "Let them in, or send them away: kindmesh recover --waiting"
        message = f"{returning} of the mesh's former devices wait to be let in again."
        found.append(_finding("recovery", "warn", message, hint))
    if papers_problem:
        hint = "Devices find a coordinator whose keys changed by its papers. Free that port, or choose another one."
        found.append(_finding("papers", "warn", papers_problem, hint))
    if trust.is_retired:
        hint = "Switch this one off; its devices belong to the new one."
        found.append(
            _finding(
                "replaced", "fail", "This coordinator was replaced by one made from the recovery kit.", hint
            )
        )
    found += _about_jobs(heart)
    found += _about_members(heart, hub)
    found += _about_nodes(heart)
    for offer in heart.devices.capabilities():
        if offer["here"] and not offer["ready"]:
            check = f"{offer['capability']} on {offer['device_name']}"
            found.append(_finding(check, "warn", "Cannot run there now.", offer["hint"]))
    return found


def _about_jobs(heart: Heart) -> list[dict[str, Any]]:
    """Jobs that wait for a person, and what could not be delivered."""
    found = []
    waiting = heart.settler.unsettled(_COUNTED)
    if waiting:
        count = f"{len(waiting)}{' or more' if len(waiting) == _COUNTED else ''}"
        said = f"{count} jobs may or may not have happened."
        found.append(
            _finding("uncertain", "warn", said, "Look whether they did, then say so: kindmesh review")
        )
    for name, operation, why in heart.devices.breakers(time.time_ns() // 1_000_000):
        found.append(
            _finding(
                f"{operation} on {name}", "warn", f"Passed over: it {why}.", f"The log of {name} says more."
            )
        )
    counts = heart.letters.counts()
    if counts:
        said = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        found.append(
            _finding(
                "dead letters",
                "warn",
                f"Could not be delivered or done: {said}.",
                "kindmesh jobs dead lists them.",
            )
        )
    for kind, (times, _) in heart.letters.overflow().items():
        said = f"{times} dead letters ({kind}) had to make room for newer ones and are gone."
        found.append(
            _finding("dead letters", "warn", said, "Deal with those that are there: kindmesh jobs dead")
        )
    return found


def _about_members(heart: Heart, hub: Hub) -> list[dict[str, Any]]:
    """Copied identities, and members that send too much."""
    found = []
    for device in sorted(hub.cloned):
        name = heart.devices.name(device)
        said = "Two devices use its identity, so both may only read and notify."
        found.append(_finding(name, "fail", said, "kindmesh review asks what shall be done."))
    for device, count in sorted(hub.floods().items()):
        said = f"It sent more than one device may; {count} of its messages were not looked at."
        hint = "Does a program run wild on it? Restart it, or remove it with kindmesh revoke."
        found.append(_finding(heart.devices.name(device), "warn", said, hint))
    return found


def _about_journal(heart: Heart) -> dict[str, Any]:
    """How much the journal holds."""
    kept = heart.retention.statistics()
    days = kept["keep_days"]
    message = (
        f"{kept['jobs']} jobs take {kept['bytes'] / 1024**2:.1f} MiB. Finished ones are kept for"
        f" {days} day{'' if days == 1 else 's'}, and at most {kept['keep_jobs']}."
    )
    return _finding("journal", "ok", message)


def _about_nodes(heart: Heart) -> list[dict[str, Any]]:
    """Each device: its clock, its certificate, whether it is there."""
    found = []
    for node in heart.devices.nodes():
        name = node["name"]
        if abs(node["skew_ms"]) > CLOCK_SKEW_MS // 2:
            off = f"Its clock is {node['skew_ms'] / 1000:+.0f} s off."
            found.append(_finding(name, "warn", off, "Set its clock, or let it use NTP."))
        if node["certificate"] != "current":
            hint = f"It renews by itself when {name} and this coordinator talk; until then it only passes on alerts."
            found.append(_finding(name, "warn", "Its certificate has ended; it renews.", hint))
        if node["draining"]:
            hint = f"kindmesh drain {name} --undo, if it shall have jobs again."
            found.append(_finding(name, "ok", f"Gets no new jobs: {node['draining']}.", hint))
        if node["state"] == "alive":
            found.append(_finding(name, "ok", "Alive."))
        elif node["state"] == "unknown":
            found.append(_finding(name, "warn", "Was not heard of yet.", f"Run kindmesh up on {name}."))
        else:
            found.append(
                _finding(name, "warn", f"It is {node['state']}.", f"Is {name} on, and in the same network?")
            )
    return found


__all__ = ["coordinator_findings"]
