"""Yeses to learned routines, at Medulla: the person's own sentence, the very steps, once each time, in order, within
bounds, until it ends; for everything else it asks as before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.brain.test_review_step import SALTS, Household
from tests.coordinator.medulla_kit import DAY, HOUR, fresh, key, manifest
from tests.coordinator.people_kit import person_id

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.coordinator.brain.medulla import approval_messages as am
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla import routine_machine, routines
from kindmesh.coordinator.brain.medulla.routine_messages import Agree, Propose, Proposed, ProposedStep
from kindmesh.coordinator.brain.medulla.routines import KeptRoutine
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    AccessRefused,
    BadSignature,
    Busy,
    CertificateRefused,
    InvalidInput,
    KindmeshError,
    Malformed,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
    WrongDestination,
)
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, Quiet, Rate
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.manifest import Effect, Field, Manifest, Operation
from kindmesh.protocol.permit import open_permit
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_bytes
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.policy import Policy, Rule, sign_policy
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal
from kindmesh.protocol.roles import FIRST_ROLES
from kindmesh.protocol.routine import RoutineApproval, RoutineRequest, sign_routine
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.stream_spec import StreamBounds, StreamMedia, StreamSpec
from kindmesh.protocol.utterance import Utterance, prove, root_of, sign_utterance, spoken
from kindmesh.protocol.utterance_evidence import Evidence

SENTENCE = "I am home"
DOOR = {"service": "lock.unlock", "entities": ["lock.front_door"], "data": {}}
LIGHT = {"service": "light.turn_on", "entities": ["light.hall"], "data": {}}
SHUT = {"service": "lock.lock", "entities": ["lock.front_door"], "data": {}}


CHILD = msgspec.structs.replace(next(role for role in FIRST_ROLES if role.name == "guest"), name="child")


class Learning(Household):
    """The owner's sentence unlocks the front door, and then turns on the light in the hall."""

    def steps(self, *more: tuple[str, Any, tuple[int, ...]]) -> tuple[ProposedStep, ...]:
        wanted = more or (("home.access", DOOR, ()), ("home.control", LIGHT, (0,)))
        return tuple(
            ProposedStep(call, self.device, encode_value(args), after) for call, args, after in wanted
        )

    def propose(self, who: Principal = OWNER, said: str = SENTENCE, **changes: Any) -> bytes:
        wish = Propose(who, tuple(said.split()), self.steps())
        answer = self.ask(msgspec.structs.replace(wish, **changes))
        assert isinstance(answer, Proposed)
        return answer.request

    def approval(self, request: bytes, *_: Any, **changes: Any) -> Any:
        made = RoutineApproval(request, self.now_ms, self.now_ms + 30 * DAY, 3)
        return msgspec.structs.replace(made, **changes)

    def agree(self, approval: RoutineApproval, by: SigningKey | None = None) -> am.Standings:
        answer: am.Standings = self.ask(Agree(sign_routine(approval, by or self.owner)))
        return answer

    def agreed(self, **changes: Any) -> bytes:
        """The id of a routine that is in force."""
        request = self.propose()
        self.agree(self.approval(request, **changes))
        return decode(RoutineRequest, request).request_id

    def say(self, text: str = SENTENCE, **changes: Any) -> Evidence:
        self.counter += 1
        words = spoken(text, SALTS)
        utterance = Utterance(
            self.mesh, fresh(self.counter), len(words.words), root_of(words), self.device, b"", "owner",
            self.now_ms, present=True,
        )  # fmt: skip
        signer = changes.pop("by", self.phone)
        signed = sign_utterance(msgspec.structs.replace(utterance, **changes), signer)
        return Evidence(signed, prove(words, tuple(range(len(words.words)))))

    def wish(  # type: ignore[override]  # the request of a step, not of a person's signature
        self, said: Evidence | None, operation: str = "home.access", args: Any = DOOR, **changes: Any
    ) -> m.PermitRequest:
        request = self.request(operation, args=encode_value(args), evidence=said, principal=OWNER)
        # All steps of one saying are of one run.
        run = b"run-of-" + said.utterance.signature[:9] if said else request.run_id
        return msgspec.structs.replace(request, **{"run_id": run, **changes})

    def door(self, said: Evidence | None, **changes: Any) -> str:  # type: ignore[override]  # see `wish`
        return str(self.ask(self.wish(said, **changes)).answer)

    def light(self, said: Evidence | None, **changes: Any) -> str:  # type: ignore[override]  # see `wish`
        return str(self.ask(self.wish(said, "home.control", LIGHT, **changes)).answer)

    def again(self) -> None:
        self.beliefs = self.restored()


@pytest.fixture
def home() -> Learning:
    return Learning()


# ---------------------------------------------------------------------------------------------------- in force


def test_the_whole_sentence_settles_its_steps_once_agreed_and_says_so_in_the_permit(home: Learning) -> None:
    assert home.door(home.say()) == "ask"
    routine_id = home.agreed()
    said = home.say("“I am home!”")
    verdict = home.ask(home.wish(said))
    permit = open_permit(verdict.permit, home.permit_key.public)
    assert (permit.approval_id, permit.approved_by) == (routine_id, key_id(home.owner.public))
    assert permit.label == Carried("user"), "whoever signs these very values vouches for them"
    assert home.light(said) == "allow"
    (state,) = home.ask(am.StandingsWanted()).routines
    assert (state.name, state.used) == ("person", 1)


def test_it_lasts_over_a_restart_with_what_was_used_of_it(home: Learning) -> None:
    home.agreed(times=1)
    said = home.say()
    assert home.door(said) == "allow"
    home.again()
    assert home.door(said) == "ask", "this step was permitted for another job, these words"
    assert home.light(said) == "allow", "of the same words"
    assert home.door(home.say()) == "ask", "once a day"
    home.now_ms += DAY
    assert home.door(home.say()) == "allow"


@pytest.mark.parametrize(
    "text", ["I am home now", "am I home", "I am not home", "I am home?", "I am", "please I am home", "home"]
)
def test_other_words_are_asked_about(home: Learning, text: str) -> None:
    home.agreed()
    assert home.door(home.say(text)) == "ask"


def test_words_that_are_held_back_settle_nothing(home: Learning) -> None:
    home.agreed()
    whole = home.say("I am not home")
    without = msgspec.structs.replace(whole, words=(whole.words[0], whole.words[1], whole.words[3]))
    assert home.door(without) == "ask"
    assert home.door(None) == "ask"


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("home.access", {**DOOR, "entities": ["lock.back_door"]}),
        ("home.access", {**DOOR, "entities": ["lock.front_door", "lock.back_door"]}),
        ("home.access", SHUT),
        ("home.access", {**DOOR, "data": {"code": "1"}}),
        ("home.control", DOOR),
        ("home.control", {**LIGHT, "service": "light.turn_off"}),
    ],
)
def test_other_steps_and_values_are_asked_about(home: Learning, operation: str, args: Any) -> None:
    home.agreed()
    assert home.ask(home.wish(home.say(), operation, args)).answer == "ask"


def test_another_device_another_purpose_and_a_run_inside_are_asked_about(home: Learning) -> None:
    home.agreed()
    home.ask(m.Issue(home.grant(key("shed"), "shed")))
    home.ask(m.Advertise(home.advert(key("shed"), HOME)))
    assert home.door(home.say(), target=key_id(key("shed").public)) == "ask"
    assert home.door(home.say(), purpose="fun") == "ask"
    said = home.say()
    parent = home.ask(home.wish(said, "home.get", {"entities": []})).permit
    inside = {"parent_permit": parent, "parent": open_permit(parent, home.permit_key.public).permit_id}
    assert home.door(said, run_id=fresh(88), **inside) == "ask"
    assert home.door(said) == "allow"


def test_each_step_once_for_each_saying_and_in_order(home: Learning) -> None:
    home.agreed()
    said = home.say()
    assert home.light(said) == "ask", "the door comes first"
    first = home.wish(said)
    assert home.ask(first).answer == "allow"
    assert home.ask(msgspec.structs.replace(first, epoch=2)).answer == "allow", "the same job, moved"
    assert home.door(said) == "ask", "another job"
    assert home.light(said) == "allow"
    assert home.light(said) == "ask"


def test_a_step_that_is_there_twice_is_permitted_twice(home: Learning) -> None:
    calls = (("home.control", LIGHT, ()), ("home.access", DOOR, (0,)), ("home.control", LIGHT, (1,)))
    home.agree(home.approval(home.propose(steps=home.steps(*calls))))
    said = home.say()
    answers = [home.light(said), home.light(said), home.door(said), home.light(said), home.light(said)]
    assert answers == ["allow", "ask", "allow", "allow", "ask"]


def test_words_that_served_another_run_prove_nothing_here(home: Learning) -> None:
    home.agreed()
    said = home.say()
    assert home.door(said) == "allow"
    assert home.light(said, run_id=fresh(77)) == "deny"


def test_words_serve_for_less_than_a_day(home: Learning) -> None:
    home.agreed()
    said = home.say()
    assert home.door(said) == "allow"
    home.now_ms += DAY - HOUR
    assert home.light(said) == "allow", "a step that waited"
    said = home.say()
    assert home.door(said) == "allow"
    home.now_ms += DAY
    assert home.light(said) == "ask"
    assert home.door(said) == "ask", "it is not forgotten before the words are"


def test_it_ends_by_itself_and_by_the_owners_word(home: Learning) -> None:
    home.agreed(expires_ms=home.now_ms + HOUR)
    home.now_ms += HOUR + 1
    assert home.door(home.say()) == "ask"
    assert home.ask(am.StandingsWanted()).routines == ()
    routine_id = home.agreed()
    assert len(home.beliefs.approvals.routines.agreed) == 1, "what is over makes room"
    assert home.door(home.say()) == "allow"
    assert home.ask(am.EndStanding(routine_id)).routines == ()
    assert home.ask(am.EndStanding(routine_id)).routines == ()
    assert home.log[-1].rules == ("revoked",)
    assert home.door(home.say()) == "ask"
    home.again()
    assert home.door(home.say()) == "ask"
    assert not [row for row in home.rows if row[0] == "routine"]


def test_a_sentence_that_is_agreed_to_anew_takes_the_place_of_the_old(home: Learning) -> None:
    home.agreed()
    home.agree(home.approval(home.propose(said="i AM home.", steps=home.steps(("home.access", SHUT, ())))))
    assert len(home.ask(am.StandingsWanted()).routines) == 1
    assert home.door(home.say()) == "ask"
    assert home.ask(home.wish(home.say(), args=SHUT)).answer == "allow"


def test_another_yes_beside_it_still_counts(home: Learning) -> None:
    from kindmesh.protocol.standing import StandingApproval, sign_standing

    asked = home.ask(home.wish(home.say())).request
    lasting = StandingApproval(
        home.mesh, fresh(99), asked, "standing", home.now_ms, home.now_ms + DAY, 3, DAY
    )
    home.ask(am.Stand(sign_standing(lasting, home.owner)))
    home.agreed(times=1)
    assert [home.door(home.say()) for _ in range(5)] == ["allow"] * 4 + ["ask"]
    shown = home.ask(am.StandingsWanted())
    assert (len(shown.standings), len(shown.routines)) == (1, 1)


# ------------------------------------------------------------------------------------------- what it does not settle


def test_what_is_denied_stays_denied(home: Learning) -> None:
    home.agreed()
    forbids = Policy(home.mesh, 9, home.now_ms, (Rule("home.access", 255, "deny"),), guards=FIRST_GUARDS)
    home.ask(m.Install(sign_policy(forbids, home.owner)))
    assert home.door(home.say()) == "deny"


@pytest.mark.parametrize(
    "bounds",
    [
        {"quiet": (Quiet(0, 1_439, int(Effect.ACTUATE)), Quiet(1_439, 0, int(Effect.ACTUATE)))},
        {"rates": (Rate("home.access", 1, HOUR),)},
    ],
)
def test_quiet_hours_and_rates_still_ask(home: Learning, bounds: dict[str, Any]) -> None:
    home.agreed()
    home.guard(msgspec.structs.replace(FIRST_GUARDS, **bounds))
    answers = [home.door(home.say()) for _ in range(2)]
    assert answers[-1] == "ask"
    assert home.beliefs.approvals.routines.agreed


def test_what_could_hurt_somebody_asks_while_nobody_is_known_to_be_there(home: Learning) -> None:
    home.agreed()
    said = home.say(present=False)
    assert home.door(said) == "ask"
    home.agree(home.approval(home.propose(steps=home.steps(("home.control", LIGHT, ())))))
    assert home.light(home.say(present=False)) == "allow"


def test_what_somebody_doubts_asks(home: Learning) -> None:
    home.agreed()
    assert home.door(home.say(), doubts=("A second reviewer has doubts.",)) == "ask"


def test_a_step_that_does_more_than_it_did_asks(home: Learning) -> None:
    home.agreed()
    assert home.door(home.say(), effects=int(Effect.SPEND)) == "ask"
    operations = tuple(
        msgspec.structs.replace(one, data_classes=("health",)) if one.name == "home.access" else one
        for one in HOME.operations
    )
    home.ask(
        m.Advertise(home.advert(home.phone, msgspec.structs.replace(HOME, operations=operations), version=9))
    )
    assert home.door(home.say()) == "ask"


def test_a_stream_is_agreed_to_each_time(home: Learning) -> None:
    base = manifest()
    spec = StreamSpec("in", StreamMedia("bytes"), None)
    streaming = msgspec.structs.replace(base.operations[0], stream=spec)
    offered = msgspec.structs.replace(base, operations=(streaming,))
    home.ask(m.Advertise(home.advert(home.phone, HOME, offered, version=9)))
    with pytest.raises(InvalidInput, match="each time"):
        home.propose(steps=home.steps(("notes.append", {"text": "x"}, ())))
    home.agreed()
    bounds = StreamBounds(1_000, 1_000)
    wish = home.wish(home.say(), "notes.append", {"text": "x"}, stream=bounds)
    assert home.ask(wish).answer == "ask"


def test_a_device_that_no_longer_offers_it_is_refused(home: Learning) -> None:
    home.agreed()
    home.ask(m.Advertise(home.advert(home.phone, manifest(), version=9)))
    assert home.door(home.say()) == "deny"


# ------------------------------------------------------------------------------------------------- agreeing to it


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"principal": device_principal(b"d" * 20)}, InvalidInput),
        ({"principal": Principal("person", "not an id")}, InvalidInput),
        ({"principal": person_principal(person_id("nobody"), "nobody")}, AccessRefused),
        ({"words": ("!", "...")}, InvalidInput),
        ({"steps": (ProposedStep("home.fly", b"p" * 20, b"\x80"),)}, InvalidInput),
    ],
)
def test_what_cannot_be_agreed_to_is_not_laid_before_anybody(
    home: Learning, changes: dict[str, Any], refused: type[KindmeshError]
) -> None:
    with pytest.raises(refused):
        home.propose(**changes)
    with pytest.raises(InvalidInput):
        home.propose(steps=home.steps(("home.fly", {}, ())))
    with pytest.raises(Malformed):
        home.propose(steps=(ProposedStep("home.access", home.device, b"\xc1"),))
    assert home.beliefs.approvals.routines.proposed == {}


def test_names_and_effects_are_medullas(home: Learning) -> None:
    asked = decode(RoutineRequest, home.propose(msgspec.structs.replace(OWNER, name="Your friend")))
    assert asked.principal == OWNER
    (door, light) = asked.steps
    assert (door.target_name, door.effects, door.data_classes) == ("phone", int(Effect.ACTUATE), ("home",))
    assert light.after == (0,)


def changed(request: bytes, **changes: Any) -> bytes:
    return encode(msgspec.structs.replace(decode(RoutineRequest, request), **changes))


def test_only_what_medulla_laid_before_the_person_can_be_agreed_to_and_once(home: Learning) -> None:
    request = home.propose()
    approval = home.approval(request)
    for wrong, refused in (
        ({"request": changed(request, words=("hello",))}, PermitMismatch),
        ({"request": changed(request, request_id=fresh(12_345))}, PermitUsed),
        ({"request": changed(request, mesh=b"x" * 20)}, WrongDestination),
        ({"times": 0}, InvalidInput),
        ({"issued_ms": home.now_ms - HOUR}, PermitExpired),
    ):
        with pytest.raises(refused):
            home.agree(msgspec.structs.replace(approval, **wrong))
    assert home.beliefs.approvals.routines.agreed == {}
    home.agree(approval)
    assert home.door(home.say()) == "allow"
    assert home.agree(approval).routines[0].used == 1, "the same again changes nothing"
    with pytest.raises(PermitUsed):
        home.agree(msgspec.structs.replace(approval, times=100))
    home.ask(am.EndStanding(decode(RoutineRequest, request).request_id))
    with pytest.raises(PermitUsed):
        home.agree(approval)
    late = home.propose()
    home.now_ms += HOUR
    with pytest.raises(PermitExpired):
        home.agree(home.approval(late))
    home.again()
    with pytest.raises(PermitUsed):
        home.agree(home.approval(late))


def test_a_forged_signature_is_refused(home: Learning) -> None:
    approval = home.approval(home.propose())
    with pytest.raises(CertificateRefused):
        home.agree(approval, key("coordinator"))
    forged = msgspec.structs.replace(
        sign_routine(approval, key("coordinator")), author=key_id(home.owner.public)
    )
    with pytest.raises(BadSignature):
        home.ask(Agree(forged))
    true = sign_routine(approval, home.owner)
    edited = Signed(encode(msgspec.structs.replace(approval, times=100)), true.author, true.signature)
    with pytest.raises(BadSignature):
        home.ask(Agree(edited))


def test_there_is_room_for_so_many(home: Learning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routine_machine, "ROUTINES_MAX", 1)
    home.agreed(expires_ms=home.now_ms + HOUR)
    with pytest.raises(Busy):
        home.agree(home.approval(home.propose(said="good night")))
    home.agreed()
    monkeypatch.setattr(routines, "PROPOSED_MAX", 1)
    first = home.propose(said="good night")
    home.propose(said="good morning")
    with pytest.raises(PermitUsed):
        home.agree(home.approval(first))


def test_a_row_that_was_changed_is_noticed(home: Learning) -> None:
    home.agreed()
    (row,) = [found for found in home.rows if found[0] == "routine"]
    kept = decode(KeptRoutine, home.rows[row])
    forged = msgspec.structs.replace(kept.signed, signature=bytes(64))
    home.rows[row] = encode(KeptRoutine(forged))
    with pytest.raises(BadSignature):
        home.restored()


# ------------------------------------------------------------------------------------------------------- people


class Family(Learning):
    """Anna is a resident who may agree to what the home does, Ben is a child, Carla a guest."""

    def __init__(self) -> None:
        super().__init__()
        self.roles(int(Effect.ACTUATE))
        for name, role in (("Anna", "resident"), ("Ben", "child"), ("Carla", "guest")):
            self.person(name, role)

    def roles(self, approves: int) -> None:
        version = self.beliefs.policy.version + 1
        roles = tuple(
            msgspec.structs.replace(role, approves=approves if role.name == "resident" else 0)
            for role in (*FIRST_ROLES, CHILD)
        )
        policy = msgspec.structs.replace(self.beliefs.policy, version=version, roles=roles)
        self.ask(m.Install(sign_policy(policy, self.owner)))

    def who(self, name: str) -> Principal:
        return person_principal(person_id(name), name, self.device)

    def spoke(self, name: str, text: str = SENTENCE) -> Evidence:
        from kindmesh.protocol.principal import principal_text

        return self.say(
            text,
            by=key(name),
            person=person_id(name),
            principal=principal_text(self.who(name)),
            present=False,
        )

    def switch(self, name: str, said: Evidence | None = None) -> str:
        return self.light(said or self.spoke(name), principal=self.who(name))

    def learns(self, name: str, by: SigningKey | None = None) -> None:
        steps = self.steps(("home.control", LIGHT, ()))
        self.agree(self.approval(self.propose(self.who(name), steps=steps)), by or key(name))


def test_a_persons_routine_is_theirs_alone_and_goes_with_their_role_and_with_them() -> None:
    home = Family()
    home.learns("Anna")
    assert home.switch("Anna") == "allow"
    (state,) = home.ask(am.StandingsWanted()).routines
    assert (state.name, state.used) == ("Anna", 1)
    assert home.light(home.say()) == "ask", "the owner has not learned it"
    assert home.switch("Ben") in ("ask", "deny")
    assert home.switch("Carla") in ("ask", "deny")
    home.again()
    assert home.switch("Anna") == "allow"
    home.roles(0)
    assert home.switch("Anna") == "ask"
    home.roles(int(Effect.ACTUATE))
    assert home.switch("Anna") == "allow"
    home.ask(m.Revoke(home.removal(person_id("Anna"))))
    assert home.beliefs.approvals.routines.agreed == {}
    home.again()
    assert home.ask(am.StandingsWanted()).routines == ()


def test_who_may_not_agree_is_told_before_anything_is_signed_and_cannot_sign_for_others() -> None:
    home = Family()
    for name in ("Ben", "Carla"):
        with pytest.raises(AccessRefused):
            home.learns(name)
    with pytest.raises(AccessRefused, match="whose sentence"):
        home.learns("Anna", by=home.owner)
    with pytest.raises(AccessRefused, match="whose sentence"):
        home.learns("Anna", by=key("Ben"))
    with pytest.raises(AccessRefused, match="whose sentence"):
        home.agree(home.approval(home.propose()), key("Anna"))
    request = home.propose(home.who("Anna"), steps=home.steps(("home.control", LIGHT, ())))
    home.roles(0)
    with pytest.raises(AccessRefused, match="may not answer"):
        home.agree(home.approval(request), key("Anna"))
    assert home.beliefs.approvals.routines.agreed == {}


def test_an_owner_of_before_agrees_to_nothing_any_more(
    home: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.agreed()
    monkeypatch.setattr(type(home.beliefs.anchors), "find", lambda *_: None)
    monkeypatch.setattr(type(home.beliefs), "is_replaced", False)
    (state,) = home.ask(am.StandingsWanted()).routines
    assert state.name == ""
    assert home.door(home.say(), principal=OWNER) in ("ask", "deny")


# ------------------------------------------------------------------------------------------------------- review


def memory(args: dict[str, Any]) -> dict[str, Any]:
    entities = {"$value": args["entities"], "$label": {"source": "memory"}}
    return {**args, "entities": entities}


def plan(*more: dict[str, Any], **changes: Any) -> Plan:
    steps = [
        {"id": "open", "call": "home.access", "args": memory(DOOR)},
        {"id": "light", "call": "home.control", "args": memory(LIGHT), "after": ["open"]},
    ]
    return plan_from_document({"plan": 1, "steps": [*steps, *more], **changes})


def reviewed(home: Learning, shown: Plan, said: Evidence | None) -> str:
    return str(home.ask(m.PlanReview(plan_to_bytes(shown), OWNER, evidence=said)).answer)


def test_a_review_says_what_the_permits_will_say(home: Learning) -> None:
    assert reviewed(home, plan(), home.say()) == "ask"
    home.agreed(times=1)
    assert reviewed(home, plan(), home.say()) == "allow"
    assert reviewed(home, plan(), home.say("I am home, Kindmesh")) == "ask"
    assert reviewed(home, plan(), home.say(present=False)) == "ask"
    assert reviewed(home, plan(), None) == "ask"
    wait = {"id": "wait", "pause": {"for_ms": 60_000}}
    assert reviewed(home, plan(wait), home.say()) == "allow"
    assert home.door(home.say()) == "allow"
    assert reviewed(home, plan(), home.say()) == "ask", "it is used up for today"


def test_a_review_settles_no_step_that_was_not_agreed_to(home: Learning) -> None:
    home.agreed()
    more = {"id": "more", "call": "home.access", "args": memory(SHUT)}
    verdict = home.ask(m.PlanReview(plan_to_bytes(plan(more)), OWNER, evidence=home.say()))
    assert verdict.answer == "ask"
    assert {one.step for one in verdict.reasons if one.step} == {"more"}
    unknown = {"id": "more", "call": "home.access", "args": {**DOOR, "data": {"$from": "open"}}}
    assert reviewed(home, plan(unknown), home.say()) == "ask"
    home.guard(msgspec.structs.replace(FIRST_GUARDS, quiet=(Quiet(0, 1_439, int(Effect.ACTUATE)),)))
    assert reviewed(home, plan(), home.say()) == "ask"


def test_a_review_knows_a_step_that_goes_to_several_devices(home: Learning) -> None:
    kitchen = {**LIGHT, "entities": ["light.kitchen"]}
    calls = (("home.access", DOOR, ()), ("home.control", LIGHT, ()), ("home.control", kitchen, ()))
    home.agree(home.approval(home.propose(steps=home.steps(*calls))))
    both = {**LIGHT, "entities": ["light.hall", "light.kitchen"]}
    three = {**LIGHT, "entities": ["light.hall", "light.kitchen", "light.bedroom"]}
    for args, answer in ((both, "allow"), (three, "ask"), ({**both, "service": "light.turn_off"}, "ask")):
        steps = [{"id": "s", "call": "home.control", "args": memory(args)}]
        shown = plan_from_document({"plan": 1, "steps": steps})
        assert reviewed(home, shown, home.say()) == answer, args


def test_values_that_a_device_fills_in_are_those_that_were_agreed_to(home: Learning) -> None:
    given = (
        Field("text", "text", "What"),
        Field("list", "text", "Which", required=False, default=encode_value("x")),
    )
    write = Operation("notes.append", "Append", given, (), int(Effect.WRITE), idempotent=False)
    home.ask(m.Advertise(home.advert(home.phone, Manifest("notes", "1", "Notes", (write,)), version=9)))
    filled = {"text": "milk", "list": "x"}
    home.agree(home.approval(home.propose(steps=home.steps(("notes.append", filled, ())))))
    steps = [{"id": "s", "call": "notes.append", "args": {"text": "milk"}}]
    assert reviewed(home, plan_from_document({"plan": 1, "steps": steps}), home.say()) == "allow"
    steps = [{"id": "s", "call": "notes.append", "args": {"text": "beer"}}]
    assert reviewed(home, plan_from_document({"plan": 1, "steps": steps}), home.say()) == "ask"


def test_a_routine_whose_values_are_no_names_is_no_home_step(home: Learning) -> None:
    home.guard(Guards())
    home.agree(home.approval(home.propose(steps=home.steps(("home.control", [1, 2], ())))))
    assert reviewed(home, plan(), home.say()) == "ask"
