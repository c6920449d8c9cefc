"""People, invitations and delegations as plain data, for programs and for the words of the command line."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.brain.medulla import people_messages as m
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.people import PersonTerms
from kindmesh.protocol.roles import Rights


def people_document(people: m.People, trust: Trust, now_ms: int) -> dict[str, Any]:
    """All of it as plain data, with the names of devices; times UTC ms."""
    names = {member.subject: member.name for member in trust.membership.members()}
    roles = {role.name: role.title for role in trust.policy.roles}
    persons = [
        {
            **_terms(person.terms),
            "title": roles.get(person.terms.role, "this role is not in the policy"),
            "ended": bool(person.terms.until_ms) and now_ms > person.terms.until_ms,
            "keys": [
                {
                    "id": format_id(key.subject),
                    "device": format_id(key.device),
                    "device_name": names.get(key.device, ""),
                    "since_ms": key.since_ms,
                    "expires_ms": key.expires_ms,
                }
                for key in person.keys
            ],
        }
        for person in people.persons
    ]
    invitations = [
        {
            **_terms(found.terms),
            "invitation": format_time_id(found.terms.invite_id),
            "expires_ms": found.terms.invite_expires_ms,
            "state": "ended"
            if found.state == "open" and now_ms > found.terms.invite_expires_ms
            else found.state,
            "device_name": names.get(found.device, ""),
        }
        for found in people.invitations
    ]
    delegations = [
        {
            "delegation": format_time_id(found.delegation.delegation_id),
            "acting": f"{found.delegation.kind}:{found.delegation.acting_id}",
            "person": format_id(found.delegation.person) if found.delegation.person else "owner",
            "name": found.name or "owner",
            **_rights(found.delegation.rights),
            "expires_ms": found.delegation.expires_ms,
            "ended": now_ms > found.delegation.expires_ms,
        }
        for found in people.delegations
    ]
    return {"ok": True, "people": persons, "invitations": invitations, "delegations": delegations}


def _terms(terms: PersonTerms) -> dict[str, Any]:
    return {
        "person": format_id(terms.person),
        "name": terms.name,
        "role": terms.role,
        "operations": list(terms.operations),
        "effects": effect_names(terms.effects),
        "since_ms": terms.issued_ms,
        "until_ms": terms.until_ms or None,
    }


def _rights(rights: Rights) -> dict[str, Any]:
    return {
        "operations": list(rights.operations),
        "effects": effect_names(rights.effects),
        "data_classes": list(rights.data_classes),
        "purposes": list(rights.purposes),
    }


__all__ = ["people_document"]
