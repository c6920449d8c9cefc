"""The operating system's keyring, as the keeper of a lock's master key, and of keys of others' services under a name.
The only module that imports `keyring`.

It is the desktop's: unlocked when its person logs in, so a device on which nobody does has none. A backend that writes
plain files (those of `keyrings.alt`, and whatever ranks itself below 1, "not recommended") is never used.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from kindmesh.protocol.errors import KeyringUnavailable

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "kindmesh"
TEXTS: Final = "kindmesh-services"
"""Apart from `SERVICE`, so that no name a person chooses can be that of a lock."""
_ENVIRONMENT: Final = "Put the key into an environment variable instead, and write key: env:NAME."
_HINT: Final = "Use a passphrase instead: kindmesh keys protect."


def put(lock_id: bytes, master: bytes) -> None:
    """Keep `master` under the lock's id, and read it back.

    Raises:
        KeyringUnavailable: there is no keyring, or it did not keep it.
    """
    from keyring.errors import KeyringError  # noqa: PLC0415 - optional

    text = base64.b64encode(master).decode()
    backend = _backend()
    try:
        backend.set_password(SERVICE, lock_id.hex(), text)
        kept = backend.get_password(SERVICE, lock_id.hex())
    except (KeyringError, OSError, RuntimeError) as error:
        raise _trouble(error) from error
    if kept != text:
        raise KeyringUnavailable("the keyring did not keep the key", hint=_HINT)


def get(lock_id: bytes) -> bytes:
    """The master key of that lock.

    Raises:
        KeyringUnavailable: there is no keyring, it is locked, or it does not have it.
    """
    from keyring.errors import KeyringError  # noqa: PLC0415 - optional

    try:
        text = _backend().get_password(SERVICE, lock_id.hex())
    except (KeyringError, OSError, RuntimeError) as error:
        raise _trouble(error) from error
    if text is None:
        hint = (
            "Are you logged in as the user who protected them? The keyring of another user cannot open them."
        )
        raise KeyringUnavailable("the keyring does not have the key of this folder", hint=hint)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise KeyringUnavailable("what the keyring has is no key", hint="Restore a backup of it.") from error


def remove(lock_id: bytes) -> None:
    """Forget it; again is harmless.

    Raises:
        KeyringUnavailable.
    """
    from keyring.errors import KeyringError, PasswordDeleteError  # noqa: PLC0415 - optional

    backend = _backend()
    try:
        if backend.get_password(SERVICE, lock_id.hex()) is not None:
            backend.delete_password(SERVICE, lock_id.hex())
    except PasswordDeleteError:
        return
    except (KeyringError, OSError, RuntimeError) as error:
        raise _trouble(error) from error


def put_text(called: str, text: str) -> None:
    """Keep a text that a person gave (a key of a service) under a name, and read it back.

    Raises:
        KeyringUnavailable: there is no keyring, or it did not keep it.
    """
    backend = _backend()
    from keyring.errors import KeyringError  # noqa: PLC0415 - optional, and there once a backend is

    try:
        backend.set_password(TEXTS, called, text)
        kept = backend.get_password(TEXTS, called)
    except (KeyringError, OSError, RuntimeError) as error:
        raise _trouble(error) from error
    if kept != text:
        raise KeyringUnavailable("the keyring did not keep it", hint=_ENVIRONMENT)


def get_text(called: str) -> str:
    """The text that is kept under that name.

    Raises:
        KeyringUnavailable: there is no keyring, it is locked, or it does not have it.
    """
    backend = _backend()
    from keyring.errors import KeyringError  # noqa: PLC0415 - optional, and there once a backend is

    try:
        text = backend.get_password(TEXTS, called)
    except (KeyringError, OSError, RuntimeError) as error:
        raise _trouble(error) from error
    if text is None:
        raise KeyringUnavailable("the keyring has nothing under that name", hint=_ENVIRONMENT)
    return text


def name() -> str:
    """What the keyring here is called.

    Raises:
        KeyringUnavailable: there is none that keeps a key safely.
    """
    found = type(_backend())
    return f"{found.__module__}.{found.__name__}"


def _backend() -> KeyringBackend:
    try:
        import keyring  # noqa: PLC0415 - optional, and slow to import
        from keyring.backends.chainer import ChainerBackend  # noqa: PLC0415
    except ImportError as error:
        hint = f"Install it: pip install 'kindmesh[keyring]'. {_HINT}"
        raise KeyringUnavailable("the keyring library is not installed", hint=hint) from error
    chosen = keyring.get_keyring()
    possible = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    for backend in possible:
        if _is_safe(backend):
            return backend
    raise KeyringUnavailable("there is no keyring here that keeps a key safely", hint=_HINT)


def _is_safe(backend: KeyringBackend) -> bool:
    module = type(backend).__module__
    try:
        return float(backend.priority) >= 1 and not module.startswith("keyrings.alt")
    except RuntimeError:  # a backend says so that it cannot work here
        return False


def _trouble(error: Exception) -> KeyringUnavailable:
    return KeyringUnavailable(f"the keyring did not answer ({type(error).__name__})", hint=_HINT)


__all__ = ["SERVICE", "TEXTS", "get", "get_text", "name", "put", "put_text", "remove"]
