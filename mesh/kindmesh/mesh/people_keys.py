"""Keys of the people who use this device: `people/` in the state folder, one private file (0600) each.

A file is written before the key is certified, so that an acceptance whose answer was lost is sent again with the same
key. The seed is in it as it is, or sealed under the person's own passphrase (then `sealed` has the bytes that
`coordinator.sealed` made, and only the person's commands can sign). Nothing here leaves the device but signatures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from kindmesh.mesh.files import private_folder, read_private, write_private
from kindmesh.protocol.bounds import KeyId, Name, OptionalKey, OptionalTimeId
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import InvalidInput, Malformed, StoreDamaged
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.shown import repr_without
from kindmesh.protocol.signed import Signed

FILE_MAX: Final = 65_536
PEOPLE_MAX: Final = 64
"""Keys of people on one device."""
_ENDING: Final = ".person"


class PersonKeyFile(msgspec.Struct, array_like=True, frozen=True):
    """`public` (32 bytes) and its seed, or the seed sealed; `certificate` once there is one; for which invitation."""

    schema: int
    mesh: KeyId
    name: Name
    public: bytes
    invite_id: OptionalTimeId
    seed: OptionalKey = b""
    sealed: bytes = b""
    certificate: Signed | None = None

    @property
    def subject(self) -> bytes:
        """The key's id, 20 bytes."""
        return key_id(self.public)

    @property
    def certified(self) -> Certificate | None:
        """The certificate as it was issued (this device asked for it and checked it then), or None."""
        return None if self.certificate is None else decode(Certificate, self.certificate.payload)

    def __repr__(self) -> str:
        return repr_without(self, "seed", "sealed")


class PeopleKeys:
    """The folder. Nothing is cached: commands and the node use it side by side."""

    def __init__(self, root: Path) -> None:
        """`root`: the state folder."""
        self.folder = root / "people"

    def all(self) -> list[PersonKeyFile]:
        """All keys, by name.

        Raises:
            StoreDamaged, InsecurePermissions, StoreError.
        """
        if not self.folder.is_dir():
            return []
        found = [self._read(path) for path in sorted(self.folder.glob(f"*{_ENDING}"))[:PEOPLE_MAX]]
        return sorted(found, key=lambda one: (one.name, one.public))

    def certified(self, mesh: bytes) -> list[PersonKeyFile]:
        """Those that are certified for this mesh."""
        return [one for one in self.all() if one.certificate is not None and one.mesh == mesh]

    def choose(self, mesh: bytes, name: str) -> PersonKeyFile | None:
        """The key to sign with: of the person called `name`, or, without one, of the only person there is; else None.

        Raises:
            InvalidInput: nobody here is called so.
        """
        here = self.certified(mesh)
        if not name:
            return here[0] if len(here) == 1 else None
        for one in here:
            if one.name.casefold() == name.casefold():
                return one
        known = ", ".join(one.name for one in here)
        raise InvalidInput(
            f"nobody called {name[:64]!r} has a key on this device",
            field="as",
            hint=f"Here are: {known}." if known else "kindmesh people accept takes an invitation.",
        )

    def write(self, key: PersonKeyFile) -> None:
        """Keep it.

        Raises:
            InvalidInput: too many. DiskFull, StoreError.
        """
        private_folder(self.folder)
        path = self._path(key)
        if not path.exists() and len(list(self.folder.glob(f"*{_ENDING}"))) >= PEOPLE_MAX:
            raise InvalidInput(f"{PEOPLE_MAX} people have a key on this device already", field="name")
        write_private(path, encode(key))

    def remove(self, key: PersonKeyFile) -> None:
        """Forget it; again is harmless."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: PersonKeyFile) -> Path:
        return self.folder / f"{key.subject.hex()}{_ENDING}"

    def _read(self, path: Path) -> PersonKeyFile:
        try:
            found = decode(PersonKeyFile, read_private(path, limit=FILE_MAX), limit=FILE_MAX)
        except Malformed as error:
            raise StoreDamaged(f"{path} is damaged", hint="Accept a new invitation.") from error
        if found.schema != 1:
            raise StoreDamaged(f"{path} was written by another version of Kindmesh")
        return found


__all__ = ["PEOPLE_MAX", "PeopleKeys", "PersonKeyFile"]
