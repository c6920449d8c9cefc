"""Bytes that nobody should send: too large, too deep, cut off, at random, and extensions from the future."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.security.adversary import (
    CLOCK,
    ENTROPY,
    Knocker,
    Raw,
    greeting,
    member,
    relayed,
    utter,
    window,
    written,
)
from tests.security.kit import Watch, canary, household, pids, resident_kib, within
from tests.system.kit import Mole, say

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.enrol import EnrolChallenge
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import BODY_MAX, DEPTH_MAX, FRAME_MAX, HEADER_MAX
from kindmesh.protocol.messages import JobResult, MessageType, Request, Stop

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, and a member whose messages the adversary writes."""
    async with household(tmp_path_factory.mktemp("bytes"), "mole") as lab:
        yield lab


async def answered(mole: Mole, request: Request) -> str:
    """The code of the answer to a request that is written by hand; empty when it worked."""
    frames = written(mole, MessageType.REQUEST, request)
    heard: asyncio.Queue[str] = asyncio.Queue()
    kept = mole.uplink._handlers[int(MessageType.REPLY)]

    def hear(envelope: Any, body: Any) -> None:
        if body.status == "event":
            return
        heard.put_nowait("" if body.status == "ok" else msgspec.msgpack.decode(body.payload)[0])

    mole.uplink.on(MessageType.REPLY, hear)
    try:
        mole.send(frames)
        async with asyncio.timeout(20):
            return await heard.get()
    finally:
        mole.uplink.on(MessageType.REPLY, kept)


async def test_oversized_frames(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        mole.send(written(mole, MessageType.REQUEST, b"\0" * (BODY_MAX + 1)))
        await watch.refuses("MALFORMED")
        mole.send([b"\x9d" + b"\0" * HEADER_MAX, b"s" * 64, b""])
        await watch.refuses("MALFORMED", 2)
        # The author's id is longer than an id; the number larger than a number.
        mole.send(written(mole, MessageType.STOP, Stop(), src=b"s" * 21))
        await watch.refuses("MALFORMED", 3)
        mole.send(written(mole, MessageType.STOP, Stop(), sequence=2**53 + 1))
        await watch.refuses("MALFORMED", 4)
        assert watch.refused() == {"MALFORMED": 4}


async def test_a_frame_above_the_limit_ends_the_connection_before_it_is_read(lab: Lab) -> None:
    trust, key = (mole := Mole(lab.devices["mole"].home, "127.0.0.1:1")).trust, mole.identity.curve
    before = {pid: resident_kib(pid) for pid in pids(lab.desk)}
    async with canary(lab):
        for _ in range(5):
            with Raw(lab.port, trust.coordinator.curve_pub, key) as rude:
                assert await rude.outcome() == "in"
                rude.send(bytes(64 * FRAME_MAX))
                assert await rude.outcome() in ("ended", "refused", "in")
    for pid, kib in before.items():
        assert resident_kib(pid) - kib < 32 * 1024, f"{pid} grew"


async def test_deeply_nested_values(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        for depth in (DEPTH_MAX + 1, 1_000, 100_000):
            for opening in (b"\x91", b"\x81\xa1a", b"\xdd\0\0\0\1", b"\xdf\0\0\0\1\xa1a"):
                params = opening * depth + b"\xc0"
                assert await answered(mole, Request("submit", params)) == "MALFORMED", (depth, opening)
        args = b"\x82\xa4args" + b"\x81\xa1a" * DEPTH_MAX + b"\xc0" + b"\xa9operation\xabdevice.echo"
        assert await answered(mole, Request("submit", args)) == "MALFORMED"


async def test_deep_headers_and_bodies(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        mole.send([b"\x91" * HEADER_MAX, b"s" * 64, b""])
        await watch.refuses("MALFORMED")
        mole.send(written(mole, MessageType.JOB_RESULT, b"\x91" * 100_000))
        await watch.refuses("MALFORMED", 2)
        mole.send(written(mole, MessageType.JOB_RESULT, b"\xdd\xff\xff\xff\xff"))
        await watch.refuses("MALFORMED", 3)
        relayed(mole, [b"\x91" * 500, b"", b""])
        await watch.refuses("MALFORMED", 4)


async def test_truncated_messages(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        whole = written(mole, MessageType.REQUEST, Request("nodes", encode_value({})))
        watch = Watch(lab)
        cuts = [[frame[: len(frame) * part // 7] for frame in whole] for part in range(7)]
        cuts += [whole[:1], whole[:2], [*whole, b"more"]]
        for frames in cuts:
            if frames != [b""] * 3:
                mole.send(frames)
        await watch.refuses("MALFORMED", 3)
        refused = watch.refused()
        assert sum(refused.values()) == len(cuts) - 1, refused
        body = encode(Request("nodes", encode_value({})))
        for end in range(len(body)):
            await utter(mole, written(mole, MessageType.REQUEST, body[:end]))
        await watch.refuses("MALFORMED", 3 + len(body))


async def test_random_messagepack_in_every_type_of_message(lab: Lab) -> None:
    """Signed and valid outside, noise inside; the seed is fixed, so that what is found is found again."""
    noise = random.Random(7)
    async with canary(lab), member(lab, "mole") as mole:
        for type_ in MessageType:
            for _ in range(30):
                body = (
                    random_value(noise, 4) if noise.random() < 0.7 else noise.randbytes(noise.randrange(60))
                )
                await utter(mole, written(mole, type_, body))
        for number in (0, 99, 2**53):
            mole.send(written(mole, number, b"\x90"))  # type: ignore[arg-type]
        for _ in range(200):
            frames = [noise.randbytes(noise.randrange(80)) for _ in range(noise.randrange(1, 6))]
            if frames != [b""]:
                await utter(mole, frames)
        await mole.ask("nodes")


def random_value(noise: random.Random, depth: int) -> bytes:
    """One MessagePack value, of whatever kind."""
    kind = noise.randrange(9 if depth else 7)
    leaves: list[Any] = [
        None, True, noise.randrange(-(2**63), 2**64), noise.random() * 1e300, noise.randbytes(noise.randrange(80)),
        "".join(chr(noise.randrange(1, 0xD7FF)) for _ in range(noise.randrange(10))), float("nan"),
    ]  # fmt: skip
    if kind < 7:
        return msgspec.msgpack.encode(leaves[kind])
    parts = [random_value(noise, depth - 1) for _ in range(noise.randrange(15))]
    if kind == 7:
        return bytes([0x90 + len(parts)]) + b"".join(parts)
    return bytes([0x80 + len(parts) // 2]) + b"".join(parts[: len(parts) // 2 * 2])


async def refused_with(mole: Mole, method: str, params: Any) -> str:
    """The code of the error; empty when there is none."""
    try:
        await mole.ask(method, params)
    except KindmeshError as error:
        return error.code
    return ""


async def test_wrong_requests_are_answered_with_typed_errors(lab: Lab) -> None:
    """Whatever a member asks for, and however it writes it down: an answer, never a crash."""
    noise = random.Random(11)
    methods = (
        "status",
        "submit",
        "call",
        "jobs",
        "job",
        "cancel",
        "approve",
        "revoke",
        "policy.set",
        "artifact.read",
    )
    odd: list[Any] = [
        None, [], "x", -1, 2**63, 1.5, True, b"\0", {"args": {}}, {"id": "\0" * 26}, {"operation": "x" * 81},
        {"operation": "device.echo", "args": []}, {"operation": "device.echo", "args": {"text": b"\xff"}},
        {"operation": "device.echo", "args": {"text": "x"}, "deadline_ms": -1}, {"limit": 10**9}, {"removal": b"\xc1"},
        {"operation": "device.echo", "args": {}, "sources": [{"artifact": "zz"}]}, {"approval": b"\x93"},
        {"artifact": "../../etc/passwd"}, {"policy": b""}, {"operation": "device.echo", "target": "\x1b[2J"},
    ]  # fmt: skip
    async with canary(lab), member(lab, "mole") as mole:
        for method in methods:
            for params in noise.sample(odd, 8):
                code = await refused_with(mole, method, params)
                assert code not in ("INTERNAL", "ERROR", "DEADLINE_EXCEEDED"), (method, params)
        with pytest.raises(InvalidInput):
            await mole.ask("no.such.method")
        with pytest.raises(KindmeshError) as caught:
            await mole.ask("pair.open", {"ttl_ms": 60_000})
        assert caught.value.code == "ACCESS_REFUSED"


async def test_critical_and_other_unknown_extensions(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        job = new_id(CLOCK.now_ms(), ENTROPY.token(10))
        for name, code in (("from.the.future", ""), ("!from.the.future", "UNKNOWN_CRITICAL")):
            ext = {name: encode_value(1)}
            hello = greeting(mole, ext=ext)
            result = JobResult(job, 1, "succeeded", encode_value({}), None, b"", 0, 0, (), ext)
            mole.send(written(mole, MessageType.JOB_RESULT, result))
            mole.send(written(mole, MessageType.HELLO, hello))
            if code:
                await watch.refuses(code, 2)
        await mole.ask("nodes")
        assert watch.refused() == {"UNKNOWN_CRITICAL": 2}


async def test_a_wire_version_that_nobody_speaks(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        frames = written(mole, MessageType.REQUEST, Request("nodes", encode_value({})))
        mole.send([b"\x9d\x63" + frames[0][2:], *frames[1:]])
        await watch.refuses("UNSUPPORTED_VERSION")

        async def greeted() -> bool:
            # Again, because the tests before may have used up what one member may say as a greeting.
            mole.send(written(mole, MessageType.HELLO, greeting(mole, versions=(99,))))
            return watch.refused().get("UNSUPPORTED_VERSION", 0) >= 2

        await within(greeted, "the greeting is refused")
        await watch.refuses("UNSUPPORTED_VERSION", 2)


async def test_noise_at_the_door(lab: Lab) -> None:
    noise = random.Random(13)
    async with canary(lab), window(lab) as door:
        with Knocker(door.invitation) as thief:
            for _ in range(300):
                thief.raw.send(noise.randbytes(noise.randrange(1, 400)))
            thief.raw.send(b"\x91" * 100_000)
            thief.raw.send(*[b"x"] * 8)
            # It has said nothing yet that counts; the door still listens, to it as well.
            assert isinstance(await thief.challenge(), EnrolChallenge)
        assert door.nothing_else()


async def test_noise_on_the_control_socket(lab: Lab) -> None:
    """Another program of the same user: typed errors, and the connection is ended where nothing can be read."""
    path = str(lab.desk.home.socket("coordinator"))
    noise = random.Random(17)
    bodies = [
        b"",
        b"\xc1",
        b"\x93\x01\xa4nope\x90",
        b"\x91" * 70_000,
        b"\x93\x01\xd9\xffx",
        noise.randbytes(300),
    ]
    bodies.append(msgspec.msgpack.encode([1, "x" * 1_000_000, None]))
    async with canary(lab):
        for body in (*bodies, None):
            with socket.socket(socket.AF_UNIX) as connected:
                connected.settimeout(20)
                connected.connect(path)
                data = b"\xff\xff\xff\xff" if body is None else len(body).to_bytes(4, "big") + body
                connected.sendall(data)
                answer = connected.recv(4096)
                assert answer == b"" or msgspec.msgpack.decode(answer[4:])[1] == "error"


async def test_a_stop_with_control_characters_moves_nobodys_terminal(lab: Lab) -> None:
    """What a member says is shown as it is written down, never as what it does to a terminal."""
    async with member(lab, "mole") as mole:
        await mole.ask("stop", {"reason": "\x1b[2J\x1b]0;owned\x07\u202etext"})
        kitchen = lab.devices["kitchen"]

        async def stopped() -> bool:
            return bool(lab.ask("status", device="kitchen", part="node")["stopped"])

        await within(stopped, "the kitchen stopped")
        for words in (("doctor",), ("status",), ("jobs",)):
            running = await kitchen.start(*words)
            out, _ = await running.process.communicate()
            shown = out + running.log.read_bytes()
            assert b"\x1b]0" not in shown, words
            assert b"\x1b[2J" not in shown, words
            assert "\u202e".encode() not in shown, words
        for name in ("kitchen", "desk"):
            assert (await say(lab.devices[name], "stop", "--reset")).code == 0
