"""The shipped letter is what its generator makes, and small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from kindmesh.capabilities.vision import make_sample
from kindmesh.capabilities.vision.make_sample import LETTER, Conditions, jpeg_bytes, photograph

SAMPLES = Path(make_sample.__file__).parent / "samples"


def test_the_shipped_letter_says_what_its_text_file_says_and_is_small() -> None:
    assert (SAMPLES / "letter.txt").read_text(encoding="utf-8") == LETTER
    assert 60 <= len(LETTER.split()) <= 80
    assert (SAMPLES / "letter.jpg").stat().st_size < 300_000


def test_the_generator_makes_the_shipped_photograph_again() -> None:
    shipped = np.asarray(Image.open(io.BytesIO((SAMPLES / "letter.jpg").read_bytes())), dtype=np.float32)
    made = np.asarray(Image.open(io.BytesIO(jpeg_bytes(photograph(LETTER)))), dtype=np.float32)
    assert made.shape == shipped.shape
    assert np.abs(made - shipped).mean() < 3.0


def test_the_seed_decides_everything() -> None:
    small = {"font_px": 16, "page_width": 400}
    one, again, other = (photograph("Hello", Conditions(seed=seed, **small)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)
