"""Devices that are about to be switched off: nothing new goes there, what runs there is finished, or moved in time.

A device says so itself (DRAINING, when its `kindmesh up` is told to end); that holds until its session ends. Or the
owner says so (`kindmesh drain`); that is kept in the journal and holds until taken back. What may be repeated gets
`FINISH_MS`, or half of the device's own grace, to finish; then it moves if another device can do it, and what is done
first counts. What may not be repeated is finished where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.dispatch import Dispatch
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.store import Store
from kindmesh.protocol.ids import format_id

FINISH_MS: Final = 10_000


class _Drain(msgspec.Struct):
    """`move_ms`: when what still runs there moves; 0: it was told to."""

    by: str
    reason: str
    since_ms: int
    move_ms: int
    kept: bool


class Drains:
    """See the module. `tick` now and then; `announce` tells everybody who watches."""

    def __init__(
        self, store: Store, devices: Devices, dispatch: Dispatch, clock: Clock,
        announce: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._devices = devices
        self._dispatch = dispatch
        self._clock = clock
        self._announce = announce
        self._open: dict[bytes, _Drain] = {}

    def recover(self) -> None:
        """After a restart: what the owner had said still holds."""
        now_ms = self._clock.now_ms()
        for device, by, reason, since_ms in self._store.query(
            "SELECT device, by, reason, since_ms FROM drain"
        ):
            drain = _Drain(str(by), str(reason), int(since_ms), now_ms + FINISH_MS, kept=True)
            self._begin(bytes(device), drain)

    def ask(self, device: bytes, by: str, reason: str) -> None:
        """The owner wants it empty. The caller waits for `store.after_sync`.

        Raises:
            DiskFull, StoreError: nothing was changed.
        """
        now_ms = self._clock.now_ms()
        self._store.execute(
            "INSERT OR REPLACE INTO drain VALUES (?, ?, ?, ?)", (device, by, reason[:200], now_ms)
        )
        self._begin(device, _Drain(by, reason[:200], now_ms, now_ms + FINISH_MS, kept=True))

    def undo(self, device: bytes) -> bool:
        """It gets jobs again; False when it was not drained. Raises as `ask`."""
        self._store.execute("DELETE FROM drain WHERE device = ?", (device,))
        return self._end(device)

    def said(self, device: bytes, on: bool, grace_ms: int, reason: str) -> None:
        """A device says that it is about to end, within `grace_ms`, or that it is not."""
        if not on:
            self.back(device)
            return
        now_ms = self._clock.now_ms()
        known = self._open.get(device)
        if known is None or not known.kept:
            move_ms = now_ms + min(FINISH_MS, max(0, grace_ms) // 2)
            self._begin(device, _Drain("the device", reason[:200], now_ms, move_ms, kept=False))

    def back(self, device: bytes) -> None:
        """It has a new session: what it said itself in the old one does not hold any more."""
        known = self._open.get(device)
        if known is not None and not known.kept:
            self._end(device)

    def tick(self) -> None:
        """Move what had time to finish."""
        now_ms = self._clock.now_ms()
        for device, drain in self._open.items():
            if 0 < drain.move_ms <= now_ms:
                drain.move_ms = 0
                self._dispatch.device_drains(device, move=True)

    def document(self, device: bytes) -> dict[str, Any] | None:
        """How it stands with a device; None when it is not drained. `empty`: nothing of ours runs there any more."""
        drain = self._open.get(device)
        if drain is None:
            return None
        return {
            "by": drain.by, "reason": drain.reason, "since_ms": drain.since_ms,
            "jobs": self._devices.find(device).total, "empty": self._devices.find(device).total <= 0,
        }  # fmt: skip

    def _begin(self, device: bytes, drain: _Drain) -> None:
        self._open[device] = drain
        self._devices.find(device).draining = f"it is being switched off, says {drain.by}"
        self._dispatch.device_drains(device, move=False)
        self._tell(device, "draining")

    def _end(self, device: bytes) -> bool:
        if self._open.pop(device, None) is None:
            return False
        self._devices.find(device).draining = ""
        self._dispatch.place_waiting()
        self._dispatch.placer.refill()
        self._tell(device, "serving")
        return True

    def _tell(self, device: bytes, what: str) -> None:
        name = self._devices.name(device)
        self._announce({"event": "drain", "device": format_id(device), "device_name": name, "state": what})


__all__ = ["FINISH_MS", "Drains"]
