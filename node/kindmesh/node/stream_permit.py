"""The permit of a stream that this node opens: the coordinator gets it, and is not believed about what it is for.

The coordinator chooses the device and Medulla permits the stream; this node looks before it says a word to that device
whether Medulla signed for exactly what the program here asked: that operation with those values, on a member (the one
that was named, if one was), for this opener, and for no more than was wanted. So a coordinator that is no longer its
own master can refuse a stream, and cannot lead a microphone to another place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.node.forwarding import Forwarding
from kindmesh.node.gate import open_signed_permit
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import InvalidInput, Malformed, PermitMismatch
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.permit import check_permit
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.stream_spec import StreamBounds, StreamSpec


class Permitted(msgspec.Struct, frozen=True):
    """What is needed to open a stream: whom to ask, with which permit, and what will flow."""

    stream_id: bytes
    target: bytes
    device_name: str
    operation: str
    args: bytes
    permit: Signed
    spec: StreamSpec
    bounds: StreamBounds


async def ask_permit(
    forwarding: Forwarding, trust: Trust, clock: Clock, params: dict[str, Any], emit: Callable[[Any], None]
) -> Permitted:
    """From the coordinator, for a stream that this node opens.

    Raises:
        PeerUnreachable, Malformed, what the coordinator and Medulla say, and as `check_permitted`.
    """
    answer = await forwarding.ask("stream.permit", params, emit)
    if not isinstance(answer, dict) or not isinstance(answer.get("permitted"), bytes):
        raise Malformed("the coordinator answered something else than a permit")
    permitted = decode(Permitted, answer["permitted"], limit=BODY_MAX)
    check_permitted(permitted, params, trust, clock.now_ms())
    return permitted


def check_permitted(permitted: Permitted, params: dict[str, Any], trust: Trust, now_ms: int) -> None:
    """Refuse what is not what this node asked for with `params` (see `stream.open`).

    Raises:
        UnknownMember, Revoked: the device is no member.
        PermitRefused and its kin: Medulla did not permit this stream; the field is named.
    """
    certificate = trust.membership.get(permitted.target)
    permit = open_signed_permit(permitted.permit, trust.membership.anchors)
    check_permit(
        permit,
        mesh=trust.mesh,
        target=certificate.subject,
        operation=str(params.get("operation", "")),
        # Which effects it has is for the device that acts to know.
        effects=0,
        job_id=permitted.stream_id,
        args=permitted.args,
        epoch=1,
        policy_version=trust.policy.version,
        now_ms=now_ms,
        kind="session",
    )
    values = decode_value(permitted.args)
    asked = params.get("args") or {}
    if not isinstance(values, dict) or any(values.get(name) != value for name, value in asked.items()):
        raise PermitMismatch("the permit is for other values than were asked for", field="args")
    wanted = params.get("target", "")
    if wanted and not _is_meant(certificate, wanted):
        raise PermitMismatch(f"the permit is for {certificate.name}, not for {wanted[:64]}", field="target")
    if permit.operation != permitted.operation or permit.readers != (trust.certificate.subject,):
        raise PermitMismatch("the permit lets another device open this stream", field="readers")
    for most, bound, field in (
        (permit.duration_ms, params.get("max_ms", 0), "max_ms"),
        (permit.stream_bytes, params.get("max_bytes", 0), "max_bytes"),
    ):
        if bound and most > bound:
            raise PermitMismatch("the permit allows more than was asked for", field=field)


def _is_meant(certificate: Certificate, wanted: str) -> bool:
    if certificate.name.lower() == wanted.strip().lower():
        return True
    try:
        return parse_id(wanted) == certificate.subject
    except InvalidInput:
        return False


__all__ = ["Permitted", "ask_permit", "check_permitted"]
