"""Signed results at Medulla: a value that a device gave is proven to be that, and whatever does not hold is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.brain.test_review_step import SALTS, Household
from tests.coordinator.medulla_kit import fresh, key

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.capabilities.llm.manifest import MANIFEST as LLM
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla import produced
from kindmesh.coordinator.brain.medulla.review import review
from kindmesh.coordinator.brain.medulla.review_facts import Facts
from kindmesh.coordinator.brain.medulla.review_words import TextProver
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.guards import FIRST_GUARDS
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.messages.hello import Thing
from kindmesh.protocol.permit import Permit, open_permit
from kindmesh.protocol.plan import plan_from_document
from kindmesh.protocol.plan_labels import Carried, Label, carry
from kindmesh.protocol.policy import decide, first_policy
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.receipt import Receipt, ResultProof, Use, prove_field, root_of_fields, sign_receipt
from kindmesh.protocol.utterance import Utterance, prove, root_of, sign_utterance, spoken
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

TEXT = "set the kitchen light as the slider says"
KITCHEN = Label("user", words=("kitchen", "light"))
RUN = fresh(900)


def result(level: Any = 137) -> dict[str, Any]:
    return {"entities": [{"id": "sensor.slider", "state": "on", "attributes": {"level": level}}], "at_ms": 5}


def wanted(level: Any = 137, entity: str = "light.kitchen") -> dict[str, Any]:
    return {"service": "light.turn_on", "entities": [entity], "data": {"brightness": level}}


class Sensing(Household):
    """`phone` read a slider for this run."""

    def receipt(self, value: dict[str, Any], **changes: Any) -> Receipt:
        size, root = root_of_fields(value)
        made = Receipt(
            self.mesh, self.device, fresh(901), RUN, "home.get", size, root, self.now_ms, Carried("user")
        )
        return msgspec.structs.replace(made, **changes)

    def shows(
        self, value: dict[str, Any] | None = None, *uses: Use, by: SigningKey | None = None, **changes: Any
    ) -> ResultProof:
        given = value or result()
        signed = sign_receipt(self.receipt(given, **changes), by or self.phone)
        parts = uses or (Use("data.brightness", ("0", "attributes", "level")),)
        return prove_field(given, "entities", signed, parts)

    def act(
        self,
        *results: ResultProof,
        args: Any = None,
        labels: dict[str, Label] | None = None,
        run: bytes = RUN,
    ) -> m.Verdict:
        self.counter += 1
        words = spoken(TEXT, SALTS)
        utterance = Utterance(
            self.mesh, self.counter.to_bytes(16, "big"), len(words.words), root_of(words), self.device, b"", "owner",
            self.now_ms, present=True,
        )  # fmt: skip
        shown = Evidence(
            sign_utterance(utterance, self.phone), prove(words, range(len(words.words))), tuple(results)
        )
        claimed = labels or {"entities.0": KITCHEN, "data.brightness": Label("device")}
        made = tuple(ArgumentLabel(path, label) for path, label in claimed.items())
        request = self.request(
            "home.control", args=encode_value(args or wanted()), evidence=shown, labels=made, principal=OWNER
        )
        verdict = self.ask(msgspec.structs.replace(request, run_id=run))
        assert isinstance(verdict, m.Verdict)
        return verdict

    def permit(self, verdict: m.Verdict) -> Permit:
        assert verdict.permit is not None
        return open_permit(verdict.permit, self.permit_key.public)


@pytest.fixture
def home() -> Sensing:
    made = Sensing()
    made.named(
        Thing("light.kitchen", ("Kitchen light", "Kitchen")), Thing("light.hall", ("Hall light", "Hall")),
        Thing("sensor.slider", ("Slider", "Kitchen")),
    )  # fmt: skip
    return made


# ------------------------------------------------------------------------------------------------- what is proven


def test_a_value_that_a_device_gave_needs_no_words_of_its_own(home: Sensing) -> None:
    assert home.act().answer == "ask"
    verdict = home.act(home.shows())
    assert (verdict.answer, verdict.reasons) == ("allow", ())
    assert home.permit(verdict).label == Carried("device", data_class=HOME.operations[3].data_classes)


def test_a_signature_is_checked_once(home: Sensing) -> None:
    proof = home.shows()
    assert home.act(proof).answer == "allow"
    (opened,) = home.beliefs.receipts._opened.values()
    assert home.act(proof).answer == "allow"
    assert list(home.beliefs.receipts._opened.values()) == [opened]
    for number in range(produced.OPENED_MAX + 1):
        home.beliefs.receipts.opened(sign_receipt(home.receipt({"a": number}), home.phone), home.phone.public)
    assert len(home.beliefs.receipts._opened) == produced.OPENED_MAX


def test_what_opens_or_names_a_thing_may_not_come_from_a_device_however_proven(home: Sensing) -> None:
    value = {"entities": ["light.hall"], "at_ms": 1}
    proof = home.shows(value, Use("entities.0", ("0",)))
    labels = {"entities.0": Label("device"), "data.brightness": Label("user", words=("slider",))}
    verdict = home.act(proof, args=wanted(137, "light.hall"), labels=labels)
    assert verdict.answer == "ask"
    assert "Hall light" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("value", "kept", "answer"),
    [
        (137, Carried("model"), "allow"), (0.5, Carried("model"), "allow"), (137, Carried("web"), "ask"),
        ("137", Carried("model"), "ask"), ([137], Carried("model"), "ask"), (137, Carried("device"), "allow"),
    ],
)  # fmt: skip
def test_a_number_is_no_less_a_sensors_because_a_model_once_wrote_something_down_there(
    home: Sensing, value: Any, kept: Carried, answer: str
) -> None:
    verdict = home.act(home.shows(result(value), kept=kept), args=wanted(value))
    assert verdict.answer == answer


def test_who_may_know_what_a_device_keeps_counts_for_its_numbers_too(home: Sensing) -> None:
    kept = Carried("model", readers=("anna",), data_class=("health",))
    verdict = home.act(home.shows(kept=kept))
    label = home.permit(verdict).label
    assert label is not None
    assert (label.source, label.readers) == ("device", ("anna",))
    assert "health" in label.data_class


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        (Label("user"), "device"), (Label("memory"), "device"), (Label("model"), "model"), (Label("web"), "web"),
        (None, "model"),
    ],
)  # fmt: skip
def test_what_a_device_made_of_something_counts_as_that_at_most(
    home: Sensing, given: Label | None, counts: str
) -> None:
    """The receipt carries Medulla's own word of what the device was given, so a detour through a device launders
    nothing; no device gives anything that counts as a person's."""
    verdict = home.act(home.shows(label=None if given is None else carry(given)))
    assert verdict.answer == ("allow" if counts == "device" else "ask")


def test_a_device_cannot_give_what_counts_as_said(home: Sensing) -> None:
    labels = {"entities.0": KITCHEN, "data.brightness": Label("user", words=("forty",))}
    assert home.act(home.shows(), labels=labels).answer == "ask"


def test_an_operation_that_reads_the_web_gives_what_counts_as_web(home: Sensing) -> None:
    offers = home.beliefs.offers[home.device]
    (get,) = [one for one in HOME.operations if one.name == "home.get"]
    fetch = msgspec.structs.replace(get, name="web.fetch")
    offers.operations["web.fetch"] = fetch
    assert home.act(home.shows(operation="web.fetch")).answer == "ask"


@pytest.mark.parametrize("how", ["removed", "operation"])
def test_what_was_honest_and_cannot_be_judged_any_more_proves_nothing(home: Sensing, how: str) -> None:
    sensor = key("sensor")
    home.ask(m.Issue(home.grant(sensor, "sensor")))
    home.ask(m.Advertise(home.advert(sensor, HOME)))
    subject = key_id(sensor.public)
    assert home.act(home.shows(by=sensor, device=subject)).answer == "allow"
    if how == "removed":
        home.ask(m.Revoke(home.removal(subject)))
        verdict = home.act(home.shows(by=sensor, device=subject))
    else:
        verdict = home.act(home.shows(by=sensor, device=subject, operation="home.none"))
    assert verdict.answer == "ask"


# ----------------------------------------------------------------------------------------------- what does not hold


def refused(home: Sensing, *results: ResultProof, **more: Any) -> str:
    verdict = home.act(*results, **more)
    assert (verdict.answer, verdict.rules) == ("deny", ("evidence",)), verdict
    return str(verdict.reasons[0])


def test_a_result_of_another_run_is_refused(home: Sensing) -> None:
    assert "another run" in refused(home, home.shows(run_id=fresh(77)))
    # The same result, shown again for a later run.
    proof = home.shows()
    assert home.act(proof).answer == "allow"
    assert "another run" in refused(home, proof, run=fresh(78))


def test_a_result_that_another_signed_is_refused(home: Sensing) -> None:
    assert "no member" in refused(home, home.shows(by=key("stranger")))
    other = key("tablet")
    home.ask(m.Issue(home.grant(other, "tablet")))
    assert "another one" in refused(home, home.shows(by=other))
    assert "another one" in refused(home, home.shows(mesh=bytes(20)))
    desk = key("desk")
    forged = home.shows()
    signed = msgspec.structs.replace(forged.receipt, signature=desk.sign(b"x"))
    assert "signature" in refused(home, msgspec.structs.replace(forged, receipt=signed))


def test_a_value_that_was_altered_is_refused(home: Sensing) -> None:
    assert "not what the device gave" in refused(home, home.shows(), args=wanted(90))
    # True is not 1, though it equals it in many languages.
    assert "not what the device gave" in refused(home, home.shows(result(1)), args=wanted(True))
    altered = msgspec.structs.replace(home.shows(), value=encode_value(result(90)["entities"]))
    assert "not of the result" in refused(home, altered, args=wanted(90))
    elsewhere = home.shows(None, Use("data.brightness", ("0", "attributes", "none")))
    assert "no such part" in refused(home, elsewhere)
    assert "not what the device gave" in refused(home, home.shows(None, Use("data.nothing", ("0", "state"))))


def test_a_name_with_a_dot_is_not_taken_for_another(home: Sensing) -> None:
    args = {**wanted(), "data.brightness": 137}
    assert "not what the device gave" in refused(home, home.shows(), args=args)


def test_a_result_from_the_future_is_refused(home: Sensing) -> None:
    assert "not come" in refused(home, home.shows(ended_ms=home.now_ms + CLOCK_SKEW_MS + 1))


def test_results_change_nothing_about_words_that_do_not_hold(home: Sensing) -> None:
    bad = msgspec.structs.replace(home.shows(), index=0)
    assert "not of the result" in refused(home, home.shows(), bad)


# ----------------------------------------------------------------------------------------- the label for the permit


@pytest.mark.parametrize(
    ("args", "labels", "counts"),
    [
        ({"entities": ["light.kitchen"]}, {"entities.0": Label("model")}, "user"),
        ({"entities": ["light.other"]}, {"entities.0": Label("model")}, "model"),
        ({"entities": ["light.other"]}, {}, "model"),
        ({"entities": ["light.other"]}, {"": Label("web")}, "web"),
        ({"entities": ["light.kitchen"]}, {"entities": Label("web")}, "web"),
        ({"data": {"a": 1, "b": {}, "c": [None, True, ""]}}, {}, "user"),
        ({"data": {"a": "text"}}, {"data": Label("model")}, "model"),
        ({"data": {"a": [["text"]]}}, {"data": Label("device", words=("a",))}, "device"),
        ({"data": [["light.kitchen"]]}, {"data": Label("model")}, "user"),
        ({"service": b"bytes"}, {}, "model"),
        ({"service": "light.turn_on"}, {}, "user"),
        ({"service": "tell everybody"}, {}, "model"),
        ({"other": "light.turn_on"}, {}, "model"),
        ("no values", {}, "user"),
    ],
)
def test_what_could_carry_nothing_says_nothing_of_where_arguments_came_from(
    args: Any, labels: dict[str, Label], counts: str
) -> None:
    operation = HOME.operations[0]
    made = [ArgumentLabel(path, label) for path, label in labels.items()]
    found = produced.carried(args, made, operation, {"light.kitchen": ()})
    assert found.source == counts


def test_choices_and_defaults_of_the_device_carry_nothing() -> None:
    operation = next(one for one in LLM.operations if one.name == "llm.chat")
    model = [ArgumentLabel("", Label("model"))]
    assert produced.carried({"task": "plan"}, model, operation, {}).source == "user"
    assert produced.carried({"task": "anything"}, model, operation, {}).source == "model"
    assert produced.carried({"other": "plan"}, model, operation, {}).source == "model"
    assert produced.carried({}, model, None, {}).source == "model"


def test_too_long_a_label_is_the_strictest() -> None:
    many = Label("user", readers=tuple(f"reader {number}" for number in range(60)))
    found = produced.carried({"data": "x"}, [ArgumentLabel("", many)], HOME.operations[0], {})
    assert found == produced.STRICTEST


def test_deep_values_are_looked_at_to_a_depth() -> None:
    deep: Any = "text"
    for _ in range(40):
        deep = [deep]
    made = [ArgumentLabel("", Label("model"))]
    assert produced.carried({"data": deep}, made, HOME.operations[0], {}).source == "model"


# ----------------------------------------------------------------------------------------- as the review of the plan


@pytest.mark.parametrize(
    ("reference", "args", "answer"),
    [
        ("read.entities.0.attributes.level", "data.brightness", "allow"),
        ("read.entities.0.id", "entities.0", "ask"),
    ],
)
def test_the_review_of_the_plan_and_the_permit_of_its_step_agree(
    home: Sensing, reference: str, args: str, answer: str
) -> None:
    said = {"$value": "light.kitchen", "$label": {"words": ["kitchen", "light"]}}
    given = {"$from": reference}
    acts = {
        "service": "light.turn_on",
        "entities": [given if args == "entities.0" else said],
        "data": {"brightness": given if args != "entities.0" else 50},
    }
    plan = plan_from_document(
        {
            "plan": 1,
            "steps": [
                {"id": "read", "call": "home.get", "args": {"entities": ["sensor.slider"]}},
                {"id": "act", "call": "home.control", "args": acts},
            ],
        }
    )
    policy = first_policy(home.mesh, 0)
    facts = Facts(
        operations={one.name: one for one in HOME.operations},
        policy=lambda operation, effects: decide(policy, operation, effects),
        guards=FIRST_GUARDS,
        prover=TextProver(TEXT),
        names=home.beliefs.names(home.device),
    )
    assert review(plan, facts).verdict == answer
    inside = tuple(reference.split(".")[2:])
    labels = {
        "entities.0": KITCHEN,
        "data.brightness": Label("user", words=("slider",)),
        args: Label("device"),
    }
    value = result()
    value["entities"][0]["id"] = "light.hall"
    done = wanted(entity="light.hall" if args == "entities.0" else "light.kitchen")
    verdict = home.act(home.shows(value, Use(args, inside)), args=done, labels=labels)
    assert verdict.answer == answer, verdict


# --------------------------------------------------------------------------------------------------- said yes, exactly


def test_who_says_yes_to_these_very_arguments_vouches_for_them(home: Sensing) -> None:
    asked = home.act(labels={"": Label("model")})
    assert asked.answer == "ask"
    verdict = home.ask(home.approval(asked.request))
    assert home.permit(verdict).label == Carried("user")
