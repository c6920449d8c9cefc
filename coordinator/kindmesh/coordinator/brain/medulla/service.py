"""Medulla with its keys and its store: a batch of request frames in, the reply frames out.

The pure part decides on each frame in turn; then everything it said to keep is written and committed at once, with a
sync if any answer has to survive a power cut; only then are the replies handed back. When the store fails, nobody in
the batch gets an answer but the error, and the beliefs are read anew from what is on disk: memory never runs ahead of
it. Layout of `home/medulla`: `keys/` (two 32-byte seeds and the mesh bundle), `state/medulla.db`, `run/` (the socket).
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Log, Save
from kindmesh.coordinator.brain.medulla.machine import METHODS, handle
from kindmesh.coordinator.brain.medulla.messages import (
    FRAME_LIMIT,
    AuditNow,
    AuditWanted,
    Frame,
    LogPage,
    LogQuery,
    Status,
)
from kindmesh.coordinator.heart.schedules.zones import local_of, zone_named
from kindmesh.mesh.audit import AUDIT_TABLES, PAGE, AuditLog
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.files import private_folder, read_private, write_private
from kindmesh.mesh.key_files import read_key, write_key
from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.protocol.anchors import MeshBundle, open_bundle
from kindmesh.protocol.audit import open_entry
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    HomeInUse,
    InvalidInput,
    KindmeshError,
    Malformed,
    NotInitialised,
    StoreDamaged,
    StoreError,
    error_to_wire,
)
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.permit import Isolation

log = logging.getLogger("kindmesh.coordinator.medulla")

T = TypeVar("T")

SCHEMA: Final = Schema(
    "medulla",
    2,
    (
        Migration(
            1,
            (
                "CREATE TABLE state (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
                " PRIMARY KEY (kind, key)) WITHOUT ROWID",
                "CREATE TABLE log (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, digest BLOB NOT NULL)",
            ),
        ),
        # The log before it was signed stays in the backup that is made before this step.
        Migration(2, ("DROP TABLE log", *AUDIT_TABLES)),
    ),
)
_SAVE: Final = (
    "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"
)
DIGEST_KEEP_MS: Final = 30 * 86_400_000
"""How long what an entry's digest stands for can be tested against a guess."""
_HOUR_MS: Final = 3_600_000
_QUARTER_MS: Final = 900_000
_BACK: Final = 64
_FORGET: Final = "DELETE FROM state WHERE kind = ? AND key = ?"
LONG: Final = "review"
"""The method that changes nothing and may take long."""
OWN_WORDS: Final = ("audit", "request")
"""Kinds of entries that this driver makes: their `number` is not that of the permits so far."""

_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(Frame).decode
_decoders: Final = {name: msgspec.msgpack.Decoder(type_) for name, type_ in METHODS.items()}
_decode_log_query = msgspec.msgpack.Decoder(LogQuery).decode
_decode_audit = msgspec.msgpack.Decoder(AuditWanted).decode
_decode_id = msgspec.msgpack.Decoder(tuple[int, Any, Any]).decode


def write_keys(folder: Path, bundle: MeshBundle, issuer: SigningKey, permit: SigningKey) -> None:
    """Write what Medulla starts from, into `home/medulla`, once, at `init`."""
    keys = private_folder(folder / "keys")
    write_key(keys / "issuer.key", issuer.seed)
    write_key(keys / "permit.key", permit.seed)
    write_private(keys / "bundle", encode(bundle))


class Service:
    """See the module. Holds the store open; one process only."""

    def __init__(
        self,
        folder: Path,
        isolation: Isolation,
        *,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        confinement: dict[str, object] | None = None,
    ) -> None:
        """Open `folder` (`home/medulla`) and read all that Medulla believes.

        Raises:
            NotInitialised: there are no keys here.
            InsecurePermissions, StoreError, BadSignature, Malformed, CertificateRefused: not as Medulla left it.
        """
        if not (folder / "keys" / "bundle").exists():
            raise NotInitialised("this state folder has no Medulla", hint="Run kindmesh init here first.")
        bundle = decode(MeshBundle, read_private(folder / "keys" / "bundle"))
        self._anchors = open_bundle(bundle, bundle.mesh)
        self._issuer = SigningKey(read_key(folder / "keys" / "issuer.key", limit=32))
        self._permit = SigningKey(read_key(folder / "keys" / "permit.key", limit=32))
        self._isolation = isolation
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._confinement = _encode(confinement or {})
        self._forgot_ms = 0
        self._path = folder / "state" / "medulla.db"
        self._lock = _take_lock(private_folder(folder / "state") / "lock")
        self._open()

    def _open(self) -> None:
        """Open the store and believe what is in it."""
        self._store = Store.open(self._path, SCHEMA, sync="inline")
        self.audit = AuditLog(
            self._store,
            mesh=self._anchors.mesh,
            signing=self._permit,
            clock=self._clock,
            entropy=self._entropy,
        )
        if self.audit.problem:
            self._store.abandon()
            raise StoreDamaged(
                f"Medulla's audit log was changed: {self.audit.problem}",
                hint="Keep a copy of it, look into it with kindmesh audit verify, and restore a backup.",
            )
        self._offset_of: tuple[str, int] | None = None
        self.beliefs = Beliefs(self._anchors, self._issuer, self._permit, self._isolation)
        rows = self._store.query("SELECT kind, key, value FROM state")
        self.beliefs.restore(rows, permits=self._permits(), highest_ms=self.audit.last_ms)

    def _permits(self) -> int:
        """How many permits were signed: what the last entry says that the pure part made."""
        after = self.audit.committed
        while after > 0:
            after = max(0, after - _BACK)
            for _, row in reversed(self.audit.page(after, _BACK)):
                entry = open_entry(row.entry)
                if entry.kind not in OWN_WORDS:
                    return entry.number
        return 0

    def close(self) -> None:
        """Close the store and let another process have it."""
        self.audit.flush()
        self._store.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def ask(self, event: msgspec.Struct) -> Any:
        """One request, in this process: what `init` uses. Answers are durable.

        Raises:
            KindmeshError: refused, or the store failed.
        """
        instructions, answer = self._decide(event)
        self._keep(instructions, durable=True)
        return answer.value

    def process(self, frames: Sequence[bytes]) -> list[bytes]:
        """A batch of request frames (without lengths); the reply frames in the same order, with their lengths."""
        self.audit.tick()
        self._forget()
        self._know_the_time()
        replies: list[bytes] = []
        kept: list[Instruction] = []
        durable = False
        for data in frames:
            number = 0
            try:
                if len(data) > FRAME_LIMIT:
                    raise Malformed(f"{len(data)} bytes where at most {FRAME_LIMIT} are allowed")
                frame = _parse(data)
                number = frame.id
                payload: msgspec.Struct
                if frame.method == "log":
                    payload = self._log_page(frame)
                elif frame.method == "audit":
                    payload = AuditNow(self.audit.news(_parameters(_decode_audit, frame).seen))
                else:
                    instructions, answer = self._decide(_event(frame))
                    kept += instructions
                    durable = durable or answer.durable
                    payload = answer.value
                replies.append(_packed((number, "ok", payload)))
            except KindmeshError as error:
                log.info("refused", extra={"code": error.code, "field": error.field})
                self.audit.refused("request", b"", error.code)
                replies.append(_packed((number, "error", error_to_wire(error))))
        if kept or self._store.writing:
            try:
                self._keep(kept, durable=durable)
            except StoreError as error:
                log.error("store failed", extra={"code": error.code})
                return [_packed((_number(data), "error", error_to_wire(error))) for data in frames]
        return replies

    @staticmethod
    def is_long(data: bytes) -> bool:
        """Whether answering this frame changes nothing and may take long, so that `alone` should."""
        try:
            return _decode_frame(data).method == LONG
        except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError):
            return False

    def alone(self, data: bytes) -> bytes:
        """The reply to a frame that `is_long`, with its length, from what is believed now. Writes nothing anywhere, so
        that a fork of this process may do it."""
        self._know_the_time()
        try:
            now_ms = self._clock.now_ms()
            answer = handle(self.beliefs, _event(_parse(data)), now_ms, new_id(now_ms, bytes(10)))[-1]
            if not isinstance(answer, Answer):
                raise InvalidInput("Medulla made no answer")
            return _packed((_number(data), "ok", answer.value))
        except KindmeshError as error:
            return refusal(data, error)

    def _know_the_time(self) -> None:
        """How far the household's clock is ahead of UTC: where the owner's policy says it is, else by this machine.
        Clocks change at full quarters of an hour."""
        now_ms, zone = self._clock.now_ms(), self.beliefs.policy.guards.zone
        known = (zone, now_ms // _QUARTER_MS)
        if known == self._offset_of:
            return
        self._offset_of = known
        offset_ms = time.localtime(now_ms / 1000).tm_gmtoff * 1000
        if zone:
            try:
                offset_ms = (
                    int((local_of(now_ms, zone_named(zone)).utcoffset() or timedelta()).total_seconds())
                    * 1000
                )
            except InvalidInput:
                log.warning("the time zone of the policy is not known here", extra={"zone": zone})
        self.beliefs.offset_ms = offset_ms

    def _forget(self) -> None:
        """Once an hour: the digests of old entries can no longer be tested against a guess."""
        now_ms = self._clock.now_ms()
        if now_ms - self._forgot_ms >= _HOUR_MS:
            self._forgot_ms = now_ms
            try:
                self.audit.forget_before(now_ms - DIGEST_KEEP_MS)
            except StoreError as error:
                log.warning("old digests were not forgotten", extra={"code": error.code})

    def _decide(self, event: msgspec.Struct) -> tuple[list[Instruction], Answer]:
        now_ms = self._clock.now_ms()
        instructions = handle(self.beliefs, event, now_ms, new_id(now_ms, self._entropy.token(10)))
        answer = instructions.pop()
        if not isinstance(answer, Answer):
            raise InvalidInput("Medulla made no answer")
        if isinstance(answer.value, Status):
            value = msgspec.structs.replace(
                answer.value, pid=os.getpid(), uid=os.geteuid(), confinement=self._confinement,
                log_seq=self.audit.committed, log_head=self.audit.root(self.audit.committed),
            )  # fmt: skip
            answer = Answer(value, answer.durable)
        return instructions, answer

    def _keep(self, instructions: Sequence[Instruction], *, durable: bool) -> None:
        """Write and commit; on failure go back to what is on disk, and raise."""
        try:
            for instruction in instructions:
                if isinstance(instruction, Log):
                    self.audit.add(instruction.note)
                elif isinstance(instruction, Save):
                    self._store.execute(_SAVE, (instruction.kind, instruction.key, instruction.value))
                elif isinstance(instruction, Forget):
                    self._store.execute(_FORGET, (instruction.kind, instruction.key))
            self._store.commit_now(durable=durable)
        except StoreError:
            self._store.abandon()
            self._open()
            raise

    def _log_page(self, frame: Frame) -> LogPage:
        query = _parameters(_decode_log_query, frame)
        rows = self.audit.page(max(query.after, 0), min(max(query.limit, 1), PAGE))
        return LogPage(tuple(row for _, row in rows), self.audit.head)


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HomeInUse(
            "another Medulla runs in this state folder", hint="Stop the other kindmesh up."
        ) from error
    return descriptor


def _parse(data: bytes) -> Frame:
    try:
        return _decode_frame(data)
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise Malformed(f"not a request: {str(error)[:200]}") from error


def _event(frame: Frame) -> msgspec.Struct:
    decoder = _decoders.get(frame.method)
    if decoder is None:
        raise InvalidInput(f"Medulla has no method {frame.method[:40]!r}", field="method")
    return _parameters(decoder.decode, frame)


def _parameters(decode_params: Callable[[msgspec.Raw], T], frame: Frame) -> T:
    try:
        return decode_params(frame.params)
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise Malformed(f"not the parameters of {frame.method}: {str(error)[:200]}") from error


def refusal(data: bytes, error: KindmeshError) -> bytes:
    """The reply to the frame `data` that tells an error, with its length."""
    return _packed((_number(data), "error", error_to_wire(error)))


def _number(data: bytes) -> int:
    try:
        return _parse(data).id
    except Malformed:
        return 0


def _packed(reply: tuple[int, str, msgspec.Struct]) -> bytes:
    body = _encode(reply)
    return len(body).to_bytes(4, "big") + body


__all__ = ["DIGEST_KEEP_MS", "LONG", "OWN_WORDS", "SCHEMA", "Service", "refusal", "write_keys"]
