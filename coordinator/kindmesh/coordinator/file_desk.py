"""Files at the coordinator: put here by its user, read from wherever a job left them, and named by jobs to come.

    artifact.put_begin .put_append .put_finish     this machine's own users only
    artifact.read                                  the owner any; others what their own jobs made

A hash alone opens nothing: who knows one and may not see the file is told nothing of it.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.work_desk import own_job
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.exchange import Exchange
from kindmesh.node.holding import Uploads, artifact_id
from kindmesh.protocol.errors import AccessRefused, InvalidInput
from kindmesh.protocol.ids import parse_id, parse_time_id
from kindmesh.protocol.limits import ARTIFACT_CHUNK
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.principal import Principal, belongs_to

MEDIA_TYPE_MAX: Final = 200


class FileDesk:
    """See the module; `device` is this one, which holds what was put here."""

    def __init__(
        self, *, heart: Heart, device: bytes, artifacts: ArtifactStore, exchange: Exchange, uploads: Uploads
    ) -> None:
        self._heart = heart
        self._device = device
        self._artifacts = artifacts
        self._exchange = exchange
        self._uploads = uploads

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {
            "artifact.put_begin": self._put_begin,
            "artifact.put_append": self._put_append,
            "artifact.put_finish": self._put_finish,
            "artifact.read": self._read,
        }

    def sources_of(self, params: Params, who: Principal) -> tuple[ArtifactInfo, ...]:
        """Who has the files of the arguments. A member speaks for what lies on its own device; the files that were
        put here, and those that others' jobs made, are not for it, even when it knows their hash."""
        found = [
            ArtifactInfo(
                artifact_id(one.text("artifact")),
                one.number("size_bytes"),
                one.text("media_type", "application/octet-stream"),
                parse_id(one.text("holder")),
            )
            for one in params.items("sources")
        ]
        if any(len(source.media_type) > MEDIA_TYPE_MAX for source in found):
            raise InvalidInput(f"a media type has at most {MEDIA_TYPE_MAX} characters", field="sources")
        named = _named(params.mapping("args"))
        if who.kind != "owner":
            if any(source.holder != who.device for source in found):
                raise AccessRefused("a device can only say what it holds itself", field="sources")
            for artifact in named:
                makers = self._heart.read.makers(artifact)
                if makers and not any(belongs_to(who, maker) for maker in makers):
                    raise AccessRefused("this file was made for somebody else", field="args")
            return tuple(found)
        for held in named:
            if self._artifacts.has(held):
                info = self._artifacts.stat(held)
                found.append(ArtifactInfo(held, info.size, info.media_type, self._device))
        return tuple(found)

    async def _put_begin(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._uploads.begin(params.values)

    async def _put_append(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._uploads.append(params.values)

    async def _put_finish(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._uploads.finish(params.values)

    async def _read(self, params: Params, emit: Emit, who: Principal) -> Any:
        artifact = artifact_id(params.text("artifact"))
        held = self._artifacts.has(artifact)
        if not held or who.kind != "owner":
            job_id = parse_time_id(params.text("job"))
            own_job(self._heart, job_id, who)
            info, permit = self._heart.read.made(job_id, artifact)
            if not held:
                await self._exchange.fetch(info, permit)
        stat = self._artifacts.stat(artifact)
        length = params.number("length", ARTIFACT_CHUNK, least=1, most=ARTIFACT_CHUNK)
        data = self._artifacts.read(artifact, params.number("offset", 0), length)
        return {"data": data, "size_bytes": stat.size, "media_type": stat.media_type}


def _named(value: Any) -> list[bytes]:
    """Artifact ids that arguments refer to, at any depth; what is no id is left for the check of the arguments."""
    if isinstance(value, dict):
        found = [name for item in value.values() for name in _named(item)]
        try:
            return [artifact_id(value.get("artifact")), *found]
        except InvalidInput:
            return found
    if isinstance(value, list):
        return [name for item in value for name in _named(item)]
    return []


__all__ = ["FileDesk"]
