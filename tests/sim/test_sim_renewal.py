"""Certificates renew and CURVE keys change over months, and nobody notices: also when a device dies on the way."""

from __future__ import annotations

import asyncio

import pytest
from tests.sim.conftest import Simulator

from kindmesh.coordinator.simulate.world import World, home_of
from kindmesh.mesh.identity import NEXT_CURVE_FILE
from kindmesh.protocol.certificate import Certificate, certificate_state
from kindmesh.protocol.errors import KindmeshError


def certificate_of(world: World, name: str) -> Certificate:
    """As the coordinator knows it."""
    desk = world.desk
    assert desk is not None
    return desk.trust.membership.get(desk.heart.devices.resolve(name))


def keys_of(certificate: Certificate) -> set[bytes]:
    """The CURVE keys that may be met."""
    return {certificate.curve_pub, certificate.curve_previous} - {b""}


def is_sound(world: World, name: str) -> bool:
    """Connected with a key that its current certificate names, and nothing left over on its disk."""
    life, desk = world.life(name), world.desk
    if life is None or desk is None:
        return False
    known = certificate_of(world, name)
    node = life.node
    return (
        desk.hub.connected(known.subject)
        and node.trust.certificate == known
        and node.identity.curve.public == known.curve_pub
        and certificate_state(known, world.clock.now_ms()) == "current"
        and not (home_of(world.folder, name).identity / NEXT_CURVE_FILE).exists()
    )


async def all_sound(world: World, patience_s: float = 120.0) -> None:
    def sound() -> bool:
        desk = world.desk
        return (
            desk is not None
            and all(is_sound(world, name) for name in world.names)
            and desk.identity.curve.public in keys_of(desk.trust.certificate)
            and certificate_state(desk.trust.certificate, world.clock.now_ms()) == "current"
        )

    await world.until(sound, patience_s)


@pytest.mark.parametrize("seed", range(2))
def test_a_hundred_days_pass_and_every_key_has_changed(simulator: Simulator, seed: int) -> None:
    async def scenario(world: World) -> None:
        world.papers = bool(seed)
        world.kill("desk")
        await world.start("desk")
        await all_sound(world)
        desk = world.desk
        assert desk is not None
        names = ("desk (coordinator)", *world.names)
        before = {name: certificate_of(world, name) for name in names}
        for day in range(1, 101):
            world.days_pass(1)
            await desk.trust_service.refresh()
            await asyncio.sleep(20)
            if day % 20 == 0:
                await all_sound(world)
        for name in world.names:
            world.submit("work.tidy", target=name)
        after = {name: certificate_of(world, name) for name in names}
        for name in names:
            assert after[name].subject == before[name].subject
            assert after[name].capabilities == before[name].capabilities
            assert after[name].serial > before[name].serial
        for name in world.names if not world.papers else names:
            assert after[name].curve_pub not in keys_of(before[name])

    run = simulator.run(seed, scenario)
    assert [job.endings for job in run.world.jobs] == [["succeeded"]] * 3


@pytest.mark.parametrize("steps", range(1, 34))
def test_a_device_killed_anywhere_in_a_rotation_comes_back(simulator: Simulator, steps: int) -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(15)
        before = certificate_of(world, "phone")
        life = world.life("phone")
        assert life is not None
        with life.process.inside():
            life.node.renewing.renewals.want_rotation()
        world.kill("phone", after_steps=steps)
        await world.until(lambda: world.is_dead("phone"))
        await world.start("phone")
        await all_sound(world)
        after = certificate_of(world, "phone")
        assert before.curve_pub in keys_of(after)

    simulator.run(steps, scenario)


@pytest.mark.parametrize("steps", [*range(1, 30), *range(30, 900, 60)])
def test_a_coordinator_killed_anywhere_in_a_rotation_is_found_again(simulator: Simulator, steps: int) -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(15)
        life = world.life("desk")
        assert life is not None
        before = life.coordinator.trust.certificate.curve_pub
        with life.process.inside():
            life.coordinator.renewals.rotate()
        world.kill("desk", after_steps=steps)
        await world.until(lambda: world.is_dead("desk"), 300)
        await world.start("desk")
        await all_sound(world)
        # The desk's own node does not run here; for a device that is away it waits for a week.
        world.days_pass(8)
        await asyncio.sleep(20)
        await all_sound(world)
        desk = world.desk
        assert desk is not None
        now = desk.trust.certificate.curve_pub
        assert desk.identity.curve.public == now
        assert now != before or steps < 30

    simulator.run(steps, scenario)


def test_a_device_that_was_off_past_the_end_of_its_certificate_heals_itself(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        world.kill("phone")
        for _ in range(14):
            world.days_pass(1)
            await asyncio.sleep(10)
        # The others renew; the phone's has 16 days left, then none.
        for _ in range(31):
            world.days_pass(1)
            desk = world.desk
            assert desk is not None
            await desk.trust_service.refresh()
            await asyncio.sleep(5)
        assert certificate_state(certificate_of(world, "phone"), world.clock.now_ms()) == "ended"
        await world.start("phone")
        await all_sound(world)
        await world.ready("phone")
        world.submit("work.tidy", target="phone")

    run = simulator.run(7, scenario)
    assert [job.endings for job in run.world.jobs] == [["succeeded"]]


def test_a_device_that_was_off_for_a_year_with_everybody_else_heals(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        for name in ("desk", *world.names):
            world.kill(name)
        world.days_pass(365)
        world.skew_ms["hall"] = -3 * 365 * 86_400_000
        world.skew_ms["kitchen"] = 2 * 365 * 86_400_000
        await world.start("desk", *world.names)
        await all_sound(world)
        await world.ready(*world.names)
        for name in world.names:
            world.submit("work.tidy", target=name)

    run = simulator.run(8, scenario)
    assert [job.endings for job in run.world.jobs] == [["succeeded"]] * 3


def test_with_ended_certificates_nothing_but_alerts_is_asked_and_it_is_said(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(5)
        world.medulla.kill()
        world.days_pass(31)
        await asyncio.sleep(5)
        life = world.life("desk")
        assert life is not None
        desk = life.coordinator
        marks = {node["name"]: (node["certificate"], node["note"]) for node in desk.heart.devices.nodes()}
        for name in world.names:
            assert marks[name] == ("ended", f"the certificate of {name} has ended: it renews by itself")
        phone = desk.heart.devices.resolve("phone")
        refused = desk.hub.refused["CERTIFICATE_EXPIRED"]
        asked: list[str] = []

        async def ask() -> None:
            try:
                await desk.hub.call(phone, "device.info", b"\x80", 1_000)
            except KindmeshError as error:
                asked.append(error.code)

        await life.process.run(ask())
        assert asked == ["CERTIFICATE_EXPIRED"]
        node = world.life("phone")
        assert node is not None
        with node.process.inside():
            node.node.reporter.advertise()
        await asyncio.sleep(1)
        assert desk.hub.refused["CERTIFICATE_EXPIRED"] > refused
        world.medulla.start()
        await life.process.run(desk.trust_service.refresh())
        await all_sound(world)
        assert {
            node["certificate"] for node in desk.heart.devices.nodes() if node["name"] in world.names
        } == {"current"}
        world.submit("work.tidy", target="phone")

    run = simulator.run(11, scenario)
    assert [job.endings for job in run.world.jobs] == [["succeeded"]]
