"""What the Heart hears from the mesh: adverts, heartbeats, results, sessions that come and go, and silence.

Everything here was authenticated by the endpoint. A device is lost for its jobs when it is suspected (silence), or when
its session ended and no new one took its place; it is back when it has a new session, or speaks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kindmesh.coordinator.heart.adverts import Adverts
from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.dispatch import Dispatch
from kindmesh.coordinator.heart.drains import Drains
from kindmesh.coordinator.heart.machine_words import Accepted, Running
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.membership import Announce, State
from kindmesh.mesh.suspicion import TICK_MS
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.messages import (
    Draining,
    Heartbeat,
    JobAccepted,
    JobProgress,
    JobResult,
    MessageType,
    SessionType,
    SignedAdvert,
)

_ACCEPTING: Final = ("placed", "accepted")
OnHeartbeat = Callable[[bytes, Heartbeat], None]


class Hearing:
    """See the module. Handlers are registered at once; `start` begins to listen for silence."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        devices: Devices,
        dispatch: Dispatch,
        adverts: Adverts,
        clock: Clock,
        on_heartbeat: OnHeartbeat | None = None,
        drains: Drains,
    ) -> None:
        self._drains = drains
        self._endpoint = endpoint
        self._devices = devices
        self._dispatch = dispatch
        self._adverts = adverts
        self._clock = clock
        self._on_heartbeat = on_heartbeat
        self._ticking: asyncio.TimerHandle | None = None
        endpoint.on(MessageType.JOB_RESULT, self._result)
        endpoint.on(MessageType.ADVERT, self._advert)
        endpoint.on_session(SessionType.JOB_ACCEPTED, self._accepted)
        endpoint.on_session(SessionType.JOB_PROGRESS, self._progress)
        endpoint.on_session(SessionType.HEARTBEAT, self._heartbeat)
        endpoint.on_session(SessionType.DRAINING, self._draining)
        endpoint.on_peer(self._peer)

    def start(self) -> None:
        """Look for silence from now on."""
        self._ticking = asyncio.get_running_loop().call_later(TICK_MS / 1000, self.start)
        self._announce(self._devices.tick(self._clock.now_ms()))
        self._dispatch.ring()
        self._drains.tick()

    def stop(self) -> None:
        """No more looking."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def offers_changed(self, device: bytes) -> None:
        """What a device offers counts now."""
        self._dispatch.place_waiting()
        self._dispatch.placer.refill()
        self._node_event(device, self._devices.state(device))

    def _result(self, envelope: Envelope, body: JobResult) -> None:
        self._dispatch.result(envelope.header.src, body)

    def _accepted(self, peer: bytes, ref: int, body: JobAccepted) -> None:
        entry = self._dispatch.open.get(body.job_id)
        if entry is None or entry.machine.state not in _ACCEPTING or entry.machine.state == body.state:
            return
        event = Running if body.state == "running" else Accepted
        self._dispatch.tell(entry, event(peer, body.epoch))

    def _progress(self, peer: bytes, ref: int, body: JobProgress) -> None:
        entry = self._dispatch.open.get(body.job_id)
        if entry is not None and entry.machine.is_current(peer, body.epoch):
            self._dispatch.telling.progress(entry, min(max(body.fraction, 0.0), 1.0), body.text[:200])

    def _draining(self, peer: bytes, ref: int, body: Draining) -> None:
        self._drains.said(peer, body.on, body.grace_ms, body.reason)

    def _advert(self, envelope: Envelope, body: SignedAdvert) -> None:
        self._adverts.take(envelope.header.src, body.advert)

    def _heartbeat(self, peer: bytes, ref: int, body: Heartbeat) -> None:
        now_ms = self._clock.now_ms()
        self._announce(self._devices.heard(peer, body.beat, body.facts, body.clock_ms - now_ms, now_ms))
        if self._on_heartbeat is not None:
            self._on_heartbeat(peer, body)

    def _peer(self, peer: bytes, up: bool) -> None:
        if up:
            self._tell_nodes(self._devices.link(peer, True, self._clock.now_ms()))
            self._drains.back(peer)
            self._dispatch.device_back(peer)
        else:
            # A new session takes the place of an old one within one turn: that is no loss.
            asyncio.get_running_loop().call_soon(self._maybe_lost, peer)

    def _maybe_lost(self, peer: bytes) -> None:
        if not self._endpoint.connected(peer):
            self._announce(self._devices.link(peer, False, self._clock.now_ms()))

    def _announce(self, changes: list[Announce]) -> None:
        for change in changes:
            if change.state is State.ALIVE:
                if change.before is not State.ALIVE and self._devices.is_here(change.peer):
                    self._dispatch.device_back(change.peer)
            else:
                self._dispatch.device_lost(change.peer)
        self._tell_nodes(changes)

    def _tell_nodes(self, changes: list[Announce]) -> None:
        for change in changes:
            self._node_event(change.peer, str(change.state))

    def _node_event(self, device: bytes, state: str) -> None:
        name = self._devices.name(device)
        self._dispatch.telling.everybody(
            {"event": "node", "device": format_id(device), "device_name": name, "name": name, "state": state}
        )


__all__ = ["Hearing", "OnHeartbeat"]
