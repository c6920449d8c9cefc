"""What `vision` offers: reading the printed text in a photograph, in the order in which a person would read it."""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation

__all__ = ["IMAGE_BYTES_MAX", "IMAGE_PIXELS_MAX", "LINES_MAX", "MANIFEST"]

IMAGE_BYTES_MAX: Final = 32 * 1024 * 1024
IMAGE_PIXELS_MAX: Final = 64_000_000
"""A 48-megapixel phone's photograph fits; what it takes while it is decoded is 3 bytes for each."""
LINES_MAX: Final = 1_000

MANIFEST: Final = Manifest(
    capability="vision",
    version="1",
    title="Seeing",
    requires="vision",
    operations=(
        Operation(
            name="vision.read_text",
            title="Read the text in a picture",
            input=(
                Field("image", "artifact", "The photograph (JPEG, PNG, WebP, TIFF, BMP)"),
                Field(
                    "min_confidence",
                    "number",
                    "Leave out lines below this",
                    required=False,
                    minimum=0,
                    maximum=1,
                    default=encode_value(0.5),
                ),
                Field(
                    "languages", "list", "Language codes that must be readable", required=False, maximum=16
                ),
            ),
            output=(
                Field(
                    "text",
                    "text",
                    "Paragraphs parted by blank lines; empty if there is none",
                    max_length=200_000,
                ),
                Field("confidence", "number", "Of the whole text; 0 if there is none", minimum=0, maximum=1),
                Field(
                    "boxes",
                    "list",
                    "Objects in reading order: text, confidence, points (four [x, y] in pixels), paragraph",
                    maximum=LINES_MAX,
                    items="object",
                ),
                Field("width_px", "integer", "Of the picture, upright as its camera says", minimum=1),
                Field("height_px", "integer", minimum=1),
                Field(
                    "turned_degrees",
                    "integer",
                    "How far the page lies turned, clockwise",
                    minimum=0,
                    maximum=270,
                ),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("image", "text"),
            limits=Limits(
                timeout_ms=120_000, max_concurrent=1, max_input_bytes=16_384, max_output_bytes=786_432
            ),
        ),
    ),
)
