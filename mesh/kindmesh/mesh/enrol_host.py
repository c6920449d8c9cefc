"""The coordinator's door: a socket of its own that speaks only the enrolment messages, while a window is open.

The driver of `PairingMachine`: it listens (any CURVE key may connect, since a stranger has none that we know), decodes,
lets the machine decide, sends, computes SPAKE2 for a typed code, and tells `watch` what the owner's program needs.
Outside a window nobody is admitted. While a window has a typed code, `DoorKeys` are told in the clear next to the door.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.pairing_machine import (
    Closed,
    Exchange,
    Failed,
    Greeted,
    Instruction,
    Knocked,
    Paired,
    PairingMachine,
    Send,
)
from kindmesh.mesh.readmit_host import Decide, ReadmitHost
from kindmesh.mesh.spake import CodeExchange
from kindmesh.mesh.transport import Listener, Transport
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.enrol import (
    ENROL_VERSION,
    EnrolGranted,
    EnrolMessage,
    EnrolRefused,
    Invitation,
    decode_message,
)
from kindmesh.protocol.errors import (
    AlreadyInitialised,
    EnrolmentRefused,
    InternalError,
    KindmeshError,
    NotRunning,
    TransportError,
    error_to_wire,
)
from kindmesh.protocol.limits import PAIR_SECRET, PAIR_WINDOW_MAX_MS
from kindmesh.protocol.readmit import READMIT, ReadmitMessage
from kindmesh.protocol.typed import TYPED_VERSION, DoorKeys, typed_identities

log = logging.getLogger("kindmesh.mesh.enrol")

WindowEvent = Greeted | Knocked | Failed | Paired | Closed
Watcher = Callable[[WindowEvent], None]


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """What a window is for: the mesh (id, 20 bytes), the coordinator's Ed25519 key, the door's addresses as others
    see them, the role offered; a typed `code` (as `parse_code` gives it) or none; `only` the device with these
    (Ed25519, CURVE) keys, or any."""

    mesh: bytes
    ed_pub: bytes
    hints: Sequence[str]
    role: str = "node"
    code: str = ""
    only: tuple[bytes, bytes] | None = None


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
        self._purpose: Purpose | None = None
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

    def open(self, purpose: Purpose, *, ttl_ms: int, watch: Watcher) -> Invitation:
        """Open a window for `ttl_ms` (at most 15 minutes) and give its invitation; `watch` is told what happens.

        Raises:
            AlreadyInitialised: a window is open.
        """
        if self._machine is not None and self._machine.open:
            raise AlreadyInitialised("a pairing window is open already", hint="Use it, or close it first.")
        ttl_ms = min(ttl_ms, PAIR_WINDOW_MAX_MS)
        expires_ms = self._clock.now_ms() + ttl_ms
        invitation = Invitation(
            version=ENROL_VERSION,
            mesh=purpose.mesh,
            ed_pub=purpose.ed_pub,
            curve_pub=self._curve.public,
            hints=tuple(purpose.hints),
            secret=self._entropy.token(PAIR_SECRET),
            expires_s=expires_ms // 1000,
            role=purpose.role,
        )
        self._machine = PairingMachine(invitation, expires_ms, typed=bool(purpose.code), only=purpose.only)
        self._watch, self._purpose = watch, purpose
        self._timer = asyncio.get_running_loop().call_later(ttl_ms / 1000, self._expire)
        return invitation

    def door_keys(self, port: int) -> DoorKeys | None:
        """What whoever asks is told while a window has a typed code: public keys, and the door's `port`."""
        if self._machine is None or not self._machine.open or self._purpose is None or not self._purpose.code:
            return None
        return self._keys(self._purpose, port)

    def _keys(self, purpose: Purpose, port: int) -> DoorKeys:
        return DoorKeys(TYPED_VERSION, purpose.mesh, purpose.ed_pub, self._curve.public, port)

    def shut(self) -> None:
        """Close the window, if one is open."""
        if self._machine is not None:
            self._carry_out(self._machine.close())

    def challenge(self, hop_key: bytes, nonce: bytes) -> None:
        """The nonce of the owner's program, for a device that said hello.

        Raises:
            NotRunning: no window. UnknownMember, InvalidTransition: nobody waits there for one.
        """
        self._carry_out(self._window().challenge(hop_key, nonce))

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
            self._send(
                hop_key, EnrolRefused(error_to_wire(EnrolmentRefused("no window is open for this device")))
            )
            return
        try:
            message = decode_message(frames[0])
        except KindmeshError as error:
            log.warning("enrolment message refused", extra={"code": error.code})
            return
        self._carry_out(machine.handle(hop_key, message, self._clock.now_ms()))

    def _carry_out(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Send):
                self._send(instruction.hop_key, instruction.message)
                continue
            if isinstance(instruction, Exchange):
                self._exchange(instruction)
                continue
            if isinstance(instruction, Closed) and self._timer is not None:
                self._timer.cancel()
            if self._watch is not None:
                self._watch(instruction)

    def _tell(self, hop_key: bytes, message: ReadmitMessage) -> None:
        self._put(hop_key, [READMIT, encode(message)])

    def _exchange(self, asked: Exchange) -> None:
        machine, purpose = self._window(), self._purpose
        if purpose is None:
            raise InternalError("a window without a purpose")
        device, door = typed_identities(asked.hop_key, self._keys(purpose, 1))
        try:
            side = CodeExchange(purpose.code, device, door, at_device=False)
            key = side.finish(asked.share)
        except KindmeshError as error:
            self._carry_out(machine.spoiled(asked.hop_key, error))
            return
        self._carry_out(machine.exchanged(asked.hop_key, side.share, key))

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


__all__ = ["EnrolHost", "Purpose", "WindowEvent"]
