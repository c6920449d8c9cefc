"""What local programs can ask a node, over its real control socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.node.rig import Rig, rig

from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.node.app import Node
from kindmesh.protocol.codec import decode_value, encode, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    ArtifactTooLarge,
    Denied,
    InvalidInput,
    Malformed,
    PeerUnreachable,
    error_to_wire,
)
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.messages import MessageType, Reply, Request


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


@pytest.fixture
async def phone(mesh: Rig) -> AsyncIterator[Node]:
    async with mesh.node(control=True) as node:
        yield node


@pytest.fixture
async def client(phone: Node) -> AsyncIterator[AsyncControlClient]:
    made = await AsyncControlClient.connect(phone.home.socket("node"))
    yield made
    await made.close()


class Answering:
    """The coordinator's answers to requests."""

    def __init__(self, mesh: Rig, *answers: tuple[str, bytes]) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._hub = mesh.desk.hub
        self._answers = answers
        self._hub.on(MessageType.REQUEST, self._on_request)

    def _on_request(self, envelope: Any, body: Request) -> None:
        self.asked.append((body.method, decode_value(body.params)))
        for status, payload in self._answers:
            self._hub.post(
                envelope.header.src, MessageType.REPLY, Reply(status, payload),  # type: ignore[arg-type]
                reply_to=envelope.header.message_id,
            )  # fmt: skip


async def test_status_says_who_and_how_it_is(mesh: Rig, phone: Node, client: AsyncControlClient) -> None:
    status = await client.call("status")
    assert status["id"] == format_id(mesh.id())
    assert status["connected"]
    assert status["coordinator"]["name"] == "desk"
    assert {entry["capability"] for entry in status["capabilities"]} == {"device", "notes", "probe", "speech"}
    job = mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), "probe.read", {"text": "a", "wait_ms": 300}))
    await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job))
    assert [one["operation"] for one in (await client.call("status"))["jobs"]] == ["probe.read"]


async def test_what_is_the_coordinators_business_is_passed_on(mesh: Rig, client: AsyncControlClient) -> None:
    coordinator = Answering(
        mesh, ("event", encode_value({"n": 1})), ("ok", encode_value([{"name": "phone"}]))
    )
    events: list[Any] = []
    assert await client.call("nodes", {"x": 1}, on_event=events.append) == [{"name": "phone"}]
    assert events == [{"n": 1}]
    assert coordinator.asked == [("nodes", {"x": 1})]


async def test_the_coordinators_errors_arrive_as_they_are(mesh: Rig, client: AsyncControlClient) -> None:
    Answering(mesh, ("error", encode(error_to_wire(Denied("no", hint="ask")))))
    with pytest.raises(Denied) as caught:
        await client.call("cancel", {"id": "x"})
    assert caught.value.hint == "ask"


@pytest.mark.parametrize("answer", [("error", b"\x01"), ("ok", b"\xc1")])
async def test_an_answer_that_makes_no_sense_is_an_error(
    mesh: Rig, client: AsyncControlClient, answer: tuple[str, bytes]
) -> None:
    Answering(mesh, answer)
    with pytest.raises(Malformed):
        await client.call("jobs")


async def test_an_unknown_method_names_the_nearest(client: AsyncControlClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.call("statsu")
    assert "status" in caught.value.hint


async def test_a_lost_link_ends_waiting_requests(mesh: Rig, client: AsyncControlClient) -> None:
    asked = asyncio.Event()
    mesh.desk.hub.on(MessageType.REQUEST, lambda envelope, body: asked.set())
    waiting = client.call("jobs")
    await asyncio.wait_for(asked.wait(), 5)
    await mesh.desk.hub.close()
    with pytest.raises(PeerUnreachable):
        await waiting
    with pytest.raises(PeerUnreachable) as caught:
        await client.call("jobs")
    assert caught.value.hint


async def put(client: AsyncControlClient, data: bytes) -> dict[str, Any]:
    begun = await client.call("artifact.put_begin", {"media_type": "text/plain", "size_bytes": len(data)})
    await client.call("artifact.put_append", {"upload": begun["upload"], "data": data})
    finished: dict[str, Any] = await client.call("artifact.put_finish", {"upload": begun["upload"]})
    return finished


async def test_a_file_goes_in_and_comes_out(phone: Node, client: AsyncControlClient) -> None:
    made = await put(client, b"a letter")
    assert made == {"artifact": sha256(b"a letter").hex(), "size_bytes": 8, "media_type": "text/plain"}
    part = await client.call("artifact.read", {"artifact": made["artifact"], "offset": 2, "length": 6})
    assert part["data"] == b"letter"


async def test_a_file_that_is_not_here_is_asked_of_the_coordinator(
    mesh: Rig, client: AsyncControlClient
) -> None:
    Answering(mesh, ("ok", encode_value({"data": b"there"})))
    assert (await client.call("artifact.read", {"artifact": "0" * 64}))["data"] == b"there"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("artifact.put_begin", None),
        ("artifact.put_begin", {"media_type": 3}),
        ("artifact.put_begin", {"media_type": "nonsense"}),
        ("artifact.put_begin", {"size_bytes": -1}),
        ("artifact.put_append", {"upload": "none", "data": b""}),
        ("artifact.put_finish", {}),
        ("artifact.read", {"artifact": "XY"}),
        ("artifact.read", {"artifact": "0" * 64, "length": 0}),
        ("artifact.read", None),
    ],
)
async def test_bad_parameters_are_an_answer(client: AsyncControlClient, method: str, params: Any) -> None:
    with pytest.raises(InvalidInput):
        await client.call(method, params)


async def test_a_bad_piece_ends_an_upload_only_when_it_was_the_stores_fault(
    client: AsyncControlClient,
) -> None:
    begun = await client.call("artifact.put_begin", {"media_type": "text/plain"})
    with pytest.raises(InvalidInput):
        await client.call("artifact.put_append", {"upload": begun["upload"], "data": "text"})
    assert (await client.call("artifact.put_append", {"upload": begun["upload"], "data": b"ab"}))[
        "size_bytes"
    ] == 2
    with pytest.raises(ArtifactTooLarge):
        await client.call("artifact.put_begin", {"size_bytes": 1 << 50})


async def test_submitting_says_which_files_are_here(
    mesh: Rig, phone: Node, client: AsyncControlClient
) -> None:
    coordinator = Answering(mesh, ("ok", encode_value({})))
    made = await put(client, b"a letter")
    await client.call(
        "submit", {"operation": "probe.size", "args": {"file": made, "more": [{"artifact": 3}]}}
    )
    await client.call("submit", {"operation": "device.echo", "args": {"text": "x"}})
    await client.call("submit", None)
    step = {"id": "a", "call": "probe.size", "args": {"file": made}}
    await client.call("run.start", {"plan": {"plan": 1, "steps": [step]}})
    await client.call("run.start", {"plan": {"plan": 1, "steps": []}, "inputs": {"letter": made}})
    for number in (0, 3, 4):
        [source] = coordinator.asked[number][1]["sources"]
        assert (source["artifact"], source["holder"]) == (made["artifact"], format_id(mesh.id()))
    assert "sources" not in coordinator.asked[1][1]


async def test_stop_halts_this_device_first_and_then_the_mesh(
    mesh: Rig, phone: Node, client: AsyncControlClient
) -> None:
    Answering(mesh, ("ok", encode_value({"devices": ["kitchen", "phone"]})))
    job = mesh.desk.send(mesh.id(), mesh.desk.job(mesh.id(), "speech.say", {"text": "a", "wait_ms": 9_000}))
    await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job))
    assert (await client.call("stop", {"reason": "hot"}))["devices"] == ["phone", "kitchen"]
    assert (await mesh.desk.result(job)).outcome == "cancelled"
    assert (await client.call("status"))["stops"][0]["by"] == "phone"
    assert [one["check"] for one in await client.call("doctor") if one["level"] == "warn"] == ["stop"]
    assert not (await client.call("stop.reset"))["stopped"]
    assert not phone.journal.stopped


async def test_stop_works_without_the_coordinator(mesh: Rig, phone: Node, client: AsyncControlClient) -> None:
    await mesh.desk.hub.close()
    told = await client.call("stop", None)
    assert told["devices"] == ["phone"]
    assert "coordinator" in told["note"]
    assert phone.journal.stopped


async def test_doctor_names_what_is_wrong(mesh: Rig, phone: Node, client: AsyncControlClient) -> None:
    assert {one["level"] for one in await client.call("doctor")} == {"ok"}
    for _ in range(5):
        phone.supervisor.failed("probe.read")
    mesh.desk.take = False
    await mesh.desk.run(mesh.id(), "device.echo", {"text": "a"})
    await mesh.desk.hub.close()
    found = {one["check"]: one for one in await client.call("doctor")}
    assert found["coordinator"]["level"] == "fail"
    assert found["probe"]["level"] == "warn"
    assert found["results"]["level"] == "warn"
    assert all(one["hint"] for one in found.values() if one["level"] != "ok")
