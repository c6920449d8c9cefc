"""SPAKE2 for typed pairing codes: the only module that uses the `spake2` library, imported when a code is typed.

The device is side A, the door side B; both identities are hashed into the key, so what they contain has to be the same
at both ends (see `kindmesh.protocol.typed`). One object is one guess: it starts once and finishes once.
"""

from __future__ import annotations

from typing import Any

from kindmesh.protocol.errors import CapabilityMissing, EnrolmentRefused

HINT = (
    "On this device: pip install 'kindmesh[pair]'. Without it: kindmesh join with the text of kindmesh pair."
)


class CodeExchange:
    """One side of one exchange. `share` (33 bytes) goes to the other side."""

    __slots__ = ("_side", "share")

    def __init__(self, code: str, device: bytes, door: bytes, *, at_device: bool) -> None:
        """`code` as `parse_code` gives it; `device` and `door` are the two identities.

        Raises:
            CapabilityMissing: the library is not installed.
        """
        library = load_library()
        make = library.SPAKE2_A if at_device else library.SPAKE2_B
        self._side = make(code.encode(), idA=device, idB=door)
        self.share: bytes = self._side.start()

    def finish(self, share: bytes) -> bytes:
        """The key (32 bytes) that both sides have if they were told the same code and see the same keys.

        Raises:
            EnrolmentRefused: the other side's share is no share.
        """
        from spake2.ed25519_basic import NotOnCurve  # noqa: PLC0415 - see the module
        from spake2.spake2 import SPAKEError  # noqa: PLC0415

        try:
            key: bytes = self._side.finish(share)
        except (SPAKEError, NotOnCurve, ValueError, AssertionError) as error:
            raise EnrolmentRefused("the other side does not keep to the rules of a typed code") from error
        return key


def load_library() -> Any:
    """The library.

    Raises:
        CapabilityMissing: it is not installed.
    """
    try:
        import spake2  # noqa: PLC0415 - see the module
    except ImportError as error:
        raise CapabilityMissing("typed codes need a library that is not installed here", hint=HINT) from error
    return spake2


__all__ = ["CodeExchange", "load_library"]
