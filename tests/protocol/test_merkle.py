"""Merkle trees over a list, against pymerkle, another implementation of RFC 9162."""

from __future__ import annotations

import hashlib
from typing import Any

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindmesh.protocol.merkle import (
    EMPTY_ROOT,
    PROOF_MAX,
    Frontier,
    consistency_path,
    decomposition,
    inclusion_path,
    leaf_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)


class Tree:
    """Both implementations over the same entries."""

    def __init__(self, size: int) -> None:
        self.entries = [f"entry {number}".encode() for number in range(size)]
        self.oracle: Any = pymerkle.InmemoryTree(algorithm="sha256")
        self.frontier = Frontier()
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.roots = [self.frontier.root()]
        for entry in self.entries:
            self.oracle.append_entry(entry)
            for level, index, digest in self.frontier.append(leaf_hash(entry)):
                self.nodes[level, index] = digest
            self.roots.append(self.frontier.root())

    def node(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


TREE = Tree(201)


def test_the_root_is_that_of_another_implementation_at_every_size() -> None:
    for size in range(1, 202):
        assert TREE.roots[size] == TREE.oracle.get_root(size) == root_at(size, TREE.node)
    assert TREE.roots[0] == EMPTY_ROOT == hashlib.sha256(b"").digest() == root_at(0, TREE.node)


def test_every_inclusion_proof_verifies_and_is_that_of_the_other() -> None:
    for size in (1, 2, 3, 4, 5, 7, 8, 31, 64, 100, 200):
        for index in range(size):
            path = inclusion_path(index, size, TREE.node)
            leaf = leaf_hash(TREE.entries[index])
            assert verify_inclusion(index, size, leaf, path, TREE.roots[size])
            theirs = TREE.oracle.prove_inclusion(index + 1, size)
            assert theirs.path == [leaf, *path]
            assert not verify_inclusion(index, size, leaf, path, TREE.roots[size + 1])
            assert not verify_inclusion(index, size, leaf_hash(b"other"), path, TREE.roots[size])
            assert not verify_inclusion(index, size, leaf, [*path, leaf], TREE.roots[size])
            if path:
                assert not verify_inclusion(index, size, leaf, path[:-1], TREE.roots[size])


@pytest.mark.parametrize("second", [1, 2, 3, 5, 8, 13, 64, 65, 127, 200])
def test_every_consistency_proof_verifies_and_fits_the_other(second: int) -> None:
    for first in range(1, second + 1):
        path = consistency_path(first, second, TREE.node)
        roots = TREE.roots[first], TREE.roots[second]
        assert verify_consistency(first, second, *roots, path)
        pymerkle.verify_consistency(*roots, TREE.oracle.prove_consistency(first, second))
        if first < second:
            assert not verify_consistency(first, second, TREE.roots[first - 1], roots[1], path)
            assert not verify_consistency(first, second, roots[0], TREE.roots[second - 1], path)
            assert not verify_consistency(first, second, *roots, [*path, roots[0]])
            assert not verify_consistency(first, second, *roots, path[:-1])
            assert not verify_consistency(first, second, *roots, [])


@given(st.integers(1, 200), st.integers(1, 200), st.data())
@settings(max_examples=200)
def test_a_changed_proof_shows_nothing(one: int, other: int, data: st.DataObject) -> None:
    first, second = sorted((one, other))
    path = consistency_path(first, second, TREE.node)
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        path[place] = hashlib.sha256(path[place]).digest()
        assert not verify_consistency(first, second, TREE.roots[first], TREE.roots[second], path)


def test_impossible_questions_are_refused() -> None:
    assert not verify_inclusion(3, 3, b"", [], b"")
    assert not verify_consistency(0, 3, b"", b"", [])
    assert not verify_consistency(4, 3, b"", b"", [])
    assert not verify_consistency(3, 3, TREE.roots[3], TREE.roots[3], [b""])
    assert not verify_consistency(3, 5, TREE.roots[3], TREE.roots[5], [])
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_path(3, 3, TREE.node)
    with pytest.raises(ValueError, match="consistency"):
        consistency_path(0, 3, TREE.node)
    with pytest.raises(ValueError, match="set bit"):
        Frontier(3, [b""])


def test_a_frontier_is_restored_from_complete_subtrees_and_grows_on_its_own() -> None:
    for size in range(201):
        restored = Frontier(size, [TREE.node(*place) for place in decomposition(size)])
        other = restored.copy()
        other.append(leaf_hash(b"other"))
        restored.append(leaf_hash(TREE.entries[size]))
        assert restored.root() == TREE.roots[size + 1] != other.root()


def test_no_proof_is_longer_than_its_bound() -> None:
    size = 2**53

    def node(level: int, index: int) -> bytes:
        return b""

    assert len(consistency_path(2**52 - 1, size - 1, node)) <= PROOF_MAX
    assert len(inclusion_path(2**52 - 1, size - 1, node)) <= PROOF_MAX
