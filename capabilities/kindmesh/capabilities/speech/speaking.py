"""What `speech.render` and `speech.stream` have in common: the engine, and the checks before it speaks."""

from __future__ import annotations

from typing import ClassVar

from kindmesh.capabilities.base import Capability, Services
from kindmesh.capabilities.speech.espeak import Engine, installed
from kindmesh.capabilities.speech.manifest import MANIFEST
from kindmesh.capabilities.speech.voices import choose
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Manifest

__all__ = ["Speaking", "require_text"]


def require_text(text: str | None) -> str:
    """`text` if there is something in it.

    Raises:
        InvalidInput: empty, or only spaces.
    """
    if text is None or not text.strip():
        raise InvalidInput("there is nothing to say: the text is empty", field="text")
    return text


class Speaking(Capability):
    """Has an engine once it is started."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._engine: Engine | None = None

    async def start(self, services: Services) -> None:
        """Find the library and list its voices."""
        self._engine = Engine(*installed())

    def prepared(self, text: str, language: str, voice: str | None) -> tuple[Engine, str]:
        """The engine, and the voice to speak `text` with.

        Raises:
            InvalidInput: there is no text, or no such voice.
        """
        if self._engine is None:
            raise RuntimeError("not started")
        require_text(text)
        return self._engine, choose(self._engine.voices, language, voice)
