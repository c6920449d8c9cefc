"""A removed member: on its live connection, in custody, at another device, and when it comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from tests.security.adversary import CLOCK, ENTROPY, Knocker, Raw, member, relayed, window, written
from tests.security.kit import Watch, canary, household, id_of
from tests.system.kit import Mole, say

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import KindmeshError, PeerUnreachable
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.messages import JobResult, MessageType, Request, Stop

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, a member to be removed, and one that helps it."""
    async with household(tmp_path_factory.mktemp("removed"), "mole", "spy") as lab:
        yield lab


async def test_a_revoked_key_on_a_live_connection(lab: Lab) -> None:
    job = new_id(CLOCK.now_ms(), ENTROPY.token(10))
    async with canary(lab), member(lab, "mole") as mole, member(lab, "spy") as spy:
        await mole.ask("nodes")
        device = mole.identity.device_id
        assert id_of(lab, "mole") == device
        jobs = len(lab.ask("jobs", {"limit": 1000}))
        watch = Watch(lab)
        assert (await say(lab.desk, "revoke", "mole")).code == 0
        # Whatever it still says on the connection that it has.
        bodies = {
            MessageType.STOP: Stop("from a removed device"),
            MessageType.REQUEST: Request("submit", encode_value({"operation": "device.echo", "args": {}})),
            MessageType.JOB_RESULT: JobResult(job, 1, "succeeded", encode_value({}), None, b"", 0, 0),
        }
        for type_, body in bodies.items():
            frames = written(mole, type_, body)
            with suppress(PeerUnreachable):  # hung up on is as good
                mole.send(frames)
            # The same in another member's custody: its name is known, and it is not heard.
            relayed(spy, frames)
        await watch.refuses("REVOKED", len(bodies))
        await watch.turns_away()
        assert len(lab.ask("jobs", {"limit": 1000})) == jobs
        assert not lab.ask("status", device="kitchen", part="node")["stopped"]
        assert "mole" not in {node["name"] for node in lab.ask("nodes")}


async def test_a_removed_device_that_comes_back(lab: Lab) -> None:
    """With its old key and papers; at the mesh's door there is nobody for it."""
    mole = Mole(lab.devices["mole"].home, "127.0.0.1:1")
    async with canary(lab):
        watch = Watch(lab)
        with Raw(lab.port, mole.trust.coordinator.curve_pub, mole.identity.curve) as back:
            assert await back.outcome() == "refused"
        await watch.turns_away()


async def test_a_removed_device_at_another_device(lab: Lab) -> None:
    """The list has reached the kitchen: what the removed one signs is refused there, whoever brings it."""

    mole = Mole(lab.devices["mole"].home, "127.0.0.1:1")
    kitchen = id_of(lab, "kitchen")
    async with canary(lab), member(lab, "spy") as spy:
        watch = Watch(lab, "kitchen", "node")
        relayed(spy, written(mole, MessageType.STOP, Stop("from a removed device"), dst=kitchen))
        await watch.refuses("REVOKED")
        assert not lab.ask("status", device="kitchen", part="node")["stopped"]


async def test_a_removed_device_at_the_door(lab: Lab) -> None:
    """A removed key never comes back, even when the owner lets it in by mistake."""

    identity = Mole(lab.devices["mole"].home, "127.0.0.1:1").identity
    async with canary(lab), window(lab) as door:
        with Knocker(door.invitation, identity, "mole") as back:
            await back.knock()
            knock = await door.next("knock")
            with pytest.raises(KindmeshError, match="removed"):
                await door.allow(knock)

    assert "mole" not in {node["name"] for node in lab.ask("nodes")}
