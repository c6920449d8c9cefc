"""Evidence at Medulla: words that were said are proven for one principal and one run, and whatever does not hold is
refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import DAY, HOUR, fresh, key
from tests.coordinator.people_kit import People, person_id

from kindmesh.coordinator.brain.medulla import evidence as module
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.evidence import Prover, Utterances, text_prover
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.limits import UTTERANCE_FRESH_MS
from kindmesh.protocol.permit import Permit, open_permit
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal, principal_text
from kindmesh.protocol.utterance import Utterance, prove, root_of, sign_utterance, spoken
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

TEXT = "turn off the kitchen light"
SALTS = tuple(sha256(bytes([number]))[:16] for number in range(40))
KITCHEN = ArgumentLabel("entities.0", Label("user", words=("kitchen", "light")))


class Household(People):
    """`phone` is the machine of the owner: the coordinator's certificate says that it runs beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = key("desk")
        self.ask(m.Issue(self.grant(self.desk, "phone (coordinator)", roles=("coordinator",))))

    def utterance(self, **changes: Any) -> Utterance:
        self.counter += 1
        said = spoken(TEXT, SALTS)
        utterance = Utterance(
            self.mesh, fresh(self.counter), len(said.words), root_of(said), self.device, b"", "owner", self.now_ms,
            present=True,
        )  # fmt: skip
        return msgspec.structs.replace(utterance, **changes)

    def evidence(self, *indices: int, by: SigningKey | None = None, **changes: Any) -> Evidence:
        signed = sign_utterance(self.utterance(**changes), by or self.phone)
        return Evidence(signed, prove(spoken(TEXT, SALTS), indices or (3, 4)))

    def proven(self, shown: Evidence | None, *labels: ArgumentLabel, **changes: Any) -> module.Proven:
        request = self.request(evidence=shown, labels=labels or (KITCHEN,), **changes)
        author = shown.utterance.author if shown else b""
        wanted = module.Wanted(
            self.mesh,
            request.run_id,
            request.principal,
            request.labels,
            shown,
            request.parent_permit,
            self.now_ms,
        )
        return module.examine(wanted, self.beliefs.ears(author), self.beliefs.utterances)

    def person_principal(self, name: str) -> Principal:
        return person_principal(person_id(name), name, self.device)


@pytest.fixture
def home() -> Household:
    return Household()


# --------------------------------------------------------------------------------------------------- what is proven


def test_words_that_were_said_support_labels_that_name_them_in_order(home: Household) -> None:
    found = home.proven(home.evidence(1, 3, 4))
    assert (found.problem, found.weak, found.labels) == ("", "", (KITCHEN,))
    assert found.prover == Prover(("off", "kitchen", "light"), present=True)
    assert found.prover.proven() == ("off", "kitchen", "light")
    assert found.prover.supports(Label(words=("off", "light")))
    for words in ((), ("light", "kitchen"), ("turn",), ("Kitchen",)):
        assert not found.prover.supports(Label(words=words))


@pytest.mark.parametrize(
    ("label", "counts"),
    [
        (Label("user", words=("kitchen", "light")), "user"),
        (Label("user", words=("front", "door")), "model"),
        (Label("user"), "model"),
        (Label("memory", words=("kitchen", "light")), "model"),
        (Label("device"), "model"),
        (Label("model"), "model"),
        (Label("web", words=("kitchen", "light")), "web"),
    ],
)
def test_what_is_not_proven_counts_as_model(home: Household, label: Label, counts: str) -> None:
    (counted,) = home.proven(home.evidence(), ArgumentLabel("a", label)).labels
    assert counted.label == msgspec.structs.replace(label, source=counts)


def test_without_evidence_nothing_is_proven_and_that_is_no_attack(home: Household) -> None:
    found = home.proven(None)
    assert found.problem == ""
    assert found.labels[0].label.source == "model"
    assert not found.prover.present


def test_in_batch_the_text_stands_for_the_utterance() -> None:
    prover = text_prover("Lock the front door, please", present=True)
    assert prover.supports(Label(words=("Lock", "door,")))
    assert not prover.supports(Label(words=("door",)))
    assert prover.present


# ------------------------------------------------------------------------------------------------ what does not hold


def refused(home: Household, shown: Evidence, **changes: Any) -> str:
    """Medulla's reason for refusing a harmless request that comes with this evidence."""
    verdict = home.ask(home.request(evidence=shown, labels=(KITCHEN,), **changes))
    assert (verdict.answer, verdict.permit, verdict.rules) == ("deny", None, ("evidence",))
    assert home.beliefs.utterances.used == {}
    (reason,) = verdict.reasons
    return str(reason)


def test_evidence_that_does_not_hold_denies_even_what_needs_none(home: Household) -> None:
    other = key("kitchen")
    home.ask(m.Issue(home.grant(other, "kitchen")))
    stranger = key("stranger")
    assert "no member" in refused(home, home.evidence(by=stranger))
    assert "another device" in refused(home, home.evidence(by=other))
    assert "another device" in refused(home, home.evidence(person=person_id("anna"), present=False))
    assert "cannot have heard" in refused(home, home.evidence(by=other, device=key_id(other.public)))
    assert "hears nobody" in refused(home, home.evidence(by=home.desk, device=key_id(home.desk.public)))
    assert "another mesh" in refused(home, home.evidence(mesh=bytes(20)))
    assert "somebody else" in refused(home, home.evidence(principal="device x"))
    signed = home.evidence().utterance
    forged = msgspec.structs.replace(signed, signature=bytes(64))
    assert "signature" in refused(home, Evidence(forged, home.evidence().words))
    home.ask(m.Revoke(home.removal(key_id(other.public))))
    assert "removed" in refused(home, home.evidence(by=other))


def test_a_word_that_nobody_said_denies(home: Household) -> None:
    shown = home.evidence()
    for words in (
        (msgspec.structs.replace(shown.words[0], word="front"), shown.words[1]),
        shown.words[::-1],
        (msgspec.structs.replace(shown.words[0], index=4),),
        prove(spoken("lock the front door now", SALTS), (2, 3)),
    ):
        assert "not one of the utterance" in refused(home, Evidence(shown.utterance, words))


def test_an_identity_that_two_devices_use_proves_nothing(home: Household) -> None:
    home.ask(m.Hold(home.device))
    verdict = home.ask(home.request(evidence=home.evidence(), labels=(KITCHEN,)))
    assert verdict.answer == "deny"
    assert "two devices" in verdict.reasons[0]


def test_a_certificate_that_has_ended_proves_nothing(home: Household) -> None:
    shown = home.evidence(heard_ms=home.now_ms + 40 * DAY)
    home.now_ms += 40 * DAY
    assert home.ask(home.request(evidence=shown)).answer == "deny"


def test_a_device_hears_whoever_uses_it(home: Household) -> None:
    kitchen = key("kitchen")
    home.ask(m.Issue(home.grant(kitchen, "kitchen")))
    who = device_principal(key_id(kitchen.public), "kitchen")
    shown = home.evidence(by=kitchen, device=key_id(kitchen.public), principal=principal_text(who))
    assert home.proven(shown, principal=who).labels == (KITCHEN,)
    # Not for another device, and not for the owner.
    assert home.proven(shown, principal=device_principal(home.device)).problem
    assert home.proven(shown, principal=OWNER).problem


# --------------------------------------------------------------------------------------------------- one run, once


def test_an_utterance_serves_one_run_also_after_a_restart(home: Household) -> None:
    shown = home.evidence()
    first = home.request(evidence=shown, labels=(KITCHEN,))
    assert home.ask(first).answer == "allow"
    again = msgspec.structs.replace(home.request(evidence=shown), run_id=first.run_id)
    assert home.ask(again).answer == "allow"
    other = home.request(evidence=shown, labels=(KITCHEN,))
    for _ in range(2):
        verdict = home.ask(other)
        assert (verdict.answer, verdict.rules) == ("deny", ("evidence",))
        assert "another run" in verdict.reasons[0]
        home.beliefs = home.restored()
    home.now_ms += DAY
    later = msgspec.structs.replace(home.request(evidence=shown, labels=(KITCHEN,)), run_id=first.run_id)
    assert home.proven(shown, KITCHEN, run_id=first.run_id).labels == (KITCHEN,)
    assert home.ask(later).answer == "allow"


def test_what_was_said_too_long_ago_is_not_believed_and_not_held_against_anybody(home: Household) -> None:
    for heard_ms in (home.now_ms - UTTERANCE_FRESH_MS - 1, home.now_ms + HOUR):
        shown = home.evidence(heard_ms=heard_ms)
        found = home.proven(shown)
        assert found.problem == ""
        assert found.weak
        assert found.labels[0].label.source == "model"
        assert home.ask(home.request(evidence=shown)).answer == "allow"
    assert home.beliefs.utterances.used == {}


def test_a_run_below_may_use_the_words_of_the_run_above(home: Household) -> None:
    shown = home.evidence()
    above = home.request(evidence=shown)
    signed = home.ask(above).permit
    permit = open_permit(signed, home.permit_key.public)
    below = home.request(evidence=shown, labels=(KITCHEN,), parent=permit.permit_id, parent_permit=signed)
    assert home.ask(below).answer == "allow"
    home.beliefs = home.restored()
    # The one below that hangs on the second.
    second: Permit = open_permit(home.ask(below).permit, home.permit_key.public)
    assert second.run_id in next(iter(home.beliefs.utterances.used.values())).runs
    # A permit that does not fit opens nothing.
    wrong = home.request(evidence=shown, parent=fresh(7), parent_permit=signed)
    assert home.ask(wrong).answer == "deny"


def test_many_runs_of_one_utterance_and_many_utterances_are_bounded(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RUNS_MAX", 1)
    shown = home.evidence()
    signed = home.ask(home.request(evidence=shown)).permit
    permit = open_permit(signed, home.permit_key.public)
    found = home.proven(shown, parent=permit.permit_id, parent_permit=signed)
    assert found.weak == "too many runs came of it"
    monkeypatch.setattr(module, "USED_MAX", 1)
    assert home.proven(home.evidence()).weak == "too much was said in the last weeks"
    home.now_ms += module.USED_KEEP_MS
    utterances = home.beliefs.utterances
    assert not utterances.is_full(home.now_ms)
    utterances.use(fresh(1), fresh(2), home.now_ms)
    assert list(utterances.used) == [fresh(1)]
    utterances.use(fresh(2), fresh(2), home.now_ms)
    assert list(utterances.used) == [fresh(1), fresh(2)]


def test_what_is_asked_about_is_remembered_for_its_run(home: Household) -> None:
    shown = home.evidence()
    question = home.request("notes.append", evidence=shown, labels=(KITCHEN,))
    verdict = home.ask(question)
    assert verdict.answer == "ask"
    assert home.ask(home.request(evidence=shown)).answer == "deny"
    home.beliefs = home.restored()
    assert home.ask(home.approval(verdict.request)).answer == "allow"


def test_signatures_are_checked_once_and_what_was_checked_is_bounded(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENED_MAX", 1)
    utterances = Utterances()
    first, second = (home.evidence().utterance for _ in range(2))
    assert utterances.opened(first, home.phone.public) is utterances.opened(first, home.phone.public)
    utterances.opened(second, home.phone.public)
    assert len(utterances._opened) == 1


def test_proofs_are_checked_once_for_the_steps_of_a_sentence_and_any_other_proof_anew(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENED_MAX", 1)
    utterances, utterance = Utterances(), home.utterance()
    signed = sign_utterance(utterance, home.phone)
    shown = Evidence(signed, prove(spoken(TEXT, SALTS), (3, 4)))
    assert utterances.words(shown, utterance) is utterances.words(shown, utterance)
    assert utterances.words(shown, utterance) == ("kitchen", "light")
    for changes in ({"word": "bathroom"}, {"salt": bytes(16)}, {"index": 2}, {"path": ()}):
        first, second = shown.words
        forged = Evidence(signed, (msgspec.structs.replace(first, **changes), second))
        with pytest.raises(Malformed):
            utterances.words(forged, utterance)
    assert utterances.words(Evidence(signed, shown.words[:1]), utterance) == ("kitchen",)
    assert len(utterances._shown) == 1


def test_a_row_that_was_changed_is_noticed(home: Household) -> None:
    home.ask(home.request(evidence=home.evidence()))
    (row,) = [found for found in home.rows if found[0] == "utterance"]
    home.rows[row] = msgspec.msgpack.encode([[], 1])
    with pytest.raises(Malformed):
        home.restored()


# ------------------------------------------------------------------------------------------------------- people


def test_a_persons_own_key_proves_words_and_that_they_asked(home: Household) -> None:
    home.person("anna")
    who = home.person_principal("anna")
    person = {"person": person_id("anna"), "principal": principal_text(who), "present": False}
    shown = home.evidence(by=key("anna"), **person)
    found = home.proven(shown, principal=who)
    assert (found.problem, found.by_person, found.prover.present) == ("", True, False)
    assert home.ask(home.request(evidence=shown, principal=who)).answer == "allow"
    # Without it nothing says that they asked.
    verdict = home.ask(home.request(principal=who))
    assert verdict.reasons == ("nothing proves that a person asked for this",)
    # Another person's words, and a person's key for the owner.
    home.person("ben")
    by_ben = home.evidence(by=key("ben"), **{**person, "person": person_id("ben")})
    assert home.proven(by_ben, principal=who).problem
    as_owner = home.evidence(by=key("anna"), **{**person, "principal": "owner"})
    assert home.proven(as_owner, principal=OWNER).problem
    as_ben = home.evidence(by=key("anna"), **{**person, "person": person_id("ben")})
    assert home.proven(as_ben, principal=who).problem
    # What a device heard of a person is no proof that the person asked.
    heard = home.evidence(principal=principal_text(who))
    assert home.proven(heard, principal=who).labels == (KITCHEN,)
    assert home.ask(home.request(evidence=heard, principal=who)).answer == "deny"


def test_what_acts_for_a_person_has_no_words_of_its_own(home: Household) -> None:
    home.person("anna")
    goal = Principal("goal", "water", acting_for=format_id(person_id("anna")), device=home.device)
    shown = home.evidence(
        by=key("anna"), person=person_id("anna"), principal=principal_text(goal), present=False
    )
    assert home.proven(shown, principal=goal).problem


def test_effects_beyond_reading_still_ask_however_good_the_evidence(home: Household) -> None:
    verdict = home.ask(home.request("notes.append", evidence=home.evidence(), labels=(KITCHEN,)))
    assert verdict.answer == "ask"
    assert verdict.rules == ("policy",)
