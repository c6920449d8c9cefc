"""Where a node listens for direct links, and what it says of that to others.

Over TCP: at a free port of the interface that the settings name (`[mesh] listen`), said as the addresses that this
machine has. In a simulated network: at a name of its own.
"""

from __future__ import annotations

from typing import Final

TCP: Final = "tcp://"
_EVERYWHERE: Final = ("0.0.0.0", "*", "::", "")  # noqa: S104 - compared, not bound


def direct_address(scheme: str, listen: str, device: bytes) -> str:
    """The address to listen at."""
    if scheme != TCP:
        return f"{scheme}direct-{device.hex()[:12]}"
    host = f"[{listen}]" if ":" in listen and not listen.startswith("[") else listen
    return f"{TCP}{host}:0"


def reachable(listen: str, address: str) -> list[str]:
    """`host:port` where others may dial `address`, which is where it really listens."""
    scheme, _, place = address.partition("://")
    if f"{scheme}://" != TCP:
        return [place]
    if listen not in _EVERYWHERE:
        return [place]
    from kindmesh.mesh.discovery import own_addresses  # noqa: PLC0415 - only when a stream is opened

    port = place.rpartition(":")[2]
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in own_addresses()]


__all__ = ["direct_address", "reachable"]
