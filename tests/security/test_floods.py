"""Too much of it: half-open enrolments, silent connections, valid messages without end, and one who does not read."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import zmq
from tests.security.adversary import (
    Knocker,
    Raw,
    fresh_key,
    greeting,
    member,
    open_tcp,
    utter,
    window,
    written,
)
from tests.security.kit import Watch, canary, household, pids, resident_kib, sings, within
from tests.system.kit import Mole, talking

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.enrol import EnrolGranted, EnrolPending
from kindmesh.protocol.errors import BackPressure, PeerUnreachable
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.limits import PAIR_HELLOS_MAX
from kindmesh.protocol.messages import JobProgress, MessageType, Relay, Request, SessionType

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROWTH_KIB = 64 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, and a member that does not know when to stop."""
    async with household(tmp_path_factory.mktemp("floods"), "mole", "spy") as lab:
        yield lab


async def test_a_flood_of_half_open_enrolments(lab: Lab) -> None:
    """Strangers who say hello and then nothing; a guest comes in between them."""
    async with canary(lab), window(lab) as door:
        crowd = [Knocker(door.invitation) for _ in range(PAIR_HELLOS_MAX - 1)]
        try:
            for stranger in crowd:
                stranger.raw.send(encode(stranger.hello))
            for stranger in crowd:
                await stranger.answer()
            with Knocker(door.invitation, name="hall") as guest:
                assert isinstance(await guest.knock(), EnrolPending)
                knock = await door.next("knock")
                assert knock["name"] == "hall"
                await door.allow(knock)
                assert isinstance(await guest.answer(), EnrolGranted)
        finally:
            for stranger in crowd:
                stranger.close()


async def test_more_hellos_than_a_window_answers(lab: Lab) -> None:
    """Each is a chance to meet a wanted check code: the window closes and says so; everything else goes on."""
    async with canary(lab), window(lab) as door:
        crowd = [Knocker(door.invitation) for _ in range(PAIR_HELLOS_MAX + 1)]
        try:
            for stranger in crowd:
                stranger.raw.send(encode(stranger.hello))
            assert await door.closed() == "knocks"
        finally:
            for stranger in crowd:
                stranger.close()


async def test_a_flood_of_silent_connections(lab: Lab) -> None:
    """Whoever connects and says nothing: at the mesh's port and at the door."""
    opened = []
    try:
        async with canary(lab):
            for port in (lab.port, lab.port + 1):
                opened += await open_tcp(port, 300)
            assert len(opened) > 150
            await sings(lab)
            async with member(lab, "mole") as mole:
                await mole.ask("nodes")
    finally:
        for writer in opened:
            writer.transport.abort()


async def test_a_flood_that_leaves_no_file_descriptor(lab: Lab) -> None:
    """More silent connections than the coordinator may have open files: who is connected already is still served, and
    everybody else is, too, once the flood ends."""
    coordinator = lab.ask("status")["pid"]
    limits = resource.prlimit(coordinator, resource.RLIMIT_NOFILE)

    async def settled() -> bool:
        return len(os.listdir(f"/proc/{coordinator}/fd")) < 100

    await within(settled, "earlier connections have ended")
    in_use = len(os.listdir(f"/proc/{coordinator}/fd"))
    opened: list[asyncio.StreamWriter] = []
    async with canary(lab), talking(lab.desk) as client:
        resource.prlimit(coordinator, resource.RLIMIT_NOFILE, (in_use + 40, limits[1]))
        try:
            opened += await open_tcp(lab.port, 200)
            assert len(os.listdir(f"/proc/{coordinator}/fd")) >= in_use + 35
            wish = {
                "operation": "device.echo",
                "args": {"text": "still here"},
                "target": "kitchen",
                "wait": True,
            }
            for _ in range(3):
                assert (await client.call("submit", wish))["state"] == "succeeded"
        finally:
            for writer in opened:
                writer.transport.abort()
            resource.prlimit(coordinator, resource.RLIMIT_NOFILE, limits)


async def test_a_flood_of_strangers_under_curve(lab: Lab) -> None:
    trust = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust
    watch = Watch(lab)
    crowd = [Raw(lab.port, trust.coordinator.curve_pub, fresh_key()) for _ in range(40)]
    try:
        async with canary(lab):
            await watch.turns_away(40)
            await sings(lab)
    finally:
        for stranger in crowd:
            stranger.close()


def pour(mole: Mole, count: int) -> int:
    """So many valid signed requests as fast as the link takes them; how many it took."""
    sent = 0
    for _ in range(count):
        try:
            mole.send(written(mole, MessageType.REQUEST, Request("nodes", encode_value({}))))
        except (BackPressure, PeerUnreachable):
            break
        sent += 1
    return sent


async def test_a_flood_of_valid_messages(lab: Lab) -> None:
    """Signed, fresh, and far too many: others are served meanwhile, and memory does not follow."""
    before = {pid: resident_kib(pid) for pid in pids(lab.desk)}
    async with canary(lab), member(lab, "mole") as mole:
        stop = asyncio.Event()

        async def flood() -> int:
            sent = 0
            while not stop.is_set():
                sent += pour(mole, 200)
                await asyncio.sleep(0.005)
            return sent

        flooding = asyncio.create_task(flood())
        for _ in range(10):
            await sings(lab)
        stop.set()
        assert await flooding > 200
    for pid, kib in before.items():
        assert resident_kib(pid) - kib < GROWTH_KIB, f"{pid} grew"


async def test_a_flood_of_greetings(lab: Lab) -> None:
    """Each would cost two signatures and a key: a member has few of them, and its session goes on meanwhile."""
    async with canary(lab), member(lab, "spy") as spy:
        watch = Watch(lab)
        for _ in range(100):
            await utter(spy, written(spy, MessageType.HELLO, greeting(spy)))
        await watch.refuses("RATE_LIMITED", 50)
        await spy.ask("nodes")


async def test_a_flood_of_session_frames(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        for _ in range(20):
            for number in range(200):
                try:
                    progress = JobProgress(number.to_bytes(16, "big"), 1, 0.5, "x" * 400)
                    mole.uplink.tell(mole.coordinator, SessionType.JOB_PROGRESS, progress)
                except (BackPressure, PeerUnreachable):
                    break
            await asyncio.sleep(0)
        await sings(lab)


async def test_a_flood_that_is_to_be_passed_on(lab: Lab) -> None:
    """In custody, to another device: as fast as the coordinator takes it, and the other device still does its jobs."""
    kitchen = lab.ask("status", device="kitchen", part="node")["id"]
    async with canary(lab), member(lab, "mole") as mole:
        frames = written(mole, MessageType.JOB_CANCEL, b"\x00" * 60_000, dst=id_bytes(kitchen))
        for _ in range(400):
            try:
                relay = Relay((frames[0], frames[1], frames[2]))
                mole.uplink.tell(mole.coordinator, SessionType.RELAY, relay)
            except (BackPressure, PeerUnreachable):
                await asyncio.sleep(0.01)
        await sings(lab)


def id_bytes(text: str) -> bytes:
    return parse_id(text)


async def test_a_slow_reader(lab: Lab) -> None:
    """It asks and never reads the answers: what waits for it is bounded, and nobody else waits."""
    before = {pid: resident_kib(pid) for pid in pids(lab.desk)}
    async with canary(lab), member(lab, "mole") as mole:
        channel = mole.tap.channel
        assert channel is not None
        # Its socket is not read any more, though its kernel and libzmq still take a little.
        asyncio.get_running_loop().remove_reader(channel._fd)  # type: ignore[attr-defined]
        for _ in range(30):
            pour(mole, 100)
            await asyncio.sleep(0.01)
        for _ in range(3):
            await sings(lab)
        for pid, kib in before.items():
            assert resident_kib(pid) - kib < GROWTH_KIB, f"{pid} grew"


async def test_a_socket_that_is_never_written_to_the_end(lab: Lab) -> None:
    """The first frames of a message, again and again, and never its last."""
    mole = Mole(lab.devices["mole"].home, "127.0.0.1:1")
    async with canary(lab):
        with Raw(lab.port, mole.trust.coordinator.curve_pub, mole.identity.curve) as rude:
            assert await rude.outcome() == "in"
            for _ in range(200):
                rude.socket.send(b"x" * 10_000, zmq.SNDMORE)
            await sings(lab)
