"""What `device` offers: facts about the machine, and an echo for measuring and testing. Both only read."""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation

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
    ),
)
