"""The in-memory network in virtual time: every kind of misbehaviour, and the same again for the same seed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.mesh.transports import CLIENT, SERVER

from kindmesh.mesh.memory import MemoryChannel, MemoryListener, MemoryNetwork, MemoryTransport
from kindmesh.mesh.virtual import run_virtual
from kindmesh.protocol.errors import BackPressure, PeerUnreachable

DESK, PHONE = "desk", "phone"


class Scene:
    """A desk that listens and a phone that dials, on one network; what arrived is noted with its time."""

    def __init__(self, seed: int = 1) -> None:
        self.network = MemoryNetwork(seed)
        self.desk, self.phone = MemoryTransport(self.network, DESK), MemoryTransport(self.network, PHONE)
        self.arrived: list[tuple[float, int]] = []
        self.answers: list[tuple[float, int]] = []
        self.links: list[tuple[float, bool]] = []
        self.peers: list[tuple[float, bool]] = []
        self.up = asyncio.Event()

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def linked(self, up: bool) -> None:
        self.links.append((self.now, up))
        self.up.set()

    @property
    def is_linked(self) -> bool:
        return self.links[-1][1]

    async def listen(self) -> MemoryListener:
        listener = self.desk.listen("memory://desk", SERVER, lambda _: True)
        await listener.start(
            lambda _, frames: self.arrived.append((self.now, int(frames[0]))),
            lambda _, here: self.peers.append((self.now, here)),
        )
        return listener

    async def dial(self) -> MemoryChannel:
        channel = self.phone.dial("memory://desk", SERVER.public, CLIENT)
        await channel.start(
            lambda _, frames: self.answers.append((self.now, int(frames[0]))),
            self.linked,
        )
        return channel

    async def connect(self) -> tuple[MemoryListener, MemoryChannel]:
        listener, channel = await self.listen(), await self.dial()
        await self.up.wait()
        return listener, channel

    def numbers(self) -> list[int]:
        return [number for _, number in self.arrived]


def exchange(count: int, seed: int = 1, pause_s: float = 0.0, **settings: Any) -> Scene:
    """The phone sends `count` numbers over a link with these settings."""
    scene = Scene(seed)

    async def main() -> None:
        _, channel = await scene.connect()
        scene.network.change(PHONE, DESK, **settings)
        for number in range(count):
            channel.send([b"%d" % number])
            await asyncio.sleep(pause_s)
        await asyncio.sleep(60)

    run_virtual(main())
    return scene


def test_nothing_is_lost_by_default() -> None:
    assert exchange(200).numbers() == list(range(200))


def test_delay_and_jitter_keep_the_order() -> None:
    scene = exchange(100, pause_s=0.001, delay_ms=50, jitter_ms=200)
    assert scene.numbers() == list(range(100))
    assert 0.05 <= scene.arrived[0][0] <= 0.3


def test_loss_loses_about_as_much_as_asked_and_keeps_the_order() -> None:
    scene = exchange(1_000, loss=0.3)
    assert 600 < len(scene.arrived) < 800
    assert scene.network.lost == 1_000 - len(scene.arrived)
    assert scene.numbers() == sorted(scene.numbers())


def test_duplicates_arrive_next_to_their_originals() -> None:
    scene = exchange(500, duplication=0.2)
    assert 550 < len(scene.arrived) < 650
    assert scene.numbers() == sorted(scene.numbers())
    assert set(scene.numbers()) == set(range(500))


def test_reordering_lets_messages_overtake_and_loses_none() -> None:
    scene = exchange(500, pause_s=0.001, delay_ms=5, reordering=0.2)
    assert scene.numbers() != list(range(500))
    assert sorted(scene.numbers()) == list(range(500))


def test_bandwidth_spreads_messages_out() -> None:
    scene = exchange(10, bandwidth=10)
    assert scene.arrived[-1][0] - scene.arrived[0][0] == pytest.approx(0.9)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    rough = {"delay_ms": 5, "jitter_ms": 50, "loss": 0.1, "duplication": 0.1, "reordering": 0.1}
    one, again = (exchange(300, seed, 0.001, **rough) for _ in range(2))
    assert one.arrived == again.arrived
    assert one.arrived != exchange(300, seed + 10, 0.001, **rough).arrived


def test_directions_draw_from_their_own_dice() -> None:
    one, other = MemoryNetwork(3), MemoryNetwork(3)
    other.dice(DESK, PHONE).random()
    assert one.dice(PHONE, DESK).random() == other.dice(PHONE, DESK).random()


def test_a_partition_in_one_direction_is_silence_one_way_until_the_link_is_given_up() -> None:
    scene = Scene()

    async def main() -> None:
        listener, channel = await scene.connect()
        scene.network.change(PHONE, DESK, partitioned=True)
        channel.send([b"1"])
        listener.send(CLIENT.public, [b"2"])
        await asyncio.sleep(5)
        assert scene.numbers() == []
        assert [number for _, number in scene.answers] == [2]
        assert scene.is_linked
        await asyncio.sleep(2)
        assert not channel.connected
        assert listener.peers() == frozenset()
        with pytest.raises(PeerUnreachable):
            channel.send([b"3"])
        scene.network.change(PHONE, DESK, partitioned=False)
        await asyncio.sleep(2.5)
        channel.send([b"4"])
        await asyncio.sleep(1)
        assert scene.numbers() == [4]

    run_virtual(main())
    assert [up for _, up in scene.links] == [True, False, True]


def test_a_short_partition_keeps_the_link_and_loses_what_was_under_way() -> None:
    scene = Scene()

    async def main() -> None:
        scene.network.change_both(PHONE, DESK, delay_ms=100)
        _, channel = await scene.connect()
        channel.send([b"1"])
        scene.network.partition(DESK, PHONE)
        channel.send([b"2"])
        await asyncio.sleep(3)
        scene.network.heal(DESK, PHONE)
        channel.send([b"3"])
        await asyncio.sleep(10)
        assert channel.connected

    run_virtual(main())
    assert scene.numbers() == [3]
    assert scene.network.lost == 2


def test_a_killed_process_is_noticed_at_once_and_a_power_cut_after_a_while() -> None:
    for silent, noticed_s in ((False, 0.0), (True, 6.0)):
        scene = Scene()

        async def main(scene: Scene = scene, silent: bool = silent) -> float:
            listener, channel = await scene.connect()
            began = scene.now
            scene.phone.abort(silent=silent)
            assert not channel.connected
            await asyncio.sleep(10)
            assert listener.peers() == frozenset()
            return began

        began = run_virtual(main())
        assert [here for _, here in scene.peers] == [True, False]
        assert scene.peers[-1][0] - began == pytest.approx(noticed_s)


def test_a_coordinator_that_is_killed_and_restarted_is_found_again() -> None:
    scene = Scene()

    async def main() -> None:
        _, channel = await scene.connect()
        scene.desk.abort()
        await asyncio.sleep(30)
        assert not scene.is_linked
        listener = await scene.listen()
        await asyncio.sleep(2.5)
        assert channel.connected
        assert listener.peers() == {CLIENT.public}

    run_virtual(main())


def test_a_welcome_lost_to_a_partition_does_not_leave_a_ghost() -> None:
    scene = Scene()

    async def main() -> None:
        scene.network.change_both(PHONE, DESK, delay_ms=100)
        listener, channel = await scene.listen(), await scene.dial()
        await asyncio.sleep(0.15)
        assert listener.peers() == {CLIENT.public}
        scene.network.partition(DESK, PHONE)
        await asyncio.sleep(1)
        scene.network.heal(DESK, PHONE)
        await asyncio.sleep(5)
        assert channel.connected
        channel.send([b"1"])
        await asyncio.sleep(1)
        assert scene.numbers() == [1]
        assert len(scene.network.connections) == 1

    run_virtual(main())


def test_closing_while_being_welcomed_leaves_nothing() -> None:
    scene = Scene()

    async def main() -> None:
        scene.network.change_both(PHONE, DESK, delay_ms=100)
        listener, channel = await scene.listen(), await scene.dial()
        await asyncio.sleep(0.15)
        await channel.close()
        await asyncio.sleep(10)
        assert listener.peers() == frozenset()
        assert not scene.network.connections

    run_virtual(main())
    assert scene.links == []


def test_back_pressure_counts_what_is_under_way() -> None:
    scene = Scene()

    async def main() -> None:
        listener, channel = await scene.connect()
        scene.network.change(PHONE, DESK, delay_ms=1_000)
        for number in range(scene.network.high_water):
            channel.send([b"%d" % number])
        with pytest.raises(BackPressure):
            channel.send([b"0"])
        listener.send(CLIENT.public, [b"1"])
        await asyncio.sleep(2)
        channel.send([b"0"])
        await asyncio.sleep(2)

    run_virtual(main())
    assert len(scene.arrived) == scene.network.high_water + 1
