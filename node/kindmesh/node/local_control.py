"""What programs of the user on this device can ask its node, on `run/node.sock`.

    status  clock  doctor  watch                 how this node is; its journal as it goes on
    stop  stop.reset                             the stop latch: here first, then the whole mesh
    artifact.put_begin  .put_append  .put_finish  artifact.read     files into and out of this device
    stream.open  .write  .read  .cancel          streams from this device (see `stream_control`)
    everything in `FORWARDED`                    is the coordinator's business and passed on

`stop` never waits for the coordinator to halt this device; `stop.reset` is local on purpose: who types it is here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.control import Call, Handler
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.removal import COME_BACK, removal
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.node.executor import Executor
from kindmesh.node.forwarding import Forwarding
from kindmesh.node.holding import Uploads, artifact_id
from kindmesh.node.homecoming import Homecoming
from kindmesh.node.journal import NodeJournal
from kindmesh.node.renewing import Renewing
from kindmesh.node.reporter import Reporter
from kindmesh.node.stream_control import StreamControl
from kindmesh.node.supervisor import Supervisor
from kindmesh.node.witnessing import Witnessing
from kindmesh.protocol.certificate import check_validity
from kindmesh.protocol.errors import ArtifactMissing, InvalidInput, KindmeshError
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import ARTIFACT_CHUNK, CLOCK_SKEW_MS

FORWARDED: Final = (
    "nodes", "capabilities", "submit", "call", "explain", "jobs", "job", "cancel", "approvals", "approve", "decisions",
    "pair.open", "pair.answer", "revoke", "policy", "policy.set", "people", "people.accept", "people.renew", "delegate",
    "undelegate", "run.start", "run.check", "run.list", "run.show", "run.cancel", "inbox", "inbox.answer",
    "jobs.settle", "standing.add", "standing.agree", "standing.list", "standing.end",
    "schedule.add", "schedule.list", "schedule.show", "schedule.history", "schedule.pause", "schedule.resume",
    "schedule.run", "schedule.remove", "schedule.calendar",
    "ask", "ask.feedback", "ask.routines", "ask.persona", "ask.forget",
)  # fmt: skip
STOP_PATIENCE_S: Final = 3.0
LOW_DISK_MIB: Final = 500


class LocalControl:
    """Handlers for a `ControlServer`; holds no state of its own."""

    def __init__(
        self,
        *,
        identity: Identity,
        trust: Trust,
        clock: MeshClock,
        uplink: Uplink,
        journal: NodeJournal,
        supervisor: Supervisor,
        executor: Executor,
        reporter: Reporter,
        artifacts: ArtifactStore,
        uploads: Uploads,
        forwarding: Forwarding,
        witnessing: Witnessing,
        homecoming: Homecoming,
        renewing: Renewing,
        streams: StreamControl,
    ) -> None:
        self._identity = identity
        self._trust = trust
        self._clock = clock
        self._uplink = uplink
        self._journal = journal
        self._supervisor = supervisor
        self._executor = executor
        self._reporter = reporter
        self._artifacts = artifacts
        self._uploads = uploads
        self._forwarding = forwarding
        self._renewing = renewing
        self._streams = streams
        self._witnessing = witnessing
        self._homecoming = homecoming
        self.event_findings: Callable[[], Sequence[tuple[str, str, str]]] = tuple

    def handlers(self) -> dict[str, Handler]:
        """Method -> handler."""
        own: dict[str, Handler] = {
            "status": self._status,
            "clock": self._now,
            "doctor": self._doctor,
            "watch": self._watch,
            "stop": self._stop,
            "stop.reset": self._reset,
            "rotate": self._rotate,
            "heal": self._heal,
            "artifact.put_begin": _plain(self._uploads.begin),
            "artifact.put_append": _plain(self._uploads.append),
            "artifact.put_finish": _plain(self._uploads.finish),
            "artifact.read": self._read,
            "stream.open": _emitting(self._streams.open),
            "stream.write": _emitting(self._streams.write),
            "stream.read": _emitting(self._streams.read),
            "stream.cancel": _emitting(self._streams.cancel),
        }
        return {**dict.fromkeys(FORWARDED, self._forward), **own}

    async def _forward(self, params: Any, call: Call) -> Any:
        if call.method in ("submit", "run.start"):
            params = self._with_sources(params)
        return await self._forwarding.ask(call.method, params, call.event)

    def _with_sources(self, params: Any) -> Any:
        """Say of the files in what is given which are here, so that the device that needs them knows whom to ask."""
        if not isinstance(params, dict):
            return params
        named = _named([params.get(part) for part in ("args", "inputs", "plan")])
        sources = [
            {
                "artifact": info.id.hex(),
                "size_bytes": info.size,
                "media_type": info.media_type,
                "holder": format_id(self._identity.device_id),
            }
            for info in map(self._artifacts.stat, filter(self._artifacts.has, named))
        ]
        return {**params, "sources": [*params.get("sources", []), *sources]} if sources else params

    async def _read(self, params: Any, call: Call) -> Any:
        values = params if isinstance(params, dict) else {}
        artifact = artifact_id(values.get("artifact"))
        offset, length = values.get("offset", 0), values.get("length", ARTIFACT_CHUNK)
        if not isinstance(offset, int) or not isinstance(length, int) or not 0 < length <= ARTIFACT_CHUNK:
            raise InvalidInput(f"a piece is 1 to {ARTIFACT_CHUNK} bytes", field="length")
        try:
            info = self._artifacts.stat(artifact)
        except ArtifactMissing:
            return await self._forwarding.ask(call.method, params, call.event)
        data = self._artifacts.read(artifact, offset, length)
        return {"data": data, "size_bytes": info.size, "media_type": info.media_type}

    async def _stop(self, params: Any, call: Call) -> Any:
        reason = str(params.get("reason", "")) if isinstance(params, dict) else ""
        self._executor.stop(self._identity.device_id, reason)
        told: dict[str, Any] = {"devices": [self._trust.certificate.name]}
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                answer = await self._forwarding.ask("stop", {"reason": reason}, call.event)
        except (KindmeshError, TimeoutError) as error:
            why = error.message if isinstance(error, KindmeshError) else "the coordinator did not answer"
            return {**told, "note": f"only this device was stopped: {why}"}
        others = answer.get("devices", []) if isinstance(answer, dict) else []
        return {**told, "devices": list(dict.fromkeys([*told["devices"], *others]))}

    async def _reset(self, params: Any, call: Call) -> Any:
        stops = self._stops()
        self._journal.reset()
        return {"stopped": False, "stops": stops}

    async def _rotate(self, params: Any, call: Call) -> Any:
        rotated = await self._renewing.rotate()
        return {
            "device": format_id(self._identity.device_id),
            "name": self._trust.certificate.name,
            "rotated": rotated,
        }

    async def _heal(self, params: Any, call: Call) -> Any:
        """A person at this device lets a quarantined capability go on; without a name: what rests."""
        name = params.get("capability", "") if isinstance(params, dict) else ""
        if not isinstance(name, str):
            raise InvalidInput("a capability is named by text", field="capability")
        ward = self._supervisor.ward
        found = [ward.heal(name)] if name else ward.records()
        return [
            {**msgspec.structs.asdict(record), "hint": "" if name else ward.hint(record.capability)}
            for record in found
        ]

    async def _watch(self, params: Any, call: Call) -> Any:
        def tell(event: dict[str, Any]) -> None:
            call.event({**event, "job": format_time_id(event["job"])})

        self._executor.watchers.append(tell)
        try:
            call.event({"event": "watching"})
            await asyncio.get_running_loop().create_future()
        finally:
            self._executor.watchers.remove(tell)

    def _stops(self) -> list[dict[str, Any]]:
        names = {member.subject: member.name for member in self._trust.membership.members()}
        return [
            {"by": names.get(sender, format_id(sender)), "reason": reason, "first_ms": first_ms, "last_ms": last_ms,
             "times": times}
            for sender, reason, first_ms, last_ms, times in self._journal.stops()
        ]  # fmt: skip

    async def _status(self, params: Any, call: Call) -> Any:
        facts = msgspec.structs.asdict(self._reporter.facts())
        coordinator = self._uplink.coordinator
        return {
            "role": "node",
            "pid": os.getpid(),
            "id": format_id(self._identity.device_id),
            "name": self._trust.certificate.name,
            "mesh": format_id(self._trust.mesh),
            "boot": self._identity.boot,
            "connected": self._uplink.connected(coordinator),
            "coordinator": {"id": format_id(coordinator), "name": self._trust.coordinator.name,
                            "address": self._uplink.address},
            "clock_skew_ms": self._clock.skew_ms,
            "facts": facts,
            "jobs": [
                {"job": format_time_id(order.job_id), "operation": order.operation, "state": state,
                 "epoch": order.epoch}
                for order, state in self._executor.open_jobs()
            ],
            "streams": self._streams.served(),
            "streams_opened": self._streams.listing(),
            "results_waiting": self._reporter.waiting,
            "certificate": self._renewing.renewals.as_dict(),
            "stopped": self._journal.stopped,
            "stops": self._stops(),
            "capabilities": [
                {"capability": offer.manifest.capability, "ready": offer.ready, "hint": offer.hint,
                 "operations": [operation.name for operation in offer.manifest.operations]}
                for offer in self._supervisor.offers()
            ],
            "artifact_bytes": self._artifacts.used_bytes,
            "refused": dict(self._uplink.refused),
        }  # fmt: skip

    async def _now(self, params: Any, call: Call) -> Any:
        """The mesh's time as this device knows it, for what people sign here."""
        return {
            "now_ms": self._clock.now_ms(),
            "mesh": format_id(self._trust.mesh),
            "device": format_id(self._identity.device_id),
        }

    async def _doctor(self, params: Any, call: Call) -> Any:
        audit = [_finding("audit", *found) for found in self._witnessing.findings()]
        events = [_finding("events", *found) for found in self.event_findings()]
        return [*self._look_at_link(), *self._look_at_trust(), *self._look_at_work(), *audit, *events]

    def _look_at_link(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        if self._trust.is_removed:
            return found
        if self._uplink.connected(self._uplink.coordinator):
            found.append(_finding("coordinator", "ok", f"connected, at {self._uplink.address}"))
        else:
            hint = "Is it switched on, and in the same network? Its address can be set in config.toml: [mesh] seeds."
            found.append(_finding("coordinator", "fail", "it cannot be reached now", hint))
        skew_s = self._clock.skew_ms / 1000
        if abs(self._clock.skew_ms) > CLOCK_SKEW_MS // 2:
            level = "warn" if self._clock.corrected else "fail"
            found.append(
                _finding("clock", level, f"this device's clock is {skew_s:+.0f} s off", "Set its clock.")
            )
        else:
            found.append(_finding("clock", "ok", f"{skew_s:+.1f} s from the coordinator's"))
        return found

    def _look_at_trust(self) -> list[dict[str, str]]:
        now_ms = self._clock.now_ms()
        found = []
        gone = removal(self._trust)
        if gone is not None:
            return [_finding("membership", "fail", gone.message, gone.hint)]
        if self._homecoming.removed:
            found.append(_finding("membership", "fail", "this device was removed from the mesh", COME_BACK))
        elif self._homecoming.problem is not None:
            problem = self._homecoming.problem
            message = f"the coordinator was replaced, and has not let this device in again: {problem.message}"
            found.append(_finding("membership", "fail", message, problem.hint))
        try:
            check_validity(self._trust.certificate, now_ms)
        except KindmeshError as error:
            hint = "It renews itself once the coordinator is there."
            found.append(_finding("certificate", "fail", error.message, hint))
        if self._trust.membership.is_stale(now_ms):
            hint = "Until it hears from the coordinator it only reads and notifies."
            found.append(
                _finding("revocations", "warn", "the list of removed members is older than a day", hint)
            )
        if self._reporter.held:
            said = "another device uses this one's identity, so both may only read and notify"
            found.append(
                _finding("identity", "fail", said, "The owner chooses: kindmesh review on the coordinator.")
            )
        return found or [_finding("trust", "ok", "certificate and lists are current")]

    def _look_at_work(self) -> list[dict[str, str]]:
        found = []
        for stop in self._stops():
            message = (
                f"{stop['by']} told this device to stop{', again and again' if stop['times'] > 1 else ''}"
            )
            found.append(_finding("stop", "warn", message, "kindmesh stop --reset lets it go on."))
        found += [
            _finding(offer.manifest.capability, "warn", "cannot be used now", offer.hint)
            for offer in self._supervisor.offers()
            if not offer.ready
        ]
        for record in self._supervisor.ward.records():
            if record.state == "probing":
                hint = self._supervisor.ward.hint(record.capability)
                found.append(_finding(record.capability, "warn", "is on trial after it kept failing", hint))
        waiting = self._reporter.waiting
        if waiting:
            found.append(
                _finding("results", "warn", f"{waiting} results wait to be taken", "They are sent again.")
            )
        free = self._reporter.facts().disk_free_mib
        if free is not None and free < LOW_DISK_MIB:
            found.append(_finding("disk", "fail", f"only {free} MiB are free", "Free some space."))
        return found or [_finding("node", "ok", "nothing waits, nothing is stopped")]


def _finding(check: str, level: str, message: str, hint: str = "") -> dict[str, str]:
    return {"check": check, "level": level, "message": message, "hint": hint}


def _plain(function: Callable[[Any], Any]) -> Handler:
    async def handler(params: Any, call: Call) -> Any:
        return function(params)

    return handler


def _emitting(function: Callable[[Any, Callable[[Any], None]], Awaitable[Any]]) -> Handler:
    async def handler(params: Any, call: Call) -> Any:
        return await function(params, call.event)

    return handler


def _named(value: Any) -> list[bytes]:
    """Artifacts that plain data refers to, at any depth."""
    found: list[bytes] = []
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending.extend(part.values())
            try:
                found.append(artifact_id(part.get("artifact")))
            except InvalidInput:
                continue
        elif isinstance(part, list):
            pending.extend(part)
    return list(dict.fromkeys(found))


__all__ = ["FORWARDED", "LocalControl"]
