"""At the permit: the proven words of who asks are enough where the owner says so, and for nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import T0, key
from tests.coordinator.people_kit import People, person_id

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.asking import role_of
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import BadSignature, Replayed
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, Quiet
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.messages.hello import Thing
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import Policy, first_policy, sign_policy
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal
from kindmesh.protocol.utterance import Utterance, prove, root_of, sign_utterance, spoken
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

SALTS = tuple(sha256(bytes([number]))[:16] for number in range(40))


class Household(People):
    """With the first policy's guards, and a home that `phone` offers."""

    def __init__(self) -> None:
        super().__init__()
        self.ask(m.Issue(self.grant(key("desk"), "phone (coordinator)", roles=("coordinator",))))
        self.ask(m.Advertise(self.advert(self.phone, HOME, version=2)))
        self.guard(FIRST_GUARDS)

    def guard(self, guards: Guards) -> None:
        version = self.beliefs.policy.version + 1
        first = first_policy(self.mesh, T0)
        policy = Policy(self.mesh, version, self.now_ms, first.rules, self.beliefs.policy.roles, guards)
        self.ask(m.Install(sign_policy(policy, self.owner)))

    def named(self, *things: Thing, version: int = 3, offering: str = "phone") -> None:
        self.ask(m.Advertise(self.advert(key(offering), HOME, version=version, things=things)))

    def upstairs(self, text: str, *entities: str) -> m.Verdict:
        args = {"service": "light.turn_off", "entities": list(entities), "data": {}}
        labels = {f"entities.{number}": "lights upstairs" for number in range(len(entities))}
        return self.step(self.said(text), "home.control", args, labels)

    def said(self, text: str, *, present: bool = True, area: str = "") -> Evidence:
        self.counter += 1
        words = spoken(text, SALTS)
        utterance = Utterance(
            self.mesh, self.counter.to_bytes(16, "big"), len(words.words), root_of(words), self.device, b"", "owner",
            self.now_ms, present=present, area=area,
        )  # fmt: skip
        return Evidence(sign_utterance(utterance, self.phone), prove(words, tuple(range(len(words.words)))))

    def step(self, evidence: Evidence | None, operation: str, args: Any, labels: dict[str, str]) -> m.Verdict:
        made = tuple(
            ArgumentLabel(path, Label("user", words=tuple(words.split()))) for path, words in labels.items()
        )
        request = self.request(
            operation, args=encode_value(args), evidence=evidence, labels=made, principal=OWNER
        )
        verdict = self.ask(msgspec.structs.replace(request, run_id=self.counter.to_bytes(16, "little")))
        assert isinstance(verdict, m.Verdict)
        return verdict

    def light(self, text: str, entity: str, words: str, service: str = "light.turn_off") -> m.Verdict:
        args = {"service": service, "entities": [entity], "data": {}}
        return self.step(self.said(text), "home.control", args, {"entities.0": words})

    def door(self, text: str, *, present: bool) -> m.Verdict:
        args = {"service": "lock.unlock", "entities": ["lock.front_door"], "data": {}}
        labels = {"entities.0": "front door"}
        return self.step(self.said(text, present=present), "home.access", args, labels)


@pytest.fixture
def home() -> Household:
    return Household()


def test_what_the_person_said_is_permitted_without_a_question(home: Household) -> None:
    verdict = home.light("turn off the kitchen light", "light.kitchen", "kitchen light")
    assert (verdict.answer, verdict.reasons) == ("allow", ())
    assert verdict.permit is not None


def test_what_the_person_did_not_say_is_asked_with_the_reason(home: Household) -> None:
    swapped = home.light("turn off the kitchen light", "light.bedroom", "kitchen light")
    assert swapped.answer == "ask"
    assert "light.bedroom" in swapped.reasons[0]
    flipped = home.light("turn off the kitchen light", "light.kitchen", "kitchen light", "light.turn_on")
    assert flipped.answer == "ask"


def test_without_evidence_the_policy_asks_as_ever(home: Household) -> None:
    args = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
    assert home.step(None, "home.control", args, {"entities.0": "kitchen light"}).answer == "ask"


def test_where_the_owner_does_not_let_words_be_enough_they_are_not(home: Household) -> None:
    home.guard(Guards())
    assert home.light("turn off the kitchen light", "light.kitchen", "kitchen light").answer == "ask"


def test_a_door_is_opened_by_words_only_while_the_person_is_there(home: Household) -> None:
    assert home.door("unlock the front door", present=True).answer == "allow"
    assert home.door("unlock the front door", present=False).answer == "ask"
    assert home.door("lock the front door", present=True).answer == "ask"


def test_what_was_said_for_a_while_is_put_back_when_its_time_has_come(home: Household) -> None:
    said = "turn on the kitchen light for ten minutes"
    assert home.light(said, "light.kitchen", "kitchen light", "light.turn_on").answer == "allow"
    assert home.light(said, "light.kitchen", "kitchen light").answer == "allow"
    assert home.light(said, "light.bedroom", "kitchen light").answer == "ask"
    assert (
        home.light("turn on the kitchen light in ten minutes", "light.kitchen", "kitchen light").answer
        == "ask"
    )


def test_a_door_locks_itself_after_a_while_and_never_unlocks(home: Household) -> None:
    def door(text: str, service: str) -> str:
        args = {"service": service, "entities": ["lock.front_door"], "data": {}}
        return home.step(
            home.said(text, present=True), "home.access", args, {"entities.0": "front door"}
        ).answer

    assert door("unlock the front door for five minutes", "lock.lock") == "allow"
    assert door("lock the front door for five minutes", "lock.unlock") == "ask"


def test_quiet_hours_ask_by_the_clock_of_the_household(home: Household) -> None:
    minute = home.now_ms // 60_000 % 1_440
    home.guard(msgspec.structs.replace(FIRST_GUARDS, quiet=(Quiet(minute, (minute + 60) % 1_440, 16),)))
    assert home.light("turn off the kitchen light", "light.kitchen", "kitchen light").answer == "ask"
    home.beliefs.offset_ms = 7_200_000
    assert home.light("turn off the kitchen light", "light.kitchen", "kitchen light").answer == "allow"


def test_arguments_that_are_no_set_of_values_are_asked_about(home: Household) -> None:
    assert home.step(home.said("turn off the kitchen light"), "home.control", [], {}).answer == "ask"


def test_what_no_device_declares_is_denied_whatever_was_said(home: Household) -> None:
    assert home.step(home.said("do it all"), "home.control_all", {}, {}).answer == "deny"


def test_roles_are_those_that_medulla_knows(home: Household) -> None:
    assert role_of(home.beliefs, OWNER) == "owner"
    assert role_of(home.beliefs, device_principal(home.device)) == "device"
    assert role_of(home.beliefs, person_principal(person_id("nobody"), "nobody")) == "guest"
    assert role_of(home.beliefs, Principal("person", "not an id")) == "guest"


UPSTAIRS = (
    Thing("light.bedroom", ("Bedroom light", "Bedroom", "Upper floor", "upstairs")),
    Thing("light.bathroom", ("Bathroom light", "Bathroom", "Upper floor", "upstairs")),
    Thing("light.kitchen", ("Kitchen light", "Kitchen", "Ground floor", "downstairs")),
    Thing("media_player.tv", ("Television", "telly", "Living room")),
)


def test_things_count_by_the_names_that_their_device_signed(home: Household) -> None:
    sentence = "turn off all the lights upstairs"
    assert home.upstairs(sentence, "light.bedroom", "light.bathroom").answer == "ask"
    home.named(*UPSTAIRS)
    assert home.upstairs(sentence, "light.bedroom", "light.bathroom").answer == "allow"
    elsewhere = home.upstairs(sentence, "light.bedroom", "light.kitchen")
    assert elsewhere.answer == "ask"
    assert "Kitchen light" in elsewhere.reasons[0]
    home.named(version=4)
    assert home.upstairs(sentence, "light.bedroom", "light.bathroom").answer == "ask"


def test_a_name_of_its_own_is_enough_for_that_thing_only(home: Household) -> None:
    home.named(*UPSTAIRS)
    assert (
        home.light("turn off the telly", "media_player.tv", "telly", "media_player.turn_off").answer
        == "allow"
    )
    assert home.light("turn off the telly", "light.bedroom", "telly").answer == "ask"


def test_names_that_the_device_did_not_sign_and_older_ones_are_not_taken(home: Household) -> None:
    home.named(*UPSTAIRS)
    forged = home.advert(home.phone, HOME, version=4, things=UPSTAIRS[:1], by=key("desk"))
    with pytest.raises(BadSignature):
        home.ask(m.Advertise(msgspec.structs.replace(forged, author=key_id(home.phone.public))))
    with pytest.raises(Replayed):
        home.named(version=2)
    assert (
        home.upstairs("turn off all the lights upstairs", "light.bedroom", "light.bathroom").answer == "allow"
    )


def test_no_device_says_what_the_things_of_another_are_called(home: Household) -> None:
    """It can only say that there is more that could be meant."""
    home.named(Thing("light.bedroom", ("telly",)), version=1, offering="desk")
    assert home.light("turn off the telly", "light.bedroom", "telly").answer == "ask"
    home.named(*UPSTAIRS)
    assert home.light("turn off the telly", "light.bedroom", "telly").answer == "ask"


def test_names_are_known_again_after_a_start_and_forgotten_with_their_device(home: Household) -> None:
    home.named(*UPSTAIRS)
    home.beliefs = home.restored()
    assert (
        home.upstairs("turn off all the lights upstairs", "light.bedroom", "light.bathroom").answer == "allow"
    )
    home.ask(m.Revoke(home.removal(home.device)))
    assert home.beliefs.names(b"") == {}


# ----------------------------------------------------------------------------------------------- where it was said

LAMPS = (
    Thing("light.kitchen", ("Kitchen light", "Kitchen", "Ground floor")),
    Thing("light.hall", ("Hall light", "Hall", "Ground floor")),
    Thing("lock.kitchen", ("Kitchen lock", "Kitchen", "Ground floor")),
    Thing("lock.hall", ("Hall lock", "Hall", "Ground floor")),
)


def heard_in(
    home: Household, area: str, text: str, entity: str, service: str = "light.turn_off"
) -> m.Verdict:
    args = {"service": service, "entities": [entity], "data": {}}
    operation = "home.control" if service.startswith("light") else "home.access"
    named = next(word for word in text.split() if word.startswith(("light", "lock")))
    return home.step(home.said(text, area=area), operation, args, {"entities.0": named})


@pytest.mark.parametrize(
    "text", ["turn off the light", "turn off the light here", "turn off the lights in here"]
)
def test_the_light_is_the_one_where_the_device_that_heard_it_stands(home: Household, text: str) -> None:
    home.named(*LAMPS)
    for area in ("Kitchen", "kitchen"):
        assert heard_in(home, area, text, "light.kitchen").answer == "allow"
    assert heard_in(home, "Kitchen", text, "light.hall").answer == "ask"
    assert heard_in(home, "", text, "light.kitchen").answer == "ask"
    assert heard_in(home, "Bedroom", text, "light.kitchen").answer == "ask"


def test_another_place_that_was_said_counts_more_than_where_it_was_said(home: Household) -> None:
    home.named(*LAMPS)
    args = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
    said = home.said("turn off the hall light", area="Kitchen")
    assert home.step(said, "home.control", args, {"entities.0": "hall light"}).answer == "ask"


def test_where_it_was_said_opens_no_door(home: Household) -> None:
    home.named(*LAMPS)
    assert heard_in(home, "Kitchen", "unlock the lock", "lock.kitchen", "lock.unlock").answer == "ask"


def test_where_it_was_said_is_signed(home: Household) -> None:
    """The coordinator has what a device in the hall heard, and says that it was the kitchen."""
    home.named(*LAMPS)
    shown = home.said("turn off the light", area="Hall")
    moved = msgspec.structs.replace(
        shown.utterance, payload=shown.utterance.payload.replace(b"\xa4Hall", b"\xa4Yard")
    )
    assert moved != shown.utterance
    args = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
    verdict = home.step(
        msgspec.structs.replace(shown, utterance=moved), "home.control", args, {"entities.0": "light"}
    )
    assert (verdict.answer, verdict.rules) == ("deny", ("evidence",))


def test_a_device_says_of_no_other_where_it_stands(home: Household) -> None:
    """A member in the hall signs that the phone heard it in the kitchen, and that it heard the owner there itself."""
    home.named(*LAMPS)
    hall = key("hall")
    home.ask(m.Issue(home.grant(hall, "hall")))
    words = spoken("turn off the light", SALTS)
    for device in (home.device, key_id(hall.public)):
        home.counter += 1
        utterance = Utterance(
            home.mesh, home.counter.to_bytes(16, "big"), len(words.words), root_of(words), device, b"", "owner",
            home.now_ms, present=True, area="Kitchen",
        )  # fmt: skip
        shown = Evidence(sign_utterance(utterance, hall), prove(words, range(len(words.words))))
        args = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
        verdict = home.step(shown, "home.control", args, {"entities.0": "light"})
        assert (verdict.answer, verdict.rules) == ("deny", ("evidence",))
