"""Which part of a sentence is about one call, where it says several things: "turn the kettle off and the lamp on".

A part is what lies between "and", "then", "but" and commas. The parts that have most of the words of the call's things
are about it, and those after them that say "it"; where none has any, it is the whole sentence. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, compiled
from kindmesh.coordinator.brain.medulla.review_sources import field_words
from kindmesh.coordinator.brain.medulla.review_words import Words, content, is_generic, stem, tokens

ACTION_FIELDS: Final = frozenset(
    stem(word) for word in ["service", "action", "command", "mode", "operation", "method", "verb", "activity"]
)
"""Names of arguments that say what is done, and not to what."""


def clause_about(scene: Scene, call: Call) -> Words:
    """The part of what was said that is about this call, where other parts are about others."""
    parts = [part for part in re.split(r"\band\b|\bthen\b|\bbut\b|[,;]", scene.words.meant) if part.strip()]
    if len(parts) < 2:
        return scene.words
    about: set[str] = set()
    for leaf in call.leaves:
        if isinstance(leaf.value, str) and not field_words(call.operation, leaf) & ACTION_FIELDS:
            for name in (leaf.value, *scene.facts.names.get(leaf.value, ())):
                about |= {
                    word for word in content(name.replace("_", " ").replace(".", " ")) if not is_generic(word)
                }
    shared = [len(about & compiled((part,)).stems) for part in parts]
    most = max(shared)
    if not most:
        return scene.words
    first = shared.index(most)
    # What follows and says "it" may be about the same.
    fits = [
        part for number, part in enumerate(parts)
        if shared[number] == most or (number > first and _PRONOUNS & set(tokens(part)))
    ]  # fmt: skip
    return compiled((" ".join(fits),))


_PRONOUNS: Final = frozenset({"it", "them", "that", "those", "these", "both"})


__all__ = ["ACTION_FIELDS", "clause_about"]
