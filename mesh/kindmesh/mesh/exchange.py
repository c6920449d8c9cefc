"""Artifacts between devices: fetching one from its holder, and answering those who may fetch ours.

A hash alone grants nothing. The holder serves a chunk only against a permit signed by Medulla (see
`protocol.messages.artifacts`): as *input*, the permit's target is the asker and the argument bytes it is bound to name
the artifact; as *output*, the holder made the artifact under that permit and the asker is among its readers. Files that
people put on a device are for what the owner asks for, and for what is asked for there, not for what another device
asks for that only knows the hash. Every request and chunk is a signed message from end to end, whoever relays it. A
fetch keeps one chunk in flight and in memory, goes on where an earlier one stopped, and the artifact appears only when
its bytes fit its hash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import (
    AccessRefused,
    ArtifactDamaged,
    ArtifactMissing,
    ArtifactTooLarge,
    KindmeshError,
    PeerUnreachable,
    error_from_wire,
    error_to_wire,
)
from kindmesh.protocol.limits import ARTIFACT_CHUNK, CLOCK_SKEW_MS
from kindmesh.protocol.messages import ArtifactData, ArtifactGet, MessageType
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.permit import Permit, open_permit
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.mesh.exchange")

CHUNK_PATIENCE_S: Final = 5.0
TRIES: Final = 3
Progress = Callable[[float], None]
Produced = Callable[[bytes, bytes], bool]
"""Whether this device made that artifact (32 bytes) under that job (16 bytes; empty: under any job)."""


class Exchange:
    """Both sides, for one endpoint and one store. `produced` asks this device's journal."""

    def __init__(
        self, endpoint: Endpoint, store: ArtifactStore, trust: Trust, clock: Clock, produced: Produced
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._trust = trust
        self._clock = clock
        self._produced = produced
        self._waiting: dict[tuple[bytes, bytes, int], asyncio.Future[ArtifactData]] = {}
        self._fetching: dict[bytes, tuple[asyncio.Lock, int]] = {}
        endpoint.on(MessageType.ARTIFACT_GET, self._on_get)
        endpoint.on(MessageType.ARTIFACT_DATA, self._on_data)

    async def fetch(
        self, info: ArtifactInfo, permit: Signed, args: bytes = b"", progress: Progress | None = None
    ) -> None:
        """Have the artifact in the local store; at once when it is there. `args` when it is fetched as input.

        Raises:
            AccessRefused: the holder does not accept the permit.
            ArtifactMissing: the holder has it no more, or cannot be reached.
            ArtifactDamaged: what came does not fit the hash.
            ArtifactTooLarge, QuotaExceeded, DiskFull: it does not fit here.
        """
        # Two jobs that want the same artifact share one transfer.
        lock, sharing = self._fetching.get(info.artifact, (asyncio.Lock(), 0))
        self._fetching[info.artifact] = (lock, sharing + 1)
        try:
            async with lock:
                if not self._store.has(info.artifact):
                    await self._fetch(info, permit, args, progress)
        finally:
            sharing = self._fetching[info.artifact][1] - 1
            if sharing:
                self._fetching[info.artifact] = (lock, sharing)
            else:
                del self._fetching[info.artifact]

    async def _fetch(
        self, info: ArtifactInfo, permit: Signed, args: bytes, progress: Progress | None
    ) -> None:
        if info.holder == self._endpoint.device_id:
            raise ArtifactMissing("this device does not have the artifact any more")
        writer = await self._store.resume_async(info.artifact, info.media_type, size=info.size_bytes)
        with writer:
            while writer.offset < info.size_bytes:
                length = min(ARTIFACT_CHUNK, info.size_bytes - writer.offset)
                part = await self._chunk(
                    info, ArtifactGet(info.artifact, writer.offset, length, permit, args)
                )
                if part.size_bytes != info.size_bytes or not 0 < len(part.data) <= length:
                    raise ArtifactDamaged("the holder sent something else than it was asked for")
                writer.write(part.data)
                if progress is not None:
                    progress(writer.offset / info.size_bytes)
            writer.finish()

    async def _chunk(self, info: ArtifactInfo, request: ArtifactGet) -> ArtifactData:
        key = (info.holder, request.artifact, request.offset)
        for _ in range(TRIES):
            answer: asyncio.Future[ArtifactData] = asyncio.get_running_loop().create_future()
            self._waiting[key] = answer
            try:
                self._endpoint.post(info.holder, MessageType.ARTIFACT_GET, request)
                part = await asyncio.wait_for(answer, CHUNK_PATIENCE_S)
            except (TimeoutError, PeerUnreachable) as error:
                log.info("chunk not received", extra={"artifact": request.artifact.hex()[:8]})
                await asyncio.sleep(0 if isinstance(error, TimeoutError) else CHUNK_PATIENCE_S / TRIES)
                continue
            finally:
                self._waiting.pop(key, None)
            if part.error is not None:
                raise error_from_wire(part.error)
            return part
        raise ArtifactMissing("the device that holds the artifact cannot be reached")

    def _on_data(self, envelope: Envelope, body: Any) -> None:
        answer = self._waiting.get((envelope.header.src, body.artifact, body.offset))
        if answer is not None and not answer.done():
            answer.set_result(body)

    # The holder's side.

    def _on_get(self, envelope: Envelope, body: Any) -> None:
        request: ArtifactGet = body
        try:
            self._check_reader(envelope.header.src, request)
            info = self._store.stat(request.artifact)
            if not 0 <= request.offset <= info.size or not 0 < request.length <= ARTIFACT_CHUNK:
                raise ArtifactTooLarge(f"a chunk has 1 to {ARTIFACT_CHUNK} bytes of the artifact")
            data = self._store.read(request.artifact, request.offset, request.length)
            answer = ArtifactData(request.artifact, request.offset, info.size, info.media_type, data)
        except KindmeshError as error:
            log.warning("artifact refused", extra={"code": error.code, "peer": envelope.header.src.hex()[:8]})
            answer = ArtifactData(request.artifact, request.offset, 0, "", b"", error_to_wire(error))
        try:
            self._endpoint.post(
                envelope.header.src, MessageType.ARTIFACT_DATA, answer, reply_to=envelope.header.message_id
            )
        except KindmeshError as error:
            log.info("could not answer", extra={"code": error.code})

    def _check_reader(self, asker: bytes, request: ArtifactGet) -> None:
        try:
            anchors = self._trust.membership.anchors
            permit = open_permit(request.permit, anchors.permit_pub(request.permit.author))
        except KindmeshError as error:
            raise AccessRefused("Medulla did not sign the permit that was shown") from error
        if permit.mesh != self._trust.mesh:
            raise AccessRefused("the permit is from another mesh")
        if self._is_input(permit, asker, request) or self._is_output(permit, asker, request):
            return
        raise AccessRefused("the permit that was shown does not let this device read the artifact")

    def _is_input(self, permit: Permit, asker: bytes, request: ArtifactGet) -> bool:
        if permit.target != asker or not request.args or sha256(request.args) != permit.args_hash:
            return False
        if self._clock.now_ms() > permit.expires_ms + CLOCK_SKEW_MS:
            return False
        return self._is_for(permit, request.artifact) and _names(
            decode_value(request.args), request.artifact.hex()
        )

    def _is_for(self, permit: Permit, artifact: bytes) -> bool:
        """Whether whoever asked for the job may use this file; of what jobs made, the coordinator knows for whom."""
        return (
            permit.principal.person == "owner"
            or permit.principal.device == self._endpoint.device_id
            or self._produced(b"", artifact)
        )

    def _is_output(self, permit: Permit, asker: bytes, request: ArtifactGet) -> bool:
        return (
            permit.target == self._endpoint.device_id
            and asker in permit.readers
            and self._produced(permit.job_id, request.artifact)
        )


def _names(value: Any, artifact_hex: str) -> bool:
    """Whether the arguments refer to the artifact, at any depth."""
    if isinstance(value, dict):
        return value.get("artifact") == artifact_hex or any(
            _names(item, artifact_hex) for item in value.values()
        )
    if isinstance(value, list):
        return any(_names(item, artifact_hex) for item in value)
    return False


__all__ = ["Exchange"]
