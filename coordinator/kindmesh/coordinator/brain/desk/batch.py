"""Sentences without a mesh: each line is understood, reviewed, and applied to a home that is a value.

    line --read--> text + home as it may be told --Cortex--> plan --Medulla's rules--> verdict
         --services--> changes --> reply

Each line begins with the home as it was loaded, with the line's `setup` over it; nothing is kept between lines. The
verdict is the real review's, with the words of the line as proof and the owner present; what is not allowed is not
done. See `applying` for what counts as done now. No files, no network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.coordinator.brain.desk.applying import apply_plan
from kindmesh.coordinator.brain.desk.describe import plan_sentence
from kindmesh.coordinator.brain.desk.judging import Judged, judge
from kindmesh.coordinator.brain.desk.lines import Line, area_named, prepared, read_line
from kindmesh.coordinator.brain.desk.veil import OPEN, Hidden, Veil
from kindmesh.coordinator.brain.desk.withholding import as_far, told, unknowable, withheld_words
from kindmesh.coordinator.brain.desk.wording import (
    Said,
    batch_reply,
    confirmed,
    needs_yes,
    plain_text,
    refused,
)
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.plan import Plan, Step, plan_to_document
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.policy import Answer

if TYPE_CHECKING:
    from kindmesh.coordinator.brain.cortex.cortex import Cortex

HOME_OPERATIONS: Final = frozenset(
    {"home.access", "home.control", "home.describe", "home.get", "home.history", "home.note"}
)
"""What a home without a mesh offers."""
_LOOK: Final = Plan(steps=(Step(id="look", call="home.get"),))


class Thought(msgspec.Struct, frozen=True):
    """A sentence that was understood and judged, and nothing done yet. `judged` is None when there is no plan; `veil`:
    what of `home` whoever asks may not know."""

    text: str
    home: Home
    veil: Veil
    understanding: Understanding
    judged: Judged | None


class Batch:
    """See the module. `home` is as loaded; `zone` an IANA time zone; `language` of the sentences; `clock` says the time
    of day, and how long a line took (`ms`); `place`: degrees north and east, for sunrise and sunset; `policy`: its
    answer for an operation and effects, where it is not the one that a household begins with."""

    def __init__(
        self,
        home: Home,
        cortex: Cortex,
        *,
        clock: Clock,
        zone: str = "UTC",
        language: str = "en",
        place: tuple[float, float] | None = None,
        policy: Callable[[str, int], Answer] | None = None,
    ) -> None:
        self._place = place
        self._home = home
        self._cortex = cortex
        self._clock = clock
        self._zone = zone
        self._language = language
        self._policy = policy

    def warm(self) -> None:
        """Read the grammars and rules now, so that the first line takes no longer than others."""
        self.think(Line("", "turn on the light"))

    def line(self, document: dict[str, Any], *, act: bool = True) -> dict[str, Any]:
        """The answer to one line, as docs/reference/ask.md has it; `act` False: only planned and judged.

        Raises:
            InvalidInput: the line is wrong; the field is named. KindmeshError: it cannot be understood or judged.
        """
        line = read_line(document)
        begun = self._clock.monotonic()
        thought = self.think(line)
        reply, changes = self.acted(thought) if act else (self.planned(thought), ())
        took_ms = (self._clock.monotonic() - begun) * 1000
        plan = thought.understanding.plan
        return {
            "id": line.id,
            "understood": thought.understanding.understood,
            "reply": reply,
            "plan": None if plan is None else plan_to_document(plan),
            "verdict": None if thought.judged is None else thought.judged.verdict,
            "changes": [msgspec.to_builtins(change) for change in changes],
            "ms": round(took_ms, 3),
        }

    def think(self, line: Line) -> Thought:
        """Understand and judge one line.

        Raises:
            KindmeshError: as `line`.
        """
        home = prepared(self._home, line.setup)
        now_ms, area = self._clock.now_ms(), area_named(home, line.area)
        look = self._judged(_LOOK, line.text, home, area, now_ms)
        veil = OPEN if look.verdict == "allow" else _veil(look)
        situation = Situation(
            veil.over(home),
            now_ms,
            zone=self._zone,
            area=area,
            language=self._language,
            person="owner",
            operations=HOME_OPERATIONS,
            place=self._place,
        )
        understanding = self._cortex.understand(line.text, situation)
        judged = None
        if understanding.plan is not None:
            check_plan(understanding.plan)
            judged = unknowable(understanding, veil, home)
            judged = judged or self._judged(understanding.plan, line.text, home, area, now_ms)
        return Thought(line.text, home, veil, understanding, judged)

    def _judged(self, plan: Plan, text: str, home: Home, area: str, now_ms: int) -> Judged:
        return judge(plan, text, home, area=area, now_ms=now_ms, zone=self._zone, policy=self._policy)

    def planned(self, thought: Thought) -> str:
        """What to say when nothing is to be done."""
        plan = thought.understanding.plan
        if plan is None or thought.judged is None:
            return self._said(thought)
        if thought.judged.verdict == "allow":
            return plan_sentence(plan, thought.home)
        return self._withheld(thought.judged)

    def acted(self, thought: Thought) -> tuple[str, tuple[Any, ...]]:
        """What to say, and what changed, once a plan that is allowed was applied."""
        plan, judged = thought.understanding.plan, thought.judged
        if plan is None or judged is None:
            return self._said(thought), ()
        if judged.verdict != "allow":
            return self._withheld(judged), ()
        now_ms, veil = self._clock.now_ms(), thought.veil
        applied = apply_plan(thought.home, plan, now_ms)
        seen = veil.over(applied.home, frozenset(applied.touched))
        found = told(thought.understanding, veil, seen)
        good = as_far(self._cortex.answer(found.understanding, seen, now_ms), found, seen, self._language)
        good = confirmed(good, applied.changes, seen, self._language, applied.touched)
        withheld = withheld_words(found, veil, seen, self._language)
        changes = tuple(one for one in applied.changes if veil.on(one.entity) is None)
        return plain_text((*batch_reply(applied, good), *withheld)), changes

    def _said(self, thought: Thought) -> str:
        understanding, veil, home = thought.understanding, thought.veil, thought.home
        if understanding.question:
            return understanding.question
        if not understanding.understood or understanding.plan is not None:
            return understanding.reply
        found, seen = told(understanding, veil, home), veil.over(home)
        withheld = withheld_words(found, veil, home, self._language)
        if not found.anything:
            return plain_text(withheld)
        said = self._cortex.answer(found.understanding, seen, self._clock.now_ms())
        return plain_text((Said(as_far(said, found, home, self._language)), *withheld))

    def _withheld(self, judged: Judged) -> str:
        say = refused if judged.verdict == "deny" else needs_yes
        return plain_text([say(judged.messages, self._language)])


def _veil(look: Judged) -> Veil:
    why = look.reasons[0]
    return Veil(every=Hidden(look.verdict, why.rule, why.message))


__all__ = ["HOME_OPERATIONS", "Batch", "Thought"]
