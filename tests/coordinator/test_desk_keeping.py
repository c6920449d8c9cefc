"""What the desk remembers: bounded, sealed, forgotten on request, and damaged notes are no accident."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import Situation, Turn, Understanding
from kindmesh.coordinator.brain.desk.conversation import Conversations, Feedback, Kept, Routine, Taken
from kindmesh.coordinator.brain.desk.keeping import FEEDBACK_KEPT, ROUTINES_KEPT, TURNS_KEPT, Keeping
from kindmesh.coordinator.brain.desk.thinking import Thinking, as_routine
from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.errors import BackPressure, InvalidInput, UnknownJob
from kindmesh.protocol.plan import plan_from_document

SECRET = "turn on the lamp beside the safe"
PLAN = plan_from_document(
    {
        "plan": 1,
        "steps": [
            {
                "id": "a",
                "call": "home.control",
                "args": {
                    "service": "light.turn_on",
                    "entities": {"$value": ["light.a"], "$label": {"source": "user", "words": ["lamp"]}},
                },
            }
        ],
    }
)


class Clock:
    now = 1_000_000

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000


class Desk:
    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, Clock()
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path, HEART_SCHEMA, sync="inline")
        self.keeping = Keeping(self.store, RunVault(self.store, bytes(32)))
        self.said = Conversations(self.keeping, self.clock, SystemEntropy())

    def again(self) -> None:
        self.store.close()
        self.open()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "journal.db")
    yield made
    made.store.close()


async def test_turns_are_bounded_apart_and_there_after_a_restart(desk: Desk) -> None:
    for number in range(TURNS_KEPT + 5):
        desk.clock.now += 1
        desk.said.remember("ann", Turn(f"sentence {number}", reply="Done"))
    desk.said.remember("bob", Turn("mine"))
    desk.store.join()
    desk.again()
    turns = desk.said.turns("ann")
    assert [turn.text for turn in turns] == [f"sentence {number}" for number in range(5, TURNS_KEPT + 5)]
    assert [turn.text for turn in desk.said.turns("bob")] == ["mine"]
    last = desk.said.last("ann")
    assert last is not None
    assert last.text == f"sentence {TURNS_KEPT + 4}"
    desk.clock.now += 31 * 60_000
    assert desk.said.turns("ann") == (), "what was said an hour ago is not what it means"
    assert desk.said.last("ann") == last


async def test_nothing_that_was_said_is_in_the_clear_and_forgetting_deletes_the_key(desk: Desk) -> None:
    desk.said.remember("ann", Turn(SECRET))
    desk.said.take("ann", "key", Taken(SECRET, Understanding(understood=True), PLAN))
    desk.said.judge("ann", Feedback(SECRET, "Done", good=True))
    desk.store.join()
    desk.store.close()
    raw = b"".join(one.read_bytes() for one in desk.path.parent.iterdir() if one.is_file())
    assert b"safe" not in raw
    assert b"ann" not in raw
    desk.open()
    taken = desk.said.taken("ann", "key")
    assert taken is not None
    assert (taken.text, taken.plan) == (SECRET, PLAN)
    assert desk.said.forget("ann", "ann") == 3
    assert desk.said.taken("ann", "key") is None
    assert desk.said.judged("ann") == []
    assert desk.said.last("ann") is None


async def test_feedback_is_bounded_and_a_note_that_does_not_open_is_none(desk: Desk) -> None:
    for number in range(FEEDBACK_KEPT + 3):
        desk.said.judge("ann", Feedback(str(number), "", good=False, meant="x"))
    assert len(desk.said.judged("ann")) == FEEDBACK_KEPT
    desk.store.execute("UPDATE desk_note SET sealed = x'00' WHERE kind = 'feedback'")
    assert desk.said.judged("ann") == []
    with pytest.raises(BackPressure):
        desk.keeping.put("turn", "ann", b"x", bytes(2_000_000), 1)


async def test_routines_are_proposed_confirmed_dropped_and_never_pushed_out(desk: Desk) -> None:
    first = desk.said.propose("ann", Routine("film time", PLAN))
    desk.clock.now += 1
    second = desk.said.propose("ann", Routine("Film Time", PLAN))
    (known,) = desk.said.routines("ann")
    assert (known.id, known.routine.state) == (second, "proposed"), first
    assert desk.said.confirm("ann", second[:-2]).routine.state == "confirmed"
    assert [one.routine.state for one in desk.said.routines("ann")] == ["confirmed"]
    for wrong in ("", "zzz", first):
        with pytest.raises(UnknownJob):
            desk.said.confirm("ann", wrong)
    with pytest.raises(UnknownJob):
        desk.said.drop("bob", second)
    for number in range(ROUTINES_KEPT - 1):
        desk.said.propose("ann", Routine(f"sentence {number}", PLAN))
    with pytest.raises(BackPressure):
        desk.said.propose("ann", Routine("one too many", PLAN))
    with pytest.raises(InvalidInput, match="several"):
        desk.said.drop("ann", second[:1])
    desk.said.drop("ann", second)
    assert desk.said.propose("ann", Routine("now there is room", PLAN))


async def test_a_learned_plan_no_longer_claims_the_words_it_came_from() -> None:
    routine = as_routine("  film   time ", PLAN)
    assert routine.sentence == "film time"
    assert routine.plan.steps[0].args["entities"]["$label"] == {"source": "memory"}
    with pytest.raises(InvalidInput):
        as_routine("film {time}", PLAN)
    moment = plan_from_document({"plan": 1, "steps": [{"id": "w", "pause": {"until_ms": 5}}]})
    with pytest.raises(InvalidInput):
        as_routine("film time", moment)


async def test_what_a_model_or_the_web_made_up_stays_that_when_it_is_learned() -> None:
    labels = {name: {"source": name, "words": ["lamp"]} for name in ("model", "web", "device", "user")}
    data = {name: {"$value": 1, "$label": label} for name, label in labels.items()}
    args = {"service": {"$value": "light.turn_on"}, "data": data}
    plan = plan_from_document({"plan": 1, "steps": [{"id": "a", "call": "home.control", "args": args}]})
    learned = as_routine("film time", plan, "model")
    assert learned.why == "model"
    found = learned.plan.steps[0].args
    assert found["service"]["$label"] == {"source": "memory"}
    sources = {name: value["$label"] for name, value in found["data"].items()}
    assert sources == {
        "model": {"source": "model"}, "web": {"source": "web"}, "device": {"source": "device"},
        "user": {"source": "memory"},
    }  # fmt: skip


async def test_the_newest_plan_that_a_model_made_of_a_sentence_is_known(desk: Desk) -> None:
    other = msgspec.structs.replace(PLAN, name="newer")
    for key, plan, modelled in (("a", PLAN, True), ("b", other, True), ("c", PLAN, False)):
        desk.clock.now += 1
        meant = Understanding(understood=True, plan=plan)
        desk.said.take("ann", key, Taken("film time", meant, plan, modelled=modelled))
    desk.store.close()
    desk.open()
    assert desk.said.modelled("ann", "film time") == other
    assert desk.said.modelled("ann", "film") is None
    assert desk.said.modelled("bob", "film time") is None


async def test_a_choice_is_each_persons_own(desk: Desk) -> None:
    desk.said.choose("ann", "butler")
    assert (desk.said.persona("ann"), desk.said.persona("bob")) == ("butler", "")


@pytest.mark.parametrize("said", ["It's film time, please!", "Well, it is film time", "it's film time"])
async def test_a_learned_sentence_is_known_again_as_it_is_heard_not_as_it_was_typed(said: str) -> None:
    routine = msgspec.structs.replace(as_routine("Oh, it's film time please.", PLAN), state="confirmed")
    found = await Thinking().understand(said, Situation(Home(), Clock.now), [Kept("one", routine, Clock.now)])
    assert [one.intent for one in found.recognised] == ["Routine"]
    assert found.plan is not None


async def test_a_learned_sentence_of_polite_words_alone_hinders_no_other() -> None:
    routine = msgspec.structs.replace(as_routine("please", PLAN), state="confirmed")
    found = await Thinking().understand(
        "what time is it", Situation(Home(), Clock.now), [Kept("one", routine, Clock.now)]
    )
    assert found.understood
