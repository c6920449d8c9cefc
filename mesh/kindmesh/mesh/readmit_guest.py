"""The device's side of coming back: one conversation at the new coordinator's door, whose papers are checked.

The coordinator's certificate came from papers that this device's own mesh id vouches for; its CURVE key is pinned by
the connection. Nothing is written here: the caller stores what comes out.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kindmesh.mesh.clock import Clock
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import EnrolChallenge, EnrolGranted, EnrolPending, EnrolRefused
from kindmesh.protocol.errors import EnrolmentRefused, NeedsApproval, PeerUnreachable, error_from_wire
from kindmesh.protocol.readmit import (
    READMIT,
    READMIT_VERSION,
    Readmission,
    ReadmitHello,
    ReadmitMessage,
    ReadmitProof,
    check_readmitted,
    decode_readmit,
    sign_readmission,
)

ANSWER_S: Final = 5.0
"""How long the coordinator may take for each step."""


async def come_back(
    address: str,
    coordinator: Certificate,
    anchors_version: int,
    *,
    trust: Trust,
    identity: Identity,
    clock: Clock,
    transport: Transport,
    scheme: str = "tcp://",
) -> EnrolGranted:
    """Ask the coordinator whose door is at `address` (`host:port`) to be let in again; its papers, checked.

    Raises:
        NeedsApproval: the owner has to be asked; come again.
        Revoked: this device was removed. EnrolmentRefused, CertificateRefused, Replayed, Busy: why not.
        PeerUnreachable, TransportError: nobody there, or no answer in time.
        Malformed: the answer is none.
    """
    inbox: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=8)
    up = asyncio.Event()

    def receive(_hop: bytes, frames: list[bytes]) -> None:
        if len(frames) == 2 and frames[0] == READMIT and not inbox.full():
            inbox.put_nowait(frames[1])

    def watch(connected: bool) -> None:
        if connected:
            up.set()
        elif up.is_set() and not inbox.full():
            inbox.put_nowait(None)

    async def answer() -> ReadmitMessage:
        data = await inbox.get()
        if data is None:
            raise PeerUnreachable(f"the coordinator at {address} hung up")
        message = decode_readmit(data)
        if isinstance(message, EnrolRefused):
            raise error_from_wire(message.error)
        return message

    channel = transport.dial(scheme + address, coordinator.curve_pub, identity.curve)
    try:
        async with asyncio.timeout(3 * ANSWER_S):
            await channel.start(receive, watch)
            await up.wait()
            hello = ReadmitHello(READMIT_VERSION, identity.device_id, identity.curve.public)
            channel.send([READMIT, encode(hello)])
            challenge = await answer()
            if not isinstance(challenge, EnrolChallenge):
                raise EnrolmentRefused("the coordinator broke the rules of coming back")
            wish = Readmission(
                mesh=trust.mesh,
                subject=identity.device_id,
                serial=trust.certificate.serial,
                anchors_version=anchors_version,
                nonce=challenge.nonce,
                issued_ms=clock.now_ms(),
            )
            proof = ReadmitProof(sign_readmission(wish, identity.signing), trust.credentials)
            channel.send([READMIT, encode(proof)])
            granted = await answer()
    except TimeoutError as error:
        raise PeerUnreachable(f"the coordinator at {address} does not answer") from error
    finally:
        await channel.close()
    if isinstance(granted, EnrolPending):
        raise NeedsApproval("the owner has to let this device back in", hint="Answer at the coordinator.")
    if not isinstance(granted, EnrolGranted):
        raise EnrolmentRefused("the coordinator broke the rules of coming back")
    check_readmitted(granted, trust.certificate, coordinator)
    return granted


__all__ = ["come_back"]
