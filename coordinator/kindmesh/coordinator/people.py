"""People at the coordinator: who asks, what they may look at, and passing on what the owner and they have signed.

`identify` turns a request into a principal. With a person's signature (`proof`) it is that person, or what acts for
them, and the parameters are those that were signed; without, it is the device. The coordinator checks the signature
itself, because lists and session calls never reach Medulla; what needs a permit Medulla checks again, on its own. A
proof serves once here, too. Nothing in this module can widen anything: invitations, terms and delegations carry their
own signatures, and Medulla judges them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import reduce
from typing import Any, Final

import msgspec

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.brain.medulla import people_messages as m
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.messages import Issued, Renew
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people_documents import people_document
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import check_validity
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import AccessRefused, Busy, CertificateRefused, Replayed, Revoked, UnknownMember
from kindmesh.protocol.ids import format_id, parse_id, parse_time_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, ROSTER_MAX
from kindmesh.protocol.manifest import Effect, Operation, parse_effects
from kindmesh.protocol.people import (
    Accepted,
    PersonRequest,
    check_request_time,
    open_request,
    read_acceptance,
)
from kindmesh.protocol.principal import OWNER, Principal, device_principal, parse_acting, person_principal
from kindmesh.protocol.roles import NOTHING, Rights, missing, narrow
from kindmesh.protocol.signed import signed_from_bytes, signed_to_bytes

SEEN_MAX: Final = 8_192
"""Requests of the last minutes that are remembered, so that none serves twice."""
LOOK: Final = "device.list"
"""Looking at the household's devices is judged like this operation."""


class PeopleDesk:
    """See the module. `news` tells whoever watches; `leave` ends what a person who was removed had under way."""

    def __init__(
        self,
        trust: Trust,
        trust_service: TrustService,
        medulla: MedullaClient,
        clock: Clock,
        *,
        news: Callable[[dict[str, Any]], None],
        leave: Callable[[Principal], None],
    ) -> None:
        self._trust = trust
        self._trust_service = trust_service
        self._medulla = medulla
        self._clock = clock
        self._news = news
        self._leave = [leave]
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._known: m.People | None = None
        self._at: dict[bytes, set[bytes]] = {}

    def on_leave(self, leave: Callable[[Principal], None]) -> None:
        """Also tell `leave` of a person who was removed."""
        self._leave.append(leave)

    # ------------------------------------------------------------------------------------------------- who asks

    async def ready(self) -> None:
        """Know who there is; asks Medulla the first time only.

        Raises:
            NotRunning, PeerUnreachable: Medulla is not there.
        """
        if self._known is None:
            self._learn(await self._medulla.call("people", m.PeopleWanted(), m.People))

    def identify(self, method: str, params: Params, device: bytes) -> tuple[Params, Principal]:
        """Who asks, and for what. `device` (20 bytes) brought the request; empty: this machine's own socket.

        Raises:
            AuthenticationError and its kin: the person's signature does not fit, is old, or was used.
            InvalidInput: what acts is not named as it should be. AccessRefused: a device cannot act for somebody.
        """
        proof = params.data("proof", b"")
        if not proof:
            return params, self._unproven(params, device)
        signed = signed_from_bytes(proof)
        try:
            certificate = self._trust.membership.get(signed.author)
        except (Revoked, UnknownMember) as error:
            hint = "The owner can invite this person anew: kindmesh people invite."
            raise type(error)(error.message, hint=hint) from error
        if certificate.kind != "person" or not certificate.person:
            raise CertificateRefused("this key is no person's")
        now_ms = self._clock.now_ms()
        check_validity(certificate, now_ms)
        # On this machine's own socket the person's signature itself says which device it is.
        where = device or decode(PersonRequest, signed.payload, limit=ROSTER_MAX).device
        asked = open_request(signed, certificate.ed_pub, mesh=self._trust.mesh, method=method, device=where)
        check_request_time(asked, now_ms)
        self._once(asked, now_ms)
        sources = {"sources": params.values["sources"]} if "sources" in params.values else {}
        told = Params({**Params(decode_value(asked.params, limit=ROSTER_MAX)).values, **sources})
        told.proof = signed
        person = person_principal(certificate.person, certificate.name, where)
        acting = told.text("acting", "")
        if not acting:
            return told, person
        kind, id_ = parse_acting(acting)
        return told, Principal(kind, id_, person.name, person.id, where)

    def _unproven(self, params: Params, device: bytes) -> Principal:
        acting = params.text("acting", "")
        if not acting:
            return device_principal(device) if device else OWNER
        if device:
            raise AccessRefused(
                "only a person can have something act for them here",
                field="acting",
                hint="Say who: --as NAME.",
            )
        kind, id_ = parse_acting(acting)
        whom = params.text("acting_for", "")
        return Principal(kind, id_, acting_for=format_id(parse_id(whom)) if whom else "owner")

    def _once(self, asked: PersonRequest, now_ms: int) -> None:
        if asked.request_id in self._seen:
            raise Replayed("this person's request was used already")
        while self._seen and next(iter(self._seen.values())) < now_ms - 2 * CLOCK_SKEW_MS:
            self._seen.popitem(last=False)
        if len(self._seen) >= SEEN_MAX:
            raise Busy("people ask too much at once", hint="Wait a few minutes.")
        self._seen[asked.request_id] = now_ms

    # ------------------------------------------------------------------------------------- what they may look at

    def rights(self, who: Principal) -> Rights | None:
        """What who asks may do at most, as far as the coordinator knows; None: unbounded."""
        if who.kind == "owner":
            return None
        if who.kind == "device":
            persons = self._at.get(who.device)
            return reduce(narrow, [self._person(person) for person in sorted(persons)]) if persons else None
        if who.kind == "person":
            return self._person(parse_id(who.id))
        whom = b"" if who.acting_for == "owner" else parse_id(who.acting_for)
        delegated = self._delegated(who, whom)
        return narrow(delegated, self._person(whom)) if whom else delegated

    def _person(self, person: bytes) -> Rights:
        now_ms = self._clock.now_ms()
        for known in self._known.persons if self._known else ():
            role = self._trust.policy.role(known.terms.role)
            ended = bool(known.terms.until_ms) and now_ms > known.terms.until_ms
            if known.terms.person == person and role is not None and not ended:
                return narrow(role.rights, known.terms.rights)
        return NOTHING

    def _delegated(self, who: Principal, whom: bytes) -> Rights:
        for found in self._known.delegations if self._known else ():
            given = found.delegation
            if (given.kind, given.acting_id, given.person) == (who.kind, who.id, whom):
                return given.rights if self._clock.now_ms() <= given.expires_ms else NOTHING
        return NOTHING

    def check_look(self, who: Principal) -> None:
        """Refuse who may not see the devices of the household.

        Raises:
            AccessRefused.
        """
        rights = self.rights(who)
        if rights is not None and missing(
            rights, LOOK, int(Effect.READ), ("device",), rights.purposes[0] if rights.purposes else ""
        ):
            raise AccessRefused(
                "this is not for your role", hint="The owner can change that: kindmesh people role."
            )

    def check_call(self, who: Principal, operation: Operation, purpose: str) -> None:
        """Refuse a session call, which needs no permit, to who may not do it.

        Raises:
            AccessRefused: names what is missing.
        """
        rights = self.rights(who)
        if rights is None:
            return
        lacking = missing(rights, operation.name, operation.effects, operation.data_classes, purpose)
        if lacking:
            raise AccessRefused(f"who asks was not given: {'; '.join(lacking)}", field="operation")

    def visible(self, who: Principal, offers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of what the devices offer, what who asks could use at all."""
        rights = self.rights(who)
        if rights is None:
            return offers
        bare = msgspec.structs.replace(rights, effects=255, data_classes=("*",), purposes=("*",))
        found = []
        for offer in offers:
            usable = [one for one in offer["operations"] if not missing(bare, one["name"], 0, (), "")]
            if usable:
                found.append({**offer, "operations": usable})
        return found

    def may_answer(self, who: Principal, waiting: dict[str, Any]) -> bool:
        """Whether a person's role lets them answer a question; Medulla decides again when they do."""
        if who.kind != "person":
            return who.kind == "owner"
        effects = int(parse_effects(waiting["effects"]))
        for known in self._known.persons if self._known else ():
            role = self._trust.policy.role(known.terms.role)
            if format_id(known.terms.person) == who.id and role is not None:
                return not effects & ~(role.approves & known.terms.effects)
        return False

    def role(self, who: Principal) -> str:
        """The role of a person, or empty."""
        for known in self._known.persons if self._known else ():
            ended = bool(known.terms.until_ms) and self._clock.now_ms() > known.terms.until_ms
            if who.kind == "person" and format_id(known.terms.person) == who.id and not ended:
                return known.terms.role
        return ""

    # --------------------------------------------------------------------------------------------- passing on

    def _learn(self, people: m.People) -> m.People:
        self._known = people
        self._at = {}
        for person in people.persons:
            for key in person.keys:
                self._at.setdefault(key.device, set()).add(person.terms.person)
        return people

    async def _changed(self, method: str, params: msgspec.Struct) -> dict[str, Any]:
        people = self._learn(await self._medulla.call(method, params, m.People))
        await self._trust_service.refresh()
        return people_document(people, self._trust, self._clock.now_ms())

    async def people(self) -> dict[str, Any]:
        """All people, invitations and delegations, as Medulla knows them."""
        found = self._learn(await self._medulla.call("people", m.PeopleWanted(), m.People))
        return people_document(found, self._trust, self._clock.now_ms())

    async def invite(self, params: Params) -> dict[str, Any]:
        """Pass on an invitation that the owner signed."""
        return await self._changed("invite", m.Invite(signed_from_bytes(params.data("terms"))))

    async def withdraw(self, params: Params) -> dict[str, Any]:
        """Make an invitation void."""
        return await self._changed("uninvite", m.Uninvite(parse_time_id(params.text("invitation"))))

    async def set_terms(self, params: Params) -> dict[str, Any]:
        """Pass on a person's newer terms that the owner signed."""
        return await self._changed("terms", m.SetTerms(signed_from_bytes(params.data("terms"))))

    async def delegate(self, params: Params) -> dict[str, Any]:
        """Pass on a delegation that a person, or the owner, signed."""
        return await self._changed("delegate", m.Delegate(signed_from_bytes(params.data("delegation"))))

    async def undelegate(self, params: Params, who: Principal) -> dict[str, Any]:
        """Make a delegation void: of one's own, or by the owner any.

        Raises:
            AccessRefused: another person's.
        """
        wanted = parse_time_id(params.text("delegation"))
        await self.people()
        mine = [
            found.delegation
            for found in (self._known.delegations if self._known else ())
            if who.kind == "owner" or format_id(found.delegation.person or bytes(20)) == who.id
        ]
        if not any(found.delegation_id == wanted for found in mine):
            raise AccessRefused("you have no such delegation", field="delegation")
        return await self._changed("undelegate", m.Undelegate(wanted))

    async def accept(self, params: Params, who: Principal) -> dict[str, Any]:
        """Have a person's key certified; the owner is told.

        Raises:
            AccessRefused: accepted on another device than the one that brings it.
            KindmeshError: why Medulla refuses it.
        """
        accepted = decode(Accepted, params.data("accepted"), limit=16_384)
        acceptance = read_acceptance(accepted)
        if who.device and acceptance.device != who.device:
            raise AccessRefused("this was accepted on another device", field="accepted")
        known = {member.subject for member in self._trust.membership.members()}
        issued = await self._medulla.call("accept", m.Accept(accepted), Issued)
        self._trust_service.take_roster(issued.roster)
        await self.people()
        certificate = self._trust.membership.get(accepted.acceptance.author)
        if certificate.subject not in known:
            self._news(
                {
                    "event": "person",
                    "what": "accepted",
                    "name": certificate.name,
                    "role": " ".join(certificate.roles),
                    "device": format_id(acceptance.device),
                }
            )
        return {"certificate": signed_to_bytes(issued.certificate)}

    async def renew(self, params: Params) -> dict[str, Any]:
        """Have a person's certificate renewed, with the person's own signature."""
        issued = await self._medulla.call("renew", Renew(signed_from_bytes(params.data("renewal"))), Issued)
        self._trust_service.take_roster(issued.roster)
        return {"certificate": signed_to_bytes(issued.certificate)}

    def removed(self, subject: bytes) -> None:
        """A member or person was removed: what that person had under way ends."""
        for known in self._known.persons if self._known else ():
            if known.terms.person == subject:
                for leave in self._leave:
                    leave(person_principal(subject, known.terms.name))
                self._news({"event": "person", "what": "removed", "name": known.terms.name})
        self._known = None

    def now_ms(self) -> int:
        """The coordinator's time, UTC ms."""
        return self._clock.now_ms()

    # ---------------------------------------------------------------------------------------- as control methods

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {
            "people": self._list,
            "people.invite": _alone(self.invite),
            "people.withdraw": _alone(self.withdraw),
            "people.terms": _alone(self.set_terms),
            "people.accept": lambda params, emit, who: self.accept(params, who),
            "people.renew": _alone(self.renew),
            "delegate": _alone(self.delegate),
            "undelegate": lambda params, emit, who: self.undelegate(params, who),
        }

    async def _list(self, params: Params, emit: Emit, who: Principal) -> Any:
        found = await self.people()
        if who.kind == "owner":
            return found
        own = [one for one in found["people"] if one["person"] == who.person]
        mine = [one for one in found["delegations"] if one["person"] == who.person]
        return {"ok": True, "people": own, "invitations": [], "delegations": mine}


def _alone(do: Callable[[Params], Awaitable[Any]]) -> Method:
    """A method for which it does not matter who brings it: what it takes is signed."""
    return lambda params, emit, who: do(params)


__all__ = ["LOOK", "PeopleDesk"]
