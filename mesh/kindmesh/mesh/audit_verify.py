"""Verifies audit logs against themselves and against what others remember of them.

A `Source` is a log wherever it is: a store on this disk, a running process, an exported file. A `Memory` is a signed
head that somebody remembers: a device, or an anchor by its receipt. Rows are read in pages and forgotten again, so the
size of a log costs time, not memory. What others remember is to be collected before the logs are read: they only grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from kindmesh.mesh.audit import AuditRows
from kindmesh.protocol.audit import AuditHead, SealedEntry, open_head
from kindmesh.protocol.audit_check import LogCheck
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.signed import Signed

PROGRESS_EVERY: Final = 10_000


class Place(msgspec.Struct, frozen=True):
    """Which log: `log` is node, coordinator or medulla, `device` the name of where it is kept, `public` its author's
    Ed25519 key."""

    log: str
    device: str
    public: bytes

    @property
    def author(self) -> bytes:
        """The author's id."""
        return key_id(self.public)


class Source(Protocol):
    """A log that can be read from its beginning."""

    place: Place

    def page(self, after: int) -> Sequence[tuple[int, SealedEntry]]:
        """The next rows after number `after`, in order; none at the end."""


class StoreSource:
    """A log in a store of this disk."""

    def __init__(self, place: Place, rows: AuditRows) -> None:
        self.place, self._rows = place, rows

    def page(self, after: int) -> Sequence[tuple[int, SealedEntry]]:
        """As `Source`; raises StoreError and its kin."""
        return self._rows.page(after)


class Memory(msgspec.Struct, frozen=True):
    """`witness` (a name) remembers this signed `head`; `problem` is what it noticed itself, or empty."""

    witness: str
    head: Signed
    problem: str = ""


class Finding(msgspec.Struct, frozen=True):
    """Entries `first` to `last` of a log (0: none in particular), and what is wrong with them."""

    log: str
    device: str
    first: int
    last: int
    problem: str


class LogReport(msgspec.Struct, frozen=True):
    """A log that was read: how many entries, and its Merkle root."""

    log: str
    device: str
    author: bytes
    entries: int
    root: bytes


class Asked(msgspec.Struct, frozen=True):
    """A witness' memory of the first `entries` of a log, and whether the log is that still."""

    witness: str
    log: str
    device: str
    entries: int
    ok: bool


class Report(msgspec.Struct):
    """What `verify` found; `problems` is empty when all is well."""

    problems: list[Finding] = []
    logs: list[LogReport] = []
    witnesses: list[Asked] = []

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    @property
    def entries(self) -> int:
        """Entries of all logs."""
        return sum(one.entries for one in self.logs)

    def as_dict(self) -> dict[str, Any]:
        """As `kindmesh audit verify --json` prints it."""
        body: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(bytes,))
        for log in body["logs"]:
            log["author"] = format_id(log["author"])
        return {"ok": self.ok, "entries": self.entries, **body}


def verify(
    mesh: bytes,
    sources: Iterable[Source],
    memories: Sequence[Memory] = (),
    progress: Callable[[str, int], None] = lambda name, entries: None,
) -> Report:
    """Check every source, and every memory of its log. A source that cannot be read is a problem like any other."""
    report = Report()
    for source in sources:
        try:
            _verify(
                mesh,
                source,
                [one for one in memories if one.head.author == source.place.author],
                report,
                progress,
            )
        except KindmeshError as error:
            place = source.place
            report.problems.append(
                Finding(place.log, place.device, 0, 0, f"it cannot be read: {error.message}")
            )
    return report


def _verify(
    mesh: bytes,
    source: Source,
    memories: Sequence[Memory],
    report: Report,
    progress: Callable[[str, int], None],
) -> None:
    place = source.place
    heads: list[tuple[Memory, AuditHead]] = []
    for memory in memories:
        try:
            heads.append((memory, open_head(memory.head, place.public, mesh)))
        except KindmeshError:
            wrong = f"what {memory.witness} remembers of it is not signed by its author"
            report.problems.append(Finding(place.log, place.device, 0, 0, wrong))
    marks = [head.size for _, head in heads]
    check = _read(source, LogCheck(mesh, place.public, marks), progress)
    if check.rewritten:
        check = _read(source, LogCheck(mesh, place.public, marks, every_seal=True), progress)
        if not check.problems:
            report.problems.append(
                Finding(
                    place.log, place.device, check.entries, check.entries, "its last signature does not fit"
                )
            )
    for problem in check.problems:
        report.problems.append(Finding(place.log, place.device, problem.first, problem.last, problem.text))
    more = check.found - len(check.problems)
    if more > 0:
        report.problems.append(Finding(place.log, place.device, 0, 0, f"and {more} problems more"))
    report.logs.append(
        LogReport(
            place.log, place.device, place.author, check.entries, check.head.root if check.head else b""
        )
    )
    for memory, head in heads:
        _compare(check, memory, head, place, report)


def _read(source: Source, check: LogCheck, progress: Callable[[str, int], None]) -> LogCheck:
    after, told = 0, 0
    while page := source.page(after):
        for number, row in page:
            check.feed(number, row)
        after = page[-1][0]
        if check.entries - told >= PROGRESS_EVERY:
            told = check.entries
            progress(f"{source.place.device} ({source.place.log})", told)
    check.end()
    return check


def _compare(check: LogCheck, memory: Memory, head: AuditHead, place: Place, report: Report) -> None:
    root = check.roots.get(head.size)
    wrong = ""
    first, last = 1, head.size
    if memory.problem:
        wrong = f"{memory.witness} noticed: {memory.problem}"
    elif root is None:
        first = check.entries + 1
        wrong = f"cut off: {memory.witness} remembers {head.size} entries, {check.entries} are here"
    elif root != head.root and any(problem.first <= head.size for problem in check.problems):
        report.witnesses.append(Asked(memory.witness, place.log, place.device, head.size, ok=False))
        return  # which entry it is was said already
    elif root != head.root:
        wrong = f"written anew: {memory.witness} remembers other entries up to {head.size}"
    if wrong:
        report.problems.append(Finding(place.log, place.device, first, last, wrong))
    report.witnesses.append(Asked(memory.witness, place.log, place.device, head.size, not wrong))


__all__ = [
    "Asked",
    "Finding",
    "LogReport",
    "Memory",
    "Place",
    "Report",
    "Source",
    "StoreSource",
    "verify",
]
