"""Where things are: "tcp://host:port", taken apart, put together and looked up.

Host names are looked up here, by the loop, because libzmq would do it in its IO thread and hold up every other link
meanwhile. An address is only a hint of where to knock; who answers is decided by keys.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import msgspec

from kindmesh.protocol.errors import ConfigError, InvalidInput, PeerUnreachable

ANY = "*"
"""As a host to listen at: every address of this machine."""


class Address(msgspec.Struct, frozen=True):
    """A host (name, IPv4, IPv6 without brackets, or `ANY`) and a TCP port (0 where a free one is to be taken)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://[{self.host}]:{self.port}" if self.is_ipv6 else f"tcp://{self.host}:{self.port}"

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    @property
    def is_literal(self) -> bool:
        """Whether nothing has to be looked up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.host == ANY
        return True


def parse_address(text: str) -> Address:
    """The parts of "tcp://host:port".

    Raises:
        ConfigError: it is something else.
    """
    scheme, _, rest = text.partition("://")
    host, _, port = rest.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    plausible = (
        scheme == "tcp" and bare and (":" not in bare or bare != host) and not any(c in bare for c in "[]/ ")
    )
    if not plausible or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise ConfigError(
            f"{text} is not an address", hint="It looks like tcp://192.0.2.7:7437.", field="address"
        )
    return Address(bare, int(port))


def parse_place(text: str, port: int) -> Address:
    """What a person types: `host`, `host:port`, `[ip]` or `[ip]:port`; `port` where none is given.

    Raises:
        InvalidInput: it is something else.
    """
    bare = text.rpartition("]")[2] if text.startswith("[") else text
    try:
        return parse_address(f"tcp://{text if ':' in bare else f'{text}:{port}'}")
    except ConfigError as error:
        hint = f"For instance 192.0.2.7:{port}."
        raise InvalidInput(f"{text[:80]!r} is no address", field="at", hint=hint) from error


async def look_up(text: str) -> Address:
    """The address with its host as numbers; waits for the name service only if there is a name.

    Raises:
        ConfigError: it is no address.
        PeerUnreachable: nobody has that name now.
    """
    address = parse_address(text)
    if address.is_literal:
        return address
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PeerUnreachable(f"no device is called {address.host}", hint="Try its IP address.") from None
    return Address(str(found[0][4][0]), address.port)


__all__ = ["ANY", "Address", "look_up", "parse_address", "parse_place"]
