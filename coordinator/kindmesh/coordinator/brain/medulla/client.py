"""How the coordinator asks Medulla: one connection, any number of requests at once, replies paired by number.

Requests of one turn of the loop leave in one write, so that Medulla sees them as one batch. Fails closed: no answer is
never a yes. When the connection ends, everything unanswered fails with `PeerUnreachable` and the next request connects
anew; a permit that was lost on the way was never used, so asking again is safe.
"""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio import Protocol as StreamProtocol
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.look_messages import Look, Looked
from kindmesh.mesh.home import Home
from kindmesh.protocol.anchors import MeshBundle
from kindmesh.protocol.audit import AuditNews
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.errors import (
    KindmeshError,
    Malformed,
    NotRunning,
    PeerUnreachable,
    WireError,
    error_from_wire,
)
from kindmesh.protocol.signed import Signed

T = TypeVar("T", bound=msgspec.Struct)
OnReply: TypeAlias = Callable[[m.Reply | KindmeshError], None]
"""Called once: with the frame that came, or with why none will."""

SOCKET_VARIABLE: Final = "KINDMESH_SOCKET_OF_MEDULLA"
"""Environment variable with the socket's path, set by the launcher where it differs from the usual one."""

ANSWER_S: Final = 30.0
"""How long Medulla may take to answer."""

_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(m.Reply).decode


def medulla_socket(home: Home) -> Path:
    """Where Medulla listens."""
    chosen = os.environ.get(SOCKET_VARIABLE, "")
    return Path(chosen) if chosen else home.socket("medulla")


def _frame(number: int, method: str, params: msgspec.Struct) -> bytes:
    body = _encode((number, method, params))
    return len(body).to_bytes(4, "big") + body


def _payload(reply: m.Reply, type_: type[T]) -> T:
    try:
        if reply.status == "ok":
            return msgspec.msgpack.decode(reply.payload, type=type_)
        error = msgspec.msgpack.decode(reply.payload, type=WireError)
    except msgspec.MsgspecError as broken:
        raise Malformed("Medulla's answer cannot be read") from broken
    raise error_from_wire(error)


class MedullaClient(StreamProtocol):
    """See the module. Use it from one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._incoming = bytearray()
        self._outgoing: list[bytes] = []
        self._waiting: dict[int, OnReply] = {}
        self._number = 0

    @property
    def connected(self) -> bool:
        """Whether `permit_soon` may be used."""
        return self._transport is not None

    async def connect(self) -> None:
        """Connect if not connected.

        Raises:
            NotRunning: Medulla is not there.
        """
        if self._transport is not None:
            return
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        task = self._connecting
        try:
            await asyncio.shield(task)
        finally:
            if task.done():
                self._connecting = None

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: self, os.fspath(self._path))
        except OSError as error:
            raise NotRunning("Medulla is not running, so nothing can be permitted") from error

    async def permit(self, request: m.PermitRequest) -> m.Verdict:
        """Judge one step."""
        return await self.call("permit", request, m.Verdict)

    async def review(self, plan: m.PlanReview) -> m.PlanVerdict:
        """Hear what would be said of a whole plan."""
        return await self.call("review", plan, m.PlanVerdict)

    async def look(self, wanted: Look) -> Looked:
        """Hear whether who asks may know how things are."""
        return await self.call("look", wanted, Looked)

    def permit_soon(
        self, request: m.PermitRequest, done: Callable[[m.Verdict | KindmeshError], None]
    ) -> None:
        """Judge one step while `connected`; `done` is called once, in the turn in which the answer comes."""
        self._send("permit", request, partial(_hand_over, done))

    async def approve(self, approval: Signed, epoch: int = 0) -> m.Verdict:
        """Pass on the owner's signed answer."""
        return await self.call("approve", m.Approve(approval, epoch), m.Verdict)

    async def issue(self, grant: Signed) -> m.Issued:
        """Have a key certified against the owner's signed grant."""
        return await self.call("issue", m.Issue(grant), m.Issued)

    async def learn(
        self,
        *,
        bundles: tuple[MeshBundle, ...] = (),
        rosters: tuple[Signed, ...] = (),
        revocations: tuple[Signed, ...] = (),
        policy: Signed | None = None,
    ) -> m.Learned:
        """Pass on what others decided."""
        return await self.call("learn", m.Learn(bundles, rosters, revocations, policy), m.Learned)

    async def readmit(self, wish: Signed, certificate: Signed) -> m.Issued:
        """Have a member of before certified anew."""
        return await self.call("readmit", m.Readmit(wish, certificate), m.Issued)

    async def renew(self, renewal: Signed) -> m.Issued:
        """Have a certificate renewed."""
        return await self.call("renew", m.Renew(renewal), m.Issued)

    async def revoke(self, removal: Signed) -> m.Trust:
        """Have a member removed."""
        return await self.call("revoke", m.Revoke(removal), m.Trust)

    async def hold(self, subject: bytes) -> m.Held:
        """Have a member held to {read, notify}; who is held then."""
        return await self.call("hold", m.Hold(subject), m.Held)

    async def release(self, release: Signed) -> m.Held:
        """Pass on the owner's word that a held member is one device."""
        return await self.call("release", m.LetGo(release), m.Held)

    async def install_policy(self, policy: Signed) -> m.Trust:
        """Have a policy taken over."""
        return await self.call("policy", m.Install(policy), m.Trust)

    async def advertise(self, advert: Signed) -> m.Advertised:
        """Pass on a device's signed advert."""
        return await self.call("advert", m.Advertise(advert), m.Advertised)

    async def raises(self) -> m.Raises:
        """What devices offer beyond what they were granted."""
        return await self.call("raises", m.RaisesWanted(), m.Raises)

    async def decline(self, subject: bytes, capabilities: tuple[CapabilityGrant, ...]) -> m.Raises:
        """Have the owner's no to these effects remembered."""
        return await self.call("decline", m.Decline(subject, capabilities), m.Raises)

    async def trust(self) -> m.Trust:
        """Roster, revocations and policy, signed and fresh."""
        return await self.call("trust", m.TrustWanted(), m.Trust)

    async def status(self) -> m.Status:
        """Versions, counters, isolation."""
        return await self.call("status", m.StatusWanted(), m.Status)

    async def log_page(self, after: int = 0, limit: int = 100) -> m.LogPage:
        """Entries of Medulla's audit log."""
        return await self.call("log", m.LogQuery(after, limit), m.LogPage)

    async def audit_news(self, seen: int) -> AuditNews | None:
        """The newest head of Medulla's audit log for somebody who remembers it at size `seen`."""
        return (await self.call("audit", m.AuditWanted(seen), m.AuditNow)).news

    async def call(self, method: str, params: msgspec.Struct, answer: type[T]) -> T:
        """Any method; see `messages`.

        Raises:
            NotRunning, PeerUnreachable: no answer, or none within `ANSWER_S`; nothing is permitted.
            KindmeshError: Medulla's refusal.
        """
        await self.connect()
        future: asyncio.Future[m.Reply] = asyncio.get_running_loop().create_future()
        number = self._send(method, params, partial(_resolve, future))
        try:
            async with asyncio.timeout(ANSWER_S):
                return _payload(await future, answer)
        except TimeoutError as error:
            raise PeerUnreachable(
                "Medulla does not answer", hint="kindmesh doctor says how it is."
            ) from error
        finally:
            self._waiting.pop(number, None)

    def _send(self, method: str, params: msgspec.Struct, done: OnReply) -> int:
        self._number += 1
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(_frame(self._number, method, params))
        self._waiting[self._number] = done
        return self._number

    def close(self) -> None:
        """Disconnect; unanswered requests fail."""
        if self._transport is not None:
            self._transport.close()
        self._lost()

    def _flush(self) -> None:
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if self._transport is not None:
            self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """For asyncio."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._incoming.clear()

    def data_received(self, data: bytes) -> None:
        """For asyncio."""
        incoming = self._incoming
        incoming += data
        position = 0
        while len(incoming) - position >= 4:
            length = int.from_bytes(incoming[position : position + 4], "big")
            if len(incoming) - position - 4 < length:
                break
            body = bytes(incoming[position + 4 : position + 4 + length])
            position += 4 + length
            self._answered(body)
        del incoming[:position]

    def _answered(self, body: bytes) -> None:
        try:
            reply = _decode_reply(body)
        except msgspec.MsgspecError:
            self.close()
            return
        done = self._waiting.pop(reply.id, None)
        if done is not None:
            done(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """For asyncio."""
        self._lost()

    def _lost(self) -> None:
        self._transport = None
        self._outgoing.clear()
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(PeerUnreachable("Medulla ended before it answered", hint="It is being restarted."))


def _resolve(future: asyncio.Future[m.Reply], reply: m.Reply | KindmeshError) -> None:
    if future.done():
        return
    if isinstance(reply, KindmeshError):
        future.set_exception(reply)
    else:
        future.set_result(reply)


def _hand_over(done: Callable[[m.Verdict | KindmeshError], None], reply: m.Reply | KindmeshError) -> None:
    answer: m.Verdict | KindmeshError
    try:
        answer = reply if isinstance(reply, KindmeshError) else _payload(reply, m.Verdict)
    except KindmeshError as error:
        answer = error
    done(answer)


def medulla_call(
    path: Path, method: str, params: msgspec.Struct, answer: type[T], *, timeout_s: float = 10.0
) -> T:
    """One request without an event loop, for the launcher, `doctor` and tests.

    Raises:
        NotRunning, PeerUnreachable: no answer.
        KindmeshError: Medulla's refusal.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.settimeout(timeout_s)
        try:
            connected.connect(os.fspath(path))
        except OSError as error:
            raise NotRunning("Medulla is not running") from error
        try:
            connected.sendall(_frame(1, method, params))
            body = _exactly(connected, int.from_bytes(_exactly(connected, 4), "big"))
        except OSError as error:
            raise PeerUnreachable("Medulla did not answer") from error
    try:
        reply = _decode_reply(body)
    except msgspec.MsgspecError as error:
        raise Malformed("Medulla's answer cannot be read") from error
    return _payload(reply, answer)


def _exactly(connected: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connected.recv(min(65_536, size - len(data)))
        if not piece:
            raise PeerUnreachable("Medulla closed the connection")
        data += piece
    return bytes(data)


__all__ = ["ANSWER_S", "SOCKET_VARIABLE", "MedullaClient", "medulla_call", "medulla_socket"]
