"""Puts the desk together; decides nothing."""

from __future__ import annotations

import os
from collections.abc import Callable

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import Situation
from kindmesh.coordinator.brain.desk.agreeing import Agreeing
from kindmesh.coordinator.brain.desk.asking import Asking, Stop
from kindmesh.coordinator.brain.desk.conversation import Conversations
from kindmesh.coordinator.brain.desk.desk import Desk
from kindmesh.coordinator.brain.desk.disclosing import Disclosing
from kindmesh.coordinator.brain.desk.homes import Homes
from kindmesh.coordinator.brain.desk.keeping import Keeping
from kindmesh.coordinator.brain.desk.planning import Planning
from kindmesh.coordinator.brain.desk.reviewing import Reviewer
from kindmesh.coordinator.brain.desk.second import SecondReviewer
from kindmesh.coordinator.brain.desk.second_seat import SecondSeat
from kindmesh.coordinator.brain.desk.thinking import Thinking
from kindmesh.coordinator.brain.desk.warming import Warming
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.coordinator.heart.schedules.zones import system_zone
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.store import Store
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import RunVault
from kindmesh.node.config import HouseholdSection


def make_desk(
    *,
    heart: Heart,
    runs: Runs,
    people: PeopleDesk,
    store: Store,
    vault: RunVault,
    bus: EventBus,
    trust: Callable[[], Trust],
    clock: Clock,
    entropy: Entropy,
    household: HouseholdSection,
    stop: Stop,
    medulla: MedullaClient,
) -> Desk:
    """The desk of one coordinator."""
    zone = household.timezone or system_zone(os.environ)
    keeping = Keeping(store, vault)
    conversations = Conversations(keeping, clock, entropy)
    thinking = Thinking()
    second = SecondSeat(heart, keeping, trust, clock)
    reviewer = Reviewer(heart, trust, medulla)
    asking = Asking(
        heart=heart,
        runs=runs,
        homes=Homes(heart, keeping, clock),
        thinking=thinking,
        reviewer=reviewer,
        disclosing=Disclosing(medulla, heart, trust),
        second=SecondReviewer(heart, second, clock),
        planning=Planning(heart, trust, clock),
        stop=stop,
        conversations=conversations,
        clock=clock,
        where=where_of(household),
    )
    return Desk(
        asking=asking,
        conversations=conversations,
        second=second,
        agreeing=Agreeing(heart, reviewer, medulla),
        people=people,
        bus=bus,
        clock=clock,
        entropy=entropy,
        zone=zone,
        warming=Warming(
            heart.devices.names_anything,
            lambda: thinking.warm(Situation(Home(), clock.now_ms(), zone)),
        ),
    )


def where_of(household: HouseholdSection) -> tuple[float, float] | None:
    """Degrees north and east of the household; None when nobody set them."""
    if household.latitude == 0 and household.longitude == 0:
        return None
    return household.latitude, household.longitude


__all__ = ["make_desk", "where_of"]
