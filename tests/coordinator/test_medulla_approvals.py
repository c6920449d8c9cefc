"""Yeses that last, at Medulla: made out of its own question, by whoever may answer it, within their bounds, until
somebody ends them; also after a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import DAY, HOUR, fresh, key, manifest
from tests.coordinator.people_kit import People, person_id
from tests.coordinator.test_medulla_asking import approves_writing

from kindmesh.coordinator.brain.medulla import approval_machine
from kindmesh.coordinator.brain.medulla import approval_messages as am
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.approvals import Kept, Use
from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    AccessRefused,
    BadSignature,
    Busy,
    CertificateRefused,
    InvalidInput,
    KindmeshError,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
    WrongDestination,
)
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.policy import Policy, Rule, sign_policy
from kindmesh.protocol.signed import signed_to_bytes
from kindmesh.protocol.standing import StandingApproval, sign_standing
from kindmesh.protocol.stream_spec import StreamBounds, StreamMedia, StreamSpec

ARGS = {"text": "milk", "euros": 5}


class Home(People):
    """Notes are asked about; `stand` says yes to a question for longer."""

    def note(self, args: Any = ARGS, **changes: Any) -> m.PermitRequest:
        return self.request("notes.append", **{"args": encode_value(args), **changes})

    def question(self, **changes: Any) -> bytes:
        verdict = self.ask(self.note(**changes))
        assert verdict.answer == "ask"
        shown: bytes = verdict.request
        return shown

    def standing(self, request: bytes, **changes: Any) -> StandingApproval:
        self.counter += 1
        made = StandingApproval(
            self.mesh, fresh(self.counter), request, "standing", self.now_ms, self.now_ms + 30 * DAY, 3, DAY
        )
        return msgspec.structs.replace(made, **changes)

    def stand(self, standing: StandingApproval, by: SigningKey | None = None) -> am.Standings:
        answer: am.Standings = self.ask(am.Stand(sign_standing(standing, by or self.owner)))
        return answer

    def answer_to(self, request: m.PermitRequest) -> str:
        verdict = self.ask(request)
        return str(verdict.answer)


@pytest.fixture
def home() -> Home:
    return Home()


def test_what_was_agreed_to_for_longer_is_permitted_without_a_question(home: Home) -> None:
    standing = home.standing(home.question())
    shown = home.stand(standing)
    assert [(one.name, one.used) for one in shown.standings] == [("person", 0)]
    home.beliefs = home.restored()
    verdict = home.ask(home.note())
    permit = decode(Permit, verdict.permit.payload)
    assert (permit.approval_id, permit.approved_by) == (standing.standing_id, shown.standings[0].author)
    assert home.answer_to(home.note({**ARGS, "text": "bread"})) == "ask"
    # The question itself is still there, and is answered for itself.
    assert home.ask(home.approval(standing.request)).answer == "allow"


def test_how_often_is_counted_within_a_while_also_over_a_restart(home: Home) -> None:
    home.stand(home.standing(home.question()))
    for _ in range(3):
        assert home.answer_to(home.note()) == "allow"
        home.now_ms += HOUR
        home.beliefs = home.restored()
    assert home.answer_to(home.note()) == "ask"
    home.now_ms += DAY - 3 * HOUR
    assert home.answer_to(home.note()) == "allow"
    assert home.answer_to(home.note()) == "ask"


def test_an_amount_is_counted_within_a_while(home: Home) -> None:
    bounds = {"free": ("euros",), "amount": "euros", "each": 10.0, "altogether": 12.0}
    home.stand(home.standing(home.question(), **bounds))
    assert home.answer_to(home.note({**ARGS, "euros": 11})) == "ask"
    assert home.answer_to(home.note({**ARGS, "euros": 8})) == "allow"
    assert home.answer_to(home.note({**ARGS, "euros": 5})) == "ask"
    assert home.answer_to(home.note({**ARGS, "euros": 4})) == "allow"
    (state,) = home.ask(am.StandingsWanted()).standings
    assert (state.used, state.amount) == (2, 12.0)


def test_a_yes_for_one_run_ends_with_it(home: Home) -> None:
    request = home.note()
    question = home.ask(request).request
    home.stand(home.standing(question, kind="run"))
    again = home.note({**ARGS, "text": "bread"}, run_id=request.run_id)
    assert home.answer_to(again) == "allow"
    assert home.answer_to(home.note()) == "ask"


def test_the_owner_ends_it(home: Home) -> None:
    standing = home.standing(home.question())
    home.stand(standing)
    assert home.ask(am.EndStanding(standing.standing_id)).standings == ()
    assert home.ask(am.EndStanding(standing.standing_id)).standings == ()
    assert home.answer_to(home.note()) == "ask"
    home.beliefs = home.restored()
    assert home.answer_to(home.note()) == "ask"
    assert not [row for row in home.rows if row[0] == "standing"]


def test_it_ends_by_itself_and_makes_room(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval_machine, "STANDINGS_MAX", 1)
    home.stand(home.standing(home.question(), expires_ms=home.now_ms + HOUR))
    with pytest.raises(Busy):
        home.stand(home.standing(home.question(args=encode_value({"other": 1}))))
    home.now_ms += HOUR + 1
    assert home.ask(am.StandingsWanted()).standings == ()
    assert home.answer_to(home.note()) == "ask"
    home.stand(home.standing(home.question(args=encode_value({"third": 1}))))
    assert len(home.beliefs.approvals.standing) == 1


def test_the_same_again_changes_nothing_and_another_cannot_take_its_place(home: Home) -> None:
    standing = home.standing(home.question())
    home.stand(standing)
    assert home.answer_to(home.note()) == "allow"
    assert home.stand(standing).standings[0].used == 1
    wider = msgspec.structs.replace(standing, times=100)
    with pytest.raises(InvalidInput) as caught:
        home.stand(wider)
    assert caught.value.field == "standing_id"


@pytest.mark.parametrize(
    ("wrong", "refused"),
    [
        ({"mesh": b"x" * 20}, WrongDestination),
        ({"times": 0}, InvalidInput),
        ({"issued_ms": 1_700_000_000_000, "expires_ms": 1_700_000_000_001}, PermitExpired),
    ],
)
def test_what_does_not_fit_is_refused(
    home: Home, wrong: dict[str, Any], refused: type[KindmeshError]
) -> None:
    with pytest.raises(refused):
        home.stand(home.standing(home.question(), **wrong))
    assert home.beliefs.approvals.standing == {}


def test_only_medullas_own_open_question_can_be_agreed_to(home: Home) -> None:
    shown = home.question()
    asked = home.standing(shown).question()
    other = msgspec.structs.replace(asked, args=encode_value({"text": "anything"}))
    with pytest.raises(PermitMismatch):
        home.stand(home.standing(msgspec.msgpack.encode(other)))
    never = msgspec.structs.replace(asked, request_id=fresh(12_345))
    with pytest.raises(PermitUsed):
        home.stand(home.standing(msgspec.msgpack.encode(never)))
    home.ask(home.approval(shown, "deny"))
    with pytest.raises(PermitUsed):
        home.stand(home.standing(shown))
    late = home.question()
    home.now_ms += 2 * HOUR
    with pytest.raises(PermitExpired):
        home.stand(home.standing(late))


def test_a_forged_signature_is_refused(home: Home) -> None:
    standing = home.standing(home.question())
    with pytest.raises(CertificateRefused):
        home.stand(standing, key("coordinator"))
    signed = sign_standing(standing, key("coordinator"))
    as_owner = msgspec.structs.replace(signed, author=sign_standing(standing, home.owner).author)
    with pytest.raises(BadSignature):
        home.ask(am.Stand(as_owner))


def test_it_never_allows_what_would_be_denied(home: Home) -> None:
    home.stand(home.standing(home.question()))
    forbids = Policy(home.mesh, 2, home.now_ms, (Rule("notes.append", 255, "deny"),))
    home.ask(m.Install(sign_policy(forbids, home.owner)))
    assert home.answer_to(home.note()) == "deny"


def test_a_stream_is_agreed_to_each_time(home: Home) -> None:
    base = manifest()
    spec = StreamSpec("in", StreamMedia("bytes"), None)
    streaming = msgspec.structs.replace(base.operations[0], stream=spec)
    offered = msgspec.structs.replace(base, operations=(streaming,))
    home.ask(m.Advertise(home.advert(home.phone, offered, version=2)))
    bounds = StreamBounds(1_000, 1_000)
    with pytest.raises(InvalidInput, match="each time"):
        home.stand(home.standing(home.question(stream=bounds)))


# ------------------------------------------------------------------------------------------------------- people


def test_a_person_whose_role_approves_it_may_and_their_yes_goes_with_them(home: Home) -> None:
    home.person("carla")
    home.person("ben", "guest")
    shown = home.question()
    with pytest.raises(AccessRefused):
        home.stand(home.standing(shown), key("ben"))
    approves_writing(home)
    answer = home.stand(home.standing(home.question()), key("carla"))
    assert answer.standings[0].name == "carla"
    home.beliefs = home.restored()
    assert home.answer_to(home.note()) == "allow"
    # The role changes: the yes counts no more, and counts again with the role.
    narrow = msgspec.structs.replace(
        home.beliefs.policy, version=3,
        roles=tuple(msgspec.structs.replace(role, approves=0) for role in home.beliefs.policy.roles),
    )  # fmt: skip
    home.ask(m.Install(sign_policy(narrow, home.owner)))
    assert home.answer_to(home.note()) == "ask"
    home.ask(m.Revoke(home.removal(person_id("carla"))))
    assert home.beliefs.approvals.standing == {}
    home.beliefs = home.restored()
    assert home.answer_to(home.note()) == "ask"


def test_an_owner_of_before_agrees_to_nothing_any_more(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.stand(home.standing(home.question()))
    monkeypatch.setattr(type(home.beliefs.anchors), "find", lambda *_: None)
    monkeypatch.setattr(type(home.beliefs), "is_replaced", False)
    (state,) = home.ask(am.StandingsWanted()).standings
    assert state.name == ""
    assert home.answer_to(home.note()) == "ask"


def test_a_row_that_was_changed_is_noticed(home: Home) -> None:
    home.stand(home.standing(home.question()))
    (row,) = [found for found in home.rows if found[0] == "standing"]
    kept = decode(Kept, home.rows[row])
    assert kept.uses == ()
    assert signed_to_bytes(kept.signed)
    forged = msgspec.structs.replace(kept.signed, signature=bytes(64))
    home.rows[row] = msgspec.msgpack.encode(Kept(forged, (Use(1),)))
    with pytest.raises(BadSignature):
        home.restored()
