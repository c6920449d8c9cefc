"""Who belongs to the household and what devices may do: passing on what the owner has decided and signed.

    pair.open .challenge .waiting .answer     letting a new device in; this machine's own users only
    readmit.waiting .answer                   letting a device of before in again, after a recovery
    revoke release rotate raise.answer        a member is removed, is one device after all, gets a key, or more to do
    policy policy.set                         what the household allows

What carries the owner's signature may be brought by anybody. Nothing is decided here: Medulla judges each of them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.copies import Copies
from kindmesh.coordinator.decisions import RaiseService
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.pairing import PAIR_DEFAULT_MS, Pairing, WindowWish
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.readmission import Returning
from kindmesh.coordinator.renewals import RenewalService
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.manifest import parse_effects
from kindmesh.protocol.policy import Removal
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.signed import signed_from_bytes

TOLD_WITHIN_S: Final = 2.0
"""How long `revoke` waits for the devices to say that they know; the removal itself counts at once."""


class TrustDesk:
    """See the module; `device` is this one."""

    def __init__(
        self,
        *,
        heart: Heart,
        device: bytes,
        trust: Trust,
        trust_service: TrustService,
        pairing: Pairing,
        returning: Returning,
        medulla: MedullaClient,
        people: PeopleDesk,
        copies: Copies,
        renewals: RenewalService,
        raises: RaiseService,
    ) -> None:
        self._heart = heart
        self._device = device
        self._trust = trust
        self._trust_service = trust_service
        self._pairing = pairing
        self._returning = returning
        self._medulla = medulla
        self._people = people
        self._copies = copies
        self._renewals = renewals
        self._raises = raises

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {
            "pair.open": self._pair_open,
            "pair.answer": self._pair_answer,
            "pair.challenge": self._pair_challenge,
            "pair.waiting": self._pair_waiting,
            "readmit.waiting": self._readmit_waiting,
            "readmit.answer": self._readmit_answer,
            "release": self._release,
            "revoke": self._revoke,
            "rotate": self._rotate,
            "raise.answer": self._raise_answer,
            "policy.set": self._policy_set,
            "policy": self._policy,
        }

    async def _pair_open(self, params: Params, emit: Emit, who: Principal) -> Any:
        wish = WindowWish(
            ttl_ms=params.number("ttl_ms", PAIR_DEFAULT_MS),
            role=params.text("role", "node"),
            typed=params.flag("typed"),
            label=params.text("label", ""),
            at=params.text("at", ""),
        )
        return await self._pairing.open(wish, emit)

    async def _pair_challenge(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._pairing.challenge(params.text("knock"), params.data("nonce"))
        return {}

    async def _pair_answer(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._pairing.answer(params.text("knock"), params.data("grant", b"") or None)

    async def _pair_waiting(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._pairing.waiting()

    async def _readmit_waiting(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._returning.waiting()

    async def _readmit_answer(self, params: Params, emit: Emit, who: Principal) -> Any:
        device = parse_id(params.text("device"))
        return await self._returning.answer(device, params.data("grant", b"") or None)

    async def _release(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._copies.release(signed_from_bytes(params.data("release")))

    async def _revoke(self, params: Params, emit: Emit, who: Principal) -> Any:
        begun = time.monotonic()
        removal = signed_from_bytes(params.data("removal"))
        await self._people.ready()
        self._trust_service.take(await self._medulla.revoke(removal))
        self._people.removed(decode(Removal, removal.payload).subject)
        told, missed = await self._trust_service.heard_by_all(TOLD_WITHIN_S)
        names = {member.subject: member.name for member in self._trust.membership.members()}
        return {
            "ok": True,
            "told": sorted(names[one] for one in told if one in names),
            "not_reached": sorted(names[one] for one in missed if one in names),
            "within_ms": int((time.monotonic() - begun) * 1000),
        }

    async def _rotate(self, params: Params, emit: Emit, who: Principal) -> Any:
        text = params.text("device", "")
        device = self._heart.devices.resolve(text) if text else self._device
        if device == self._device:
            away = [
                node["name"]
                for node in self._heart.devices.nodes()
                if node["role"] == "node" and not node["connected"]
            ]
            rotated = await self._renewals.rotate_own()
            return {
                "device": format_id(device),
                "name": self._trust.certificate.name,
                "rotated": rotated,
                "away": away,
            }
        rotated = await self._renewals.rotate_device(device)
        return {
            "device": format_id(device),
            "name": self._heart.devices.name(device),
            "rotated": rotated,
            "away": [],
        }

    async def _policy_set(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._trust_service.take(await self._medulla.install_policy(signed_from_bytes(params.data("policy"))))
        return {"ok": True, "version": self._trust.policy.version}

    async def _policy(self, params: Params, emit: Emit, who: Principal) -> Any:
        return {"version": self._trust.policy.version, "policy": encode(self._trust.policy)}

    async def _raise_answer(self, params: Params, emit: Emit, who: Principal) -> Any:
        grant = params.data("grant", b"")
        if grant:
            return await self._raises.grant(signed_from_bytes(grant))
        effects = int(parse_effects(params.words("effects")))
        return await self._raises.decline(parse_id(params.text("device")), params.text("capability"), effects)


__all__ = ["TrustDesk"]
