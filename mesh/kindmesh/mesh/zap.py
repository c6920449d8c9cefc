"""ZeroMQ's authentication protocol (ZAP, RFC 27), the part we speak: pure frames in, frames out.

For every new connection libzmq sends one request to the handler: the domain of the listening socket, the mechanism
and the credentials. With CURVE the credentials are the client's 32-byte public key, and libzmq has already checked
that the client holds the secret. The answer is 200 with a User-Id (the key in hex, which libzmq then attaches to every
frame of that connection) or 400. Whatever is not a CURVE request of a known domain with an admitted key gets 400 or,
where it is not a request at all, nothing; libzmq lets nobody in without a 200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
KEY = 32


def answer(request: Sequence[bytes], admit: Callable[[bytes, bytes], bool]) -> list[bytes] | None:
    """The reply to one request as a ROUTER received it, or None if it is none.

    Args:
        request: routing id, empty, version, request id, domain, address, identity, mechanism, credentials...
        admit: whether (domain, key) may come in.
    """
    if len(request) < 8 or request[1] or request[2] != VERSION:
        return None
    route, empty, version, request_id, domain, _address, _identity, mechanism, *credentials = request
    if (
        mechanism == b"CURVE"
        and len(credentials) == 1
        and len(credentials[0]) == KEY
        and admit(domain, credentials[0])
    ):
        return [route, empty, version, request_id, b"200", b"OK", credentials[0].hex().encode(), b""]
    return [route, empty, version, request_id, b"400", b"not a member", b"", b""]


def key_of(user_id: str) -> bytes | None:
    """The hop key behind a User-Id that `answer` gave, or None."""
    try:
        key = bytes.fromhex(user_id)
    except ValueError:
        return None
    return key if len(key) == KEY else None


__all__ = ["ENDPOINT", "answer", "key_of"]
