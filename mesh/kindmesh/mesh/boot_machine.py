"""Which start of a member is at the other end, and whether its identity was copied. Pure.

Every start of a device has a boot number, which its disk counts up, and a random tag. One device is therefore seen with
rising boots, one tag each. What is judged here are *confirmed* starts only: sessions whose keys the other side has
proved to hold now, so that nobody can frame a device by repeating an old greeting of it.

    confirmed start        against the highest confirmed before
    higher boot            restart: the new highest
    the same, same tag     the same start, connected again
    the same, other tag    copy: two devices count from one disk
    lower boot             copy: an old start is alive although a newer one was (or a backup was put back)

`book` is what survives a restart of whoever judges.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Count, KeyId, Tag
from kindmesh.protocol.errors import InvalidTransition

Verdict = Literal["first", "same", "restart", "copy"]
MEMBERS_MAX: Final = 1_024


class Start(msgspec.Struct, array_like=True, frozen=True):
    """A start of a member: its boot number and tag (8 bytes)."""

    boot: Count
    tag: Tag


class Book(msgspec.Struct, array_like=True, frozen=True):
    """The highest confirmed start of each member, and the ids under which two were alive."""

    highest: Annotated[tuple[tuple[KeyId, Start], ...], Meta(max_length=MEMBERS_MAX)] = ()
    copied: Annotated[tuple[KeyId, ...], Meta(max_length=MEMBERS_MAX)] = ()


class Boots:
    """The starts of all members, as one device has seen them confirmed."""

    def __init__(self, book: Book | None = None) -> None:
        book = book or Book()
        self._highest = dict(book.highest)
        self._live: dict[bytes, Start] = {}
        self.copied = set(book.copied)

    def live(self, member: bytes) -> Start | None:
        """The start that was confirmed last, since this process began."""
        return self._live.get(member)

    def confirm(self, member: bytes, start: Start) -> Verdict:
        """A session with this start of `member` (20-byte id) was confirmed."""
        self._live[member] = start
        known = self._highest.get(member)
        if known is None or start.boot > known.boot:
            self._highest[member] = start
            return "first" if known is None else "restart"
        if start == known:
            return "same"
        self.copied.add(member)
        return "copy"

    def release(self, member: bytes) -> None:
        """The owner says that it is one device: whichever start is confirmed next is the one that counts."""
        self.copied.discard(member)
        self._highest.pop(member, None)

    def forget(self, member: bytes) -> None:
        """The member was removed."""
        self.copied.discard(member)
        self._highest.pop(member, None)
        self._live.pop(member, None)

    def book(self) -> Book:
        """What has to survive a restart."""
        return Book(tuple(sorted(self._highest.items())), tuple(sorted(self.copied)))

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InvalidTransition: a copied member of which no start is known.
        """
        if not self.copied <= set(self._highest):
            raise InvalidTransition("a member was copied that never started")


__all__ = ["Book", "Boots", "Start", "Verdict"]
