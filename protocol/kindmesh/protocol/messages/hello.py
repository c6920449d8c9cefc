"""Opening a session, and saying what a device offers.

HELLO (dialler) and WELCOME (listener) exchange certificates, fresh keys and what each side knows of the mesh's trust;
what is newer travels in WELCOME. An *advert* is the node's own signed statement of its
manifests: the coordinator passes it on to Medulla as it is, so nobody between can change an effect.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Count, Fraction, Hash, Key, KeyId, Line, Measure, Nonce, TimeMs
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import Malformed, SourceMismatch
from kindmesh.protocol.extensions import Ext
from kindmesh.protocol.limits import THING_NAMES_MAX, THINGS_MAX
from kindmesh.protocol.manifest import Manifest, check_manifest
from kindmesh.protocol.messages.trust import TrustKnown, TrustUpdate
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

ADVERT_DOMAIN: Final = b"kindmesh-advert-v1\0"


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """`ephemeral` X25519 key (32), `nonce` (32), wire `versions` spoken, and what is `known` of trust."""

    certificate: Signed
    ephemeral: Key
    nonce: Nonce
    versions: Annotated[tuple[Count, ...], Meta(max_length=16)]
    known: TrustKnown
    clock_ms: TimeMs
    ext: Ext = {}


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """`hello_hash` (32) names the HELLO; `trust` is what the other side lacks."""

    hello_hash: Hash
    certificate: Signed
    ephemeral: Key
    nonce: Nonce
    version: Count
    clock_ms: TimeMs
    trust: TrustUpdate = TrustUpdate()
    ext: Ext = {}


class NodeFacts(msgspec.Struct, array_like=True, frozen=True):
    """How a device is now; None where it cannot tell. `load` 0..1 of its cores over the last minute, `battery` 0..1,
    `charging`, `temperature_c` of the hottest zone, `memory_free_mib`, `disk_free_mib`, `running` jobs; `rtt_ms`
    how long a heartbeat to the coordinator and its answer take."""

    load: Measure | None = None
    battery: Fraction | None = None
    charging: bool | None = None
    temperature_c: Measure | None = None
    memory_free_mib: Count | None = None
    disk_free_mib: Count | None = None
    running: Count = 0
    rtt_ms: Measure | None = None


class Thing(msgspec.Struct, array_like=True, frozen=True):
    """What a capability works on: its `id`, as arguments give it, and what people call it and where it is."""

    id: Annotated[str, Meta(max_length=255)]
    names: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=THING_NAMES_MAX)]


class Offer(msgspec.Struct, array_like=True, frozen=True):
    """A capability on a device: whether it can run now, and if not what to do about it; `fit` 0..1 as declared;
    `resting`: it is not ready because it kept failing, and will be tried again; `things` that people call by name."""

    manifest: Manifest
    ready: bool
    hint: Line = ""
    fit: Fraction = 0.5
    resting: bool = False
    things: Annotated[tuple[Thing, ...], Meta(max_length=THINGS_MAX)] = ()


class Advert(msgspec.Struct, array_like=True, frozen=True):
    """All that a device offers; `version` rises with every change within a boot."""

    mesh: KeyId
    device: KeyId
    boot: Count
    version: Count
    issued_ms: TimeMs
    offers: tuple[Offer, ...]


class SignedAdvert(msgspec.Struct, array_like=True, frozen=True):
    """Body of ADVERT."""

    advert: Signed


def sign_advert(advert: Advert, key: SigningKey) -> Signed:
    """Signed by the device."""
    return sign_struct(advert, ADVERT_DOMAIN, key)


def open_advert(signed: Signed, device_pub: bytes) -> Advert:
    """The advert, its manifests checked; the mesh it names is for the caller to compare.

    Raises:
        BadSignature, Malformed, UnknownCritical.
        SourceMismatch: a device speaks of another device's offers.
    """
    advert = open_signed(signed, Advert, ADVERT_DOMAIN, device_pub)
    if advert.device != signed.author:
        raise SourceMismatch("the advert is about another device than its author")
    capabilities = [offer.manifest.capability for offer in advert.offers]
    if len(set(capabilities)) != len(capabilities):
        raise Malformed("the advert offers a capability twice", field="offers")
    for offer in advert.offers:
        check_manifest(offer.manifest)
    return advert


__all__ = [
    "Advert", "Hello", "NodeFacts", "Offer", "SignedAdvert", "Thing", "Welcome", "open_advert", "sign_advert",
]  # fmt: skip
