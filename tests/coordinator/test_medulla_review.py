"""Method `review`: what Medulla would say of a whole plan, from its own facts; it permits, counts and keeps nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.brain.test_review_step import Household
from tests.coordinator.medulla_kit import key

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.review_table import TABLE
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, Quiet, Rate
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import UTTERANCE_FRESH_MS
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.messages.hello import Thing
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_bytes
from kindmesh.protocol.principal import OWNER, Principal, device_principal
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec
from kindmesh.protocol.utterance_evidence import Evidence

TEXT = "turn off the kitchen light"
LIGHT = Thing("light.kitchen", ("kitchen light",))


def said(value: Any, *words: str) -> dict[str, Any]:
    return {"$value": value, "$label": {"source": "user", "words": list(words)}}


def control(
    *entities: str, service: str = "light.turn_off", words: str = "kitchen light", **more: Any
) -> Plan:
    args = {"service": service, "entities": said(list(entities), *words.split()), "data": {}}
    return plan_from_document(
        {"plan": 1, "steps": [{"id": "s", "call": "home.control", "args": args, **more}]}
    )


class Reviewing(Household):
    def __init__(self) -> None:
        super().__init__()
        self.named(LIGHT)

    def review(self, plan: Plan, shown: Evidence | None, who: Principal = OWNER) -> m.PlanVerdict:
        before = (
            dict(self.rows),
            len(self.log),
            dict(self.beliefs.utterances.used),
            dict(self.beliefs.questions),
        )
        verdict = self.ask(m.PlanReview(plan_to_bytes(plan), who, evidence=shown))
        after = (
            dict(self.rows),
            len(self.log),
            dict(self.beliefs.utterances.used),
            dict(self.beliefs.questions),
        )
        assert before == after
        assert isinstance(verdict, m.PlanVerdict)
        assert {one.rule for one in (*verdict.reasons, *verdict.also)} <= set(TABLE)
        return verdict


@pytest.fixture
def home() -> Reviewing:
    return Reviewing()


def rules(verdict: m.PlanVerdict) -> set[str]:
    return {one.rule for one in verdict.reasons}


def test_what_was_said_is_allowed_and_what_was_not_asks(home: Reviewing) -> None:
    assert home.review(control("light.kitchen"), home.said(TEXT)).answer == "allow"
    other = home.review(control("light.kitchen"), home.said("what is the time"))
    assert other.answer == "ask"
    assert {one.step for one in other.reasons} == {"s"}
    assert home.review(control("light.kitchen"), None).answer == "ask"


def test_a_review_uses_no_words_up_and_what_a_run_used_proves_nothing_more(home: Reviewing) -> None:
    shown = home.said(TEXT)
    assert [home.review(control("light.kitchen"), shown).answer for _ in range(3)] == ["allow"] * 3
    args = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
    assert home.step(shown, "home.control", args, {"entities.0": "kitchen light"}).answer == "allow"
    replayed = home.review(control("light.kitchen"), shown)
    assert (replayed.answer, rules(replayed)) == ("deny", {"evidence"})


def test_old_words_prove_nothing(home: Reviewing) -> None:
    shown = home.said(TEXT)
    home.now_ms += UTTERANCE_FRESH_MS + 1
    assert home.review(control("light.kitchen"), shown).answer == "ask"


def test_words_that_somebody_else_heard_are_denied(home: Reviewing) -> None:
    forged = msgspec.structs.replace(home.said(TEXT).utterance, author=key_id(key("desk").public))
    verdict = home.review(control("light.kitchen"), Evidence(forged))
    assert (verdict.answer, rules(verdict)) == ("deny", {"evidence"})
    verdict = home.review(control("light.kitchen"), home.said(TEXT), device_principal(home.device))
    assert (verdict.answer, rules(verdict)) == ("deny", {"evidence"})


def test_nobody_who_is_not_known_gets_anything(home: Reviewing) -> None:
    nobody = Principal("person", id="AAAAAAAA", device=home.device)
    verdict = home.review(control("light.kitchen"), None, nobody)
    assert (verdict.answer, rules(verdict)) == ("deny", {"asker"})


def test_the_owners_bounds_are_looked_at(home: Reviewing) -> None:
    minute = home.now_ms // 60_000 % 1_440
    quiet = Quiet(minute, (minute + 60) % 1_440, int(Effect.ACTUATE))
    home.guard(Guards(words=FIRST_GUARDS.words, quiet=(quiet,)))
    verdict = home.review(control("light.kitchen"), home.said(TEXT))
    assert (verdict.answer, rules(verdict)) == ("ask", {"quiet-hours"})
    home.guard(Guards(words=FIRST_GUARDS.words, rates=(Rate("home.control", 1, 3_600_000),)))
    assert home.review(control("light.kitchen"), home.said(TEXT)).answer == "allow"
    assert home.light(TEXT, "light.kitchen", "kitchen light").answer == "allow"
    verdict = home.review(control("light.kitchen"), home.said(TEXT))
    assert (verdict.answer, rules(verdict)) == ("ask", {"rate"})


def test_what_no_device_may_do_is_denied_and_where_another_may_it_is_not(home: Reviewing) -> None:
    other = key("shed")
    home.ask(m.Issue(home.grant(other, "shed", capabilities=(CapabilityGrant("home", int(Effect.READ)),))))
    home.ask(m.Advertise(home.advert(other, HOME, things=(LIGHT,))))
    assert home.review(control("light.kitchen"), home.said(TEXT)).answer == "allow"
    for target in ("shed", "Shed"):
        verdict = home.review(control("light.kitchen", target=target), home.said(f"{TEXT} at the shed"))
        assert (verdict.answer, rules(verdict)) == ("deny", {"granted"})
        assert verdict.reasons[0].step == "s"
    elsewhere = home.review(control("light.kitchen", target="moon"), home.said(f"{TEXT} on the moon"))
    assert elsewhere.answer == "allow"


def test_what_the_named_device_does_not_offer_is_denied(home: Reviewing) -> None:
    home.ask(m.Issue(home.grant(key("shed"), "shed")))
    home.ask(m.Advertise(home.advert(key("shed"))))
    verdict = home.review(control("light.kitchen", target="shed"), home.said(f"{TEXT} at the shed"))
    assert (verdict.answer, rules(verdict)) == ("deny", {"offered"})


def test_all_effects_that_devices_declare_count(home: Reviewing) -> None:
    sly = Operation(
        "home.control", "Control", (), (), int(Effect.SPEND), idempotent=True, data_classes=("home",)
    )
    home.ask(m.Issue(home.grant(key("shed"), "shed")))
    home.ask(m.Advertise(home.advert(key("shed"), Manifest("home", "1", "Home", (sly,)))))
    assert home.review(control("light.kitchen"), home.said(TEXT)).answer == "ask"


def test_a_name_that_only_one_of_two_devices_gives_a_thing_does_not_count(home: Reviewing) -> None:
    home.ask(m.Issue(home.grant(key("shed"), "shed")))
    home.ask(m.Advertise(home.advert(key("shed"), HOME, things=(Thing("light.kitchen", ("heater",)),))))
    assert (
        home.review(control("light.kitchen", words="heater"), home.said("turn off the heater")).answer
        == "ask"
    )


def test_a_stream_is_no_step_and_an_unisolated_medulla_lets_nothing_be_done(home: Reviewing) -> None:
    flow = StreamSpec("out", None, StreamMedia("bytes"))
    watch = Operation("eye.watch", "Watch", (), (), int(Effect.READ), idempotent=True, stream=flow)
    home.ask(m.Advertise(home.advert(home.phone, HOME, Manifest("eye", "1", "Eye", (watch,)), version=9)))
    steps = [{"id": one, "call": "eye.watch"} for one in ("first", "second")]
    verdict = home.review(plan_from_document({"plan": 1, "steps": steps}), None)
    assert rules(verdict) == {"streamed"}
    assert [one.step for one in verdict.reasons] == ["first", "second"]
    home.beliefs.isolation = "none"
    assert "isolated" in rules(home.review(control("light.kitchen"), home.said(TEXT)))


def test_bytes_that_are_no_plan_are_an_error(home: Reviewing) -> None:
    with pytest.raises(Malformed):
        home.ask(m.PlanReview(b"\xc1", OWNER))
    with pytest.raises(InvalidInput):
        home.ask(m.PlanReview(b"\x80", OWNER))


def test_a_step_that_nobody_offers_is_denied(home: Reviewing) -> None:
    plan = plan_from_document({"plan": 1, "steps": [{"id": "s", "call": "nothing.here"}]})
    verdict = home.review(plan, home.said("do nothing here"))
    assert (verdict.answer, rules(verdict)) == ("deny", {"known"})
