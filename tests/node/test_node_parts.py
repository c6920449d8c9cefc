"""The node's small parts on their own: looking around, uploads, resting, the journal's edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.node.probe_capability import PROBES
from tests.node.rig import ENTROPY, Rig, rig

from kindmesh.capabilities.registry import ENTRIES, Entry
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.store import Store
from kindmesh.node.config import NodeSection
from kindmesh.node.holding import IDLE_S, UPLOADS_MAX, HeldArtifacts, Uploads
from kindmesh.node.job_events import Order, WriteResult
from kindmesh.node.journal import NODE_SCHEMA, NodeJournal
from kindmesh.node.lookout import PATIENCE, Lookout
from kindmesh.node.quarantine_machine import INTENSITY, PAUSE_MS
from kindmesh.node.quarantine_machine import PROBES as TRIALS
from kindmesh.node.supervisor import Supervisor
from kindmesh.node.ward import Ward
from kindmesh.protocol.errors import (
    Busy,
    CapabilityMissing,
    CapabilityQuarantined,
    ConfinementFailed,
    InvalidInput,
    KindmeshError,
    StoreDamaged,
    UnknownOperation,
)
from kindmesh.protocol.limits import THINGS_MAX
from kindmesh.protocol.messages import JobResult
from kindmesh.protocol.messages.hello import Thing


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


class FakeNetwork:
    """Finds what it is told to find."""

    def __init__(self, *found: str, problem: bool = False) -> None:
        self.found, self.problem = list(found), problem
        self.state = "new"

    async def start(self) -> None:
        if self.problem:
            raise ConfinementFailed("no multicast here")
        self.state = "looking"

    def addresses(self, device: bytes) -> Sequence[str]:
        return self.found

    def coordinators(self) -> Sequence[str]:
        return self.found

    async def close(self) -> None:
        self.state = "closed"


@pytest.mark.parametrize("problem", [False, True])
async def test_a_node_looks_around_only_while_it_is_alone(mesh: Rig, problem: bool) -> None:
    node = mesh.make()
    async with node:
        network = FakeNetwork("desk", problem=problem)
        lookout = Lookout(node.uplink, lambda: network)
        for _ in range(PATIENCE - 1):
            lookout.beat()
        assert network.state == "new"
        lookout.beat()
        lookout.beat()
        await asyncio.sleep(0)
        assert network.state == ("new" if problem else "looking")
        await mesh.desk.until(lambda: mesh.desk.adverts)
        lookout.beat()
        await lookout.close()
        assert network.state == "closed"


async def test_what_was_found_is_tried_and_looking_ends_with_the_node(mesh: Rig) -> None:
    mesh.home(address="nowhere")
    async with mesh.make() as node:
        network = FakeNetwork("desk")
        lookout = Lookout(node.uplink, lambda: network)
        for _ in range(PATIENCE):
            lookout.beat()
        await asyncio.sleep(0)
        lookout.beat()
        await mesh.desk.until(lambda: mesh.desk.adverts)
        await lookout.close()
        assert network.state == "closed"
    await Lookout(node.uplink, lambda: network).close()


class Hours:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_upload_that_nobody_goes_on_with_is_thrown_away(tmp_path: Path) -> None:
    store, hours = ArtifactStore.open(tmp_path, b"k" * 32), Hours()
    uploads = Uploads(store, ENTROPY, hours)
    first, second = uploads.begin({}), uploads.begin({"size_bytes": 4})
    hours.now = IDLE_S
    uploads.append({**second, "data": b"ab"})
    hours.now += 1
    uploads.tick()
    with pytest.raises(InvalidInput):
        uploads.finish(first)
    assert uploads.append({**second, "data": b"cd"}) == {"size_bytes": 4}
    uploads.close()
    assert store.list() == []


def test_an_upload_that_grows_too_large_is_gone(tmp_path: Path) -> None:
    uploads = Uploads(ArtifactStore.open(tmp_path, b"k" * 32, max_bytes=10), ENTROPY, Hours())
    begun = uploads.begin({})
    with pytest.raises(KindmeshError):
        uploads.append({**begun, "data": b"x" * 11})
    with pytest.raises(InvalidInput):
        uploads.append({**begun, "data": b"x"})


def test_there_are_not_too_many_uploads_at_once(tmp_path: Path) -> None:
    uploads = Uploads(ArtifactStore.open(tmp_path, b"k" * 32), ENTROPY, Hours())
    for _ in range(UPLOADS_MAX):
        uploads.begin({})
    with pytest.raises(Busy):
        uploads.begin({})
    uploads.close()


def supervisor(
    folder: Path,
    mesh: Rig,
    hours: Hours,
    entries: Sequence[Entry] = PROBES,
    store: Store | None = None,
    *,
    first: bool = False,
) -> Supervisor:
    certificate = mesh.household.trust("phone").certificate
    return Supervisor(
        artifacts=HeldArtifacts(ArtifactStore.open(folder / "a", b"k" * 32)), data_dir=folder / "data",
        work_root=folder / "work", settings=NodeSection(), certificate=lambda: certificate, monotonic=hours,
        entries=entries, ward=Ward(store, lambda: 1_000_000 + int(hours.now * 1000)), first=first,
    )  # fmt: skip


async def test_a_capability_that_keeps_failing_rests_and_is_tried_again(mesh: Rig, tmp_path: Path) -> None:
    hours = Hours()
    parts = supervisor(tmp_path, mesh, hours)
    for second in range(0, 200, 20):
        hours.now = second
        parts.failed("probe.read")
    parts.find("probe.read")
    for _ in range(INTENSITY):
        parts.failed("probe.read", "it was killed")
    with pytest.raises(CapabilityQuarantined) as caught:
        parts.find("probe.write")
    assert "kindmesh heal probe" in caught.value.hint
    assert "it was killed" in caught.value.hint
    assert [offer.hint for offer in parts.offers() if offer.manifest.capability == "probe"] == [
        caught.value.hint
    ]
    assert parts.version == 2
    parts.failed("probe.read")
    parts.tick()
    assert parts.version == 2
    hours.now += PAUSE_MS / 1000
    parts.tick()
    parts.find("probe.write")
    assert parts.version == 3
    assert "on trial" in parts.ward.hint("probe")
    for _ in range(TRIALS):
        parts.succeeded("probe.read")
    assert parts.ward.hint("probe") == ""
    assert {manifest.capability for manifest in parts.manifests()} == {"device", "notes", "probe", "speech"}


async def test_a_quarantine_outlives_the_process_until_a_person_lets_it_go_on(
    mesh: Rig, tmp_path: Path
) -> None:
    hours, path = Hours(), tmp_path / "journal.db"
    store = Store.open(path, NODE_SCHEMA)
    parts = supervisor(tmp_path, mesh, hours, store=store)
    for _ in range(INTENSITY):
        parts.failed("probe.read", "it was killed")
    await store.committed()
    store.abandon()
    store = Store.open(path, NODE_SCHEMA)
    again = supervisor(tmp_path, mesh, hours, store=store)
    with pytest.raises(CapabilityQuarantined):
        again.find("probe.read")
    with pytest.raises(InvalidInput) as caught:
        again.ward.heal("device")
    assert "probe" in caught.value.hint
    assert again.ward.heal("probe").why == "it was killed"
    again.find("probe.read")
    await store.committed()
    store.close()
    store = Store.open(path, NODE_SCHEMA)
    with pytest.raises(InvalidInput) as caught:
        supervisor(tmp_path, mesh, hours, store=store).ward.heal("probe")
    assert caught.value.hint == "None rests on this device."
    store.close()


async def test_a_quarantine_holds_when_the_disk_cannot_take_it(mesh: Rig, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "journal.db", NODE_SCHEMA)
    parts = supervisor(tmp_path, mesh, Hours(), store=store)
    store.close()
    for _ in range(INTENSITY):
        parts.failed("probe.read")
    with pytest.raises(CapabilityQuarantined):
        parts.find("probe.read")


async def test_a_capability_whose_modules_are_missing_says_how_to_install_them(
    mesh: Rig, tmp_path: Path
) -> None:
    entry = PROBES[-1]
    lacking = Entry("speech", entry.manifest, entry.parts, modules=("no_such_module_here",), extra="speech")
    parts = supervisor(tmp_path, mesh, Hours(), (lacking,))
    with pytest.raises(CapabilityMissing) as caught:
        parts.find("speech.say")
    assert caught.value.hint == "pip install 'kindmesh[speech]'"
    [offer] = parts.offers()
    assert (offer.ready, offer.hint) == (False, caught.value.hint)
    with pytest.raises(UnknownOperation):
        parts.find("probe.read")


@pytest.fixture
def journal(tmp_path: Path) -> NodeJournal:
    return NodeJournal(Store.open(tmp_path / "journal.db", NODE_SCHEMA), b"k" * 32, ENTROPY)


def order(number: int, epoch: int = 1) -> Order:
    job_id = b"job%013d" % number
    return Order(
        job_id, epoch, job_id, "a.b", b"p%02d%013d" % (epoch, number), b"s" * 20, 9, "normal", repeatable=True
    )


def result(asked: Order) -> tuple[WriteResult, JobResult]:
    answer = JobResult(asked.job_id, asked.epoch, "succeeded", b"\x80", None, asked.permit_id, 1, 2)
    return WriteResult(asked, asked.epoch, "succeeded", True, 1, 2, b"\x80"), answer


def test_a_result_is_stored_even_when_its_intent_never_was(journal: NodeJournal) -> None:
    told: list[KindmeshError | None] = []
    asked = order(1)
    journal.result(*result(asked), told.append)
    journal.store.commit_now()
    assert told == [None]
    assert journal.load_result(asked.job_id) == (asked.sender, result(asked)[1])
    found = journal.find(asked.job_id)
    assert found is not None
    assert (found.state, found.begun) == ("done", True)


def test_a_permit_serves_one_job_only(journal: NodeJournal) -> None:
    told: list[KindmeshError | None] = []
    journal.accept(order(1), told.append)
    stolen = Order(
        b"x" * 16, 1, b"x" * 16, "a.b", order(1).permit_id, b"s" * 20, 9, "normal", repeatable=True
    )
    journal.intent(stolen, 1, told.append)
    assert isinstance(told[0], KindmeshError)
    journal.store.commit_now()
    assert told[1] is None
    journal.result(*result(stolen), told.append)
    assert isinstance(told[2], KindmeshError)


def test_a_sealed_result_that_was_changed_is_noticed(journal: NodeJournal) -> None:
    journal.result(*result(order(1)), lambda error: None)
    journal.store.execute("UPDATE jobs SET result = zeroblob(80)")
    with pytest.raises(StoreDamaged):
        journal.load_result(order(1).job_id)
    assert journal.load_result(b"unknown" + bytes(9)) is None


def test_only_what_was_taken_is_forgotten(journal: NodeJournal) -> None:
    for number in (1, 2):
        journal.result(*result(order(number)), lambda error: None)
    journal.taken([(order(1).job_id, 1), (order(2).job_id, 7)], 5_000)
    assert journal.untaken() == [(order(2).job_id, 1)]
    assert journal.forget(5_000) == 0
    assert journal.forget(2**47) == 1
    assert journal.find(order(2).job_id) is not None


async def test_the_highest_policy_and_the_latch_survive(journal: NodeJournal, tmp_path: Path) -> None:
    journal.see_policy(4)
    journal.see_policy(3)
    assert journal.latch(b"a" * 20, "one", 10)
    assert not journal.latch(b"b" * 20, "two", 20)
    await journal.store.durable()
    journal.store.close()
    again = NodeJournal(Store.open(tmp_path / "journal.db", NODE_SCHEMA), b"k" * 32, ENTROPY)
    assert again.policy_version == 4
    assert [stop[1] for stop in again.stops()] == ["one", "two"]
    again.save_latch()
    again.reset()
    assert not again.stopped


async def test_a_result_is_kept_for_its_time_after_it_was_taken_also_over_a_restart(
    journal: NodeJournal, tmp_path: Path
) -> None:
    journal.intent(order(1), 10, lambda error: None)
    journal.result(*result(order(1)), lambda error: None)
    taken_ms = 2**47 - 1_000
    journal.taken([(order(1).job_id, 1)], taken_ms)
    await journal.store.durable()
    journal.store.close()
    again = NodeJournal(Store.open(tmp_path / "journal.db", NODE_SCHEMA), b"k" * 32, ENTROPY)
    assert again.forget(taken_ms) == 0
    assert again.load_result(order(1).job_id) is not None
    assert again.untaken() == []
    assert again.forget(taken_ms + 1) == 1
    again.store.close()


async def test_what_things_are_called_is_in_the_advert_and_changes_it_only_when_it_changed(
    mesh: Rig, tmp_path: Path
) -> None:
    home = next(entry for entry in ENTRIES if entry.capability == "home")
    parts = supervisor(tmp_path, mesh, Hours(), (home,), first=True)
    told: list[int] = []
    parts.on_change = lambda: told.append(parts.version)

    async def call(operation: str, arguments: dict[str, Any]) -> tuple[Thing, ...]:
        await parts.call(operation, arguments, job_id=b"j" * 16, timeout_ms=10_000)
        (offer,) = parts.offers()
        return offer.things

    lamp = {"id": "light.a", "name": "Lamp", "aliases": ["reading light"], "area": "den"}
    inventory = {"areas": [{"id": "den", "name": "Den"}], "entities": [lamp]}
    async with parts:
        assert await call("home.describe", {}) == ()
        assert await call("home.load", {"inventory": inventory}) == (
            Thing("den", ("Den",)),
            Thing("light.a", ("Lamp", "reading light", "Den")),
        )
        await call("home.load", {"inventory": inventory})
        switch = {"service": "light.turn_on", "entities": ["light.a"], "data": {}}
        await call("home.control", switch)
        assert told == [2]
        timer = {"service": "timer.start", "entities": ["timer.tea"], "data": {"duration": "0:03:00"}}
        assert [thing.id for thing in await call("home.note", timer)] == ["den", "light.a", "timer.tea"]
        many = [{"id": f"light.{number}", "name": f"Lamp {number}"} for number in range(THINGS_MAX + 1)]
        assert await call("home.load", {"inventory": {"entities": many}}) == ()
        assert [thing.id for thing in await call("home.load", {"undo": True})] == [
            "den",
            "light.a",
            "timer.tea",
        ]
        assert told == [2, 3, 4, 5]
    async with supervisor(tmp_path, mesh, Hours(), (home,), first=True) as again:
        (offer,) = again.offers()
        assert [thing.id for thing in offer.things] == ["den", "light.a", "timer.tea"]
