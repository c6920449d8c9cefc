"""Writes `protocol/vectors/*.json` from the household in `samples`: `python -m tests.protocol.make_vectors`.

Bytes are written as `hex:` and lower-case digits, structs as an object of their fields in wire order (a message of
pairing begins with its `tag`). `bridge` marks what a microcontroller bridge has to agree with. Nothing here is random,
so the files change only when the format does, and then a released format has changed: think twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from tests.protocol import audit_samples, samples
from tests.protocol.samples import IDS, MESH, NOW, SIGNING, seed, time_id

from kindmesh.protocol import (
    adopt,
    anchors,
    certificate,
    enrol,
    envelope,
    label_reset,
    merkle,
    people,
    permit,
    policy,
    readmit,
    routine,
    standing,
    typed,
)
from kindmesh.protocol import audit as audit_log
from kindmesh.protocol import release as release_format
from kindmesh.protocol.codec import decode_value, encode, encode_value
from kindmesh.protocol.crypto import (
    CurveKey,
    SigningKey,
    argon2id,
    hkdf_sha256,
    hmac_sha256,
    keyed_mac,
    seal,
    sha256,
    x25519,
)
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_TTL_MS
from kindmesh.protocol.manifest import check_fields, to_json_schema
from kindmesh.protocol.messages import MessageType, SessionBody
from kindmesh.protocol.messages.events import EVENT_DOMAIN
from kindmesh.protocol.messages.hello import ADVERT_DOMAIN
from kindmesh.protocol.names import skeleton
from kindmesh.protocol.permit import Permit, check_permit, open_permit, sign_permit
from kindmesh.protocol.plan import (
    plan_digest,
    plan_from_document,
    plan_to_bytes,
    plan_to_document,
    single_step,
)
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.plan_labels import Carried, Label, join
from kindmesh.protocol.receipt import (
    RECEIPT_DOMAIN,
    Receipt,
    Use,
    field_hash,
    prove_field,
    root_of_fields,
    shown_field,
    sign_receipt,
)
from kindmesh.protocol.session import SESSION_INFO
from kindmesh.protocol.signed import Signed, sign_struct
from kindmesh.protocol.utterance import (
    UTTERANCE_DOMAIN,
    Spoken,
    Utterance,
    check_spoken,
    open_utterance,
    prove,
    root_of,
    shown_words,
    sign_utterance,
    spoken,
    word_hash,
)

FOLDER: Final = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
BRIDGE_MESSAGES: Final = frozenset(
    {
        MessageType.HELLO,
        MessageType.WELCOME,
        MessageType.ADVERT,
        MessageType.RENEW,
        MessageType.RENEWED,
        MessageType.JOB,
        MessageType.JOB_CANCEL,
        MessageType.JOB_RESULT,
        MessageType.STOP,
    }
)


def plain(value: Any) -> Any:
    """`value` as JSON, see the module."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return fields if tag is None else {"tag": tag, **fields}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def code_of(check: Any) -> str:
    """The wire code with which `check()` refuses, or `ok`."""
    try:
        check()
    except KindmeshError as error:
        return error.code
    return "ok"


def signed_case(name: str, key: str, domain: bytes, value: msgspec.Struct, *, bridge: bool) -> dict[str, Any]:
    """A struct, who signs it for which purpose, and the bytes that come out."""
    signed = sign_struct(value, domain, SIGNING[key])
    return {
        "name": name,
        "bridge": bridge,
        "seed": plain(seed(key)),
        "domain": plain(domain),
        "fields": plain(value),
        "payload": plain(signed.payload),
        "author": plain(signed.author),
        "signature": plain(signed.signature),
        "bytes": plain(encode(signed)),
    }


def ids() -> list[dict[str, Any]]:
    """Ids from keys, ids from time, and how people see them."""
    keys = [
        {
            "name": name,
            "bridge": True,
            "seed": plain(seed(name)),
            "public": plain(key.public),
            "id": plain(IDS[name]),
            "text": format_id(IDS[name]),
        }
        for name, key in SIGNING.items()
    ]
    times = [
        {
            "name": f"time-{number}",
            "bridge": True,
            "now_ms": NOW,
            "random": plain(number.to_bytes(10, "big")),
            "id": plain(time_id(number)),
            "text": format_time_id(time_id(number)),
        }
        for number in (0, 1, 2**80 - 1)
    ]
    return keys + times


def primitives() -> list[dict[str, Any]]:
    """What `crypto` computes, once each."""
    key, data, nonce, salt = seed("key"), b"Good morning", seed("nonce")[:24], seed("salt")[:16]
    alice, bob = CurveKey(seed("alice")), CurveKey(seed("bob"))
    cases: list[tuple[str, bool, dict[str, Any], bytes]] = [
        ("sha256", True, {"data": data}, sha256(data)),
        ("hmac-sha256", True, {"key": key, "data": data}, hmac_sha256(key, data)),
        (
            "hkdf-sha256",
            True,
            {"key": key, "salt": salt, "info": b"info", "length": 72},
            hkdf_sha256(key, salt, b"info", 72),
        ),
        ("blake2b-128-keyed", True, {"key": key, "data": data}, keyed_mac(key, data)),
        ("ed25519", True, {"seed": key, "data": data}, SigningKey(key).sign(data)),
        (
            "x25519",
            True,
            {"secret": alice.secret, "public": bob.public},
            x25519(alice.secret, bob.public),
        ),
        (
            "xchacha20-poly1305",
            False,
            {"key": key, "nonce": nonce, "plaintext": data, "associated": b"about"},
            seal(key, nonce, data, b"about"),
        ),
        (
            "argon2id",
            False,
            {"passphrase": data, "salt": salt, "ops": 1, "mem_kib": 64},
            argon2id(data, salt, ops=1, mem_kib=64),
        ),
    ]
    return [
        {"name": name, "bridge": bridge, "input": plain(given), "output": plain(output)}
        for name, bridge, given, output in cases
    ]


def values() -> list[dict[str, Any]]:
    """Free-form values: the one form that is accepted, and forms that are not."""
    good: dict[str, Any] = {
        "nothing": None,
        "truth": True,
        "integers": [0, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**53, -1, -32, -33, -128, -129, -(2**31)],
        "numbers": [0.5, -1.25, 1e300],
        "text": "Grüß Gott",
        "bytes": b"\x00\xff",
        "sorted keys": {"b": 1, "a": {"d": [], "c": {}}},
    }
    refused = {
        "keys out of order": "82a16201a16102",
        "a key twice": "82a16101a16102",
        "an integer longer than needed": "cd0001",
        "a text longer than needed": "d90161",
        "a 32-bit float": "ca3f000000",
        "a number that is not finite": "cb7ff8000000000000",
        "a key that is no text": "810102",
        "an extension type": "d40100",
        "a timestamp": "d6ff00000001",
        "bytes after the end": "0101",
        "cut off": "92",
        "not UTF-8": "a1ff",
        "too deep": "91" * 33 + "c0",
        "unused byte": "c1",
    }
    accepted = [
        {
            "name": name,
            "bridge": True,
            "value": plain(value),
            "bytes": plain(encode_value(value)),
            "code": "ok",
        }
        for name, value in good.items()
    ]
    return accepted + [
        {
            "name": name,
            "bridge": True,
            "bytes": f"hex:{digits}",
            "code": code_of(lambda digits=digits: decode_value(bytes.fromhex(digits))),
        }
        for name, digits in refused.items()
    ]


def certificates() -> list[dict[str, Any]]:
    """Certificates, the anchors and their bundle, the roster, revocations and a renewal."""
    cases = [
        signed_case(
            f"certificate of {name}",
            "issuer",
            certificate.CERTIFICATE_DOMAIN,
            samples.CERTIFICATES[name],
            bridge=True,
        )
        for name in ("desk", "phone")
    ]
    lists: tuple[tuple[str, str, bytes, msgspec.Struct], ...] = (
        ("anchors", "root", anchors.ANCHORS_DOMAIN, samples.ANCHORS),
        ("roster", "issuer", certificate.ROSTER_DOMAIN, samples.ROSTER),
        ("revocations", "issuer", certificate.REVOCATION_DOMAIN, samples.REVOCATIONS),
        ("recall", "owner", readmit.RECALL_DOMAIN, samples.RECALL),
        ("readmission", "phone", readmit.READMISSION_DOMAIN, samples.READMISSION),
        ("renewal", "phone", certificate.RENEWAL_DOMAIN, samples.RENEWAL),
    )
    cases += [signed_case(name, key, domain, value, bridge=True) for name, key, domain, value in lists]
    bundle = {
        "name": "bundle",
        "bridge": True,
        "mesh": plain(MESH),
        "fields": plain(samples.BUNDLE),
        "bytes": plain(encode(samples.BUNDLE)),
    }
    return [*cases, bundle]


def owner() -> list[dict[str, Any]]:
    """What a person signs."""
    cases: tuple[tuple[str, bytes, msgspec.Struct], ...] = (
        ("grant", policy.GRANT_DOMAIN, samples.GRANT),
        ("removal", policy.REMOVAL_DOMAIN, samples.REMOVAL),
        ("release", release_format.RELEASE_DOMAIN, samples.RELEASE),
        ("policy", policy.POLICY_DOMAIN, samples.POLICY),
        ("approval", policy.APPROVAL_DOMAIN, samples.APPROVAL),
        ("label reset", label_reset.LABEL_RESET_DOMAIN, samples.LABEL_RESET),
    )
    lasting = standing.StandingApproval(
        MESH, time_id(62), encode(samples.REQUEST), "standing", NOW, NOW + 30 * standing.DAY_MS, 10, standing.DAY_MS,
        ("text",),
    )  # fmt: skip
    lasts = signed_case("standing approval", "owner", standing.STANDING_DOMAIN, lasting, bridge=False)
    lasts["prompt"] = standing.describe_standing(lasting)
    learned = signed_case("routine approval", "owner", routine.ROUTINE_DOMAIN, samples.ROUTINE, bridge=False)
    learned["prompt"] = routine.describe_routine(samples.ROUTINE)
    asked = {
        "name": "routine request",
        "bridge": False,
        "fields": plain(samples.ROUTINE_REQUEST),
        "bytes": plain(encode(samples.ROUTINE_REQUEST)),
    }
    request = {
        "name": "approval request",
        "bridge": False,
        "fields": plain(samples.REQUEST),
        "bytes": plain(encode(samples.REQUEST)),
        "prompt": policy.describe_request(samples.REQUEST),
    }
    decisions = [
        {
            "name": f"decision on {operation} with {effects}",
            "bridge": False,
            "operation": operation,
            "effects": effects,
            "answer": policy.decide(samples.POLICY, operation, effects),
        }
        for operation, effects in (
            ("device.info", 1),
            ("speech.render", 1),
            ("speech.stop", 8),
            ("speech.say", 8),
            ("notes.append", 4),
            ("notes.append", 0),
            ("notes.append", 257),
        )
    ]
    return [
        *(signed_case(name, "owner", domain, value, bridge=False) for name, domain, value in cases),
        lasts,
        learned,
        asked,
        request,
        *decisions,
    ]


def persons() -> list[dict[str, Any]]:
    """What makes a person, what a person signs, and names that could be taken for each other."""
    cases: tuple[tuple[str, str, bytes, msgspec.Struct], ...] = (
        ("terms with an invitation", "owner", people.TERMS_DOMAIN, samples.TERMS),
        ("acceptance", "anna", people.ACCEPT_DOMAIN, samples.ACCEPTANCE),
        ("request", "anna", people.ASK_DOMAIN, samples.PERSON_REQUEST),
        ("delegation", "anna", people.DELEGATION_DOMAIN, samples.DELEGATION),
    )
    accepted = {
        "name": "accepted",
        "bridge": False,
        "invite_seed": plain(seed("invitation")),
        "domain": plain(people.ACCEPT_INVITE_DOMAIN),
        "text": people.invitation_to_text(samples.SIGNED_TERMS, seed("invitation")),
        "fields": plain(samples.ACCEPTED),
        "bytes": plain(encode(samples.ACCEPTED)),
    }
    shapes = [
        {"name": f"name {name}", "bridge": False, "looks_like": skeleton(name)}
        for name in ("Anna", "\u0391nn\u0430", "B0b", "Zo\u00eb", "van der Berg")
    ]
    signed = [signed_case(name, author, domain, value, bridge=False) for name, author, domain, value in cases]
    return [*signed, accepted, *shapes]


def permits() -> list[dict[str, Any]]:
    """One permit that is honoured and one for each reason to refuse."""
    asked: dict[str, Any] = {
        "mesh": MESH,
        "target": IDS["phone"],
        "operation": "speech.say",
        "effects": 8,
        "job_id": time_id(43),
        "args": samples.ARGS,
        "epoch": 1,
        "policy_version": 2,
        "now_ms": NOW + 1_000,
    }
    other_args = encode_value({"text": "Good night"})
    session = {"kind": "session", "duration_ms": 60_000, "stream_bytes": 1_000_000}
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("valid", "medulla", {}, {}),
        ("signed by somebody else", "desk", {}, {}),
        ("another mesh", "medulla", {"mesh": IDS["stranger"]}, {}),
        ("another node", "medulla", {}, {"target": IDS["desk"]}),
        ("another operation", "medulla", {}, {"operation": "speech.render"}),
        ("another job", "medulla", {}, {"job_id": time_id(44)}),
        ("another attempt", "medulla", {}, {"epoch": 2}),
        ("other arguments", "medulla", {}, {"args": other_args}),
        ("an effect that it does not cover", "medulla", {}, {"effects": 24}),
        ("a kind that is not honoured yet", "medulla", {"kind": "standing"}, {}),
        ("more than one use", "medulla", {"max_uses": 2}, {}),
        ("unisolated, beyond notify", "medulla", {"isolation": "none", "effects": 4}, {"effects": 4}),
        ("past its end", "medulla", {}, {"now_ms": NOW + PERMIT_TTL_MS + CLOCK_SKEW_MS + 1}),
        ("not valid yet", "medulla", {}, {"now_ms": NOW - CLOCK_SKEW_MS - 1}),
        ("from an older policy", "medulla", {}, {"policy_version": 3}),
        ("a session permit, for a stream", "medulla", session, {"kind": "session"}),
        ("a session permit, for a job", "medulla", session, {}),
        ("a once permit, for a stream", "medulla", {}, {"kind": "session"}),
        ("a session permit without bounds", "medulla", {"kind": "session"}, {"kind": "session"}),
    ]
    found = []
    for name, key, changes, differs in cases:
        value = msgspec.structs.replace(samples.PERMIT, **changes)
        question = {**asked, **differs}
        signed = sign_permit(value, SIGNING[key])
        case = signed_case(name, key, permit.PERMIT_DOMAIN, value, bridge=True)
        case["asked"] = plain(question)
        case["code"] = code_of(lambda signed=signed, question=question: _honour(signed, question))
        found.append(case)
    return found


def _honour(signed: Signed, question: dict[str, Any]) -> Permit:
    value = open_permit(signed, SIGNING["medulla"].public)
    check_permit(value, **question)
    return value


def envelopes() -> list[dict[str, Any]]:
    """Every message type in its envelope."""
    found = []
    for type_, (author, body) in samples.MESSAGES.items():
        header, signature, raw = samples.FRAMES[type_]
        found.append(
            {
                "name": type_.name,
                "bridge": type_ in BRIDGE_MESSAGES,
                "type": int(type_),
                "seed": plain(seed(author)),
                "domain": plain(envelope.ENVELOPE_DOMAIN),
                "header_fields": plain(envelope.peek_header([header, signature, raw])),
                "body_fields": plain(body),
                "header": plain(header),
                "signature": plain(signature),
                "body": plain(raw),
                "hash": plain(envelope.envelope_hash([header, signature, raw])),
            }
        )
    return found


def session() -> list[dict[str, Any]]:
    """How a session's keys come out of HELLO and WELCOME, and one frame for each type of body."""
    hello = envelope.envelope_hash(samples.HELLO_FRAMES)
    welcome = envelope.envelope_hash(samples.WELCOME_FRAMES)
    dialler, listener = seed("phone-ephemeral"), seed("desk-ephemeral")
    shared = x25519(dialler, CurveKey(listener).public)
    keys = hkdf_sha256(shared, sha256(hello + welcome), SESSION_INFO, 72)
    derivation = {
        "name": "keys",
        "bridge": True,
        "dialler_secret": plain(dialler),
        "listener_secret": plain(listener),
        "hello_hash": plain(hello),
        "welcome_hash": plain(welcome),
        "info": plain(SESSION_INFO),
        "shared": plain(shared),
        "to_listener": plain(keys[:32]),
        "to_dialler": plain(keys[32:64]),
        "session_id": plain(keys[64:]),
    }
    sender, _ = samples.session_pair()
    found = [derivation]
    not_bridge = ("CALL", "CALL_REPLY", "RELAY", "STREAM", "STREAM_DATA", "STREAM_CREDIT", "STREAM_RESUME")
    for counter, (type_, payload) in enumerate(samples.SESSION_MESSAGES.items()):
        body = SessionBody(int(type_), counter, encode(payload))
        head, mac, raw = sender.seal(encode(body))
        found.append(
            {
                "name": type_.name,
                "bridge": type_.name not in not_bridge,
                "type": int(type_),
                "counter": counter,
                "body_fields": plain(body),
                "payload_fields": plain(payload),
                "head": plain(head),
                "mac": plain(mac),
                "body": plain(raw),
            }
        )
    return found


def pairing() -> list[dict[str, Any]]:
    """The QR's text, the transcript with its proofs and code, and every message."""
    secret = samples.INVITATION.secret
    found: list[dict[str, Any]] = [
        {
            "name": "invitation",
            "bridge": True,
            "fields": plain(samples.INVITATION),
            "bytes": plain(encode(samples.INVITATION)),
            "text": enrol.invitation_to_text(samples.INVITATION),
        },
        {
            "name": "proofs",
            "bridge": True,
            "seed": plain(seed("phone")),
            "secret": plain(secret),
            "transcript": plain(samples.TRANSCRIPT),
            "mac": plain(samples.ENROL_PROOF.mac),
            "signature": plain(samples.ENROL_PROOF.signature),
            "done_signature": plain(samples.ENROL_DONE.signature),
            "nonce": plain(samples.ENROL_PROOF.nonce),
            "host_mac": plain(enrol.host_mac(samples.INVITATION, samples.TRANSCRIPT)),
            "code": enrol.check_code(samples.TRANSCRIPT),
        },
        {
            "name": "typed",
            "bridge": True,
            "key": plain(seed("typed-key")),
            "secret": plain(typed.typed_secret(seed("typed-key"))),
            "identities": [
                plain(part)
                for part in typed.typed_identities(samples.CURVE["phone"].public, samples.DOOR_KEYS)
            ],
            "door_keys": plain(encode(samples.DOOR_KEYS)),
            "code": typed.make_code(bytes(range(10))),
        },
        {
            "name": "label",
            "bridge": True,
            "fields": plain(samples.LABEL),
            "bytes": plain(encode(samples.LABEL)),
            "text": adopt.label_to_text(samples.LABEL),
            "host_curve": plain(samples.CURVE["desk"].public),
            "transcript": plain(samples.ADOPT_TRANSCRIPT),
        },
    ]
    return found + [
        {
            "name": type(message).__name__,
            "bridge": True,
            "fields": plain(message),
            "bytes": plain(encode(message)),
        }
        for message in (
            *samples.ENROL_MESSAGES,
            *samples.ADOPT_MESSAGES,
            *samples.READMIT_MESSAGES,
            samples.PAPERS,
        )
    ]


def manifests() -> list[dict[str, Any]]:
    """A manifest, its advert, its JSON Schema, and inputs with their verdicts."""
    operation = samples.MANIFEST.operations[0]
    artifact = {"artifact": sha256(b"a letter").hex(), "size_bytes": 8, "media_type": "text/plain"}
    inputs: dict[str, Any] = {
        "the least": {"text": "Hello"},
        "all of it": {
            "text": "Hello",
            "voice": "de",
            "rate": 120,
            "gain": 1.5,
            "loud": True,
            "image": artifact,
            "raw": b"\x00\x01",
            "marks": [1, 2],
            "extra": {"any": ["thing"]},
        },
        "missing": {},
        "unknown name": {"text": "Hello", "txet": "Hello"},
        "text too long": {"text": "x" * 21},
        "number for text": {"text": 5},
        "text for an integer": {"text": "Hello", "rate": "fast"},
        "truth for an integer": {"text": "Hello", "rate": True},
        "integer too small": {"text": "Hello", "rate": 79},
        "number too large": {"text": "Hello", "gain": 1.6},
        "not a choice": {"text": "Hello", "voice": "fr"},
        "not an artifact": {"text": "Hello", "image": {"artifact": "abc"}},
        "negative size": {"text": "Hello", "image": {**artifact, "size_bytes": -1}},
        "too many bytes": {"text": "Hello", "raw": b"12345"},
        "too few items": {"text": "Hello", "marks": []},
        "too many items": {"text": "Hello", "marks": [1, 2, 3, 4]},
        "wrong item": {"text": "Hello", "marks": [1, "two"]},
        "not an object": {"text": "Hello", "extra": []},
    }
    found: list[dict[str, Any]] = [
        {
            "name": "manifest",
            "bridge": True,
            "fields": plain(samples.MANIFEST),
            "bytes": plain(encode(samples.MANIFEST)),
        },
        {
            "name": "manifest of what streams",
            "bridge": False,
            "fields": plain(samples.STREAMING),
            "bytes": plain(encode(samples.STREAMING)),
        },
        signed_case("advert", "phone", ADVERT_DOMAIN, samples.ADVERT, bridge=True),
        signed_case("event", "phone", EVENT_DOMAIN, samples.EVENT, bridge=False),
        {
            "name": "topics that a manifest declares",
            "bridge": False,
            "fields": plain(samples.TOPICS),
            "bytes": plain(encode(samples.TOPICS)),
        },
        {"name": "schema", "bridge": False, "schema": to_json_schema(operation.input)},
    ]
    for name, given in inputs.items():
        code = code_of(lambda given=given: check_fields(operation.input, given))
        accepted = plain(check_fields(operation.input, given)) if code == "ok" else None
        found.append(
            {
                "name": f"input: {name}",
                "bridge": True,
                "input": plain(given),
                "code": code,
                "checked": accepted,
            }
        )
    return found


def audit() -> list[dict[str, Any]]:
    """Entries of an audit log with what follows from each; its signed head; a proof between two of its sizes."""
    rows = [
        {
            "name": f"entry {entry.seq}",
            "bridge": True,
            "mesh": plain(MESH),
            "author": plain(head.author),
            "fields": plain(entry),
            "entry": plain(row.entry),
            "leaf": plain(merkle.leaf_hash(row.entry)),
            "entry_hash": plain(head.chain),
            "root": plain(head.root),
            "seal": plain(row.seal),
            "link": plain(audit_log.link_after(head.chain, row.seal)),
        }
        for entry, row, head in zip(
            audit_samples.ENTRIES, audit_samples.ROWS, audit_samples.HEADS, strict=True
        )
    ]
    head = signed_case("head", "phone", audit_log.AUDIT_HEAD_DOMAIN, audit_samples.HEADS[-1], bridge=True)
    proof = {
        "name": "consistency",
        "bridge": True,
        "first": 2,
        "second": 3,
        "first_root": plain(audit_samples.HEADS[1].root),
        "second_root": plain(audit_samples.HEADS[2].root),
        "proof": plain(audit_samples.NEWS.proof),
    }
    digest = {
        "name": "digest",
        "bridge": True,
        "key": plain(seed("digest")),
        "contents": plain(audit_samples.CONTENTS),
        "digest": plain(audit_samples.ENTRIES[0].digest),
    }
    return [*rows, head, proof, digest]


def plans() -> list[dict[str, Any]]:
    """Plans with canonical form and digest, plans that are refused and at which field, labels."""
    echo = {"id": "one", "call": "device.echo", "args": {"text": "hi"}}
    good: dict[str, dict[str, Any]] = {
        "single": plan_to_document(single_step("device.echo", {"text": "hi"})),
        "graph": {
            "plan": 1,
            "name": "morning",
            "inputs": {"letter": {"type": "artifact"}},
            "steps": [
                {"id": "read", "call": "vision.read_text", "args": {"image": {"$from": "inputs.letter"}},
                 "retry": {"attempts": 2}, "memo": {"max_age_ms": 60000}},
                {"id": "ask", "ask": {"question": {"$text": ["Read it aloud? ", {"$from": "read.text"}]},
                                      "answer": {"yes": {"type": "boolean"}}}},
                {"id": "say", "call": "speech.say", "args": {"text": {"$from": "read.text"}},
                 "when": {"$from": "ask.yes"}, "deadline_ms": 60000},
            ],
            "output": {"text": {"$from": "read.text"}},
        },
        "repeats": {
            "plan": 1,
            "steps": [
                {"id": "each", "call": "notes.append", "args": {"text": {"$from": "item"}},
                 "for_each": {"over": ["a", "b"]}, "compensate": {"call": "notes.remove", "args": {
                    "id": {"$from": "self.id"}}}},
                {"id": "loop", "call": "device.echo", "args": {"text": "x"}, "after": ["each"],
                 "while": {"condition": {"$ne": [{"$from": "last.text"}, "x"]}, "most": 3}},
            ],
        },
    }  # fmt: skip
    bad: dict[str, dict[str, Any]] = {
        "unknown step": {"plan": 1, "steps": [{**echo, "args": {"text": {"$from": "two.text"}}}]},
        "circle": {"plan": 1, "steps": [{**echo, "after": ["one"]}]},
        "unknown field": {"plan": 1, "steps": [{**echo, "colour": "red"}]},
        "newer": {"plan": 2, "steps": [echo]},
    }
    found = []
    for name, document in good.items():
        plan = plan_from_document(document)
        check_plan(plan)
        found.append(
            {
                "name": name,
                "bridge": False,
                "document": plain(document),
                "canonical": plain(plan_to_bytes(plan)),
                "digest": plain(plan_digest(plan)),
            }
        )
    for name, document in bad.items():
        refusal = ""
        try:
            check_plan(plan_from_document(document))
        except InvalidInput as error:
            refusal = error.field
        found.append({"name": name, "bridge": False, "document": document, "refused": refusal})
    labels = [
        Label("user"),
        Label("web", ("ann",), ("text",)),
        Label("memory", ("ann", "ben"), ("health",), ("care",)),
        Label("user", words=("lock", "the", "front", "door")),
        Label("user", words=("the", "gate,")),
    ]
    joined = msgspec.to_builtins(join(labels))
    found.append({"name": "labels", "bridge": False, "joined": joined, "parts": msgspec.to_builtins(labels)})
    return found


def _spoken(text: str) -> Spoken:
    return spoken(text, (sha256(f"kindmesh-vector-salt-{number}".encode())[:16] for number in range(9)))


def utterances() -> list[dict[str, Any]]:
    """An utterance with every word proven, alone and together; proofs that lead nowhere; a signature refused."""
    found = []
    for name, text, key in (
        ("one word", "stop", "phone"),
        ("five words", "lock the front door, please", "phone"),
        ("six words, by a person", "Licht in der Küche bitte aus", "anna"),
    ):
        said = _spoken(text)
        person = IDS["anna"] if key == "anna" else b""
        value = Utterance(
            MESH, time_id(60), len(said.words), root_of(said), IDS["phone"], person,
            f"person {format_id(IDS['anna'])}", NOW, "de" if person else "en", present=not person,
            area="" if person else "Hall",
        )  # fmt: skip
        check_spoken(said, value)
        case = signed_case(name, key, UTTERANCE_DOMAIN, value, bridge=False)
        leaves = [
            {"word": word, "salt": plain(salt), "leaf": plain(word_hash(number, salt, word))}
            for number, (word, salt) in enumerate(zip(said.words, said.salts, strict=True))
        ]
        proofs = [plain(prove(said, [number])[0]) for number in range(len(said.words))]
        found.append({**case, "text": text, "leaves": leaves, "proofs": proofs})
    said = _spoken("Licht in der Küche bitte aus")
    value = Utterance(MESH, time_id(61), 6, root_of(said), IDS["phone"], IDS["anna"], "owner", NOW)
    right = prove(said, [1, 4])
    swapped = msgspec.structs.replace(right[0], word="the")
    moved = msgspec.structs.replace(right[0], index=2)
    for name, shown in (
        ("two words", right),
        ("another word", (swapped,)),
        ("at another place", (moved,)),
        ("a path that ends early", (msgspec.structs.replace(right[0], path=right[0].path[:-1]),)),
        ("not in order", right[::-1]),
    ):
        code = code_of(lambda shown=shown: shown_words(value, shown))
        under = {"root": plain(value.root), "size": value.size}
        found.append({"name": name, "bridge": False, **under, "shown": plain(shown), "code": code})
    signed = sign_utterance(msgspec.structs.replace(value, present=True), SIGNING["anna"])
    code = code_of(lambda: open_utterance(signed, SIGNING["anna"].public))
    name = "a person who says that somebody is there"
    found.append({"name": name, "bridge": False, "payload": plain(signed.payload), "code": code})
    return found


def receipts() -> list[dict[str, Any]]:
    """A receipt over a result with every field proven; fields that are not of it."""
    value = {"text": "twenty-one degrees", "celsius": 21.5, "boxes": [{"x": 1}, {"x": 2}]}
    size, root = root_of_fields(value)
    receipt = Receipt(
        MESH, IDS["phone"], time_id(43), time_id(42), "device.read", size, root, NOW, Carried("user"),
        Carried("model", data_class=("notes",)),
    )  # fmt: skip
    case = signed_case("three fields", "phone", RECEIPT_DOMAIN, receipt, bridge=False)
    signed = sign_receipt(receipt, SIGNING["phone"])
    proofs = {name: prove_field(value, name, signed, (Use("text"),)) for name in sorted(value)}
    leaves = {name: plain(field_hash(name, proof.value)) for name, proof in proofs.items()}
    shown = [
        {"name": name, "value": plain(one.value), "index": one.index, "hashes": plain(one.hashes)}
        for name, one in proofs.items()
    ]
    found: list[dict[str, Any]] = [{**case, "leaves": leaves, "proofs": shown}]
    right = proofs["text"]
    for name, wrong in (
        ("another value", msgspec.structs.replace(right, value=b"\xa0")),
        ("another name", msgspec.structs.replace(right, name="texts")),
        ("another place", msgspec.structs.replace(right, index=1)),
        ("beyond the last", msgspec.structs.replace(right, index=3)),
        ("a path that ends early", msgspec.structs.replace(right, hashes=right.hashes[:-1])),
    ):
        code = code_of(lambda wrong=wrong: shown_field(wrong, receipt))
        found.append(
            {"name": name, "bridge": False, "field": wrong.name, "value": plain(wrong.value), "index": wrong.index,
             "hashes": plain(wrong.hashes), "size": size, "root": plain(root), "code": code}
        )  # fmt: skip
    return found


FILES: Final = {
    "ids": ids,
    "primitives": primitives,
    "values": values,
    "certificates": certificates,
    "owner": owner,
    "persons": persons,
    "permits": permits,
    "envelopes": envelopes,
    "session": session,
    "pairing": pairing,
    "manifests": manifests,
    "plans": plans,
    "utterances": utterances,
    "receipts": receipts,
    "audit": audit,
}


def rendered() -> dict[str, str]:
    """File name and the text that belongs in it."""
    return {
        f"{name}.json": json.dumps({"format": 1, "cases": make()}, indent=1, ensure_ascii=False) + "\n"
        for name, make in FILES.items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file_name, text in rendered().items():
        (FOLDER / file_name).write_text(text, encoding="utf-8")
