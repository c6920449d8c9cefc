"""A device that wants more than it was granted: never by itself, at once when the owner says yes."""

from __future__ import annotations

from typing import Any

from tests.sim.conftest import Simulator

from kindmesh.coordinator.params import Params
from kindmesh.coordinator.simulate.world import World
from kindmesh.protocol.certificate import CapabilityGrant, Certificate
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import signed_to_bytes


def nobody(event: Any) -> None:
    raise AssertionError(f"no event was expected: {event}")


async def ask(world: World, method: str, **params: Any) -> Any:
    life = world.life("desk")
    assert life is not None
    called = life.coordinator.api.methods[method]

    async def answer() -> Any:
        return await called(Params(params), nobody, OWNER)

    return await life.process.run(answer())


def certificate_of(world: World, name: str) -> Certificate:
    desk = world.desk
    assert desk is not None
    return desk.trust.membership.get(desk.heart.devices.resolve(name))


async def grant(world: World, name: str, *capabilities: CapabilityGrant) -> None:
    known = certificate_of(world, name)
    signed = world.owner.sign_grant(
        name=known.name, ed_pub=known.ed_pub, curve_pub=known.curve_pub, capabilities=capabilities
    )
    await ask(world, "raise.answer", grant=signed_to_bytes(signed))


async def refused(world: World, operation: str) -> bool:
    life = world.life("desk")
    assert life is not None
    try:
        await ask(world, "submit", operation=operation, args={"text": "x"}, target="phone")
    except KindmeshError:
        return True
    return False


def test_a_wish_for_more_waits_and_a_yes_counts_at_once(simulator: Simulator) -> None:
    async def scenario(world: World) -> None:
        before = certificate_of(world, "phone")
        # As it was before an upgrade: reading was all there was.
        await grant(world, "phone", CapabilityGrant("work", int(Effect.READ)), CapabilityGrant("notes", 255))
        await world.until(lambda: certificate_of(world, "phone").granted("work") == Effect.READ)
        assert await refused(world, "work.tidy")

        (waiting,) = [one for one in await ask(world, "decisions") if one["capability"] == "work"]
        assert (waiting["kind"], waiting["device_name"], waiting["effects"]) == (
            "raise",
            "phone",
            ["write", "actuate"],
        )
        assert "phone now also wants more of work" in waiting["title"]

        beyond = int(Effect.WRITE | Effect.ACTUATE)
        await ask(
            world, "raise.answer", device=waiting["device"], capability="work", effects=waiting["effects"]
        )
        assert not [one for one in await ask(world, "decisions") if one["capability"] == "work"]
        (again,) = [one for one in await ask(world, "decisions", all=True) if one["capability"] == "work"]
        assert again["declined"]

        everything = CapabilityGrant("work", int(Effect.READ) | beyond)
        await grant(world, "phone", everything, CapabilityGrant("notes", 255))
        life = world.life("phone")
        assert life is not None
        node = life.node
        await world.until(lambda: node.trust.certificate.granted("work") == everything.effects)
        after = certificate_of(world, "phone")
        assert (after.subject, after.curve_pub, after.roles) == (
            before.subject,
            before.curve_pub,
            before.roles,
        )
        world.submit("work.tidy", target="phone")

    run = simulator.run(3, scenario)
    assert [job.endings for job in run.world.jobs] == [["succeeded"]]
