"""What is fuzzed: every decoder that a stranger's or a member's bytes reach. No fuzzing library is needed here.

A target takes bytes and may raise `KindmeshError` and nothing else. Where a signature stands before the decoder, the
target signs what it was given with a key of its own, so that the fuzzer gets behind it, as a member could. An input is
one byte that selects the target, and the rest; `seeds` makes inputs of every byte string in the golden vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.household import Household

from kindmesh.capabilities.worker_wire import Frames
from kindmesh.mesh.control_frames import Request, Unframer, decode_reply, decode_request, pack
from kindmesh.protocol.anchors import ANCHORS_DOMAIN, MeshBundle, open_bundle
from kindmesh.protocol.certificate import (
    CERTIFICATE_DOMAIN,
    RENEWAL_DOMAIN,
    REVOCATION_DOMAIN,
    ROSTER_DOMAIN,
    Membership,
    check_validity,
    open_certificate,
    open_renewal,
)
from kindmesh.protocol.codec import decode, decode_value, encode, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.enrol import EnrolHello, check_hello, decode_message, invitation_from_text
from kindmesh.protocol.envelope import ENVELOPE_DOMAIN, open_envelope, peek_header
from kindmesh.protocol.errors import KindmeshError, WireError, error_from_wire, error_to_wire
from kindmesh.protocol.extensions import check_extensions
from kindmesh.protocol.ids import key_id, parse_id, parse_time_id
from kindmesh.protocol.manifest import Manifest, check_manifest
from kindmesh.protocol.messages import BODIES, SESSION_BODIES, MessageType, SessionBody, SessionType
from kindmesh.protocol.messages.hello import ADVERT_DOMAIN, open_advert
from kindmesh.protocol.permit import PERMIT_DOMAIN, check_permit, open_permit
from kindmesh.protocol.policy import (
    APPROVAL_DOMAIN,
    GRANT_DOMAIN,
    POLICY_DOMAIN,
    REMOVAL_DOMAIN,
    ApprovalRequest,
    decide,
    describe_request,
    open_approval,
    open_grant,
    open_policy,
    open_removal,
)
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.session import SessionKeys
from kindmesh.protocol.signed import Signed, signed_from_bytes

VECTORS: Final = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
KEY: Final = SigningKey(b"fuzz" * 8)
MESH: Final = key_id(KEY.public)
NOW_MS: Final = 1_767_225_600_000
HOUSEHOLD: Final = Household(1, NOW_MS)

_TYPES = list(MessageType)
_SESSION_TYPES = list(SessionType)


def _signed(domain: bytes, payload: bytes) -> Signed:
    return Signed(payload, MESH, KEY.sign(domain + payload))


def _split(data: bytes) -> list[bytes]:
    """Three frames: their lengths are in the first two bytes."""
    first, second = (data[0], data[1]) if len(data) > 1 else (0, 0)
    rest = data[2:]
    return [rest[:first], rest[first : first + second], rest[first + second :]]


def envelope(data: bytes) -> None:
    """Frames as they come, from nobody in particular."""
    frames = _split(data)
    header = peek_header(frames)
    open_envelope(frames, dst=header.dst, now_ms=NOW_MS, public_key=lambda _: KEY.public)


def signed_envelope(data: bytes) -> None:
    """A header that a member wrote and signed, and its body in the struct of its type."""
    head, _, body = _split(data)
    frames = [head, KEY.sign(ENVELOPE_DOMAIN + head), body]
    header = peek_header(frames)
    open_envelope(frames, dst=header.dst, now_ms=NOW_MS, public_key=lambda _: KEY.public)


def body(data: bytes) -> None:
    """A body of every message type, and what is done with it at once."""
    type_ = _TYPES[data[0] % len(_TYPES)] if data else MessageType.HELLO
    found = decode(BODIES[type_], data[1:])
    check_extensions(getattr(found, "ext", {}))
    for name in ("args", "params", "value"):
        if isinstance(inner := getattr(found, name, None), bytes):
            decode_value(inner)
    if encode(decode(BODIES[type_], encode(found))) != encode(found):
        raise AssertionError("what was decoded is not what is encoded")


def session(data: bytes) -> None:
    """A session frame, and a body of every session type."""
    outer = decode(SessionBody, data)
    type_ = _SESSION_TYPES[outer.type % len(_SESSION_TYPES)]
    decode(SESSION_BODIES[type_], outer.payload)


def session_frame(data: bytes) -> None:
    """Frames under a session's keys, from who does not have them."""
    SessionKeys(b"a" * 32, b"b" * 32, b"c" * 8).open(_split(data))


def value(data: bytes) -> None:
    """A free-form value; what is accepted comes back as the same bytes."""
    if encode_value(decode_value(data)) != data:
        raise AssertionError("a value was accepted that is not canonical")


def enrol(data: bytes) -> None:
    """A message at the door."""
    message = decode_message(data)
    if isinstance(message, EnrolHello):
        check_hello(message, message.curve_pub)


def invitation(data: bytes) -> None:
    """A text that somebody typed or scanned."""
    text = data.decode("utf-8", "replace")
    invitation_from_text(text if ":" in text else "KM1:" + text)


def certificate(data: bytes) -> None:
    """A certificate that an issuer signed."""
    found = open_certificate(_signed(CERTIFICATE_DOMAIN, data), KEY.public, MESH)
    check_validity(found, NOW_MS)
    found.granted("speech")


def renewal(data: bytes) -> None:
    """A member's wish to live on."""
    open_renewal(_signed(RENEWAL_DOMAIN, data), KEY.public)


def bundle(data: bytes) -> None:
    """A list of anchors that the root signed."""
    open_bundle(MeshBundle(KEY.public, _signed(ANCHORS_DOMAIN, data)), MESH)


def roster(data: bytes) -> None:
    """Rosters and revocation lists; merging the same again changes nothing."""
    membership = Membership(open_bundle(HOUSEHOLD.bundle, HOUSEHOLD.mesh))
    issuer = HOUSEHOLD.issuer
    for domain, merge in (
        (ROSTER_DOMAIN, membership.merge_roster),
        (REVOCATION_DOMAIN, membership.merge_revocations),
    ):
        found = Signed(data, key_id(issuer.public), issuer.sign(domain + data))
        try:
            merge(found)
        except KindmeshError:
            continue
        if merge(found):
            raise AssertionError("merging again changed something")


def permit(data: bytes) -> None:
    """A permit that Medulla signed, checked against a job."""
    found = open_permit(_signed(PERMIT_DOMAIN, data), KEY.public)
    check_permit(
        found, mesh=found.mesh, target=found.target, operation=found.operation, effects=1, job_id=found.job_id,
        args=b"", epoch=found.epoch, policy_version=0, now_ms=NOW_MS,
    )  # fmt: skip


def policy(data: bytes) -> None:
    """A policy that the owner signed, asked about an operation."""
    decide(open_policy(_signed(POLICY_DOMAIN, data), KEY.public), "speech.say", 9)


def owners_word(data: bytes) -> None:
    """Grants, approvals and removals."""
    for domain, open_ in (
        (GRANT_DOMAIN, open_grant),
        (APPROVAL_DOMAIN, open_approval),
        (REMOVAL_DOMAIN, open_removal),
    ):
        try:
            open_(_signed(domain, data), KEY.public)
        except KindmeshError:
            continue


def question(data: bytes) -> None:
    """What an owner is shown: one line each, nothing that moves a terminal."""
    lines = describe_request(decode(ApprovalRequest, data))
    if not all(line.isprintable() for line in lines):
        raise AssertionError("a line of the owner's prompt cannot be shown")


def advert(data: bytes) -> None:
    """What a device says that it offers."""
    open_advert(_signed(ADVERT_DOMAIN, data), KEY.public)


def manifest(data: bytes) -> None:
    """A capability's manifest."""
    check_manifest(decode(Manifest, data))


def error(data: bytes) -> None:
    """An error that somebody reports."""
    again = error_to_wire(error_from_wire(decode(WireError, data)))
    if not (again.message.isprintable() and again.hint.isprintable()):
        raise AssertionError("an error's text cannot be shown")


def control(data: bytes) -> None:
    """The control socket's frames, whole and in two pieces."""
    unframer = Unframer()
    for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
        for found in unframer.feed(piece):
            for decoder in (decode_request, decode_reply):
                try:
                    decoder(found)
                except KindmeshError:
                    continue
    decode_request(data)


def worker(data: bytes) -> None:
    """What a capability's worker says to its host."""
    frames = Frames()
    frames.feed(data)
    while frames.from_worker() is not None:
        pass


def ids(data: bytes) -> None:
    """Ids as people type them."""
    text = data.decode("utf-8", "replace")
    for parse in (parse_id, parse_time_id):
        try:
            parse(text)
        except KindmeshError:
            continue


def signed(data: bytes) -> None:
    """A signed statement out of a file or a column."""
    signed_from_bytes(data)


TARGETS: Final[tuple[Callable[[bytes], None], ...]] = (
    envelope, signed_envelope, body, session, session_frame, value, enrol, invitation, certificate, renewal, bundle,
    roster, permit, policy, owners_word, question, advert, manifest, error, control, worker, ids, signed,
)  # fmt: skip


def run(data: bytes) -> None:
    """One input: the first byte selects the target. Any exception but a `KindmeshError` is a finding."""
    if not data:
        return
    try:
        TARGETS[data[0] % len(TARGETS)](data[1:])
    except KindmeshError:
        return


def _strings(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str) and value.startswith("hex:"):
        yield bytes.fromhex(value[4:])
    elif isinstance(value, str):
        yield value.encode()


def seeds() -> list[bytes]:
    """Every byte string of the golden vectors, once for every target; envelopes also as their three frames."""
    found: set[bytes] = set()
    for file in sorted(VECTORS.glob("*.json")):
        found.update(_strings(json.loads(file.read_text())))
    inputs = sorted(item for item in found if len(item) <= 4096)
    framed = [bytes([len(item), 64]) + item + bytes(64) for item in inputs if 80 < len(item) < 256]
    types = [bytes([number]) + item for number in range(len(_TYPES)) for item in inputs if item[:1] > b"\x90"]
    made = [bytes([index]) + item for index in range(len(TARGETS)) for item in inputs]
    made += [bytes([index]) + item for index in (0, 1, 4) for item in framed]
    return [*made, *(b"\x02" + item for item in types), *_by_hand()]


def _by_hand() -> list[bytes]:
    """Inputs of a shape that no vector has."""
    frames = SessionKeys(b"b" * 32, b"a" * 32, b"c" * 8).seal(b"body")
    asked = ApprovalRequest(
        MESH, b"r" * 16, b"u" * 16, b"j" * 16, "speech.say", MESH, "kitchen", encode_value({"text": "hello"}), 9, OWNER,
        ("it makes sound",), NOW_MS, NOW_MS + 1,
    )  # fmt: skip
    found = {
        session_frame: bytes([len(frames[0]), len(frames[1])]) + b"".join(frames),
        control: pack(Request(1, "status", {})) + pack(Request(2, "jobs", {"limit": 3})),
        question: encode(asked),
        error: encode(error_to_wire(KindmeshError("broken", hint="mend it", field="x"))),
        worker: b"\0\0\0\x0d" + b"\x93\xa7working\xc0\xa1x" + b"\0\0",
    }
    return [bytes([TARGETS.index(target)]) + item for target, item in found.items()]
