"""The capabilities of this device: which are offered, how they are called, and when one that keeps failing rests.

What is offered is what the registry has, less what the configuration disables. An offer is `ready` when the owner
granted it to this device, everything it needs is installed and it is not resting; else its hint says what to do. A
capability that fails by itself (crashes, answers nonsense, does not end when it must) more than `INTENSITY` times
within `WINDOW_S` rests until that window is over: its jobs are refused at the door, other capabilities are not
touched. Every change raises `version` and tells `on_change`, so that the advert is sent again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kindmesh.capabilities.base import Artifacts, Duplex, Progress
from kindmesh.capabilities.host import CapabilityHost
from kindmesh.capabilities.registry import ENTRIES, Availability, Entry
from kindmesh.node.config import NodeSection
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.errors import CapabilityCrashed, CapabilityMissing, UnknownOperation
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.messages.events import Labels
from kindmesh.protocol.messages.hello import Offer

log = logging.getLogger("kindmesh.node.supervisor")

INTENSITY: Final = 5
WINDOW_S: Final = 60.0
NOT_GRANTED: Final = "The owner has not granted it to this device: kindmesh review at the coordinator asks."


class Supervisor:
    """Owns the `CapabilityHost`; enter it with `async with`. `certificate` says what was granted to this device."""

    def __init__(
        self,
        *,
        artifacts: Artifacts,
        data_dir: Path,
        work_root: Path,
        settings: NodeSection,
        certificate: Callable[[], Certificate],
        monotonic: Callable[[], float],
        entries: Sequence[Entry] = ENTRIES,
        idle_s: float = 120.0,
    ) -> None:
        self._settings = settings
        self._certificate = certificate
        self._monotonic = monotonic
        self._entries = tuple(entry for entry in entries if self._enabled(entry.capability))
        self._host = CapabilityHost(
            artifacts=artifacts,
            data_dir=data_dir,
            work_root=work_root,
            idle_s=idle_s,
            entries=self._entries,
            monotonic=monotonic,
        )
        self._available: dict[str, Availability] = {
            known.manifest.capability: known for known in self._host.availability()
        }
        self._operations: dict[str, Operation] = {
            operation.name: operation
            for known in self._available.values()
            for operation in known.manifest.operations
        }
        inline = {name for entry in self._entries for part in entry.parts if part.isolation == "inline"
                  for name in part.operations}  # fmt: skip
        self._quick = frozenset(name for name in inline if _is_quick(self._operations[name]))
        self._failures: dict[str, deque[float]] = {}
        self._resting: dict[str, float] = {}
        self.version = 1
        self.on_change: Callable[[], None] = _nobody

    def hear(self, publish: Callable[[str, str, dict[str, Any], Labels | None], None]) -> None:
        """`publish(capability, topic, values, labels)` is told what capabilities say; it raises what it refuses."""
        self._host.on_event = publish

    def _enabled(self, capability: str) -> bool:
        wanted = self._settings.capabilities
        return (not wanted or capability in wanted) and capability not in self._settings.disabled

    async def __aenter__(self) -> Self:
        await self._host.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._host.__aexit__(kind, error, trace)

    def find(self, name: str) -> Operation:
        """The operation with that full name, if it can be used now.

        Raises:
            UnknownOperation: this device does not offer it; the hint names the nearest.
            CapabilityMissing: something is not installed; the hint is the command.
            CapabilityCrashed: it rests after failing too often.
        """
        operation = self._operations.get(name)
        capability = name.partition(".")[0]
        if operation is None or not self._certificate().granted(capability):
            raise UnknownOperation(
                f"{name[:64]!r} is not offered by this device", field="operation", hint=self._nearest(name)
            )
        known = self._available[capability]
        if not known.ready:
            raise CapabilityMissing(
                f"{name} needs {', '.join(known.missing)}, not installed on this device", hint=known.install
            )
        if capability in self._resting:
            raise CapabilityCrashed(
                f"{capability} failed too often on this device", hint=self._rest_hint(capability)
            )
        return operation

    def _nearest(self, name: str) -> str:
        import difflib  # noqa: PLC0415 - only for the mistake

        close = difflib.get_close_matches(name, self._operations, n=1)
        return f"Did you mean {close[0]}?" if close else ""

    def is_quick(self, name: str) -> bool:
        """Whether it only reads, on the node's own loop, without files: it may begin while its INTENT is written."""
        return name in self._quick

    def offers(self) -> tuple[Offer, ...]:
        """What the advert says."""
        granted = self._certificate()
        found = []
        for capability, known in self._available.items():
            if not granted.granted(capability):
                # Told all the same, once it could run: the owner is asked whether it may.
                if known.ready:
                    found.append(Offer(known.manifest, ready=False, hint=NOT_GRANTED))
            elif capability in self._resting:
                found.append(Offer(known.manifest, ready=False, hint=self._rest_hint(capability)))
            else:
                found.append(Offer(known.manifest, ready=known.ready, hint=known.install))
        return tuple(found)

    def manifests(self) -> tuple[Manifest, ...]:
        """All manifests, offered or not."""
        return tuple(known.manifest for known in self._available.values())

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        job_id: bytes,
        timeout_ms: int,
        progress: Progress | None = None,
        duplex: Duplex | None = None,
    ) -> dict[str, Any]:
        """Run an operation; cancelling the caller ends it. Errors as `CapabilityHost.call`."""
        deadline = self._monotonic() + timeout_ms / 1000
        if duplex is not None:
            return await self._host.call(name, arguments, job_id=job_id, deadline=deadline, duplex=duplex)
        if progress is None:
            return await self._host.call(name, arguments, job_id=job_id, deadline=deadline)
        return await self._host.call(name, arguments, job_id=job_id, deadline=deadline, progress=progress)

    def failed(self, operation: str) -> None:
        """An operation failed by itself; too many of these and its capability rests."""
        capability = operation.partition(".")[0]
        failures = self._failures.setdefault(capability, deque(maxlen=INTENSITY))
        now = self._monotonic()
        failures.append(now)
        if len(failures) == INTENSITY and now - failures[0] < WINDOW_S and capability not in self._resting:
            self._resting[capability] = failures[0] + WINDOW_S
            log.warning("capability rests", extra={"capability": capability})
            self._changed()

    def tick(self) -> None:
        """Let those go on that have rested long enough."""
        now = self._monotonic()
        rested = [capability for capability, until in self._resting.items() if now >= until]
        for capability in rested:
            del self._resting[capability]
            self._failures.pop(capability, None)
            log.info("capability goes on", extra={"capability": capability})
        if rested:
            self._changed()

    def granted_anew(self) -> None:
        """What the owner grants to this device may have changed."""
        self._changed()

    def _rest_hint(self, capability: str) -> str:
        left = max(1, int(self._resting[capability] - self._monotonic()) + 1)
        return f"It failed {INTENSITY} times within a minute and rests; it is tried again in {left} s."

    def _changed(self) -> None:
        self.version += 1
        self.on_change()


def _is_quick(operation: Operation) -> bool:
    files = any("artifact" in (item.type, item.items) for item in (*operation.input, *operation.output))
    return operation.effects == Effect.READ and operation.session_call and not files


def _nobody() -> None:
    """Nobody wants to know yet."""


__all__ = ["INTENSITY", "WINDOW_S", "Supervisor"]
