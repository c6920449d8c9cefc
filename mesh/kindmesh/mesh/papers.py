"""The papers' endpoint: a small TCP service beside the mesh socket that gives signed public papers, and nothing else.

Who asks says which mesh it means (its 20-byte id); whoever does not know it is answered by silence. One question a
connection, one answer, then it is closed. Bounded in every way: `OPEN_MAX` connections at once, `RATE` answers a second
over all and a fraction of it for one address, `ASK_S` for the whole. The asking side bounds time and size the same way,
and believes only what the pinned mesh id vouches for (`protocol.papers`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kindmesh.mesh.addresses import ANY, parse_address
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import AddressInUse, Malformed, PeerUnreachable
from kindmesh.protocol.papers import PAPERS_ASK, PAPERS_MAX, MeshPapers, ReadPapers, read_papers

log = logging.getLogger("kindmesh.mesh.papers")

PORT_AFTER_MESH: Final = 2
"""The endpoint's port, counted from the mesh socket's (the enrol door is between them)."""
OPEN_MAX: Final = 32
RATE: Final = 50.0
RATE_EACH: Final = 5.0
"""Answers a second; one address may use up ten at once."""
BURST: Final = 10.0
ASKERS_MAX: Final = 1_024
ASK_S: Final = 3.0
_ASK_BYTES: Final = len(PAPERS_ASK) + 20


class Bucket:
    """A token bucket: `rate` a second, `burst` at most; `take(now_s)` says whether one more is allowed."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, burst, now_s

    def take(self, now_s: float) -> bool:
        """Use one; False when there is none."""
        self._left = min(self._burst, self._left + (now_s - self._at) * self._rate)
        self._at = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class PapersServer:
    """Serves at `address` ("tcp://host:port") what `papers` gives for `mesh`; `start` and `close` once each."""

    def __init__(self, address: str, mesh: bytes, papers: Callable[[], MeshPapers]) -> None:
        self._address = parse_address(address)
        self._mesh = mesh
        self._papers = papers
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._all: Bucket | None = None
        self._each: OrderedDict[str, Bucket] = OrderedDict()
        self._last: tuple[MeshPapers | None, bytes] = (None, b"")
        self.answered = 0
        """How many were given the papers."""

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            return self._address.port
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def start(self) -> None:
        """Bind.

        Raises:
            AddressInUse: the port is taken, or the address is not this machine's.
        """
        host = None if self._address.host == ANY else self._address.host
        try:
            self._server = await asyncio.start_server(
                self._connected, host, self._address.port, limit=_ASK_BYTES
            )
        except OSError as error:
            raise AddressInUse(f"the papers cannot be given at {self._address}: {error.strerror}") from error

    async def close(self) -> None:
        """Stop listening; who is being answered is cut off."""
        if self._server is not None:
            self._server.close()
            for task in list(self._open):
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if len(self._open) >= OPEN_MAX or not self._allowed(str(peer[0]) if peer else ""):
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._answer(reader, writer), name="papers")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    def _allowed(self, host: str) -> bool:
        now = asyncio.get_running_loop().time()
        if self._all is None:
            self._all = Bucket(RATE, RATE, now)
        bucket = self._each.get(host)
        if bucket is None:
            bucket = self._each[host] = Bucket(RATE_EACH, BURST, now)
            if len(self._each) > ASKERS_MAX:
                self._each.popitem(last=False)
        self._each.move_to_end(host)
        return bucket.take(now) and self._all.take(now)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_S):
                asked = await reader.readexactly(_ASK_BYTES)
                if asked == PAPERS_ASK + self._mesh:
                    data = self._encoded()
                    writer.write(len(data).to_bytes(4, "big") + data)
                    await writer.drain()
                    self.answered += 1
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            log.info("papers were not given", extra={"reason": type(error).__name__})
        finally:
            writer.transport.abort()

    def _encoded(self) -> bytes:
        papers = self._papers()
        if papers != self._last[0]:
            self._last = (papers, encode(papers))
        return self._last[1]


async def ask_papers(address: str, mesh: bytes) -> ReadPapers:
    """The papers that whoever is at `address` (`host:port` of the endpoint) has of this mesh, checked against its id.

    Raises:
        PeerUnreachable: nobody there, no answer in time, or nobody of this mesh.
        Malformed, UnsupportedVersion, CertificateRefused: the answer is none, or not of this mesh.
        ConfigError: no address.
    """
    place = parse_address("tcp://" + address)
    try:
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_connection(place.host, place.port)
            try:
                writer.write(PAPERS_ASK + mesh)
                length = int.from_bytes(await reader.readexactly(4), "big")
                if length > PAPERS_MAX:
                    raise Malformed(f"papers of {length} bytes where at most {PAPERS_MAX} are allowed")
                data = await reader.readexactly(length)
            finally:
                writer.transport.abort()
    except (TimeoutError, OSError, UnicodeError, asyncio.IncompleteReadError) as error:
        raise PeerUnreachable(f"nobody at {address} has papers of this mesh") from error
    return read_papers(data, mesh)


def papers_address(mesh_address: str) -> str:
    """Where the papers are, next to a mesh socket at `host:port`; empty when there is no such port."""
    host, _, port = mesh_address.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) + PORT_AFTER_MESH <= 65_535:
        return ""
    return f"{host}:{int(port) + PORT_AFTER_MESH}"


__all__ = ["PORT_AFTER_MESH", "Bucket", "PapersServer", "ask_papers", "papers_address"]
