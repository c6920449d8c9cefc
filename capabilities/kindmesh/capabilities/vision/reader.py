"""Reading text in pixels: find the lines, put the page upright, recognise each line.

Detector, direction classifier and recogniser are the ONNX models inside rapidocr's wheel (PP-OCRv6 small, which reads
the Latin alphabets, Chinese and Japanese). Their paths are given explicitly: rapidocr downloads a model whose path it
is not given, and nothing is ever downloaded here. Steps:
1. detect on a reduced picture: at most `DETECT_SIDE` pixels on the longer side, which bounds memory and time;
2. a page lying on its side has tall boxes, one lying upside down is told by the classifier from its longest lines;
   the boxes are turned with it, so that detection runs once;
3. each line is cut out of the *full* picture, straightened, and recognised. After each line the caller is told.
The detector's defaults grow every line by a border and glue neighbours together in small print; without its dilation
and with a higher threshold, errors on small print fell from 10 % to 0.1 % of the characters. No cleaning of the
picture comes before: division by the estimated light, contrast-limited equalisation, median and Gaussian filters were
measured on photographs in fifteen conditions. On the sample class they changed one character in four letters, small
print got worse with each (0.1 % to between 0.4 and 1 %); only the noisiest, most blurred photographs gained from a
median or Gaussian filter (0.4 % to 0.2 %).
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
import rapidocr
from numpy.typing import NDArray

from kindmesh.capabilities.vision.layout import Line, Point
from kindmesh.protocol.errors import CapabilityMissing

__all__ = ["DETECT_SIDE", "Reader", "model_files"]

Pixels = NDArray[np.uint8]
Quad = NDArray[np.float32]

DETECT_SIDE: Final = 1280
THREADS: Final = 2
_LINES_FOR_DIRECTION: Final = 6
_CERTAIN: Final = 0.1
"""The share of lines said to be upside down below which nobody asks further."""
_MODELS: Final = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}


def model_files() -> dict[str, Path]:
    """The three models in the installed wheel.

    Raises:
        CapabilityMissing: one is not there; nothing is downloaded in its place.
    """
    found = importlib.util.find_spec("rapidocr")
    folder = Path(found.origin).parent / "models" if found is not None and found.origin else Path("models")
    files = {kind: folder / name for kind, name in _MODELS.items()}
    for path in files.values():
        if not path.is_file():
            raise CapabilityMissing(
                f"the text model {path.name} is not in the installed rapidocr",
                hint="pip install --force-reinstall 'kindmesh[vision]'",
            )
    return files


class Reader:
    """Holds the loaded models. `threads` is the most that inference may use."""

    def __init__(self, *, threads: int = THREADS, detect_side: int = DETECT_SIDE) -> None:
        cv2.setNumThreads(threads)
        parameters: dict[str, Any] = {
            "Global.log_level": "error",
            "Global.use_preprocess_img": False,
            "Global.text_score": 0.0,
            "Det.limit_type": "max",
            "Det.limit_side_len": detect_side,
            "Det.thresh": 0.5,
            "Det.unclip_ratio": 1.5,
            "Det.use_dilation": False,
        }
        self._engine = rapidocr.RapidOCR(params=parameters)
        settings = type(self._engine.cfg)(self._engine.cfg, flags={"allow_objects": True})
        for kind, path in model_files().items():
            settings[kind].session = _session(path, threads)
        self._engine.cfg = settings
        logging.getLogger("RapidOCR").handlers.clear()
        blank = np.full((64, 320, 3), 255, dtype=np.uint8)
        self._detect(blank)
        self._engine.cls_and_rotate([blank])
        self._engine.recognize_txt([blank])

    def read(self, pixels: Pixels, progress: Callable[[float], None]) -> tuple[list[Line], int]:
        """Every line in `pixels` (BGR), in no particular order, and how far the page lies turned (clockwise degrees).

        Corners are in pixels of `pixels`, clockwise from the top left of the line as it is read.
        """
        progress(0.0)
        quads = self._detect(pixels)
        progress(0.3)
        if not quads:
            return [], 0
        turned = self._turned(pixels, quads)
        quads = [_begin_at_top_left(quad, turned) for quad in quads]
        lines: list[Line] = []
        for number, quad in enumerate(quads, start=1):
            recognised = self._engine.recognize_txt([_cut(pixels, quad)])
            corners = [(float(x), float(y)) for x, y in quad]
            points: tuple[Point, Point, Point, Point] = (corners[0], corners[1], corners[2], corners[3])
            text, score = recognised.txts[0], float(recognised.scores[0])
            if text.strip():
                lines.append(Line(points, text.strip(), min(1.0, max(0.0, score))))
            progress(0.3 + 0.7 * number / len(quads))
        return lines, turned

    def _detect(self, pixels: Pixels) -> list[Quad]:
        found = self._engine(pixels, use_det=True, use_cls=False, use_rec=False)
        boxes = found.boxes if found.boxes is not None else ()
        return [np.asarray(box, dtype=np.float32) for box in boxes]

    def _turned(self, pixels: Pixels, quads: Sequence[Quad]) -> int:
        """How far the page lies turned. Where the classifier has any doubt, the lines are read both ways to decide:
        it sometimes takes bent small print for upside down, and then nothing at all would be readable.
        """
        tall = sum(_weight(quad) for quad in quads if _is_tall(quad))
        guess = 90 if tall > 0.5 * sum(_weight(quad) for quad in quads) else 0
        longest = sorted(quads, key=_weight, reverse=True)[:_LINES_FOR_DIRECTION]
        cuts = [_cut(pixels, _begin_at_top_left(quad, guess)) for quad in longest]
        answers = self._engine.cls_and_rotate(cuts)[1].cls_res
        flipped = sum(float(score) for label, score in answers if "180" in label)
        if flipped < _CERTAIN * sum(float(score) for _, score in answers):
            return guess
        some = cuts[len(cuts) // 2 :]
        upright = sum(self._engine.recognize_txt(some).scores)
        upside_down = sum(
            self._engine.recognize_txt([cv2.rotate(cut, cv2.ROTATE_180) for cut in some]).scores
        )
        return guess + (180 if upside_down > upright else 0)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A loaded model whose threads sleep when they have nothing to do: by default they spin for a while, which was a
    third of the processor time of a page."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = min(threads, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _sides(quad: Quad) -> tuple[float, float]:
    """Width and height as the picture stands."""
    return math.dist(quad[0], quad[1]), math.dist(quad[0], quad[3])


def _is_tall(quad: Quad) -> bool:
    width, height = _sides(quad)
    return height > 1.5 * width


def _weight(quad: Quad) -> float:
    return max(_sides(quad))


def _begin_at_top_left(quad: Quad, turned: int) -> Quad:
    """Corners beginning with what is the top left once the page is turned back by `turned` degrees."""
    return np.asarray(np.roll(quad, -(turned // 90), axis=0), dtype=np.float32)


def _cut(pixels: Pixels, quad: Quad) -> Pixels:
    """The line inside `quad`, straightened: its first two corners become the top."""
    width = max(8, round(max(math.dist(quad[0], quad[1]), math.dist(quad[3], quad[2]))))
    height = max(8, round(max(math.dist(quad[0], quad[3]), math.dist(quad[1], quad[2]))))
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(quad, flat)
    cut = cv2.warpPerspective(
        pixels, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, dtype=np.uint8)
