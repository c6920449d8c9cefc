"""People: certified against the owner's signed invitation, once, in time; gone when removed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import DAY, HOUR, T0, key
from tests.coordinator.people_kit import People, person_id

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla import people, people_machine
from kindmesh.coordinator.brain.medulla import people_messages as pm
from kindmesh.coordinator.brain.medulla.machine import validate
from kindmesh.protocol.anchors import AnchorList, sign_anchors
from kindmesh.protocol.certificate import (
    Renewal,
    RevocationList,
    open_certificate,
    sign_renewal,
    sign_revocations,
)
from kindmesh.protocol.errors import (
    AccessRefused,
    BadSignature,
    Busy,
    CertificateRefused,
    InvalidInput,
    InvalidTransition,
    KindmeshError,
    PermitExpired,
    PermitUsed,
    Replayed,
    Revoked,
    StoreDamaged,
    UnknownMember,
    WrongDestination,
)
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS
from kindmesh.protocol.people import sign_delegation
from kindmesh.protocol.roles import Rights


def refused(world: People, event: msgspec.Struct, error: type[KindmeshError]) -> str:
    """The refusal's message; nothing changed."""
    before = dict(world.rows)
    with pytest.raises(error) as caught:
        world.ask(event)
    assert world.rows == before
    return str(caught.value)


# Becoming a person.


def test_an_invited_person_gets_a_certificate_of_their_own() -> None:
    world = People()
    terms = world.invited("Anna", "caregiver", until_ms=T0 + 5 * DAY)
    issued = world.ask(pm.Accept(world.acceptance(terms)))
    certificate = open_certificate(issued.certificate, world.issuer.public, world.mesh)
    assert (certificate.kind, certificate.name, certificate.roles) == ("person", "Anna", ("caregiver",))
    assert (certificate.person, certificate.expires_ms) == (person_id("Anna"), T0 + 5 * DAY)
    assert certificate.subject == key_id(key("Anna").public)
    shown = world.ask(pm.PeopleWanted())
    assert [one.terms.name for one in shown.persons] == ["Anna"]
    assert shown.persons[0].keys[0].device == world.device
    assert shown.invitations[0].state == "used"


def test_the_same_key_again_gets_the_same_certificate() -> None:
    world = People()
    terms = world.invited("Anna")
    first = world.ask(pm.Accept(world.acceptance(terms)))
    assert world.ask(pm.Accept(world.acceptance(terms))).certificate == first.certificate


def test_an_invitation_serves_once_and_says_who_had_it() -> None:
    world = People()
    terms = world.person("Anna")
    message = refused(world, pm.Accept(world.acceptance(terms, key("thief"))), PermitUsed)
    assert "Anna" in message
    assert "phone" in message
    world.ask(m.Revoke(world.removal(world.device)))
    assert "phone" not in refused(world, pm.Accept(world.acceptance(terms, key("thief"))), PermitUsed)


def test_a_withdrawn_invitation_is_void() -> None:
    world = People()
    terms = world.invited("Anna")
    world.ask(pm.Uninvite(terms.invite_id))
    world.ask(pm.Uninvite(terms.invite_id))
    refused(world, pm.Accept(world.acceptance(terms)), AccessRefused)
    world.invited("Anna")
    refused(world, pm.Uninvite(b"x" * 16), InvalidInput)
    used = world.person("Bo")
    refused(world, pm.Uninvite(used.invite_id), PermitUsed)


def test_whoever_does_not_hold_the_text_accepts_nothing() -> None:
    world = People()
    terms = world.invited("Anna")
    refused(world, pm.Accept(world.acceptance(terms, invite=key("coordinator"))), BadSignature)
    refused(world, pm.Accept(world.acceptance(world.terms("Nobody"))), InvalidInput)
    refused(world, pm.Accept(world.acceptance(terms, mesh=person_id("x"))), WrongDestination)


def test_an_acceptance_is_in_time_and_from_a_device_of_the_mesh() -> None:
    world = People()
    terms = world.invited("Anna")
    refused(world, pm.Accept(world.acceptance(terms, accepted_ms=T0 - HOUR)), PermitExpired)
    refused(world, pm.Accept(world.acceptance(terms, device=person_id("x"))), UnknownMember)
    bo = world.person("Bo")
    bos_key = key_id(key("Bo").public)
    refused(world, pm.Accept(world.acceptance(terms, device=bos_key)), UnknownMember)
    refused(world, pm.Accept(world.acceptance(terms, key("Bo"))), CertificateRefused)
    refused(world, pm.Accept(world.acceptance(terms, world.owner)), CertificateRefused)
    world.ask(m.Revoke(world.removal(bo.person)))
    refused(world, pm.Accept(world.acceptance(terms, key("Bo"))), Revoked)
    world.now_ms += 3 * DAY
    refused(world, pm.Accept(world.acceptance(terms)), PermitExpired)


def test_only_the_owner_invites_and_sets_terms() -> None:
    world = People()
    terms = world.terms("Anna")
    for event in (pm.Invite, pm.SetTerms):
        refused(world, event(world.signed(terms, key("issuer"))), CertificateRefused)
    other = msgspec.structs.replace(terms, mesh=person_id("x"))
    refused(world, pm.Invite(world.signed(other)), WrongDestination)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"role": "king"}, InvalidInput),
        ({"name": "owner"}, InvalidInput),
        ({"name": "Person"}, InvalidInput),
        ({"name": "Ph0ne"}, InvalidInput),
        ({"name": "B\u043e"}, InvalidInput),
        ({"name": "Carl"}, InvalidInput),
        ({"issued_ms": T0 + HOUR}, PermitExpired),
        ({"issued_ms": T0 - DAY, "invite_expires_ms": T0 - HOUR}, PermitExpired),
        ({"invite_id": b"", "invite_pub": b"", "invite_expires_ms": 0}, InvalidInput),
        ({"operations": ("x",)}, InvalidInput),
    ],
)
def test_an_invitation_that_cannot_be_is_refused(changes: dict[str, Any], error: type[KindmeshError]) -> None:
    world = People()
    world.person("Bo")
    world.invited("Carl")
    refused(world, pm.Invite(world.signed(world.terms("Anna", **changes))), error)


def test_the_same_invitation_again_changes_nothing_and_another_with_its_id_is_refused() -> None:
    world = People()
    terms = world.invited("Anna")
    before = dict(world.rows)
    world.ask(pm.Invite(world.signed(terms)))
    assert world.rows == before
    refused(world, pm.Invite(world.signed(msgspec.structs.replace(terms, role="guest"))), Replayed)


def test_a_name_that_was_taken_meanwhile_is_refused_at_the_door() -> None:
    world = People()
    terms = world.invited("Anna")
    device = key("tablet")
    world.ask(m.Issue(world.grant(device, "anna")))
    refused(world, pm.Accept(world.acceptance(terms)), InvalidInput)


def test_there_is_an_end_to_people_and_invitations(monkeypatch: pytest.MonkeyPatch) -> None:
    world = People()
    monkeypatch.setattr(people_machine, "INVITES_MAX", 1)
    world.invited("Anna")
    refused(world, pm.Invite(world.signed(world.terms("Bo"))), Busy)
    world.now_ms += 20 * DAY
    world.invited("Bo")
    assert len(world.beliefs.people.invites) == 1


def test_one_more_device_is_the_same_person() -> None:
    world = People()
    first = world.person("Anna", "guest")
    second = world.invited("Anna", "guest")
    world.ask(pm.Accept(world.acceptance(second, key("Anna's tablet"))))
    shown = world.ask(pm.PeopleWanted()).persons
    assert [len(one.keys) for one in shown] == [2]
    assert first.person == second.person


def test_an_older_invitation_does_not_undo_newer_terms() -> None:
    world = People()
    first = world.person("Anna", "guest")
    second = world.invited("Anna", "guest")
    world.ask(pm.SetTerms(world.signed(world.without_invite(first, role="alerts"))))
    issued = world.ask(pm.Accept(world.acceptance(second, key("tablet"))))
    assert open_certificate(issued.certificate, world.issuer.public, world.mesh).roles == ("alerts",)


def test_a_newer_invitation_takes_effect_for_all_keys() -> None:
    world = People()
    world.person("Anna", "guest")
    second = world.invited("Anna", "resident")
    world.ask(pm.Accept(world.acceptance(second, key("tablet"))))
    assert {one.roles for one in world.beliefs.people.keys.values()} == {("resident",)}


# Terms, renewal, removal.


def test_another_role_certifies_all_keys_anew() -> None:
    world = People()
    terms = world.person("Anna", "guest")
    serial = world.beliefs.people.keys[key_id(key("Anna").public)].serial
    changed = world.signed(world.without_invite(terms, role="caregiver", name="Anne", until_ms=T0 + DAY))
    world.ask(pm.SetTerms(changed))
    certificate = world.beliefs.people.keys[key_id(key("Anna").public)]
    assert (certificate.roles, certificate.name, certificate.expires_ms) == (("caregiver",), "Anne", T0 + DAY)
    assert certificate.serial > serial
    before = dict(world.rows)
    world.ask(pm.SetTerms(changed))
    assert world.rows == before
    refused(world, pm.SetTerms(world.signed(world.without_invite(terms, issued_ms=T0))), Replayed)


def test_terms_of_nobody_and_invitations_in_disguise_are_refused() -> None:
    world = People()
    terms = world.person("Anna")
    refused(world, pm.SetTerms(world.signed(world.without_invite(world.terms("Bo")))), InvalidInput)
    refused(world, pm.SetTerms(world.signed(world.terms("Anna"))), InvalidInput)
    refused(world, pm.SetTerms(world.signed(world.without_invite(terms, role="king"))), InvalidInput)


def renewal(world: People, name: str) -> m.Renew:
    certificate = world.beliefs.people.keys[key_id(key(name).public)]
    wish = Renewal(world.mesh, certificate.subject, certificate.serial, world.now_ms)
    return m.Renew(sign_renewal(wish, key(name)))


def test_a_person_renews_like_everybody_and_never_beyond_the_terms() -> None:
    world = People()
    world.person("Anna")
    world.person("Bo", until_ms=T0 + 20 * DAY)
    world.now_ms = T0 + 16 * DAY
    renewed = world.ask(renewal(world, "Anna")).certificate
    certificate = open_certificate(renewed, world.issuer.public, world.mesh)
    assert certificate.expires_ms == world.now_ms + CERTIFICATE_LIFETIME_MS
    assert certificate.person == person_id("Anna")
    before = world.beliefs.certificates[key_id(key("Bo").public)][1]
    assert world.ask(renewal(world, "Bo")).certificate == before


def test_a_removed_person_leaves_with_all_keys_and_what_acted_for_them() -> None:
    world = People()
    terms = world.person("Anna")
    world.ask(pm.Accept(world.acceptance(world.invited("Anna"), key("tablet"))))
    open_invitation = world.invited("Anna")
    world.delegated(world.delegation("Anna"), key("Anna"))
    world.ask(m.Revoke(world.removal(terms.person)))
    shown = world.ask(pm.PeopleWanted())
    assert (shown.persons, shown.invitations, shown.delegations) == ((), (), ())
    gone = {terms.person, key_id(key("Anna").public), key_id(key("tablet").public)}
    assert gone <= set(world.beliefs.revocations.subjects)
    refused(world, pm.Accept(world.acceptance(open_invitation, key("x"))), InvalidInput)
    refused(world, pm.Invite(world.signed(world.terms("Anna"))), Revoked)
    world.again()
    assert not world.beliefs.people.keys


def test_one_key_of_a_person_can_leave_alone() -> None:
    world = People()
    terms = world.person("Anna")
    world.ask(pm.Accept(world.acceptance(world.invited("Anna"), key("tablet"))))
    world.delegated(world.delegation("Anna"), key("tablet"))
    world.ask(m.Revoke(world.removal(key_id(key("tablet").public))))
    shown = world.ask(pm.PeopleWanted())
    assert [len(one.keys) for one in shown.persons] == [1]
    assert shown.delegations == ()
    world.ask(m.Revoke(world.removal(terms.person)))
    assert len(world.beliefs.revocations.subjects) == 3


def test_a_person_without_an_invitation_has_no_say() -> None:
    world = People()
    stray = key("stray")
    world.ask(m.Issue(world.grant(stray, "stray", kind="person", curve_pub=b"", roles=("resident",))))
    verdict = world.ask(world.wish("stray"))
    assert (verdict.answer, verdict.rules) == ("deny", ("asker",))
    world.ask(m.Revoke(world.removal(key_id(stray.public))))


# Delegations.


def test_a_delegation_is_signed_by_whom_it_acts_for() -> None:
    world = People()
    world.person("Anna")
    world.person("Bo")
    shown = world.delegated(world.delegation("Anna"), key("Anna"))
    assert shown.delegations[0].name == "Anna"
    refused(world, pm.Delegate(sign_delegation(world.delegation("Anna"), key("Bo"))), AccessRefused)
    refused(world, pm.Delegate(sign_delegation(world.delegation("Anna"), world.owner)), AccessRefused)
    refused(world, pm.Delegate(sign_delegation(world.delegation(""), key("Bo"))), AccessRefused)
    refused(world, pm.Delegate(sign_delegation(world.delegation("Anna"), key("x"))), CertificateRefused)
    world.delegated(world.delegation("", acting_id="vacuum"), world.owner)
    world.delegated(world.delegation("Anna", kind="limb"), world.owner)
    assert len(world.ask(pm.PeopleWanted()).delegations) == 3


def test_a_delegation_is_for_somebody_who_is_here_and_for_now() -> None:
    world = People()
    world.person("Anna")
    limb = world.delegation("Nobody", kind="limb")
    refused(world, pm.Delegate(sign_delegation(limb, world.owner)), InvalidInput)
    early = world.delegation("Anna", issued_ms=T0 + HOUR)
    refused(world, pm.Delegate(sign_delegation(early, key("Anna"))), PermitExpired)
    elsewhere = world.delegation("Anna", mesh=person_id("x"))
    refused(world, pm.Delegate(sign_delegation(elsewhere, key("Anna"))), WrongDestination)
    wide = world.delegation("Anna", rights=Rights())
    refused(world, pm.Delegate(sign_delegation(wide, key("Anna"))), InvalidInput)


def test_a_newer_delegation_replaces_the_older_and_never_the_other_way() -> None:
    world = People()
    world.person("Anna")
    old = world.delegation("Anna", issued_ms=T0 - HOUR)
    new = world.delegation("Anna", rights=Rights(("notes.list",), 1))
    world.delegated(new, key("Anna"))
    refused(world, pm.Delegate(sign_delegation(old, key("Anna"))), Replayed)
    newer = world.delegation("Anna", rights=Rights((), 1))
    shown = world.delegated(newer, key("Anna"))
    assert [one.delegation for one in shown.delegations] == [newer]


def test_there_is_an_end_to_delegations(monkeypatch: pytest.MonkeyPatch) -> None:
    world = People()
    world.person("Anna")
    monkeypatch.setattr(people_machine, "DELEGATIONS_MAX", 0)
    refused(world, pm.Delegate(sign_delegation(world.delegation("Anna"), key("Anna"))), Busy)


def test_a_withdrawn_delegation_is_gone() -> None:
    world = People()
    world.person("Anna")
    shown = world.delegated(world.delegation("Anna"), key("Anna"))
    wanted = shown.delegations[0].delegation.delegation_id
    assert world.ask(pm.Undelegate(wanted)).delegations == ()
    before = dict(world.rows)
    world.ask(pm.Undelegate(wanted))
    assert world.rows == before


# What is kept.


def test_everything_about_people_survives_a_restart() -> None:
    world = People()
    world.person("Anna", "caregiver")
    world.invited("Carl")
    world.delegated(world.delegation("Anna"), key("Anna"))
    request = world.wish("Anna")
    assert world.ask(request).answer == "allow"
    shown = world.ask(pm.PeopleWanted())
    world.again()
    assert world.ask(pm.PeopleWanted()) == shown
    assert world.beliefs.people.at == {world.device: (person_id("Anna"),)}
    assert world.ask(request).answer == "allow"
    other = msgspec.structs.replace(request, job_id=b"j" * 16)
    assert world.ask(other).answer == "deny"


def test_a_changed_invitation_in_the_store_is_noticed() -> None:
    world = People()
    terms = world.invited("Anna", "guest")
    found = world.beliefs.people.invites[terms.invite_id]
    wider = msgspec.structs.replace(found, terms=msgspec.structs.replace(terms, role="resident"))
    world.rows["invite", terms.invite_id] = msgspec.msgpack.encode(wider)
    with pytest.raises(StoreDamaged):
        world.again()


def test_a_key_that_counts_is_a_certified_one() -> None:
    world = People()
    world.person("Anna")
    world.beliefs.certificates.pop(key_id(key("Anna").public))
    with pytest.raises(InvalidTransition):
        validate(world.beliefs)


def test_only_so_many_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    world = People()
    world.person("Anna")
    monkeypatch.setattr(people, "USED_MAX", 1)
    assert world.ask(world.wish("Anna")).answer == "allow"
    refused(world, world.wish("Anna"), Busy)
    world.now_ms += 9 * DAY
    assert world.ask(world.wish("Anna")).answer == "allow"
    assert len(world.beliefs.people.used) == 1


def test_a_removal_that_another_medulla_signed_takes_a_person_with_all_keys() -> None:
    world = People()
    terms = world.person("Anna")
    world.ask(pm.Accept(world.acceptance(world.invited("Anna"), key("tablet"))))
    world.delegated(world.delegation("Anna"), key("Anna"))
    request = world.wish("Anna")
    assert world.ask(request).answer == "allow"
    second = key("second issuer")
    shared = AnchorList(
        world.mesh, T0 + 1, T0 + 1, (*world.anchors.certificates, world._anchor(second, "issuer", ()))
    )
    revoked = sign_revocations(RevocationList(world.mesh, 1, T0 + 1, (terms.person,)), second)
    world.ask(m.Learn((sign_anchors(shared, world.root),), (), (revoked,)))
    assert not world.beliefs.people.keys
    assert not world.beliefs.people.delegations
    assert "removed" in world.ask(request).reasons[0]
    world.again()
    assert not world.beliefs.people.terms


def test_terms_and_delegations_of_an_owner_of_before_still_hold_and_open_invitations_do_not() -> None:
    world = People()
    world.person("Anna")
    waiting = world.invited("Carl")
    world.delegated(world.delegation("Anna", kind="limb"), world.owner)
    heir = key("heir")
    issuer, medulla = world.anchors.of_kind("issuer"), world.anchors.of_kind("medulla")
    anchors = (world._anchor(heir, "person", ("owner",)), *issuer, *medulla)
    world.ask(m.Learn((sign_anchors(AnchorList(world.mesh, T0 + 1, T0 + 1, anchors), world.root),)))
    world.again()
    assert [one.terms.name for one in world.ask(pm.PeopleWanted()).persons] == ["Anna"]
    assert len(world.beliefs.people.delegations) == 1
    refused(world, pm.Accept(world.acceptance(waiting)), AccessRefused)
