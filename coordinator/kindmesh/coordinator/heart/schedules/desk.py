"""Schedules as the coordinator has them: journal, clock, starter and control methods, put together in one place."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.coordinator.heart.schedules.findings import Line, schedule_findings
from kindmesh.coordinator.heart.schedules.journal import ScheduleJournal
from kindmesh.coordinator.heart.schedules.methods import Method, ScheduleMethods
from kindmesh.coordinator.heart.schedules.place import Place
from kindmesh.coordinator.heart.schedules.plan_starter import Starters
from kindmesh.coordinator.heart.schedules.service import Schedules
from kindmesh.coordinator.heart.schedules.starter import Holder, JobStarter
from kindmesh.coordinator.heart.schedules.zones import system_zone, zone_named
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.store import Store
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import RunVault
from kindmesh.node.config import HouseholdSection
from kindmesh.protocol.errors import ConfigError, InvalidInput
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.messages.events import OPEN_CLASS, MeshEvent
from kindmesh.protocol.principal import Principal


class ScheduleDesk:
    """See the module. `start` after the Heart and its runs, `close` before them; hears of people who are removed."""

    def __init__(
        self,
        *,
        heart: Heart,
        runs: Runs,
        store: Store,
        vault: RunVault,
        people: PeopleDesk,
        trust: Trust,
        bus: EventBus,
        clock: Clock,
        trusted_ms: Callable[[], int],
        entropy: Entropy,
        household: HouseholdSection,
        held: Holder,
    ) -> None:
        """`clock` is this machine's own; `trusted_ms` the mesh's time; `held` finds files on this machine.

        Raises:
            ConfigError: the household's time zone does not exist.
        """
        self._trust, self._people = trust, people
        self.schedules = Schedules(
            journal=ScheduleJournal(store, vault),
            starter=Starters(JobStarter(heart, held, trusted_ms), runs, held),
            clock=clock,
            trusted_ms=trusted_ms,
            news=heart.announce,
            bus=bus,
            is_gone=self._is_gone,
            may_hear=self._may_hear,
        )
        self._methods = ScheduleMethods(
            self.schedules,
            people=people,
            devices=heart.devices,
            entropy=entropy,
            place=place_of(household),
            topics=bus.topics,
        )
        people.on_leave(self.schedules.leave)
        self.start, self.close = self.schedules.start, self.schedules.close

    def methods(self) -> dict[str, Method]:
        """The control methods, by name."""
        return self._methods.methods()

    def findings(self) -> list[Line]:
        """For `doctor`."""
        return schedule_findings(self.schedules)

    def _is_gone(self, maker: Principal) -> bool:
        person: Any = maker.person
        return person not in ("", "owner") and parse_id(person) in self._trust.membership.revoked

    def _may_hear(self, maker: Principal, event: MeshEvent) -> bool:
        """What is not about devices only makes due what may know of that class of data."""
        rights = self._people.rights(maker)
        wanted = event.labels.data_class
        return rights is None or wanted == OPEN_CLASS or not {wanted, "*"}.isdisjoint(rights.data_classes)


def place_of(household: HouseholdSection) -> Place:
    """Where the household is, by its settings.

    Raises:
        ConfigError: there is no such zone.
    """
    try:
        zone = str(zone_named(household.timezone)) if household.timezone else system_zone(os.environ)
    except InvalidInput as error:
        raise ConfigError(
            f"household.timezone: {error.message}", hint=error.hint, field="household.timezone"
        ) from error
    if household.latitude == 0 and household.longitude == 0:
        return Place(zone)
    return Place(zone, household.latitude, household.longitude)


__all__ = ["ScheduleDesk", "place_of"]
