"""What members may ask of the coordinator for their users, and what only the owner may: private by default."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.coordinator.heart_kit import FakeNode, Rig

from kindmesh.coordinator.api import Api, find
from kindmesh.coordinator.brain.desk.disclosing import Disclosing
from kindmesh.coordinator.copies import Copies
from kindmesh.coordinator.decisions import Decisions
from kindmesh.coordinator.file_desk import FileDesk
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.remote import REQUESTS_MAX, Remote
from kindmesh.coordinator.status_desk import StatusDesk
from kindmesh.coordinator.trust_desk import TrustDesk
from kindmesh.coordinator.work_desk import WorkDesk
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.virtual import SimulatedClock, run_virtual
from kindmesh.node.holding import Uploads
from kindmesh.protocol.codec import decode, decode_value, encode_value
from kindmesh.protocol.envelope import Envelope, Header
from kindmesh.protocol.errors import (
    AccessRefused,
    ArtifactMissing,
    CertificateExpired,
    InvalidInput,
    KindmeshError,
    NotRunning,
    UnknownJob,
    WireError,
)
from kindmesh.protocol.ids import format_id, parse_time_id
from kindmesh.protocol.messages import MessageType, Reply, Request
from kindmesh.protocol.principal import OWNER, Principal, device_principal, principal_text


class Counter:
    """The rig's Heart behind the table of methods; `ask` as somebody."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.artifacts = ArtifactStore.open(
            folder / "artifacts", b"a" * 32, quota=1 << 20, entropy=rig.entropy
        )
        none = cast(Any, None)
        hub, device = cast(Hub, rig.endpoint), rig.endpoint.device_id
        people = PeopleDesk(none, none, none, rig.clock, news=lambda event: None, leave=rig.heart.leave)
        uploads = Uploads(self.artifacts, rig.entropy, rig.clock.monotonic)
        files = FileDesk(
            heart=rig.heart, device=device, artifacts=self.artifacts, exchange=none, uploads=uploads
        )
        status = StatusDesk(
            heart=rig.heart, hub=hub, trust=none, medulla=none, auditing=none, returning=none, people=people
        )
        work = WorkDesk(
            heart=rig.heart,
            people=people,
            sources_of=files.sources_of,
            decisions=Decisions(),
            disclosing=Disclosing(none, rig.heart, none),
        )
        trust = TrustDesk(
            heart=rig.heart, device=device, trust=none, trust_service=none, pairing=none, returning=none,
            medulla=none, people=people, copies=Copies(hub, none, none), renewals=none, raises=none,
        )  # fmt: skip
        self.api = Api()
        for part in (files, status, work, people, trust):
            self.api.add(part.methods())
        self.phone, self.kitchen = (
            device_principal(rig.nodes[name].device_id) for name in ("phone", "kitchen")
        )

    async def ask(self, who: Principal, method: str, **params: Any) -> Any:
        found = find(self.api.methods, method, local=who == OWNER)
        return await found(Params(params), lambda event: None, who)

    async def job(self, who: Principal, text: str, **more: Any) -> str:
        document = await self.ask(
            who, "submit", operation="device.echo", args={"text": text}, wait=True, **more
        )
        job: str = document["job"]
        return job

    def held(self, data: bytes) -> str:
        """A file that the owner put on this machine."""
        return self.artifacts.put(data, "text/plain").id.hex()


def counter(body: Callable[[Counter], Awaitable[None]]) -> Callable[[Path], None]:
    def test(tmp_path: Path) -> None:
        async def main() -> None:
            rig = await Rig(tmp_path, SimulatedClock(asyncio.get_running_loop()), "phone", "kitchen").start()
            await body(Counter(rig, tmp_path))
            await rig.close()

        run_virtual(main())

    test.__name__ = body.__name__
    return test


@counter
async def test_a_member_sees_and_cancels_its_own_jobs_only(desk: Counter) -> None:
    mine, secret = await desk.job(desk.phone, "mine"), await desk.job(OWNER, "the owner's secret")
    theirs = await desk.job(desk.kitchen, "theirs")
    assert [one["job"] for one in await desk.ask(desk.phone, "jobs")] == [mine]
    assert [one["job"] for one in await desk.ask(desk.phone, "jobs", state="failed")] == []
    assert {one["job"] for one in await desk.ask(OWNER, "jobs")} == {mine, theirs, secret}
    assert (await desk.ask(desk.phone, "job", id=mine))["args"] == {"text": "mine"}
    assert (await desk.ask(OWNER, "job", id=theirs))["args"] == {"text": "theirs"}
    for foreign in (secret, theirs):
        for method in ("job", "cancel"):
            with pytest.raises(UnknownJob):
                await desk.ask(desk.phone, method, id=foreign)
        with pytest.raises(UnknownJob):
            await desk.ask(desk.phone, "artifact.read", artifact="0" * 64, job=foreign)


@counter
async def test_an_open_job_of_another_is_not_cancelled(desk: Counter) -> None:
    desk.rig.nodes["phone"].hold = desk.rig.nodes["kitchen"].hold = True
    job = (await desk.ask(OWNER, "submit", operation="device.echo", args={"text": "long"}))["job"]
    await desk.rig.settle()
    with pytest.raises(UnknownJob):
        await desk.ask(desk.phone, "cancel", id=job)
    assert (await desk.ask(OWNER, "job", id=job))["state"] == "running"


@counter
async def test_what_waits_for_the_owners_yes_is_shown_to_the_owner_and_to_whom_it_belongs(
    desk: Counter,
) -> None:
    desk.rig.medulla.answer = lambda request: "ask"
    await desk.ask(OWNER, "submit", operation="notes.append", args={"text": "diary"})
    own = (await desk.ask(desk.phone, "submit", operation="notes.append", args={"text": "list"}))["job"]
    await desk.rig.settle()
    assert [one["job"] for one in await desk.ask(desk.phone, "approvals")] == [own]
    assert len(await desk.ask(OWNER, "approvals")) == 2
    assert await desk.ask(desk.kitchen, "approvals") == []


@counter
async def test_a_key_of_one_member_says_nothing_about_anothers(desk: Counter) -> None:
    owners = await desk.job(OWNER, "same", key="daily")
    assert await desk.job(desk.phone, "same", key="daily") != owners
    assert await desk.job(OWNER, "same", key="daily") == owners


@counter
async def test_a_hash_alone_reads_nothing(desk: Counter) -> None:
    letter = desk.held(b"a private letter")
    mine = await desk.job(desk.phone, "mine")
    assert (await desk.ask(OWNER, "artifact.read", artifact=letter))["data"] == b"a private letter"
    with pytest.raises(InvalidInput):
        await desk.ask(desk.phone, "artifact.read", artifact=letter)
    with pytest.raises(ArtifactMissing):
        await desk.ask(desk.phone, "artifact.read", artifact=letter, job=mine)


@counter
async def test_a_member_speaks_only_for_files_on_its_own_device(desk: Counter) -> None:
    held = desk.rig.nodes["kitchen"].holds(b"a photo")
    args = {"image": {"artifact": held.artifact.hex()}}
    source = {"artifact": held.artifact.hex(), "size_bytes": 7, "holder": format_id(held.holder)}
    with pytest.raises(AccessRefused):
        await desk.ask(desk.phone, "submit", operation="vision.read_text", args=args, sources=[source])
    await desk.ask(desk.kitchen, "submit", operation="vision.read_text", args=args, sources=[source])


@counter
async def test_what_no_job_could_carry_is_refused_before_it_is_one(desk: Counter) -> None:
    held = desk.rig.nodes["kitchen"].holds(b"a photo")
    args = {"image": {"artifact": held.artifact.hex()}}
    source = {
        "artifact": held.artifact.hex(),
        "size_bytes": 7,
        "media_type": "x" * 501,
        "holder": format_id(held.holder),
    }
    with pytest.raises(InvalidInput):
        await desk.ask(desk.kitchen, "submit", operation="vision.read_text", args=args, sources=[source])


@counter
async def test_a_file_made_for_one_is_not_an_argument_of_another(desk: Counter) -> None:
    made = desk.rig.nodes["kitchen"].holds(b"a recording")
    for who in (OWNER, desk.kitchen):
        job = await desk.job(who, f"for {who.kind}")
        desk.rig.heart._journal.learn(made, parse_time_id(job))
    args = {"image": {"artifact": made.artifact.hex()}}
    with pytest.raises(AccessRefused):
        await desk.ask(desk.phone, "submit", operation="vision.read_text", args=args)
    for who in (OWNER, desk.kitchen):
        assert (await desk.ask(who, "submit", operation="vision.read_text", args=args))["job"]


@counter
async def test_pairing_is_not_for_members(desk: Counter) -> None:
    for method in ("pair.open", "pair.answer", "artifact.put_begin", "watch"):
        with pytest.raises(AccessRefused):
            await desk.ask(desk.phone, method)


@counter
async def test_an_unknown_state_is_named_and_not_an_empty_list(desk: Counter) -> None:
    with pytest.raises(InvalidInput) as caught:
        await desk.ask(OWNER, "jobs", state="bogus")
    assert "succeeded" in caught.value.hint


class Asking:
    """A member's REQUESTs into a `Remote`, and the REPLYs that came back."""

    def __init__(self, desk: Counter, methods: dict[str, Any], people: Any = None) -> None:
        self.desk = desk
        self.node = desk.rig.nodes["phone"]
        self.replies: list[Reply] = []
        desk.rig.endpoint.up[self.node.device_id] = cast(FakeNode, self)
        self.lapsed = False
        self.remote = Remote(
            cast(Hub, desk.rig.endpoint), methods, self.check_current, "speech.say".__eq__, people
        )

    def check_current(self, device: bytes) -> None:
        if self.lapsed:
            raise CertificateExpired

    def receive(self, type_: MessageType, body: Any) -> None:
        """What the coordinator sends to the member."""
        self.replies.append(body)

    async def ask(self, method: str, **params: Any) -> Reply:
        self.send(method, params)
        await self.desk.rig.settle()
        return self.replies[-1]

    def send(self, method: str, params: dict[str, Any] | None = None) -> None:
        src, dst = self.node.device_id, self.desk.rig.endpoint.device_id
        numbers = (1, b"t" * 8, 1, 0, 60_000)
        header = Header(1, int(MessageType.REQUEST), b"r" * 16, src, dst, *numbers, b"", b"", b"h" * 32)
        handler = self.desk.rig.endpoint._handlers[int(MessageType.REQUEST)]
        handler(Envelope(header, b"", b"h" * 32), Request(method, encode_value(params or {})))


def error_of(reply: Reply) -> str:
    assert reply.status == "error"
    return decode(WireError, reply.payload).code


@counter
async def test_every_request_is_answered_also_when_a_method_has_a_bug(desk: Counter) -> None:
    async def large(params: Params, emit: Any, who: Principal) -> Any:
        return "x" * 1_200_000

    async def broken(params: Params, emit: Any, who: Principal) -> Any:
        return params.values["nothing"]

    async def refused(params: Params, emit: Any, who: Principal) -> Any:
        raise KindmeshError("no")

    async def who_asks(params: Params, emit: Any, who: Principal) -> Any:
        return principal_text(who)

    asking = Asking(desk, {"large": large, "broken": broken, "refused": refused, "who": who_asks})
    assert error_of(await asking.ask("large")) == "FRAME_TOO_LARGE"
    assert error_of(await asking.ask("broken")) == "INTERNAL"
    assert (await asking.ask("refused")).status == "error"
    assert error_of(await asking.ask("absent")) == "INVALID_INPUT"
    assert decode_value((await asking.ask("who")).payload) == principal_text(desk.phone)
    await asking.remote.close()


@counter
async def test_one_device_cannot_occupy_the_coordinator(desk: Counter) -> None:
    async def endless(params: Params, emit: Any, who: Principal) -> Any:
        await asyncio.get_running_loop().create_future()

    asking = Asking(desk, {"endless": endless})
    for _ in range(REQUESTS_MAX + 5):
        asking.send("endless")
    await desk.rig.settle()
    assert [error_of(reply) for reply in asking.replies] == ["BUSY"] * 5
    desk.rig.endpoint.link(asking.node, False)
    await desk.rig.settle()
    assert not asking.remote._tasks


@counter
async def test_a_member_whose_certificate_has_ended_may_stop_and_raise_alerts_and_nothing_else(
    desk: Counter,
) -> None:
    async def done(params: Params, emit: Any, who: Principal) -> Any:
        return "done"

    asking = Asking(desk, dict.fromkeys(("submit", "stop", "jobs"), done))
    alert = {"operation": "speech.say", "priority": "emergency"}
    for lapsed in (False, True):
        asking.lapsed = lapsed
        assert (await asking.ask("stop")).status == "ok"
        assert (await asking.ask("submit", **alert)).status == "ok"
    for method, params in (
        ("jobs", {}),
        ("submit", {**alert, "priority": "interactive"}),
        ("submit", {**alert, "operation": "robot.move"}),
        ("submit", {"operation": "speech.say"}),
    ):
        assert error_of(await asking.ask(method, **params)) == "CERTIFICATE_EXPIRED"
    await asking.remote.close()


@counter
async def test_stop_waits_for_nobody_also_when_it_is_not_known_who_asks(desk: Counter) -> None:
    class Away:
        async def ready(self) -> None:
            raise NotRunning

    async def done(params: Params, emit: Any, who: Principal) -> Any:
        return principal_text(who)

    asking = Asking(desk, {"stop": done, "jobs": done}, Away())
    assert decode_value((await asking.ask("stop")).payload) == principal_text(desk.phone)
    assert error_of(await asking.ask("jobs")) == "NOT_RUNNING"
    await asking.remote.close()
