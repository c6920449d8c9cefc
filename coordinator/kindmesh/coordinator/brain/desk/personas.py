"""Personas: manners as data, one file each in `personas/`. They choose words around a reply, never the reply's own.

A persona may put a phrase before and after what was done, answered or not understood, by language and humour. It never
changes a part, leaves none out, and says nothing of its own as soon as one part is safety wording (`wording`): a
refusal, an alert, a thing that needs a yes, a state that was read back. `verbosity` `shortest` says nothing around a
reply at all; `short` nothing after it. Which of several phrases is taken depends on what is said, not on chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from kindmesh.coordinator.brain.desk.wording import Said, plain_text
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput

DEFAULT: Final = "plain"
_Phrases = Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=16)]
_WORDED: Final[tuple[Literal["done", "answer", "lost"], ...]] = ("done", "answer", "lost")


class Around(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Phrases of which one may stand before, and one after."""

    before: _Phrases = ()
    after: _Phrases = ()


class Persona(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module. `humour` 0..3; `reading_level`: years of school that its phrases ask for; `voice`: the name of a
    voice for speaking devices, or empty; `phrases`: language -> kind of reply -> what stands around it."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    tone: Annotated[str, Meta(max_length=64)] = ""
    verbosity: Literal["shortest", "short", "full"] = "short"
    humour: Annotated[int, Meta(ge=0, le=3)] = 0
    reading_level: Annotated[int, Meta(ge=1, le=12)] = 6
    languages: tuple[str, ...] = ("en",)
    voice: Annotated[str, Meta(max_length=64)] = ""
    phrases: dict[str, dict[Literal["done", "answer", "lost"], Around]] = {}


def persona_from_document(document: Any) -> Persona:
    """The persona that plain data describe.

    Raises:
        InvalidInput: says what is wrong.
    """
    try:
        return msgspec.convert(document, Persona, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"this is no persona: {error}", field="persona") from error


def persona_names() -> list[str]:
    """Those that come along."""
    folder = files("kindmesh.coordinator.brain.desk") / "personas"
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))


@lru_cache(maxsize=16)
def persona_named(name: str) -> Persona:
    """The persona with that name.

    Raises:
        InvalidInput: there is none; names those there are.
    """
    known = persona_names()
    if name not in known:
        raise InvalidInput(
            f"there is no persona {name[:40]!r}", field="persona", hint=f"There are {', '.join(known)}."
        )
    text = (files("kindmesh.coordinator.brain.desk") / "personas" / f"{name}.yaml").read_text("utf-8")
    return persona_from_document(_yaml(text, f"{name}.yaml"))


def _yaml(text: str, name: str) -> Any:
    from kindmesh.mesh.yaml_text import from_yaml  # noqa: PLC0415 - only once a persona is read

    return from_yaml(text, name)


def worded(parts: Sequence[Said], persona: Persona, language: str = "en") -> str:
    """The reply as this persona gives it."""
    core = plain_text(parts)
    kinds = {part.kind for part in parts}
    if not core or persona.verbosity == "shortest" or kinds - set(_WORDED):
        return core
    known = persona.phrases.get(language, {})
    around = next((known.get(kind, Around()) for kind in _WORDED if kind in kinds), Around())
    before = _one(around.before, core)
    after = _one(around.after, core) if persona.verbosity == "full" else ""
    return " ".join(text for text in (before, core, after) if text)


def _one(phrases: Sequence[str], core: str) -> str:
    return phrases[sha256(core.encode())[0] % len(phrases)] if phrases else ""


__all__ = [
    "DEFAULT",
    "Around",
    "Persona",
    "persona_from_document",
    "persona_named",
    "persona_names",
    "worded",
]
