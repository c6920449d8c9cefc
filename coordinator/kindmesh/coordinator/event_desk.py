"""The coordinator's part in events: what it publishes itself, what members may publish, and who may watch.

Devices: each is `new` until it was heard, `here`, or `away`; what becomes of that is an event, once for each change.

    state    heard of        silent          removed
    new      here: joined    away: lost      gone: removed
    known    here            away: lost      gone: removed     (a member from before this start)
    here     -               away: lost      gone: removed
    away     here: back      -               gone: removed

Jobs: every state is a topic, with ids only, made when somebody listens. A member publishes under its own name only: the
mesh's topics that are for nodes, and those that one of its capabilities declares and the owner granted.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.heart.entry import Document, Entry
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.bus import EventBus, plain_event
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.event_durable import DurableEvents
from kindmesh.mesh.event_links import EventLinks
from kindmesh.mesh.event_log import EventLog
from kindmesh.mesh.event_report import event_findings
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import AccessRefused, InvalidInput
from kindmesh.protocol.ids import format_id, format_time_id, parse_id
from kindmesh.protocol.messages.events import Labels, MeshEvent
from kindmesh.protocol.principal import Principal, describe_principal
from kindmesh.protocol.topics import OWN, Topic, check_payload, plain_topic, topics_of, undeclared

Presence = Literal["new", "known", "here", "away"]
PRESENCE: Final[dict[tuple[Presence, bool], tuple[Presence, str]]] = {
    ("new", True): ("here", "joined"),
    ("known", True): ("here", ""),
    ("here", True): ("here", ""),
    ("away", True): ("here", "back"),
    ("new", False): ("away", "lost"),
    ("known", False): ("away", "lost"),
    ("here", False): ("away", "lost"),
    ("away", False): ("away", ""),
}
FORGET_EVERY: Final = 3_600
"""Beats between two rounds of forgetting old events."""
SINCE_MAX: Final = 1_000
QUEUE: Final = 1_024
PATTERNS_MAX: Final = 64


class EventDesk:
    """See the module; for one coordinator. `methods` are what people's programs can ask."""

    def __init__(
        self,
        bus: EventBus,
        log: EventLog,
        *,
        heart: Heart,
        hub: Hub,
        trust: Trust,
        trust_service: TrustService,
        clock: Clock,
    ) -> None:
        self._bus, self._heart, self._hub, self._trust, self._clock = bus, heart, hub, trust, clock
        self._presence: dict[bytes, Presence] = {}
        self._names: dict[bytes, str] = {}
        self._topics: dict[bytes, tuple[tuple[int, int], dict[str, Topic]]] = {}
        self._beats = 0
        self.links = EventLinks(bus, hub, clock, admit=self._admit_live, current=self._current, relays=True)
        self.durable = DurableEvents(
            bus,
            log,
            hub,
            trust,
            clock,
            signing=hub.letters.identity.signing,
            seen=self.links.seen,
            admit=self._admit,
            current=self._current,
            relays=True,
        )
        for member in trust.membership.members():
            self._presence[member.subject] = "known"
        heart.tell_events(self._news, self._job)
        trust_service.on_gone(self._gone)

    @property
    def methods(self) -> dict[str, Method]:
        """For the control interface."""
        return {"events": self._watch, "events.topics": self._list, "events.emit": self._emit}

    def start(self) -> None:
        """Take over what devices said that they offer; from now on events are kept and sent."""
        self._declare()
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

    # ------------------------------------------------------------------------------- what the coordinator says

    def _news(self, event: Document) -> None:
        if event.get("event") != "node":
            return
        device = parse_id(event["device"])
        self._declare()
        self._names[device] = event["name"]
        before = self._presence.get(device, "new")
        state = event["state"]
        if state == "unknown":
            return
        self._presence[device], what = PRESENCE[before, state == "alive"]
        if what:
            self._say_device(device, what)

    def _say_device(self, device: bytes, what: str) -> None:
        name = self._names.get(device, "") or self._heart.devices.name(device)
        self._bus.emit(f"system.device.{what}", {"device": format_id(device), "name": name[:64]})

    def _gone(self, member: bytes) -> None:
        if self._presence.pop(member, None) is not None:
            self._say_device(member, "removed")
        self.durable.forget_device(member)
        self._topics.pop(member, None)
        self._declare()

    def _job(self, entry: Entry, state: str) -> None:
        topic = f"system.job.{state}"
        if not self._bus.wanted(topic):
            return
        facts, device = entry.facts, entry.machine.device
        values = {
            "job": format_time_id(facts.job_id),
            "run": format_time_id(facts.run_id),
            "operation": facts.operation,
            **({"device": format_id(device)} if device else {}),
        }
        self._bus.emit(topic, values, run_id=facts.run_id)

    def stopped(self, who: Principal, reason: str) -> None:
        """Somebody had everything stopped here."""
        self._bus.emit("system.stop", {"by": describe_principal(who), "reason": reason[:200]})

    # ------------------------------------------------------------------------------------ what members may say

    def _current(self, member: bytes) -> None:
        self._heart.devices.check_current(member, self._clock.now_ms())

    def _admit_live(self, peer: bytes, event: MeshEvent) -> None:
        if self._admit(peer, event).durable:
            raise AccessRefused(f"{event.topic} is durable and comes signed", field="topic")

    def _admit(self, peer: bytes, event: MeshEvent) -> Topic:
        """What a member publishes, if it may.

        Raises:
            AccessRefused: it speaks for another, or of what it was not granted.
            InvalidInput: nobody declared the topic, or the data do not fit it.
            CertificateExpired, Revoked, UnknownMember.
        """
        if event.source != peer:
            raise AccessRefused("a device publishes in its own name only", field="source")
        self._current(peer)
        topic = OWN.get(event.topic)
        if topic is not None and topic.publisher == "coordinator":
            raise AccessRefused(f"{event.topic} is the coordinator's to say", field="topic")
        if topic is None:
            declared = self._declared_by(peer)
            topic = declared.get(event.topic)
            if topic is None:
                raise undeclared(event.topic, declared)
            capability = event.topic.split(".")[1]
            if not self._trust.membership.get(peer).granted(capability):
                raise AccessRefused(f"{capability} was not granted to this device", field="topic")
        check_payload(topic, event)
        return topic

    def _declared_by(self, device: bytes) -> dict[str, Topic]:
        advert = self._heart.devices.find(device).advert
        if advert is None:
            return {}
        version = (advert.boot, advert.version)
        known = self._topics.get(device)
        if known is None or known[0] != version:
            manifests = (offer.manifest for offer in advert.offers)
            known = self._topics[device] = (version, topics_of(manifests))
        return known[1]

    def _declare(self) -> None:
        found: dict[str, Topic] = {}
        for member in self._trust.membership.members():
            if member.kind == "device":
                found.update(self._declared_by(member.subject))
        self._bus.declare(found)

    # --------------------------------------------------------------------------------------------- who watches

    async def _watch(self, params: Params, emit: Emit, who: Principal) -> Any:
        """Events as they come, after those durable ones that are newer than `since_ms`; ends with its caller."""
        patterns = params.words("patterns") or ["*"]
        since_ms = params.number("since_ms", 0, least=0, most=2**53)
        if len(patterns) > PATTERNS_MAX:
            raise InvalidInput(f"at most {PATTERNS_MAX} patterns at once", field="patterns")
        listener = self._bus.listen(*patterns, name="kindmesh events", size=QUEUE)
        try:
            emit({"event": "watching"})
            past = self.durable.log.since(since_ms, patterns, SINCE_MAX) if since_ms else []
            shown = {event.event_id for event in past}
            for event in past:
                emit(self._plain(event))
            told = 0
            async for event in listener:
                if listener.dropped > told:
                    told = listener.dropped
                    emit({"event": "dropped", "dropped": told})
                if event.event_id not in shown:
                    emit(self._plain(event))
        finally:
            listener.close()

    def _plain(self, event: MeshEvent) -> dict[str, Any]:
        name = self._heart.devices.name(event.source)
        return {**plain_event(event), "source_name": name}

    async def _list(self, params: Params, emit: Emit, who: Principal) -> Any:
        return [plain_topic(topic) for topic in self._bus.topics()]

    async def _emit(self, params: Params, emit: Emit, who: Principal) -> Any:
        """An event that a person makes, to try things out; what the mesh says about itself cannot be made up."""
        name = params.text("topic")
        topic = self._bus.topic(name)
        if name in OWN:
            raise AccessRefused(
                f"{name} is the mesh's own to say",
                field="topic",
                hint="Try a topic that a capability declares: kindmesh events --topics.",
            )
        readers = tuple(self._heart.devices.resolve(reader) for reader in params.words("readers"))
        labels = Labels("user", readers, topic.data_class)
        event = self._bus.emit(name, params.mapping("data"), labels=labels)
        await asyncio.sleep(0)
        return self._plain(event)


__all__ = ["PRESENCE", "EventDesk", "Presence"]
