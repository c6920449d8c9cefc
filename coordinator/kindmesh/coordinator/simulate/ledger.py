"""What was really done and what everybody was told, judged at that very moment.

The ledger stands outside of the household: it is told of every effect in the world, of every acknowledgement and every
ending that a person is told, and looks at the living parts now and then. What it must never see is a `Violation`:

    lost                a job was acknowledged, and a coordinator that starts does not have it
    duplicate_effect    what may not be done twice was; or what may was done twice under one permit
    unpermitted_effect  there is no permit, Medulla did not sign it, or it is for something else (`permits`)
    stale_effect        an attempt acted after a later one of the same job on the same device
    revoked_acted       a device acted that knows it was removed, or longer after it than any permit serves
    stale_acted         a device acted beyond reading and notifying, that has not heard for a day who was removed
    contradiction       a person was told two endings, or one that is not so
    stuck               a job is past its time, the coordinator lives, and the job neither ended nor waits visibly
    emergency_late      an emergency was not done in time although there was a way all the time
    unbounded           a table or queue grows beyond its bound
    crash               an exception that nobody caught

`History` hashes are made here, too: of every line that was noted, in order.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.simulate.permits import Witnessed, permit_problem
from kindmesh.coordinator.simulate.work import ALARM, MANIFEST
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_TTL_MS, ROSTER_STALE_MS
from kindmesh.protocol.manifest import HARMLESS, Operation
from kindmesh.protocol.messages.jobs import Job

OPERATIONS: Final[dict[str, Operation]] = {
    found.name: found for manifest in (MANIFEST, ALARM) for found in manifest.operations
}
SLACK_MS: Final = 15_000
"""What a device may take between its decision and the effect, waking and working included."""
VIOLATIONS_MAX: Final = 20
KINDS: Final = (
    "lost", "duplicate_effect", "unpermitted_effect", "stale_effect", "revoked_acted", "stale_acted", "contradiction",
    "stuck", "emergency_late", "unbounded", "crash",
)  # fmt: skip


class Violation(msgspec.Struct, frozen=True):
    """One thing that must never be; `job` is the key of the job that it is about, or empty."""

    kind: str
    job: str
    at_ms: int
    text: str


class Effect(msgspec.Struct, frozen=True):
    """One thing that was done in the world."""

    at_ms: int
    device: str
    job: str
    operation: str
    epoch: int
    permit_id: bytes


class Ledger:
    """See the module. `now_ms` is the true time since the household was started; `broken` is called at the first
    violation."""

    def __init__(self, mesh: bytes, medulla: bytes, start_ms: int, now_ms: Callable[[], int]) -> None:
        self.mesh, self.medulla, self.start_ms, self.now_ms = mesh, medulla, start_ms, now_ms
        self.violations: list[Violation] = []
        self.effects: list[Effect] = []
        self.acknowledged: dict[str, int] = {}
        self.endings: dict[str, list[str]] = defaultdict(list)
        self.revoked_ms: dict[str, int] = {}
        self.texts: Counter[str] = Counter()
        """How often something was done with that text."""
        self.events: Counter[str] = Counter()
        self.by_job: dict[str, list[str]] = defaultdict(list)
        """Lines about each job, for its story."""
        self.broken: Callable[[], None] = _nothing
        self._hash = hashlib.sha256()
        self._done: Counter[str] = Counter()
        self._permits: Counter[bytes] = Counter()
        self._attempts: Counter[tuple[str, str, int]] = Counter()
        self._epochs: dict[tuple[str, str], int] = {}
        self._seen: set[tuple[str, str]] = set()

    # ---------------------------------------------------------------------------------------------- the history

    def note(self, kind: str, *words: object, job: str = "") -> None:
        """Something that somebody outside could have seen."""
        self.events[kind] += 1
        line = " ".join([f"{self.now_ms()}", kind, *map(str, words)])
        self._hash.update(line.encode() + b"\n")
        if job:
            self.by_job[job].append(line)

    @property
    def history_hash(self) -> str:
        """The hash of all that was noted so far."""
        return self._hash.hexdigest()

    def violate(self, kind: str, text: str, job: str = "") -> None:
        """Something happened that must not; of one job only the first of a kind."""
        if (kind, job) in self._seen or len(self.violations) >= VIOLATIONS_MAX:
            return
        self._seen.add((kind, job))
        self.note("violation", kind, text, job=job)
        self.violations.append(Violation(kind, job, self.now_ms(), text))
        self.broken()

    # ------------------------------------------------------------------------------------------- what is told

    def told(self, job: str, word: str) -> None:
        """A person was told `acknowledged`, the code of a refusal, or how a job ended."""
        self.note("told", job, word, job=job)
        if word == "acknowledged":
            self.acknowledged.setdefault(job, self.now_ms())
        elif word.islower():
            endings = self.endings[job]
            endings.append(word)
            if len(set(endings)) > 1:
                self.violate("contradiction", f"told to have ended as {' and as '.join(endings)}", job)

    # -------------------------------------------------------------------------------------------- what is done

    def effect(
        self,
        device: str,
        about: Witnessed,
        *,
        job: str,
        operation: str,
        args: dict[str, Any],
        work: Job | None,
    ) -> None:
        """A device did something; `work` is the message that told it to, as the device has it."""
        now_ms = self.now_ms()
        epoch = 0 if work is None else work.epoch
        known = OPERATIONS[operation]
        problem, permit = permit_problem((self.mesh, self.medulla), about, work, operation=known, args=args)
        self.texts[str(args["text"])] += 1
        permit_id = b"" if permit is None else permit.permit_id
        self.effects.append(Effect(now_ms, device, job, operation, epoch, permit_id))
        self.note("effect", device, job, operation, epoch, permit_id.hex(), job=job)
        if problem:
            self.violate("unpermitted_effect", f"{operation} on {device}: {problem}", job)
        self._count(device, job, known, epoch, permit_id)
        self._standing(device, about, known, job, now_ms)

    def _count(self, device: str, job: str, operation: Operation, epoch: int, permit_id: bytes) -> None:
        self._done[job] += 1
        if permit_id:
            self._permits[permit_id] += 1
        self._attempts[device, job, epoch] += 1
        if not operation.idempotent and self._done[job] > 1:
            where = [effect.device for effect in self.effects if effect.job == job]
            self.violate("duplicate_effect", f"{operation.name} was done {len(where)} times, on {where}", job)
        elif self._permits[permit_id] > 1 or self._attempts[device, job, epoch] > 1:
            self.violate(
                "duplicate_effect", f"{operation.name} was done twice by one attempt on {device}", job
            )
        later = self._epochs.get((device, job), 0)
        if epoch < later:
            self.violate("stale_effect", f"attempt {epoch} acted on {device} after attempt {later}", job)
        self._epochs[device, job] = max(epoch, later)

    def _standing(self, device: str, about: Witnessed, operation: Operation, job: str, now_ms: int) -> None:
        revoked = self.revoked_ms.get(device)
        late_ms = PERMIT_TTL_MS + CLOCK_SKEW_MS + SLACK_MS + about.asleep_ms
        if about.removed or (revoked is not None and now_ms > revoked + late_ms):
            self.violate("revoked_acted", f"{device} did {operation.name} after it was removed", job)
        age_ms = self.start_ms + now_ms - about.revocations_ms
        if operation.effects & ~HARMLESS and age_ms > ROSTER_STALE_MS + CLOCK_SKEW_MS + about.asleep_ms:
            hours = age_ms / 3_600_000
            self.violate(
                "stale_acted",
                f"{device} did {operation.name}, {hours:.1f} h after it heard who is removed",
                job,
            )

    def ghost(self, job_id: bytes) -> str:
        """The name of a job that nobody in the household asked for."""
        return f"ghost-{format_time_id(job_id)}"


def _nothing() -> None:
    """Nobody wants to know of the first violation."""


__all__ = ["KINDS", "OPERATIONS", "SLACK_MS", "Effect", "Ledger", "Violation"]
