"""The ZeroMQ transport: ROUTER (listener) and DEALER (channel) under CURVE, read by the event loop itself.

| question | answered in |
|---|---|
| Who may connect? | `context.py` (ZAP), enforced also when its handler is gone |
| Whose message is this, and may they still talk? | `listener.py`, for every single message |
| When is a link up, and what if we are refused? | `channel.py` |
| How is nothing overlooked, and nobody starved? | `end.py` |

No `zmq.asyncio`: it costs 2.4 times the CPU of reading the FD ourselves.
"""

from __future__ import annotations

from kindmesh.mesh.transport import Admit
from kindmesh.mesh.zmq_transport.channel import ZmqChannel
from kindmesh.mesh.zmq_transport.context import SharedContext
from kindmesh.mesh.zmq_transport.listener import ZmqListener
from kindmesh.protocol.crypto import CurveKey

HIGH_WATER = 256
"""Messages that wait in each direction of a link."""


class ZmqTransport:
    """Makes ZeroMQ listeners and channels, "tcp://host:port"; implements `kindmesh.mesh.transport.Transport`.

    Args:
        high_water: messages that wait in each direction of a link before `BackPressure`.
    """

    def __init__(self, *, high_water: int = HIGH_WATER) -> None:
        self.high_water = high_water
        self._shared: SharedContext | None = None

    def listen(self, address: str, key: CurveKey, admit: Admit) -> ZmqListener:
        """A listener at "tcp://host:port"; host is an IP address or `*`, port 0 takes a free one."""
        return ZmqListener(self._share, self.high_water, address, key, admit)

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> ZmqChannel:
        """A channel to "tcp://host:port"."""
        return ZmqChannel(self._share, self.high_water, address, server_key, key)

    def _share(self) -> SharedContext:
        if self._shared is None or self._shared.users == 0:
            self._shared = SharedContext()
        self._shared.users += 1
        return self._shared


__all__ = ["HIGH_WATER", "ZmqChannel", "ZmqListener", "ZmqTransport"]
