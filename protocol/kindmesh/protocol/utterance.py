"""What was said, signed by the device or the person that heard it, so that single words can be proven and nothing else.

    word i      leaf = SHA-256(0x00 || "kindmesh-word-v1\\0" || i (4 bytes) || salt i (16 random bytes) || UTF-8)
    utterance   the RFC 9162 root over all leaves, how many there are, who heard it where and when, signed

A value of a plan that came from words names them in its label; `prove` shows just those, each with its salt and its
path to the root. Salts are fresh for each word, so that the words that are not shown cannot be found by trying: equal
words look different, and a root says nothing. An utterance is for one principal (`principal_text`) and serves one run.
Signed by a device it may say that somebody is there (`present`: a skin on that very machine heard it);
signed by a person's own key (`person`) it never does, since that key may be anywhere. `area` is where that was said, in
the words of whoever signed: what a device knows of its own place, or what the person there said of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec

from kindmesh.protocol.bounds import Hash, KeyId, OptionalKey, TimeId, TimeMs, Word
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.limits import PERMIT_MAX, UTTERANCE_WORD_MAX, UTTERANCE_WORDS_MAX
from kindmesh.protocol.merkle import Frontier, inclusion_path, leaf_hash, nodes_of, verify_inclusion
from kindmesh.protocol.plan_labels import HeardWord, HeardWords
from kindmesh.protocol.shown import repr_without
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

UTTERANCE_DOMAIN: Final = b"kindmesh-utterance-v1\0"
WORD_DOMAIN: Final = b"kindmesh-word-v1\0"
WORD_SALT: Final = 16
"""Random bytes for each word."""
_WORD: Final = re.compile(r"\S+")

Salt = Annotated[bytes, msgspec.Meta(min_length=WORD_SALT, max_length=WORD_SALT)]
WordIndex = Annotated[int, msgspec.Meta(ge=0, le=UTTERANCE_WORDS_MAX - 1)]
WordPath = Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]


class Utterance(msgspec.Struct, array_like=True, frozen=True):
    """See the module. `size` words with the Merkle root `root`; `device` (20 bytes) heard it at `heard_ms`; `person`
    (20 bytes) when a person's own key signs, else empty; `principal` whose words they are; `language` as in `en`;
    `area` what people call the place (`Kitchen`), empty: not known."""

    mesh: KeyId
    utterance_id: TimeId
    size: Annotated[int, msgspec.Meta(ge=1, le=UTTERANCE_WORDS_MAX)]
    root: Hash
    device: KeyId
    person: OptionalKey
    principal: Word
    heard_ms: TimeMs
    language: Word = "en"
    present: bool = False
    area: Word = ""


class WordProof(msgspec.Struct, array_like=True, frozen=True):
    """Word number `index` (from 0), its salt, and the hashes beside the way up to the root."""

    index: WordIndex
    word: HeardWord
    salt: Salt
    path: WordPath = ()


WordProofs = Annotated[tuple[WordProof, ...], msgspec.Meta(max_length=UTTERANCE_WORDS_MAX)]


class Spoken(msgspec.Struct, array_like=True, frozen=True):
    """What whoever heard an utterance keeps, to prove words of it: all words, and a salt for each."""

    words: HeardWords
    salts: Annotated[tuple[Salt, ...], msgspec.Meta(max_length=UTTERANCE_WORDS_MAX)]

    def __repr__(self) -> str:
        return repr_without(self, "words", "salts")


def words_of(text: str) -> tuple[str, ...]:
    """The words of an utterance as it was heard, in order: what lies between white space, unchanged."""
    return tuple(_WORD.findall(text))


def spoken(text: str, salts: Iterable[bytes]) -> Spoken:
    """The words of `text` with a fresh random salt (16 bytes) for each, taken from `salts` in order.

    Raises:
        InvalidInput: no words, too many, or one that is too long.
    """
    words = words_of(text)
    if not 0 < len(words) <= UTTERANCE_WORDS_MAX:
        raise InvalidInput(
            f"{len(words)} words, where 1 to {UTTERANCE_WORDS_MAX} are taken",
            field="text",
            hint="Say less at once.",
        )
    if max(map(len, words)) > UTTERANCE_WORD_MAX:
        raise InvalidInput(f"a word has more than {UTTERANCE_WORD_MAX} characters", field="text")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput("the text has half a character in it", field="text", hint="Send it as UTF-8.")
    taken = tuple(salt for salt, _ in zip(salts, words, strict=False))
    if len(taken) != len(words) or any(len(salt) != WORD_SALT for salt in taken):
        raise InvalidInput(f"each word takes a salt of {WORD_SALT} bytes", field="salts")
    return Spoken(words, taken)


def check_spoken(said: Spoken, utterance: Utterance) -> None:
    """Refuse words and salts that are not those of this utterance.

    Raises:
        InvalidInput.
    """
    fits = len(said.words) == len(said.salts) == utterance.size
    if not fits or root_of(said) != utterance.root:
        raise InvalidInput("these are not the words of this utterance", field="utterance")


def word_hash(index: int, salt: bytes, word: str) -> bytes:
    """The leaf of a word, 32 bytes."""
    return leaf_hash(WORD_DOMAIN + index.to_bytes(4, "big") + salt + word.encode())


def root_of(said: Spoken) -> bytes:
    """The Merkle root over all words, 32 bytes."""
    tree = Frontier()
    for leaf in _leaves(said):
        tree.append(leaf)
    return tree.root()


def _leaves(said: Spoken) -> list[bytes]:
    pairs = enumerate(zip(said.words, said.salts, strict=True))
    return [word_hash(index, salt, word) for index, (word, salt) in pairs]


def prove(said: Spoken, indices: Iterable[int]) -> tuple[WordProof, ...]:
    """Proofs of these words, in order, each once; of the others nothing is shown.

    Raises:
        InvalidInput: there is no such word.
    """
    wanted = sorted(set(indices))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < len(said.words):
        raise InvalidInput(f"there is no word {wanted[-1] if wanted[0] >= 0 else wanted[0]}", field="words")
    node = nodes_of(_leaves(said))
    size = len(said.words)
    return tuple(
        WordProof(index, said.words[index], said.salts[index], tuple(inclusion_path(index, size, node)))
        for index in wanted
    )


def shown_words(utterance: Utterance, proofs: Sequence[WordProof]) -> tuple[str, ...]:
    """The proven words, in the order of the utterance.

    Raises:
        Malformed: a proof does not lead to the root, or the proofs are not in order.
    """
    before = -1
    for proof in proofs:
        leaf = word_hash(proof.index, proof.salt, proof.word)
        if proof.index <= before or not verify_inclusion(
            proof.index, utterance.size, leaf, proof.path, utterance.root
        ):
            raise Malformed("a word is not one of the utterance", field="evidence")
        before = proof.index
    return tuple(proof.word for proof in proofs)


def find_words(heard: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Positions in `heard` where `wanted` occur in that order (not necessarily side by side), the earliest each time;
    None when they do not. No words are found at no positions."""
    found: list[int] = []
    after = 0
    for word in wanted:
        try:
            at = heard.index(word, after)
        except ValueError:
            return None
        found.append(at)
        after = at + 1
    return tuple(found)


def sign_utterance(utterance: Utterance, key: SigningKey) -> Signed:
    """Signed by the device that heard it, or by the person's own key."""
    return sign_struct(utterance, UTTERANCE_DOMAIN, key)


def open_utterance(signed: Signed, public: bytes) -> Utterance:
    """The utterance, its signature checked and nothing else.

    Raises:
        BadSignature, Malformed: that key did not sign it.
    """
    utterance = open_signed(signed, Utterance, UTTERANCE_DOMAIN, public, limit=PERMIT_MAX)
    if utterance.person and utterance.present:
        raise Malformed("a person's key cannot say that somebody is there", field="present")
    return utterance


__all__ = [
    "UTTERANCE_DOMAIN", "WORD_DOMAIN", "WORD_SALT", "Spoken", "Utterance", "WordProof", "WordProofs", "check_spoken",
    "find_words", "open_utterance", "prove", "root_of", "shown_words", "sign_utterance", "spoken", "word_hash",
    "words_of",
]  # fmt: skip
