"""Yeses that last, between people and Medulla: control methods that pass them on, and how one is made.

    standing.add    a signed standing approval, made out of an open question      carries its own authority
    standing.agree  a signed yes to a routine, made out of what Medulla laid before the person    likewise
    standing.list   those in force, with what was used of them                    the owner; a person: their own
    standing.end    end one                                                       the owner; a person: their own

Nothing here can widen anything: what is added is signed by the approving person, and Medulla judges it; ending one only
narrows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kindmesh.coordinator.brain.medulla.approval_messages import (
    EndStanding,
    RoutineState,
    Stand,
    Standings,
    StandingState,
    StandingsWanted,
)
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.routine_messages import Agree
from kindmesh.coordinator.params import Params
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import InvalidInput, KindmeshError, UnknownJob
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.principal import Principal, describe_principal
from kindmesh.protocol.routine import RoutineApproval, describe_routine
from kindmesh.protocol.signed import signed_from_bytes
from kindmesh.protocol.standing import DAY_MS, StandingApproval, describe_standing

_Emit = Callable[[Any], None]


class LastingDesk:
    """See the module; holds no state."""

    def __init__(self, medulla: MedullaClient, trust: Trust) -> None:
        self._medulla = medulla
        self._trust = trust

    def methods(self) -> dict[str, Callable[[Params, _Emit, Principal], Awaitable[Any]]]:
        """For the coordinator's table."""
        return {
            "standing.add": self._add,
            "standing.agree": self._agree,
            "standing.list": self._list,
            "standing.end": self._end,
        }

    async def _add(self, params: Params, emit: _Emit, who: Principal) -> Any:
        signed = signed_from_bytes(params.data("standing"))
        found = await self._medulla.call("stand", Stand(signed), Standings)
        return {"ok": True, "in_force": len(found.standings)}

    async def _agree(self, params: Params, emit: _Emit, who: Principal) -> Any:
        signed = signed_from_bytes(params.data("approval"))
        found = await self._medulla.call("agree", Agree(signed), Standings)
        return {"ok": True, "in_force": len(found.routines)}

    async def _list(self, params: Params, emit: _Emit, who: Principal) -> Any:
        found = await self._medulla.call("standings", StandingsWanted(), Standings)
        return [
            *(document(one) for one in found.standings if self._may_end(one.author, who)),
            *(routine_document(one) for one in found.routines if self._may_end(one.author, who)),
        ]

    async def _end(self, params: Params, emit: _Emit, who: Principal) -> Any:
        named = params.text("id").strip().lower()
        found = await self._medulla.call("standings", StandingsWanted(), Standings)
        ids = [_open(one).standing_id for one in found.standings if self._may_end(one.author, who)]
        ids += [_routine(one).asked().request_id for one in found.routines if self._may_end(one.author, who)]
        fitting = [id_ for id_ in ids if named and format_time_id(id_).startswith(named)]
        if not fitting:
            raise UnknownJob(
                f"no such yes begins with {named[:26]}", hint="kindmesh review grants lists them."
            )
        if len(fitting) > 1:
            some = ", ".join(format_time_id(id_) for id_ in fitting[:3])
            raise InvalidInput("several begin so", field="id", hint=f"Like {some}.")
        await self._medulla.call("unstand", EndStanding(fitting[0]), Standings)
        return {"ok": True, "id": format_time_id(fitting[0])}

    def _may_end(self, author: bytes, who: Principal) -> bool:
        if who.kind == "owner":
            return True
        if who.kind != "person":
            return False
        try:
            person = self._trust.membership.get(author).person
        except KindmeshError:
            return False
        return bool(person) and format_id(person) == who.id


def _open(state: StandingState) -> StandingApproval:
    """Its contents; Medulla has checked the signature."""
    return decode(StandingApproval, state.standing.payload, limit=ROSTER_MAX)


def document(state: StandingState) -> dict[str, Any]:
    """As plain data, for people's programs."""
    standing = _open(state)
    question = standing.question()
    return {
        "id": format_time_id(standing.standing_id),
        "kind": standing.kind,
        "operation": question.operation,
        "device": question.target_name,
        "principal": describe_principal(question.principal),
        "purpose": question.purpose,
        "args": decode_value(question.args),
        "free": list(standing.free),
        "by": state.name,
        "issued_ms": standing.issued_ms,
        "expires_ms": standing.expires_ms,
        "times": standing.times,
        "per_ms": standing.per_ms,
        "used": state.used,
        "amount": {"name": standing.amount, "each": standing.each, "altogether": standing.altogether}
        | {"used": state.amount}
        if standing.amount
        else None,
        "lines": describe_standing(standing),
    }


def _routine(state: RoutineState) -> RoutineApproval:
    """Its contents; Medulla has checked the signature."""
    return decode(RoutineApproval, state.routine.payload, limit=ROSTER_MAX)


def routine_document(state: RoutineState) -> dict[str, Any]:
    """A yes to a routine as plain data, with the same names where they mean the same."""
    approval = _routine(state)
    asked = approval.asked()
    return {
        "id": format_time_id(asked.request_id),
        "kind": "routine",
        "sentence": " ".join(asked.words),
        "operation": ", ".join(dict.fromkeys(step.operation for step in asked.steps)),
        "device": ", ".join(dict.fromkeys(step.target_name for step in asked.steps)),
        "principal": describe_principal(asked.principal),
        "purpose": asked.purpose,
        "steps": [
            {"operation": step.operation, "device": step.target_name, "args": decode_value(step.args)}
            | {"after": list(step.after)}
            for step in asked.steps
        ],
        "free": [],
        "by": state.name,
        "issued_ms": approval.issued_ms,
        "expires_ms": approval.expires_ms,
        "times": approval.times,
        "per_ms": DAY_MS,
        "used": state.used,
        "lines": describe_routine(approval),
    }


__all__ = ["LastingDesk", "document", "routine_document"]
