"""Who belongs to the mesh: the chain from its root, and beliefs that converge whatever order the news came in."""

from __future__ import annotations

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import BUNDLE, CERTIFICATES, IDS, MESH, NOW, SIGNED, SIGNING

from kindmesh.protocol.anchors import open_bundle
from kindmesh.protocol.certificate import (
    CapabilityGrant,
    Certificate,
    Heard,
    Membership,
    RevocationList,
    Roster,
    certificate_state,
    check_validity,
    open_certificate,
    open_renewal,
    sign_certificate,
    sign_revocations,
    sign_roster,
)
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    BadSignature,
    CertificateExpired,
    CertificateRefused,
    Malformed,
    Revoked,
    UnknownMember,
)
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, CERTIFICATE_MAX, CLOCK_SKEW_MS, ROSTER_STALE_MS
from kindmesh.protocol.manifest import Effect

ISSUER = SIGNING["issuer"]


def variant(of: str = "phone", /, **changes: object) -> Certificate:
    return msgspec.structs.replace(CERTIFICATES[of], **changes)


def fresh() -> Membership:
    return Membership(open_bundle(BUNDLE, MESH))


def open_by_issuer(certificate: Certificate, key: SigningKey = ISSUER) -> Certificate:
    return open_certificate(sign_certificate(certificate, key), ISSUER.public, MESH)


# ---------------------------------------------------------------------------------------------------- certificates


def test_a_certificate_of_the_issuer_opens() -> None:
    assert open_by_issuer(CERTIFICATES["phone"]) == CERTIFICATES["phone"]


def test_effects_are_granted_to_each_capability_by_itself() -> None:
    phone = CERTIFICATES["phone"]
    assert phone.granted("device") == Effect.READ
    assert phone.granted("speech") == Effect.READ | Effect.NOTIFY
    assert phone.granted("vision") == 0
    assert phone.allows("speech", Effect.NOTIFY)
    assert not phone.allows("device", Effect.NOTIFY)
    assert not phone.allows("speech", Effect.NOTIFY | Effect.MOVE)
    assert not phone.allows("vision", 0)


def test_a_grant_of_no_effect_grants_nothing_and_grants_for_one_capability_add_up() -> None:
    nothing = variant(capabilities=(CapabilityGrant("speech", 0),))
    assert not nothing.allows("speech", 0)
    several = variant(capabilities=(CapabilityGrant("*", 1), CapabilityGrant("speech", 8)))
    assert (several.granted("speech"), several.granted("vision")) == (9, 1)
    assert not variant(capabilities=()).allows("speech", 1)


def test_a_member_is_found_by_its_key_before_the_last_rotation_unless_somebody_has_that_key_now() -> None:
    believed = samples.membership()
    before, after = CERTIFICATES["phone"].curve_pub, samples.CURVE["stranger"].public
    rotated = variant(serial=6, curve_pub=after, curve_previous=before)
    believed.add(sign_certificate(rotated, ISSUER))
    assert believed.by_curve(before) == believed.by_curve(after) == rotated
    taken = variant("desk", serial=5, curve_pub=before)
    believed.add(sign_certificate(taken, ISSUER))
    assert believed.by_curve(before) == taken
    renewed = msgspec.structs.replace(rotated, serial=8, curve_previous=b"p" * 32)
    believed.add(sign_certificate(renewed, ISSUER))
    assert believed.by_curve(b"p" * 32) == renewed
    believed.merge_revocations(sign_revocations(RevocationList(MESH, 9, NOW, (IDS["phone"],)), ISSUER))
    assert believed.by_curve(after) is None
    assert believed.by_curve(b"p" * 32) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mesh": IDS["stranger"]}, "another mesh"),
        ({"subject": IDS["desk"]}, "not its key"),
        ({"ed_pub": SIGNING["desk"].public}, "not its key"),
        ({"curve_pub": b"x" * 31}, "CURVE"),
        ({"curve_previous": b"x" * 31}, "CURVE"),
    ],
)
def test_a_certificate_that_contradicts_itself_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(CertificateRefused, match=why):
        open_by_issuer(variant(**changes))


def test_a_valid_looking_certificate_of_another_issuer_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="not issued by this mesh"):
        open_by_issuer(CERTIFICATES["phone"], SIGNING["stranger"])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x" * 65},
        {"capabilities": (CapabilityGrant("speech", 256),)},
        {"capabilities": (CapabilityGrant("speech", -1),)},
        {"capabilities": (CapabilityGrant("x" * 81, 1),)},
        {"serial": -1},
        {"kind": "king"},
        {"curve_pub": b"x" * 33},
    ],
    ids=str,
)
def test_a_certificate_out_of_bounds_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        open_by_issuer(variant(**changes))


def test_too_large_a_certificate_is_malformed() -> None:
    with pytest.raises(Malformed, match=str(CERTIFICATE_MAX)):
        open_by_issuer(variant(roles=("node",) * 1_000))


def test_a_certificate_is_valid_within_its_time_and_the_skew() -> None:
    phone = CERTIFICATES["phone"]
    end = NOW + CERTIFICATE_LIFETIME_MS
    for now_ms in (NOW - CLOCK_SKEW_MS, NOW, end + CLOCK_SKEW_MS):
        check_validity(phone, now_ms)
    with pytest.raises(CertificateExpired, match="phone has ended"):
        check_validity(phone, end + CLOCK_SKEW_MS + 1)
    with pytest.raises(CertificateExpired, match="not valid yet"):
        check_validity(phone, NOW - CLOCK_SKEW_MS - 1)


# ------------------------------------------------------------------------------------------------------ membership


def test_members_are_found_by_id_and_by_curve_key() -> None:
    believed = samples.membership()
    assert believed.mesh == MESH
    assert believed.get(IDS["phone"]) == CERTIFICATES["phone"]
    assert believed.by_curve(samples.CURVE["desk"].public) == CERTIFICATES["desk"]
    assert believed.by_curve(samples.CURVE["stranger"].public) is None
    assert [member.name for member in believed.members()] == ["desk", "phone"]
    with pytest.raises(UnknownMember):
        believed.get(IDS["owner"])


def test_a_revoked_member_is_named_and_cannot_come_back_with_its_certificate() -> None:
    believed = samples.membership()
    removed = RevocationList(MESH, 4, NOW + 1, (IDS["phone"],))
    assert believed.merge_revocations(sign_revocations(removed, ISSUER))
    for again in (
        lambda: believed.add(SIGNED["phone"]),
        lambda: believed.merge_roster(samples.SIGNED_ROSTER),
    ):
        with pytest.raises(Revoked, match="phone was removed"):
            believed.get(IDS["phone"])
        assert believed.by_curve(samples.CURVE["phone"].public) is None
        assert [member.name for member in believed.members()] == ["desk"]
        again()
    with pytest.raises(Revoked, match=r"^[a-z2-7]{4}-"):
        believed.get(IDS["stranger"])


def test_a_revoked_certificate_gives_way_to_a_newer_one_of_the_same_member() -> None:
    believed = fresh()
    believed.merge_revocations(samples.SIGNED_REVOCATIONS)
    believed.add(sign_certificate(variant(serial=99), ISSUER))
    with pytest.raises(Revoked):
        believed.get(IDS["phone"])
    believed.add(sign_certificate(variant(serial=100), ISSUER))
    assert believed.get(IDS["phone"]).serial == 100


def test_an_older_roster_does_not_bring_an_older_certificate_back() -> None:
    believed = fresh()
    renewed = sign_certificate(variant(serial=9), ISSUER)
    assert believed.add(renewed).serial == 9
    assert believed.merge_roster(samples.SIGNED_ROSTER)
    assert believed.get(IDS["phone"]).serial == 9
    assert believed.add(SIGNED["phone"]).serial == 5
    assert believed.get(IDS["phone"]).serial == 9
    assert not believed.merge_roster(samples.SIGNED_ROSTER)
    assert not believed.merge_roster(sign_roster(Roster(MESH, 6, NOW, ()), ISSUER))
    assert (believed.heard[0].roster, believed.rosters) == (7, (samples.SIGNED_ROSTER,))


@pytest.mark.parametrize(
    "certificate",
    [
        variant(kind="issuer"),
        variant(kind="medulla"),
        variant(kind="person", roles=("owner",)),
        variant(roles=("node", "owner")),
    ],
    ids=["issuer", "medulla", "owner", "owner device"],
)
def test_the_issuer_cannot_certify_who_decides(certificate: Certificate) -> None:
    believed, signed = fresh(), sign_certificate(certificate, ISSUER)
    with pytest.raises(CertificateRefused, match="only the mesh root"):
        believed.add(signed)
    with pytest.raises(CertificateRefused, match="only the mesh root"):
        believed.merge_roster(sign_roster(Roster(MESH, 1, NOW, (SIGNED["desk"], signed)), ISSUER))
    assert list(believed.members()) == []
    assert believed.heard[0].roster == 0


def test_a_root_certificate_is_no_members() -> None:
    with pytest.raises(CertificateRefused):
        fresh().add(SIGNED["owner"])


def test_lists_of_another_mesh_or_author_change_nothing() -> None:
    believed = fresh()
    other = IDS["stranger"]
    with pytest.raises(CertificateRefused):
        believed.merge_roster(sign_roster(Roster(other, 9, NOW, ()), ISSUER))
    with pytest.raises(CertificateRefused):
        believed.merge_revocations(sign_revocations(RevocationList(other, 9, NOW, (IDS["desk"],)), ISSUER))
    for author in (SIGNING["desk"], SIGNING["owner"], SIGNING["medulla"]):
        with pytest.raises(CertificateRefused, match="never had a say"):
            believed.merge_roster(sign_roster(samples.ROSTER, author))
        with pytest.raises(CertificateRefused, match="never had a say"):
            believed.merge_revocations(sign_revocations(samples.REVOCATIONS, author))
    forged = msgspec.structs.replace(samples.SIGNED_REVOCATIONS, signature=bytes(64))
    with pytest.raises(BadSignature):
        believed.merge_revocations(forged)
    assert believed.heard == (Heard(IDS["issuer"], 0, 0, 0),)
    assert (believed.rosters, believed.revocations) == ((), ())


def test_revocations_are_stale_after_a_day_and_fresh_again_with_a_new_list() -> None:
    believed = fresh()
    assert believed.is_stale(NOW)
    assert believed.merge_revocations(samples.SIGNED_REVOCATIONS)
    assert not believed.merge_revocations(samples.SIGNED_REVOCATIONS)
    assert not believed.is_stale(NOW + ROSTER_STALE_MS)
    assert believed.is_stale(NOW + ROSTER_STALE_MS + 1)
    again = msgspec.structs.replace(samples.REVOCATIONS, issued_ms=NOW + 5)
    assert believed.merge_revocations(sign_revocations(again, ISSUER))
    assert not believed.is_stale(NOW + ROSTER_STALE_MS + 5)
    assert not believed.merge_revocations(samples.SIGNED_REVOCATIONS)
    assert believed.revocations_issued_ms == NOW + 5


def test_a_renewal_is_signed_by_the_member_itself() -> None:
    assert open_renewal(samples.SIGNED_RENEWAL, SIGNING["phone"].public) == samples.RENEWAL
    with pytest.raises(BadSignature):
        open_renewal(samples.SIGNED_RENEWAL, SIGNING["desk"].public)


def test_the_newest_certificate_is_kept_as_it_was_signed() -> None:
    believed = samples.membership()
    newer = sign_certificate(variant(serial=6), ISSUER)
    believed.add(newer)
    believed.add(SIGNED["phone"])
    assert believed.latest(IDS["phone"]) == (variant(serial=6), newer)
    assert believed.latest(IDS["stranger"]) is None


@pytest.mark.parametrize(
    ("at_ms", "state"),
    [
        (NOW - CLOCK_SKEW_MS - 1, "early"),
        (NOW - CLOCK_SKEW_MS, "current"),
        (NOW + CERTIFICATE_LIFETIME_MS + CLOCK_SKEW_MS, "current"),
        (NOW + CERTIFICATE_LIFETIME_MS + CLOCK_SKEW_MS + 1, "ended"),
    ],
)
def test_a_certificate_is_early_current_or_ended(at_ms: int, state: str) -> None:
    assert certificate_state(CERTIFICATES["phone"], at_ms) == state
