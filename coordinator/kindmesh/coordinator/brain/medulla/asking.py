"""Who asks, and what they may do at most: Medulla's own judgement, never the coordinator's word.

    owner    the coordinator's own machine; unbounded here, what asks needs the owner's signature anyway
    device   bounded by the people who have a key there: no more than each of them may do
    person   proven by the person's signature over exactly this operation, these values, this purpose, on this device;
             bounded by role and terms; or, for a whole run, by the words that the person's own key signed for it
    goal, limb, home    bounded by a signed delegation and, at this moment, by the person they act for

A signature serves one job: the first use must be fresh, later ones (a moved job, an answered question) must be for the
same job. Whatever does not fit is one sentence in `Standing.problem`, and the answer is deny.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.evidence import Proven
from kindmesh.coordinator.brain.medulla.instructions import Forget, Save
from kindmesh.coordinator.brain.medulla.messages import PermitRequest
from kindmesh.coordinator.brain.medulla.rules import Case
from kindmesh.protocol.certificate import Certificate, check_validity
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.people import PersonRequest, check_request_time, open_request
from kindmesh.protocol.principal import OWNER, Principal, device_text
from kindmesh.protocol.roles import NOTHING, Rights, missing, narrow
from kindmesh.protocol.signed import Signed

SUBMIT: Final = "submit"
CALL: Final = "call"


class Standing(msgspec.Struct, frozen=True):
    """`rights` None: unbounded. `problem`: why nothing is allowed at all, or empty. `proof`: the request of a person
    that is to be remembered once something comes of it."""

    rights: Rights | None = None
    problem: str = ""
    proof: PersonRequest | None = None


_OWNER: Final = Standing()


class _Refused(Exception):
    """Why this principal may do nothing."""


def standing(beliefs: Beliefs, request: PermitRequest, now_ms: int, proven: Proven) -> Standing:
    """What the principal of this request may do at most; `proven`: by its evidence."""
    proof = None
    if request.proof is not None and request.principal.kind not in ("owner", "device"):
        try:
            proof = _proven(beliefs, request, request.proof, now_ms)
        except _Refused as refused:
            return Standing(NOTHING, str(refused))
        except KindmeshError as error:
            return Standing(NOTHING, error.message)
    return standing_of(beliefs, request.principal, now_ms, proven, proof)


def standing_of(
    beliefs: Beliefs, principal: Principal, now_ms: int, proven: Proven, proof: PersonRequest | None = None
) -> Standing:
    """What this principal may do at most; `proof`: the person's own request, which fits what is asked."""
    if principal.kind == "owner":
        return _OWNER
    if principal.kind == "device":
        persons = beliefs.people.at.get(principal.device)
        return _OWNER if persons is None else _at_device(beliefs, persons)
    try:
        spoke = proven.by_person and beliefs.member(principal.device) is not None
        if proof is None and not spoke and (principal.kind == "person" or principal.device):
            raise _Refused("nothing proves that a person asked for this")
        if principal.kind == "person":
            return Standing(rights_of(beliefs, parse_id(principal.id), now_ms), "", proof)
        return Standing(_acting_rights(beliefs, principal, now_ms), "", proof)
    except _Refused as refused:
        return Standing(NOTHING, str(refused))
    except KindmeshError as error:
        return Standing(NOTHING, error.message)


def role_of(beliefs: Beliefs, principal: Principal) -> str:
    """The role of whom it is or acts for; `device` for a bare device."""
    person = principal.person
    if person in ("", "owner"):
        return person or "device"
    try:
        found = beliefs.people.terms.get(parse_id(person))
    except KindmeshError:
        return "guest"
    return found[0].role if found else "guest"


def named(beliefs: Beliefs, principal: Principal) -> Principal:
    """The principal with the name that Medulla knows, so that no prompt shows one that the coordinator made up."""
    if principal == OWNER:
        return principal
    if principal.kind == "owner":
        return OWNER
    if principal.kind == "device":
        known = beliefs.member(principal.device)
        return msgspec.structs.replace(principal, name=known.name if known else "", acting_for="")
    return msgspec.structs.replace(principal, name=_name(beliefs, principal.person))


def _name(beliefs: Beliefs, person: str) -> str:
    if person == "owner":
        return "the owner"
    try:
        found = beliefs.people.terms.get(parse_id(person))
    except KindmeshError:
        return ""
    return found[0].name if found else ""


def remember(
    beliefs: Beliefs, proof: PersonRequest | None, job_id: bytes, now_ms: int
) -> list[Save | Forget]:
    """Bind the person's request to its job, unless it is already."""
    if proof is None or proof.request_id in beliefs.people.used:
        return []
    return beliefs.people.use(proof.request_id, job_id, now_ms)


def rights_of(beliefs: Beliefs, person: bytes, now_ms: int) -> Rights:
    """What a person may do at most now: the role of the policy, narrowed by the owner's terms.

    Raises:
        _Refused: removed, unknown, past the end, or with a role that the policy does not have.
    """
    found = beliefs.people.terms.get(person)
    if beliefs.is_removed(person):
        raise _Refused("this person was removed from the mesh")
    if found is None:
        raise _Refused("this person is not known here")
    terms = found[0]
    if terms.until_ms and now_ms > terms.until_ms:
        raise _Refused(f"what the owner gave {terms.name} has ended")
    role = beliefs.policy.role(terms.role)
    if role is None:
        raise _Refused(f"the policy has no role {terms.role}")
    return narrow(role.rights, terms.rights)


def approver_problem(beliefs: Beliefs, certificate: Certificate, case: Case, now_ms: int) -> str:
    """Why the person with this key may not answer the question about `case`, or empty."""
    try:
        check_validity(certificate, now_ms)
        rights = rights_of(beliefs, certificate.person, now_ms)
    except KindmeshError as error:
        return error.message
    except _Refused as refused:
        return str(refused)
    terms = beliefs.people.terms[certificate.person][0]
    approves = sum(role.approves for role in beliefs.policy.roles if role.name == terms.role) & terms.effects
    lacking = missing(rights, case.operation, case.effects, case.data_classes, case.purpose)
    if case.effects & ~approves or lacking:
        return f"{terms.name} ({terms.role}) may not answer this question"
    return ""


def _at_device(beliefs: Beliefs, persons: tuple[bytes, ...]) -> Standing:
    """A bare device may do no more than each of the people who use it: otherwise leaving the signature out would be
    a way around the role."""
    rights = []
    for person in persons:
        terms = beliefs.people.terms.get(person)
        role = beliefs.policy.role(terms[0].role) if terms else None
        rights.append(narrow(role.rights, terms[0].rights) if terms and role else NOTHING)
    return Standing(reduce(narrow, rights))


def _acting_rights(beliefs: Beliefs, principal: Principal, now_ms: int) -> Rights:
    whom = b"" if principal.acting_for == "owner" else parse_id(principal.acting_for)
    found = beliefs.people.delegation(principal.kind, principal.id, whom)
    if found is None or now_ms > found.expires_ms:
        raise _Refused(f"nobody lets the {principal.kind} {principal.id} act for them now")
    return found.rights if not whom else narrow(found.rights, rights_of(beliefs, whom, now_ms))


def _proven(beliefs: Beliefs, request: PermitRequest, proof: Signed, now_ms: int) -> PersonRequest:
    """The person's own request, if it is for exactly what is asked of Medulla.

    Raises:
        _Refused, KindmeshError: why not.
    """
    asked = _signed(beliefs, request.principal, proof, SUBMIT, now_ms)
    used = beliefs.people.used.get(asked.request_id)
    if used is None:
        check_request_time(asked, now_ms)
    elif used.job_id != request.job_id:
        raise _Refused("this person's signature was used for another job")
    _same(beliefs, request, asked)
    return asked


def called(
    beliefs: Beliefs, principal: Principal, proof: Signed, operation: str, now_ms: int
) -> PersonRequest | str:
    """The person's own fresh request for a session call of this operation, or why it is none."""
    try:
        asked = _signed(beliefs, principal, proof, CALL, now_ms)
        check_request_time(asked, now_ms)
        said: Any = decode_value(asked.params, limit=ROSTER_MAX)
        acting = "" if principal.kind == "person" else f"{principal.kind}:{principal.id}"
        wanted = (operation, acting)
        if not isinstance(said, dict) or (said.get("operation"), said.get("acting") or "") != wanted:
            raise _Refused("the person signed something else")
    except _Refused as refused:
        return str(refused)
    except KindmeshError as error:
        return error.message
    return asked


def _signed(beliefs: Beliefs, principal: Principal, proof: Signed, method: str, now_ms: int) -> PersonRequest:
    """What this person signed for that method, on the device where they ask.

    Raises:
        _Refused, KindmeshError: why it does not count.
    """
    certificate = beliefs.people.keys.get(proof.author)
    if certificate is None or not certificate.person:
        removed = beliefs.is_removed(proof.author)
        raise _Refused("this person's key was removed" if removed else "this key belongs to no person here")
    check_validity(certificate, now_ms)
    if beliefs.member(principal.device) is None:
        raise _Refused("the device on which this was asked is no member of the mesh")
    asked = open_request(
        proof, certificate.ed_pub, mesh=beliefs.anchors.mesh, method=method, device=principal.device
    )
    whom = principal.id if principal.kind == "person" else principal.acting_for
    if whom != device_text(certificate.person):
        raise _Refused("another person signed this")
    return asked


def _same(beliefs: Beliefs, request: PermitRequest, asked: PersonRequest) -> None:
    said: Any = decode_value(asked.params, limit=ROSTER_MAX)
    principal = request.principal
    acting = "" if principal.kind == "person" else f"{principal.kind}:{principal.id}"
    wanted = (request.operation, request.purpose, acting)
    if not isinstance(said, dict) or wanted != (
        said.get("operation"),
        said.get("purpose") or "household",
        said.get("acting") or "",
    ):
        raise _Refused("the person signed something else")
    if not _is_target(said.get("target") or "", beliefs.member(request.target)):
        raise _Refused("the person signed it for another device")
    values, signed = decode_value(request.args), said.get("args") or {}
    if not isinstance(values, dict) or not isinstance(signed, dict):
        raise _Refused("the person signed other values")
    offers = beliefs.offers.get(request.target)
    defaults = offers.defaults.get(request.operation, {}) if offers else {}
    # What the person left out may only be what the device itself declared as the default. Bytes are compared: in
    # Python 1 equals true.
    filled = {name: decode_value(value) for name, value in defaults.items() if name not in signed} | signed
    if encode_value(values) != encode_value(filled):
        raise _Refused("the person signed other values")


def _is_target(said: Any, target: Certificate | None) -> bool:
    if not said:
        return True
    if target is None or not isinstance(said, str):
        return False
    return said.casefold() == target.name.casefold() or said == format_id(target.subject)


__all__ = [
    "Standing", "approver_problem", "called", "named", "remember", "rights_of", "role_of", "standing", "standing_of",
]  # fmt: skip
