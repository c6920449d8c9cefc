"""The coordinator's side of coming back: at the enrol door, without a window, for devices that were members before.

Sans decisions: it checks freshness and that the connection's key is the one that is spoken of, and hands the rest to
`decide`. Bounded: `WAITING_MAX` begun conversations (the oldest is forgotten), `AT_ONCE` being decided, `RATE` begun a
second. A device that is refused is told why; one whose owner has to be asked is told to come again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.papers import Bucket
from kindmesh.protocol.codec import decode
from kindmesh.protocol.enrol import EnrolChallenge, EnrolGranted, EnrolPending, EnrolRefused
from kindmesh.protocol.errors import (
    Busy,
    EnrolmentRefused,
    KindmeshError,
    Malformed,
    NeedsApproval,
    Replayed,
    UnsupportedVersion,
    error_to_wire,
)
from kindmesh.protocol.readmit import (
    READMIT_VERSION,
    Readmission,
    ReadmitHello,
    ReadmitMessage,
    ReadmitProof,
    decode_readmit,
)

log = logging.getLogger("kindmesh.mesh.readmit")

WAITING_MAX: Final = 64
AT_ONCE: Final = 8
RATE: Final = 20.0
Decide = Callable[[bytes, ReadmitProof], Awaitable[EnrolGranted]]
"""(connection's CURVE key, what was shown) -> papers; raises `NeedsApproval` when the owner has to be asked."""


class ReadmitHost:
    """`send(hop_key, message)` answers over the door; `close` once."""

    def __init__(
        self, entropy: Entropy, send: Callable[[bytes, ReadmitMessage], None], decide: Decide
    ) -> None:
        self._entropy = entropy
        self._send = send
        self._decide = decide
        self._waiting: OrderedDict[bytes, tuple[ReadmitHello, bytes]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bucket: Bucket | None = None

    def receive(self, hop_key: bytes, data: bytes) -> None:
        """A message from whoever is at the door with that CURVE key."""
        try:
            message = decode_readmit(data)
            if isinstance(message, ReadmitHello):
                self._on_hello(hop_key, message)
            elif isinstance(message, ReadmitProof):
                self._on_proof(hop_key, message)
            else:
                raise Malformed("this message is for devices to hear, not to say")
        except KindmeshError as error:
            self._refuse(hop_key, error)

    async def close(self) -> None:
        """Whoever is being decided about may come again."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_hello(self, hop_key: bytes, hello: ReadmitHello) -> None:
        if hello.version != READMIT_VERSION:
            raise UnsupportedVersion(
                f"the device comes back with version {hello.version}, not {READMIT_VERSION}"
            )
        if hello.curve_pub != hop_key:
            raise EnrolmentRefused("the device came over another connection than it says")
        now = asyncio.get_running_loop().time()
        if self._bucket is None:
            self._bucket = Bucket(RATE, RATE, now)
        if not self._bucket.take(now):
            raise Busy("many devices come back just now; try again")
        nonce = self._entropy.token(32)
        self._waiting[hop_key] = (hello, nonce)
        self._waiting.move_to_end(hop_key)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)
        self._send(hop_key, EnrolChallenge(nonce))

    def _on_proof(self, hop_key: bytes, proof: ReadmitProof) -> None:
        hello, nonce = self._waiting.pop(hop_key, (None, b""))
        # Medulla checks who signed it; what was signed is compared here, where the challenge is known.
        wish = decode(Readmission, proof.wish.payload)
        if hello is None or wish.nonce != nonce or wish.subject != hello.subject:
            raise Replayed("this answers another challenge")
        if len(self._tasks) >= AT_ONCE:
            raise Busy("many devices come back just now; try again")
        task = asyncio.get_running_loop().create_task(self._answer(hop_key, proof), name="readmit")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, hop_key: bytes, proof: ReadmitProof) -> None:
        try:
            self._send(hop_key, await self._decide(hop_key, proof))
        except NeedsApproval:
            self._send(hop_key, EnrolPending())
        except KindmeshError as error:
            self._refuse(hop_key, error)

    def _refuse(self, hop_key: bytes, error: KindmeshError) -> None:
        log.warning("a device was not let in again", extra={"code": error.code})
        self._send(hop_key, EnrolRefused(error_to_wire(error)))


__all__ = ["AT_ONCE", "WAITING_MAX", "Decide", "ReadmitHost"]
