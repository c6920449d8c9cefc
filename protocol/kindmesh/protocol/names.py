"""Names of people: what they may look like, and when two of them could be taken for each other.

A name decides nothing (ids do), but a person reads it before saying yes. So two people of a mesh, and the owner, never
have names with the same *skeleton*: compatibility forms folded (NFKC), case and accents gone, letters of other scripts
that look like Latin ones replaced, and only letters and digits kept. The table has the letters that common fonts draw
alike (after Unicode's confusables, UTS 39); it errs on the side of asking for another name.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import NAME_MAX

_ALIKE: Final = str.maketrans(
    {
        # Cyrillic
        "\u0430": "a", "\u0432": "b", "\u0435": "e", "\u043a": "k", "\u043c": "m", "\u043d": "h", "\u043e":
        "o", "\u0440": "p", "\u0441": "c", "\u0442": "t", "\u0443": "y", "\u0445": "x", "\u0456": "l",
        "\u0458": "j", "\u0455": "s", "\u0501": "d", "\u04bb": "h", "\u04cf": "l", "\u051b": "q", "\u051d":
        "w", "\u044c": "b", "\u0433": "r", "\u043f": "n", "\u0475": "v", "\u0493": "f", "\u0437": "3",
        # Greek
        "\u03b1": "a", "\u03b2": "b", "\u03b3": "y", "\u03b5": "e", "\u03b7": "n", "\u03b9": "l", "\u03ba":
        "k", "\u03bc": "u", "\u03bd": "v", "\u03bf": "o", "\u03c1": "p", "\u03c3": "o", "\u03c4": "t",
        "\u03c5": "u", "\u03c7": "x", "\u03c9": "w", "\u03b6": "z", "\u03c2": "c", "\u03f2": "c",
        # Armenian and Latin letters of their own
        "\u0578": "n", "\u0585": "o", "\u057d": "u", "\u0570": "h", "\u0581": "g", "\u0131": "l", "\u0269":
        "l", "\u01c0": "l", "\u0185": "b", "\u0251": "a", "\u0261": "g", "\u00f8": "o", "\u0111": "d",
        "\u0142": "l", "\u0127": "h", "\u0167": "t", "\u00e6": "ae", "\u0153": "oe",
        # digits and letters that look alike
        "0": "o", "1": "l", "i": "l", "|": "l", "5": "s",
    }
)  # fmt: skip


def skeleton(name: str) -> str:
    """What a name looks like; equal for names that could be taken for each other."""
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_ALIKE)
    plain = unicodedata.normalize("NFKD", folded).casefold().translate(_ALIKE)
    kept = "".join(char for char in plain if char.isalnum())
    return kept.replace("rn", "m").replace("vv", "w")


def check_name(name: str) -> str:
    """A person's name in composed form.

    Raises:
        InvalidInput: empty, too long, or with characters that cannot be seen or hold no letter.
    """
    composed = unicodedata.normalize("NFC", name)
    if (
        composed != composed.strip()
        or not 0 < len(composed) <= NAME_MAX
        or not composed.isprintable()
        or not skeleton(composed)
    ):
        raise InvalidInput(
            f"a name has 1 to {NAME_MAX} characters that can be seen, with a letter among them", field="name"
        )
    return composed


__all__ = ["check_name", "skeleton"]
