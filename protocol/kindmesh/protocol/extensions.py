"""The `ext` map that bodies and manifests carry, and its one rule.

An entry whose name begins with `!` is critical: a reader that does not know it must refuse the whole message, by the
entry's name. All others are ignored by those who do not know them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from kindmesh.protocol.errors import UnknownCritical

Ext = dict[str, bytes]
"""Name -> canonical MessagePack bytes of the entry's value."""


def check_extensions(ext: Ext, known: AbstractSet[str] = frozenset()) -> None:
    """Refuse critical entries that are not in `known`.

    Raises:
        UnknownCritical: names the entry.
    """
    for name in ext:
        if name.startswith("!") and name not in known:
            raise UnknownCritical(
                f"the extension {name[1:][:40]!r} is required but not known here", field=name[:41]
            )


__all__ = ["Ext", "check_extensions"]
