"""English: what is answered. A key has one or more wordings of the same meaning."""

from __future__ import annotations

from typing import Final

REPLIES: Final[dict[str, tuple[str, ...]]] = {
    "not_understood": (
        "Sorry, I did not understand that. Nothing was done.",
        "I am not sure what you mean, so I have done nothing.",
        "Sorry, that is beyond me. I have not done anything.",
    ),
    "part_not_understood": (
        "I understood some of it, but not “{part}”. So I have done nothing yet.",
        "I did not understand “{part}”, so I have left everything as it is.",
    ),
    "nothing_said": ("I did not hear anything.",),
    "no_device": (
        "I understood you, but no device here can do that.",
        "I know what you mean, but there is no device here that can do that.",
    ),
    "barred": ("I do not follow “not”, “if” or “when” yet, so I have done nothing.",),
    "no_repeat": ("I understood, but I cannot do that again and again by myself yet. Nothing was done.",),
    "own.done": ("All right.",),
    "passed": ("That time has already passed. When shall I do it?",),
    "which_hour": ("At what time {day}?",),
    "too_far": ("That is too far ahead for me. Please choose a nearer time.",),
    "delay_which": ("Do you want me to “{first}” now, or later too? Please say the time with it.",),
    "several": ("Do you mean “{first}” or “{second}”?",),
}

__all__ = ["REPLIES"]
