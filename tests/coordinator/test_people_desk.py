"""Who asks at the coordinator: a person's own signature, once, now, on this device; and what each may look at."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import IDS, MESH, NOW, SIGNING, time_id
from tests.support.household import Household

from kindmesh.coordinator import people as people_module
from kindmesh.coordinator.brain.medulla import people_messages as m
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.certificate import Certificate, sign_certificate
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import (
    AccessRefused,
    BadSignature,
    Busy,
    CertificateExpired,
    CertificateRefused,
    ClockSkew,
    InvalidInput,
    Malformed,
    Replayed,
    SourceMismatch,
    UnknownMember,
    WrongDestination,
)
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.people import Delegation, PersonRequest, PersonTerms, sign_request
from kindmesh.protocol.principal import OWNER, Principal, device_principal, person_principal
from kindmesh.protocol.roles import Rights
from kindmesh.protocol.signed import signed_to_bytes

ANNA = SigningKey(sha256(b"anna"))
PERSON = sha256(b"person anna")[:20]
DAY = 86_400_000


class Now:
    """A clock that stands where it is put."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000


class Desk:
    def __init__(self, role: str = "resident") -> None:
        self.household = Household(5, NOW)
        for name in ("desk", "phone", "kitchen"):
            self.household.add(name, "coordinator" if name == "desk" else "node")
        self.trust = self.household.trust("desk")
        self.clock = Now(NOW)
        self.news: list[dict[str, Any]] = []
        self.left: list[Principal] = []
        self.phone = self.household.identities["phone"].device_id
        none = cast(Any, None)
        self.desk = PeopleDesk(
            self.trust, none, none, cast(Clock, self.clock), news=self.news.append, leave=self.left.append
        )
        self.admit(ANNA)
        terms = PersonTerms(self.trust.mesh, PERSON, "Anna", role, NOW)
        key = m.PersonKey(key_id(ANNA.public), self.phone, NOW, NOW + DAY)
        self.desk._learn(m.People((m.Person(terms, (key,)),), (), ()))

    def admit(self, key: SigningKey, **changes: Any) -> None:
        certificate = Certificate(
            self.trust.mesh, key_id(key.public), "person", "Anna", key.public, b"", ("resident",), (), NOW, NOW + DAY,
            NOW, person=PERSON,
        )  # fmt: skip
        made = msgspec.structs.replace(certificate, **changes)
        self.trust.membership.add(sign_certificate(made, self.household.issuer))

    def proof(self, params: Any, *, by: SigningKey = ANNA, number: int = 1, **changes: Any) -> bytes:
        request = PersonRequest(
            self.trust.mesh, time_id(number), self.phone, "jobs", encode_value(params), NOW
        )
        return signed_to_bytes(sign_request(msgspec.structs.replace(request, **changes), by))

    def ask(self, proof: bytes, device: bytes | None = None, **params: Any) -> tuple[Params, Principal]:
        where = self.phone if device is None else device
        return self.desk.identify("jobs", Params({**params, "proof": proof}), where)


def test_the_parameters_are_those_that_were_signed() -> None:
    made = Desk()
    source = [{"artifact": "x"}]
    params, who = made.ask(made.proof({"limit": 5}), limit=500, sources=source)
    assert params.values == {"limit": 5, "sources": source}
    assert (who.kind, who.name, who.id, who.device) == ("person", "Anna", format_id(PERSON), made.phone)
    assert params.proof is not None


def test_without_a_signature_it_is_the_device_or_the_owner() -> None:
    made = Desk()
    assert made.desk.identify("jobs", Params({}), made.phone)[1] == device_principal(made.phone)
    assert made.desk.identify("jobs", Params({}), b"")[1] == OWNER


def test_a_signature_serves_once_and_now() -> None:
    made = Desk()
    made.ask(made.proof({}))
    with pytest.raises(Replayed):
        made.ask(made.proof({}))
    with pytest.raises(ClockSkew):
        made.ask(made.proof({}, number=2, asked_ms=NOW - 200_000))
    made.clock.at_ms += 300_000
    made.ask(made.proof({}, number=3, asked_ms=NOW + 300_000))
    assert list(made.desk._seen) == [time_id(3)]


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Desk()
    monkeypatch.setattr(people_module, "SEEN_MAX", 1)
    made.ask(made.proof({}))
    with pytest.raises(Busy):
        made.ask(made.proof({}, number=2))


def test_a_signature_is_for_one_mesh_method_device_and_key() -> None:
    made = Desk()
    with pytest.raises(SourceMismatch):
        made.ask(made.proof({}), made.household.identities["kitchen"].device_id)
    for changes in ({"mesh": MESH}, {"method": "cancel"}):
        with pytest.raises(WrongDestination):
            made.ask(made.proof({}, **cast(Any, changes)))
    with pytest.raises(UnknownMember):
        made.ask(made.proof({}, by=SIGNING["stranger"]))
    forged = msgspec.structs.replace(
        sign_request(samples.PERSON_REQUEST, SIGNING["stranger"]), author=key_id(ANNA.public)
    )
    with pytest.raises(BadSignature):
        made.ask(signed_to_bytes(forged))
    with pytest.raises(Malformed):
        made.ask(b"nonsense")
    with pytest.raises(CertificateRefused):
        made.ask(made.proof({}, by=made.household.identities["phone"].signing))
    with pytest.raises(InvalidInput):
        made.ask(made.proof([1], number=9))


def test_a_person_whose_certificate_ended_asks_for_nothing() -> None:
    made = Desk()
    made.clock.at_ms += 2 * DAY
    with pytest.raises(CertificateExpired):
        made.ask(made.proof({}, asked_ms=made.clock.at_ms))


def test_on_the_coordinators_machine_the_signature_says_which_device_it_is() -> None:
    made = Desk()
    assert made.ask(made.proof({}), b"")[1].device == made.phone


def test_what_acts_for_a_person_is_named_in_what_they_signed() -> None:
    made = Desk()
    who = made.ask(made.proof({"acting": "goal:water"}))[1]
    assert (who.kind, who.id, who.acting_for) == ("goal", "water", format_id(PERSON))
    with pytest.raises(AccessRefused):
        made.desk.identify("submit", Params({"acting": "goal:water"}), made.phone)
    for_owner = made.desk.identify("submit", Params({"acting": "goal:water"}), b"")[1]
    assert for_owner.acting_for == "owner"
    params = Params({"acting": "limb:med", "acting_for": format_id(PERSON)})
    assert made.desk.identify("submit", params, b"")[1].acting_for == format_id(PERSON)


CALL = Operation("notes.list", "List", (), (), int(Effect.READ), True, ("notes",), session_call=True)


@pytest.mark.parametrize(
    ("role", "may"), [("resident", True), ("guest", False), ("alerts", False), ("gone", False)]
)
def test_a_session_call_is_bounded_by_the_role(role: str, may: bool) -> None:
    made = Desk(role)
    anna = person_principal(PERSON, "Anna", made.phone)
    for who in (anna, device_principal(made.phone)):
        if may:
            made.desk.check_call(who, CALL, "household")
        else:
            with pytest.raises(AccessRefused):
                made.desk.check_call(who, CALL, "household")
    made.desk.check_call(OWNER, CALL, "household")
    made.desk.check_call(device_principal(IDS["desk"]), CALL, "household")


@pytest.mark.parametrize(
    ("role", "may"), [("resident", True), ("guest", True), ("alerts", False), ("gone", False)]
)
def test_looking_at_the_devices_is_bounded_by_the_role(role: str, may: bool) -> None:
    made = Desk(role)
    anna = person_principal(PERSON, "Anna", made.phone)
    if may:
        made.desk.check_look(anna)
    else:
        with pytest.raises(AccessRefused):
            made.desk.check_look(anna)
    offers = [{"capability": "notes", "operations": [{"name": "notes.list"}]}]
    assert made.desk.visible(OWNER, offers) == offers
    assert made.desk.visible(anna, offers) == (offers if role == "resident" else [])


def test_who_may_answer_is_the_owner_and_whose_role_approves() -> None:
    made = Desk()
    anna = person_principal(PERSON, "Anna", made.phone)
    assert made.desk.may_answer(OWNER, {"effects": ["write"]})
    assert not made.desk.may_answer(device_principal(made.phone), {"effects": ["sense"]})
    assert made.desk.may_answer(anna, {"effects": ["sense"]})
    assert not made.desk.may_answer(anna, {"effects": ["sense", "write"]})
    assert not made.desk.may_answer(person_principal(IDS["desk"], "X"), {"effects": ["sense"]})


def test_a_removed_persons_work_ends_and_the_owner_is_told() -> None:
    made = Desk()
    made.desk.removed(PERSON)
    assert [one.name for one in made.left] == ["Anna"]
    assert made.news == [{"event": "person", "what": "removed", "name": "Anna"}]
    made.desk.removed(PERSON)
    assert len(made.left) == 1


def test_what_acts_for_somebody_calls_within_its_delegation_and_the_person() -> None:
    made = Desk()
    for_anna = Principal("goal", "water", "Anna", format_id(PERSON), made.phone)
    for_owner = Principal("goal", "water", acting_for="owner")
    for who in (for_anna, for_owner):
        with pytest.raises(AccessRefused):
            made.desk.check_call(who, CALL, "household")

    def delegated(operations: tuple[str, ...], person: bytes) -> m.DelegationState:
        rights = Rights(operations, 255)
        delegation = Delegation(made.trust.mesh, time_id(7), "goal", "water", person, rights, NOW, NOW + DAY)
        return m.DelegationState(delegation, "Anna")

    persons = made.desk._known.persons if made.desk._known else ()
    made.desk._learn(
        m.People(persons, (), (delegated(("notes.list",), PERSON), delegated(("device.*",), b"")))
    )
    made.desk.check_call(for_anna, CALL, "household")
    with pytest.raises(AccessRefused):
        made.desk.check_call(for_owner, CALL, "household")
    made.clock.at_ms += 2 * DAY
    with pytest.raises(AccessRefused):
        made.desk.check_call(for_anna, CALL, "household")


def test_what_the_owner_gave_for_a_time_ends_at_the_coordinator_too() -> None:
    made = Desk()
    known = made.desk._known.persons[0] if made.desk._known else None
    assert known is not None
    until = msgspec.structs.replace(known.terms, until_ms=NOW + 1)
    made.desk._learn(m.People((msgspec.structs.replace(known, terms=until),), (), ()))
    anna = person_principal(PERSON, "Anna", made.phone)
    made.desk.check_call(anna, CALL, "household")
    made.clock.at_ms += 2
    with pytest.raises(AccessRefused):
        made.desk.check_call(anna, CALL, "household")
