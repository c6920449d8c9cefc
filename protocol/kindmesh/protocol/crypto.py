"""The only module that touches the cryptographic library (libsodium through PyNaCl).

Ed25519 (RFC 8032) signs, X25519 (RFC 7748) agrees, HKDF-SHA-256 (RFC 5869) derives, XChaCha20-Poly1305 (libsodium,
draft-irtf-cfrg-xchacha) seals, BLAKE2b keyed to 16 bytes (RFC 7693) authenticates session frames, Argon2id (RFC 9106)
stretches passphrases. All of it is deterministic: keys, nonces and salts are arguments, so golden vectors can pin it.
Secrets never appear in `repr`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import nacl.bindings as _sodium
from nacl.exceptions import CryptoError

from kindmesh.protocol.errors import BadSeal, Malformed

SEED: Final = 32
PUBLIC: Final = 32
SIGNATURE: Final = 64
KEY: Final = 32
NONCE: Final = 24
MAC: Final = 16

_hash_blake2b = hashlib.blake2b
_sign = _sodium.crypto_sign
_open = _sodium.crypto_sign_open


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104), 32 bytes."""
    return hmac.digest(key, data, "sha256")


def constant_time_equal(left: bytes, right: bytes) -> bool:
    """Compare secrets without telling by the time taken where they differ."""
    return hmac.compare_digest(left, right)


def keyed_mac(key: bytes, data: bytes) -> bytes:
    """BLAKE2b-128 keyed with 32 bytes: 16 bytes."""
    return _hash_blake2b(data, digest_size=MAC, key=key).digest()


def hkdf_sha256(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF (RFC 5869) with SHA-256; `length` 1..8160 bytes."""
    if not 0 < length <= 255 * 32:
        raise ValueError("length out of range")
    pseudo = hmac_sha256(salt or b"\0" * 32, key)
    block, out, counter = b"", b"", 1
    while len(out) < length:
        block = hmac_sha256(pseudo, block + info + bytes([counter]))
        out += block
        counter += 1
    return out[:length]


class SigningKey:
    """An Ed25519 key from its 32-byte seed."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED:
            raise ValueError("an Ed25519 seed has 32 bytes")
        self.public, self._secret = _sodium.crypto_sign_seed_keypair(seed)

    def sign(self, data: bytes) -> bytes:
        """Detached signature, 64 bytes."""
        return bytes(_sign(data, self._secret)[:SIGNATURE])

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for sealing into a store."""
        return bytes(self._secret[:SEED])

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:8]}...)"


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """True when `signature` (64 bytes) over `data` was made by the key with `public` (32 bytes). Never raises."""
    if len(signature) != SIGNATURE or len(public) != PUBLIC:
        return False
    try:
        _open(signature + data, public)
    except (CryptoError, ValueError):
        return False
    return True


class CurveKey:
    """An X25519 key from its 32 secret bytes; what ZeroMQ's CURVE and the session handshake use."""

    __slots__ = ("public", "secret")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY:
            raise ValueError("an X25519 key has 32 bytes")
        self.secret = secret
        self.public: bytes = _sodium.crypto_scalarmult_base(secret)

    def __repr__(self) -> str:
        return f"CurveKey(public={self.public.hex()[:8]}...)"


def x25519(secret: bytes, public: bytes) -> bytes:
    """The shared secret, 32 bytes.

    Raises:
        Malformed: the public key is a low-order point, or not 32 bytes.
    """
    if len(public) != PUBLIC:
        raise Malformed("an X25519 public key has 32 bytes")
    try:
        shared: bytes = _sodium.crypto_scalarmult(secret, public)
    except (CryptoError, RuntimeError) as error:
        raise Malformed("the X25519 public key is weak") from error
    return shared


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes = b"") -> bytes:
    """Encrypt and authenticate (XChaCha20-Poly1305): `plaintext` grows by 16 bytes. A nonce (24 bytes) serves once."""
    sealed: bytes = _sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key)
    return sealed


def unseal(key: bytes, nonce: bytes, sealed: bytes, associated: bytes = b"") -> bytes:
    """Undo `seal`.

    Raises:
        BadSeal: other key, nonce or associated data, or changed bytes.
    """
    try:
        plain: bytes = _sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, associated, nonce, key)
    except (CryptoError, ValueError) as error:
        raise BadSeal() from error
    return plain


def argon2id(passphrase: bytes, salt: bytes, *, ops: int, mem_kib: int, length: int = KEY) -> bytes:
    """Argon2id (RFC 9106), one lane: `salt` 16 bytes, `ops` >= 1 passes, `mem_kib` >= 8 KiB of memory."""
    derived: bytes = _sodium.crypto_pwhash_alg(
        length, passphrase, salt, ops, mem_kib * 1024, _sodium.crypto_pwhash_ALG_ARGON2ID13
    )
    return derived


__all__ = [
    "CurveKey",
    "SigningKey",
    "argon2id",
    "constant_time_equal",
    "hkdf_sha256",
    "hmac_sha256",
    "keyed_mac",
    "seal",
    "sha256",
    "unseal",
    "verify",
    "x25519",
]
