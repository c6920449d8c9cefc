"""What devices announce on the local network, as data: written and read here, sent and received by `discovery`.

Whatever is heard is a *hint* of where to knock, never a reason to trust: anybody on the network can announce anything.
So reading is strict and bounded, and never raises. Announcements carry ids, not names, and of those the first `SHORT`
bytes: a neighbour learns that there are devices, not whose. TXT: `v` (1), `id`, `mesh` (base32), `role`; and `door`, a
port, while a coordinator's pairing window has a typed code. A device that waits to be adopted (`waiting`) has no mesh:
zeros.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

SERVICE: Final = "_kindmesh._tcp.local."
SHORT: Final = 10
"""Bytes of an id that are announced, 16 characters of base32: enough to find, not to prove."""
ADDRESSES_MAX: Final = 8
VERSION: Final = b"1"
ROLES: Final = frozenset({b"coordinator", b"node", b"waiting"})
NO_MESH: Final = bytes(20)
"""The mesh of a device that has none."""


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a device announces: its id and its mesh's (20 bytes each), its role, the port where it listens, and
    the port that tells the keys of its door (0: no window with a typed code is open).

    `hosts` are the IP addresses to give; empty: all of this machine.
    """

    device: bytes
    mesh: bytes
    role: Literal["coordinator", "node", "waiting"]
    port: int
    hosts: tuple[str, ...] = ()
    door: int = 0


class DiscoveredPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A hint: a device of this mesh may be reached at `addresses` ("host:port", the likeliest first).

    `device` and `mesh` are the first `SHORT` bytes of the ids, and both are empty for a seed: somebody may be there.
    `here` is False when it said goodbye.
    """

    device: bytes
    mesh: bytes
    role: str
    addresses: tuple[str, ...]
    source: Literal["mdns", "seed"]
    here: bool = True
    doors: tuple[str, ...] = ()
    """Where the keys of its door are told, "host:port"; empty while no typed code is waited for."""

    def may_be(self, device: bytes) -> bool:
        """Whether this could be the device with that id (20 bytes)."""
        return device.startswith(self.device)


def short_text(identifier: bytes) -> str:
    """How an id is announced."""
    return base64.b32encode(identifier[:SHORT]).decode().lower()


def write_txt(presence: Presence) -> dict[str, str]:
    """The TXT record of an announcement."""
    text = {
        "v": VERSION.decode(),
        "id": short_text(presence.device),
        "mesh": short_text(presence.mesh),
        "role": presence.role,
    }
    return {**text, "door": str(presence.door)} if presence.door else text


def read_announcement(
    txt: Mapping[bytes, bytes | None], port: int | None, hosts: Iterable[str]
) -> DiscoveredPeer | None:
    """The hint in an announcement that somebody sent; None if it is not one of ours, or useless."""
    device, mesh, role = _short(txt.get(b"id")), _short(txt.get(b"mesh")), txt.get(b"role")
    if txt.get(b"v") != VERSION or device is None or mesh is None or role not in ROLES or role is None:
        return None
    if port is None or not 0 < port <= 65_535:
        return None
    usable = _usable(hosts)
    if not usable:
        return None
    door = _port(txt.get(b"door"))
    return DiscoveredPeer(
        device=device,
        mesh=mesh,
        role=role.decode(),
        addresses=tuple(f"{host}:{port}" for host in usable),
        source="mdns",
        doors=tuple(f"{host}:{door}" for host in usable) if door else (),
    )


def _port(text: bytes | None) -> int:
    if text is None or not text.isdigit() or len(text) > 5:
        return 0
    port = int(text)
    return port if port <= 65_535 else 0


def _short(text: bytes | None) -> bytes | None:
    if text is None or len(text) != 16:
        return None
    try:
        raw = base64.b32decode(text.upper())
    except binascii.Error:
        return None
    return raw if len(raw) == SHORT else None


def _usable(hosts: Iterable[str]) -> list[str]:
    """IP addresses that can be dialled, in the order to try them: IPv4, then IPv6, those of one link only last."""
    found: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, None] = {}
    for host in hosts:
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            continue
        if not (ip.is_multicast or ip.is_unspecified or ip.is_reserved):
            found[ip] = None
    order = sorted(found, key=lambda ip: (ip.is_link_local, ip.version))
    return [f"[{ip}]" if ip.version == 6 else str(ip) for ip in order[:ADDRESSES_MAX]]


__all__ = [
    "ADDRESSES_MAX",
    "NO_MESH",
    "SERVICE",
    "SHORT",
    "DiscoveredPeer",
    "Presence",
    "read_announcement",
    "short_text",
    "write_txt",
]
