"""`vision.read_text`: a picture in, the text of its lines in reading order out. Runs in a worker process."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import msgspec
from rapidocr import RapidOCR
from rapidocr.utils.typings import ModelType, OCRVersion, TaskType

from kindmesh.capabilities.base import Artifact, Capability, Context, Services, operation
from kindmesh.capabilities.vision.layout import Line, arrange
from kindmesh.capabilities.vision.manifest import LINES_MAX, MANIFEST
from kindmesh.capabilities.vision.picture import load
from kindmesh.capabilities.vision.reader import Reader
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Manifest

__all__ = ["Reading", "Vision"]


class Reading(msgspec.Struct, frozen=True):
    """The answer of `vision.read_text`; see the manifest."""

    text: str
    confidence: float
    boxes: list[dict[str, Any]]
    width_px: int
    height_px: int
    turned_degrees: int


def _readable() -> frozenset[str]:
    """The language codes that the shipped recogniser reads."""
    listed = RapidOCR.list_supported_langs(TaskType.REC, OCRVersion.PPOCRV6, ModelType.SMALL)
    return frozenset(str(code) for code in listed)


def check_languages(languages: list[str] | None, readable: frozenset[str]) -> None:
    """Refuse a language that the model does not read: it would answer with rubbish.

    Raises:
        InvalidInput: names it.
    """
    for code in languages or []:
        short = code.casefold().replace("_", "-").partition("-")[0]
        if {"zh": "ch", "ja": "japan"}.get(short, short) not in readable:
            raise InvalidInput(
                f"text in {code[:20]!r} cannot be read here",
                field="languages",
                hint="Latin alphabets can, for example.",
            )


class Vision(Capability):
    """Serves `vision.read_text`."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._reader: Reader | None = None
        self._readable: frozenset[str] = frozenset()

    async def start(self, services: Services) -> None:
        """Load the models."""
        self._reader = Reader()
        self._readable = _readable()

    @operation("vision.read_text")
    async def read_text(
        self,
        context: Context,
        image: Artifact,
        min_confidence: float = 0.5,
        languages: list[str] | None = None,
    ) -> Reading:
        """Read the text in a picture."""
        if self._reader is None:
            raise RuntimeError("not started")
        check_languages(languages, self._readable)
        path = await context.file(image)
        context.progress(0.0, "opening the picture")
        picture = await asyncio.to_thread(load, path)
        lines, turned = await asyncio.to_thread(
            self._reader.read, picture.pixels, lambda fraction: context.progress(fraction, "reading")
        )
        kept = [line for line in lines if line.confidence >= min_confidence][:LINES_MAX]
        page = arrange(kept)
        scale = picture.width / picture.pixels.shape[1]
        return Reading(
            text=page.text,
            confidence=_overall(kept),
            boxes=[_box(line, paragraph, scale) for line, paragraph in page.lines],
            width_px=picture.width,
            height_px=picture.height,
            turned_degrees=turned,
        )


def _overall(lines: list[Line]) -> float:
    """The lines' confidence, each weighted by its length."""
    letters = sum(len(line.text) for line in lines)
    return round(sum(line.confidence * len(line.text) for line in lines) / letters, 4) if letters else 0.0


def _box(line: Line, paragraph: int, scale: float) -> dict[str, Any]:
    return {
        "text": line.text,
        "confidence": round(line.confidence, 4),
        "points": [[round(x * scale, 1), round(y * scale, 1)] for x, y in line.points],
        "paragraph": paragraph,
    }
