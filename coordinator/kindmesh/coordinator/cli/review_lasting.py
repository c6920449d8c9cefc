"""`review grants`, and answering a question for longer than once: all that it covers is shown before it is signed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.policy import ApprovalRequest
from kindmesh.protocol.standing import DAY_MS, LASTS_MAX_MS, StandingApproval, check_standing

CHOICES: Final = "For longer: run (as long as this run lasts) or always. Else yes or no: "
RUN_TIMES: Final = 100
"""How often a yes for one run serves at most in a day."""


def read_choice() -> str:
    """`yes`, `run`, `always`, or `no`, which is everything else."""
    said = sys.stdin.readline().strip().lower()
    return {"y": "yes"}.get(said, said if said in ("yes", "run", "always") else "no")


def lasting(request: bytes, choice: str, now_ms: int, ask: Callable[[str, str], str]) -> StandingApproval:
    """What a person agrees to beyond once; `ask(question, otherwise)` reads an answer to each further question.

    Raises:
        InvalidInput: an answer is no number, or names no value; nothing was done, and the question waits on.
    """
    asked = decode(ApprovalRequest, request, limit=2 * ARGUMENTS_MAX)
    standing_id = new_id(now_ms, SystemEntropy().token(RANDOM_BYTES))
    if choice == "run":
        ends_ms = now_ms + LASTS_MAX_MS["run"]
        return StandingApproval(asked.mesh, standing_id, request, "run", now_ms, ends_ms, RUN_TIMES, DAY_MS)
    args = decode_value(asked.args)
    names = sorted(args) if isinstance(args, dict) else []
    said = ask(f"Which of these may differ next time: {', '.join(names) or 'none'}", "")
    free = tuple(name for name in said.replace(",", " ").split() if name)
    days = read_number(ask("For how many days", "30"), "days")
    times = read_number(ask("How many times a day at most", "10"), "times")
    amount = next((name for name in free if _is_number(args.get(name))), "") if isinstance(args, dict) else ""
    each = altogether = 0.0
    if amount:
        each = read_number(ask(f"How much {amount} at once at most", f"{args[amount]:g}"), "each")
        altogether = read_number(ask(f"How much {amount} a day at most", f"{each:g}"), "altogether")
    made = StandingApproval(
        asked.mesh, standing_id, request, "standing", now_ms, now_ms + int(days * DAY_MS), int(times), DAY_MS, free,
        amount, each, altogether,
    )  # fmt: skip
    check_standing(made)
    return made


def read_answer(question: str, otherwise: str) -> str:
    """A line from standard input, or `otherwise` when it is empty."""
    sys.stderr.write(f"{question}{f' ({otherwise})' if otherwise else ' (enter: none)'}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() or otherwise


def read_number(text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:20]!r} is no number", field=field, hint="Like 30.") from error
    if not 0 < value < 1e15:
        raise InvalidInput(f"{text[:20]} is not above nothing", field=field, hint="Like 30.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def run_grants(out: Output, action: str, which: str, person: str = "") -> int:
    """List the yeses that last, or end one (`action` revoke).

    Raises:
        InvalidInput: another action, or no id. UnknownJob: no such yes.
    """
    if action not in ("", "revoke") or (action and not which):
        raise InvalidInput(
            "which one shall end?", field="id", hint="kindmesh review grants lists them; then: revoke ID."
        )
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        if action:
            ended = client.call("standing.end", {"id": which})
            out.result(ended, f"{ended['id']}: over. The next time you are asked again.")
            return EXIT_DONE
        found: list[dict[str, Any]] = client.call("standing.list")
    rows = []
    for one in found:
        extent = "this run" if one["kind"] == "run" else _until(one["lines"])
        free = ", ".join(one["free"]) or "nothing"
        if one["kind"] == "routine":
            free = f'nothing; said: "{one["sentence"]}"'
        used = f"{one['used']} of {one['times']}"
        rows.append(
            [one["id"][:8], one["operation"], one["device"], one["principal"], extent, free, used, one["by"]]
        )
    headings = ["id", "operation", "device", "asked by", "until", "may differ", "used", "agreed by"]
    lines = table(headings, rows) if rows else ["Nothing is agreed to for longer than once."]
    out.result([{**one, "lines": None} for one in found], *lines)
    return EXIT_DONE


def _until(lines: list[str]) -> str:
    words = next(line for line in lines if line.startswith("agreed")).removeprefix("agreed").strip()
    return words.removeprefix("until ").partition(";")[0]


__all__ = ["CHOICES", "lasting", "read_answer", "read_choice", "run_grants"]
