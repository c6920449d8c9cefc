"""What travels on Medulla's socket about people; frames as in `messages`.

method         params         payload        what it does
invite         Invite         People         take note of an invitation that the owner signed
uninvite       Uninvite       People         an invitation is void from now on; only narrows, so nobody signs it
accept         Accept         Issued         certify a person's key against an open invitation, once
terms          SetTerms       People         the owner's newer terms of a person: another role, an end
delegate       Delegate       People         what a goal, limb or home may do for a person
undelegate     Undelegate     People         a delegation is void from now on; only narrows
people         []             People         persons, their keys, invitations, delegations
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kindmesh.protocol.bounds import KeyId, Name, TimeId, TimeMs
from kindmesh.protocol.people import Accepted, Delegation, PersonTerms
from kindmesh.protocol.signed import Signed


class Invite(msgspec.Struct, array_like=True, frozen=True):
    """Signed `PersonTerms` with an invitation."""

    terms: Signed


class Uninvite(msgspec.Struct, array_like=True, frozen=True):
    """The invitation's id."""

    invite_id: TimeId


class Accept(msgspec.Struct, array_like=True, frozen=True):
    """An acceptance with both signatures."""

    accepted: Accepted


class SetTerms(msgspec.Struct, array_like=True, frozen=True):
    """Signed `PersonTerms` without an invitation."""

    terms: Signed


class Delegate(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Delegation`."""

    delegation: Signed


class Undelegate(msgspec.Struct, array_like=True, frozen=True):
    """The delegation's id."""

    delegation_id: TimeId


class PeopleWanted(msgspec.Struct, array_like=True, frozen=True):
    """Method `people` takes nothing."""


class PersonKey(msgspec.Struct, array_like=True, frozen=True):
    """One key of a person: `subject` its id, `device` where it was made."""

    subject: KeyId
    device: KeyId
    since_ms: TimeMs
    expires_ms: TimeMs


class Person(msgspec.Struct, array_like=True, frozen=True):
    """A person with the terms in force and the keys that count."""

    terms: PersonTerms
    keys: tuple[PersonKey, ...]


class InviteState(msgspec.Struct, array_like=True, frozen=True):
    """An invitation: `state` is open, used or withdrawn; `subject` the key that used it, `device` where; `signed` are
    the terms as the owner signed them."""

    terms: PersonTerms
    signed: Signed
    state: Literal["open", "used", "withdrawn"]
    subject: bytes = b""
    device: bytes = b""


class DelegationState(msgspec.Struct, array_like=True, frozen=True):
    """A delegation, and the name of the person it acts for."""

    delegation: Delegation
    name: Name


class People(msgspec.Struct, array_like=True, frozen=True):
    """All that Medulla knows about people now; nothing of it is secret from the owner."""

    persons: tuple[Person, ...]
    invitations: tuple[InviteState, ...]
    delegations: tuple[DelegationState, ...]


__all__ = [
    "Accept",
    "Delegate",
    "DelegationState",
    "Invite",
    "InviteState",
    "People",
    "PeopleWanted",
    "Person",
    "PersonKey",
    "SetTerms",
    "Undelegate",
    "Uninvite",
]
