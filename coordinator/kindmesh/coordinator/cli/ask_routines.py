"""`ask routines`: what was learned, listed, confirmed and forgotten.

A confirmed routine whose steps would each wait for a yes is shown as Medulla sees it, in a fence; who agrees signs that
with their own key, for so many days and so often a day. Whoever does not, or cannot, is asked each time, as before.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.coordinator.cli.as_person import AsPerson, connect_as
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.coordinator.cli.review_approval import ask
from kindmesh.coordinator.cli.review_lasting import read_answer, read_number
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.routine import RoutineApproval, check_routine, describe_routine
from kindmesh.protocol.signed import signed_to_bytes
from kindmesh.protocol.standing import DAY_MS, utc_text

DAYS: Final = 30
TIMES: Final = 10
"""How long, and how often a day, when nothing else is said."""


def run_routines(out: Output, words: tuple[str, ...], person: str) -> int:
    """`routines [list | confirm ID | forget ID]`."""
    what, *rest = words or ("list",)
    if what not in ("list", "confirm", "forget") or len(rest) != (what != "list"):
        raise InvalidInput(
            "routines are listed, confirmed or forgotten",
            field="text",
            hint="kindmesh ask routines [list | confirm ID | forget ID]",
        )
    with connect_as(Home.locate(), person, timeout_ms=30_000) as client:
        found = client.call("ask.routines", {"what": what, **({"id": rest[0]} if rest else {})})
        if what == "confirm":
            return _confirmed(out, client, found)
    if what == "list":
        return _listed(out, found)
    out.result(found, f'Forgotten: "{found["sentence"]}".')
    return EXIT_DONE


def _listed(out: Output, found: list[dict[str, Any]]) -> int:
    if out.as_json:
        for one in found:
            out.result(one)
    elif not found:
        out.result(None, "Nothing was learned yet.")
    else:
        rows = [[one["id"], one["state"], one["sentence"], one["does"], _agreed(one)] for one in found]
        headings = ["ID", "STATE", "WHEN YOU SAY", "IT MEANS", "AGREED UNTIL"]
        out.result(None, *table(headings, rows))
    return EXIT_DONE


def _agreed(one: dict[str, Any]) -> str:
    return utc_text(one["agreed_until_ms"]) if one["agreed_until_ms"] else "-"


def _confirmed(out: Output, client: ControlClient, found: dict[str, Any]) -> int:
    request: bytes = found.pop("request")
    learned = f'Learned: "{found["sentence"]}".'
    if not request:
        why = (
            f"What it does is asked about each time: {found['still_asked']}." if found["still_asked"] else ""
        )
        out.result({**found, "agreed": False}, learned, *([why] if why else []))
        return EXIT_DONE
    if out.as_json:
        out.note("Its steps may be asked about each time. To agree to them once, confirm it without --json.")
        out.result({**found, "agreed": False})
        return EXIT_DONE
    out.result(None, learned)
    out.note("Its steps may be asked about each time you say it. You can agree to them once, for longer.")
    for operation in found["asked"]:
        out.note(f"Asked about even so: {operation}.")
    approval = _bounds(client, request)
    if not ask(
        out, "Is this to be done whenever you say it, without a question?", describe_routine(approval)
    ):
        out.note("Not agreed to: what it does is asked about each time.")
        return EXIT_DONE
    client.call("standing.agree", {"approval": _signed(client, approval)})
    out.note(f"Agreed to, until {utc_text(approval.expires_ms)}. To end it: kindmesh review grants.")
    return EXIT_DONE


def _bounds(client: ControlClient, request: bytes) -> RoutineApproval:
    """For how long, and how often.

    Raises:
        InvalidInput: no such number; the routine is learned all the same.
    """
    days = read_number(read_answer("For how many days", str(DAYS)), "days")
    times = read_number(read_answer("How many times a day at most", str(TIMES)), "times")
    now_ms: int = client.call("clock")["now_ms"]
    approval = RoutineApproval(request, now_ms, now_ms + int(days * DAY_MS), int(times))
    check_routine(approval)
    return approval


def _signed(client: ControlClient, approval: RoutineApproval) -> bytes:
    if isinstance(client, AsPerson):
        return signed_to_bytes(client.person.sign_routine(approval))
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner

    return signed_to_bytes(unlock_owner(Home.locate(), ask_passphrase()).sign_routine(approval))


__all__ = ["DAYS", "TIMES", "run_routines"]
