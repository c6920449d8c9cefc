"""Everything that is signed: one flipped bit, another key, or another purpose, and it is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocol import samples
from tests.protocol.samples import MESH, SIGNED, SIGNING
from tests.protocol.strategies import modules

from kindmesh.protocol import certificate, enrol, envelope, permit, policy
from kindmesh.protocol.anchors import open_bundle, sign_anchors
from kindmesh.protocol.certificate import open_certificate, open_renewal
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import BadSignature, KindmeshError, Malformed
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.messages import hello
from kindmesh.protocol.messages.hello import open_advert
from kindmesh.protocol.permit import open_permit
from kindmesh.protocol.policy import open_approval, open_grant, open_policy, open_removal
from kindmesh.protocol.readmit import open_readmission, open_recall
from kindmesh.protocol.release import open_release
from kindmesh.protocol.signed import Signed, open_signed, sign_struct, signed_from_bytes, signed_to_bytes

PUBLIC = {name: key.public for name, key in SIGNING.items()}


def _merge(method: str) -> Callable[[Signed], Any]:
    def attempt(signed: Signed) -> Any:
        believed = certificate.Membership(open_bundle(samples.BUNDLE, MESH))
        assert getattr(believed, method)(signed)
        return True

    return attempt


def _bundle(signed: Signed) -> Any:
    return open_bundle(msgspec.structs.replace(samples.BUNDLE, anchors=signed), MESH)


OPENERS: dict[str, tuple[Signed, Callable[[Signed], Any]]] = {
    "certificate": (SIGNED["phone"], lambda signed: open_certificate(signed, PUBLIC["issuer"], MESH)),
    "anchors": (samples.BUNDLE.anchors, _bundle),
    "roster": (samples.SIGNED_ROSTER, _merge("merge_roster")),
    "revocations": (samples.SIGNED_REVOCATIONS, _merge("merge_revocations")),
    "member": (SIGNED["phone"], _merge("add")),
    "recall": (samples.SIGNED_RECALL, lambda signed: open_recall(signed, PUBLIC["owner"])),
    "readmission": (
        samples.SIGNED_READMISSION,
        lambda signed: open_readmission(signed, PUBLIC["phone"]),
    ),
    "renewal": (samples.SIGNED_RENEWAL, lambda signed: open_renewal(signed, PUBLIC["phone"])),
    "permit": (samples.SIGNED_PERMIT, lambda signed: open_permit(signed, PUBLIC["medulla"])),
    "grant": (samples.SIGNED_GRANT, lambda signed: open_grant(signed, PUBLIC["owner"])),
    "removal": (samples.SIGNED_REMOVAL, lambda signed: open_removal(signed, PUBLIC["owner"])),
    "release": (samples.SIGNED_RELEASE, lambda signed: open_release(signed, PUBLIC["owner"])),
    "approval": (samples.SIGNED_APPROVAL, lambda signed: open_approval(signed, PUBLIC["owner"])),
    "policy": (samples.SIGNED_POLICY, lambda signed: open_policy(signed, PUBLIC["owner"])),
    "advert": (samples.SIGNED_ADVERT, lambda signed: open_advert(signed, PUBLIC["phone"])),
}
everything = pytest.mark.parametrize("name", OPENERS)


@everything
def test_what_was_signed_opens(name: str) -> None:
    signed, opens = OPENERS[name]
    assert opens(signed)
    assert opens(signed_from_bytes(signed_to_bytes(signed)))


@everything
def test_a_flipped_bit_anywhere_is_refused(name: str) -> None:
    signed, opens = OPENERS[name]
    data = signed_to_bytes(signed)

    @settings(max_examples=50)
    @given(st.integers(0, len(data) * 8 - 1))
    def check(bit: int) -> None:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(KindmeshError):
            opens(signed_from_bytes(bytes(changed)))

    check()


@everything
def test_each_bit_of_author_and_signature_counts(name: str) -> None:
    signed, opens = OPENERS[name]
    for field in ("author", "signature"):
        value = getattr(signed, field)
        for bit in range(0, len(value) * 8, 5):
            changed = bytearray(value)
            changed[bit // 8] ^= 1 << (bit % 8)
            with pytest.raises(KindmeshError):
                opens(msgspec.structs.replace(signed, **{field: bytes(changed)}))


@everything
def test_arbitrary_bytes_never_verify(name: str) -> None:
    signed, opens = OPENERS[name]

    @settings(max_examples=30)
    @given(st.binary(max_size=100), st.binary(min_size=64, max_size=64))
    def check(payload: bytes, signature: bytes) -> None:
        for attempt in (
            Signed(payload, signed.author, signature),
            Signed(payload, signed.author, signed.signature),
            Signed(signed.payload, signed.author, signature),
        ):
            with pytest.raises(KindmeshError):
                opens(attempt)

    check()


@everything
def test_nothing_that_was_signed_for_one_purpose_passes_for_another(name: str) -> None:
    mine, opens = OPENERS[name]
    for other, _ in OPENERS.values():
        if other.payload != mine.payload:
            with pytest.raises(KindmeshError):
                opens(other)


class Loose(msgspec.Struct, array_like=True, frozen=True):
    """Fits the beginning of several structs."""

    mesh: bytes
    subject: bytes
    issued_ms: int


@given(st.sampled_from(["owner", "phone", "medulla", "issuer"]), st.binary(min_size=1, max_size=30))
def test_the_right_key_with_the_wrong_domain_is_refused(name: str, domain: bytes) -> None:
    signed = sign_struct(Loose(MESH, MESH, 1), domain, SIGNING[name])
    for right in (policy.REMOVAL_DOMAIN, permit.PERMIT_DOMAIN):
        if domain != right:
            with pytest.raises(BadSignature):
                open_signed(signed, Loose, right, PUBLIC[name])


def test_an_author_who_is_not_the_key_is_refused_even_with_a_good_signature() -> None:
    signed = msgspec.structs.replace(samples.SIGNED_PERMIT, author=key_id(PUBLIC["owner"]))
    with pytest.raises(BadSignature):
        open_signed(signed, permit.Permit, permit.PERMIT_DOMAIN, PUBLIC["medulla"])


def test_too_large_a_payload_is_refused_before_its_signature_is_checked() -> None:
    with pytest.raises(Malformed, match="at most 10"):
        open_signed(samples.SIGNED_PERMIT, permit.Permit, permit.PERMIT_DOMAIN, b"no key", limit=10)


def test_domains_are_distinct_and_none_begins_another() -> None:
    domains = {
        value: name
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, bytes) and name.endswith("DOMAIN")
    }
    assert len(domains) >= 13
    assert all(domain.endswith(b"\0") and domain.count(b"\0") == 1 for domain in domains)
    for one, two in itertools.permutations(domains, 2):
        assert not two.startswith(one)
    assert {envelope.ENVELOPE_DOMAIN, hello.ADVERT_DOMAIN, enrol.DONE_DOMAIN} <= set(domains)


def test_a_bundle_of_another_root_is_refused() -> None:
    other = SigningKey(samples.seed("stranger"))
    bundle = sign_anchors(samples.ANCHORS, other)
    for mesh in (MESH, bundle.mesh):
        with pytest.raises(KindmeshError):
            open_bundle(bundle, mesh)
