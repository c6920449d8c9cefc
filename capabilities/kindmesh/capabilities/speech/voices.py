"""Which voice is meant: pure choice among the voices that are there.

A base voice speaks a language ("gmw/en-US", "English (America)", code "en-us"); a variant ("f3", "Annie") changes how
any base voice sounds. `language` picks the base, `voice` a variant, a base, or both as "base+variant". Matching takes
no notice of case. What fits nothing is an `UnknownVoice` that names the nearest there is: silence would be worse, and
a wrong language is worse than an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kindmesh.protocol.errors import UnknownVoice

__all__ = ["Voice", "choose"]


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice: `languages` in order of preference (empty for a variant); `identifier` is a path such as "gmw/en"."""

    name: str
    identifier: str
    languages: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The last part of the identifier: "f3" for "!v/f3"."""
        return self.identifier.rpartition("/")[2]

    def answers_to(self, word: str) -> bool:
        """True when `word` is one of its names."""
        return word.casefold() in {self.name.casefold(), self.identifier.casefold(), self.short.casefold()}


def _of_language(voices: Sequence[Voice], code: str) -> Voice | None:
    wanted = code.casefold().replace("_", "-")
    ranked = sorted(voices, key=lambda voice: len(voice.identifier))
    for rank in range(3):
        for voice in ranked:
            if voice.languages[rank : rank + 1] == (wanted,):
                return voice
    if "-" not in wanted:
        families = (
            voice for voice in ranked if any(lang.startswith(f"{wanted}-") for lang in voice.languages)
        )
        return next(families, None)
    return None


def _nearest(word: str, known: Iterable[str]) -> str:
    choices = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), list(choices), n=3, cutoff=0.4)
    return (
        f"The nearest: {', '.join(choices[name] for name in near)}."
        if near
        else "Leave it out for the usual voice."
    )


def choose(voices: Sequence[Voice], language: str, voice: str | None) -> str:
    """The full name of the voice to speak with: an identifier, with "+variant" where one was asked for.

    Raises:
        UnknownVoice: `field` says which of the two fits nothing, the hint names the nearest.
    """
    bases = [known for known in voices if known.languages]
    variants = [known for known in voices if not known.languages]
    base = _of_language(bases, language)
    if base is None:
        codes = [code for known in bases for code in known.languages]
        raise UnknownVoice(f"no voice speaks {language!r}", field="language", hint=_nearest(language, codes))
    if voice is None or not voice.strip():
        return base.identifier
    first, plus, second = voice.strip().partition("+")
    if not plus:
        variant = next((known for known in variants if known.answers_to(first)), None)
        if variant is not None:
            return f"{base.identifier}+{variant.short}"
    named = next((known for known in bases if known.answers_to(first)), None) or _of_language(bases, first)
    if named is not None and not plus:
        return named.identifier
    variant = next((known for known in variants if known.answers_to(second)), None)
    if named is not None and variant is not None:
        return f"{named.identifier}+{variant.short}"
    unknown = second if named is not None else first
    names = [name for known in voices for name in (known.name, known.short)]
    raise UnknownVoice(f"there is no voice called {unknown!r}", field="voice", hint=_nearest(unknown, names))
