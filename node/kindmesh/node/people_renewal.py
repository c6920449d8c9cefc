"""Certificates of people with a key on this device, renewed while nobody looks.

Looked at once an hour, and when the node starts: past the middle of its life a certificate is renewed through the
coordinator, with the person's own signature. A key that is sealed under a passphrase cannot sign here; its person's
next command renews it (`cli.as_person`). What fails is tried again an hour later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.mesh.clock import Clock
from kindmesh.mesh.people_keys import PeopleKeys, PersonKeyFile
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import Certificate, Renewal, open_certificate, sign_renewal
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import CertificateRefused, KindmeshError
from kindmesh.protocol.signed import signed_from_bytes, signed_to_bytes

log = logging.getLogger("kindmesh.node.people")

LOOK_S: Final = 3_600.0
Ask = Callable[[str, Any, Callable[[Any], None]], Awaitable[Any]]


class PeopleRenewal:
    """`ask` is `Forwarding.ask`; `tick` once a heartbeat, on the loop."""

    def __init__(
        self, root: Path, trust: Trust, clock: Clock, ask: Ask, connected: Callable[[], bool]
    ) -> None:
        """`root`: the state folder."""
        self._keys = PeopleKeys(root)
        self._trust = trust
        self._clock = clock
        self._ask = ask
        self._connected = connected
        self._looked: float | None = None
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Time passed."""
        now = self._clock.monotonic()
        waits = self._looked is not None and now - self._looked < LOOK_S
        if waits or not self._connected() or (self._task is not None and not self._task.done()):
            return
        self._looked = now
        if self._keys.folder.is_dir():
            self._task = asyncio.get_running_loop().create_task(self.look(), name="people")

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Renew what is past the middle of its life."""
        try:
            found = self._keys.certified(self._trust.mesh)
        except KindmeshError as error:
            log.error("the keys of people here cannot be read", extra={"code": error.code})
            return
        for file in found:
            certificate = file.certified
            if certificate is None or file.sealed:
                continue
            if self._clock.now_ms() < (certificate.not_before_ms + certificate.expires_ms) // 2:
                continue
            try:
                await self._renew(file, certificate)
            except KindmeshError as error:
                log.warning("a person's certificate was not renewed", extra={"code": error.code})

    async def _renew(self, file: PersonKeyFile, certificate: Certificate) -> None:
        renewal = Renewal(file.mesh, certificate.subject, certificate.serial, self._clock.now_ms())
        signed = sign_renewal(renewal, SigningKey(file.seed))
        answer = await self._ask("people.renew", {"renewal": signed_to_bytes(signed)}, lambda event: None)
        given = answer.get("certificate") if isinstance(answer, dict) else None
        if not isinstance(given, bytes):
            raise CertificateRefused("the coordinator answered without a certificate")
        anchors = self._trust.membership.anchors
        renewed = signed_from_bytes(given)
        found = open_certificate(renewed, anchors.issuer_pub(renewed.author), anchors.mesh)
        if found.ed_pub != file.public or found.kind != "person":
            raise CertificateRefused("the certificate is for another key")
        if found.serial > certificate.serial:
            self._keys.write(msgspec.structs.replace(file, certificate=renewed, name=found.name))


__all__ = ["LOOK_S", "PeopleRenewal"]
