"""From lines of text scattered over a page to text a person would read: order, paragraphs, line breaks. Pure geometry.

The page may be photographed at an angle: positions are first turned back by the common slope of the lines. Lines that
overlap in height form a row. Where a gutter parts the rows of a band into columns, each column is read to its end
before the next. Between rows: a wide gap is a new paragraph; a row that ends although the next row's first word would
still have fitted was meant to end there, and keeps its line break; anything else is a wrapped sentence and is joined
by a space (a hyphen at the end of a line goes, when a small letter follows).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Line", "Page", "Point", "arrange"]

Point = tuple[float, float]

_SAME_ROW = 0.5
"""Two boxes share a row when they overlap by this much of the smaller one's height."""
_PARAGRAPH = 0.8
"""A gap between rows above this many line heights, beyond the usual gap of the band, starts a paragraph."""
_GUTTER = 1.5
"""Columns are parted by at least this many line heights."""
_BAND = 1.6
"""A gap of this many line heights parts bands that may have columns of their own."""
_SLACK = 2
"""Characters of room beyond the next word before a row counts as ended on purpose."""


@dataclass(frozen=True, slots=True)
class Line:
    """One recognised line: its corners clockwise from the top left (pixels), its text, its confidence 0..1."""

    points: tuple[Point, Point, Point, Point]
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Page:
    """`lines` in reading order, with the number of the paragraph each belongs to (from 0), and the text as a whole."""

    lines: tuple[tuple[Line, int], ...]
    text: str


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    right: float
    top: float
    bottom: float
    line: Line

    @property
    def height(self) -> float:
        return self.bottom - self.top


def _slope(lines: Sequence[Line]) -> float:
    """The page's turn in radians, -pi..pi: the direction of all lines laid end to end, so long ones count more."""
    run = sum(line.points[1][0] - line.points[0][0] for line in lines)
    rise = sum(line.points[1][1] - line.points[0][1] for line in lines)
    return math.atan2(rise, run)


def _straightened(lines: Sequence[Line]) -> list[_Box]:
    angle = -_slope(lines)
    cosine, sine = math.cos(angle), math.sin(angle)
    boxes: list[_Box] = []
    for line in lines:
        turned = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in line.points]
        xs = [x for x, _ in turned]
        top = (turned[0][1] + turned[1][1]) / 2
        bottom = (turned[2][1] + turned[3][1]) / 2
        boxes.append(_Box(min(xs), max(xs), min(top, bottom), max(top, bottom), line))
    return boxes


def _rows(boxes: Sequence[_Box]) -> list[list[_Box]]:
    """Rows from top to bottom, each from left to right."""
    rows: list[list[_Box]] = []
    for box in sorted(boxes, key=lambda item: (item.top + item.bottom) / 2):
        for row in reversed(rows[-3:]):
            if all(_shares_row(box, other) for other in row):
                row.append(box)
                break
        else:
            rows.append([box])
    return [sorted(row, key=lambda item: item.left) for row in rows]


def _shares_row(one: _Box, other: _Box) -> bool:
    overlap = min(one.bottom, other.bottom) - max(one.top, other.top)
    beside = min(one.right, other.right) - max(one.left, other.left)
    smaller = max(1.0, min(one.height, other.height))
    return overlap > _SAME_ROW * smaller and beside < 0.5 * smaller


def _columns(boxes: Sequence[_Box], height: float) -> list[list[_Box]]:
    """Split at the widest gutter that runs through the whole band, two lines or more on either side."""
    spans = sorted(boxes, key=lambda box: box.left)
    reach = spans[0].right
    best: tuple[float, float] | None = None
    for box in spans[1:]:
        if box.left - reach >= _GUTTER * height and (best is None or box.left - reach > best[0]):
            best = (box.left - reach, box.left)
        reach = max(reach, box.right)
    if best is None:
        return [list(boxes)]
    left = [box for box in boxes if box.left < best[1]]
    right = [box for box in boxes if box.left >= best[1]]
    if min(len(left), len(right)) < 2 or not _side_by_side(left, right):
        return [list(boxes)]
    return [*_columns(left, height), *_columns(right, height)]


def _side_by_side(left: Sequence[_Box], right: Sequence[_Box]) -> bool:
    overlap = min(max(box.bottom for box in left), max(box.bottom for box in right)) - max(
        min(box.top for box in left), min(box.top for box in right)
    )
    lower = min(max(box.bottom for box in side) - min(box.top for box in side) for side in (left, right))
    return overlap > 0.5 * lower


def _bands(boxes: Sequence[_Box], height: float) -> list[list[_Box]]:
    """Horizontal slices parted by wide gaps."""
    bands: list[list[_Box]] = []
    bottom = -math.inf
    for box in sorted(boxes, key=lambda item: item.top):
        if not bands or box.top - bottom > _BAND * height:
            bands.append([])
        bands[-1].append(box)
        bottom = max(bottom, box.bottom)
    return bands


def _blocks(boxes: Sequence[_Box], height: float) -> list[list[_Box]]:
    """Blocks in reading order: columns of the page, else bands, else columns of a band."""
    columns = _columns(boxes, height)
    if len(columns) > 1:
        return [block for column in columns for block in _blocks(column, height)]
    bands = _bands(boxes, height)
    if len(bands) == 1:
        return columns
    return _joined([block for band in bands for block in _columns(band, height)])


def _joined(blocks: list[list[_Box]]) -> list[list[_Box]]:
    """Put bands that stand alone back together, so that the rhythm of their lines is judged as one."""
    joined: list[list[_Box]] = []
    for block in blocks:
        if joined and not _side_by_side(joined[-1], block):
            joined[-1].extend(block)
        else:
            joined.append(list(block))
    return joined


def _row_text(row: Sequence[_Box]) -> str:
    return " ".join(box.line.text.strip() for box in row if box.line.text.strip())


def _ends_on_purpose(row: Sequence[_Box], following: Sequence[_Box], right: float) -> bool:
    """True when the next row's first word would have fitted behind this row."""
    text, after = _row_text(row), _row_text(following)
    if not text or not after:
        return False
    per_character = (row[-1].right - row[0].left) / len(text)
    word = len(after.split()[0]) + 1
    return row[-1].right + (word + _SLACK) * per_character < right


def _read_block(boxes: Sequence[_Box]) -> tuple[list[list[list[_Box]]], str]:
    """Paragraphs of rows, and the text."""
    rows = _rows(boxes)
    heights = [statistics.fmean(box.height for box in row) for row in rows]
    gaps = [
        min(box.top for box in after) - max(box.bottom for box in before)
        for before, after in itertools.pairwise(rows)
    ]
    usual = statistics.median_low(gaps) if gaps else 0.0
    right = max(box.right for box in boxes)
    paragraphs = [[rows[0]]]
    text = _row_text(rows[0])
    for index, row in enumerate(rows[1:]):
        height = statistics.fmean(heights[index : index + 2])
        before = rows[index]
        if gaps[index] > usual + _PARAGRAPH * height or gaps[index] > _BAND * height:
            paragraphs.append([row])
            text += "\n\n" + _row_text(row)
            continue
        paragraphs[-1].append(row)
        text = _join(text, _row_text(row), hard=_ends_on_purpose(before, row, right))
    return paragraphs, text


def _join(text: str, following: str, *, hard: bool) -> str:
    if hard:
        return f"{text}\n{following}"
    if len(text) > 1 and text[-1] in "-\u00ad\u2010" and text[-2].isalpha() and following[:1].islower():
        return text[:-1] + following
    return f"{text} {following}"


def arrange(lines: Sequence[Line]) -> Page:
    """The page as a person would read it."""
    worded = [line for line in lines if line.text.strip()]
    if not worded:
        return Page((), "")
    boxes = _straightened(worded)
    height = max(1.0, statistics.median(box.height for box in boxes))
    ordered: list[tuple[Line, int]] = []
    texts: list[str] = []
    number = 0
    for block in _blocks(boxes, height):
        paragraphs, text = _read_block(block)
        texts.append(text)
        for paragraph in paragraphs:
            ordered += [(box.line, number) for row in paragraph for box in row]
            number += 1
    return Page(tuple(ordered), "\n\n".join(texts))
