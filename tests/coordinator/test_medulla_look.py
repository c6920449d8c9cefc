"""Method `look`: whether who asks may know how things are, by who they are, the policy and the owner's rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import HOUR, key
from tests.coordinator.people_kit import person_id
from tests.coordinator.test_medulla_cedar import PERMIT, Ruled

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.cedar_asked import ALL_MAX
from kindmesh.coordinator.brain.medulla.cedar_check import starter
from kindmesh.coordinator.brain.medulla.look_messages import THINGS_MAX, Look, Looked
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.limits import UTTERANCE_FRESH_MS
from kindmesh.protocol.messages.hello import Thing
from kindmesh.protocol.plan import Plan, Step, plan_to_bytes
from kindmesh.protocol.policy import Rule
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal, principal_text
from kindmesh.protocol.utterance import Utterance, root_of, sign_utterance, spoken
from kindmesh.protocol.utterance_evidence import Evidence

DOOR, LAMP = Thing("lock.front_door", ("front door", "hall")), Thing("light.hall", ("hall lamp", "hall"))
GUESTS = PERMIT + (
    '@id("door") @says("guests are not told about the door")'
    ' forbid (principal in Role::"guest", action == Action::"home.get", resource == Thing::"lock.front_door");'
)


class Looking(Ruled):
    """A home with a door and a lamp, and people who ask on `phone`."""

    def __init__(self) -> None:
        super().__init__()
        self.named(DOOR, LAMP, version=4)

    def look(self, who: Principal, *things: str, evidence: Evidence | None = None, **changes: Any) -> Looked:
        before = (dict(self.rows), len(self.log), dict(self.beliefs.utterances.used))
        wanted = Look("home.get", self.device, things or (DOOR.id, LAMP.id), who, evidence=evidence)
        found = self.ask(msgspec.structs.replace(wanted, **changes))
        assert (dict(self.rows), len(self.log), dict(self.beliefs.utterances.used)) == before
        assert isinstance(found, Looked)
        return found

    def known(self, name: str, role: str) -> tuple[Principal, Evidence]:
        """A person with a key on the phone, and a sentence that they signed just now."""
        self.person(name, role)
        return Principal("person", format_id(person_id(name)), device=self.device), self.spoken_by(name)

    def spoken_by(self, name: str) -> Evidence:
        self.counter += 1
        said = spoken("is the front door locked", tuple(bytes([n]) * 16 for n in range(5)))
        who = principal_text(person_principal(person_id(name), name, self.device))
        utterance = Utterance(
            self.mesh, self.counter.to_bytes(16, "big"), len(said.words), root_of(said), self.device,
            person_id(name), who, self.now_ms,
        )  # fmt: skip
        return Evidence(sign_utterance(utterance, key(name)), ())


@pytest.fixture
def home() -> Looking:
    return Looking()


def test_without_rules_everybody_of_the_household_may_know_and_nothing_is_asked_by_thing(
    home: Looking,
) -> None:
    home.rule("", rules=(Rule("*", 1, "allow"),))
    for role in ("resident", "caregiver", "guest"):
        who, heard = home.known(role, role)
        assert home.look(who, evidence=heard) == Looked("allow")
    assert home.look(OWNER) == Looked("allow")
    assert home.look(device_principal(home.device)) == Looked("allow")


def test_a_role_that_may_not_look_is_told_nothing(home: Looking) -> None:
    home.rule("")
    who, heard = home.known("anna", "alerts")
    found = home.look(who, evidence=heard)
    assert (found.answer, found.rule) == ("deny", "asker")
    assert "home.get" in found.message


def test_a_rule_keeps_one_thing_from_a_guest_and_from_nobody_else(home: Looking) -> None:
    home.rule(GUESTS)
    guest, heard = home.known("gina", "guest")
    found = home.look(guest, evidence=heard)
    assert (found.answer, found.by_thing) == ("allow", True)
    assert [(one.thing, one.answer, one.rule) for one in found.withheld] == [(DOOR.id, "deny", "cedar")]
    assert found.withheld[0].message == "guests are not told about the door (rule door)"
    resident, heard = home.known("rosa", "resident")
    assert home.look(resident, evidence=heard).withheld == ()
    assert home.look(OWNER).withheld == ()


def test_leaving_the_signature_out_is_no_way_around_a_rule_about_a_guest(home: Looking) -> None:
    home.rule(GUESTS.replace('action == Action::"home.get"', "action"))
    bare = device_principal(home.device)
    assert home.look(bare).withheld == ()
    home.known("gina", "guest")
    assert [one.thing for one in home.look(bare).withheld] == [DOOR.id]
    # The same at a permit.
    args = {"args": encode_value({"entities": [DOOR.id]}), "principal": bare}
    refused = home.ask(home.request("home.get", **args))
    assert (refused.answer, refused.rules) == ("deny", ("cedar",)), refused


def test_what_a_rule_asks_about_or_does_not_permit_is_withheld(home: Looking) -> None:
    home.rule(PERMIT + '@id("ask") @answer("ask") forbid (principal, action, resource in Area::"hall");')
    assert [one.answer for one in home.look(OWNER).withheld] == ["ask", "ask"]
    home.rule('permit (principal, action, resource in Area::"hall") when { resource.kind == "light" };')
    found = home.look(OWNER)
    assert [(one.thing, one.answer) for one in found.withheld] == [(DOOR.id, "deny")]
    # What nobody told Medulla a name of is a thing all the same.
    assert [one.thing for one in home.look(OWNER, "lock.cellar").withheld] == ["lock.cellar"]


def test_the_words_are_not_held_against_a_look(home: Looking) -> None:
    home.rule("permit (principal, action, resource) when { context.said };")
    heard = home.said("is the front door locked")
    assert [one.answer for one in home.look(OWNER, evidence=heard).withheld] == ["deny", "deny"]


def test_the_starter_set_keeps_nothing_from_anybody(home: Looking) -> None:
    home.rule(starter())
    guest, heard = home.known("gina", "guest")
    assert home.look(guest, evidence=heard) == Looked("allow", by_thing=True)


def test_a_policy_that_asks_about_looking_asks_and_its_rules_still_forbid(home: Looking) -> None:
    home.rule("", rules=(Rule("home.get", 1, "ask"),))
    found = home.look(OWNER)
    assert (found.answer, found.rule, found.by_thing) == ("ask", "policy", False)
    home.rule(GUESTS.replace('Role::"guest"', 'Role::"owner"'), rules=(Rule("home.get", 1, "ask"),))
    found = home.look(OWNER)
    assert (found.answer, [one.answer for one in found.withheld]) == ("ask", ["deny"])


def test_who_proves_nothing_is_told_nothing(home: Looking) -> None:
    home.rule(PERMIT)
    who, heard = home.known("rosa", "resident")
    assert home.look(who, evidence=heard).answer == "allow"
    for evidence, rule in ((None, "asker"), (home.said("is it locked"), "evidence")):
        found = home.look(who, evidence=evidence)
        assert (found.answer, found.rule) == ("deny", rule)
    home.now_ms += UTTERANCE_FRESH_MS + 1
    assert home.look(who, evidence=heard).answer == "deny"


def test_a_person_s_own_request_for_a_session_call_proves_who_asks(home: Looking) -> None:
    home.rule(GUESTS)
    gina, _ = home.known("gina", "guest")
    rosa, _ = home.known("rosa", "resident")
    call = {"operation": "home.get", "args": {}, "purpose": "household"}
    found = home.look(gina, proof=home.proof("gina", call, method="call"))
    assert [one.thing for one in found.withheld] == [DOOR.id]
    assert home.look(rosa, proof=home.proof("rosa", call, method="call")).withheld == ()
    wrong = {
        "another's": home.proof("rosa", call, method="call"),
        "for another operation": home.proof("gina", {**call, "operation": "home.history"}, method="call"),
        "for something that acts for them": home.proof(
            "gina", {**call, "acting": "goal:water"}, method="call"
        ),
        "without parameters": home.proof("gina", {}, method="call", params=encode_value([1])),
        "of a job": home.proof("gina", call),
        "of nobody": home.proof("gina", call, method="call", by=key("nobody")),
        "old": home.proof("gina", call, method="call", asked_ms=home.now_ms - HOUR),
    }
    for what, proof in wrong.items():
        found = home.look(gina, proof=proof)
        assert (found.answer, found.rule) == ("deny", "asker"), what


def test_what_tells_of_all_things_is_asked_about_each_as_a_job_and_in_a_plan_too(home: Looking) -> None:
    home.rule(
        GUESTS.replace('Role::"guest"', 'Role::"owner"').replace('action == Action::"home.get"', "action")
    )

    def job(operation: str, **args: Any) -> str:
        return str(home.wants(operation, args).answer)

    assert [job("home.get"), job("home.get", entities=[DOOR.id]), job("home.get", entities=[LAMP.id])] == [
        "deny", "deny", "allow",
    ]  # fmt: skip
    assert [job("home.history"), job("home.history", entity=DOOR.id), job("home.history", entity=LAMP.id)] == [
        "deny", "deny", "allow",
    ]  # fmt: skip
    for args, answer in (({}, "deny"), ({"entities": [DOOR.id]}, "deny"), ({"entities": [LAMP.id]}, "allow")):
        plan = Plan(steps=(Step(id="s", call="home.get", args=args),))
        assert home.ask(m.PlanReview(plan_to_bytes(plan), OWNER)).answer == answer, args
    # More than can be asked about while permits wait.
    home.named(*(Thing(f"light.n{number}", (f"lamp {number}",)) for number in range(ALL_MAX + 1)), version=9)
    assert job("home.get") == "deny"
    assert job("home.get", entities=["light.n1"]) == "allow"


def test_what_a_device_does_not_tell_or_nobody_knows_is_denied(home: Looking) -> None:
    home.rule(PERMIT)
    other = key("shed")
    found = home.look(OWNER, target=key_id(other.public))
    assert (found.answer, found.rule) == ("deny", "offered")
    home.ask(m.Issue(home.grant(other, "shed")))
    home.ask(m.Advertise(home.advert(other)))
    found = home.look(OWNER, target=key_id(other.public))
    assert (found.answer, found.rule) == ("deny", "offered")
    assert home.look(OWNER, operation="home.gaze").answer == "deny"
    assert home.look(OWNER, operation="").answer == "deny"
    home.ask(m.Advertise(home.advert(other, HOME, version=2)))
    assert home.look(OWNER, target=key_id(other.public)).answer == "allow"


def test_more_things_than_a_permit_may_wait_for_are_refused() -> None:
    wanted = Look("home.get", bytes(20), tuple(f"light.n{number}" for number in range(THINGS_MAX + 1)), OWNER)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(wanted), type=Look)
