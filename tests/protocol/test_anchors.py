"""Who decides: one list signed by the mesh root, newer ones replace it, and everybody agrees whatever came first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from tests.protocol import samples
from tests.protocol.samples import ANCHORS, BUNDLE, CERTIFICATES, IDS, MESH, NOW, SIGNED, SIGNING

from kindmesh.protocol.anchors import (
    ANCHOR_KINDS,
    AnchorList,
    Anchors,
    MeshBundle,
    next_version,
    open_bundle,
    sign_anchors,
)
from kindmesh.protocol.certificate import (
    Certificate,
    Heard,
    Kind,
    Membership,
    RevocationList,
    Roster,
    sign_certificate,
    sign_revocations,
    sign_roster,
)
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import CertificateRefused, Malformed, Revoked, UnknownMember
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import ISSUERS_MAX
from kindmesh.protocol.signed import Signed

ROOT = SIGNING["root"]


def variant(of: str, /, **changes: object) -> Certificate:
    return msgspec.structs.replace(CERTIFICATES[of], **changes)


def bundle_of(*anchors: Certificate, version: int = NOW, mesh: bytes = MESH) -> MeshBundle:
    return sign_anchors(AnchorList(mesh, version, NOW, anchors), ROOT)


# ------------------------------------------------------------------------------------------------------------ bundle


def test_a_bundle_opens_to_the_keys_that_decide() -> None:
    anchors = open_bundle(BUNDLE, MESH)
    assert (anchors.mesh, anchors.version, anchors.issued_ms) == (MESH, NOW, NOW)
    assert anchors.owner_pub(IDS["owner"]) == SIGNING["owner"].public
    assert anchors.issuer_pub(IDS["issuer"]) == SIGNING["issuer"].public
    assert anchors.permit_pub(IDS["medulla"]) == SIGNING["medulla"].public
    assert anchors.of_kind("issuer") == (CERTIFICATES["issuer"],)
    assert anchors.subjects == {IDS["owner"], IDS["issuer"], IDS["medulla"]}


@pytest.mark.parametrize("author", ["owner", "issuer", "medulla", "stranger", "root"])
def test_a_key_has_only_its_own_say(author: str) -> None:
    anchors = open_bundle(BUNDLE, MESH)
    lookups = {"owner": anchors.owner_pub, "issuer": anchors.issuer_pub, "medulla": anchors.permit_pub}
    for purpose, lookup in lookups.items():
        if purpose != author:
            with pytest.raises(CertificateRefused, match="not any more"):
                lookup(IDS[author])


def test_a_bundle_of_another_mesh_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="paired with"):
        open_bundle(BUNDLE, IDS["stranger"])
    forged = MeshBundle(SIGNING["stranger"].public, BUNDLE.anchors)
    with pytest.raises(CertificateRefused, match="not signed by this mesh's root"):
        open_bundle(forged, key_id(SIGNING["stranger"].public))
    foreign = bundle_of(*ANCHORS.anchors, mesh=IDS["stranger"])
    with pytest.raises(CertificateRefused, match="list of who decides belongs"):
        open_bundle(foreign, MESH)


@pytest.mark.parametrize(
    ("anchors", "why"),
    [
        (
            (variant("owner", roles=("guest",)), CERTIFICATES["issuer"], CERTIFICATES["medulla"]),
            "another purpose",
        ),
        (
            (variant("owner", kind="device"), CERTIFICATES["issuer"], CERTIFICATES["medulla"]),
            "another purpose",
        ),
        ((variant("owner", mesh=IDS["stranger"]), *ANCHORS.anchors[1:]), "another mesh"),
        ((variant("owner", subject=IDS["desk"]), *ANCHORS.anchors[1:]), "not its key"),
        ((*ANCHORS.anchors, CERTIFICATES["owner"]), "twice"),
        (ANCHORS.anchors[:2], "must list"),
        ((), "must list"),
        ((*ANCHORS.anchors[:2], variant("desk", kind="issuer", curve_pub=b"")), "must list"),
    ],
)
def test_a_list_of_anchors_that_does_not_hang_together_is_refused(
    anchors: tuple[Certificate, ...], why: str
) -> None:
    with pytest.raises(CertificateRefused, match=why):
        open_bundle(bundle_of(*anchors), MESH)


def test_a_list_out_of_bounds_is_malformed() -> None:
    with pytest.raises(Malformed):
        open_bundle(bundle_of(*ANCHORS.anchors * 11), MESH)


def test_versions_rise_by_time_and_never_fall_with_a_clock_set_back() -> None:
    assert next_version(0, NOW) == NOW
    assert next_version(NOW, NOW) == NOW + 1
    assert next_version(NOW, NOW - 5) == NOW + 1


# -------------------------------------------------------------------------------------------------------- replacing

HEIRS = {
    name: SigningKey(samples.seed(f"heir-{name}"))
    for name in ("owner", "issuer", "medulla", "issuer2", "medulla2")
}


def anchor(name: str, key: SigningKey, kind: Kind) -> Certificate:
    roles = ("owner",) if kind == "person" else ()
    return variant("owner", subject=key_id(key.public), ed_pub=key.public, name=name, kind=kind, roles=roles)


HEIR = (
    anchor("owner", HEIRS["owner"], "person"),
    anchor("issuer", HEIRS["issuer"], "issuer"),
    anchor("medulla", HEIRS["medulla"], "medulla"),
)
SECOND = (anchor("issuer2", HEIRS["issuer2"], "issuer"), anchor("medulla2", HEIRS["medulla2"], "medulla"))
FIRST = open_bundle(BUNDLE, MESH)
BOTH = open_bundle(bundle_of(*ANCHORS.anchors, *SECOND, version=NOW + 1), MESH)
REPLACED = open_bundle(bundle_of(*HEIR, version=NOW + 2), MESH)
REPLACED_BOTH = open_bundle(bundle_of(*HEIR, *SECOND, version=NOW + 2), MESH)


def test_who_is_not_in_the_newer_list_certifies_nobody_any_more() -> None:
    believed = samples.membership()
    assert believed.adopt(REPLACED)
    assert list(believed.members()) == []
    with pytest.raises(UnknownMember):
        believed.get(IDS["phone"])
    with pytest.raises(CertificateRefused, match="not any more"):
        believed.add(SIGNED["phone"])
    assert not believed.merge_roster(samples.SIGNED_ROSTER)
    assert believed.rosters == ()
    assert believed.is_stale(NOW)
    anew = sign_certificate(variant("phone", serial=NOW), HEIRS["issuer"])
    assert believed.add(anew).serial == NOW
    assert [member.name for member in believed.members()] == ["phone"]


def test_whom_a_replaced_issuer_removed_stays_removed() -> None:
    believed = Membership(REPLACED)
    with pytest.raises(CertificateRefused, match="never had a say"):
        believed.merge_revocations(
            sign_revocations(RevocationList(MESH, 4, NOW, (IDS["phone"],)), SIGNING["issuer"])
        )
    assert not believed.adopt(FIRST)
    old = sign_revocations(RevocationList(MESH, 4, NOW, (IDS["phone"],)), SIGNING["issuer"])
    assert believed.merge_revocations(old)
    believed.add(sign_certificate(variant("phone", serial=NOW), HEIRS["issuer"]))
    with pytest.raises(Revoked):
        believed.get(IDS["phone"])
    assert believed.revoked == {IDS["phone"]}
    assert believed.revocations == (old,)
    assert believed.is_stale(NOW), "a replaced issuer's list is no news of now"
    new = sign_revocations(RevocationList(MESH, 1, NOW, (IDS["phone"],)), HEIRS["issuer"])
    believed.merge_revocations(new)
    assert believed.revocations == (new,), "what a present issuer says needs no older witness"
    assert not believed.is_stale(NOW)


def test_two_issuers_are_heard_side_by_side() -> None:
    believed = samples.membership()
    assert believed.adopt(BOTH)
    cellar = sign_certificate(variant("desk", serial=NOW, name="desk of both"), HEIRS["issuer2"])
    roster = sign_roster(Roster(MESH, 1, NOW, (cellar,)), HEIRS["issuer2"])
    assert believed.merge_roster(roster)
    assert sorted(member.name for member in believed.members()) == ["desk of both", "phone"]
    assert set(believed.rosters) == {samples.SIGNED_ROSTER, roster}
    assert {one.issuer: one.roster for one in believed.heard} == {
        IDS["issuer"]: 7, key_id(HEIRS["issuer2"].public): 1,
    }  # fmt: skip


def test_anchors_of_another_mesh_are_refused_and_older_ones_change_nothing() -> None:
    believed = Membership(BOTH)
    with pytest.raises(CertificateRefused, match="another mesh"):
        believed.adopt(msgspec.structs.replace(FIRST, mesh=IDS["stranger"]))
    assert not believed.adopt(FIRST)
    assert believed.anchors is BOTH


def test_how_many_were_ever_named_is_bounded() -> None:
    believed, anchors = Membership(FIRST), FIRST
    for number in range(1, ISSUERS_MAX + 1):
        named = tuple(
            anchor("x", SigningKey(samples.seed(f"{kind}-{number}")), kind) for kind in ANCHOR_KINDS
        )
        anchors = open_bundle(bundle_of(*named, version=NOW + number), MESH)
        if number < ISSUERS_MAX:
            assert believed.adopt(anchors)
    with pytest.raises(CertificateRefused, match="too many"):
        believed.adopt(anchors)
    assert believed.anchors.version == NOW + ISSUERS_MAX - 1


# ------------------------------------------------------------------------------------------------------ convergence

NAMES = ("one", "two", "three")
MEMBER_KEYS = {name: SigningKey(samples.seed(f"member-{name}")) for name in NAMES}
MEMBER_IDS = {name: key_id(key.public) for name, key in MEMBER_KEYS.items()}
CURVES = (b"c" * 32, b"d" * 32, b"")
News = tuple[Anchors, str, Signed]
"""A statement as it travels: never without the list of anchors by which its author had a say."""
AUTHORS: dict[Anchors, tuple[SigningKey, ...]] = {
    FIRST: (SIGNING["issuer"],),
    BOTH: (SIGNING["issuer"], HEIRS["issuer2"]),
    REPLACED_BOTH: (HEIRS["issuer"], HEIRS["issuer2"]),
}
sources = st.sampled_from([(anchors, key) for anchors, keys in AUTHORS.items() for key in keys])
_certified: dict[Any, Signed] = {}


Wish = tuple[str, int, bytes]
"""Name, serial, CURVE key."""


def certified(wish: Wish, by: SigningKey) -> Signed:
    """Signing costs more than the rest of the test; the same is signed once."""
    name, serial, curve = wish
    made = _certified.get((name, serial, curve, by.seed))
    if made is None:
        fields = {"subject": MEMBER_IDS[name], "ed_pub": MEMBER_KEYS[name].public, "name": name}
        made = sign_certificate(variant("phone", **fields, curve_pub=curve, serial=serial), by)
        _certified[name, serial, curve, by.seed] = made
    return made


def _roster(source: tuple[Anchors, SigningKey], version: int, at: int, members: Sequence[Wish]) -> News:
    anchors, key = source
    signed = tuple(certified(member, key) for member in members)
    return anchors, "merge_roster", sign_roster(Roster(MESH, version, at, signed), key)


def _list(
    source: tuple[Anchors, SigningKey],
    version: int,
    at: int,
    subjects: Sequence[bytes],
    serials: Sequence[int],
) -> News:
    anchors, key = source
    revocations = RevocationList(MESH, version, at, tuple(subjects), tuple(serials))
    return anchors, "merge_revocations", sign_revocations(revocations, key)


members = st.tuples(st.sampled_from(NAMES), st.integers(1, 3), st.sampled_from(CURVES))
rosters = st.builds(_roster, sources, st.integers(1, 3), st.integers(0, 1), st.lists(members, max_size=3))
revocations = st.builds(
    _list, sources, st.integers(1, 3), st.integers(0, 1),
    st.lists(st.sampled_from(list(MEMBER_IDS.values())), max_size=1), st.lists(st.integers(1, 3), max_size=1),
)  # fmt: skip
shown = st.builds(lambda source, member: (source[0], "add", certified(member, source[1])), sources, members)
news = st.one_of(rosters, revocations, shown)


def beliefs(believed: Membership) -> Any:
    """All that can be asked."""
    return (
        believed.anchors.rank,
        list(believed.members()),
        [believed.by_curve(curve) for curve in CURVES],
        believed.heard,
        believed.rosters,
        believed.revocations,
        believed.revoked,
        believed.revocations_issued_ms,
        [_state(believed, subject) for subject in MEMBER_IDS.values()],
    )


def _state(believed: Membership, subject: bytes) -> str:
    try:
        return believed.get(subject).name
    except (Revoked, UnknownMember) as error:
        return error.code


def _tell(believed: Membership, item: News) -> None:
    anchors, method, signed = item
    believed.adopt(anchors)
    retired = method == "add" and believed.anchors.find(signed.author, "issuer") is None
    try:
        getattr(believed, method)(signed)
    except CertificateRefused:
        assert retired, "only a certificate by who was replaced is refused"
    else:
        assert not retired


def _told(items: list[News]) -> Any:
    believed = Membership(FIRST)
    for item in items:
        _tell(believed, item)
    return beliefs(believed)


@settings(max_examples=80)
@given(st.lists(news, max_size=5).flatmap(lambda items: st.tuples(st.just(items), st.permutations(items))))
def test_devices_that_heard_the_same_in_any_order_and_number_believe_the_same(
    orders: tuple[list[News], list[News]],
) -> None:
    first, second = orders
    assert _told(first) == _told(second) == _told(first + second)


class Gossip(RuleBasedStateMachine):
    """Two devices hear of statements in different orders; what was revoked once is never believed again."""

    statements: Bundle[News] = Bundle("statements")

    def __init__(self) -> None:
        super().__init__()
        self.sides = (Membership(FIRST), Membership(FIRST))
        self.heard: tuple[list[News], list[News]] = ([], [])
        self.before: list[tuple[int, dict[bytes, Heard]]] = [(0, {}), (0, {})]
        self.gone: list[frozenset[bytes]] = [frozenset(), frozenset()]

    @rule(target=statements, statement=news)
    def state(self, statement: News) -> News:
        return statement

    @rule(side=st.integers(0, 1), statement=statements)
    def hear(self, side: int, statement: News) -> None:
        _tell(self.sides[side], statement)
        self.heard[side].append(statement)

    @rule()
    def exchange(self) -> None:
        for side in (0, 1):
            for statement in self.heard[1 - side]:
                _tell(self.sides[side], statement)
        self.heard = (self.heard[0] + self.heard[1], self.heard[1] + self.heard[0])
        assert beliefs(self.sides[0]) == beliefs(self.sides[1])

    @invariant()
    def versions_never_fall(self) -> None:
        for side, believed in enumerate(self.sides):
            version, heard = self.before[side]
            assert believed.anchors.version >= version
            now = {one.issuer: one for one in believed.heard}
            for issuer, one in heard.items():
                assert issuer not in now or now[issuer].roster >= one.roster
                assert issuer not in now or now[issuer].revocations >= one.revocations
            self.before[side] = (believed.anchors.version, now)

    @invariant()
    def nobody_revoked_is_a_member_ever_again(self) -> None:
        for side, believed in enumerate(self.sides):
            assert believed.revoked >= self.gone[side]
            self.gone[side] = believed.revoked
            for member in believed.members():
                assert not believed.is_revoked(member)
                assert member.subject not in believed.revoked
                assert believed.get(member.subject) == member


Gossip.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestGossip = Gossip.TestCase
