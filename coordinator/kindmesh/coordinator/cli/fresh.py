"""`join --fresh`: joining with a new key, what this device was before put aside.

A removed key is never certified again, so a device that was removed comes back as a new one. Its keys, papers, journal
and files go to `former/DAY-TIME/` of the state folder, which is a state folder itself: `kindmesh audit show` and the
like read it with `KINDMESH_HOME` set to it. When joining fails, everything is put back as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from kindmesh.coordinator.cli.local import is_coordinator
from kindmesh.coordinator.cli.output import Output
from kindmesh.mesh.files import disk_error, private_folder, sync_folder
from kindmesh.mesh.home import Home
from kindmesh.mesh.key_lock import LOCK_FILE
from kindmesh.mesh.removal import removal_in
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.errors import AlreadyInitialised

FORMER = "former"


def run_fresh(out: Output, fresh: bool, join: Callable[[], int]) -> int:
    """`join`, after putting aside what this device was before (`fresh`).

    Raises:
        Revoked: it was removed and cannot join as what it was. AlreadyInitialised: it is the coordinator.
        HomeInUse, DiskFull, StoreError, and what `join` raises: everything is as it was.
    """
    home = Home.locate()
    if not fresh:
        gone = removal_in(home.identity)
        if gone is not None:
            raise gone
        return join()
    if is_coordinator(home):
        hint = "Use another folder with KINDMESH_HOME."
        raise AlreadyInitialised(f"{home.root} is the coordinator's", hint=hint)
    if not (home.identity / TRUST_FILE).exists():
        return join()
    with home.lock("node"):
        former = put_aside(home)
    try:
        code = join()
    finally:
        if not (home.identity / TRUST_FILE).exists():
            put_back(home, former)
    out.note(f"What this device was before is kept in {former}.")
    return code


def put_aside(home: Home) -> Path:
    """Move keys, papers, journal and files away; the folder where they are.

    Raises:
        DiskFull, StoreError.
    """
    former = home.root / FORMER / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    private_folder(former.parent)
    private_folder(former)
    lock = home.root / LOCK_FILE
    try:
        if lock.exists():
            shutil.copy2(lock, former / LOCK_FILE)
        # The identity last: until then this folder is still the member that it was.
        for part in (home.node, home.identity):
            if part.exists():
                os.replace(part, former / part.name)
        sync_folder(former)
        sync_folder(home.root)
    except OSError as error:
        _return(home, former)
        raise disk_error(error, former) from error
    return former


def put_back(home: Home, former: Path) -> None:
    """Undo `put_aside`; what was made since is thrown away.

    Raises:
        DiskFull, StoreError.
    """
    try:
        _return(home, former)
        sync_folder(home.root)
    except OSError as error:
        raise disk_error(error, former) from error


def _return(home: Home, former: Path) -> None:
    for part in (home.identity, home.node):
        if (former / part.name).exists():
            shutil.rmtree(part, ignore_errors=True)
            os.replace(former / part.name, part)
    shutil.rmtree(former)


__all__ = ["FORMER", "put_aside", "put_back", "run_fresh"]
