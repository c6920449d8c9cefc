"""The golden vectors are current, and hold without our code: hashlib, hmac, PyNaCl and the `msgpack` package only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import msgpack
import nacl.bindings
import pytest
from nacl.signing import SigningKey, VerifyKey
from tests.protocol.make_vectors import FILES, FOLDER, rendered

STORED: dict[str, list[dict[str, Any]]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"] for name in FILES
}


def raw(value: Any) -> Any:
    """What a vector's JSON stands for: `hex:` is bytes, an object of fields is an array of their values."""
    if isinstance(value, str) and value.startswith("hex:"):
        return bytes.fromhex(value[4:])
    if isinstance(value, dict):
        return [raw(item) for item in value.values()]
    return [raw(item) for item in value] if isinstance(value, list) else value


def mapped(value: Any) -> Any:
    """The same, where an object is a map."""
    if isinstance(value, dict):
        return {key: mapped(item) for key, item in value.items()}
    return [mapped(item) for item in value] if isinstance(value, list) else raw(value)


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=True)


def without_maps(value: Any) -> Any:
    """A decoded struct as `raw` gives it: the `ext` maps become lists as well."""
    if isinstance(value, dict):
        return [without_maps(item) for item in value.values()]
    return [without_maps(item) for item in value] if isinstance(value, list) else value


def cases(*files: str) -> pytest.MarkDecorator:
    found = [(file, case) for file in files for case in STORED[file]]
    return pytest.mark.parametrize(
        "case", [case for _, case in found], ids=[f"{file}: {case['name']}" for file, case in found]
    )


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, from its text."""
    pseudo = hmac.new(salt, key, hashlib.sha256).digest()
    blocks = [b""]
    while len(b"".join(blocks)) < length:
        blocks.append(hmac.new(pseudo, blocks[-1] + info + bytes([len(blocks)]), hashlib.sha256).digest())
    return b"".join(blocks)[:length]


@pytest.mark.parametrize("name", FILES)
def test_the_stored_vectors_are_what_the_code_makes_today(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == rendered()[f"{name}.json"]


def test_each_file_is_described_and_none_is_forgotten() -> None:
    described = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{name}.json" for name in FILES}
    assert all(f"`{name}.json`" in described for name in FILES)


def test_names_are_unique_and_each_case_says_whether_a_bridge_needs_it() -> None:
    for stored in STORED.values():
        assert len({case["name"] for case in stored}) == len(stored)
        assert all(isinstance(case["bridge"], bool) for case in stored)
    assert {case["name"] for case in STORED["envelopes"] if case["bridge"]} >= {"HELLO", "JOB", "STOP"}


@cases("ids")
def test_ids_follow_from_keys_and_times(case: dict[str, Any]) -> None:
    identity = raw(case["id"])
    if "seed" in case:
        public = bytes(SigningKey(raw(case["seed"])).verify_key)
        assert public == raw(case["public"])
        assert identity == hashlib.sha256(public).digest()[:20]
        check = hashlib.sha256(b"kindmesh-id-check-v1\0" + identity).digest()
        bits = int.from_bytes(check[:2], "big") >> 6
        alphabet = "abcdefghijklmnopqrstuvwxyz234567"
        text = base64.b32encode(identity).decode().lower() + alphabet[bits >> 5] + alphabet[bits & 31]
        assert case["text"].replace("-", "") == text
    else:
        assert identity == case["now_ms"].to_bytes(6, "big") + raw(case["random"])
        assert base64.b32hexdecode(case["text"].upper() + "======") == identity


@cases("primitives")
def test_primitives(case: dict[str, Any]) -> None:
    given, output = mapped(case["input"]), raw(case["output"])
    match case["name"]:
        case "sha256":
            assert output == hashlib.sha256(given["data"]).digest()
        case "hmac-sha256":
            assert output == hmac.new(given["key"], given["data"], hashlib.sha256).digest()
        case "hkdf-sha256":
            assert output == hkdf(**given)
        case "blake2b-128-keyed":
            assert output == nacl.bindings.crypto_generichash_blake2b_salt_personal(
                given["data"], digest_size=16, key=given["key"]
            )
        case "ed25519":
            assert output == SigningKey(given["seed"]).sign(given["data"]).signature
        case "x25519":
            assert output == nacl.bindings.crypto_scalarmult(given["secret"], given["public"])
        case "xchacha20-poly1305":
            opened = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                output, given["associated"], given["nonce"], given["key"]
            )
            assert opened == given["plaintext"]
        case "argon2id":
            variant = nacl.bindings.crypto_pwhash_ALG_ARGON2ID13
            assert output == nacl.bindings.crypto_pwhash_alg(
                32, given["passphrase"], given["salt"], given["ops"], given["mem_kib"] * 1024, variant
            )
        case other:
            raise AssertionError(other)


@cases("values")
def test_values(case: dict[str, Any]) -> None:
    data = raw(case["bytes"])
    if case["code"] == "ok":
        assert unpack(data) == mapped(case["value"])
        assert msgpack.packb(unpack(data), use_bin_type=True) == data
    else:
        assert case["code"] == "MALFORMED"


def signed_cases() -> Iterator[Any]:
    for file in ("certificates", "owner", "persons", "permits", "manifests", "audit", "utterances"):
        for case in STORED[file]:
            if "signature" in case:
                yield pytest.param(case, id=f"{file}: {case['name']}")


@pytest.mark.parametrize("case", list(signed_cases()))
def test_signed_things(case: dict[str, Any]) -> None:
    payload, signature, author = raw(case["payload"]), raw(case["signature"]), raw(case["author"])
    key = SigningKey(raw(case["seed"]))
    assert author == hashlib.sha256(bytes(key.verify_key)).digest()[:20]
    VerifyKey(bytes(key.verify_key)).verify(raw(case["domain"]) + payload, signature)
    assert key.sign(raw(case["domain"]) + payload).signature == signature
    assert without_maps(unpack(payload)) == raw(case["fields"])
    assert unpack(raw(case["bytes"])) == [payload, author, signature]


@pytest.mark.parametrize("file", ["certificates", "owner", "persons", "pairing", "manifests"])
def test_structs_that_nobody_signs_have_the_fields_they_show(file: str) -> None:
    plain = [case for case in STORED[file] if "bytes" in case and "signature" not in case]
    assert plain
    for case in plain:
        assert without_maps(unpack(raw(case["bytes"]))) == raw(case["fields"]), case["name"]


@cases("permits")
def test_permits_are_refused_for_a_difference_that_can_be_seen(case: dict[str, Any]) -> None:
    asked, fields = mapped(case["asked"]), mapped(case["fields"])
    same = all(asked[name] == fields[name] for name in ("mesh", "target", "operation", "job_id", "epoch"))
    kind = asked.get("kind", "once")
    same = same and (fields["kind"] == kind or fields["kind"] not in ("once", "session"))
    covers = hashlib.sha256(asked["args"]).digest() == fields["args_hash"]
    covers = covers and not asked["effects"] & ~fields["effects"]
    assert (case["code"] == "PERMIT_MISMATCH") == (not same or not covers)
    honoured = (
        fields["kind"] in ("once", "session") and fields["max_uses"] == 1 and fields["isolation"] != "none"
    )
    bounded = bool(fields["duration_ms"] and fields["stream_bytes"])
    honoured = honoured and (kind == "once" or not same or bounded)
    by_medulla = raw(case["author"]) == raw(next(c["id"] for c in STORED["ids"] if c["name"] == "medulla"))
    assert (case["code"] == "PERMIT_REFUSED") == (not honoured or not by_medulla)
    skew = 120_000
    inside = fields["issued_ms"] - skew <= asked["now_ms"] <= fields["expires_ms"] + skew
    assert (case["code"] == "PERMIT_EXPIRED") == (not inside)
    assert (case["code"] == "PERMIT_STALE") == (fields["policy_version"] < asked["policy_version"])


@cases("envelopes")
def test_envelopes(case: dict[str, Any]) -> None:
    header, signature, body = raw(case["header"]), raw(case["signature"]), raw(case["body"])
    key = SigningKey(raw(case["seed"]))
    key.verify_key.verify(b"kindmesh-env-v1\0" + header, signature)
    assert raw(case["domain"]) == b"kindmesh-env-v1\0"
    fields = unpack(header)
    assert fields == raw(case["header_fields"])
    assert fields[:2] == [1, case["type"]]
    assert fields[3] == hashlib.sha256(bytes(key.verify_key)).digest()[:20]
    assert fields[-1] == hashlib.sha256(body).digest()
    assert without_maps(unpack(body)) == raw(case["body_fields"])
    assert raw(case["hash"]) == hashlib.sha256(header + signature).digest()


def test_session_keys_follow_from_the_handshake() -> None:
    case = {key: raw(value) for key, value in STORED["session"][0].items()}
    public = nacl.bindings.crypto_scalarmult_base(case["listener_secret"])
    shared = nacl.bindings.crypto_scalarmult(case["dialler_secret"], public)
    assert shared == case["shared"]
    salt = hashlib.sha256(case["hello_hash"] + case["welcome_hash"]).digest()
    keys = hkdf(shared, salt, b"kindmesh-session-v1", 72)
    assert keys == case["to_listener"] + case["to_dialler"] + case["session_id"]
    hashes = {name: raw(envelope["hash"]) for envelope in STORED["envelopes"] for name in (envelope["name"],)}
    assert (case["hello_hash"], case["welcome_hash"]) == (hashes["HELLO"], hashes["WELCOME"])


@pytest.mark.parametrize("case", STORED["session"][1:], ids=lambda case: case["name"])
def test_session_frames(case: dict[str, Any]) -> None:
    keys = {key: raw(value) for key, value in STORED["session"][0].items()}
    head, body = raw(case["head"]), raw(case["body"])
    assert head == b"S" + keys["session_id"] + case["counter"].to_bytes(8, "big")
    mac = hashlib.blake2b(head + body, digest_size=16, key=keys["to_listener"]).digest()
    assert raw(case["mac"]) == mac
    type_, ref, payload = unpack(body)
    assert [type_, ref, payload] == raw(case["body_fields"])
    assert (type_, ref) == (case["type"], case["counter"])
    assert without_maps(unpack(payload)) == raw(case["payload_fields"])


def test_pairing_proofs_follow_from_the_messages() -> None:
    stored = {case["name"]: case for case in STORED["pairing"]}
    shown = stored["invitation"]
    text = shown["text"].removeprefix("KM1:")
    assert base64.b32decode(text + "=" * (-len(text) % 8)) == raw(shown["bytes"])
    proofs = {key: raw(value) for key, value in stored["proofs"].items()}

    public = unpack(raw(shown["bytes"]))
    assert public[5] == proofs["secret"]
    public[4:6] = [["-"], b"\0" * 16]
    parts = [
        msgpack.packb(public),
        raw(stored["EnrolHello"]["bytes"]),
        raw(stored["EnrolChallenge"]["bytes"]),
        proofs["nonce"],
    ]
    hello = unpack(raw(stored["EnrolHello"]["bytes"]))
    assert hello[-1] == hashlib.sha256(b"kindmesh-enrol-commit-v1\0" + proofs["nonce"]).digest()
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    transcript = hashlib.sha256(b"kindmesh-enrol-v1\0" + digests).digest()
    assert transcript == proofs["transcript"]
    assert proofs["mac"] == hmac.new(proofs["secret"], b"kindmesh-enrol-v1\0" + transcript, "sha256").digest()
    host = hmac.new(proofs["secret"], b"kindmesh-enrol-host-v1\0" + transcript, "sha256").digest()
    assert host == proofs["host_mac"] == unpack(raw(stored["EnrolPending"]["bytes"]))[1]
    digest = hashlib.sha256(b"kindmesh-enrol-code-v1\0" + transcript).digest()
    assert stored["proofs"]["code"] == f"{int.from_bytes(digest[:8], 'big') % 10_000:04d}"

    key = SigningKey(proofs["seed"])
    assert key.sign(b"kindmesh-enrol-device-v1\0" + transcript).signature == proofs["signature"]
    assert key.sign(b"kindmesh-enrol-done-v1\0" + transcript).signature == proofs["done_signature"]
    assert unpack(raw(stored["EnrolProof"]["bytes"])) == [
        "proof",
        proofs["mac"],
        proofs["signature"],
        proofs["nonce"],
    ]


def test_typed_codes_and_labels_follow_from_their_keys() -> None:
    stored = {case["name"]: case for case in STORED["pairing"]}
    typed = {
        key: raw(value) for key, value in stored["typed"].items() if isinstance(value, str) and key != "code"
    }
    confirm = hmac.new(typed["key"], b"kindmesh-typed-device-v1\0", "sha256").digest()
    assert unpack(raw(stored["TypedConfirm"]["bytes"])) == ["typed-confirm", confirm]
    accepted = unpack(raw(stored["TypedAccepted"]["bytes"]))
    bare = msgpack.packb(["typed-accepted", bytes(32), *accepted[2:]])
    assert accepted[1] == hmac.new(typed["key"], b"kindmesh-typed-host-v1\0" + bare, "sha256").digest()
    extracted = hmac.new(bytes(32), typed["key"], "sha256").digest()
    derived = hmac.new(extracted, b"kindmesh-typed-secret-v1\x01", "sha256").digest()
    assert derived[:16] == typed["secret"]

    label = stored["label"]
    text = label["text"].removeprefix("KL1:")
    assert base64.b32decode(text + "=" * (-len(text) % 8)) == raw(label["bytes"])
    _, ed_pub, curve_pub, secret, _ = unpack(raw(label["bytes"]))
    said = [raw(stored[name]["bytes"]) for name in ("AdoptHello", "AdoptChallenge")]
    parts = [ed_pub, curve_pub, raw(label["host_curve"]), *said]
    agreed = hashlib.sha256(
        b"kindmesh-adopt-v1\0" + b"".join(hashlib.sha256(part).digest() for part in parts)
    ).digest()
    assert agreed == raw(label["transcript"])
    offer = unpack(raw(stored["AdoptOffer"]["bytes"]))
    invitation = hashlib.sha256(raw(stored["invitation"]["bytes"])).digest()
    for domain, mac in (
        (b"kindmesh-adopt-host-v1\0", offer[1]),
        (b"kindmesh-adopt-device-v1\0", unpack(raw(stored["AdoptAccepted"]["bytes"]))[1]),
    ):
        assert mac == hmac.new(secret, domain + agreed + invitation, "sha256").digest()


def test_an_audit_log_is_chained_sealed_and_rooted() -> None:
    *entries, head, proof, digest = STORED["audit"]
    sha256 = hashlib.sha256
    link = sha256(b"kindmesh-audit-log-v1\0" + raw(entries[0]["mesh"]) + raw(entries[0]["author"])).digest()
    leaves = []
    for case in entries:
        data, seal = raw(case["entry"]), raw(case["seal"])
        assert unpack(data) == raw(case["fields"])
        assert unpack(data)[-1] == link
        chain = sha256(b"kindmesh-audit-entry-v1\0" + data).digest()
        assert chain == raw(case["entry_hash"])
        leaves.append(sha256(b"\0" + data).digest())
        assert leaves[-1] == raw(case["leaf"])
        link = sha256(b"kindmesh-audit-link-v1\0" + chain + seal).digest() if seal else chain
        assert link == raw(case["link"])
    pair = sha256(b"\1" + leaves[0] + leaves[1]).digest()
    roots = [leaves[0], pair, sha256(b"\1" + pair + leaves[2]).digest()]
    assert roots == [raw(case["root"]) for case in entries]
    assert raw(head["fields"])[2:5] == [3, roots[2], raw(entries[2]["entry_hash"])]
    assert raw(head["signature"]) == raw(entries[2]["seal"])
    assert (raw(proof["first_root"]), raw(proof["second_root"]), raw(proof["proof"])) == (
        pair,
        roots[2],
        [leaves[2]],
    )
    assert (
        raw(digest["digest"])
        == hmac.new(raw(digest["key"]), raw(digest["contents"]), hashlib.sha256).digest()
    )


@cases("plans")
def test_plans(case: dict[str, Any]) -> None:
    if "canonical" in case:
        data = msgpack.packb(_sorted(mapped(case["document"])), use_bin_type=True)
        assert raw(case["canonical"]) == data
        assert raw(case["digest"]) == hashlib.sha256(data).digest()
    elif "refused" in case:
        assert case["refused"]
    else:
        words = [set(part["readers"]) for part in case["parts"] if part.get("readers", ["*"]) != ["*"]]
        assert set(case["joined"]["readers"]) == set.intersection(*words)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _climb(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root above a leaf, by halves as RFC 9162 splits them; the path from the leaf up."""
    if size == 1:
        return leaf if not path else b""
    left = 1 << ((size - 1).bit_length() - 1)
    if not path:
        return b""
    *below, beside = path
    if index < left:
        return hashlib.sha256(b"\1" + _climb(index, left, leaf, below) + beside).digest()
    return hashlib.sha256(b"\1" + beside + _climb(index - left, size - left, leaf, below)).digest()


def _word_leaf(index: int, salt: bytes, word: str) -> bytes:
    domain = b"\0kindmesh-word-v1\0" + index.to_bytes(4, "big")
    return hashlib.sha256(domain + salt + word.encode()).digest()


@cases("utterances")
def test_utterances(case: dict[str, Any]) -> None:
    if "leaves" in case:
        root = raw(case["fields"]["root"])
        assert case["text"].split() == [leaf["word"] for leaf in case["leaves"]]
        for number, (leaf, proof) in enumerate(zip(case["leaves"], case["proofs"], strict=True)):
            digest = _word_leaf(number, raw(leaf["salt"]), leaf["word"])
            assert digest == raw(leaf["leaf"])
            assert _climb(number, len(case["leaves"]), digest, raw(proof["path"])) == root
    elif "shown" in case:
        leaves = [(one, _word_leaf(one["index"], raw(one["salt"]), one["word"])) for one in case["shown"]]
        fits = [
            _climb(one["index"], case["size"], leaf, raw(one["path"])) == raw(case["root"])
            for one, leaf in leaves
        ]
        numbers = [one["index"] for one in case["shown"]]
        assert (all(fits) and numbers == sorted(numbers)) is (case["code"] == "ok")
    else:
        assert case["code"] == "MALFORMED"
