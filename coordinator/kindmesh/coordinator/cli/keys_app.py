"""The commands `keys` with their options; what they do is in `keys_commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import Json, group, run_command

keys = group("How this device's private keys lie on its disk: plain files, or wrapped.")


@keys.command("status")
def keys_status(as_json: Json = False) -> None:
    """Show how each private key is kept.

    Example: kindmesh keys status
    """
    from kindmesh.coordinator.cli.keys_commands import run_keys_status

    run_command(as_json, run_keys_status)


@keys.command("protect")
def keys_protect(
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Let the desktop's keyring keep the key, not a passphrase.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Wrap the private keys; once they are, change the passphrase. Stop kindmesh up first.

    Example: kindmesh keys protect
    """
    from kindmesh.coordinator.cli.keys_commands import run_keys_protect

    run_command(as_json, lambda out: run_keys_protect(out, keyring))


@keys.command("unprotect")
def keys_unprotect(as_json: Json = False) -> None:
    """Make the private keys plain files again, so that this device starts unattended.

    Example: kindmesh keys unprotect
    """
    from kindmesh.coordinator.cli.keys_commands import run_keys_unprotect

    run_command(as_json, run_keys_unprotect)


__all__ = ["keys"]
