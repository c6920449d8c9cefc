"""The effects as plain integers: an operation on the enumeration costs a microsecond, and rules ask it often."""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.manifest import Effect

READ: Final = int(Effect.READ)
SENSE: Final = int(Effect.SENSE)
WRITE: Final = int(Effect.WRITE)
NOTIFY: Final = int(Effect.NOTIFY)
ACTUATE: Final = int(Effect.ACTUATE)
MOVE: Final = int(Effect.MOVE)
SPEND: Final = int(Effect.SPEND)
EXECUTE: Final = int(Effect.EXECUTE)
HARMLESS: Final = READ | NOTIFY

__all__ = ["ACTUATE", "EXECUTE", "HARMLESS", "MOVE", "NOTIFY", "READ", "SENSE", "SPEND", "WRITE"]
