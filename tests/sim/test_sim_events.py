"""What the mesh says about itself: devices, jobs, stop; and durable events of devices that are killed at any step."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.heart.machine_words import ENDED
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.simulate.world import World
from kindmesh.mesh.bus import EventBus
from kindmesh.protocol.errors import AccessRefused, InvalidInput
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.messages import MessageType, SessionType, Stop
from kindmesh.protocol.messages.events import MeshEvent
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import signed_to_bytes

RESTS = "system.capability.quarantined"


def bus_of(world: World, name: str) -> EventBus:
    life = world.life(name)
    assert life is not None
    return life.part.bus


def hear(world: World, name: str, pattern: str) -> list[MeshEvent]:
    heard: list[MeshEvent] = []
    bus_of(world, name).subscribe(pattern, heard.append)
    return heard


def topics(heard: list[MeshEvent]) -> list[str]:
    return [event.topic for event in heard]


def test_a_device_that_goes_and_comes_back_is_two_events(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        heard = hear(world, "desk", "system.device.*")
        told = hear(world, world.names[1], "system.device.*")
        await asyncio.sleep(1)
        world.network.partition("desk", world.names[0])
        await asyncio.sleep(30)
        world.network.heal("desk", world.names[0])
        await asyncio.sleep(30)
        device = format_id(bus_of(world, world.names[0]).source)
        own = [event for event in heard if event.values()["device"] == device]
        assert topics(own) == ["system.device.lost", "system.device.back"]
        # The coordinator's own machine has a node that nobody started here: that one never showed up.
        others = [event.values()["name"] for event in heard if event not in own]
        assert others in ([], ["desk"])
        assert {event.event_id for event in told} == {event.event_id for event in heard}

    simulator.run(1, scenario)


def test_a_removed_device_is_an_event_that_is_kept_and_it_hears_nothing_more(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        desk = world.desk
        assert desk is not None
        heard = hear(world, "desk", "system.device.removed")
        gone, left = world.names[0], world.names[1]
        last = hear(world, gone, "*")
        await asyncio.sleep(1)
        removal = world.owner.sign_removal(bus_of(world, gone).source)
        await desk.api.methods["revoke"](
            Params({"removal": signed_to_bytes(removal)}), lambda event: None, OWNER
        )
        await asyncio.sleep(5)
        assert [event.values()["name"] for event in heard] == [gone]
        assert [event.topic for event in desk.events.durable.log.since(1, ["system.device.*"], 10)] == [
            "system.device.removed"
        ]
        count = len(last)
        hear(world, left, "*")
        desk.bus.emit("system.stop", {"by": "somebody"})
        await asyncio.sleep(2)
        assert len(last) == count

    simulator.run(2, scenario)


def test_every_state_of_a_job_and_its_doing_are_events_with_ids_only(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        jobs, doing = hear(world, "desk", "system.job.*"), hear(world, "desk", "action.*")
        await asyncio.sleep(2)
        job = world.submit("notes.append", target="phone")
        await world.until(lambda: world.ended(job), 25)
        await asyncio.sleep(2)
        states = [event.topic.rpartition(".")[2] for event in jobs]
        assert states[-1] == "succeeded"
        assert len([state for state in states if state in ENDED]) == 1
        assert len(set(states)) == len(states)
        assert topics(doing) == ["action.intent", "action.result"]
        for event in (*jobs, *doing):
            assert event.values()["job"] == format_time_id(job.job_id)
            assert set(event.values()) <= {"job", "run", "operation", "device", "outcome"}

    simulator.run(3, scenario)


def test_nobody_listening_costs_no_events(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        before = {name: bus_of(world, name).statistics().published for name in ("desk", "phone")}
        job = world.submit("notes.append", target="phone")
        await world.until(lambda: world.ended(job), 25)
        assert {name: bus_of(world, name).statistics().published for name in before} == before

    simulator.run(4, scenario)


def test_stop_is_an_event_of_the_machine_that_stopped(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        heard = hear(world, "desk", "system.stop")
        desk = world.desk
        assert desk is not None
        await asyncio.sleep(1)
        phone = bus_of(world, "phone").source
        for _ in range(3):
            desk.hub.post(phone, MessageType.STOP, Stop("a hand"))
        await asyncio.sleep(10)
        assert [(event.source, event.values()["reason"]) for event in heard] == [(phone, "a hand")]

    simulator.run(5, scenario)


@pytest.mark.parametrize("seed", range(8))
def test_a_durable_event_is_kept_once_whoever_is_killed_at_whatever_step(
    simulator: Simulator, seed: int
) -> None:
    async def scenario(world: World) -> None:
        sent: list[bytes] = []
        for number in range(12):
            if world.life("phone") is not None and not world.is_dead("phone"):
                sent.append(
                    bus_of(world, "phone").emit(RESTS, {"capability": "x", "why": str(number)}).event_id
                )
                await asyncio.sleep(0.05)  # on the disk: what is not, was never told to anybody
            for name in ("phone", "desk"):
                if world.random.random() < 0.4:
                    world.kill(name, after_steps=world.random.randrange(1, 120))
            await asyncio.sleep(world.random.uniform(0, 4))
        await world.all_well()
        await world.ready(*world.names)
        await asyncio.sleep(60)
        desk = world.desk
        assert desk is not None
        kept = [event.event_id for event in desk.events.durable.log.since(1, [RESTS], 1_000)]
        assert len(kept) == len(set(kept))
        assert set(sent) <= set(kept)

    simulator.run(100 + seed, scenario)


def test_a_device_that_says_what_is_not_its_own_to_say_is_refused(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        desk, life = world.desk, world.life("phone")
        assert desk is not None
        assert life is not None
        heard = hear(world, "desk", "*")
        await asyncio.sleep(1)
        phone = life.node
        lie = phone.bus.make("system.device.lost", {"device": "x", "name": "y"})
        stop = phone.bus.make("system.stop", {"by": "x"})
        for event in (lie, stop):
            phone.uplink.tell(phone.uplink.coordinator, SessionType.EVENT, event)
        await asyncio.sleep(1)
        assert not [event for event in heard if event.topic.startswith("system.device")]
        assert desk.hub.refused["ACCESS_REFUSED"] == 2
        tell = partial(phone.events.publish, "notes")
        with pytest.raises(AccessRefused):
            tell("perception.speech.heard", {}, None)
        with pytest.raises(AccessRefused):
            tell("system.notes.x", {}, None)
        with pytest.raises(InvalidInput):
            tell("memory.notes.written", {}, None)

    simulator.run(6, scenario)
