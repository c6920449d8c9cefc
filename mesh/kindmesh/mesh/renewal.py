"""Keeps one identity's certificate and CURVE key fresh: the disk and the signature behind `renewal_machine`.

Nobody has to do anything: `tick` once a heartbeat, `link` when whoever takes renewals comes or goes, `trust_changed`
when papers came. A certificate counts here only when it is on the disk. `ask` sends a signed renewal on (its answer
comes as changed trust, or as `refused`); `swapped` is told when the identity has its new CURVE key, to dial or listen.

Whoever holds other keys than this identity's (a person's, on a device they use) gives each a `Renewals` of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.identity import Identity, make_next_curve, next_curve, take_next_curve
from kindmesh.mesh.renewal_machine import (
    Ask,
    Event,
    Held,
    Instruction,
    Keys,
    Linked,
    MakeKey,
    Phase,
    Refused,
    RenewalMachine,
    RotateWanted,
    Settled,
    Swap,
    Tick,
)
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import CertificateState, Renewal, certificate_state, sign_renewal
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import KindmeshError, StoreError
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.mesh.renewal")

LOOK_S: Final = 0.1


class Renewals:
    """See the module. `settles`: the new key is used only after `settled` (a coordinator waits for its devices)."""

    def __init__(
        self,
        *,
        identity: Identity,
        folder: Path,
        trust: Trust,
        clock: Clock,
        entropy: Entropy,
        ask: Callable[[Signed], None],
        swapped: Callable[[], None],
        rotates: bool = True,
        settles: bool = False,
    ) -> None:
        """`folder` is the identity's; what a process that was killed left there goes on.

        Raises:
            StoreDamaged, InsecurePermissions, StoreError: the next key.
        """
        self._identity = identity
        self._folder = folder
        self._trust = trust
        self._clock = clock
        self._entropy = entropy
        self._ask = ask
        self._swapped = swapped
        self._machine = RenewalMachine(trust.certificate, self._keys(), rotates=rotates, settles=settles)
        if not settles and self.phase is Phase.SETTLING:
            # Before anybody dials: the certificate names the next key already.
            self._take_key()

    def _keys(self) -> Keys:
        following = next_curve(self._folder)
        return Keys(self._identity.curve.public, following.public if following is not None else b"")

    @property
    def phase(self) -> Phase:
        """What it is doing now."""
        return self._machine.phase

    @property
    def due_ms(self) -> int:
        """When the certificate will be renewed, UTC ms."""
        return self._machine.due_ms

    def state(self) -> CertificateState:
        """Whether this identity's certificate is valid now."""
        return certificate_state(self._trust.certificate, self._clock.now_ms())

    def tick(self) -> None:
        """Time passed."""
        self._hold()
        self._handle(Tick())

    def link(self, up: bool) -> None:
        """Whoever takes renewals can be reached, or cannot."""
        self._handle(Linked(up))

    def want_rotation(self) -> None:
        """A new CURVE key now."""
        self._handle(RotateWanted())

    def trust_changed(self) -> None:
        """The trust may hold a new certificate of this identity."""
        self._hold()

    def refused(self) -> None:
        """The last renewal came to nothing."""
        self._handle(Refused())

    def settled(self) -> None:
        """Everybody in reach knows the newest certificate."""
        self._handle(Settled())

    def _hold(self) -> None:
        if self._trust.saved:
            self._handle(Held(self._trust.certificate))

    def _handle(self, event: Event) -> None:
        jitter = int.from_bytes(self._entropy.token(2), "big") / 65_536
        for step in self._machine.handle(event, self._clock.now_ms(), jitter):
            self._do(step)

    def _do(self, step: Instruction) -> None:
        try:
            if isinstance(step, MakeKey):
                make_next_curve(self._folder, self._entropy)
                self._handle(self._keys())
            elif isinstance(step, Swap):
                self._take_key()
                self._handle(self._keys())
                self._swapped()
            else:
                self._send(step)
        except StoreError as error:
            log.warning("a new key could not be written", extra={"code": error.code})
            self.refused()

    def _take_key(self) -> None:
        following = next_curve(self._folder)
        if following is not None:
            take_next_curve(self._folder)
            self._identity.curve = CurveKey(following.secret)
            log.info("the key of this device's connections was changed")

    def _send(self, step: Ask) -> None:
        renewal = Renewal(
            self._trust.mesh, self._identity.device_id, step.serial, self._clock.now_ms(), step.curve_pub
        )
        try:
            self._ask(sign_renewal(renewal, self._identity.signing))
        except KindmeshError as error:
            log.info("renewal not sent yet", extra={"code": error.code})
            self.refused()

    def as_dict(self) -> dict[str, Any]:
        """For status and doctor: `{state, phase, expires_ms, due_ms}`."""
        return {
            "state": self.state(),
            "phase": str(self.phase),
            "expires_ms": self._trust.certificate.expires_ms,
            "due_ms": self.due_ms,
        }


async def happens(wanted: Callable[[], bool], within_s: float) -> bool:
    """Wait until `wanted()` is true; False if that takes longer."""
    for _ in range(int(within_s / LOOK_S)):
        if wanted():
            return True
        await asyncio.sleep(LOOK_S)
    return wanted()


__all__ = ["Renewals", "happens"]
