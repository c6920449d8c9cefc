"""What is called by a common noun, and another of that kind where it was said: the near one is meant.

"Fan off", said where there is a "Ceiling fan", is that one, and not what is called just "Fan" in another room.
"""

from __future__ import annotations

import msgspec

from kindmesh.coordinator.brain.cortex.intents.book import determiners, kinds, plain
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Target
from kindmesh.coordinator.brain.cortex.terms import Clause, Situation


def nearer(target: Target, clause: Clause, situation: Situation, language: str) -> Target:
    """The target, with the only thing of its kind where it was said in the place of one elsewhere; see the module."""
    home, area = situation.home, situation.area
    if len(target.ids) != 1 or not area or target.areas or target.floors:
        return target
    one = home.entities.get(target.ids[0])
    said = clause.text.split()
    called = " ".join(plain(said[at]) for at in target.words if at < len(said))
    texts = [word for word in called.split() if word not in determiners(language)]
    noun = kinds(language).get(" ".join(texts))
    if one is None or noun is None or one.area in ("", area) or one.domain not in noun.domains:
        return target
    there = placed(home, of_kind(home, (one.domain,), noun.classes), (area,), ())
    return msgspec.structs.replace(target, ids=(there[0].id,)) if len(there) == 1 else target


__all__ = ["nearer"]
