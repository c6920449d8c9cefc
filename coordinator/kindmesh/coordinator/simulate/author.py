"""Makes a history from a seed: who asks for what, and what goes wrong meanwhile.

A history is a number of *episodes* spread over the days, with nothing between them: some people want something done,
and meanwhile something goes wrong, by one of the `TROUBLES`; what was broken is mended at the end of it, or hours
later, or never. How many episodes there are depends on the days, how much each asks for on the number of devices, so
that the work grows with devices x days and not faster. Everything comes from the seed, so that it is the same on every
machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeAlias, get_args

from kindmesh.coordinator.simulate.history import (
    EMERGENCY_MS,
    FORGERIES,
    FORMAT,
    NODES_MAX,
    Act,
    Answer,
    Ask,
    Cancel,
    Fill,
    Forge,
    History,
    Keep,
    Kill,
    Link,
    Plan,
    Restore,
    Revoke,
    Room,
    Run,
    Shape,
    Shift,
    Sleep,
    Start,
    Stream,
    Wake,
    names,
)
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import PERMIT_TTL_MS
from kindmesh.protocol.messages.jobs import Priority

EPISODES_A_DAY: Final = 32
PLANS_FROM_MS: Final = 5 * 3_600_000
RUNS_A_DAY: Final = 6
STREAMS_A_DAY: Final = 4


def generate(seed: int, nodes: int, days: float) -> History:
    """The history of that seed.

    Raises:
        InvalidInput: not 1 to 64 nodes, or no time, or more than a year.
    """
    if not 1 <= nodes <= NODES_MAX:
        raise InvalidInput(f"a household has 1 to {NODES_MAX} nodes here", field="nodes")
    if not 0 < days <= 366:
        raise InvalidInput("simulate some time, and at most a year", field="days")
    return _Author(seed, nodes, days).write()


class _Author:
    """Writes a history, episode by episode."""

    def __init__(self, seed: int, nodes: int, days: float) -> None:
        self.seed, self.nodes, self.days = seed, nodes, days
        self.dice = random.Random(f"history-{seed}-{nodes}-{days}")
        self.names = names(nodes)
        self.acts: list[Act] = []
        self.asked = 0
        self.away: dict[str, int] = {}
        """Until when a device is not there, so that nothing else is done to it."""
        self.kept: set[str] = set()
        self.revoked = ""
        self.begins: list[int] = []
        """When each episode begins."""

    def write(self) -> History:
        length_ms = round(self.days * 86_400_000)
        episodes = max(1, round(self.days * EPISODES_A_DAY))
        gap_ms = length_ms / episodes
        for number in range(episodes):
            begin = round(gap_ms * (number + self.dice.uniform(0.05, 0.6)))
            self.begins.append(begin)
            self._episode(begin, min(length_ms, round(gap_ms * (number + 1))))
        self._plans(length_ms)
        self._runs()
        self._streams()
        acts = tuple(sorted(self.acts, key=lambda act: act.at_ms))
        end_ms = max([length_ms, *(act.at_ms for act in acts)])
        return History(FORMAT, self.seed, self.nodes, self.days, end_ms, acts)

    def _episode(self, begin: int, end: int) -> None:
        dice = self.dice
        length = min(dice.randrange(10_000, 40_000), max(2_000, end - begin))
        for _ in range(dice.randrange(1, max(3, self.nodes))):
            self._ask(begin + dice.randrange(length))
        if dice.random() < 0.5:
            self._emergency(begin + dice.randrange(length))
        for _ in range(dice.choice([0, 1, 1, 1, 2, 2, 3])):
            trouble = dice.choices(_TROUBLES, _WEIGHTS)[0]
            trouble(self, begin + dice.randrange(length))

    def _plans(self, length_ms: int) -> None:
        """Households that are looked at for some hours have schedules, too."""
        dice = random.Random(f"plans-{self.seed}-{self.nodes}-{self.days}")
        if length_ms >= PLANS_FROM_MS:
            for number in range(dice.randrange(3)):
                every_ms = dice.choice((20, 45, 90)) * 60_000
                self.acts.append(Plan(dice.randrange(60_000, 600_000), f"plan-{number + 1}", every_ms))

    def _runs(self) -> None:
        """Some plans of several steps, where other things happen, too."""
        dice = random.Random(f"runs-{self.seed}-{self.nodes}-{self.days}")
        for number in range(max(1, round(self.days * RUNS_A_DAY))):
            at, shape = dice.choice(self.begins) + dice.randrange(20_000), dice.choice(get_args(Shape))
            within = dice.choice([60_000, 120_000, 300_000])
            self.acts.append(Run(at, f"run-{number + 1}", shape, within, dice.randrange(1_500)))
            if shape == "ask" and dice.random() < 0.7:
                self.acts.append(Answer(at + dice.randrange(5_000, 60_000), allow=dice.random() < 0.8))

    def _streams(self) -> None:
        """Some streams, where other things happen, too."""
        dice = random.Random(f"streams-{self.seed}-{self.nodes}-{self.days}")
        for number in range(max(1, round(self.days * STREAMS_A_DAY))):
            at, target = dice.choice(self.begins) + dice.randrange(20_000), dice.choice(["", *self.names])
            pieces, pause_ms = dice.randrange(1, 16), dice.choice([0, 20, 300, 2_000])
            self.acts.append(Stream(at, f"stream-{number + 1}", pieces, pause_ms, target))

    def _here(self, at: int) -> str:
        """A device that nothing was done to yet; empty when there is none."""
        free = [name for name in self.names if self.away.get(name, 0) < at and name != self.revoked]
        return self.dice.choice(free) if free else ""

    def _pause(self) -> int:
        """How long something stays broken: mostly seconds, sometimes hours."""
        kind = self.dice.random()
        if kind < 0.75:
            return self.dice.randrange(200, 30_000)
        if kind < 0.95:
            return self.dice.randrange(30_000, 600_000)
        return self.dice.randrange(600_000, 6 * 3_600_000)

    # ------------------------------------------------------------------------------------------ what is wanted

    def _ask(self, at: int) -> None:
        dice = self.dice
        self.asked += 1
        key = f"job-{self.asked}"
        operation = dice.choices(
            ("work.read", "work.tidy", "work.add", "notes.append", "work.switch"), (3, 4, 5, 2, 2)
        )[0]
        within = dice.choice([10_000, 30_000, 30_000, 120_000, 600_000])
        times = (0, 0) if operation == "notes.append" else (_work_ms(dice), _work_ms(dice))
        target = dice.choice(self.names) if dice.random() < 0.25 else ""
        priority: Priority = "background" if dice.random() < 0.2 else "interactive"
        self.acts.append(Ask(at, key, operation, within, target, *times, priority))
        if operation == "work.switch" and dice.random() < 0.8:
            self.acts.append(Answer(at + dice.randrange(500, within), allow=dice.random() < 0.8))
        if dice.random() < 0.08:
            self.acts.append(Cancel(at + dice.randrange(10, 5_000), key))

    def _emergency(self, at: int) -> None:
        self.asked += 1
        key = f"job-{self.asked}"
        times = (self.dice.randrange(200), self.dice.randrange(200))
        self.acts.append(Ask(at, key, "alarm.tell", EMERGENCY_MS, "", *times, "emergency"))

    # ----------------------------------------------------------------------------------------- what goes wrong

    def kill(self, at: int) -> None:
        name, pause = self._here(at), self._pause()
        if name:
            self.away[name] = at + pause
            self.acts.append(self._death(at, name, 60))
            self.acts.append(Start(at + pause, name))

    def _death(self, at: int, name: str, steps: int) -> Kill:
        silent = self.dice.random() < 0.3
        if self.dice.random() < 0.5:
            return Kill(at, name, 0, silent, boundary=self.dice.randrange(1, 24))
        return Kill(at, name, self.dice.randrange(steps), silent)

    def kill_desk(self, at: int) -> None:
        self.acts.append(self._death(at, "desk", 120))
        self.acts.append(Start(at + min(self._pause(), 120_000), "desk"))

    def kill_medulla(self, at: int) -> None:
        self.acts.append(Kill(at, "medulla"))
        self.acts.append(Start(at + min(self._pause(), 60_000), "medulla"))

    def sleep(self, at: int) -> None:
        name, pause = self._here(at), self._pause()
        if name:
            self.away[name] = at + pause
            self.acts += [Sleep(at, name), Wake(at + pause, name)]

    def cut(self, at: int) -> None:
        """One direction or both."""
        name, pause = self._here(at), self._pause()
        if name:
            self.away[name] = at + pause
            ways = self.dice.choice([(0,), (1,), (0, 1)])
            both = [("desk", name), (name, "desk")]
            self.acts += [Link(at, *both[way], partitioned=True) for way in ways]
            self.acts += [Link(at + pause, *both[way]) for way in ways]

    def bad_links(self, at: int) -> None:
        dice = self.dice
        pause = min(self._pause(), 300_000)
        for name in self.names:
            if dice.random() < 0.5 and self.away.get(name, 0) < at:
                self.away[name] = at + pause
                for one, other in (("desk", name), (name, "desk")):
                    delay = dice.choice([1.0, 20.0, 200.0, 2_500.0])
                    self.acts.append(
                        Link(at, one, other, delay, delay / 2, dice.uniform(0, 0.3), dice.uniform(0, 0.4),
                             dice.uniform(0, 0.4))
                    )  # fmt: skip
                    self.acts.append(Link(at + pause, one, other))

    def shift(self, at: int) -> None:
        name = self._here(at)
        if name:
            by = self.dice.choice([-86_400_000, -600_000, -90_000, 90_000, 600_000, 86_400_000])
            self.acts.append(Shift(at, name, by))
            if self.dice.random() < 0.8:
                self.acts.append(Shift(at + self._pause(), name, -by))

    def fill(self, at: int) -> None:
        name = self._here(at) if self.dice.random() < 0.7 else "desk"
        if name:
            pause = min(self._pause(), 600_000)
            self.acts += [Fill(at, name), Room(at + pause, name)]

    def restore(self, at: int) -> None:
        """A copy is made; later the device comes back with it."""
        name = self._here(at)
        if name and name not in self.kept:
            self.kept.add(name)
            pause = self._pause()
            self.away[name] = at + pause
            self.acts += [Keep(at, name), Restore(at + pause, name)]

    def revoke(self, at: int) -> None:
        """At most one device of a household with some."""
        name = self._here(at)
        if name and not self.revoked and self.nodes >= 3:
            self.revoked = name
            if self.dice.random() < 0.5:
                # It does not hear of it at once.
                self.acts.append(Link(at - 1, "desk", name, partitioned=True))
                self.acts.append(Link(at + self._pause(), "desk", name))
            self.acts.append(Revoke(at, name))

    def forge(self, at: int) -> None:
        for number in range(self.dice.randrange(1, 4)):
            late = at + number * self.dice.choice([100, 5_000, PERMIT_TTL_MS + 10_000])
            name = self.dice.choice(self.names)
            self.acts.append(Forge(late, name, self.dice.choice(FORGERIES)))


def _work_ms(dice: random.Random) -> int:
    return dice.choice([0, dice.randrange(200), dice.randrange(200), dice.randrange(4_000)])


_Trouble: TypeAlias = Callable[[_Author, int], None]
TROUBLES: Final[dict[str, tuple[_Trouble, int]]] = {
    "kill": (_Author.kill, 6),
    "kill_desk": (_Author.kill_desk, 6),
    "kill_medulla": (_Author.kill_medulla, 2),
    "sleep": (_Author.sleep, 3),
    "cut": (_Author.cut, 4),
    "bad_links": (_Author.bad_links, 4),
    "shift": (_Author.shift, 2),
    "fill": (_Author.fill, 2),
    "restore": (_Author.restore, 1),
    "revoke": (_Author.revoke, 2),
    "forge": (_Author.forge, 4),
}
"""What goes wrong, and how often compared with the rest."""
_TROUBLES: Final = [trouble for trouble, _ in TROUBLES.values()]
_WEIGHTS: Final = [weight for _, weight in TROUBLES.values()]


__all__ = ["TROUBLES", "generate"]
