"""The adversary: keys and sockets of its own, on the loopback network, against real processes.

| helper | what it has |
|---|---|
| `Raw` | a bare ZeroMQ socket: any mechanism, any key, any frames |
| `Member` | the folder of a paired device: its identity, its live session, and every frame it ever sent |
| `Knocker` | an invitation (right or wrong), step by step, at the door |
| `Proxy` | a place between two ends of a TCP connection: it passes on, changes, or plays the server with its own key |
| `hijacked` | the coordinator's own folder and place |

What a member signs it signs with `written`, which lets every field of the header be something else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import zmq
from tests.system.kit import PATIENCE_S, Mole

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import Owner, unlock_owner
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.enrol import (
    DEVICE_DOMAIN,
    DONE_DOMAIN,
    ENROL_VERSION,
    EnrolChallenge,
    EnrolDone,
    EnrolHello,
    EnrolMessage,
    EnrolProof,
    EnrolRefused,
    Invitation,
    OfferSummary,
    check_code,
    decode_message,
    invitation_from_text,
    nonce_commitment,
    proof_mac,
    transcript,
)
from kindmesh.protocol.envelope import make_envelope
from kindmesh.protocol.errors import BackPressure, KindmeshError
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import WIRE_VERSIONS
from kindmesh.protocol.messages import Hello, MessageType, Relay, SessionType
from kindmesh.protocol.signed import Signed

ENTROPY = SystemEntropy()
CLOCK = SystemClock()


def fresh_key() -> CurveKey:
    """A CURVE key that nobody knows."""
    return CurveKey(ENTROPY.token(32))


def fresh_identity() -> Identity:
    """A device that nobody knows."""
    return Identity(SigningKey(ENTROPY.token(32)), fresh_key(), 1, ENTROPY.token(8))


# ---------------------------------------------------------------------------------------------------- bare sockets

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Raw:
    """A bare DEALER. `key` None speaks NULL; `plain` speaks PLAIN with that name; `name` is a chosen routing id."""

    def __init__(
        self,
        port: int,
        server_key: bytes = b"",
        key: CurveKey | None = None,
        *,
        plain: str = "",
        name: bytes = b"",
        high_water: int = 1000,
    ) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = high_water
        if name:
            self.socket.routing_id = name
        if key is not None:
            self.socket.curve_secretkey, self.socket.curve_publickey = key.secret, key.public
            self.socket.curve_serverkey = server_key
        elif plain:
            self.socket.plain_username, self.socket.plain_password = plain.encode(), b"secret"
        self._monitor = self.socket.get_monitor_socket()
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    async def outcome(self) -> str:
        """How the handshake ended: "in", "refused", or "ended" (the other side hung up)."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if not self._monitor.poll(0):
                    await asyncio.sleep(0.01)
                    continue
                event = int.from_bytes(self._monitor.recv_multipart()[0][:2], "little")
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    return "in"
                if event & FAILED:
                    return "refused"
                if event == zmq.EVENT_DISCONNECTED:
                    return "ended"

    def send(self, *frames: bytes) -> None:
        """Without waiting; raises zmq.Again when nothing can be sent."""
        self.socket.send_multipart(list(frames), zmq.NOBLOCK)

    async def receive(self, seconds: float = PATIENCE_S) -> list[bytes]:
        """The next message; TimeoutError when there is none in time."""
        async with asyncio.timeout(seconds):
            while True:
                if self.socket.poll(0):
                    return list(self.socket.recv_multipart())
                await asyncio.sleep(0.01)

    def close(self) -> None:
        """Free it."""
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def open_tcp(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Connections that never say anything, as many of `count` as are accepted within a second."""

    async def one() -> asyncio.StreamWriter | None:
        with contextlib.suppress(OSError, TimeoutError):
            return (await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1.0))[1]
        return None

    return [writer for writer in await asyncio.gather(*(one() for _ in range(count))) if writer is not None]


# --------------------------------------------------------------------------------------------------------- members


@asynccontextmanager
async def member(lab: Lab, name: str) -> AsyncIterator[Mole]:
    """A paired device in the adversary's hands, with a live session to the coordinator."""
    async with Mole(lab.devices[name].home, f"127.0.0.1:{lab.port}") as mole:
        yield mole


def written(mole: Mole, type_: MessageType, body: bytes | msgspec.Struct, **changes: Any) -> list[bytes]:
    """A message of the member to the coordinator as it would really write it, with `changes` to its header; `key`
    signs it instead of the member's own."""
    identity, now_ms = mole.identity, mole.clock.now_ms()
    key = changes.pop("key", identity.signing)
    fields: dict[str, Any] = {
        "message_id": new_id(now_ms, ENTROPY.token(10)),
        "src": identity.device_id,
        "dst": mole.coordinator,
        "boot": identity.boot,
        "tag": identity.tag,
        "issued_ms": now_ms,
        **changes,
    }
    if "sequence" not in fields:
        fields["sequence"] = identity.next_sequence()
    encoded = body if isinstance(body, bytes) else encode(body)
    return make_envelope(key, type_=int(type_), body=encoded, **fields)


async def utter(mole: Mole, frames: Sequence[bytes]) -> None:
    """Send, and wait while the link is full."""
    while True:
        try:
            mole.send(frames)
        except BackPressure:
            await asyncio.sleep(0.01)
        else:
            return


def greeting(mole: Mole, certificate: Signed | None = None, **changes: Any) -> Hello:
    """A hello as the member would say it, with that certificate or its own."""
    made = Hello(
        certificate or mole.trust.signed_certificate, fresh_key().public, ENTROPY.token(32), WIRE_VERSIONS,
        mole.trust.known, CLOCK.now_ms(),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def relayed(mole: Mole, frames: Sequence[bytes]) -> None:
    """Hand a message to the coordinator in custody, as one that was stored and is forwarded now."""
    mole.uplink.tell(mole.coordinator, SessionType.RELAY, Relay((frames[0], frames[1], frames[2])))


# -------------------------------------------------------------------------------------------------------- the door


class Window:
    """One open pairing window of the coordinator, and the owner who answers it."""

    def __init__(self, lab: Lab, client: AsyncControlClient, nonces: AsyncControlClient) -> None:
        self.lab = lab
        self._client, self._nonces = client, nonces
        self._answering: set[asyncio.Future[Any]] = set()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.invitation: Invitation
        self._owner: Owner | None = None
        self._task: asyncio.Task[Any] | None = None

    async def open(self, ttl_ms: int = 60_000) -> None:
        """Open it and read its invitation."""
        work = self._client.call("pair.open", {"ttl_ms": ttl_ms}, on_event=self._hear)
        self._task = asyncio.ensure_future(work)
        self.invitation = invitation_from_text((await self.next("window"))["text"])

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] != "hello":
            self._events.put_nowait(event)
            return
        # The owner's program answers every hello with a nonce of its own.
        answer = self._nonces.call("pair.challenge", {"knock": event["knock"], "nonce": ENTROPY.token(32)})
        task = asyncio.ensure_future(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def next(self, event: str) -> dict[str, Any]:
        """The next event of that name; nothing else may come before it."""
        async with asyncio.timeout(PATIENCE_S):
            found = await self._events.get()
        assert found["event"] == event, found
        return found

    def nothing_else(self) -> bool:
        """Whether nobody knocked and nothing failed since the last event."""
        return self._events.empty()

    async def closed(self) -> str:
        """Why it closed, once it did."""
        assert self._task is not None
        async with asyncio.timeout(PATIENCE_S):
            reason: str = (await self._task)["reason"]
        return reason

    async def allow(self, knock: dict[str, Any]) -> None:
        """The owner says yes to that knock."""
        if self._owner is None:
            self._owner = await asyncio.to_thread(
                unlock_owner, self.lab.desk.home, self.lab.environment["KINDMESH_PASSPHRASE"]
            )
        grant = self._owner.sign_grant(
            name=knock["name"], ed_pub=knock["ed_pub"], curve_pub=knock["curve_pub"]
        )
        await self._client.call("pair.answer", {"knock": knock["knock"], "grant": encode(grant)})

    async def shut(self) -> None:
        """Close it by hand."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def window(lab: Lab, ttl_ms: int = 60_000) -> AsyncIterator[Window]:
    """An open window for the block."""
    client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
    nonces = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
    found = Window(lab, client, nonces)
    try:
        await found.open(ttl_ms)
        yield found
    finally:
        await found.shut()
        await client.close()
        await nonces.close()


class Knocker:
    """Somebody at the door with an invitation; every step can be done wrongly."""

    def __init__(
        self, invitation: Invitation, identity: Identity | None = None, name: str = "stranger"
    ) -> None:
        self.invitation = invitation
        self.identity = identity or fresh_identity()
        self.name = name
        port = int(invitation.hints[0].rpartition(":")[2])
        self.raw = Raw(port, invitation.curve_pub, self.identity.curve)
        self.nonce = ENTROPY.token(32)
        self.hello = EnrolHello(
            version=ENROL_VERSION, ed_pub=self.identity.signing.public, curve_pub=self.identity.curve.public,
            name=name, role=invitation.role, offers=(OfferSummary("device", "Device", 1),),
            commitment=nonce_commitment(self.nonce),
        )  # fmt: skip
        self.agreed = b""

    @property
    def code(self) -> str:
        """What this device would show."""
        return check_code(self.agreed)

    async def ask(self, message: EnrolMessage) -> EnrolMessage:
        """Send, and the answer."""
        self.raw.send(encode(message))
        return await self.answer()

    async def answer(self) -> EnrolMessage:
        """The next thing the door says."""
        return decode_message((await self.raw.receive())[0])

    async def challenge(self) -> EnrolMessage:
        """Say hello; the answer. Afterwards a proof can be made."""
        answer = await self.ask(self.hello)
        if isinstance(answer, EnrolChallenge):
            self.agreed = transcript(self.invitation, self.hello, answer, self.nonce)
        return answer

    def proof(self, key: SigningKey | None = None) -> EnrolProof:
        """The proof that this invitation's secret makes."""
        signature = (key or self.identity.signing).sign(DEVICE_DOMAIN + self.agreed)
        return EnrolProof(proof_mac(self.invitation, self.agreed), signature, self.nonce)

    async def knock(self) -> EnrolMessage:
        """Hello and proof; what the door says to it."""
        answer = await self.challenge()
        return answer if isinstance(answer, EnrolRefused) else await self.ask(self.proof())

    async def done(self) -> EnrolMessage:
        """Confirm the papers."""
        return await self.ask(EnrolDone(self.identity.signing.sign(DONE_DOMAIN + self.agreed)))

    def close(self) -> None:
        """Go away."""
        self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refusal(answer: EnrolMessage) -> str:
    """The code of a refusal at the door; empty when it is none."""
    return answer.error.code if isinstance(answer, EnrolRefused) else ""


# ------------------------------------------------------------------------------------------------------ in between


class Proxy:
    """Passes bytes between whoever connects and `port`; `change(data, towards_server)` may alter what passes."""

    def __init__(self, port: int, change: Callable[[bytes, bool], bytes] = lambda data, _: data) -> None:
        self._to = port
        self._change = change
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.seen = bytearray()
        """All that passed, both ways."""
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers.append(there_writer)
        await asyncio.gather(self._pass(reader, there_writer, True), self._pass(there_reader, writer, False))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, towards: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.seen += data
                writer.write(self._change(data, towards))
                await writer.drain()
        writer.close()


class Pretender:
    """A ROUTER under a CURVE key of the adversary's own, where the coordinator is expected."""

    def __init__(self, key: CurveKey | None = None) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.key = key or fresh_key()
        self.socket.curve_server, self.socket.curve_secretkey = True, self.key.secret
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def heard(self) -> bool:
        """Whether anybody said anything that it could read."""
        return bool(self.socket.poll(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close(0)
        self._context.term()


def error_code(action: Callable[[], Any]) -> str:
    """The code of the typed error that it raises; empty when it works."""
    try:
        action()
    except KindmeshError as error:
        return error.code
    return ""


def secret_files(root: Path) -> list[Path]:
    """The files of a state folder that hold keys."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.suffix in (".key", ".seed"))
