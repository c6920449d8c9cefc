"""Who belongs to the mesh: the chain from its root, and beliefs that converge whatever order the news came in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from tests.protocol import samples
from tests.protocol.samples import BUNDLE, CERTIFICATES, IDS, MESH, NOW, SIGNED, SIGNING

from kindmesh.protocol.certificate import (
    CapabilityGrant,
    Certificate,
    Membership,
    MeshBundle,
    RevocationList,
    Roster,
    check_validity,
    open_bundle,
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
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, CERTIFICATE_MAX, CLOCK_SKEW_MS, ROSTER_STALE_MS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.signed import Signed

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


# ---------------------------------------------------------------------------------------------------------- bundle


def test_a_bundle_opens_to_the_keys_that_decide() -> None:
    anchors = open_bundle(BUNDLE, MESH)
    found = (anchors.mesh, anchors.owner, anchors.issuer, anchors.medulla)
    assert found == (MESH, CERTIFICATES["owner"], CERTIFICATES["issuer"], CERTIFICATES["medulla"])


def test_a_bundle_of_another_mesh_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="paired with"):
        open_bundle(BUNDLE, IDS["stranger"])
    forged = MeshBundle(SIGNING["stranger"].public, BUNDLE.owner, BUNDLE.issuer, BUNDLE.medulla)
    with pytest.raises(CertificateRefused, match="not issued"):
        open_bundle(forged, key_id(SIGNING["stranger"].public))


@pytest.mark.parametrize(
    ("part", "put"),
    [
        ("owner", CERTIFICATES["issuer"]),
        ("owner", variant("owner", roles=("guest",))),
        ("owner", variant("owner", kind="device")),
        ("issuer", CERTIFICATES["medulla"]),
        ("medulla", CERTIFICATES["owner"]),
    ],
)
def test_a_root_certificate_serves_only_its_purpose(part: str, put: Certificate) -> None:
    signed = sign_certificate(put, SIGNING["root"])
    with pytest.raises(CertificateRefused, match="another purpose"):
        open_bundle(msgspec.structs.replace(BUNDLE, **{part: signed}), MESH)


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
    assert (believed.roster_version, believed.signed_roster) == (7, samples.SIGNED_ROSTER)


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
    assert believed.roster_version == 0


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
    with pytest.raises(BadSignature):
        believed.merge_roster(sign_roster(samples.ROSTER, SIGNING["desk"]))
    with pytest.raises(BadSignature):
        believed.merge_revocations(sign_revocations(samples.REVOCATIONS, SIGNING["desk"]))
    assert (believed.roster_version, believed.revocation_version) == (0, 0)
    assert (believed.signed_roster, believed.signed_revocations) == (None, None)


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


# ----------------------------------------------------------------------------------------------------- convergence

NAMES = ("one", "two", "three")
MEMBER_KEYS = {name: SigningKey(samples.seed(f"member-{name}")) for name in NAMES}
MEMBER_IDS = {name: key_id(key.public) for name, key in MEMBER_KEYS.items()}
CURVES = (b"c" * 32, b"d" * 32, b"")


def _certify(name: str, serial: int, curve: bytes) -> Signed:
    key = MEMBER_KEYS[name]
    return sign_certificate(
        variant(subject=MEMBER_IDS[name], ed_pub=key.public, curve_pub=curve, name=name, serial=serial),
        ISSUER,
    )


_certified: dict[tuple[str, int, bytes], Signed] = {}


def certified(name: str, serial: int, curve: bytes) -> Signed:
    if (name, serial, curve) not in _certified:
        _certified[name, serial, curve] = _certify(name, serial, curve)
    return _certified[name, serial, curve]


certificates = st.builds(certified, st.sampled_from(NAMES), st.integers(1, 3), st.sampled_from(CURVES))
rosters = st.builds(
    lambda version, at, members: (
        "merge_roster",
        sign_roster(Roster(MESH, version, at, tuple(members)), ISSUER),
    ),
    st.integers(1, 3),
    st.integers(0, 1),
    st.lists(certificates, max_size=3),
)
revocations = st.builds(
    lambda version, at, subjects, serials: (
        "merge_revocations",
        sign_revocations(RevocationList(MESH, version, at, tuple(subjects), tuple(serials)), ISSUER),
    ),
    st.integers(1, 3),
    st.integers(0, 1),
    st.lists(st.sampled_from(list(MEMBER_IDS.values())), max_size=1),
    st.lists(st.integers(1, 3), max_size=1),
)
news = st.one_of(rosters, revocations, certificates.map(lambda signed: ("add", signed)))


def beliefs(believed: Membership) -> Any:
    """All that can be asked."""
    return (
        list(believed.members()),
        [believed.by_curve(curve) for curve in CURVES],
        believed.roster_version,
        believed.signed_roster,
        believed.revocation_version,
        believed.revocations_issued_ms,
        believed.signed_revocations,
        [_state(believed, subject) for subject in MEMBER_IDS.values()],
    )


def _state(believed: Membership, subject: bytes) -> str:
    try:
        return believed.get(subject).name
    except (Revoked, UnknownMember) as error:
        return error.code


def _told(items: list[tuple[str, Signed]]) -> Any:
    believed = fresh()
    for method, signed in items:
        getattr(believed, method)(signed)
    return beliefs(believed)


@settings(max_examples=60)
@given(st.lists(news, max_size=5).flatmap(lambda items: st.tuples(st.just(items), st.permutations(items))))
def test_devices_that_heard_the_same_in_any_order_and_number_believe_the_same(
    orders: tuple[list[tuple[str, Signed]], list[tuple[str, Signed]]],
) -> None:
    first, second = orders
    assert _told(first) == _told(second) == _told(first + second)


class Gossip(RuleBasedStateMachine):
    """Two devices hear of statements in different orders; what was revoked once is never believed again."""

    statements: Bundle[tuple[str, Signed]] = Bundle("statements")

    def __init__(self) -> None:
        super().__init__()
        self.sides = (fresh(), fresh())
        self.heard: tuple[list[tuple[str, Signed]], list[tuple[str, Signed]]] = ([], [])
        self.versions = [(0, 0), (0, 0)]

    @rule(target=statements, statement=news)
    def state(self, statement: tuple[str, Signed]) -> tuple[str, Signed]:
        return statement

    @rule(side=st.integers(0, 1), statement=statements)
    def hear(self, side: int, statement: tuple[str, Signed]) -> None:
        revoked = {
            name for name, subject in MEMBER_IDS.items() if _state(self.sides[side], subject) == "REVOKED"
        }
        method, signed = statement
        getattr(self.sides[side], method)(signed)
        self.heard[side].append(statement)
        for name in revoked & {member.name for member in self.sides[side].members()}:
            # Only a certificate was revoked then, and a newer one came.
            assert method in ("add", "merge_roster"), name

    @rule()
    def exchange(self) -> None:
        for side in (0, 1):
            for method, signed in self.heard[1 - side]:
                getattr(self.sides[side], method)(signed)
        self.heard = (self.heard[0] + self.heard[1], self.heard[1] + self.heard[0])
        assert beliefs(self.sides[0]) == beliefs(self.sides[1])

    @invariant()
    def versions_never_fall(self) -> None:
        for side, believed in enumerate(self.sides):
            now = (believed.roster_version, believed.revocation_version)
            assert now[0] >= self.versions[side][0]
            assert now[1] >= self.versions[side][1]
            self.versions[side] = now

    @invariant()
    def nobody_revoked_is_a_member(self) -> None:
        for believed in self.sides:
            for member in believed.members():
                assert not believed.is_revoked(member)
                assert believed.get(member.subject) == member


Gossip.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestGossip = Gossip.TestCase
