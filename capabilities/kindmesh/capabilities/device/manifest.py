"""What `device` offers: facts about the machine, and two echoes, of a text and of a stream, for measuring
and testing. They only read."""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec

__all__ = ["ECHO_MAX", "MANIFEST"]

ECHO_MAX: Final = 65_536
"""Characters."""

MANIFEST: Final = Manifest(
    capability="device",
    version="1",
    title="This device",
    operations=(
        Operation(
            name="device.info",
            title="Tell what this device is",
            input=(),
            output=(
                Field("model", "text", "Make and model, or unknown"),
                Field("os", "text", "Operating system"),
                Field("machine", "text", "Processor architecture"),
                Field("python", "text", "Version of Python"),
                Field("cpu_count", "integer", "Processors usable by this program", minimum=1),
                Field("memory_bytes", "integer", "Memory", required=False),
                Field("memory_available_bytes", "integer", "Memory not in use", required=False),
                Field("uptime_ms", "integer", "Time since it was switched on", required=False),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("device",),
            limits=Limits(timeout_ms=5_000, max_concurrent=8, max_input_bytes=1_024, max_output_bytes=4_096),
            session_call=True,
        ),
        Operation(
            name="device.echo",
            title="Answer with the same text",
            input=(Field("text", "text", "Anything", max_length=ECHO_MAX),),
            output=(Field("text", "text", "The same", max_length=ECHO_MAX),),
            effects=int(Effect.READ),
            idempotent=True,
            limits=Limits(
                timeout_ms=5_000, max_concurrent=64, max_input_bytes=262_144, max_output_bytes=262_144
            ),
            session_call=True,
        ),
        Operation(
            name="device.echo_stream",
            title="Send back what comes, as it comes",
            input=(
                Field(
                    "delay_ms",
                    "integer",
                    "Wait so long before each piece, as a slow device would",
                    required=False,
                    minimum=0,
                    maximum=10_000,
                    default=encode_value(0),
                ),
            ),
            output=(
                Field("pieces", "integer", "How many pieces came", minimum=0),
                Field("bytes", "integer", "How many bytes came", minimum=0),
            ),
            effects=int(Effect.READ),
            idempotent=True,
            data_classes=("device",),
            limits=Limits(
                timeout_ms=600_000, max_concurrent=8, max_input_bytes=1_024, max_output_bytes=4_096
            ),
            stream=StreamSpec("both", StreamMedia("bytes"), StreamMedia("bytes"), 600_000, 1 << 30),
        ),
    ),
)
