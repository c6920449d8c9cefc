"""The capabilities of this device: which are offered, how they are called, and when one that keeps failing rests.

What is offered is what the registry has, less what the configuration disables and what needs a file of settings (in
`config_dir`) that is not there. An offer is `ready` when the owner
granted it to this device, everything it needs is installed and it is not quarantined; else its hint says what to do.
A capability that keeps failing by itself is quarantined (`quarantine_machine`, `ward`): its jobs are refused at the
door and go elsewhere, other capabilities are not touched. Every change raises `version` and tells `on_change`, so that
the advert is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kindmesh.capabilities.base import Artifacts, Duplex, Progress
from kindmesh.capabilities.host import CapabilityHost
from kindmesh.capabilities.registry import ENTRIES, Availability, Entry
from kindmesh.mesh.clock import SystemClock
from kindmesh.node.config import NodeSection
from kindmesh.node.quarantine_machine import Changed
from kindmesh.node.ward import Ward
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import CapabilityMissing, CapabilityQuarantined, UnknownOperation
from kindmesh.protocol.limits import THINGS_BYTES_MAX, THINGS_MAX
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.messages.events import Labels
from kindmesh.protocol.messages.hello import Offer, Thing

log = logging.getLogger("kindmesh.node.supervisor")

_CLOCK: Final = SystemClock()

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
        ward: Ward,
        entries: Sequence[Entry] = ENTRIES,
        idle_s: float = 120.0,
        config_dir: Path | None = None,
        now_ms: Callable[[], int] = _CLOCK.now_ms,
        first: bool = False,
    ) -> None:
        """`first`: this is the coordinator's device, which offers what a household has once."""
        self._settings = settings
        self._config_dir = config_dir
        self._certificate = certificate
        self._monotonic = monotonic
        self._entries = tuple(entry for entry in entries if self._enabled(entry, first))
        self._host = CapabilityHost(
            artifacts=artifacts,
            data_dir=data_dir,
            work_root=work_root,
            idle_s=idle_s,
            entries=self._entries,
            monotonic=monotonic,
            config_dir=config_dir,
            now_ms=now_ms,
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
        self._things: dict[str, tuple[Thing, ...]] = {}
        self._host.on_named = self._named
        self._quick = frozenset(name for name in inline if _is_quick(self._operations[name]))
        self.ward = ward
        ward.on_change.append(self._quarantine_changed)
        self.version = 1
        self.on_change: Callable[[], None] = _nobody

    def hear(self, publish: Callable[[str, str, dict[str, Any], Labels | None], None]) -> None:
        """`publish(capability, topic, values, labels)` is told what capabilities say; it raises what it refuses."""
        self._host.on_event = publish

    def _enabled(self, entry: Entry, first: bool) -> bool:
        if entry.settings and (self._config_dir is None or not (self._config_dir / entry.settings).is_file()):
            return False
        wanted, name = self._settings.capabilities, entry.capability
        offered = name in wanted if wanted else first or not entry.once
        return offered and name not in self._settings.disabled

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
            CapabilityQuarantined: it rests after failing too often.
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
        if self.ward.state(capability) == "quarantined":
            raise CapabilityQuarantined(
                f"{capability} failed too often on this device", hint=self.ward.hint(capability)
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
            elif self.ward.state(capability) == "quarantined":
                hint = self.ward.hint(capability)
                found.append(Offer(known.manifest, ready=False, hint=hint, resting=True))
            else:
                things = self._things.get(capability, ())
                found.append(Offer(known.manifest, ready=known.ready, hint=known.install, things=things))
        return tuple(found)

    def _named(self, capability: str, names: Mapping[str, Sequence[str]]) -> None:
        """All of them or none: of a part of them nobody could say which names are of one thing only."""
        things = tuple(Thing(one, tuple(called)) for one, called in names.items())
        if len(things) > THINGS_MAX or sum(len(encode(one)) for one in things) > THINGS_BYTES_MAX:
            log.warning("too many things to tell what they are called", extra={"capability": capability})
            things = ()
        if self._things.get(capability, ()) != things:
            self._things[capability] = things
            self._changed()

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

    def failed(self, operation: str, why: str = "") -> None:
        """An operation failed by itself; too many of these and its capability is quarantined."""
        self.ward.failed(operation.partition(".")[0], why)

    def succeeded(self, operation: str) -> None:
        """An operation did what it was asked for."""
        self.ward.succeeded(operation.partition(".")[0])

    def tick(self) -> None:
        """Once a heartbeat: let those be tried again that have rested long enough."""
        self.ward.tick()

    def _quarantine_changed(self, change: Changed) -> None:
        if change.capability in self._available:
            self._changed()

    def granted_anew(self) -> None:
        """What the owner grants to this device may have changed."""
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self.on_change()


def _is_quick(operation: Operation) -> bool:
    files = any("artifact" in (item.type, item.items) for item in (*operation.input, *operation.output))
    return operation.effects == Effect.READ and operation.session_call and not files


def _nobody() -> None:
    """Nobody wants to know yet."""


__all__ = ["Supervisor"]
