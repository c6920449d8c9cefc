"""`keys status|protect|unprotect`: how this device's private keys lie on its disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output
from kindmesh.coordinator.cli.unlocking import chosen_passphrase, unlock_folder
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.key_conversion import KeyStatus, clear_leftovers, key_status, protect, unprotect
from kindmesh.mesh.key_lock import OpenedLock, in_keyring, new_lock, with_passphrase
from kindmesh.mesh.secrecy import guard_process
from kindmesh.protocol.errors import InsecurePermissions, InvalidInput, NotInitialised

_WAYS = {
    "plain": "Private keys are plain files that only their user can read. Who takes the disk has them.",
    "passphrase": "Private keys are wrapped under a passphrase: kindmesh up asks for it.",
    "keyring": "Private keys are wrapped by the keyring: they open while you are logged in.",
}
_FLASH = (
    "The old files were written over. On a flash drive (SSD, SD card) old copies can survive where only a",
    "laboratory reaches them, and so can your backups: only disk encryption from the start covers those.",
)


def run_keys_status(out: Output) -> int:
    """Say how they are kept; exit code 1 when a conversion was interrupted."""
    home = _home()
    status = key_status(home)
    lines = [_WAYS[status.way]]
    lines += [f"  {'wrapped' if name in status.wrapped else 'plain  '}  {name}"
              for name in sorted((*status.wrapped, *status.plain))]  # fmt: skip
    if status.half_done:
        lines.append("A change was interrupted. Nothing is lost; ask for it again: kindmesh keys protect")
    out.result(_described(status), *lines)
    return EXIT_FAILED if status.half_done else EXIT_DONE


def run_keys_protect(out: Output, by_keyring: bool) -> int:
    """Wrap them, or change the way or the passphrase."""
    from kindmesh.mesh import key_keyring

    home = _home()
    entropy = SystemEntropy()
    guard_process()
    with _nothing_running(home):
        before = unlock_folder(home)
        if by_keyring:
            opened = in_keyring(before) if before is not None else new_lock("keyring", entropy)
            out.progress(f"asking {key_keyring.name()} ...")
            key_keyring.put(opened.lock.lock_id, opened.master)
        else:
            opened = _under_passphrase(out, home, before, entropy)
        wrapped = protect(home, opened, entropy)
        if before is not None and before.lock.way == "keyring" and not by_keyring:
            key_keyring.remove(before.lock.lock_id)
    status = key_status(home)
    changed = "Nothing needed to be wrapped anew; the lock is the new one." if not wrapped else (
        f"{wrapped} private keys are wrapped now.")  # fmt: skip
    out.result(_described(status), changed, *(_FLASH if wrapped else ()), "", *_next(by_keyring))
    return EXIT_DONE


def run_keys_unprotect(out: Output) -> int:
    """Make them plain files again."""
    from kindmesh.mesh import key_keyring

    home = _home()
    guard_process()
    with _nothing_running(home):
        opened = unlock_folder(home)
        if opened is None:
            clear_leftovers(home)
            out.result(_described(key_status(home)), "They are plain files already.")
            return EXIT_DONE
        unwrapped = unprotect(home, opened)
        if opened.lock.way == "keyring":
            key_keyring.remove(opened.lock.lock_id)
    out.result(_described(key_status(home)), f"{unwrapped} private keys are plain files again.")
    return EXIT_DONE


def _under_passphrase(
    out: Output, home: Home, before: OpenedLock | None, entropy: SystemEntropy
) -> OpenedLock:
    if before is None:
        return new_lock("passphrase", entropy, chosen_passphrase())
    if before.lock.way == "passphrase" and key_status(home).half_done:
        out.note("Going on where it was interrupted; the passphrase stays.")
        return before
    new_file = os.environ.get("KINDMESH_NEW_PASSPHRASE_FILE", "")
    if new_file:
        os.environ["KINDMESH_KEYS_PASSPHRASE_FILE"] = new_file
    return with_passphrase(before, chosen_passphrase(), entropy)


def _next(by_keyring: bool) -> tuple[str, ...]:
    if by_keyring:
        return ("kindmesh up opens them while you are logged in, and cannot start without that.",)
    return (
        "kindmesh up asks for the passphrase. Unattended: KINDMESH_PASSPHRASE_FILE, or a systemd credential.",
        "If you forget it, this device has to be paired anew; nobody can open the keys then.",
    )


def _home() -> Home:
    home = Home.locate()
    if not home.exists():
        raise NotInitialised()
    if home.root.stat().st_uid != os.geteuid():
        raise InsecurePermissions(
            f"{home.root} belongs to another user", hint="Do this as the user it belongs to."
        )
    return home


@contextmanager
def _nothing_running(home: Home) -> Iterator[None]:
    """Holds every role of the folder.

    Raises:
        HomeInUse: something runs there.
    """
    from kindmesh.coordinator.launcher import hold_launcher

    with ExitStack() as stack:
        if home.coordinator.is_dir():
            stack.callback(os.close, hold_launcher(home))
            stack.enter_context(home.lock("coordinator"))
        stack.enter_context(home.lock("node"))
        yield


def _described(status: KeyStatus) -> dict[str, object]:
    if not (status.wrapped or status.plain):
        raise InvalidInput("there are no keys here yet", hint="kindmesh init or kindmesh join makes them.")
    return {
        "ok": not status.half_done,
        "kept": status.way,
        "wrapped": list(status.wrapped),
        "plain": list(status.plain),
        "leftovers": list(status.leftovers),
    }


__all__ = ["run_keys_protect", "run_keys_status", "run_keys_unprotect"]
