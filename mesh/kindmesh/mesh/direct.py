"""Direct links between two nodes, for their streams only, while there are any.

The node that opens a stream listens (at a free port, with the same keys and rules as a coordinator's socket: CURVE, and
only members) and says where in its STREAM_OPEN, signed; the node that acts dials it, and both begin a session with the
signed greeting that every session begins with. Until then, and whenever that fails, the stream goes through the
coordinator, so nothing waits for it. Nothing but streams is taken on such a link: no jobs, no calls, no relaying.
Both ends beat once a second; a link that is silent is given up. Without streams for `IDLE_S` nobody listens or dials.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.streams import Streams
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.uplink import SILENCE_MS, Uplink
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.errors import BadSignature, KindmeshError, PeerUnreachable, TransportError
from kindmesh.protocol.limits import STREAM_ADDRESSES_MAX, STREAMS_MAX
from kindmesh.protocol.messages import Heartbeat, Relay, SessionType

log = logging.getLogger("kindmesh.mesh.direct")

IDLE_S: Final = 30.0
REACH_S: Final = 8.0
"""How long a node is tried; after that its streams go through the coordinator until the next one is opened."""


class DirectDoor(Hub):
    """The listening end; relays nothing, and gives up members that are silent."""

    def __init__(
        self, post: Post, clock: Clock, entropy: Entropy, transport: Transport, address: str
    ) -> None:
        super().__init__(post, clock, entropy, transport, address)
        self._heard: dict[bytes, float] = {}
        self.on_session(SessionType.HEARTBEAT, self._on_heartbeat)

    def _forward(self, dst: bytes, relay: Relay) -> None:
        raise BadSignature("this device does not relay")

    def _send(self, peer: bytes, frames: Sequence[bytes]) -> None:
        try:
            super()._send(peer, frames)
        except PeerUnreachable:
            # Its link has gone, and no silence was needed to know it.
            self._heard.pop(peer, None)
            self.drop(peer)
            raise

    def _on_heartbeat(self, peer: bytes, ref: int, beat: Any) -> None:
        self._heard[peer] = self._clock.monotonic()
        try:
            self.tell(peer, SessionType.HEARTBEAT, beat)
        except TransportError as error:
            log.info("heartbeat not answered", extra={"code": error.code, "peer": peer.hex()[:8]})

    def look(self) -> None:
        """Give up those that are silent, and those that were removed."""
        now = self._clock.monotonic()
        members = self._post.trust.membership
        for peer in list(self._live):
            silent_ms = (now - self._heard.setdefault(peer, now)) * 1000
            if silent_ms > SILENCE_MS or peer in members.revoked:
                self._heard.pop(peer, None)
                self.drop(peer)

    @property
    def used(self) -> bool:
        """Whether anybody has a session."""
        return bool(self._live)


class DirectDial(Uplink):
    """The dialling end, to one node. What it says of time and addresses is not remembered: it is no coordinator."""

    def __init__(
        self, post: Post, clock: MeshClock, entropy: Entropy, transport: Transport, *, scheme: str,
        peer: Certificate, addresses: Sequence[str],
    ) -> None:  # fmt: skip
        self._peer = peer
        super().__init__(post, clock, entropy, transport, scheme=scheme)
        self._known = list(addresses)
        self.begun = self.used = clock.monotonic()

    @property
    def _target(self) -> Certificate:
        return self._peer

    def _remember(self, *, addresses: tuple[str, ...] | None = None, floor_ms: int | None = None) -> None:
        """Nothing."""

    def _learn_time(self, clock_ms: int) -> None:
        """Nothing: only the coordinator says what time it is."""

    def beat(self, number: int) -> None:
        """Say that this end lives."""
        if self.connected(self._peer.subject):
            try:
                self.tell(
                    self._peer.subject,
                    SessionType.HEARTBEAT,
                    Heartbeat(number, self._clock.now_ms(), None, self._post.trust.known, 0),
                )
            except TransportError as error:
                log.info("heartbeat not sent", extra={"code": error.code})


class DirectLinks:
    """Both ends' links of one node; `tick` once a heartbeat, `close` once. `places` turns the address where the door
    listens into what others may dial."""

    def __init__(
        self,
        streams: Streams,
        post: Post,
        clock: MeshClock,
        entropy: Entropy,
        transport: Transport,
        *,
        scheme: str,
        listen: str,
        places: Callable[[str], Sequence[str]],
    ) -> None:
        self._streams = streams
        self._post = post
        self._clock = clock
        self._entropy = entropy
        self._transport = transport
        self._scheme = scheme
        self._listen = listen
        self._places = places
        self._door: DirectDoor | None = None
        self._dials: dict[bytes, DirectDial] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._used = clock.monotonic()
        self._beats = 0
        self._closed = False
        streams.on_addresses = self.reach

    async def listen(self) -> tuple[str, ...]:
        """Where this node takes direct links from now on; empty when it cannot."""
        self._used = self._clock.monotonic()
        if self._door is None and not self._closed:
            door = DirectDoor(self._post, self._clock, self._entropy, self._transport, self._listen)
            # Set before anything is awaited: two streams that are opened at once share one door.
            self._door = door
            self._streams.attach(door)
            try:
                await door.start()
            except KindmeshError as error:
                log.warning("no direct links", extra={"code": error.code})
                self._streams.detach(door)
                self._door = None
        return () if self._door is None else tuple(self._places(self._door.address))[:STREAM_ADDRESSES_MAX]

    def reach(self, peer: bytes, addresses: Sequence[str]) -> None:
        """Try to reach a node at these addresses, in the background."""
        own = self._post.identity.device_id
        if self._closed or peer == own or peer in self._dials or len(self._dials) >= STREAMS_MAX:
            return
        try:
            certificate = self._post.trust.membership.get(peer)
        except KindmeshError as error:
            log.info("not dialled", extra={"code": error.code})
            return
        dial = DirectDial(
            self._post, self._clock, self._entropy, self._transport, scheme=self._scheme, peer=certificate,
            addresses=addresses,
        )  # fmt: skip
        self._dials[peer] = dial
        dial.on_session(SessionType.HEARTBEAT, lambda peer, ref, beat: None)
        self._streams.attach(dial)
        self._spawn(dial.start())

    def tick(self) -> None:
        """Beat, and give up what is silent, not reached or not used."""
        self._beats += 1
        now = self._clock.monotonic()
        wanted = {stream.peer for stream in self._streams.open_streams}
        if wanted:
            self._used = now
        if self._door is not None:
            self._door.look()
            if now - self._used > IDLE_S and not self._door.used:
                door, self._door = self._door, None
                self._streams.detach(door)
                self._spawn(door.close())
        for peer, dial in list(self._dials.items()):
            dial.beat(self._beats)
            if peer in wanted:
                dial.used = now
            late = now - dial.begun > REACH_S and not dial.connected(peer)
            if late or now - dial.used > IDLE_S or peer in self._post.trust.membership.revoked:
                if late:
                    log.info("no direct way", extra={"peer": peer.hex()[:8]})
                del self._dials[peer]
                self._streams.detach(dial)
                self._spawn(dial.close())

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="direct")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Free everything."""
        self._closed = True
        for dial in self._dials.values():
            await dial.close()
        self._dials.clear()
        if self._door is not None:
            await self._door.close()
        if self._tasks:
            await asyncio.wait(self._tasks)


__all__ = ["DirectDial", "DirectDoor", "DirectLinks"]
