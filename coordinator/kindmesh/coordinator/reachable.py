"""Where others may reach a socket of this machine: what the settings say, else what the machine itself knows.

A socket that listens everywhere has no address of its own to tell; a person who forwards ports says which (`advertise`)
and forwards those of the mesh and of the door alike, so the distance between the two stays.
"""

from __future__ import annotations

from collections.abc import Sequence


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def reachable(address: str, mesh_address: str, advertise: Sequence[str]) -> list[str]:
    """`host:port` of the socket at `address` as others may reach it: what the settings say, else this machine's
    addresses. `mesh_address` is the mesh socket's; the others are next to it."""
    from kindmesh.mesh.addresses import parse_address  # noqa: PLC0415 - only when pairing

    scheme, _, place = address.partition("://")
    if scheme != "tcp":
        return [place]
    bound = parse_address(address)
    if advertise:
        # The door is next to the mesh socket; a person who forwards ports forwards both.
        difference = bound.port - parse_address(mesh_address).port
        split = [known.rpartition(":") for known in advertise]
        return [f"{host}:{int(port) + difference}" for host, _, port in split]
    if bound.host not in ("0.0.0.0", "*", "::"):  # noqa: S104 - compared, not bound
        return [join_address(bound.host, bound.port)]
    from kindmesh.mesh.discovery import own_addresses  # noqa: PLC0415 - only when pairing

    return [join_address(host, bound.port) for host in own_addresses()][:6]


__all__ = ["join_address", "reachable"]
