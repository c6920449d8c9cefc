"""From the bytes of a picture to pixels, without trusting them.

The size is read from the header and refused before anything is decoded, so a picture of a few kilobytes that would
unpack to gigabytes costs nothing. Only formats of still pictures are tried. JPEGs much larger than needed are decoded
at a fraction of their size, which saves most of the memory and the time. The camera's note on how it was held (EXIF)
is followed.
"""

from __future__ import annotations

import importlib
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kindmesh.capabilities.vision.manifest import IMAGE_BYTES_MAX, IMAGE_PIXELS_MAX
from kindmesh.protocol.errors import ImageDamaged, ImageTooLarge

__all__ = ["Picture", "load"]

PLUGINS: Final = ("Jpeg", "Png", "WebP", "Tiff", "Bmp", "Gif", "Mpo", "Ppm")
FORMATS: Final = tuple(name.upper() for name in PLUGINS)
for _name in PLUGINS:
    importlib.import_module(f"PIL.{_name}ImagePlugin")
SIDE_MAX: Final = 2880
"""Pixels on the longer side that are worth reading: a page of small print fills them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`pixels` BGR, height x width x 3, perhaps reduced; `width`, `height` of the picture itself, upright."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


def load(path: Path, *, side_max: int = SIDE_MAX) -> Picture:
    """Decode a picture, upright, reduced to at most `side_max` pixels on its longer side.

    Raises:
        ImageTooLarge: in bytes or pixels.
        ImageDamaged: no picture, a format we do not read, or broken on the way.
    """
    size = path.stat().st_size
    if size > IMAGE_BYTES_MAX:
        raise ImageTooLarge(
            f"the picture has {size / 1e6:.0f} MB, at most {IMAGE_BYTES_MAX / 1e6:.0f} MB are read",
            field="image",
            hint="Take it at a lower resolution.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return _decode(image, side_max)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("too many") from error
    except UnidentifiedImageError as error:
        raise ImageDamaged(
            "this is no picture that can be read here",
            field="image",
            hint=f"It may be {', '.join(FORMATS[:5])}.",
        ) from error
    except (
        OSError,
        struct.error,
        SyntaxError,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        EOFError,
    ) as error:
        raise ImageDamaged(
            "the picture is damaged", field="image", hint="Take it or send it again."
        ) from error


def _too_many_pixels(count: str) -> ImageTooLarge:
    return ImageTooLarge(
        f"the picture has {count} pixels, at most {IMAGE_PIXELS_MAX // 1_000_000} million are read",
        field="image",
        hint="Take it at a lower resolution.",
    )


def _decode(image: Image.Image, side_max: int) -> Picture:
    width, height = image.size
    if width * height > IMAGE_PIXELS_MAX:
        raise _too_many_pixels(f"{width * height / 1e6:.0f} million")
    if image.format == "JPEG":
        image.draft("RGB", (side_max, side_max))
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.size != image.size:
        width, height = height, width
    if max(upright.size) > side_max:
        upright.thumbnail((side_max, side_max), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if upright.mode in ("RGBA", "LA", "PA", "P"):
        coloured = upright.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, "white")
        paper.alpha_composite(coloured)
        upright = paper
    elif upright.mode.startswith(("I;16", "I", "F")):
        upright = _eight_bits(upright)
    rgb = np.asarray(upright.convert("RGB"), dtype=np.uint8)
    return Picture(np.ascontiguousarray(rgb[:, :, ::-1]), width, height)


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / max(high - low, 1e-6))
    return Image.fromarray(scaled.astype(np.uint8))
