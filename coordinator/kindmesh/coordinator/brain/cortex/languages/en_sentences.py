"""English: the sentences of the household's own grammar, by intent; see `template`. Times are taken out before."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, ...]]] = {}

__all__ = ["SENTENCES"]
