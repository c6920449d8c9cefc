"""Places and who gets them: asks placement, keeps those waiting for room in line, offers rooms that became free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.entry import RANKS, Entry
from kindmesh.coordinator.heart.estimate import wait_ms
from kindmesh.coordinator.heart.placement import Choice, Need, choose, rank
from kindmesh.coordinator.heart.queue import PlaceQueue
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.errors import UnknownOperation


class Placer:
    """`retry` makes a waiting job take the place that was just found for it (`entry.choice`)."""

    def __init__(self, devices: Devices, clock: Clock, retry: Callable[[Entry], None]) -> None:
        self._devices = devices
        self._clock = clock
        self._retry = retry
        self._queue = PlaceQueue()
        self._refilling = False

    def choose(self, need: Need, *, avoid: bytes = b"") -> Choice:
        """Where an operation would go now."""
        try:
            seats = self._devices.seats(need.operation)
        except UnknownOperation as error:
            return Choice(b"", error.message)
        if avoid:
            need = Need(need.operation, need.target, avoid, need.emergency, need.size_bytes, need.held)
        return choose(self._devices.candidates(seats, self._clock.now_ms()), need)

    def place(self, entry: Entry, avoid: bytes) -> Choice:
        """A place for this job, or a place in line."""
        choice, entry.choice = entry.choice, None
        if choice is None:
            choice = self.choose(entry.need, avoid=avoid)
        now_ms = self._clock.now_ms()
        if choice.device and not entry.queued and self._queue.is_before(entry, choice.device, now_ms):
            choice = Choice(b"", "others wait for it already", busy=True, passing=True)
            self.refill()
        if choice.device:
            entry.queued = False
        elif choice.busy:
            self._queue.add(entry, now_ms)
        return choice

    def wait_ms(self, operation: str) -> int:
        """About how long until a job of this operation that comes now would begin."""
        seats = self._devices.seats(operation)
        here = [seat for seat in seats if self._devices.is_here(seat.device.device_id)] or seats
        places = sum(max(1, seat.candidate.limit - 1) for seat in here)
        running = sum(max(0, seat.candidate.in_flight) for seat in here)
        measured = [seat.candidate.latency_ms for seat in here if seat.candidate.latency_ms is not None]
        # Until it has run once, an operation is thought to take a fourth of its time limit, as nodes think too.
        usual = sum(measured) / len(measured) if measured else here[0].operation.limits.timeout_ms / 4
        return wait_ms(self._queue.waiting(operation) + running, places, usual)

    def waiting(self, operation: str) -> int:
        """How many jobs of this operation wait for a place."""
        return self._queue.waiting(operation)

    def gives_way(self, urgent: Entry, jobs: Iterable[Entry]) -> Entry | None:
        """Of these jobs the least urgent one (the newest of those) that has the kind of place that an emergency needs
        and may be done again; None: nobody has to."""
        operation, full = urgent.facts.operation, self._full(urgent.need)
        rivals = [
            other
            for other in jobs
            if other.facts.operation == operation
            and other.facts.priority != "emergency"
            and other.occupied in full
            and other.machine.may_make_room
        ]
        return max(rivals, key=lambda other: (RANKS[other.facts.priority], other.facts.job_id), default=None)

    def _full(self, need: Need) -> frozenset[bytes]:
        """Devices that could do it and are only full."""
        candidates = self._devices.candidates(self._devices.seats(need.operation), self._clock.now_ms())
        return frozenset(verdict.device for verdict in rank(candidates, need) if verdict.busy)

    def second(self, entry: Entry, beside: bytes) -> Choice:
        """A place for a second attempt, on another device."""
        seats = [
            seat for seat in self._devices.seats(entry.need.operation) if seat.device.device_id != beside
        ]
        return choose(self._devices.candidates(seats, self._clock.now_ms()), entry.need)

    def occupy_second(self, entry: Entry, device: bytes) -> None:
        """The job's second attempt takes its place on this device now (empty: on none)."""
        now_ms, operation = self._clock.now_ms(), entry.facts.operation
        if entry.second_occupied:
            self._devices.occupy(entry.second_occupied, operation, -1, now_ms)
            self.refill()
        if device:
            self._devices.occupy(device, operation, +1, now_ms)
        entry.second_occupied = device

    def occupy(self, entry: Entry, device: bytes) -> None:
        """The job takes its place on this device now (empty: on none), and no other."""
        now_ms = self._clock.now_ms()
        if entry.occupied:
            self._devices.occupy(entry.occupied, entry.facts.operation, -1, now_ms)
            self.refill()
        if device:
            self._devices.occupy(device, entry.facts.operation, +1, now_ms)
        entry.occupied = device

    def refill(self) -> None:
        """Places may be free: in the next turn of the loop, see who can have them."""
        if self._queue and not self._refilling:
            self._refilling = True
            asyncio.get_running_loop().call_soon(self._refill)

    def _refill(self) -> None:
        self._refilling = False
        self._queue.refill(self._try)

    def _try(self, entry: Entry) -> bool:
        choice = self.choose(entry.need, avoid=entry.machine.avoid)
        if not choice.device:
            return False
        entry.choice = choice
        self._retry(entry)
        return True


__all__ = ["Placer"]
