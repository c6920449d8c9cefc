"""The audit log's format: heads, what a witness makes of them, and the check of a whole log."""

from __future__ import annotations

import msgspec
import pytest
from tests.protocol.audit_samples import AUTHOR, ENTRIES, HEADS, NEWS, ROWS, SIGNED_HEAD
from tests.protocol.samples import IDS, MESH, SIGNING

from kindmesh.protocol.audit import (
    AuditHead,
    SealedEntry,
    entry_hash,
    judge_head,
    link_after,
    open_entry,
    open_head,
    seal_fits,
    seal_head,
    signed_head,
)
from kindmesh.protocol.audit_check import PROBLEMS_MAX, LogCheck
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import BadSignature, Malformed
from kindmesh.protocol.merkle import Frontier, leaf_hash


def checked(rows: dict[int, SealedEntry], *, every_seal: bool = False) -> LogCheck:
    check = LogCheck(MESH, AUTHOR.public, (2,), every_seal=every_seal)
    for number, row in rows.items():
        check.feed(number, row)
    check.end()
    return check


WHOLE = dict(enumerate(ROWS, 1))


def spans(check: LogCheck) -> list[tuple[int, int]]:
    return [(problem.first, problem.last) for problem in check.problems]


def test_a_head_is_opened_by_its_authors_key_for_this_mesh_only() -> None:
    assert open_head(SIGNED_HEAD, AUTHOR.public, MESH) == HEADS[-1]
    with pytest.raises(BadSignature):
        open_head(SIGNED_HEAD, SIGNING["desk"].public, MESH)
    with pytest.raises(Malformed):
        open_head(SIGNED_HEAD, AUTHOR.public, IDS["desk"])
    for changes in ({"size": 0}, {"author": IDS["desk"]}):
        head = msgspec.structs.replace(HEADS[-1], **changes)
        signed = msgspec.structs.replace(signed_head(head, seal_head(head, AUTHOR)), author=IDS["phone"])
        with pytest.raises(Malformed):
            open_head(signed, AUTHOR.public, MESH)


def test_a_seal_fits_one_head_and_one_key() -> None:
    assert seal_fits(HEADS[1], ROWS[1].seal, AUTHOR.public)
    assert not seal_fits(HEADS[2], ROWS[1].seal, AUTHOR.public)
    assert not seal_fits(HEADS[1], ROWS[1].seal, SIGNING["desk"].public)


def test_a_witness_takes_only_what_begins_with_what_it_remembers() -> None:
    older, newer = HEADS[1], HEADS[2]
    other = msgspec.structs.replace(newer, root=bytes(32))
    assert judge_head(None, newer, 0, ()) == "first"
    assert judge_head(older, newer, 2, NEWS.proof) == "newer"
    assert judge_head(newer, newer, 0, ()) == "same"
    assert judge_head(older, newer, 1, NEWS.proof) == "unrelated"
    assert judge_head(newer, older, 0, ()) == "shrunk"
    assert judge_head(newer, other, 0, ()) == "rewritten"
    assert judge_head(older, other, 2, NEWS.proof) == "rewritten"
    assert judge_head(older, newer, 2, ()) == "rewritten"


def test_a_whole_log_checks_and_gives_its_head_and_older_roots() -> None:
    check = checked(WHOLE)
    assert (check.problems, check.rewritten, check.entries, check.head) == ([], False, 3, HEADS[2])
    assert check.roots == {2: HEADS[1].root}
    assert checked(WHOLE, every_seal=True).problems == []
    empty = checked({})
    assert (empty.problems, empty.rewritten, empty.head) == ([], False, None)


def test_what_cannot_be_read_is_named() -> None:
    check = checked({**WHOLE, 2: SealedEntry(b"\xc1", ROWS[1].seal)})
    assert spans(check) == [(2, 2)]
    last = checked({**WHOLE, 3: SealedEntry(b"\xc1", ROWS[2].seal)})
    assert (spans(last), last.head) == ([(3, 3)], None)


def test_missing_entries_and_entries_in_the_wrong_place_are_named() -> None:
    assert spans(checked({1: ROWS[0], 3: ROWS[2]})) == [(2, 2)]
    assert spans(checked({1: ROWS[0], 2: ROWS[2]})) == [(2, 2)]
    assert spans(checked({1: ROWS[1], 2: ROWS[0], 3: ROWS[2]}))[:2] == [(1, 1), (2, 2)]
    assert (1, 1) in spans(checked({2: ROWS[1], 1: ROWS[0], 3: ROWS[2]}))


def test_a_link_that_does_not_fit_names_the_changed_entry() -> None:
    changed = encode(msgspec.structs.replace(ENTRIES[0], answer="failed"))
    assert spans(checked({**WHOLE, 1: SealedEntry(changed)})) == [(1, 1)]
    relinked = encode(msgspec.structs.replace(ENTRIES[1], previous=bytes(32)))
    assert spans(checked({**WHOLE, 2: SealedEntry(relinked, ROWS[1].seal)})) == [(1, 3)]
    first = encode(msgspec.structs.replace(ENTRIES[0], previous=bytes(32)))
    assert spans(checked({**WHOLE, 1: SealedEntry(first)})) == [(1, 1)]
    end = encode(msgspec.structs.replace(ENTRIES[2], previous=bytes(32)))
    assert spans(checked({**WHOLE, 3: SealedEntry(end, ROWS[2].seal)})) == [(2, 3)]
    assert spans(checked({**WHOLE, 2: SealedEntry(ROWS[1].entry)})) == [(2, 3)]


def test_an_end_without_a_signature_is_a_cut() -> None:
    assert spans(checked({1: ROWS[0]})) == [(1, 1)]


def test_what_was_written_anew_is_found_by_the_first_signature_that_does_not_fit() -> None:
    entry = msgspec.structs.replace(ENTRIES[0], answer="failed")
    rows, tree = {}, Frontier()
    for number, old in WHOLE.items():
        rows[number] = SealedEntry(encode(entry), old.seal)
        tree.append(leaf_hash(rows[number].entry))
        link = link_after(entry_hash(rows[number].entry), old.seal)
        if number < 3:
            entry = msgspec.structs.replace(ENTRIES[number], previous=link)
    check = checked(rows)
    assert (check.problems, check.rewritten) == ([], True)
    assert spans(checked(rows, every_seal=True)) == [(1, 2)]


def test_a_device_that_found_its_own_log_changed_is_believed() -> None:
    head: AuditHead = HEADS[2]
    said = msgspec.structs.replace(ENTRIES[2], kind="audit", answer="broken", previous=ENTRIES[2].previous)
    data = encode(said)
    tree = Frontier()
    for number in (1, 2):
        tree.append(leaf_hash(WHOLE[number].entry))
    tree.append(leaf_hash(data))
    head = AuditHead(MESH, head.author, 3, tree.root(), entry_hash(data), said.at_ms)
    rows = {**WHOLE, 3: SealedEntry(data, seal_head(head, AUTHOR))}
    assert checked(rows).rewritten
    assert spans(checked(rows, every_seal=True)) == [(3, 3)]


def test_there_is_a_bound_on_what_is_told() -> None:
    check = checked({number: SealedEntry(b"\xc1") for number in range(1, PROBLEMS_MAX + 10)})
    assert (len(check.problems), check.found) == (PROBLEMS_MAX, PROBLEMS_MAX + 10)


def test_an_entry_is_not_read_out_of_anything() -> None:
    assert open_entry(ROWS[0].entry) == ENTRIES[0]
    with pytest.raises(Malformed):
        open_entry(b"")
