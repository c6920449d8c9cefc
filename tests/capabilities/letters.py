"""Letters to photograph, and how wrong a reading of one is."""

from __future__ import annotations

import random

SENTENCES = (
    "The plumber comes on Tuesday at 9.45 and will need the key to the cellar.",
    "Please take one tablet in the morning and two before you go to bed.",
    "The parcel for you is with us; we are at home after six.",
    "Your appointment at the eye clinic was moved to 14 March, room 207.",
    "Thank you for the jam: it lasted exactly one breakfast!",
    "The lift will be out of order from Monday until Thursday.",
    "Could you water the tomatoes while we are away?",
    "Dinner is in the fridge, second shelf; warm it for 3 minutes.",
    "The heating is checked this week, so leave the radiators free.",
    "We found a grey glove on the stairs (left hand) and kept it for you.",
    "Bus number 31 does not stop here any more, take the 12 instead.",
    "The library asks for its two books by Friday.",
)
OPENINGS = ("Dear neighbour,", "Hello,", "To everyone in the house,", "Good morning,")
CLOSINGS = (
    "Kind regards,\nThe caretaker",
    "See you soon,\nThird floor, left",
    "Many thanks,\nThe house committee",
)


def compose(seed: int) -> str:
    """A short letter of two paragraphs, the same for the same seed."""
    rng = random.Random(seed)
    chosen = rng.sample(SENTENCES, 5)
    body = " ".join(chosen[:3]) + "\n\n" + " ".join(chosen[3:])
    return f"{rng.choice(OPENINGS)}\n\n{body}\n\n{rng.choice(CLOSINGS)}\n"


def edit_distance(one: str, other: str) -> int:
    """Insertions, deletions and substitutions between two texts (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, start=1):
        previous, row[0] = row[0], number
        for place, right in enumerate(other, start=1):
            previous, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, previous + (left != right)),
            )
    return row[-1]


def character_error_rate(read: str, truth: str) -> float:
    """Edits per character of `truth`; how lines were broken does not count."""
    wanted = " ".join(truth.split())
    return edit_distance(" ".join(read.split()), wanted) / len(wanted)
