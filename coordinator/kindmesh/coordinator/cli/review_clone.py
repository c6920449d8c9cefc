"""Two devices use one identity: remove it, or say that it is one device. Both are signed by the owner."""

from __future__ import annotations

import sys
from typing import Any

from kindmesh.coordinator.cli.local import connect
from kindmesh.coordinator.cli.output import Output
from kindmesh.coordinator.cli.review_approval import FENCE
from kindmesh.mesh.home import Home
from kindmesh.protocol.bounds import printable


def answer_clone(out: Output, home: Home, decision: dict[str, Any]) -> bool:
    """A handler of `review`; True when the member may go on."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.protocol.ids import parse_id
    from kindmesh.protocol.signed import signed_to_bytes

    lines = [
        *decision["lines"],
        "",
        "keep    it is one device: an old copy of its folder was started by mistake (and is off now),",
        "        or a backup was put back",
        "remove  its keys may be in other hands: both are shut out; pair the right device again",
    ]
    out.clear()
    question = f"Two devices use the identity of {printable(decision['device_name'])}. What shall be done?"
    sys.stderr.write("\n".join([question, FENCE, *lines, FENCE, "keep or remove (anything else: later): "]))
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("keep", "remove"):
        out.note("Nothing was changed; both may only read and notify.")
        return False
    owner = unlock_owner(home, ask_passphrase())
    subject = parse_id(decision["device"])
    with connect(home) as client:
        if answer == "keep":
            client.call("release", {"release": signed_to_bytes(owner.sign_release(subject))})
        else:
            client.call("revoke", {"removal": signed_to_bytes(owner.sign_removal(subject))})
    return answer == "keep"


__all__ = ["answer_clone"]
