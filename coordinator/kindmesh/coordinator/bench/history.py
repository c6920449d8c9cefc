"""Years of use in a minute: finished jobs written into the journals of a folder whose programs do not run.

The rows are those that a succeeded `device.echo` leaves: at the coordinator the job with its sealed request and ending,
its run's key, its permit and story; at Medulla the permit's entry in the audit log; at the node the sealed result that
was taken, and the entry of its effect. They are written by the programs' own journals, under the folder's own keys, a
thousand to a commit; the permit is the same for all, since nothing reads it again. They end `SPACING_MS` apart, the
last one now.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Final

from kindmesh.coordinator.app import VAULT_INFO
from kindmesh.coordinator.brain.medulla.service import SCHEMA
from kindmesh.coordinator.heart.journal import (
    HEART_SCHEMA,
    Ending,
    HeartJournal,
    JobFacts,
    JobRequest,
    Progress,
)
from kindmesh.coordinator.heart.machine_words import StoryEntry
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import SEED_FILE
from kindmesh.mesh.key_files import read_key
from kindmesh.mesh.store import Store
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import RunVault, folder_key
from kindmesh.node.app import RESULTS_INFO, STORE_KEY
from kindmesh.node.job_events import Order, WriteResult
from kindmesh.node.journal import NODE_SCHEMA, NodeJournal
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey, hkdf_sha256
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.messages.jobs import JobResult
from kindmesh.protocol.signed import Signed

SPACING_MS: Final = 1_000
GROUP: Final = 1_000
_VALUE: Final = encode_value({"text": "x" * 100})
_PERMIT: Final = Signed(b"p" * 240, b"a" * 20, b"s" * 64)


def fill(home: Home, jobs: int) -> dict[str, float]:
    """Write `jobs` finished jobs into all three journals; their sizes in MiB by program.

    Raises:
        KindmeshError: a journal cannot be written, or its program runs.
    """
    entropy = SystemEntropy()
    now_ms = SystemClock().now_ms()
    ids = [
        new_id(now_ms - (jobs - number) * SPACING_MS, entropy.token(RANDOM_BYTES)) for number in range(jobs)
    ]
    parts: dict[str, Callable[[Home, list[bytes]], float]] = {
        "coordinator": fill_coordinator,
        "medulla": fill_medulla,
        "node": fill_node,
    }
    return {part: write(home, ids) for part, write in parts.items()}


def fill_coordinator(home: Home, ids: list[bytes]) -> float:
    """The coordinator's part; its size in MiB. Raises as `fill`."""
    device = Trust.load(home.identity).certificate.subject
    with home.lock("coordinator"), closing(Store.open(home.coordinator_journal, HEART_SCHEMA)) as store:
        key = hkdf_sha256(folder_key(home.coordinator / "store.key"), b"", VAULT_INFO, 32)
        journal = HeartJournal(store, RunVault(store, key))
        for number, job_id in enumerate(ids):
            at_ms = _made_ms(job_id)
            facts = JobFacts(
                job_id, job_id, 0, None, "device.echo", "owner", "interactive", 1, True, False, at_ms, 15_000
            )
            story: list[StoryEntry] = [
                (at_ms, state, device, "") for state in ("queued", "placed", "accepted", "succeeded")
            ]
            now = Progress("succeeded", "none", device, 1, at_ms + 15_000, _PERMIT, b"", story)
            journal.submit(facts, JobRequest(_VALUE), now)
            journal.end(facts, now, Ending(_VALUE, None, (), device, job_id, at_ms, at_ms + 1), at_ms + 1)
            _commit(store, number)
        store.commit_now()
        return _mib(store)


def fill_medulla(home: Home, ids: list[bytes]) -> float:
    """Medulla's part; its size in MiB. Raises as `fill`."""
    signing = SigningKey(read_key(home.medulla / "keys" / "permit.key", limit=32))
    with closing(Store.open(home.medulla / "state" / "medulla.db", SCHEMA, sync="inline")) as store:
        audit = _audit(store, home, signing)
        for number, job_id in enumerate(ids):
            audit.note(
                "permit", "allow", subject=job_id, target=b"d" * 20, run_id=job_id, job_id=job_id,
                operation="device.echo", rules=("policy",), number=number, contents=_VALUE,
            )  # fmt: skip
            _commit(store, number)
        store.commit_now()
        return _mib(store)


def fill_node(home: Home, ids: list[bytes]) -> float:
    """The node's part; its size in MiB. Raises as `fill`."""
    signing = SigningKey(read_key(home.identity / SEED_FILE))
    key = hkdf_sha256(folder_key(home.node / STORE_KEY), b"", RESULTS_INFO, 32)
    with home.lock("node"), closing(Store.open(home.node_journal, NODE_SCHEMA, sync="inline")) as store:
        journal = NodeJournal(store, key, SystemEntropy(), _audit(store, home, signing))
        taken: list[tuple[bytes, int]] = []
        at_ms = 0
        for number, job_id in enumerate(ids):
            at_ms = _made_ms(job_id)
            order = Order(job_id, 1, job_id, "device.echo", job_id, b"c" * 20, at_ms, "shared", True)
            step = WriteResult(order, 1, "succeeded", True, at_ms, at_ms + 1, _VALUE)
            result = JobResult(job_id, 1, "succeeded", _VALUE, None, job_id, at_ms, at_ms + 1)
            journal.result(step, result, _raised)
            taken.append((job_id, 1))
            if _commit(store, number):
                journal.taken(taken, at_ms)
                taken.clear()
        journal.taken(taken, at_ms)
        store.commit_now()
        return _mib(store)


def _audit(store: Store, home: Home, signing: SigningKey) -> AuditLog:
    mesh = Trust.load(home.identity).mesh
    return AuditLog(store, mesh=mesh, signing=signing, clock=SystemClock(), entropy=SystemEntropy())


def _made_ms(job_id: bytes) -> int:
    return int.from_bytes(job_id[:6], "big")


def _commit(store: Store, number: int) -> bool:
    """Commit after each group; whether it was the end of one."""
    if (number + 1) % GROUP:
        return False
    store.commit_now()
    return True


def _mib(store: Store) -> float:
    found = store.statistics()
    return round((found.database_bytes + found.log_bytes) / 1024**2, 1)


def _raised(error: KindmeshError | None) -> None:
    if error is not None:
        raise error


__all__ = ["SPACING_MS", "fill", "fill_coordinator", "fill_medulla", "fill_node"]
