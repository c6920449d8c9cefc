"""Whether sound rules would leave a household anything: what their author is warned of before they are signed.

Once there are rules, nothing is done that no rule permits. So whoever writes one forbid and nothing else, or one permit
for a guest, has forbidden everything else to everybody. That may be meant, and is no mistake of writing: it is a
warning, not a problem (`cedar_check`), and Medulla takes such rules. Pure.
"""

from __future__ import annotations

from itertools import product
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.cedar import Asked, Rules, effect_of
from kindmesh.coordinator.brain.medulla.cedar_text import Problem, statements
from kindmesh.protocol.manifest import Effect

_LIGHT: Final = Asked(
    action="light.turn_on", operation="home.control", service="light.turn_on", effects=int(Effect.ACTUATE),
    thing="light.any", present=True, said=True, proven=True, source="user", data=("home",),
)  # fmt: skip
"""The most everyday wish, of whom it is the most due: the owner, at home, in their own words. (What is only looked at
needs no permit, and so no rule.)"""
_HINT: Final = (
    "Begin with kindmesh policy starter and write yours below it; kindmesh policy remove undoes it."
)


def warnings(text: str) -> tuple[Problem, ...]:
    """What rules without a problem would do that their author may not want; empty: nothing of that kind.

    Raises:
        InvalidInput: it cannot be cut into rules.
    """
    cut = statements(text)
    if not cut:
        return ()
    effects = [effect_of(one) for one in cut]
    permits = [effect for effect in effects if effect.text == "permit"]
    if not permits:
        what = "nothing in it is permitted, and so nothing would be done any more, whoever asks"
        return (Problem(effects[0].line, effects[0].column, what, _HINT),)
    rules = Rules(text)
    hours = product(range(1, 8), range(0, 1_440, 60))
    asked = (msgspec.structs.replace(_LIGHT, weekday=day, minute=minute) for day, minute in hours)
    if rules.problem or any(rules.answer(one).answer != "deny" for one in asked):
        return ()
    what = "with these rules not even the owner could have a light switched on that no rule names, at no hour"
    return (Problem(permits[0].line, permits[0].column, what, _HINT),)


__all__ = ["warnings"]
