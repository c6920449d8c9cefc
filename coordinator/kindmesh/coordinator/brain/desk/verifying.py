"""What was really done, entity by entity: what the steps reported, held against the home as it was read back. Pure.

    verified    the step succeeded, and the home read back has what the step said it changed
    differs     the step succeeded, and the home says something else now
    silent      nobody did it in time, or nobody could be asked afterwards
    uncertain   it may or may not have happened; nobody can know
    refused     it was refused, or went wrong, with the reason
    unasked     it was not begun, since something before it did not work or nobody said yes

Only what is verified is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from kindmesh.capabilities.home.model import Change, Home
from kindmesh.coordinator.brain.desk.applying import net
from kindmesh.coordinator.brain.desk.routing import entities_of
from kindmesh.coordinator.brain.desk.wording import (
    Said,
    ended,
    left,
    no_answer,
    not_changed,
    state_sentence,
    the,
    uncertain,
)
from kindmesh.coordinator.heart.runs.run_words import ITEM_ENDED
from kindmesh.protocol.plan import Plan

Outcome = Literal["verified", "differs", "silent", "uncertain", "refused", "unasked"]
NEEDS_YES: Final = "NEEDS_APPROVAL"
"""The error's code."""
UNAVAILABLE: Final = "unavailable"
"""The state of what a home cannot reach."""
_LISTS: Final = ("todo.", "list.")
_NOBODY: Final = frozenset({"DEADLINE_EXCEEDED", "NO_DEVICE_ABLE", "PEER_UNREACHABLE"})


class Finding(msgspec.Struct, frozen=True):
    """What became of one entity; `why` for what was refused."""

    entity: str
    outcome: Outcome
    why: str = ""


class Verified(msgspec.Struct, frozen=True):
    """All of it; `changes` are those that were verified."""

    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def all_good(self) -> bool:
        """Whether everything that was asked for now is so."""
        return all(one.outcome == "verified" for one in self.findings)

    @property
    def any_good(self) -> bool:
        """Whether something of it is so."""
        return any(one.outcome == "verified" for one in self.findings)


def lacks_yes(items: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a step was not done because nobody said yes in time."""
    return any((item.get("error") or {}).get("code") == NEEDS_YES for item in items)


def reported(items: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The net changes that steps which succeeded report; of what is no report, none."""
    found: list[Change] = []
    for item in items:
        output = item.get("output")
        changes = output.get("changes") if isinstance(output, dict) and item["state"] == "succeeded" else None
        found += [
            Change(str(one["entity"]), str(one["attribute"]), one.get("before"), one.get("after"))
            for one in (changes if isinstance(changes, list) else ())
            if isinstance(one, dict) and {"entity", "attribute"} <= one.keys()
        ]
    return net(found)


def verify(
    plan: Plan,
    items: Sequence[Mapping[str, Any]],
    home: Home,
    read: frozenset[str],
    now: frozenset[str],
    *,
    given_up: bool = False,
) -> Verified:
    """Hold what the run's items (`run_documents`) say against `home`; `read`: entities that were read back, `now`: ids
    of the steps that begin at once; `given_up`: the run was called off because nothing moved any more."""
    changes = reported(items)
    wanted: dict[str, list[Change]] = {}
    for change in changes:
        wanted.setdefault(change.entity, []).append(change)
    by_step = {item["step"]: item for item in items}
    findings: dict[str, Finding] = {}
    for step in plan.steps:
        if step.id not in now or not step.call:
            continue
        item = by_step.get(step.id)
        outcome, why = _step_outcome(item)
        if given_up and item is not None and item["state"] not in ITEM_ENDED:
            outcome = "uncertain"
        elif given_up and outcome == "unasked" and item is not None and not lacks_yes([item]):
            outcome, why = "silent", ""
        named = entities_of(step) or sorted(
            {one.entity for one in changes if item is not None and _says(item, one.entity)}
        )
        for entity in named or ([] if outcome == "verified" else [step.id]):
            found = Finding(entity, outcome, why)
            if outcome == "verified":
                found = _look(entity, wanted.get(entity, []), home, read)
            before = findings.get(entity)
            if before is None or before.outcome == "verified":
                findings[entity] = found
    good = {one.entity for one in findings.values() if one.outcome == "verified"}
    return Verified(tuple(findings.values()), tuple(one for one in changes if one.entity in good))


def _says(item: Mapping[str, Any], entity: str) -> bool:
    return any(change.entity == entity for change in reported([item]))


def _look(entity: str, changes: list[Change], home: Home, read: frozenset[str]) -> Finding:
    known = home.entities.get(entity)
    if (entity not in read and changes) or (known is not None and known.state == UNAVAILABLE):
        return Finding(entity, "silent")
    for change in changes:
        seen = (
            None
            if known is None
            else known.state
            if change.attribute == "state"
            else known.attributes.get(change.attribute)
        )
        if not _holds(entity, change, seen):
            return Finding(entity, "differs")
    return Finding(entity, "verified")


def _holds(entity: str, change: Change, seen: Any) -> bool:
    """Whether the home has what the step changed. Of a list that is what it put there or took away: others may write
    on it at the same time, and how many things stand there (the state of a list) is no promise of this step."""
    if seen == change.after or (change.attribute == "state" and entity.startswith(_LISTS)):
        return True
    if not all(isinstance(one, list) for one in (change.before or [], change.after or [], seen)):
        return False
    before, after = change.before or [], change.after or []
    put, taken = [one for one in after if one not in before], [one for one in before if one not in after]
    return all(one in seen for one in put) and not any(one in seen for one in taken)


def _step_outcome(item: Mapping[str, Any] | None) -> tuple[Outcome, str]:
    if item is None:
        return "unasked", ""
    state, error = item["state"], item.get("error") or {}
    if state in ("succeeded", "skipped"):
        return "verified", ""
    if state == "uncertain":
        return "uncertain", ""
    if state in ("failed", "cancelled") and error.get("code", "") in _NOBODY:
        return "silent", ""
    if error.get("code") == NEEDS_YES:
        return "unasked", ""
    if state == "failed":
        return "refused", str(error.get("message", ""))
    return "unasked", str(error.get("message", ""))


def finding_parts(verified: Verified, home: Home) -> tuple[Said, ...]:
    """What to say when not all is good: each thing by name. Safety wording."""
    return tuple(Said(_sentence(one, home), "safety") for one in verified.findings)


def _sentence(finding: Finding, home: Home) -> str:
    named = finding.entity
    if finding.outcome == "verified":
        return state_sentence(home, named)
    if finding.outcome == "differs":
        return f"{the(home.entities.get(named), named)} was told, but {_but(home, named)}"
    if finding.outcome == "silent":
        return no_answer(home, named)
    if finding.outcome == "uncertain":
        return uncertain(home, named)
    if finding.outcome == "refused":
        return not_changed(home, named, finding.why or "it did not work")
    why = f" {ended(finding.why)}" if finding.why else ""
    return f"{left(home, named)}{why}"


def _but(home: Home, named: str) -> str:
    entity = home.entities.get(named)
    if entity is None or entity.state in ("unknown", "unavailable", ""):
        return "I do not know how it is now."
    return f"it says {entity.state.replace('_', ' ')}."


__all__ = ["Finding", "Outcome", "Verified", "finding_parts", "lacks_yes", "reported", "verify"]
