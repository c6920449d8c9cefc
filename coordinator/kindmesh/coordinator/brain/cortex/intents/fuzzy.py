"""Names that were nearly heard (the only module that imports `rapidfuzz`).

Two names are compared letter by letter without spaces, so that "bed room" and "bedroom" are the same. A near name is
taken only when it is very near and no other name is nearly as near; a less near one is a question; else nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kindmesh.protocol.errors import ConfigError

SURE: Final = 88.0
"""Likeness (0..100) from which a name is taken."""
LONG: Final = 9
SURE_LONG: Final = 84.0
"""The same for names of `LONG` letters and more."""
LIKELY: Final = 76.0
"""Likeness from which it is asked for."""
APART: Final = 7.0
"""How much nearer the best name has to be than the next."""
SHORT: Final = 4
"""Letters below which nothing is near enough: "on" and "den" are too easily something else."""


def sure(name: str) -> float:
    """Likeness from which this name is taken: in a long one a slip weighs less."""
    return SURE if len(name) < LONG else SURE_LONG


def nearest(said: str, names: Iterable[str]) -> tuple[str, float]:
    """The nearest of `names` and its likeness; likeness 0 when none is near, or when two are equally near."""
    if len(said) < SHORT:
        return "", 0.0
    try:
        from rapidfuzz import fuzz, process  # noqa: PLC0415 - an extra: loaded when first needed
    except ImportError as error:
        raise ConfigError("rapidfuzz is not installed", hint="pip install 'kindmesh[brain]'") from error
    found = process.extract(
        said, [name for name in names if len(name) >= SHORT], scorer=fuzz.ratio, limit=2, score_cutoff=LIKELY
    )
    if not found or (len(found) > 1 and found[0][1] - found[1][1] < APART):
        return "", 0.0
    return str(found[0][0]), float(found[0][1])


__all__ = ["APART", "LIKELY", "LONG", "SHORT", "SURE", "SURE_LONG", "nearest", "sure"]
