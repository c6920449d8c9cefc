"""What somebody says to a skin becomes an utterance that Medulla can check word by word.

    who says it                          signed with                     principal   `present`
    the owner, at the coordinator        the key of the node beside it   owner       yes
    whoever uses a member's device       the key of that device's node   device      yes, unless told otherwise
    a person, with `--as` or their own   that person's own key           person      no: their key may be anywhere

A skin makes it (`hear_here`, `Person.hear`) and sends it beside what it asks for, as the parameter `utterance`
(`to_param`); where the device stands is what its own settings say (`[device] area`), or what is said of it for once.
The coordinator keeps it sealed with the run (`heard_in`). The coordinator's own key hears nobody, so whoever takes the
coordinator over cannot make up what was said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kindmesh.coordinator.params import Params
from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.limits import PERMIT_MAX, UTTERANCE_WORD_MAX, UTTERANCE_WORDS_MAX
from kindmesh.protocol.principal import OWNER, Principal, device_principal, principal_text
from kindmesh.protocol.utterance import (
    WORD_SALT,
    Utterance,
    check_spoken,
    root_of,
    sign_utterance,
    spoken,
    words_of,
)
from kindmesh.protocol.utterance_evidence import Heard

PARAM = "utterance"
"""The parameter of control requests."""
_HEARD_MAX = UTTERANCE_WORDS_MAX * (4 * UTTERANCE_WORD_MAX + WORD_SALT + 8) + 2 * PERMIT_MAX


def make_utterance(
    text: str,
    *,
    key: SigningKey,
    mesh: bytes,
    device: bytes,
    principal: Principal,
    now_ms: int,
    entropy: Entropy,
    person: bytes = b"",
    language: str = "en",
    present: bool = False,
    area: str = "",
) -> Heard:
    """`text` as `principal` said it on `device` at `now_ms`, signed with `key`: the device's, or that `person`'s;
    `area` is where the device stands.

    Raises:
        InvalidInput: no words, or too many.
    """
    said = spoken(text, (entropy.token(WORD_SALT) for _ in words_of(text)[: UTTERANCE_WORDS_MAX + 1]))
    utterance = Utterance(
        mesh=mesh,
        utterance_id=new_id(now_ms, entropy.token(RANDOM_BYTES)),
        size=len(said.words),
        root=root_of(said),
        device=device,
        person=person,
        principal=principal_text(principal),
        heard_ms=now_ms,
        language=language,
        present=present and not person,
        area=area,
    )
    return Heard(sign_utterance(utterance, key), said)


def hear_here(
    home: Home,
    text: str,
    *,
    now_ms: int,
    entropy: Entropy,
    language: str = "en",
    present: bool = True,
    area: str = "",
) -> Heard:
    """What somebody says at this very machine, signed by its node: as the owner where the coordinator runs, else as
    whoever uses the device. `now_ms` is the mesh's time, `area` where it stands.

    Raises:
        InvalidInput: no words, or too many. NotInitialised, StoreDamaged, InsecurePermissions: the node's key.
    """
    with _as_whom_it_belongs_to(home.identity):
        trust = Trust.load(home.identity)
        key = Identity.load(home.identity, entropy, start=False).signing
    device = trust.certificate.subject
    owner = (home.coordinator / "identity").is_dir()
    return make_utterance(
        text,
        key=key,
        mesh=trust.mesh,
        device=device,
        principal=OWNER if owner else device_principal(device),
        now_ms=now_ms,
        entropy=entropy,
        language=language,
        present=present,
        area=area,
    )


@contextmanager
def _as_whom_it_belongs_to(folder: Path) -> Iterator[None]:
    """The superuser reads a key as the user to whom it belongs: where Medulla has a user of its own, the rest of the
    state folder belongs to another one than who runs commands."""
    owner = folder.stat().st_uid if folder.exists() else 0
    if os.geteuid() != 0 or owner == 0:
        yield
        return
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(0)


def to_param(heard: Heard) -> bytes:
    """For the parameter `utterance`."""
    return encode(heard)


def heard_in(params: Params) -> Heard | None:
    """The utterance that came with a request, None if none did.

    Raises:
        InvalidInput: it is none, or its words are not those that were signed.
    """
    data = params.data(PARAM, b"")
    if not data:
        return None
    try:
        heard = decode(Heard, data, limit=_HEARD_MAX)
        utterance = decode(Utterance, heard.utterance.payload, limit=PERMIT_MAX)
    except Malformed as error:
        raise InvalidInput(f"this is no utterance: {error.message}", field=PARAM) from error
    check_spoken(heard.said, utterance)
    return heard


def area_of(heard: Heard | None) -> str:
    """Where that was said, as whoever signed it says; empty: not known."""
    return "" if heard is None else decode(Utterance, heard.utterance.payload, limit=PERMIT_MAX).area


def is_spoken_by(heard: Heard, who: Principal) -> bool:
    """Whether a person's own key signed it, in the name of `who`: as it says itself, Medulla checks it."""
    utterance = decode(Utterance, heard.utterance.payload, limit=PERMIT_MAX)
    return bool(utterance.person) and utterance.principal == principal_text(who)


__all__ = ["PARAM", "area_of", "hear_here", "heard_in", "is_spoken_by", "make_utterance", "to_param"]
