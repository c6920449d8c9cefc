"""From a sentence to Medulla: a skin signs it, the run keeps it sealed, each step shows the words that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.coordinator.runs_kit import RunRig, call, plan, virtual
from tests.coordinator.test_people_desk import ANNA, PERSON
from tests.coordinator.test_people_desk import Desk as People
from tests.coordinator.test_run_desk import PHONE
from tests.support.quick_mesh import quick_mesh

from kindmesh.coordinator.params import Params
from kindmesh.coordinator.run_desk import RunDesk
from kindmesh.coordinator.utterances import (
    PARAM,
    area_of,
    hear_here,
    heard_in,
    is_spoken_by,
    make_utterance,
    to_param,
)
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.errors import AccessRefused, InvalidInput
from kindmesh.protocol.limits import LABELS_MAX
from kindmesh.protocol.plan_labels import Label, Traced
from kindmesh.protocol.principal import OWNER, Principal, person_principal
from kindmesh.protocol.utterance import open_utterance, shown_words
from kindmesh.protocol.utterance_evidence import PATH_MAX, Heard, argument_labels, evidence

TEXT = "tell the kitchen dinner is ready, please"
ENTROPY = SystemEntropy()
DINNER = {"$value": "dinner is ready,", "$label": {"words": ["dinner", "is", "ready,"]}}


def heard(text: str = TEXT, principal: Principal = OWNER, person: bytes = b"") -> Heard:
    made: Heard = make_utterance(
        text, key=ANNA, mesh=b"m" * 20, device=b"d" * 20, principal=principal, now_ms=1_800_000_000_000,
        entropy=ENTROPY, person=person, present=True,
    )  # fmt: skip
    return made


def test_what_is_said_at_the_coordinator_is_signed_by_the_node_beside_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    quick_mesh(home)
    made = hear_here(home, TEXT, now_ms=1_800_000_000_000, entropy=ENTROPY)
    node = Identity.load(home.identity, ENTROPY, start=False)
    utterance = open_utterance(made.utterance, node.signing.public)
    assert (utterance.principal, utterance.present, utterance.device) == ("owner", True, node.device_id)
    assert heard_in(Params({PARAM: to_param(made)})) == made
    again = hear_here(home, TEXT, now_ms=1_800_000_000_000, entropy=ENTROPY)
    assert not set(again.said.salts) & set(made.said.salts)
    assert again.utterance != made.utterance


def test_what_is_said_says_where_the_device_stands(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    quick_mesh(home)
    made = hear_here(home, TEXT, now_ms=1, entropy=ENTROPY, area="Kitchen")
    assert (area_of(made), area_of(heard()), area_of(None)) == ("Kitchen", "", "")


def test_at_a_members_device_it_is_whoever_uses_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    quick_mesh(home)
    (home.coordinator / "identity").rename(tmp_path / "elsewhere")
    made = hear_here(home, TEXT, now_ms=1, entropy=ENTROPY, present=False)
    node = Identity.load(home.identity, ENTROPY, start=False)
    utterance = open_utterance(made.utterance, node.signing.public)
    assert utterance.principal.startswith("device ")
    assert not utterance.present


@pytest.mark.parametrize(
    "data",
    [
        b"no utterance",
        to_param(msgspec.structs.replace(heard(), said=heard("something else").said)),
        to_param(msgspec.structs.replace(heard(), said=heard().said)),
    ],
)
def test_words_that_do_not_belong_to_the_signature_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        heard_in(Params({PARAM: data}))
    assert caught.value.field == "utterance"


def test_without_the_parameter_nothing_was_said() -> None:
    assert heard_in(Params({})) is None


# -------------------------------------------------------------------------------------------- labels of arguments


def test_each_part_of_the_arguments_has_the_label_of_what_made_it() -> None:
    scope = {"read": Traced({"text": "x"}, Label("web"), ("read",))}
    args = {
        "text": DINNER,
        "to": [{"$from": "read.text"}, "kitchen"],
        "data": {"whole": {"$value": {"a": 1}, "$label": {"source": "model"}}, "none": {}},
    }
    found = {one.path: one.label for one in argument_labels(args, scope, "args")}
    assert found == {
        "text": Label(words=("dinner", "is", "ready,")),
        "to.0": Label("web"),
        "to.1": Label(),
        "data.whole": Label("model"),
        "data.none": Label(),
    }
    assert [one.path for one in argument_labels({}, scope, "args")] == [""]


def test_too_many_parts_have_one_label_and_too_long_a_path_that_of_what_it_is_in() -> None:
    many = [{"$value": number, "$label": {"source": "device"}} for number in range(LABELS_MAX + 1)]
    (one,) = argument_labels({"list": many}, {}, "args")
    assert (one.path, one.label) == ("", Label("device"))
    (one,) = argument_labels({"a": {"b" * PATH_MAX: DINNER}}, {}, "args")
    assert (one.path, one.label.words) == ("a", ("dinner", "is", "ready,"))


def test_words_that_were_not_said_are_not_shown() -> None:
    made = heard()
    labels = argument_labels({"a": DINNER, "b": {"$value": 1, "$label": {"words": ["tomorrow"]}}}, {}, "args")
    shown = evidence(made, labels)
    utterance = open_utterance(shown.utterance, ANNA.public)
    assert shown_words(utterance, shown.words) == ("dinner", "is", "ready,")


# ------------------------------------------------------------------------------------------------------- in a run


@virtual("phone", "tablet")
async def test_a_step_shows_medulla_the_words_that_its_values_came_from_and_no_others(rig: RunRig) -> None:
    made = heard()
    words = plan(call("say", DINNER), call("nap", "hush", after=["say"]))
    run_id = await rig.runs.start(words, heard=made)
    await rig.restart()
    assert (await rig.ended(run_id))["state"] == "succeeded"
    shown = {request.step: request for request in rig.medulla.asked}
    first, second = shown[1], shown[2]
    assert [(one.path, one.label.words) for one in first.labels] == [("text", ("dinner", "is", "ready,"))]
    assert first.evidence is not None
    assert second.evidence is not None
    utterance = open_utterance(first.evidence.utterance, ANNA.public)
    assert shown_words(utterance, first.evidence.words) == ("dinner", "is", "ready,")
    assert second.evidence.words == ()
    assert all(b"kitchen" not in msgspec.msgpack.encode(request.evidence) for request in rig.medulla.asked)
    # In the journal they are sealed with the run.
    kept = b"".join(path.read_bytes() for path in rig.path.parent.glob("journal.db*"))
    assert made.utterance.author not in kept
    assert b"dinner" not in kept


@virtual("phone", "tablet")
async def test_a_run_below_goes_on_with_the_words_of_the_one_above(rig: RunRig) -> None:
    below = {"plan": 1, "steps": [call("say", DINNER)]}
    run_id = await rig.runs.start(plan({"id": "sub", "sub": {"plan": below}}), heard=heard())
    assert (await rig.ended(run_id))["state"] == "succeeded"
    (request,) = rig.medulla.asked
    assert request.evidence is not None
    assert [proof.word for proof in request.evidence.words] == ["dinner", "is", "ready,"]
    assert request.run_id != run_id


@virtual("phone")
async def test_a_person_starts_a_plan_with_words_that_their_own_key_signed(rig: RunRig) -> None:
    people = People()
    who = person_principal(PERSON, "Anna", people.phone)
    asked = {"plan": {"plan": 1, "steps": [call("say", DINNER)]}}
    desk = RunDesk(rig.runs, rig.heart, people.desk, lambda params, who: ())

    async def start(number: int, **params: Any) -> Any:
        proof = people.proof({**asked, **params}, number=number)
        told, found = people.ask(proof)
        assert found == who
        return await desk.methods()["run.start"](told, lambda event: None, found)

    own = heard(principal=who, person=PERSON)
    assert is_spoken_by(own, who)
    run = await start(1, utterance=to_param(own))
    assert run["state"] == "running"
    (live,) = rig.runs.open.values()
    assert (live.asked.proof, live.asked.heard) == (None, own)
    for number, other in enumerate((heard(principal=who), heard(principal=PHONE, person=PERSON)), 2):
        with pytest.raises(AccessRefused):
            await start(number, utterance=to_param(other))
