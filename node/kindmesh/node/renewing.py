"""This device's certificate, renewed through the coordinator: RENEW goes up, RENEWED comes back, nobody notices.

What decides is `kindmesh.mesh.renewal_machine`; the coordinator only passes on to Medulla. The answer is taken over
like any newer trust, on the disk first. When the CURVE key changed, the link is dialled anew with it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.renewal import Renewals, happens
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import SourceMismatch
from kindmesh.protocol.messages import MessageType, Renew, Renewed, SessionType, TrustUpdate
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.node.renewing")

ROTATE_S: Final = 30.0


class Renewing:
    """For one uplink; `tick` once a heartbeat. `folder` is the identity's."""

    def __init__(
        self,
        *,
        uplink: Uplink,
        identity: Identity,
        folder: Path,
        trust: Trust,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Raises: StoreDamaged, InsecurePermissions, StoreError: the next key."""
        self._uplink = uplink
        self._identity = identity
        self._trust = trust
        self._asked = b""
        self.renewals = Renewals(
            identity=identity, folder=folder, trust=trust, clock=clock, entropy=entropy, ask=self._ask,
            swapped=uplink.redial,
        )  # fmt: skip
        uplink.on(MessageType.RENEWED, self._on_renewed)
        uplink.on_session(SessionType.ROTATE, self._on_rotate)
        uplink.on_peer(self._on_peer)
        uplink.on_trust(self.renewals.trust_changed)

    async def rotate(self) -> bool:
        """A new CURVE key now; False if that takes longer than `ROTATE_S` (it goes on all the same)."""
        before = self._identity.curve.public
        self.renewals.want_rotation()
        return await happens(lambda: self._identity.curve.public != before, ROTATE_S)

    def tick(self) -> None:
        """Time passed."""
        self.renewals.tick()

    def _on_rotate(self, peer: bytes, ref: int, body: Any) -> None:
        if peer == self._trust.coordinator.subject:
            self.renewals.want_rotation()

    def _on_peer(self, peer: bytes, up: bool) -> None:
        self.renewals.link(up)

    def _ask(self, renewal: Signed) -> None:
        self._asked = self._uplink.post(self._trust.coordinator.subject, MessageType.RENEW, Renew(renewal))

    def _on_renewed(self, envelope: Envelope, body: Any) -> None:
        answer: Renewed = body
        if envelope.header.src != self._trust.coordinator.subject:
            raise SourceMismatch("only the coordinator brings a renewed certificate")
        serial = self._trust.certificate.serial
        if answer.certificate is not None:
            self._uplink.take_trust(TrustUpdate(certificate=answer.certificate))
        elif answer.error is not None:
            log.warning("the certificate was not renewed", extra={"code": answer.error.code})
        if envelope.header.in_reply_to == self._asked and self._trust.certificate.serial == serial:
            self.renewals.refused()


__all__ = ["Renewing"]
