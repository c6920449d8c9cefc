"""No structure shows its secret: `repr` ends up in logs, error texts and crash reports.

Every struct and class of the five portions is looked at; a field counts as secret by its type (`Secret`) or its name.
When this fails for a new struct: `def __repr__(self): return repr_without(self, "seed")` (kindmesh.protocol.shown).
All of them are imported by the test itself, with every library that any part uses: at collection each of the processes
that share a run would do it, for three seconds, and keep 80 MB.
"""

from __future__ import annotations

import base64
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import kindmesh.capabilities
import kindmesh.coordinator
import kindmesh.mesh
import kindmesh.node
import kindmesh.protocol
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.session import SessionKeys

PORTIONS = (
    kindmesh.protocol, kindmesh.mesh, kindmesh.capabilities, kindmesh.node, kindmesh.coordinator,
)  # fmt: skip
NAMES = {"secret", "seed", "passphrase", "private", "private_key", "master", "store_key", "code_secret"}
NOT_IMPORTED = ("__main__", ".bench.", ".vision.make_sample")
SECRET = re.compile(r"\bSecret\b")
SENTINEL = bytes(range(200, 232))


def structs() -> Iterator[type[msgspec.Struct]]:
    seen: set[type] = set()
    for portion in PORTIONS:
        for found in pkgutil.walk_packages(portion.__path__, portion.__name__ + "."):
            if any(part in found.name for part in NOT_IMPORTED):
                continue
            module = importlib.import_module(found.name)
            for thing in vars(module).values():
                if isinstance(thing, type) and issubclass(thing, msgspec.Struct) and thing not in seen:
                    seen.add(thing)
                    yield thing


def secret_fields(struct: type[msgspec.Struct]) -> list[str]:
    # As written in the source: other aliases are the same type to Python (16 bytes), but are no secrets.
    written = {
        name: text for base in struct.__mro__ for name, text in vars(base).get("__annotations__", {}).items()
    }
    return [
        name
        for name in struct.__struct_fields__
        if name in NAMES or SECRET.search(str(written.get(name, "")))
    ]


def forms(secret: bytes) -> list[str]:
    return [
        secret.hex(), secret.hex().upper(), repr(secret)[2:-1], base64.b64encode(secret).decode().rstrip("="),
        base64.urlsafe_b64encode(secret).decode().rstrip("="), base64.b32encode(secret).decode().rstrip("="),
        base64.b32encode(secret).decode().rstrip("=").lower(), str(list(secret)),
    ]  # fmt: skip


def shows(thing: object) -> list[str]:
    text = "".join([repr(thing), str(thing), f"{thing}", repr([thing])])
    return [form for form in forms(SENTINEL) if form in text]


def shown_by(struct: type[msgspec.Struct], hidden: list[str]) -> list[str]:
    values: dict[str, Any] = {name: SENTINEL if name in hidden else b"" for name in struct.__struct_fields__}
    return shows(struct(**values))


def test_every_struct_hides_its_secrets_and_the_ones_we_know_are_found() -> None:
    found = {struct: hidden for struct in structs() if (hidden := secret_fields(struct))}
    assert {"Invitation"} <= {struct.__name__ for struct in found}
    shown = {struct.__qualname__: shown_by(struct, hidden) for struct, hidden in found.items()}
    assert {name: forms for name, forms in shown.items() if forms} == {}


@pytest.mark.parametrize(
    "key",
    [SigningKey(SENTINEL), CurveKey(SENTINEL), SessionKeys(SENTINEL, SENTINEL, b"12345678")],
    ids=lambda key: type(key).__name__,
)
def test_a_key_hides_its_secret(key: object) -> None:
    assert shows(key) == []


def test_hiding_is_not_hiding_everything() -> None:
    class Plain(msgspec.Struct):
        value: bytes

    assert shows(Plain(SENTINEL)) != []
