"""Medulla's pure core: which requests become permits, questions or refusals, and what survives a restart."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.coordinator.medulla_kit import DAY, HOUR, T0, World, fresh, key, manifest

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.machine import handle, validate
from kindmesh.coordinator.brain.medulla.permit_machine import APPROVAL_TTL_MS, PENDING_MAX
from kindmesh.coordinator.brain.medulla.raise_machine import DECLINED_MAX
from kindmesh.coordinator.brain.medulla.rules import RULES, Case, Finding, judge
from kindmesh.coordinator.brain.medulla.trust_machine import ROTATION_PAUSE_MS
from kindmesh.protocol.certificate import (
    CapabilityGrant,
    Membership,
    Renewal,
    open_certificate,
    sign_renewal,
)
from kindmesh.protocol.codec import decode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    BadSignature,
    Busy,
    CertificateRefused,
    InvalidInput,
    InvalidTransition,
    KindmeshError,
    Malformed,
    NotInitialised,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
    Replayed,
    Revoked,
    SourceMismatch,
    StoreDamaged,
    UnknownMember,
    WrongDestination,
)
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, PERMIT_TTL_MS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.permit import Permit, check_permit, open_permit
from kindmesh.protocol.policy import ApprovalRequest, Rule, describe_request
from kindmesh.protocol.principal import OWNER, Principal


def permit_of(world: World, verdict: m.Verdict) -> Permit:
    assert verdict.permit is not None
    return open_permit(verdict.permit, world.permit_key.public)


def test_a_reading_operation_gets_a_permit_that_the_node_accepts() -> None:
    world = World()
    request = world.request()
    verdict = world.ask(request)
    permit = permit_of(world, verdict)
    check_permit(
        permit,
        mesh=world.mesh,
        target=request.target,
        operation="notes.list",
        effects=int(Effect.READ),
        job_id=request.job_id,
        args=request.args,
        epoch=1,
        policy_version=1,
        now_ms=world.now_ms,
    )
    assert verdict.answer == "allow"
    assert (permit.isolation, permit.expires_ms) == ("landlock", T0 + PERMIT_TTL_MS)
    assert (permit.run_id, permit.step, permit.principal) == (request.run_id, 1, OWNER)


def test_a_writing_operation_asks_and_the_owners_yes_makes_one_permit() -> None:
    world = World()
    request = world.request("notes.append")
    asked = world.ask(request)
    shown = decode(ApprovalRequest, asked.request)
    assert (asked.answer, asked.permit) == ("ask", None)
    assert (shown.operation, shown.args, shown.effects) == ("notes.append", request.args, int(Effect.WRITE))
    assert any("milk" in line for line in describe_request(shown))
    answer = world.approval(asked.request)
    permit = permit_of(world, world.ask(answer))
    assert (permit.approval_id, permit.job_id, permit.args_hash) == (
        shown.request_id,
        request.job_id,
        sha256(request.args),
    )
    with pytest.raises(PermitUsed):
        world.ask(answer)


def test_the_owners_no_is_final() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    assert world.ask(world.approval(asked.request, "deny")).answer == "deny"
    with pytest.raises(PermitUsed):
        world.ask(world.approval(asked.request))


def test_an_approval_by_another_key_counts_for_nothing() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    with pytest.raises(CertificateRefused):
        world.ask(world.approval(asked.request, by=key("stranger")))
    assert world.ask(world.approval(asked.request)).answer == "allow"


def test_an_approval_of_other_bytes_than_asked_counts_for_nothing() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    shown = decode(ApprovalRequest, asked.request)
    softened = msgspec.msgpack.encode(msgspec.structs.replace(shown, args=b"\x80"))
    with pytest.raises(PermitMismatch):
        world.ask(world.approval(softened))
    with pytest.raises(Malformed):
        world.ask(world.approval(b"\x90"))


def test_an_approval_that_comes_too_late_counts_for_nothing() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    world.now_ms += APPROVAL_TTL_MS + 1
    with pytest.raises(PermitExpired):
        world.ask(world.approval(asked.request))


def test_an_approval_is_judged_again_by_all_rules() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    world.ask(m.Install(world.policy(2, Rule("*", 255, "deny"))))
    verdict = world.ask(world.approval(asked.request))
    assert (verdict.answer, verdict.rules) == ("deny", ("policy",))


def test_an_approval_can_serve_a_later_attempt_but_not_an_earlier_one() -> None:
    world = World()
    asked = world.ask(world.request("notes.append", epoch=5))
    answer = msgspec.structs.replace(world.approval(asked.request), epoch=7)
    assert permit_of(world, world.ask(answer)).epoch == 7
    asked = world.ask(world.request("notes.append", epoch=5))
    answer = msgspec.structs.replace(world.approval(asked.request), epoch=2)
    assert permit_of(world, world.ask(answer)).epoch == 5


def test_questions_are_limited_and_old_ones_make_room() -> None:
    world = World()
    for _ in range(PENDING_MAX):
        world.ask(world.request("notes.append"))
    with pytest.raises(Busy):
        world.ask(world.request("notes.append"))
    world.now_ms += APPROVAL_TTL_MS + 1
    assert world.ask(world.request("notes.append")).answer == "ask"
    assert len(world.beliefs.questions) == 1


def test_a_question_about_values_that_cannot_be_shown_is_refused() -> None:
    world = World()
    with pytest.raises(Malformed):
        world.ask(world.request("notes.append", args=b"\x82\xa1a\x01\xa1a\x02"))


def test_the_planner_can_add_effects_but_not_remove_them() -> None:
    world = World()
    assert world.ask(world.request("notes.list", effects=int(Effect.SPEND))).answer == "ask"
    assert world.ask(world.request("notes.append", effects=0)).answer == "ask"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"target": key_id(key("stranger").public)}, "member"),
        ({"operation": "notes.burn"}, "offered"),
        ({"operation": "vision.read_text"}, "offered"),
    ],
)
def test_what_is_not_there_is_denied_by_name(changes: dict[str, Any], rule: str) -> None:
    world = World()
    verdict = world.ask(world.request(**changes))
    assert (verdict.answer, rule in verdict.rules) == ("deny", True)
    assert verdict.reasons


def test_a_capability_that_was_not_granted_is_denied() -> None:
    world = World()
    limited = key("limited")
    world.ask(m.Issue(world.grant(limited, "limited", capabilities=(CapabilityGrant("speech", 255),))))
    told = world.ask(m.Advertise(world.advert(limited)))
    assert (told.operations, told.refused) == ((), ("notes",))
    verdict = world.ask(world.request(target=key_id(limited.public)))
    assert (verdict.answer, verdict.rules) == ("deny", ("granted",))


def test_an_effect_that_was_not_granted_is_denied_even_with_approval() -> None:
    world = World()
    limited = key("limited")
    world.ask(
        m.Issue(world.grant(limited, "limited", capabilities=(CapabilityGrant("notes", int(Effect.READ)),)))
    )
    world.ask(m.Advertise(world.advert(limited)))
    assert world.ask(world.request(target=key_id(limited.public))).answer == "allow"
    verdict = world.ask(world.request("notes.append", target=key_id(limited.public)))
    assert (verdict.answer, verdict.rules) == ("deny", ("granted",))


def test_a_removed_device_gets_no_permit_and_cannot_come_back() -> None:
    world = World()
    subject = key_id(world.phone.public)
    trust = world.ask(m.Revoke(world.removal(subject)))
    again = world.ask(m.Revoke(world.removal(subject)))
    assert again.revocations == trust.revocations
    verdict = world.ask(world.request())
    assert (verdict.answer, verdict.rules) == ("deny", ("member",))
    with pytest.raises(Revoked):
        world.ask(m.Issue(world.grant(world.phone, "phone again")))
    with pytest.raises(UnknownMember):
        world.ask(m.Advertise(world.advert(world.phone)))
    membership = Membership(world.anchors)
    membership.merge_revocations(trust.revocations)
    membership.merge_roster(trust.roster)
    with pytest.raises(Revoked):
        membership.get(subject)


def test_removing_somebody_unknown_is_remembered() -> None:
    world = World()
    world.ask(m.Revoke(world.removal(key_id(key("stranger").public))))
    with pytest.raises(Revoked):
        world.ask(m.Issue(world.grant(key("stranger"), "stranger")))
    silent = key("silent")
    world.ask(m.Issue(world.grant(silent, "silent")))
    world.ask(m.Revoke(world.removal(key_id(silent.public))))
    assert world.beliefs.revocations.version == 2


def test_an_ended_certificate_gets_no_permit_until_it_is_renewed() -> None:
    world = World()
    world.now_ms += CERTIFICATE_LIFETIME_MS + 1
    assert world.ask(world.request()).rules == ("current",)
    serial = world.beliefs.certificates[key_id(world.phone.public)][0].serial
    world.ask(m.Renew(renewal(world, serial)))
    assert world.ask(world.request()).answer == "allow"


def renewal(world: World, serial: int, **changes: Any) -> Any:
    wish = Renewal(world.mesh, key_id(world.phone.public), serial, world.now_ms)
    return sign_renewal(msgspec.structs.replace(wish, **changes), world.phone)


def test_renewal_changes_the_dates_and_nothing_else() -> None:
    world = World()
    subject = key_id(world.phone.public)
    before = world.beliefs.certificates[subject][0]
    early = world.ask(m.Renew(renewal(world, before.serial)))
    assert early.certificate == world.beliefs.certificates[subject][1]
    world.now_ms += CERTIFICATE_LIFETIME_MS // 2
    issued = world.ask(m.Renew(renewal(world, before.serial)))
    after = open_certificate(issued.certificate, world.issuer.public, world.mesh)
    assert after == msgspec.structs.replace(
        before,
        not_before_ms=world.now_ms,
        expires_ms=world.now_ms + CERTIFICATE_LIFETIME_MS,
        serial=max(before.serial + 1, world.now_ms),
    )
    assert world.ask(m.Renew(renewal(world, before.serial))).certificate == issued.certificate


def test_a_renewal_for_another_mesh_or_by_a_stranger_is_refused() -> None:
    world = World()
    with pytest.raises(WrongDestination):
        world.ask(m.Renew(renewal(world, 1, mesh=b"m" * 20)))
    wish = Renewal(world.mesh, key_id(world.phone.public), 1, T0)
    with pytest.raises(UnknownMember):
        world.ask(m.Renew(sign_renewal(wish, key("stranger"))))
    forged = msgspec.structs.replace(sign_renewal(wish, key("stranger")), author=key_id(world.phone.public))
    with pytest.raises(BadSignature):
        world.ask(m.Renew(forged))


def test_the_same_grant_again_gives_the_same_certificate() -> None:
    world = World()
    grant = world.grant(key("kitchen"), "kitchen")
    assert world.ask(m.Issue(grant)).certificate == world.ask(m.Issue(grant)).certificate


def test_a_certificate_is_exactly_what_the_owner_granted() -> None:
    world = World()
    grant = world.grant(
        key("kitchen"),
        "kitchen",
        capabilities=(CapabilityGrant("notes", 1), CapabilityGrant("speech", 9)),
        roles=("node",),
    )
    issued = world.ask(m.Issue(grant))
    certificate = open_certificate(issued.certificate, world.issuer.public, world.mesh)
    assert certificate.capabilities == (CapabilityGrant("notes", 1), CapabilityGrant("speech", 9))
    assert certificate.roles == ("node",)
    assert certificate.expires_ms - certificate.not_before_ms == CERTIFICATE_LIFETIME_MS
    membership = Membership(world.anchors)
    membership.merge_roster(issued.roster)
    assert membership.get(certificate.subject) == certificate


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mesh": b"m" * 20}, WrongDestination),
        ({"kind": "issuer"}, CertificateRefused),
        ({"kind": "medulla"}, CertificateRefused),
        ({"kind": "person", "roles": ("owner",), "curve_pub": b""}, CertificateRefused),
        ({"roles": ("node", "owner")}, CertificateRefused),
        ({"grant_id": b"short"}, Malformed),
        ({"ed_pub": b"short"}, Malformed),
        ({"capabilities": (CapabilityGrant("notes", 256),)}, Malformed),
        ({"curve_pub": b""}, InvalidInput),
        ({"kind": "person", "roles": ()}, InvalidInput),
        ({"name": ""}, InvalidInput),
        ({"name": "n" * 65}, Malformed),
        ({"expires_ms": T0 - 1}, PermitExpired),
        ({"issued_ms": T0 + HOUR}, PermitExpired),
        ({"ed_pub": key("issuer").public}, Revoked),
        ({"curve_pub": sha256(b"curve" + key("phone").public)}, CertificateRefused),
    ],
)
def test_a_grant_that_cannot_be_is_refused(changes: dict[str, Any], error: type[KindmeshError]) -> None:
    world = World()
    before = dict(world.rows)
    with pytest.raises(error):
        world.ask(m.Issue(world.grant(key("kitchen"), "kitchen", **changes)))
    assert world.rows == before


def test_a_forged_grant_is_refused() -> None:
    world = World()
    with pytest.raises(CertificateRefused):
        world.ask(m.Issue(world.grant(key("kitchen"), "kitchen", by=key("stranger"))))


def test_a_grant_cannot_be_used_for_a_second_key() -> None:
    world = World()
    world.ask(m.Issue(world.grant(key("kitchen"), "kitchen", grant_id=fresh(77))))
    with pytest.raises(Replayed):
        world.ask(m.Issue(world.grant(key("attic"), "attic", grant_id=fresh(77))))


def test_a_used_grant_does_not_bring_back_a_removed_device() -> None:
    world = World()
    grant = world.grant(key("kitchen"), "kitchen")
    world.ask(m.Issue(grant))
    world.ask(m.Revoke(world.removal(key_id(key("kitchen").public))))
    with pytest.raises(Replayed):
        world.ask(m.Issue(grant))


def test_a_person_can_be_certified() -> None:
    world = World()
    issued = world.ask(
        m.Issue(
            world.grant(
                key("ann"), "Ann", kind="person", roles=("caregiver",), curve_pub=b"", capabilities=()
            )
        )
    )
    assert open_certificate(issued.certificate, world.issuer.public, world.mesh).kind == "person"


def test_only_the_owner_removes_and_never_the_roots_own_keys() -> None:
    world = World()
    with pytest.raises(CertificateRefused):
        world.ask(m.Revoke(world.removal(key_id(world.phone.public), by=key("stranger"))))
    with pytest.raises(WrongDestination):
        world.ask(m.Revoke(world.removal(key_id(world.phone.public), mesh=b"m" * 20)))
    with pytest.raises(InvalidInput):
        world.ask(m.Revoke(world.removal(key_id(world.owner.public))))


def test_the_policys_version_never_falls() -> None:
    world = World()
    world.ask(m.Install(world.policy(3, Rule("*", 255, "allow"))))
    for version in (1, 2, 3):
        with pytest.raises(InvalidInput) as caught:
            world.ask(m.Install(world.policy(version, Rule("*", 255, "deny"))))
        assert caught.value.field == "version"
    assert permit_of(world, world.ask(world.request("notes.append"))).policy_version == 3


def test_the_same_policy_again_changes_nothing() -> None:
    world = World()
    log = len(world.log)
    world.ask(m.Install(world.policy(1)))
    assert len(world.log) == log


def test_a_policy_of_somebody_else_or_of_another_mesh_is_refused() -> None:
    world = World()
    with pytest.raises(CertificateRefused):
        world.ask(m.Install(world.policy(2, by=key("stranger"))))
    with pytest.raises(WrongDestination):
        world.ask(m.Install(world.policy(2, mesh=b"m" * 20)))
    with pytest.raises(InvalidInput):
        world.ask(m.Install(world.policy(2, *[Rule("*", 1, "allow")] * 1001)))


def test_a_policy_that_denies_wins_over_everything() -> None:
    world = World()
    world.ask(m.Install(world.policy(2, Rule("*", 255, "allow"), Rule("notes.list", 1, "deny"))))
    assert world.ask(world.request()).answer == "deny"


def test_without_a_policy_nothing_is_allowed() -> None:
    world = World(prepared=False)
    assert world.ask(world.request()).answer == "deny"
    with pytest.raises(NotInitialised):
        world.ask(m.TrustWanted())


def test_unisolated_medulla_allows_nothing_beyond_read_and_notify() -> None:
    world = World("none")
    world.ask(m.Install(world.policy(2, Rule("*", 255, "allow"))))
    assert world.ask(world.request()).answer == "allow"
    verdict = world.ask(world.request("notes.append"))
    assert (verdict.answer, verdict.rules) == ("deny", ("isolated",))


def test_a_question_asked_before_isolation_was_lost_is_denied() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    world.beliefs = world.restored("none")
    assert world.ask(world.approval(asked.request)).rules == ("isolated",)


def test_an_advert_decides_about_effects_and_only_the_device_can_make_it() -> None:
    world = World()
    forged = world.advert(world.phone, manifest(Effect.READ), version=2, by=key("stranger"))
    with pytest.raises(BadSignature):
        world.ask(m.Advertise(msgspec.structs.replace(forged, author=key_id(world.phone.public))))
    with pytest.raises(UnknownMember):
        world.ask(m.Advertise(world.advert(world.phone, by=key("stranger"))))
    with pytest.raises(SourceMismatch):
        world.ask(m.Advertise(world.advert(world.phone, device=key_id(key("stranger").public))))
    with pytest.raises(WrongDestination):
        world.ask(m.Advertise(world.advert(world.phone, mesh=b"m" * 20)))
    assert world.ask(world.request("notes.append")).answer == "ask"


def test_an_older_advert_is_refused_and_forgotten() -> None:
    world = World()
    world.ask(m.Advertise(world.advert(world.phone, manifest(Effect.WRITE | Effect.SPEND), version=2)))
    with pytest.raises(Replayed):
        world.ask(m.Advertise(world.advert(world.phone, manifest(Effect.READ), version=1)))
    asked = decode(ApprovalRequest, world.ask(world.request("notes.append")).request)
    assert asked.effects == int(Effect.WRITE | Effect.SPEND)


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": b"short"},
        {"job_id": b""},
        {"target": b"x"},
        {"parent": b"x" * 17},
        {"effects": 256},
        {"effects": -1},
        {"epoch": -1},
        {"step": -1},
        {"args": b"x" * 300_000},
        {"principal": "owner"},
        {"principal": Principal(cast(Any, "stranger"))},
        {"purpose": "fun"},
        {"operation": "o" * 201},
    ],
)
def test_an_impossible_request_does_not_decode(changes: dict[str, Any]) -> None:
    data = msgspec.msgpack.encode(World().request(**changes))
    with pytest.raises(Malformed):
        decode(m.PermitRequest, data)


def test_a_parent_that_is_no_id_is_refused_by_field() -> None:
    world = World()
    with pytest.raises(InvalidInput) as caught:
        world.ask(world.request(parent=b"x"))
    assert caught.value.field == "parent"


def test_a_permit_of_a_sub_run_names_a_parent_that_medulla_itself_signed() -> None:
    world = World()
    above = world.ask(world.request()).permit
    assert above is not None
    named = decode(Permit, above.payload).permit_id
    below = world.request(parent=named, parent_permit=above)
    assert permit_of(world, world.ask(below)).parent == named
    for wrong in ({"parent": fresh(1)}, {"parent_permit": None}, {"parent": b""}, {"purpose": "care"}):
        verdict = world.ask(msgspec.structs.replace(below, **wrong))
        assert (verdict.answer, verdict.rules) == ("deny", ("chained",)), wrong


def test_time_never_goes_back() -> None:
    world = World()
    world.now_ms = T0 + DAY
    world.ask(world.request())
    world.now_ms = T0 - DAY
    assert permit_of(world, world.ask(world.request())).issued_ms == T0 + DAY
    world.beliefs = world.restored()
    assert permit_of(world, world.ask(world.request())).issued_ms == T0 + DAY


def test_a_restart_keeps_everything() -> None:
    world = World()
    asked = world.ask(world.request("notes.append"))
    world.ask(m.Revoke(world.removal(key_id(key("stranger").public))))
    world.ask(m.Install(world.policy(4)))
    world.ask(world.request())
    before = world.ask(m.StatusWanted())
    world.beliefs = world.restored()
    assert world.ask(m.StatusWanted()) == before
    assert world.ask(world.approval(asked.request)).answer == "allow"
    with pytest.raises(InvalidInput):
        world.ask(m.Install(world.policy(3)))


def test_a_changed_store_is_noticed() -> None:
    world = World()
    subject = key_id(world.phone.public)
    rows = dict(world.rows)
    world.rows["certificate", subject] = rows["certificate", subject][:-1] + b"\0"
    with pytest.raises(CertificateRefused):
        world.restored()
    world.rows = {**rows, ("surprise", b""): b""}
    with pytest.raises(StoreDamaged):
        world.restored()


def test_an_advert_of_a_removed_device_in_an_old_store_is_ignored() -> None:
    world = World()
    del world.rows["certificate", key_id(world.phone.public)]
    assert not world.restored().offers


def test_medulla_refuses_keys_that_the_root_did_not_certify() -> None:
    world = World()
    for pair in ((key("other"), world.permit_key), (world.issuer, key("other"))):
        with pytest.raises(CertificateRefused):
            Beliefs(world.anchors, *pair, "none")


def test_the_revocation_list_is_dated_anew_before_it_goes_stale() -> None:
    world = World()
    first = world.ask(m.TrustWanted())
    assert world.ask(m.TrustWanted()) == first
    world.now_ms += DAY
    second = world.ask(m.TrustWanted())
    membership = Membership(world.anchors)
    membership.merge_revocations(first.revocations)
    assert membership.merge_revocations(second.revocations)
    assert not membership.is_stale(world.now_ms)


def test_every_decision_is_noted_with_its_rules_and_without_an_answer_for_the_log_itself() -> None:
    world = World()
    world.ask(world.request())
    world.ask(world.request("notes.burn"))
    world.ask(world.approval(world.ask(world.request("notes.append")).request))
    told = [(note.kind, note.answer) for note in world.log]
    assert told == [
        ("policy", "allow"),
        ("certificate", "allow"),
        ("advert", "allow"),
        ("permit", "allow"),
        ("permit", "deny"),
        ("permit", "ask"),
        ("approval", "allow"),
        ("permit", "allow"),
    ]
    assert world.log[4].rules
    assert [note.number for note in world.log] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert world.restored().permits == world.beliefs.permits == 2


def test_an_unknown_event_is_our_bug() -> None:
    with pytest.raises(InvalidTransition):
        handle(World().beliefs, m.LogQuery(), T0, fresh(1))


def test_validate_names_what_does_not_hold() -> None:
    world = World()
    beliefs = world.beliefs
    subject = key_id(world.phone.public)
    beliefs.revocations = msgspec.structs.replace(beliefs.revocations, subjects=(subject,))
    beliefs.serial = 0
    beliefs.offers[b"x"] = beliefs.offers[subject]
    beliefs.grants[b"g"] = b"y"
    with pytest.raises(InvalidTransition) as caught:
        validate(beliefs)
    assert str(caught.value).count(";") == 3


def test_decisions_of_the_policy_are_remembered_only_so_many() -> None:
    world = World()
    for number in range(4100):
        world.beliefs.decide(f"notes.o{number}", 1)
    assert world.beliefs.decide("notes.list", 1) == "allow"


CASES = st.builds(
    Case,
    operation=st.sampled_from(["notes.list", "speech.say"]),
    target=st.sampled_from([None, World().beliefs.certificates[key_id(key("phone").public)][0]]),
    revoked=st.booleans(),
    declared=st.one_of(st.none(), st.integers(1, 255)),
    effects=st.integers(0, 255),
    isolation=st.sampled_from(["uid", "landlock", "none"]),
    policy=st.sampled_from(["allow", "ask", "deny"]),
    approved=st.booleans(),
    now_ms=st.sampled_from([T0 - DAY, T0, T0 + 40 * DAY]),
    held=st.booleans(),
)


@given(CASES)
@settings(max_examples=300)
def test_a_further_rule_can_only_make_the_answer_worse(case: Case) -> None:
    severity = {"allow": 0, "ask": 1, "deny": 2}
    with_all = judge(case)
    for rule in RULES:
        fewer = judge(case, tuple(other for other in RULES if other is not rule))
        assert severity[fewer.answer] <= severity[with_all.answer]
    more = judge(case, (*RULES, lambda _case: Finding("extra", "deny", "no")))
    assert more.answer == "deny"


@given(CASES)
@settings(max_examples=300)
def test_nothing_unisolated_unknown_or_removed_is_ever_allowed(case: Case) -> None:
    if judge(case).answer == "allow":
        assert case.target is not None
        assert case.declared is not None
        assert not case.revoked
        assert case.isolation != "none" or not case.effects & ~9
        assert not case.held or not case.effects & ~9
        assert case.policy == "allow" or (case.policy == "ask" and case.approved)


def test_a_renewal_changes_the_key_of_connections_and_accepts_the_one_before_until_the_next() -> None:
    world = World()
    subject = key_id(world.phone.public)
    before = world.beliefs.certificates[subject][0]
    with pytest.raises(Busy):
        world.ask(m.Renew(renewal(world, before.serial, curve_pub=b"n" * 32)))
    world.now_ms += ROTATION_PAUSE_MS
    first = world.ask(m.Renew(renewal(world, before.serial, curve_pub=b"n" * 32)))
    rotated = open_certificate(first.certificate, world.issuer.public, world.mesh)
    assert (rotated.curve_pub, rotated.curve_previous) == (b"n" * 32, before.curve_pub)
    again = world.ask(m.Renew(renewal(world, before.serial, curve_pub=b"n" * 32)))
    assert again.certificate == first.certificate, "an answer that was lost is given again"
    world.now_ms += CERTIFICATE_LIFETIME_MS // 2
    kept = world.ask(m.Renew(renewal(world, rotated.serial, curve_pub=rotated.curve_pub)))
    renewed = open_certificate(kept.certificate, world.issuer.public, world.mesh)
    assert (renewed.curve_pub, renewed.curve_previous) == (b"n" * 32, b"")
    with pytest.raises(Replayed):
        world.ask(m.Renew(renewal(world, renewed.serial + 1)))


def test_nobody_can_take_the_key_of_another_member() -> None:
    world = World()
    kitchen = key("kitchen")
    issued = world.ask(m.Issue(world.grant(kitchen, "kitchen")))
    taken = open_certificate(issued.certificate, world.issuer.public, world.mesh).curve_pub
    serial = world.beliefs.certificates[key_id(world.phone.public)][0].serial
    world.now_ms += ROTATION_PAUSE_MS
    for curve_pub, error in ((taken, CertificateRefused), (b"short", InvalidInput)):
        with pytest.raises(error):
            world.ask(m.Renew(renewal(world, serial, curve_pub=curve_pub)))
    ann = key("ann")
    person = world.ask(
        m.Issue(world.grant(ann, "Ann", kind="person", roles=("caregiver",), curve_pub=b"", capabilities=()))
    )
    known = open_certificate(person.certificate, world.issuer.public, world.mesh)
    wish = Renewal(world.mesh, known.subject, known.serial, world.now_ms, b"n" * 32)
    with pytest.raises(InvalidInput):
        world.ask(m.Renew(sign_renewal(wish, ann)))


def test_a_grant_to_a_member_keeps_its_identity_and_the_key_it_has_meanwhile() -> None:
    world = World()
    before = world.beliefs.certificates[key_id(world.phone.public)][0]
    world.now_ms += ROTATION_PAUSE_MS
    world.ask(m.Renew(renewal(world, before.serial, curve_pub=b"n" * 32)))
    more = (*before.capabilities, CapabilityGrant("vision", 3))
    issued = world.ask(m.Issue(world.grant(world.phone, "phone", capabilities=more)))
    raised = open_certificate(issued.certificate, world.issuer.public, world.mesh)
    assert (raised.curve_pub, raised.curve_previous) == (b"n" * 32, before.curve_pub)
    assert raised.capabilities == more
    assert raised.serial > before.serial
    issued = world.ask(m.Issue(world.grant(world.phone, "phone", curve_pub=b"o" * 32)))
    paired_anew = open_certificate(issued.certificate, world.issuer.public, world.mesh)
    assert (paired_anew.subject, paired_anew.curve_pub, paired_anew.curve_previous) == (
        before.subject, b"o" * 32, b"",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ raises


def limited_phone() -> tuple[World, bytes]:
    """A world whose phone may only list notes, and offers to append, too."""
    world = World()
    reads = (CapabilityGrant("notes", int(Effect.READ)),)
    world.ask(m.Issue(world.grant(world.phone, "phone", capabilities=reads)))
    told = world.ask(m.Advertise(world.advert(world.phone, version=2)))
    assert told.refused == ("notes",)
    assert told.operations == ("notes.list",)
    return world, key_id(world.phone.public)


def test_what_a_device_offers_beyond_its_certificate_waits_for_the_owner() -> None:
    world, subject = limited_phone()
    (raised,) = world.ask(m.RaisesWanted()).raises
    assert (raised.subject, raised.name, raised.capability) == (subject, "phone", "notes")
    assert (raised.effects, raised.granted, raised.declined) == (int(Effect.WRITE), int(Effect.READ), False)
    assert world.ask(world.request("notes.append", target=subject)).rules == ("granted",)
    more = (CapabilityGrant("notes", int(Effect.READ | Effect.WRITE)),)
    world.ask(m.Issue(world.grant(world.phone, "phone", capabilities=more)))
    assert world.ask(m.RaisesWanted()).raises == ()
    assert world.ask(world.request("notes.append", target=subject)).answer == "ask"


def test_a_no_is_remembered_until_the_device_wants_something_else() -> None:
    world, subject = limited_phone()
    no = m.Decline(subject, (CapabilityGrant("notes", int(Effect.WRITE)),))
    (raised,) = world.ask(no).raises
    assert raised.declined
    restored = world.restored()
    assert restored.declined == {subject: {"notes": int(Effect.WRITE)}}
    world.ask(m.Decline(subject, (CapabilityGrant("speech", 8),)))
    moving = manifest()
    operations = tuple(
        msgspec.structs.replace(operation, effects=int(Effect.WRITE | Effect.MOVE))
        if operation.name == "notes.append"
        else operation
        for operation in moving.operations
    )
    changed = msgspec.structs.replace(moving, operations=operations)
    world.ask(m.Advertise(world.advert(world.phone, changed, version=3)))
    (raised,) = world.ask(m.RaisesWanted()).raises
    assert (raised.effects, raised.declined) == (int(Effect.WRITE | Effect.MOVE), False)
    world.ask(m.Revoke(world.removal(subject)))
    assert world.ask(m.RaisesWanted()).raises == ()
    assert world.restored().declined == {}


def test_a_no_for_nobody_or_to_too_much_is_refused() -> None:
    world, subject = limited_phone()
    with pytest.raises(UnknownMember):
        world.ask(m.Decline(b"x" * 20, ()))
    many = tuple(CapabilityGrant(f"c{number}", 1) for number in range(DECLINED_MAX + 1))
    with pytest.raises(InvalidInput):
        world.ask(m.Decline(subject, many))
    assert world.beliefs.declined == {}


def test_an_alert_reaches_a_device_whose_certificate_has_ended_and_nothing_else_does() -> None:
    world = World()
    world.now_ms += CERTIFICATE_LIFETIME_MS + 1
    assert world.ask(world.request(priority="emergency")).answer == "allow"
    assert world.ask(world.request("notes.append", priority="emergency")).rules == ("current",)
