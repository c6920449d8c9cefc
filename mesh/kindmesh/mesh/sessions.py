"""Which connection speaks for which key: the newest one that was authenticated. Pure.

A listener sees *routes* (names of connections, given by its own library) and, with every message, the User-Id that
authentication attached to it. A route speaks for one key for as long as it lives. When a key appears on a new route,
that route is its session from then on, and the older one is superseded: what it still sends is refused, so that two
connections can never take turns. A client that chose its own route name is refused: it could claim the name of a
connection that has ended and get what is meant for its device. For the same reason a session is forgotten as soon as
the socket under it is gone; socket numbers are used again, so that news has to be told before a newcomer is met.
"""

from __future__ import annotations

from kindmesh.mesh import zap

SUPERSEDED_MAX = 1024
"""Old routes remembered as such; routes are never used twice, so forgetting the oldest is safe enough."""


class Session:
    """One connection: `route` and `socket` name it, `hop_key` is whom it speaks for, `user_id` is how that was said."""

    __slots__ = ("hop_key", "route", "socket", "user_id")

    def __init__(self, route: bytes, socket: int, user_id: str, hop_key: bytes) -> None:
        self.route, self.socket, self.user_id, self.hop_key = route, socket, user_id, hop_key


class Sessions:
    """The newest session of every key. `by_route` may be read directly: it holds nothing that is superseded."""

    def __init__(self) -> None:
        self.by_route: dict[bytes, Session] = {}
        self._by_key: dict[bytes, Session] = {}
        self._by_socket: dict[int, Session] = {}
        self._superseded: dict[bytes, None] = {}

    def meet(self, route: bytes, socket: int, user_id: str, *, chosen: bool) -> Session | None:
        """A message came on a route that `by_route` does not have for this `user_id`.

        Args:
            socket: the number of the socket that it came from.
            chosen: whether the client named the route itself.

        Returns:
            The new session; None if this route may not have one.
        """
        hop_key = zap.key_of(user_id)
        if hop_key is None or chosen or route in self._superseded or route in self.by_route:
            return None
        older = self._by_key.get(hop_key)
        if older is not None:
            self.forget(older)
            self._superseded[older.route] = None
            if len(self._superseded) > SUPERSEDED_MAX:
                del self._superseded[next(iter(self._superseded))]
        session = Session(route, socket, user_id, hop_key)
        self.by_route[route] = self._by_key[hop_key] = self._by_socket[socket] = session
        return session

    def find(self, hop_key: bytes) -> Session | None:
        """The session of a key."""
        return self._by_key.get(hop_key)

    def at_socket(self, socket: int) -> Session | None:
        """The session whose messages come from this socket."""
        return self._by_socket.get(socket)

    def forget(self, session: Session) -> None:
        """Its connection is gone."""
        if self.by_route.pop(session.route, None) is session:
            del self._by_key[session.hop_key]
            if self._by_socket.get(session.socket) is session:
                del self._by_socket[session.socket]

    def keys(self) -> frozenset[bytes]:
        """Keys that have a session."""
        return frozenset(self._by_key)

    def clear(self) -> None:
        """Forget everything."""
        self.by_route.clear()
        self._by_key.clear()
        self._by_socket.clear()
        self._superseded.clear()


__all__ = ["SUPERSEDED_MAX", "Session", "Sessions"]
