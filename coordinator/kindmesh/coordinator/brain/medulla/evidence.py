"""What of a plan's labels is proven: Medulla's own look at the utterance that a request came with.

    no evidence, or too old            nothing is proven: every `user` label counts as `model`
    does not hold (see `examine`)      nothing is permitted at all: somebody tries something
    holds                              the words shown were said, by that principal, for this run

Who may have heard: a person by their own key; a device for whoever uses it; the node beside the coordinator for the
owner. Never the coordinator itself, and nobody in another's name. An utterance is taken while it is fresh, and from
then on serves the run that came with it and the runs below that one (their permits chain to it). A `device` or `memory`
label needs the signed result of the node that gave the value (`produced`); without one it counts as `model`, too. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Final

import msgspec

from kindmesh.coordinator.brain.medulla.instructions import Forget, Save
from kindmesh.protocol.bounds import TimeId, TimeMs
from kindmesh.protocol.certificate import Certificate, check_validity
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_MAX, UTTERANCE_FRESH_MS
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance import Utterance, find_words, open_utterance, shown_words, words_of
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

USED_MAX: Final = 20_000
"""Utterances that are remembered at once; while there are that many, further ones prove nothing."""
USED_KEEP_MS: Final = 32 * 24 * 3_600_000
"""Longer than any run may take."""
RUNS_MAX: Final = 64
"""Runs that one utterance serves: the first, and those below it."""
OPENED_MAX: Final = 256
BESIDE: Final = " (coordinator)"
"""The owner's grant names the coordinator after the device on which it runs, with this behind it."""


class Prover(msgspec.Struct, frozen=True):
    """`words`: those that are proven, in the order in which they were said; `present`: somebody is there, says the
    device that heard them; `whole`: nothing else was said; `area`: what people call the place where it was said, as
    whoever heard it signed, empty: not known."""

    words: tuple[str, ...] = ()
    present: bool = False
    whole: bool = False
    area: str = ""

    def supports(self, label: Label) -> bool:
        """Whether every word that the label names is proven, in that order; False for a label without words."""
        return bool(label.words) and find_words(self.words, label.words) is not None

    def proven(self) -> tuple[str, ...]:
        """All words that are proven, in the order in which they were said."""
        return self.words

    def counted(self, label: Label) -> Label:
        """The label as it counts: what is not proven counts as `model`."""
        if label.source in ("model", "web") or (label.source == "user" and self.supports(label)):
            return label
        return msgspec.structs.replace(label, source="model")


def text_prover(text: str, *, present: bool = False) -> Prover:
    """For batch review, where `request.text` stands for the signed utterance: all of its words are proven."""
    return Prover(words_of(text), present, whole=True)


class Proven(msgspec.Struct, frozen=True):
    """What came of the look. `problem`: why the evidence does not hold, or empty; `weak`: why it proves nothing, though
    it may be honest, or empty; `labels` as they count; `by_person`: the person's own key signed the utterance;
    `utterance_id`: to remember for this run, empty when that is not needed."""

    prover: Prover = Prover()
    labels: tuple[ArgumentLabel, ...] = ()
    problem: str = ""
    weak: str = ""
    by_person: bool = False
    utterance_id: bytes = b""


class Use(msgspec.Struct, array_like=True, frozen=True):
    """An utterance serves these runs, and is remembered until then."""

    runs: Annotated[tuple[TimeId, ...], msgspec.Meta(min_length=1, max_length=RUNS_MAX)]
    until_ms: TimeMs


class Utterances:
    """Which utterance serves which run; survives a restart, as rows of the kind `utterance`."""

    def __init__(self) -> None:
        self.used: dict[bytes, Use] = {}
        self._opened: dict[Signed, Utterance] = {}
        self._shown: dict[Evidence, tuple[str, ...]] = {}

    def restorers(self) -> dict[str, Callable[[bytes, bytes], object]]:
        """By the kind of row: what takes its key and value over."""
        return {"utterance": lambda key, value: self.used.__setitem__(key, decode(Use, value))}

    def opened(self, signed: Signed, public: bytes) -> Utterance:
        """The utterance inside; each signature is checked once. Raises as `open_utterance`."""
        known = self._opened.get(signed)
        if known is None:
            known = open_utterance(signed, public)
            if len(self._opened) >= OPENED_MAX:
                del self._opened[next(iter(self._opened))]
            self._opened[signed] = known
        return known

    def words(self, shown: Evidence, utterance: Utterance) -> tuple[str, ...]:
        """The words that are proven to be of it, `shown.utterance` opened; each proof is checked once, however many
        steps come with it. Raises as `shown_words`."""
        known = self._shown.get(shown)
        if known is None:
            known = shown_words(utterance, shown.words)
            if len(self._shown) >= OPENED_MAX:
                del self._shown[next(iter(self._shown))]
            self._shown[shown] = known
        return known

    def is_full(self, now_ms: int) -> bool:
        """Whether no other utterance can be remembered now."""
        return len(self.used) >= USED_MAX and next(iter(self.used.values())).until_ms > now_ms

    def use(self, utterance_id: bytes, run_id: bytes, now_ms: int) -> list[Save | Forget]:
        """The utterance serves this run from now on; what could not come again is forgotten."""
        known = self.used.get(utterance_id)
        if known is not None:
            known = self.used[utterance_id] = Use((*known.runs, run_id), known.until_ms)
            return [Save("utterance", utterance_id, encode(known))]
        changed: list[Save | Forget] = []
        for oldest, used in list(islice(self.used.items(), 2)):
            if used.until_ms <= now_ms:
                del self.used[oldest]
                changed.append(Forget("utterance", oldest))
        made = self.used[utterance_id] = Use((run_id,), now_ms + USED_KEEP_MS)
        return [*changed, Save("utterance", utterance_id, encode(made))]


class Wanted(msgspec.Struct, frozen=True):
    """The request that an utterance shall prove something for; `above`: the permit above it, which fits, or None."""

    mesh: bytes
    run_id: bytes
    principal: Principal
    labels: tuple[ArgumentLabel, ...]
    evidence: Evidence | None
    above: Signed | None
    now_ms: int


class Ears(msgspec.Struct, frozen=True):
    """Who may have heard: `certificate` of the key that signed, None: no member; `removed`; `held`: two devices use its
    identity; `beside`: it is the node beside the coordinator."""

    certificate: Certificate | None
    removed: bool = False
    held: bool = False
    beside: bool = False


class _Broken(Exception):
    """Why the evidence does not hold."""


def examine(wanted: Wanted, ears: Ears, utterances: Utterances) -> Proven:
    """See the module. Changes nothing that is kept."""
    if wanted.evidence is None:
        return _proven(wanted, Prover())
    try:
        utterance = _heard(wanted, wanted.evidence, ears, utterances)
        weak, remember = _timely(wanted, utterance, utterances)
        words = utterances.words(wanted.evidence, utterance)
    except _Broken as broken:
        return Proven(problem=str(broken))
    except KindmeshError as error:
        return Proven(problem=error.message)
    if weak:
        return msgspec.structs.replace(_proven(wanted, Prover()), weak=weak)
    prover = Prover(words, utterance.present, len(words) == utterance.size, utterance.area)
    found = _proven(wanted, prover)
    remembered = utterance.utterance_id if remember else b""
    return msgspec.structs.replace(found, by_person=bool(utterance.person), utterance_id=remembered)


def _proven(wanted: Wanted, prover: Prover) -> Proven:
    return Proven(prover, tuple(ArgumentLabel(one.path, prover.counted(one.label)) for one in wanted.labels))


def _heard(wanted: Wanted, shown: Evidence, ears: Ears, utterances: Utterances) -> Utterance:
    """The utterance, if who signed it may have heard this principal.

    Raises:
        _Broken, KindmeshError: why not.
    """
    certificate, who = ears.certificate, wanted.principal
    if ears.removed or certificate is None:
        raise _Broken(f"what was said is signed by {'one who was removed' if ears.removed else 'no member'}")
    check_validity(certificate, wanted.now_ms)
    utterance = utterances.opened(shown.utterance, certificate.ed_pub)
    if utterance.mesh != wanted.mesh:
        raise _Broken("what was said was said in another mesh")
    if utterance.principal != principal_text(who):
        raise _Broken("somebody else said it")
    if certificate.kind == "person":
        fits = bool(certificate.person) and utterance.person == certificate.person
        if not fits or who.kind != "person" or who.id != format_id(certificate.person):
            raise _Broken("a person's key signed what another one said")
        return utterance
    if utterance.person or utterance.device != certificate.subject:
        raise _Broken("another device or person than the one that signed heard it")
    if "coordinator" in certificate.roles or certificate.kind not in ("device", "skin"):
        raise _Broken("a coordinator hears nobody")
    if ears.held:
        raise _Broken("two devices use the identity of the one that heard it")
    if not (ears.beside if who.kind == "owner" else who.device == certificate.subject):
        raise _Broken("this device cannot have heard who asks")
    return utterance


def _timely(wanted: Wanted, utterance: Utterance, utterances: Utterances) -> tuple[str, bool]:
    """Why it proves nothing, and whether it has to be remembered for this run.

    Raises:
        _Broken: it serves another run.
    """
    used = utterances.used.get(utterance.utterance_id)
    if used is not None:
        if wanted.run_id in used.runs:
            return "", False
        above = decode(Permit, wanted.above.payload, limit=PERMIT_MAX).run_id if wanted.above else b""
        if above not in used.runs:
            raise _Broken("what was said serves another run")
        return ("too many runs came of it", False) if len(used.runs) >= RUNS_MAX else ("", True)
    age_ms = wanted.now_ms - utterance.heard_ms
    if not -CLOCK_SKEW_MS <= age_ms <= UTTERANCE_FRESH_MS:
        return "it was said too long ago" if age_ms > 0 else "it was said in the future", False
    return ("too much was said in the last weeks", False) if utterances.is_full(wanted.now_ms) else ("", True)


__all__ = [
    "BESIDE", "OPENED_MAX", "RUNS_MAX", "USED_MAX", "Ears", "Proven", "Prover", "Use", "Utterances", "Wanted",
    "examine", "text_prover",
]  # fmt: skip
