"""Identities that two devices use: held to reading and notifying at once, until the owner chooses.

The hub notices (see `mesh.boot_machine`), Medulla holds (and keeps holding over restarts), people are told by `doctor`
here and on the device itself, and `kindmesh review` asks. Removing the member ends it; the owner's signed `Release`
says that it is one device after all, and the start that is confirmed next is the one that counts.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.decisions import Decision
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.errors import KindmeshError, UnknownMember
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.release import open_release
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.coordinator.copies")

RETRY_S: Final = 5.0


class Copies:
    """For one hub; `run` passes on for ever what Medulla has not heard yet."""

    def __init__(self, hub: Hub, trust: Trust, medulla: MedullaClient) -> None:
        self._hub = hub
        self._trust = trust
        self._medulla = medulla
        self._told: set[bytes] = set()
        self._news = asyncio.Event()
        hub.on_copy(lambda _: self._news.set())

    async def run(self) -> None:
        """Have every copied member held, also those found before a restart; try again when Medulla is away."""
        while True:
            self._news.clear()
            try:
                for member in self._hub.cloned - self._told:
                    await self._hold(member)
                await self._news.wait()
            except KindmeshError as error:
                log.warning("a copied identity could not be held yet", extra={"code": error.code})
                await asyncio.sleep(RETRY_S)

    async def _hold(self, member: bytes) -> None:
        try:
            await self._medulla.hold(member)
        except UnknownMember:
            # Removed meanwhile: nothing is permitted to it any more, held or not.
            log.info("a copied identity is no member any more", extra={"peer": member.hex()[:8]})
        self._told.add(member)

    async def waiting(self, everything: bool) -> list[Decision]:
        """A source of `Decisions`."""
        found = []
        for member in self._trust.membership.members():
            if member.subject not in self._hub.cloned:
                continue
            name, device = printable(member.name), format_id(member.subject)
            found.append(
                {
                    "kind": "clone",
                    "id": f"{device}/clone",
                    "title": f"Two devices use the identity of {name}",
                    "lines": [
                        f"device      {name} ({device})",
                        "noticed     two starts of it were alive at the same time",
                        "meanwhile   both may only read and notify",
                    ],
                    "device": device,
                    "device_name": member.name,
                }
            )
        return found

    async def release(self, signed: Signed) -> dict[str, Any]:
        """The owner says that it is one device.

        Raises:
            BadSignature, CertificateRefused: no owner signed it. Replayed: signed before it was held.
            UnknownMember, Revoked: no member. NotRunning, PeerUnreachable: Medulla is away; ask again.
        """
        opened = open_release(signed, self._trust.membership.anchors.owner_pub(signed.author))
        member = self._trust.membership.get(opened.subject)
        await self._medulla.release(signed)
        self._told.discard(member.subject)
        self._hub.release(member.subject)
        return {"released": True, "name": member.name, "device": format_id(member.subject)}


__all__ = ["Copies"]
