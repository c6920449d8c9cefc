"""Keys and frames of a live session between two members.

Handshake: the dialling side sends a signed HELLO with a fresh X25519 key and a nonce; the other answers with a signed
WELCOME that names the HELLO by its hash. Keys come from HKDF over the X25519 secret, salted with the hash of both
messages, one per direction; so only the two authors can make them, and a replayed HELLO yields keys that its sender
does not have. The first frame that verifies proves the dialler is alive (implicit confirmation).

Frame: `[head][mac][body]`, head = `S` + session id (8) + counter (8, big endian); mac = BLAKE2b-128 under the
direction's key over head || body. Each counter is accepted once (window of 1,024). Only read-only, re-askable traffic
rides here: what is journaled, relayed or has an effect is a signed envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kindmesh.protocol.crypto import constant_time_equal, hkdf_sha256, keyed_mac, sha256, x25519
from kindmesh.protocol.errors import BadSignature, Malformed
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.replay import SequenceWindow

SESSION_INFO: Final = b"kindmesh-session-v1"
SESSION_MARK: Final = 0x53
HEAD_BYTES: Final = 17


class SessionKeys:
    """One session as seen by one side. `sequence` counts what this side sends."""

    __slots__ = ("_receive_key", "_send_key", "_sequence", "_window", "session_id")

    def __init__(self, send_key: bytes, receive_key: bytes, session_id: bytes) -> None:
        self._send_key, self._receive_key, self.session_id = send_key, receive_key, session_id
        self._sequence = 0
        self._window = SequenceWindow()

    def seal(self, body: bytes) -> list[bytes]:
        """The three frames for `body`."""
        head = b"S" + self.session_id + self._sequence.to_bytes(8, "big")
        self._sequence += 1
        return [head, keyed_mac(self._send_key, head + body), body]

    def open(self, frames: Sequence[bytes]) -> bytes:
        """The body of a frame from the other side.

        Raises:
            Malformed, BadSignature, Replayed.
        """
        if len(frames) != 3 or not is_session_frame(frames[0]) or len(frames[2]) > BODY_MAX:
            raise Malformed("not a session frame")
        head, mac, body = frames
        if head[1:9] != self.session_id or not constant_time_equal(
            keyed_mac(self._receive_key, head + body), mac
        ):
            raise BadSignature("the frame does not belong to this session")
        self._window.accept(0, int.from_bytes(head[9:], "big"))
        return body


def is_session_frame(head: bytes) -> bool:
    """Whether these are a session frame's first bytes (an envelope's header begins with a MessagePack array)."""
    return len(head) == HEAD_BYTES and head[0] == SESSION_MARK


def derive_session(
    *, secret: bytes, peer_public: bytes, hello_hash: bytes, welcome_hash: bytes, dialler: bool
) -> SessionKeys:
    """Keys for one side: `secret` is this side's ephemeral X25519 key, the hashes name the two signed messages.

    Raises:
        Malformed: a weak public key.
    """
    shared = x25519(secret, peer_public)
    material = hkdf_sha256(shared, sha256(hello_hash + welcome_hash), SESSION_INFO, 72)
    to_listener, to_dialler, session_id = material[:32], material[32:64], material[64:]
    if dialler:
        return SessionKeys(to_listener, to_dialler, session_id)
    return SessionKeys(to_dialler, to_listener, session_id)


__all__ = ["SessionKeys", "derive_session", "is_session_frame"]
