"""A household made the way people make one: `create_mesh`, a policy, and devices that pair through the real door.

Done once and copied for every simulated run. The owner lets these devices write.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.app import Coordinator
from kindmesh.coordinator.new_mesh import create_mesh
from kindmesh.coordinator.owner import Owner, unlock_owner
from kindmesh.coordinator.pairing import Pairing, WindowWish
from kindmesh.coordinator.simulate.process import ProcessTransport
from kindmesh.coordinator.simulate.world import Life, World, clock_at, home_of
from kindmesh.mesh.enrol_guest import Guest
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import Trust, TrustFile
from kindmesh.mesh.virtual import EPOCH_MS, SeededEntropy
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.enrol import EnrolGranted, OfferSummary, invitation_from_text
from kindmesh.protocol.errors import InternalError
from kindmesh.protocol.manifest import HARMLESS, Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.signed import signed_to_bytes

PASSPHRASE: Final = "three quiet swans"  # noqa: S105 - opens nothing but simulated households
WRITES: Final = int(Effect.READ | Effect.WRITE)


async def make_household(folder: Path, names: tuple[str, ...]) -> Owner:
    """A mesh in `folder`: `desk` with the coordinator and Medulla, a paired node for each name; and its owner."""
    clock, entropy = clock_at(EPOCH_MS), SeededEntropy("household")
    desk = home_of(folder, "desk")
    create_mesh(desk, PASSPHRASE, "desk", clock=clock, entropy=entropy)
    owner = unlock_owner(desk, PASSPHRASE, clock=clock, entropy=entropy)
    async with World(folder, 0, names=(), start_ms=EPOCH_MS) as world:
        life = await world.start("desk")
        await life.process.run(_prepare(life.coordinator, owner))
        for name in names:
            await _pair(world, life, owner, name)
    world.bury()
    return owner


async def _prepare(coordinator: Coordinator, owner: Owner) -> None:
    rules = (
        Rule("*", int(HARMLESS), "allow"),
        Rule("work.*", WRITES, "allow"),
        Rule("notes.*", WRITES, "allow"),
    )
    policy = owner.sign_policy(Policy(owner.mesh, 2, EPOCH_MS, rules))
    coordinator.trust_service.take(await coordinator.medulla.install_policy(policy))


async def _pair(world: World, desk: Life, owner: Owner, name: str) -> None:
    home = home_of(world.folder, name).create()
    entropy = SeededEntropy(f"guest-{name}")
    identity = Identity.create(home.identity, entropy)
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    pairing = desk.coordinator.pairing
    window = asyncio.ensure_future(
        desk.process.run(pairing.open(WindowWish(ttl_ms=60_000), events.put_nowait))
    )
    invitation = invitation_from_text((await events.get())["text"])

    def store(papers: EnrolGranted) -> None:
        Trust.create(
            home.identity,
            TrustFile(
                1, invitation.mesh, papers.bundle, papers.certificate, papers.coordinator, papers.rosters,
                papers.revocations, papers.policy, papers.addresses,
            ),
        )  # fmt: skip

    process = world.process(name)
    transport = ProcessTransport(process, world.network, name)
    offers = (OfferSummary("work", "Work", WRITES),)
    guest = Guest(
        invitation, identity, name, offers, transport=transport, entropy=entropy, scheme="memory://"
    )
    codes: list[str] = []
    joining = asyncio.ensure_future(process.run(guest.knock(codes.append, store, 30.0)))
    hello = await events.get()
    nonce = SeededEntropy(f"owner-{name}").token(32)
    await desk.process.run(_challenge(pairing, hello["knock"], nonce))
    knock = await events.get()
    everything = (CapabilityGrant("*", 255),)
    keys = {"ed_pub": knock["ed_pub"], "curve_pub": knock["curve_pub"]}
    grant = owner.sign_grant(name=name, **keys, capabilities=everything)
    await desk.process.run(pairing.answer(knock["knock"], grant_bytes(grant)))
    await joining
    closed = (await window)["event"]
    if codes != [knock["code"]] or closed != "closed":
        raise InternalError(f"{name} was not paired: {closed}")


async def _challenge(pairing: Pairing, knock: str, nonce: bytes) -> None:
    pairing.challenge(knock, nonce)


def grant_bytes(grant: Any) -> bytes:
    """A signed grant, as the control socket takes it."""
    return signed_to_bytes(grant)


__all__ = ["PASSPHRASE", "make_household"]
