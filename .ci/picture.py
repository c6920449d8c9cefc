"""Draws what a terminal showed as an SVG picture: `kindmesh demo | python .ci/picture.py TITLE [FOLD ...] > demo.svg`.

Each FOLD is `PATTERN=WORDS`: lines in a row that match the regular expression become one line with these words.
Only text, rectangles and circles; no font, script or address from elsewhere. Colours that the program set are left out;
lines are tinted by their first sign instead, so that the picture reads well on light and dark pages.
"""

from __future__ import annotations

import re
import sys
from html import escape
from unicodedata import east_asian_width

CHARACTER = 8.4
LINE = 19
MARGIN = 16
BAR = 34
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TINTS = (("#7ee2a8", ("ok", "\u2713", "done")), ("#ff9d8a", ("\u2717", "kill", "!")), ("#8ab8ff", ("$", "#")))


def cells(text: str) -> int:
    """How many terminal cells a line takes."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def tint(line: str) -> str:
    """The colour of a line."""
    start = line.strip().lower()
    return next((colour for colour, words in TINTS if start.startswith(words)), "#d8dee9")


def fold(lines: list[str], pattern: str, words: str) -> list[str]:
    """The lines, with every run of lines that match shortened to `words`."""
    shown: list[str] = []
    inside = False
    for line in lines:
        matches = re.search(pattern, line) is not None
        if not matches:
            shown.append(line)
        elif not inside:
            shown.append(words)
        inside = matches
    return shown


def picture(lines: list[str], title: str) -> str:
    """The SVG."""
    width = round(max(map(cells, [*lines, title])) * CHARACTER + 2 * MARGIN)
    height = len(lines) * LINE + BAR + MARGIN
    buttons = "".join(f'<circle cx="{MARGIN + 6 + 20 * n}" cy="17" r="5" fill="#4c566a"/>' for n in range(3))
    rows = "".join(
        f'<text x="{MARGIN}" y="{BAR + 12 + number * LINE}" fill="{tint(line)}"'
        f' textLength="{cells(line) * CHARACTER:.1f}">{escape(line)}</text>\n'
        for number, line in enumerate(lines)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(title, quote=True)}" font-family="ui-monospace, Menlo, Consolas, monospace"'
        f' font-size="14" xml:space="preserve">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#20242c"/>\n{buttons}'
        f'<text x="{width / 2}" y="22" fill="#8f9aab" text-anchor="middle">{escape(title)}</text>\n{rows}</svg>\n'
    )


def main() -> None:
    """Reads the text from standard input."""
    lines = [ESCAPES.sub("", line).rstrip() for line in sys.stdin.read().splitlines()]
    title, *folds = sys.argv[1:]
    for one in folds:
        pattern, _, words = one.partition("=")
        lines = fold(lines, pattern, words)
    sys.stdout.write(picture(lines, title))


if __name__ == "__main__":
    main()
