"""The owner's yes to one job: shown as the bytes that will be signed say it, and nothing else."""

from __future__ import annotations

import sys
from typing import Any, Final

from kindmesh.coordinator.cli.local import connect
from kindmesh.coordinator.cli.output import Output
from kindmesh.coordinator.person import Person
from kindmesh.mesh.home import Home

FENCE: Final = "-" * 72


def ask(out: Output, question: str, lines: list[str]) -> bool:
    """`lines` in a fence on standard error, and a person's yes or no to `question` from standard input."""
    show(out, question, lines, "yes or no: ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show(out: Output, question: str, lines: list[str], prompt: str) -> None:
    """`lines` in a fence on standard error, and what may be answered."""
    out.clear()
    sys.stderr.write("\n".join([question, FENCE, *lines, FENCE, prompt]))
    sys.stderr.flush()


def answer_request(out: Output, home: Home, request: bytes, person: Person | None = None) -> bool:
    """Show exactly what will be signed, ask, sign (the owner, or `person`), hand in; True when it was allowed.

    A yes for longer is signed beside the yes to this one question, after its own bounds were shown and agreed to.

    Raises:
        InvalidInput: bounds that mean nothing; the question waits on.
    """
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.cli.review_lasting import CHOICES, lasting, read_answer, read_choice
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.protocol.codec import decode
    from kindmesh.protocol.policy import ApprovalRequest, describe_request
    from kindmesh.protocol.signed import signed_to_bytes
    from kindmesh.protocol.standing import describe_standing

    show(out, "May this be done, once?", describe_request(decode(ApprovalRequest, request)), CHOICES)
    choice, standing = read_choice(), None
    if choice in ("run", "always"):
        with connect(home) as client:
            now_ms = client.call("clock")["now_ms"]
        standing = lasting(request, choice, now_ms, read_answer)
        if not ask(out, "May this be done, as far as this says?", describe_standing(standing)):
            choice, standing = "no", None
    allow = choice != "no"
    signer = person or unlock_owner(home, ask_passphrase())
    approval = signer.sign_approval(request, allow=allow)
    with connect(home) as client:
        if standing is not None:
            agreed = signer.sign_standing(standing)
            client.call("standing.add", {"standing": signed_to_bytes(agreed)})
        client.call("approve", {"approval": signed_to_bytes(approval)})
    return allow


def answer_approval(out: Output, home: Home, decision: dict[str, Any]) -> bool:
    """A handler of `review`."""
    return answer_request(out, home, decision["request"])


__all__ = ["FENCE", "answer_approval", "answer_request", "ask", "show"]
