"""Medulla of a mesh that was recovered: members of before come back as what they were, and the removed stay removed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import DAY, T0, World, key, manifest

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.protocol.anchors import AnchorList, MeshBundle, open_bundle, sign_anchors
from kindmesh.protocol.certificate import CapabilityGrant, open_certificate
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import (
    BadSignature,
    CertificateRefused,
    InvalidInput,
    NeedsApproval,
    Replayed,
    Revoked,
    WrongDestination,
)
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule, first_policy, sign_policy
from kindmesh.protocol.readmit import RECALL_MAX_MS, Readmission, Recall, sign_readmission, sign_recall
from kindmesh.protocol.signed import Signed

NOW = T0 + DAY


class Heir(World):
    """The mesh of `before` with new keys for everybody who decides; the root is the same."""

    def __init__(self, before: World) -> None:
        self.before = before
        super().__init__(prepared=False)
        self.owner, self.issuer, self.permit_key = key("heir"), key("heir-issuer"), key("heir-permit")
        self.bundle = bundle(self, NOW, self.owner, self.issuer, self.permit_key)
        self.anchors = open_bundle(self.bundle, self.mesh)
        self.now_ms = NOW
        self.beliefs = self.restored()
        self.ask(m.Install(self.policy(NOW, issued_ms=NOW)))

    def policy(self, version: int, *rules: Any, issued_ms: int = NOW + 1, **more: Any) -> Signed:

        policy = Policy(self.mesh, version, issued_ms, rules or first_policy(self.mesh, T0).rules)
        return sign_policy(policy, more.get("by", self.owner))

    def call_back(self, **changes: Any) -> None:
        recall = Recall(self.mesh, NOW, NOW, NOW + DAY)
        self.ask(m.SetRecall(sign_recall(msgspec.structs.replace(recall, **changes), self.owner)))

    def tell(self) -> m.Learned:
        """What a device of before brings."""
        trust = self.before.ask(m.TrustWanted())
        learned: m.Learned = self.ask(
            m.Learn((self.before.bundle,), (trust.roster,), (trust.revocations,), trust.policy)
        )
        return learned

    def come(
        self, device: SigningKey | None = None, *, by: SigningKey | None = None, **changes: Any
    ) -> m.Issued:
        device = device or self.before.phone
        subject = key_id(device.public)
        signed = self.before.beliefs.certificates[subject][1]
        shown = open_certificate(signed, self.before.issuer.public, self.mesh)
        wish = Readmission(self.mesh, subject, shown.serial, NOW, b"n" * 32, NOW)
        wish = msgspec.structs.replace(wish, **changes)
        issued: m.Issued = self.ask(m.Readmit(sign_readmission(wish, by or device), signed))
        return issued


def bundle(world: World, version: int, *keys: SigningKey) -> MeshBundle:
    owner, issuer, permit = keys
    anchors = (
        world._anchor(owner, "person", ("owner",)),
        world._anchor(issuer, "issuer", ()),
        world._anchor(permit, "medulla", ()),
    )
    return sign_anchors(AnchorList(world.mesh, version, version, anchors), world.root)


@pytest.fixture
def heir() -> Heir:
    return Heir(World())


def test_a_device_of_before_comes_back_as_what_it_was(heir: Heir) -> None:
    heir.call_back()
    heir.tell()
    old = heir.before.beliefs.certificates[key_id(heir.before.phone.public)][0]
    issued = heir.come()
    new = open_certificate(issued.certificate, heir.issuer.public, heir.mesh)
    assert new.serial > old.serial
    kept = ("subject", "kind", "name", "ed_pub", "curve_pub", "roles", "capabilities")
    assert [getattr(new, field) for field in kept] == [getattr(old, field) for field in kept]
    assert heir.come() == issued, "asking again gives the same"
    heir.beliefs = heir.restored()
    assert heir.come() == issued
    assert heir.ask(m.Advertise(heir.before.advert(heir.before.phone))).operations


def test_without_the_owners_recall_each_is_asked_about(heir: Heir) -> None:
    heir.tell()
    with pytest.raises(NeedsApproval):
        heir.come()
    issued = heir.ask(m.Issue(heir.grant(heir.before.phone, "phone", by=heir.owner)))
    assert heir.come().certificate == issued.certificate


def test_a_recall_ends(heir: Heir) -> None:
    heir.call_back()
    heir.tell()
    heir.now_ms = NOW + DAY + 1
    with pytest.raises(NeedsApproval):
        heir.come()


def test_a_recall_is_the_owners_for_now_and_not_too_long(heir: Heir) -> None:
    recall = Recall(heir.mesh, NOW, NOW, NOW + DAY)
    with pytest.raises(CertificateRefused):
        heir.ask(m.SetRecall(sign_recall(recall, heir.before.owner)))
    with pytest.raises(WrongDestination):
        heir.ask(m.SetRecall(sign_recall(msgspec.structs.replace(recall, mesh=b"m" * 20), heir.owner)))
    with pytest.raises(Replayed):
        heir.call_back(anchors_version=T0)
    with pytest.raises(InvalidInput):
        heir.call_back(until_ms=NOW + RECALL_MAX_MS + 1)
    heir.call_back(until_ms=NOW + RECALL_MAX_MS)
    assert heir.restored().recall == heir.beliefs.recall is not None


def test_whom_the_lost_coordinator_removed_stays_out(heir: Heir) -> None:
    subject = key_id(heir.before.phone.public)
    certificate = heir.before.beliefs.certificates[subject]
    heir.call_back()
    heir.before.ask(m.Revoke(heir.before.removal(subject)))
    learned = heir.tell()
    assert subject in heir.beliefs.revocations.subjects
    assert heir.beliefs.signed_revocations == learned.trust.revocations
    heir.before.beliefs.certificates[subject] = certificate
    for beliefs in (heir.beliefs, heir.restored()):
        heir.beliefs = beliefs
        with pytest.raises(Revoked):
            heir.come()
    with pytest.raises(Revoked):
        heir.ask(m.Issue(heir.grant(heir.before.phone, "phone", by=heir.owner)))


def test_a_removal_that_arrives_later_throws_out_who_came_back(heir: Heir) -> None:
    subject = key_id(heir.before.phone.public)
    heir.call_back()
    heir.tell()
    heir.come()
    heir.ask(m.Advertise(heir.before.advert(heir.before.phone)))
    heir.before.ask(m.Revoke(heir.before.removal(subject)))
    heir.tell()
    assert subject not in heir.beliefs.certificates
    assert subject not in heir.beliefs.offers
    version = heir.beliefs.revocations.version
    heir.tell()
    assert heir.beliefs.revocations.version == version, "told again, nothing changes"


def test_what_the_owner_took_away_before_does_not_come_back(heir: Heir) -> None:
    """The device was off when its rights were cut; others bring the roster that says so."""
    phone, before = heir.before.phone, heir.before
    subject = key_id(phone.public)
    old = before.beliefs.certificates[subject]
    less = (CapabilityGrant("notes", int(Effect.READ)),)
    before.now_ms += 1_000
    before.ask(m.Issue(before.grant(phone, "phone", capabilities=less)))
    heir.call_back()
    heir.tell()
    before.beliefs.certificates[subject] = old
    new = open_certificate(heir.come().certificate, heir.issuer.public, heir.mesh)
    assert new.capabilities == less


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mesh": b"m" * 20}, WrongDestination),
        ({"subject": b"s" * 20}, Replayed),
        ({"serial": 1}, Replayed),
        ({"anchors_version": T0}, Replayed),
    ],
)
def test_a_wish_for_something_else_is_refused(
    heir: Heir, changes: dict[str, Any], error: type[Exception]
) -> None:
    heir.call_back()
    heir.tell()
    with pytest.raises(error):
        heir.come(**changes)


def test_only_certificates_of_before_are_made_anew(heir: Heir) -> None:
    heir.call_back()
    with pytest.raises(CertificateRefused, match="never had a say"):
        heir.come()
    heir.tell()
    issued = heir.come()
    shown = open_certificate(issued.certificate, heir.issuer.public, heir.mesh)
    wish = Readmission(heir.mesh, shown.subject, shown.serial, NOW, b"n" * 32, NOW)
    with pytest.raises(CertificateRefused, match="counts still"):
        heir.ask(m.Readmit(sign_readmission(wish, heir.before.phone), issued.certificate))


def test_a_coordinator_of_before_does_not_come_back(heir: Heir) -> None:
    lost = key("lost")
    heir.before.ask(m.Issue(heir.before.grant(lost, "lost", roles=("coordinator",))))
    heir.call_back()
    heir.tell()
    with pytest.raises(CertificateRefused, match="did not coordinate"):
        heir.come(lost)


def test_what_the_owner_of_before_forbade_stays_forbidden_until_the_new_one_signs(heir: Heir) -> None:
    heir.before.ask(m.Install(heir.before.policy(2, Rule("notes.*", int(Effect.READ), "deny"))))
    assert heir.beliefs.decide("notes.list", int(Effect.READ)) == "allow"
    heir.tell()
    for beliefs in (heir.beliefs, heir.restored()):
        assert beliefs.decide("notes.list", int(Effect.READ)) == "deny"
        assert beliefs.decide("notes.append", int(Effect.WRITE)) == "ask"
    heir.tell()
    heir.ask(m.Install(heir.policy(NOW + 1)))
    assert heir.beliefs.decide("notes.list", int(Effect.READ)) == "allow"


def test_a_newer_policy_of_the_present_owner_is_learned(heir: Heir) -> None:
    newer = heir.policy(NOW + 5, Rule("*", int(Effect.READ), "deny"))
    heir.ask(m.Learn(policy=newer))
    heir.ask(m.Learn(policy=heir.policy(NOW + 4)))
    assert heir.beliefs.signed_policy == heir.restored().signed_policy == newer


def test_news_that_are_not_what_they_say_change_nothing(heir: Heir) -> None:
    before = heir.before
    trust = before.ask(m.TrustWanted())
    rows = dict(heir.rows)
    stranger = World.__new__(World)
    stranger.root = key("another root")
    stranger.mesh = key_id(stranger.root.public)
    foreign = bundle(stranger, NOW, before.owner, before.issuer, before.permit_key)
    flipped = msgspec.structs.replace(trust.roster, signature=bytes(64))
    for bad in (
        m.Learn((foreign,)),
        m.Learn((), (trust.roster,)),
        m.Learn((before.bundle,), (flipped,), (trust.revocations,)),
        m.Learn((before.bundle,), (), (), before.policy(9, mesh=b"m" * 20)),
    ):
        with pytest.raises((BadSignature, CertificateRefused, WrongDestination)):
            heir.ask(bad)
    assert heir.rows == rows
    assert heir.beliefs.bundles == {}


def test_a_medulla_that_was_replaced_signs_nothing_more(heir: Heir) -> None:
    before = heir.before
    learned = before.ask(m.Learn((heir.bundle,)))
    assert learned.replaced
    for beliefs in (before.beliefs, before.restored()):
        before.beliefs = beliefs
        with pytest.raises(CertificateRefused, match="was replaced"):
            before.ask(before.request("notes.list"))
        with pytest.raises(CertificateRefused, match="was replaced"):
            before.ask(m.Issue(before.grant(key("kitchen"), "kitchen")))
        assert before.ask(m.StatusWanted()).members == 1
    old = Beliefs(open_bundle(before.bundle, before.mesh), before.issuer, before.permit_key, "none")
    assert not old.is_replaced


def test_what_another_present_issuer_certified_may_be_permitted_here() -> None:
    """Two coordinators: the second's roster and the first's, side by side."""
    first = World()
    first.beliefs = first.restored()
    issuer2, permit2 = key("issuer2"), key("permit2")
    both = AnchorList(
        first.mesh,
        NOW,
        NOW,
        (
            *first.anchors.certificates,
            first._anchor(issuer2, "issuer", ()),
            first._anchor(permit2, "medulla", ()),
        ),
    )
    shared = sign_anchors(both, first.root)
    second = World(prepared=False)
    second.issuer, second.permit_key = issuer2, permit2
    second.bundle, second.anchors = shared, open_bundle(shared, first.mesh)
    second.beliefs = second.restored()
    second.ask(m.Install(second.policy(1)))
    trust = first.ask(m.TrustWanted())
    second.ask(m.Learn((), (trust.roster,), (trust.revocations,)))
    first.ask(m.Learn((shared,)))
    for beliefs in (second.beliefs, second.restored()):
        second.beliefs = beliefs
        advertised = second.ask(m.Advertise(first.advert(first.phone, manifest(), version=7)))
        assert "notes.list" in advertised.operations
    # The key of a connection belongs to one member, whichever Medulla certified it.
    thief = second.grant(key("thief"), "thief", curve_pub=sha256(b"curve" + first.phone.public))
    with pytest.raises(CertificateRefused, match="phone"):
        second.ask(m.Issue(thief))
    assert second.ask(second.request("notes.list")).answer == "allow"
    assert first.ask(first.request("notes.list")).answer == "allow"
    second.ask(m.Revoke(second.removal(key_id(first.phone.public))))
    assert second.ask(second.request("notes.list")).answer == "deny"
    told = second.ask(m.TrustWanted())
    first.ask(m.Learn((), (told.roster,), (told.revocations,)))
    assert first.ask(first.request("notes.list")).answer == "deny"
    # The root names only the second from now on: what the first certified counts no more, and offers nothing.
    alone = AnchorList(
        first.mesh,
        NOW + 1,
        NOW + 1,
        (*first.anchors.of_kind("person"), *both.anchors[-2:]),
    )
    third = key("third")
    first.ask(m.Issue(first.grant(third, "third")))
    told = first.ask(m.TrustWanted())
    second.ask(m.Learn((), (told.roster,)))
    second.ask(m.Advertise(first.advert(third, manifest(), version=1)))
    assert key_id(third.public) in second.beliefs.offers
    second.ask(m.Learn((sign_anchors(alone, first.root),)))
    assert key_id(third.public) not in second.beliefs.offers
    assert second.restored().offers == second.beliefs.offers
