"""A node's part in events: what it publishes itself, what its capabilities may publish, and what it takes from others.

Published here: `action.intent` and `action.result` around everything that is done, `system.stop`, and what capabilities
say under the topics of their manifests (`publish`): for a capability that was granted, in its own name, with labels no
wider than its topic's. What comes from the mesh comes through the coordinator, which has checked it; here only who may
read it is checked again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from kindmesh.mesh.bus import EventBus, plain_event
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.control import Call
from kindmesh.mesh.event_durable import DurableEvents
from kindmesh.mesh.event_links import EventLinks
from kindmesh.mesh.event_log import EventLog
from kindmesh.mesh.event_report import event_findings
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.node.executor import Executor
from kindmesh.node.journal import NodeJournal
from kindmesh.node.supervisor import Supervisor
from kindmesh.protocol.certificate import check_validity
from kindmesh.protocol.errors import AccessRefused, InvalidInput
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.messages.events import Labels, MeshEvent
from kindmesh.protocol.topics import plain_topic, topics_of

FORGET_EVERY: Final = 3_600
SINCE_MAX: Final = 1_000
QUEUE: Final = 1_024
PATTERNS_MAX: Final = 64


class NodeEvents:
    """See the module; for one node."""

    def __init__(
        self,
        bus: EventBus,
        log: EventLog,
        *,
        uplink: Uplink,
        trust: Trust,
        journal: NodeJournal,
        supervisor: Supervisor,
        executor: Executor,
        clock: Clock,
    ) -> None:
        self._bus, self._trust, self._supervisor, self._clock = bus, trust, supervisor, clock
        self._beats = 0
        self.links = EventLinks(bus, uplink, clock, admit=self._admit, current=self._current)
        self.durable = DurableEvents(
            bus,
            log,
            uplink,
            trust,
            clock,
            signing=uplink.letters.identity.signing,
            seen=self.links.seen,
            admit=self._admit,
            current=self._current,
        )
        bus.declare(topics_of(supervisor.manifests()))
        executor.watchers.append(self._done)
        journal.on_latch = self._stopped

    def start(self) -> None:
        """Events are kept and sent from now on."""
        self.durable.pump_soon()

    def close(self) -> None:
        """No more."""
        self.links.close()
        self.durable.close()

    def findings(self) -> list[tuple[str, str, str]]:
        """For `doctor`."""
        return event_findings(self._bus, self.links, self.durable)

    def tick(self) -> None:
        """Once a second."""
        self._beats += 1
        self.durable.tick()
        if self._beats % FORGET_EVERY == 0:
            self.durable.log.forget(self._clock.now_ms())

    # What happens here.

    def publish(self, capability: str, topic: str, values: dict[str, Any], labels: Labels | None) -> None:
        """What a capability says.

        Raises:
            AccessRefused: it is not its own topic, or the capability was not granted to this device.
            InvalidInput: the topic is not declared, or the values do not fit it.
        """
        if topic.split(".")[1:2] != [capability] or topic.startswith("system."):
            raise AccessRefused(f"{topic[:80]} is not {capability}'s to say", field="topic")
        if not self._trust.certificate.granted(capability):
            raise AccessRefused(f"{capability} was not granted to this device", field="topic")
        self._bus.emit(topic, values, labels=labels)

    def _done(self, event: dict[str, Any]) -> None:
        topic = f"action.{event['event']}"
        if topic in ("action.intent", "action.result") and self._bus.wanted(topic):
            self._bus.emit(topic, {"job": format_time_id(event["job"]), "operation": event["operation"]})

    def _stopped(self, sender: bytes, reason: str) -> None:
        self._bus.emit("system.stop", {"by": format_id(sender), "reason": reason[:200]})

    # What comes from others.

    def _current(self, member: bytes) -> None:
        check_validity(self._trust.membership.get(member), self._clock.now_ms())

    def _admit(self, peer: bytes, event: MeshEvent) -> None:
        if peer != self._trust.coordinator.subject:
            raise AccessRefused("events come from the coordinator only")
        self._trust.membership.get(event.source)

    # Who watches.

    async def watch(self, params: Any, call: Call) -> Any:
        """As the coordinator's method `events`, with what this device hears."""
        values = params if isinstance(params, dict) else {}
        patterns = values.get("patterns") or ["*"]
        since_ms = values.get("since_ms", 0)
        if (
            not isinstance(patterns, list)
            or len(patterns) > PATTERNS_MAX
            or not all(isinstance(one, str) for one in patterns)
        ):
            raise InvalidInput("patterns are a list of words", field="patterns")
        if isinstance(since_ms, bool) or not isinstance(since_ms, int) or not 0 <= since_ms <= 2**53:
            raise InvalidInput("since_ms is a time in milliseconds", field="since_ms")
        listener = self._bus.listen(*patterns, name="kindmesh events", size=QUEUE)
        try:
            call.event({"event": "watching"})
            past = self.durable.log.since(since_ms, patterns, SINCE_MAX) if since_ms else []
            shown = {event.event_id for event in past}
            for event in past:
                call.event(self._plain(event))
            told = 0
            async for event in listener:
                if listener.dropped > told:
                    told = listener.dropped
                    call.event({"event": "dropped", "dropped": told})
                if event.event_id not in shown:
                    call.event(self._plain(event))
        finally:
            listener.close()

    def _plain(self, event: MeshEvent) -> dict[str, Any]:
        found = self._trust.membership.latest(event.source)
        return {**plain_event(event), "source_name": found[0].name if found is not None else ""}

    async def topics(self, params: Any, call: Call) -> Any:
        """The topics that this device knows."""
        await asyncio.sleep(0)
        return [plain_topic(topic) for topic in self._bus.topics()]


__all__ = ["NodeEvents"]
