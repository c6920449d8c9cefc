"""Who asks, judged by Medulla: proofs that fit exactly and serve once, roles, delegations, approvals by people."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from tests.coordinator.medulla_kit import DAY, HOUR, T0, key, manifest
from tests.coordinator.people_kit import People, person_id

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla import people_messages as pm
from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.errors import AccessRefused, BadSignature, CertificateRefused, PermitUsed
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.manifest import Effect, Field, Manifest, Operation
from kindmesh.protocol.permit import open_permit
from kindmesh.protocol.policy import ApprovalRequest, Policy, Rule, sign_policy
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal
from kindmesh.protocol.roles import FIRST_ROLES, Rights, RoleRule


def reason(verdict: m.Verdict) -> str:
    assert (verdict.answer, verdict.rules) == ("deny", ("asker",)), verdict
    return verdict.reasons[0]


def denied(world: People, request: m.PermitRequest) -> str:
    before = dict(world.rows)
    said = reason(world.ask(request))
    assert world.rows == before
    return said


def roles(world: People, *changed: RoleRule, version: int = 2, rules: tuple[Rule, ...] | None = None) -> None:
    """A policy in which these roles are as given."""
    names = {role.name for role in changed}
    kept = tuple(role for role in FIRST_ROLES if role.name not in names)
    allowed = rules if rules is not None else (Rule("*", 9, "allow"),)
    policy = Policy(world.mesh, version, T0, allowed, (*kept, *changed))
    world.ask(m.Install(sign_policy(policy, world.owner)))


# A person's own request.


def test_a_proven_person_gets_a_permit_in_their_name() -> None:
    world = People()
    world.person("Anna")
    verdict = world.ask(world.wish("Anna"))
    assert verdict.permit is not None
    permit = open_permit(verdict.permit, world.permit_key.public)
    assert (permit.principal.kind, permit.principal.name) == ("person", "Anna")
    assert permit.principal.id == format_id(person_id("Anna"))
    assert (permit.purpose, permit.approved_by) == ("household", b"")


def test_the_coordinators_word_is_no_proof() -> None:
    world = People()
    world.person("Anna")
    request = msgspec.structs.replace(world.wish("Anna"), proof=None)
    assert "nothing proves" in denied(world, request)


def test_a_person_whom_nobody_knows_is_told_so() -> None:
    world = People()
    assert "no person" in denied(world, world.wish("Nobody"))


@pytest.mark.parametrize(
    "changes",
    [
        {"args": encode_value({"text": "bread"})},
        {"args": encode_value({"text": "milk", "more": 1})},
        {"args": encode_value({})},
        {"args": encode_value({"text": True})},
        {"args": encode_value(["text"])},
        {"purpose": "care"},
        {"principal": Principal("goal", "water", "", format_id(person_id("Anna")))},
        {"principal": person_principal(person_id("Bo"), "Bo", key_id(key("phone").public))},
        {"principal": person_principal(person_id("Anna"), "Anna", person_id("x"))},
        {"principal": person_principal(person_id("Anna"), "Anna")},
        {"principal": Principal("person", "no id", device=key_id(key("phone").public))},
    ],
)
def test_a_proof_is_for_exactly_what_was_signed(changes: dict[str, Any]) -> None:
    world = People()
    world.person("Anna")
    world.person("Bo")
    denied(world, world.wish("Anna", **changes))


def test_a_proof_for_one_operation_is_none_for_another() -> None:
    world = People()
    world.person("Anna")
    denied(world, world.wish("Anna", "notes.append", proof=world.wish("Anna").proof))


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({"operation": "notes.list", "args": {"text": "milk"}, "target": "Phone"}, True),
        (
            {
                "operation": "notes.list",
                "args": {"text": "milk"},
                "target": format_id(key_id(key("phone").public)),
            },
            True,
        ),
        ({"operation": "notes.list", "args": {"text": "milk"}, "target": "kitchen"}, False),
        ({"operation": "notes.list", "args": {"text": "milk"}, "target": 1}, False),
        ({"operation": "notes.list", "args": {"text": "milk"}, "purpose": "household", "acting": ""}, True),
        ({"operation": "notes.list", "args": {"text": 1}}, False),
        ({"operation": "notes.list", "args": ["text"]}, False),
        ({"operation": "notes.list"}, False),
        (["notes.list"], False),
    ],
)
def test_device_and_values_are_those_the_person_named(said: Any, fits: bool) -> None:
    world = People()
    world.person("Anna")
    request = world.wish("Anna", proof=world.proof("Anna", said))
    assert (world.ask(request).answer == "allow") == fits


def test_what_a_person_left_out_may_only_be_what_the_device_declares() -> None:
    world = People()
    world.person("Anna")
    fields = (Field("text", "text"), Field("loud", "boolean", required=False, default=encode_value(False)))
    operations = (Operation("notes.list", "List", fields, (), int(Effect.READ), idempotent=True),)
    world.ask(m.Advertise(world.advert(world.phone, Manifest("notes", "1", "Notes", operations), version=2)))
    filled = encode_value({"text": "milk", "loud": False})
    assert world.ask(world.wish("Anna", args=filled)).answer == "allow"
    assert "other values" in denied(
        world, world.wish("Anna", args=encode_value({"text": "milk", "loud": True}))
    )
    assert "other values" in denied(world, world.wish("Anna", args=encode_value({"text": "milk", "loud": 0})))


def test_a_target_that_offers_nothing_is_no_reason_to_crash() -> None:
    world = People()
    world.person("Anna")
    request = world.wish("Anna", target=person_id("nowhere"))
    assert world.ask(request).answer == "deny"
    named = world.proof("Anna", {"operation": "notes.list", "args": {"text": "milk"}, "target": "phone"})
    assert world.ask(msgspec.structs.replace(request, proof=named)).answer == "deny"


def test_a_proof_serves_one_job_also_later_and_moved() -> None:
    world = People()
    world.person("Anna")
    request = world.wish("Anna")
    assert world.ask(request).answer == "allow"
    world.now_ms += HOUR
    assert world.ask(msgspec.structs.replace(request, epoch=2)).answer == "allow"
    again = msgspec.structs.replace(request, job_id=world.request().job_id)
    assert "another job" in denied(world, again)


def test_an_old_or_future_proof_begins_nothing() -> None:
    world = People()
    world.person("Anna")
    for off_ms in (HOUR, -HOUR):
        proof = world.proof(
            "Anna", {"operation": "notes.list", "args": {"text": "milk"}}, asked_ms=T0 + off_ms
        )
        assert "s off" in denied(world, world.wish("Anna", proof=proof))


def test_a_signature_by_another_key_or_method_proves_nothing() -> None:
    world = People()
    world.person("Anna")
    said = {"operation": "notes.list", "args": {"text": "milk"}}
    for changes in ({"method": "cancel"}, {"mesh": person_id("x")}, {"device": person_id("x")}):
        denied(world, world.wish("Anna", proof=world.proof("Anna", said, **cast(Any, changes))))
    forged = msgspec.structs.replace(world.proof("x", said), author=key_id(key("Anna").public))
    denied(world, world.wish("Anna", proof=forged))


def test_a_removed_person_asks_for_nothing_more() -> None:
    world = People()
    terms = world.person("Anna")
    request = world.wish("Anna")
    assert world.ask(request).answer == "allow"
    world.ask(m.Revoke(world.removal(terms.person)))
    assert "removed" in denied(world, msgspec.structs.replace(request, epoch=2))


def test_a_person_on_a_removed_device_asks_for_nothing() -> None:
    world = People()
    world.person("Anna")
    tablet = key("tablet")
    world.ask(m.Issue(world.grant(tablet, "tablet")))
    where = key_id(tablet.public)
    said = {"operation": "notes.list", "args": {"text": "milk"}}
    asker = person_principal(person_id("Anna"), "", where)
    request = world.wish("Anna", principal=asker, proof=world.proof("Anna", said, device=where))
    assert world.ask(request).answer == "allow"
    world.ask(m.Revoke(world.removal(where)))
    denied(world, request)


def test_what_the_owner_gave_for_a_time_ends_then() -> None:
    world = People()
    world.person("Anna", until_ms=T0 + DAY)
    world.now_ms += 2 * DAY
    assert "ended" in denied(world, world.wish("Anna"))


def test_an_expired_certificate_asks_for_nothing() -> None:
    world = People()
    world.person("Anna")
    world.now_ms += 40 * DAY
    verdict = world.ask(world.wish("Anna"))
    assert verdict.rules == ("current", "asker")
    assert verdict.reasons[1] == "the certificate of Anna has ended"


# Roles.


def test_a_role_denies_beyond_it_by_name() -> None:
    world = People()
    world.person("Anna", "alerts")
    said = denied(world, world.wish("Anna"))
    assert said.startswith("Anna was not given: ")
    assert "the operation notes.list" in said
    assert "the purpose household" in said


def test_an_alerts_only_person_may_see_alerts() -> None:
    world = People()
    world.person("Anna", "alerts")
    offered = manifest(Effect.NOTIFY, "alerts")
    world.ask(m.Advertise(world.advert(world.phone, manifest(), offered, version=2)))
    said = {"operation": "alerts.list", "args": {"text": "milk"}, "purpose": "alerts"}
    request = world.wish("Anna", "alerts.list", purpose="alerts", proof=world.proof("Anna", said))
    assert world.ask(request).answer == "allow"


def test_the_policy_still_asks_within_the_role() -> None:
    world = People()
    world.person("Anna", "resident")
    assert world.ask(world.wish("Anna", "notes.append")).answer == "ask"
    world.person("Bo", "guest")
    assert "the operation notes.append" in denied(world, world.wish("Bo", "notes.append"))


def test_the_owners_own_limits_narrow_the_role() -> None:
    world = People()
    world.person("Anna", operations=("notes.append",))
    assert "notes.list" in denied(world, world.wish("Anna"))
    world.person("Bo", effects=int(Effect.NOTIFY))
    assert "the effect read" in denied(world, world.wish("Bo"))


def test_a_role_that_the_policy_lost_allows_nothing() -> None:
    world = People()
    world.person("Anna", "guest")
    policy = Policy(world.mesh, 2, T0, (Rule("*", 255, "allow"),), FIRST_ROLES[:2])
    world.ask(m.Install(sign_policy(policy, world.owner)))
    assert "no role guest" in denied(world, world.wish("Anna"))
    bare = world.request(principal=device_principal(world.device))
    assert "the operation notes.list" in denied(world, bare)


def test_data_that_a_role_may_not_see_is_named() -> None:
    world = People()
    world.person("Anna", "caregiver")
    operations = (Operation("notes.list", "List", (), (), int(Effect.READ), True, ("notes",)),)
    world.ask(m.Advertise(world.advert(world.phone, Manifest("notes", "1", "Notes", operations), version=2)))
    assert "data about notes" in denied(world, world.wish("Anna"))


def test_leaving_the_signature_out_is_no_way_around_the_role() -> None:
    world = People()
    bare = world.request(principal=device_principal(world.device, "made up"))
    assert world.ask(bare).answer == "allow"
    world.person("Anna", "alerts")
    assert "phone was not given" in denied(world, bare)
    elsewhere = world.request(principal=device_principal(person_id("x")))
    assert world.ask(elsewhere).answer == "allow"


def test_the_owners_own_machine_is_not_bounded_and_has_one_name() -> None:
    world = People()
    verdict = world.ask(world.request(principal=Principal("owner", name="Anna")))
    assert verdict.permit is not None
    assert open_permit(verdict.permit, world.permit_key.public).principal == OWNER


# Goals, limbs, homes.


def test_a_goal_acts_within_its_delegation_and_never_beyond_the_person() -> None:
    world = People()
    world.person("Anna", "caregiver")
    assert "nobody lets the goal water act" in denied(world, world.acting("Anna"))
    world.delegated(world.delegation("Anna", rights=Rights(("notes.*",), 255)), key("Anna"))
    assert world.ask(world.acting("Anna")).answer == "allow"
    assert "the effect write" in denied(world, world.acting("Anna", "notes.append"))
    narrow = world.delegation("Anna", rights=Rights(("notes.append",), 255))
    world.delegated(narrow, key("Anna"))
    assert "the operation notes.list" in denied(world, world.acting("Anna"))


def test_a_delegation_ends_with_its_time_and_with_its_person() -> None:
    world = People()
    terms = world.person("Anna")
    world.person("Bo")
    world.delegated(world.delegation("Anna"), key("Anna"))
    world.delegated(world.delegation("Bo"), key("Bo"))
    assert world.ask(world.acting("Bo")).answer == "allow"
    world.ask(m.Revoke(world.removal(terms.person)))
    denied(world, world.acting("Anna"))
    world.now_ms += 8 * DAY
    assert "nobody lets" in denied(world, world.acting("Bo"))


def test_names_are_those_that_medulla_knows() -> None:
    world = People()
    for kind, id_, whom in (("goal", "x", "nobody at all"), ("goal", "x", ""), ("limb", "x", "owner")):
        asker = Principal(cast(Any, kind), id_, "the boss", whom)
        assert "boss" not in denied(world, world.request(principal=asker))


def test_a_delegation_by_the_owner_for_a_removed_person_gives_nothing() -> None:
    world = People()
    terms = world.person("Anna")
    world.delegated(world.delegation("Anna", kind="limb"), world.owner)
    assert world.ask(world.acting("Anna", kind="limb")).answer == "allow"
    world.beliefs.people.terms.pop(terms.person)
    assert "not known" in denied(world, world.acting("Anna", kind="limb"))


def test_what_acts_for_the_owner_has_what_the_delegation_says() -> None:
    world = People()
    world.delegated(world.delegation("", rights=Rights(("notes.list",), 255)), world.owner)
    verdict = world.ask(world.acting(""))
    assert verdict.permit is not None
    assert open_permit(verdict.permit, world.permit_key.public).principal.name == "the owner"
    denied(world, world.acting("", "notes.append"))


def test_a_person_has_something_act_for_them_with_a_proof_from_their_device() -> None:
    world = People()
    world.person("Anna")
    world.delegated(world.delegation("Anna"), key("Anna"))
    said = {"operation": "notes.list", "args": {"text": "milk"}, "acting": "goal:water"}
    asker = Principal("goal", "water", "", format_id(person_id("Anna")), world.device)
    request = world.request(principal=asker)
    assert "nothing proves" in denied(world, request)
    proven = msgspec.structs.replace(request, proof=world.proof("Anna", said))
    assert world.ask(proven).answer == "allow"
    other = world.request(principal=asker, proof=world.proof("Anna", {**said, "acting": "goal:other"}))
    denied(world, other)


def test_whom_it_acts_for_has_to_be_an_id() -> None:
    world = People()
    denied(world, world.request(principal=Principal("home", "next", "", "somebody")))


# Answers by people.


def asked(world: People, request: m.PermitRequest) -> bytes:
    verdict = world.ask(request)
    assert verdict.answer == "ask"
    found: bytes = verdict.request
    return found


def approves_writing(world: People, version: int = 2) -> None:
    role = next(role for role in FIRST_ROLES if role.name == "resident")
    roles(world, msgspec.structs.replace(role, approves=int(Effect.WRITE)), version=version)


def test_a_person_whose_role_approves_it_may_answer_and_the_permit_says_so() -> None:
    world = People()
    world.person("Anna")
    approves_writing(world)
    question = asked(world, world.request("notes.append"))
    verdict = world.ask(world.answer(question, key("Anna")))
    assert verdict.permit is not None
    assert open_permit(verdict.permit, world.permit_key.public).approved_by == key_id(key("Anna").public)
    with pytest.raises(PermitUsed):
        world.ask(world.answer(question, key("Anna")))


def test_the_owner_is_noted_as_the_one_who_approved() -> None:
    world = People()
    verdict = world.ask(world.answer(asked(world, world.request("notes.append")), world.owner))
    assert open_permit(verdict.permit, world.permit_key.public).approved_by == key_id(world.owner.public)


def test_a_persons_no_is_told_with_their_name() -> None:
    world = People()
    world.person("Anna")
    approves_writing(world)
    question = asked(world, world.request("notes.append"))
    verdict = world.ask(world.answer(question, key("Anna"), "deny"))
    assert (verdict.answer, verdict.reasons) == ("deny", ("Anna said no",))


def test_who_may_not_answer_leaves_the_question_open() -> None:
    world = People()
    world.person("Anna")
    world.person("Bo", "guest")
    question = asked(world, world.request("notes.append"))
    for name in ("Anna", "Bo"):
        with pytest.raises(AccessRefused):
            world.ask(world.answer(question, key(name)))
    with pytest.raises(CertificateRefused):
        world.ask(world.answer(question, key("stranger")))
    forged = world.answer(question, key("stranger"))
    as_anna = msgspec.structs.replace(forged.approval, author=key_id(key("Anna").public))
    with pytest.raises(BadSignature):
        world.ask(m.Approve(as_anna))
    assert world.ask(world.answer(question, world.owner)).answer == "allow"


def test_nobody_allows_what_they_may_not_do_themselves() -> None:
    world = People()
    world.person("Anna", operations=("notes.list",))
    approves_writing(world)
    question = asked(world, world.request("notes.append"))
    with pytest.raises(AccessRefused):
        world.ask(world.answer(question, key("Anna")))


def test_an_answer_counts_only_while_the_person_does() -> None:
    world = People()
    world.person("Anna", until_ms=T0 + HOUR // 2)
    world.person("Bo")
    approves_writing(world)
    question = asked(world, world.request("notes.append"))
    bo = world.beliefs.people.keys[key_id(key("Bo").public)]
    world.beliefs.people.keys[bo.subject] = msgspec.structs.replace(bo, expires_ms=T0)
    world.now_ms += HOUR * 3 // 4
    for name in ("Anna", "Bo"):
        with pytest.raises(AccessRefused):
            world.ask(world.answer(question, key(name)))


def test_an_answer_of_somebody_whose_terms_ended_is_none() -> None:
    world = People()
    terms = world.person("Anna")
    approves_writing(world)
    question = asked(world, world.request("notes.append"))
    shorter = world.without_invite(terms, until_ms=T0 + HOUR // 2)
    world.ask(pm.SetTerms(world.signed(shorter)))
    world.now_ms += HOUR // 2 + 60_000
    with pytest.raises(AccessRefused):
        world.ask(world.answer(question, key("Anna")))


def test_a_role_narrowed_while_a_job_waits_counts_when_it_is_answered() -> None:
    world = People()
    terms = world.person("Anna")
    question = asked(world, world.wish("Anna", "notes.append"))
    assert decode(ApprovalRequest, question).principal.name == "Anna"
    world.ask(pm.SetTerms(world.signed(world.without_invite(terms, role="guest"))))
    assert "notes.append" in reason(world.ask(world.answer(question, world.owner)))


def test_a_question_of_a_removed_person_is_denied_even_when_the_owner_says_yes() -> None:
    world = People()
    terms = world.person("Anna")
    question = asked(world, world.wish("Anna", "notes.append"))
    world.ask(m.Revoke(world.removal(terms.person)))
    assert "removed" in reason(world.ask(world.answer(question, world.owner)))


def test_an_answer_comes_long_after_the_proof_was_fresh() -> None:
    world = People()
    world.person("Anna")
    question = asked(world, world.wish("Anna", "notes.append"))
    world.now_ms += HOUR // 2
    assert world.ask(world.answer(question, world.owner)).answer == "allow"
