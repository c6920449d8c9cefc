"""Telling and asking for the keys of a door, in the clear: how a device with a typed code finds whom to talk to.

Whoever connects gets `DoorKeys` (at most `KEYS_MAX` bytes) and the connection ends; nothing is read. The answer is
public and proves nothing: SPAKE2 is bound to the keys in it, so other keys only make the code fail.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import (
    AddressInUse,
    ConfigError,
    EnrolmentRefused,
    PeerUnreachable,
    UnsupportedVersion,
)
from kindmesh.protocol.typed import TYPED_VERSION, DoorKeys

log = logging.getLogger("kindmesh.mesh.door_keys")

KEYS_MAX: Final = 512
PATIENCE_S: Final = 5.0


class DoorKeysServer:
    """Tells `keys()` to whoever connects to `port` at `host`; nothing while that is None."""

    def __init__(self, host: str, port: int, keys: Callable[[], DoorKeys | None]) -> None:
        self._host, self.port = host, port
        self._keys = keys
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards.

        Raises:
            AddressInUse, ConfigError.
        """
        host = None if self._host in ("*", "0.0.0.0", "::") else self._host  # noqa: S104 - compared, not bound
        try:
            self._server = await asyncio.start_server(self._answer, host, self.port, limit=KEYS_MAX)
        except OSError as error:
            if error.errno is not None and "in use" in str(error):
                raise AddressInUse(f"another program uses port {self.port}") from error
            raise ConfigError(f"cannot listen at port {self.port}: {error.strerror}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keys = self._keys()
        try:
            if keys is not None:
                writer.write(encode(keys))
                async with asyncio.timeout(PATIENCE_S):
                    await writer.drain()
        except (OSError, TimeoutError) as error:
            log.info("who asked for the door's keys went away", extra={"reason": type(error).__name__})
        finally:
            writer.close()

    async def close(self) -> None:
        """Stop. Twice is fine."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()


async def ask_door_keys(host: str, port: int) -> DoorKeys:
    """What is told at `host` (a name or an IP address without brackets), `port`.

    Raises:
        PeerUnreachable: nobody is there. EnrolmentRefused: it is no door, or no typed code is waited for.
        UnsupportedVersion.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                data = await reader.read(KEYS_MAX)
                while more := await reader.read(KEYS_MAX):
                    data += more
                    if len(data) > KEYS_MAX:
                        break
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        hint = "Is kindmesh pair --typed open there? Its output says the address."
        raise PeerUnreachable(f"nobody answers at {host}:{port}", hint=hint) from error
    if not data:
        hint = "Open one there: kindmesh pair --typed."
        raise EnrolmentRefused("no window with a typed code is open there", hint=hint)
    keys = decode(DoorKeys, data, limit=KEYS_MAX)
    if keys.version != TYPED_VERSION:
        raise UnsupportedVersion(
            f"the coordinator pairs with version {keys.version}, this device with {TYPED_VERSION}"
        )
    return keys


__all__ = ["DoorKeysServer", "ask_door_keys"]
