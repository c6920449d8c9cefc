"""Merkle trees over an append-only list (RFC 9162, section 2.1): roots, inclusion and consistency proofs.

    leaf hash = SHA-256(0x00 || entry)        node hash = SHA-256(0x01 || left || right)

A `Frontier` is all that is needed to append and to know the root: the roots of the complete subtrees that a list of
`size` decomposes into, one for each set bit, at most 53 hashes. Proofs need older nodes: `Node(level, index)` gives
the root of the complete subtree over the leaves `index << level` up to `(index + 1) << level`, from wherever it is
kept. Leaves count from 0; the root of an empty list is SHA-256 of nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from kindmesh.protocol.crypto import sha256

Node: TypeAlias = Callable[[int, int], bytes]
"""(level, index) -> 32 bytes; level 0 are the leaf hashes."""
PROOF_MAX: Final = 110
"""Hashes in any proof about a list of at most 2**53 entries."""
EMPTY_ROOT: Final = sha256(b"")


def leaf_hash(entry: bytes) -> bytes:
    """32 bytes."""
    return sha256(b"\0" + entry)


def node_hash(left: bytes, right: bytes) -> bytes:
    """32 bytes."""
    return sha256(b"\1" + left + right)


def decomposition(size: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees that `size` leaves consist of, from left to right."""
    return [
        (level, ((size >> level) & ~1)) for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1
    ]


class Frontier:
    """See the module. `hashes` are the roots of `decomposition(size)`."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        if len(self._hashes) != size.bit_count():
            raise ValueError("a frontier has one hash for each set bit of its size")

    def copy(self) -> Frontier:
        """Another one that grows on its own."""
        return Frontier(self.size, self._hashes)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; (level, index, hash) of the complete subtrees that it ends, the leaf's own first."""
        index, digest = self.size, leaf
        ended = [(0, index, leaf)]
        while index & 1:
            digest = node_hash(self._hashes.pop(), digest)
            index >>= 1
            ended.append((len(ended), index, digest))
        self._hashes.append(digest)
        self.size += 1
        return ended

    def root(self) -> bytes:
        """The root of all `size` leaves."""
        return _fold(self._hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    digest = hashes[-1]
    for left in reversed(hashes[:-1]):
        digest = node_hash(left, digest)
    return digest


def nodes_of(leaves: list[bytes]) -> Node:
    """All complete nodes over these leaf hashes, for what asks for one at a time."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def root_at(size: int, node: Node) -> bytes:
    """The root of the first `size` leaves."""
    return _fold([node(level, index) for level, index in decomposition(size)])


def _range_root(start: int, end: int, node: Node) -> bytes:
    """Root of the leaves `start` up to `end`, where `start` is a multiple of a power of two that is not smaller than
    their number."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    split = start + _left_part(count)
    return node_hash(_range_root(start, split, node), _range_root(split, end, node))


def _left_part(count: int) -> int:
    """The largest power of two below `count` (2 or more)."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """The audit path (section 2.1.3.1) of leaf `index` in the first `size` leaves."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _left_part(end - start)
        if index < split:
            path.append(_range_root(split, end, node))
            end = split
        else:
            path.append(_range_root(start, split, node))
            start = split
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` shows that leaf hash `leaf` is number `index` of `size` under `root` (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, digest = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            digest = node_hash(sibling, digest)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and digest == root


def consistency_path(first: int, second: int, node: Node) -> list[bytes]:
    """The proof (section 2.1.4.1) that the first `first` of `second` leaves are what they were."""
    if not 0 < first <= second:
        raise ValueError("a consistency proof is from 1 entry or more to as many or more")
    path: list[bytes] = []
    start, end, whole = 0, second, True
    while first != end:
        split = start + _left_part(end - start)
        if first <= split:
            path.append(_range_root(split, end, node))
            end = split
        else:
            path.append(_range_root(start, split, node))
            start, whole = split, False
    if not whole:
        path.append(_range_root(start, end, node))
    return path[::-1]


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether `path` shows that the list of `second` leaves begins with that of `first` (section 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    hashes = list(path)
    if first & (first - 1) == 0:
        hashes.insert(0, first_root)
    if not hashes:
        return False
    old, new = first - 1, second - 1
    while old & 1:
        old, new = old >> 1, new >> 1
    first_digest = second_digest = hashes[0]
    for sibling in hashes[1:]:
        if new == 0:
            return False
        if old & 1 or old == new:
            first_digest = node_hash(sibling, first_digest)
            second_digest = node_hash(sibling, second_digest)
            while not old & 1 and old:
                old, new = old >> 1, new >> 1
        else:
            second_digest = node_hash(second_digest, sibling)
        old, new = old >> 1, new >> 1
    return new == 0 and first_digest == first_root and second_digest == second_root


__all__ = [
    "EMPTY_ROOT",
    "PROOF_MAX",
    "Frontier",
    "Node",
    "consistency_path",
    "decomposition",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "nodes_of",
    "root_at",
    "verify_consistency",
    "verify_inclusion",
]
