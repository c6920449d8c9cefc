"""What the coordinator knows of each device: what it offers, whether it is there, how it does.

A *seat* is one device's offer of one operation: what placement looks at (`Candidate`) beside the operation itself.
Seats come from adverts, which the devices sign; the last advert of each device is kept in the journal, so that a device
that is away is "gone" and not "unknown". Who is there is decided by `kindmesh.mesh.membership` from heartbeats and
silence, and a device without a live session is not there. Room is learned: a device that says `Busy` is thought to
take one job less, and a little more again with every job that ends well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

from kindmesh.coordinator.heart.placement import Candidate
from kindmesh.mesh.breaker_machine import Begun, Breaker, Released, Rules
from kindmesh.mesh.membership import (
    Announce,
    Expected,
    HeartbeatSeen,
    LinkLost,
    Membership,
    Spoke,
    State,
    Tick,
)
from kindmesh.protocol.certificate import Certificate, CertificateState, certificate_state, check_validity
from kindmesh.protocol.certificate import Membership as Members
from kindmesh.protocol.errors import InvalidInput, KindmeshError, UnknownOperation
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.manifest import HARMLESS, Operation, effect_names, to_json_schema
from kindmesh.protocol.messages.hello import Advert, NodeFacts, Offer

_SMOOTH: Final = 0.2
_LOSS_SMOOTH: Final = 0.1
"""About the last ten heartbeats count."""
BREAKER: Final = Rules(pause_ms=30_000, window_ms=300_000)
"""For each operation on each device."""


class Seat:
    """One device's offer of one operation. `artifacts`: whether its input names any."""

    __slots__ = ("artifacts", "breaker", "candidate", "device", "operation")

    def __init__(self, device: Device, operation: Operation, offer: Offer) -> None:
        self.device = device
        self.operation = operation
        self.breaker = Breaker(BREAKER)
        self.artifacts = any("artifact" in (field.type, field.items) for field in operation.input)
        self.candidate = Candidate(
            device.device_id, device.name, ready=offer.ready, hint=offer.hint, fit=offer.fit,
            resting=offer.resting,
            limit=max(1, operation.limits.max_concurrent),
        )  # fmt: skip

    def took(self, duration_ms: float) -> None:
        """A job ended well here after that long."""
        known = self.candidate.latency_ms
        self.candidate.latency_ms = duration_ms if known is None else known + _SMOOTH * (duration_ms - known)
        device = self.device
        if device.room < device.total:
            device.room += 1.0 / device.room


class Device:
    """One member that is a device. `session` counts its sessions since this process began, `beat` is its last
    heartbeat's number in this one, `loss` the share (0..1) of heartbeats that did not arrive lately; `draining` says
    why it gets no jobs."""

    __slots__ = (
        "advert",
        "beat",
        "connected",
        "device_id",
        "draining",
        "facts",
        "loss",
        "name",
        "room",
        "seats",
        "session",
        "skew_ms",
        "total",
    )

    def __init__(self, device_id: bytes, name: str) -> None:
        self.device_id = device_id
        self.name = name
        self.advert: Advert | None = None
        self.facts: NodeFacts | None = None
        self.connected = False
        self.draining = ""
        self.beat = 0
        self.loss = 0.0
        self.session = 0
        self.skew_ms = 0
        self.total = 0
        self.room = float("inf")
        self.seats: dict[str, Seat] = {}

    def busy(self) -> None:
        """It refused a job for want of room."""
        self.room = float(max(1, self.total - 1))


class Devices:
    """All of them. `members` says who belongs to the mesh, with which name and grants; `own` is this coordinator."""

    def __init__(self, members: Members, own: bytes, now_ms: int) -> None:
        self._members = members
        self._own = own
        self._there = Membership(now_ms)
        self._now_ms = now_ms
        self._devices: dict[bytes, Device] = {}
        self._seats: dict[str, list[Seat]] = {}

    # What is told about them.

    def advertise(self, device_id: bytes, advert: Advert) -> None:
        """Take over what a device offers (signature checked by the caller); an older advert is ignored."""
        device = self._device(device_id)
        known = device.advert
        if known is not None and (advert.boot, advert.version) < (known.boot, known.version):
            return
        device.advert = advert
        kept = device.seats
        device.seats = {}
        for offer in advert.offers:
            for operation in offer.manifest.operations:
                seat = device.seats[operation.name] = Seat(device, operation, offer)
                before = kept.get(operation.name)
                if before is not None:
                    seat.candidate.latency_ms = before.candidate.latency_ms
                    seat.candidate.in_flight = before.candidate.in_flight
                    seat.breaker = before.breaker
        self._index()

    def link(self, device_id: bytes, up: bool, now_ms: int) -> list[Announce]:
        """A session began, or was lost."""
        device = self._device(device_id)
        device.connected = up
        if not up:
            return self._there.handle(LinkLost(device_id), now_ms)
        device.session += 1
        device.beat = 0
        return self._there.handle(Spoke(device_id), now_ms)

    def heard(
        self, device_id: bytes, beat: int, facts: NodeFacts | None, skew_ms: int, now_ms: int
    ) -> list[Announce]:
        """A heartbeat came."""
        device = self._device(device_id)
        device.skew_ms = skew_ms
        if beat > device.beat > 0:
            missed = 1.0 - 1.0 / (beat - device.beat)
            device.loss += _LOSS_SMOOTH * (missed - device.loss)
        device.beat = max(beat, device.beat)
        if facts is not None:
            device.facts = facts
            for seat in device.seats.values():
                candidate = seat.candidate
                candidate.load, candidate.battery = facts.load, facts.battery
                candidate.charging, candidate.temperature_c = facts.charging, facts.temperature_c
                candidate.rtt_ms = facts.rtt_ms
        return self._there.handle(HeartbeatSeen(device_id, device.session, beat), now_ms)

    def tick(self, now_ms: int) -> list[Announce]:
        """Time passed; look who is silent."""
        self._now_ms = now_ms
        return self._there.handle(Tick(), now_ms)

    def occupy(self, device_id: bytes, operation: str, change: int, now_ms: int) -> None:
        """One more (+1) or one less (-1) job of this operation on that device."""
        device = self._device(device_id)
        device.total += change
        seat = device.seats.get(operation)
        if seat is not None:
            seat.candidate.in_flight += change
            seat.breaker.handle(Begun() if change > 0 else Released(), now_ms)

    # What is asked about them.

    def is_here(self, device_id: bytes) -> bool:
        """Whether it has a live session and is not suspected to be gone."""
        device = self._devices.get(device_id)
        return device is not None and device.connected and self._there.state(device_id) is State.ALIVE

    def state(self, device_id: bytes) -> str:
        """What is believed about it: `unknown`, `alive`, `suspect`, `dead`, `left`."""
        return str(self._there.state(device_id))

    def find(self, device_id: bytes) -> Device:
        """What is known of it; a member that never said anything is known by name only."""
        return self._device(device_id)

    def seat(self, device_id: bytes, operation: str) -> Seat | None:
        """That device's offer of the operation."""
        device = self._devices.get(device_id)
        return None if device is None else device.seats.get(operation)

    def names_anything(self) -> bool:
        """Whether any device, here or not, has things that people call by name."""
        adverts = (device.advert for device in self._devices.values() if device.advert is not None)
        return any(offer.things for advert in adverts for offer in advert.offers)

    def seats(self, operation: str) -> list[Seat]:
        """Every known offer of an operation, ready or not, here or not.

        Raises:
            UnknownOperation: nobody offers it; names the nearest.
        """
        found = self._seats.get(operation)
        if found:
            return found
        near = get_close_matches(operation, self._seats, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownOperation(f"no device offers {operation[:80]!r}", field="operation", hint=hint)

    def candidates(self, seats: Iterable[Seat], now_ms: int) -> list[Candidate]:
        """The seats as placement wants them: how things are now."""
        found = []
        for seat in seats:
            candidate, device = seat.candidate, seat.device
            candidate.here = device.connected and self._there.state(device.device_id) is State.ALIVE
            candidate.silent_ms = None
            candidate.total, candidate.room = device.total, device.room
            candidate.draining, candidate.loss = device.draining, device.loss
            candidate.breaker = seat.breaker.why_not(now_ms)
            certificate = self._certificate(device.device_id)
            if certificate is None:
                candidate.granted = False
            else:
                operation = seat.operation
                candidate.granted = certificate.allows(operation.name.partition(".")[0], operation.effects)
                candidate.certified = certificate_state(certificate, now_ms) == "current"
                candidate.harmless = not operation.effects & ~HARMLESS
            found.append(candidate)
        return found

    def age(self, candidates: Iterable[Candidate]) -> None:
        """Note with each of those that are away how long it has been silent."""
        silent = {
            member.peer: member.silent_ms for member in self._there.members() if member.boot is not None
        }
        for candidate in candidates:
            candidate.silent_ms = silent.get(candidate.device)

    def check_current(self, device_id: bytes, now_ms: int) -> None:
        """Refuse a member outside the time of its certificate.

        Raises:
            CertificateExpired, Revoked, UnknownMember.
        """
        check_validity(self._members.get(device_id), now_ms)

    def breakers(self, now_ms: int) -> list[tuple[str, str, str]]:
        """(device's name, operation, why it is passed over) where a device keeps failing an operation."""
        found = []
        for device in self._devices.values():
            for name, seat in device.seats.items():
                if seat.breaker.state != "closed":
                    why = seat.breaker.why_not(now_ms) or "is tried again with the next job"
                    found.append((device.name, name, why))
        return sorted(found)

    def is_harmless(self, operation: str) -> bool:
        """Whether every device that offers the operation says that it only reads and notifies; False if none does."""
        seats = self._seats.get(operation, [])
        return bool(seats) and not any(seat.operation.effects & ~HARMLESS for seat in seats)

    def is_member(self, device_id: bytes) -> bool:
        """Whether it belongs to the mesh now."""
        return self._certificate(device_id) is not None

    def name(self, device_id: bytes) -> str:
        """What people call it; empty for no device."""
        if not device_id:
            return ""
        device = self._devices.get(device_id)
        return device.name if device is not None else self._device(device_id).name

    def resolve(self, text: str) -> bytes:
        """The device that a person means: its name (any case), or its id.

        Raises:
            InvalidInput: there is none, or several have that name.
        """
        certificates = [one for one in self._members.members() if one.kind == "device"]
        named = [one.subject for one in certificates if one.name.lower() == text.strip().lower()]
        if len(named) == 1:
            return named[0]
        if named:
            raise InvalidInput(
                f"several devices are called {text!r}", field="target", hint="Use the id instead."
            )
        try:
            device_id = parse_id(text)
        except InvalidInput:
            device_id = b""
        if not any(one.subject == device_id for one in certificates):
            near = get_close_matches(text, [one.name for one in certificates], n=1)
            hint = f"Did you mean {near[0]}?" if near else "kindmesh nodes lists them."
            raise InvalidInput(f"there is no device called {text[:64]!r}", field="target", hint=hint)
        return device_id

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Every device as plain data, in the order of names."""
        there = {member.peer: member for member in self._there.members()}
        for certificate in self._members.members():
            if certificate.kind != "device":
                continue
            device, member = self._device(certificate.subject), there.get(certificate.subject)
            own = certificate.subject == self._own
            lapsed = certificate_state(certificate, self._now_ms)
            state = "alive" if own else str(member.state) if member is not None else str(State.UNKNOWN)
            heard = member is not None and member.boot is not None
            offers = device.advert.offers if device.advert is not None else ()
            yield {
                "id": format_id(certificate.subject),
                "name": certificate.name,
                "role": "coordinator" if "coordinator" in certificate.roles else "node",
                "roles": list(certificate.roles),
                "state": state,
                "connected": device.connected or own,
                "age_ms": 0 if own else member.silent_ms if member is not None and heard else None,
                "skew_ms": device.skew_ms,
                "note": _note(certificate.name, device.skew_ms, lapsed),
                "certificate": lapsed,
                "facts": None if device.facts is None else _facts(device.facts),
                "jobs": device.total,
                "draining": device.draining,
                "loss": round(device.loss, 3),
                "offers": [offer.manifest.capability for offer in offers if offer.ready],
                "expires_ms": certificate.expires_ms,
            }

    def capabilities(self) -> Iterator[dict[str, Any]]:
        """Every offer as plain data: by capability, then device."""
        offers = [
            (offer.manifest.capability, device.name, device, offer)
            for device in self._devices.values()
            if device.advert is not None
            for offer in device.advert.offers
        ]
        for capability, name, device, offer in sorted(offers, key=lambda entry: entry[:2]):
            certificate = self._certificate(device.device_id)
            effects = 0 if certificate is None else certificate.granted(capability)
            granted = effects != 0
            yield {
                "capability": capability,
                "title": offer.manifest.title,
                "version": offer.manifest.version,
                "device": format_id(device.device_id),
                "device_name": name,
                "here": self.is_here(device.device_id),
                "ready": offer.ready,
                "granted": granted,
                "hint": offer.hint
                if granted
                else "The owner has not granted it to this device: kindmesh review asks.",
                "operations": [_operation(operation, effects) for operation in offer.manifest.operations],
            }

    def expect(self, now_ms: int) -> None:
        """Watch for every member that is a device, so that one that never shows up is noticed."""
        for certificate in self._members.members():
            if certificate.kind == "device" and certificate.subject != self._own:
                self._there.handle(Expected(certificate.subject), now_ms)

    def _device(self, device_id: bytes) -> Device:
        device = self._devices.get(device_id)
        if device is None:
            device = self._devices[device_id] = Device(device_id, format_id(device_id)[:9])
        certificate = self._certificate(device_id)
        if certificate is not None:
            device.name = certificate.name
        return device

    def _certificate(self, device_id: bytes) -> Certificate | None:
        try:
            return self._members.get(device_id)
        except KindmeshError:
            return None

    def _index(self) -> None:
        self._seats = {}
        for device in self._devices.values():
            for name, seat in device.seats.items():
                self._seats.setdefault(name, []).append(seat)


def _note(name: str, skew_ms: int, state: CertificateState) -> str:
    """A remark about a device whose certificate has ended or whose clock is wrong, else nothing."""
    if state != "current":
        return f"the certificate of {name} has {'ended' if state == 'ended' else 'not begun'}: it renews by itself"
    return f"the clock of {name} is {skew_ms / 1000:+.0f} s off" if abs(skew_ms) > CLOCK_SKEW_MS // 2 else ""


def _facts(facts: NodeFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in facts.__struct_fields__}


def _operation(operation: Operation, granted: int) -> dict[str, Any]:
    return {
        "name": operation.name,
        "granted": not operation.effects & ~granted,
        "title": operation.title,
        "effects": effect_names(operation.effects),
        "idempotent": operation.idempotent,
        "session_call": operation.session_call,
        "timeout_ms": operation.limits.timeout_ms,
        "input": [{name: getattr(field, name) for name in _FIELD} for field in operation.input],
        "input_schema": to_json_schema(operation.input),
        "output_schema": to_json_schema(operation.output),
    }


_FIELD: Final = ("name", "type", "title", "required", "minimum", "maximum", "max_length", "choices", "items")

__all__ = ["Device", "Devices", "Seat"]
