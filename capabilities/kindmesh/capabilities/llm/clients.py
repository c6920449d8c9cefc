"""Which module speaks to which kind of provider. Each is imported when its first model is asked, away from the loop,
because an SDK takes a second to load.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Final, Protocol

from kindmesh.capabilities.llm.config import Entry, Settings, Timeouts
from kindmesh.capabilities.llm.keys import Key, find_key
from kindmesh.capabilities.llm.model import Model
from kindmesh.capabilities.llm.scripted import ScriptedModel
from kindmesh.protocol.errors import CapabilityMissing

_MODULES: Final = {
    "openai": "kindmesh.capabilities.llm.openai_client",
    "anthropic": "kindmesh.capabilities.llm.anthropic_client",
    "ollama": "kindmesh.capabilities.llm.ollama_client",
}


class _Connects(Protocol):
    """What each of those modules has."""

    def connect(self, *, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> Model:
        """A client for one model; nothing is sent yet."""


async def make_client(settings: Settings, model: str) -> Model:
    """The client of a model of the settings.

    Raises:
        CapabilityMissing: the SDK is not installed; the hint is the command.
        ModelUnavailable: its key is not where the settings say.
    """
    entry = settings.models[model]
    provider = settings.providers[entry.provider]
    if provider.kind == "scripted":
        return ScriptedModel(provider.answers)
    key = await asyncio.to_thread(find_key, provider.key_at)
    try:
        module: _Connects = await asyncio.to_thread(importlib.import_module, _MODULES[provider.kind])
    except ImportError as error:
        raise CapabilityMissing(
            f"{provider.kind} needs {error.name}, not installed on this device",
            hint="pip install 'kindmesh[llm]'",
        ) from error
    return module.connect(url=provider.address, key=key, entry=entry, timeouts=settings.timeouts)


__all__ = ["make_client"]
