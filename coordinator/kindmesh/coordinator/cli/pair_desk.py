"""What the owner's terminal hears while a window is open, in one queue: events of the window, typed lines, the clock.

Hellos are answered right here, also while the owner is thinking: with a nonce that this process makes after it has seen
the hello. From it, the hello and the nonce that the device had committed to, the check code is made here, so that a
coordinator which was taken over can neither choose the code nor show other keys than those that the code stands for.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from typing import Any, Final

import msgspec

from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.control_client import ControlClient
from kindmesh.protocol.codec import decode
from kindmesh.protocol.crypto import constant_time_equal
from kindmesh.protocol.enrol import (
    EnrolChallenge,
    EnrolHello,
    Invitation,
    check_code,
    nonce_commitment,
    transcript,
)
from kindmesh.protocol.errors import EnrolmentRefused, KindmeshError
from kindmesh.protocol.limits import PAIR_HELLOS_MAX

LINE_MAX: Final = 4096


class AtDoor(msgspec.Struct, frozen=True):
    """A device that waits for the owner's answer, as this process has verified it."""

    knock: str
    device: str
    hello: EnrolHello
    code: str
    recognised: bool
    shown: dict[str, Any]


class Heard(msgspec.Struct, frozen=True):
    """One thing that was heard: an `event` of the window, the window's `end`, a typed `line` (None at the end of the
    input), an `error`; or nothing but the passing of a second."""

    event: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    error: BaseException | None = None
    line: str | None = None
    typed: bool = False


class Desk:
    """`stream` and `nonces` are clients of the coordinator, used by this alone."""

    def __init__(self, stream: ControlClient, nonces: ControlClient) -> None:
        self._stream, self._nonces = stream, nonces
        self._queue: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._hellos: dict[str, tuple[EnrolHello, bytes]] = {}
        self._answered = 0
        self._public: Invitation | None = None
        self._typing = False
        self._back: list[Heard] = []
        self.ends_s = float("inf")

    def open(self, wish: dict[str, Any]) -> None:
        """Open the window and begin to listen to it."""
        threading.Thread(target=self._listen, args=(wish,), daemon=True).start()

    def begin_typing(self) -> None:
        """Begin to read lines from standard input."""
        if not self._typing:
            self._typing = True
            threading.Thread(target=self._type, daemon=True).start()

    def hear(self, patience_s: float) -> Heard:
        """The next thing, or an empty one after `patience_s`."""
        if self._back:
            return self._back.pop()
        try:
            return self._queue.get(timeout=patience_s)
        except queue.Empty:
            return Heard()

    def give_back(self, heard: Heard) -> None:
        """It was not for whom heard it: it comes next."""
        self._back.append(heard)

    def left_s(self) -> int:
        """Seconds until the window closes by itself."""
        return max(0, int(self.ends_s - time.monotonic() + 0.5))

    def verify(self, event: dict[str, Any]) -> AtDoor:
        """A `knock` event with the code that this process makes.

        Raises:
            EnrolmentRefused: the coordinator tells something else than what was agreed.
        """
        found = self._hellos.get(event["knock"])
        if found is None or self._public is None:
            raise EnrolmentRefused("somebody knocked without a hello")
        hello, nonce = found
        device_nonce = event["device_nonce"]
        if not constant_time_equal(nonce_commitment(device_nonce), hello.commitment):
            raise EnrolmentRefused("the coordinator changed what a device had committed to")
        agreed = transcript(self._public, hello, EnrolChallenge(nonce), device_nonce)
        hidden = ("code", "device_nonce")
        return AtDoor(
            event["knock"], event["device"], hello, check_code(agreed), bool(event["recognised"]),
            {key: value for key, value in event.items() if key not in hidden},
        )  # fmt: skip

    def _listen(self, wish: dict[str, Any]) -> None:
        try:
            stream = self._stream.stream("pair.open", wish)
            while True:
                try:
                    event: dict[str, Any] = next(stream)
                except StopIteration as end:
                    self._queue.put(Heard(end=end.value))
                    return
                if event["event"] == "window":
                    self._public = decode(Invitation, event.pop("public"))
                    self.ends_s = time.monotonic() + event["ttl_ms"] / 1000
                if event["event"] == "hello":
                    self._greet(event)
                else:
                    self._queue.put(Heard(event=event))
        except KindmeshError as error:
            self._queue.put(Heard(error=error))

    def _greet(self, event: dict[str, Any]) -> None:
        hello = decode(EnrolHello, event["hello"])
        self._answered += 1
        if self._answered > PAIR_HELLOS_MAX:
            return
        nonce = SystemEntropy().token(32)
        self._hellos[event["knock"]] = (hello, nonce)
        try:
            self._nonces.call("pair.challenge", {"knock": event["knock"], "nonce": nonce})
        except KindmeshError as error:
            self._queue.put(Heard(event={"event": "left", "name": hello.name, "code": error.code}))

    def _type(self) -> None:
        # Not through sys.stdin: its lock, held by a thread that waits, would disturb the end of the program.
        while True:
            line = read_line()
            self._queue.put(Heard(line=line, typed=True))
            if line is None:
                return


def read_line() -> str | None:
    """One line of standard input, unbuffered; None when there is no more."""
    found = bytearray()
    while len(found) < LINE_MAX:
        try:
            piece = os.read(0, 1)
        except OSError:
            piece = b""
        if not piece:
            return found.decode(errors="replace") if found else None
        if piece == b"\n":
            break
        found += piece
    return found.decode(errors="replace").rstrip("\r")


def on_terminal() -> bool:
    """Whether a person types here and sees what is drawn."""
    return sys.stdin.isatty() and sys.stderr.isatty()


__all__ = ["AtDoor", "Desk", "Heard", "on_terminal", "read_line"]
