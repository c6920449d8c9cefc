"""The coordinator's door: a socket of its own that speaks only the enrolment messages, while a window is open.

The driver of `PairingMachine`: it listens (any CURVE key may connect, since a stranger has none that we know), decodes,
lets the machine decide, sends, and tells `watch` what the owner should see. Outside a window nobody is admitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.pairing_machine import Closed, Failed, Instruction, Knocked, Paired, PairingMachine, Send
from kindmesh.mesh.readmit_host import Decide, ReadmitHost
from kindmesh.mesh.transport import Listener, Transport
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.enrol import EnrolGranted, EnrolMessage, Invitation, decode_message
from kindmesh.protocol.errors import AlreadyInitialised, KindmeshError, NotRunning, TransportError
from kindmesh.protocol.limits import PAIR_SECRET, PAIR_WINDOW_MAX_MS
from kindmesh.protocol.readmit import READMIT, ReadmitMessage

log = logging.getLogger("kindmesh.mesh.enrol")

WindowEvent = Knocked | Failed | Paired | Closed
Watcher = Callable[[WindowEvent], None]


class EnrolHost:
    """Opens one window at a time on `address` with the coordinator's CURVE key."""

    def __init__(
        self, clock: Clock, entropy: Entropy, transport: Transport, address: str, curve: CurveKey
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._transport = transport
        self._address = address
        self._curve = curve
        self._listener: Listener | None = None
        self._machine: PairingMachine | None = None
        self._watch: Watcher | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._speaking = False
        self._returning: ReadmitHost | None = None

    @property
    def address(self) -> str:
        """Where the door is, once `start` was called."""
        return self._listener.address if self._listener is not None else self._address

    async def start(self) -> None:
        """Bind.

        Raises:
            AddressInUse, ConfigError.
        """
        self._listener = self._transport.listen(self._address, self._curve, self._admit)
        await self._listener.start(self._receive)

    @property
    def is_open(self) -> bool:
        """Whether a window is open."""
        return self._machine is not None and self._machine.open

    async def rekey(self, curve: CurveKey) -> None:
        """From now on prove another CURVE key; not while a window is open, whose invitation names the old one.

        Raises:
            AddressInUse, ConfigError: the address could not be taken again.
        """
        self._curve = curve
        if self._listener is not None:
            self._address = self._listener.address
            await self._listener.close()
            await self.start()

    async def close(self) -> None:
        """Close the window and the socket."""
        self.shut()
        if self._returning is not None:
            await self._returning.close()
        if self._listener is not None:
            await self._listener.close()

    def open(
        self, *, mesh: bytes, ed_pub: bytes, hints: Sequence[str], role: str, ttl_ms: int, watch: Watcher
    ) -> Invitation:
        """Open a window for `ttl_ms` (at most 15 minutes) and give its invitation; `watch` is told what happens.

        Raises:
            AlreadyInitialised: a window is open.
        """
        if self._machine is not None and self._machine.open:
            raise AlreadyInitialised("a pairing window is open already", hint="Use it, or close it first.")
        ttl_ms = min(ttl_ms, PAIR_WINDOW_MAX_MS)
        expires_ms = self._clock.now_ms() + ttl_ms
        invitation = Invitation(
            version=1,
            mesh=mesh,
            ed_pub=ed_pub,
            curve_pub=self._curve.public,
            hints=tuple(hints),
            secret=self._entropy.token(PAIR_SECRET),
            expires_s=expires_ms // 1000,
            role=role,
        )
        self._machine, self._watch = PairingMachine(invitation, expires_ms), watch
        self._timer = asyncio.get_running_loop().call_later(ttl_ms / 1000, self._expire)
        return invitation

    def shut(self) -> None:
        """Close the window, if one is open."""
        if self._machine is not None:
            self._carry_out(self._machine.close())

    def grant(self, hop_key: bytes, papers: EnrolGranted) -> None:
        """Let the waiting device in.

        Raises:
            NotRunning: no window. UnknownMember, InvalidTransition: nobody waits there.
        """
        self._carry_out(self._window().grant(hop_key, papers))

    def refuse(self, hop_key: bytes, error: KindmeshError) -> None:
        """Turn the waiting device away.

        Raises:
            NotRunning, UnknownMember, InvalidTransition.
        """
        self._carry_out(self._window().refuse(hop_key, error))

    def _window(self) -> PairingMachine:
        if self._machine is None or not self._machine.open:
            raise NotRunning("no pairing window is open", hint="Open one with kindmesh pair.")
        return self._machine

    def take_back(self, decide: Decide) -> None:
        """From now on, also hear devices that were members before, without a window; `decide` about each."""
        self._returning = ReadmitHost(self._entropy, self._tell, decide)

    def _admit(self, hop_key: bytes) -> bool:
        return (
            self._speaking
            or self._returning is not None
            or (self._machine is not None and self._machine.admits(hop_key))
        )

    def _expire(self) -> None:
        if self._machine is not None:
            self._carry_out(self._machine.tick(max(self._clock.now_ms(), self._machine.expires_ms)))

    def _receive(self, hop_key: bytes, frames: list[bytes]) -> None:
        machine = self._machine
        if len(frames) == 2 and frames[0] == READMIT and self._returning is not None:
            self._returning.receive(hop_key, frames[1])
            return
        if machine is None or not machine.admits(hop_key):
            return
        try:
            message = decode_message(frames[0])
        except KindmeshError as error:
            log.warning("enrolment message refused", extra={"code": error.code})
            return
        self._carry_out(machine.handle(hop_key, message, self._clock.now_ms(), self._entropy.token(32)))

    def _carry_out(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Send):
                self._send(instruction.hop_key, instruction.message)
                continue
            if isinstance(instruction, Closed) and self._timer is not None:
                self._timer.cancel()
            if self._watch is not None:
                self._watch(instruction)

    def _tell(self, hop_key: bytes, message: ReadmitMessage) -> None:
        self._put(hop_key, [READMIT, encode(message)])

    def _send(self, hop_key: bytes, message: EnrolMessage) -> None:
        self._put(hop_key, [encode(message)])

    def _put(self, hop_key: bytes, frames: Sequence[bytes]) -> None:
        if self._listener is None:
            return
        # The last word is still said to whom the machine has just shut out.
        self._speaking = True
        try:
            self._listener.send(hop_key, frames)
        except TransportError as error:
            log.info("the device at the door is gone", extra={"code": error.code})
        finally:
            self._speaking = False


__all__ = ["EnrolHost", "WindowEvent"]
