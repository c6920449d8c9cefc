"""What `notes` offers: append a line to this device's notes (a write, and not idempotent), and list them."""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation

__all__ = ["MANIFEST", "NOTE_MAX", "PAGE_MAX"]

NOTE_MAX: Final = 2_000
"""Characters in one note."""
PAGE_MAX: Final = 100
"""Notes in one answer."""

MANIFEST: Final = Manifest(
    capability="notes",
    version="1",
    title="Notes",
    operations=(
        Operation(
            name="notes.append",
            title="Write down a note",
            input=(Field("text", "text", "The note", max_length=NOTE_MAX),),
            output=(
                Field("line", "integer", "The number of the note, from 1", minimum=1),
                Field("written_ms", "integer", "When it was written"),
            ),
            effects=int(Effect.WRITE),
            idempotent=False,
            data_classes=("notes",),
            limits=Limits(
                timeout_ms=10_000, max_concurrent=8, max_input_bytes=16_384, max_output_bytes=1_024
            ),
        ),
        Operation(
            name="notes.list",
            title="Read the notes",
            input=(
                Field(
                    "first",
                    "integer",
                    "Number of the first note",
                    required=False,
                    minimum=1,
                    default=encode_value(1),
                ),
                Field(
                    "count",
                    "integer",
                    "How many at most",
                    required=False,
                    minimum=1,
                    maximum=PAGE_MAX,
                    default=encode_value(20),
                ),
            ),
            output=(
                Field(
                    "notes", "list", "Objects with line, written_ms, text", maximum=PAGE_MAX, items="object"
                ),
                Field("total", "integer", "How many there are", minimum=0),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("notes",),
            limits=Limits(
                timeout_ms=10_000, max_concurrent=4, max_input_bytes=1_024, max_output_bytes=786_432
            ),
        ),
    ),
)
