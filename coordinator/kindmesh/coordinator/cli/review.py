"""`review`: everything that waits for the owner, shown and answered one after the other.

Each kind of decision has a handler in `HANDLERS`: it shows the decision in a fence, asks, and hands the answer in.
A decision of a kind that this version does not know is listed and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from kindmesh.coordinator.cli.as_person import AsPerson, connect_as
from kindmesh.coordinator.cli.local import is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output
from kindmesh.coordinator.cli.review_approval import answer_approval, answer_request
from kindmesh.coordinator.cli.review_clone import answer_clone
from kindmesh.coordinator.cli.review_raise import answer_raise
from kindmesh.coordinator.cli.review_uncertain import answer_uncertain
from kindmesh.coordinator.person import Person
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput

Handler = Callable[[Output, Home, dict[str, Any]], bool]
"""Shows a decision, asks and hands in; True when the answer was yes."""

HANDLERS: Final[dict[str, Handler]] = {
    "approval": answer_approval,
    "clone": answer_clone,
    "raise": answer_raise,
    "uncertain": answer_uncertain,
}
"""By kind of decision."""

SECRET: Final = frozenset({"request", "lines"})
"""What is for the prompt and not for a list."""


def run_review(out: Output, which: str, *, everything: bool = False, person: str = "") -> int:
    """Answer what waits; `which` is a job's or a decision's id, empty for all; `everything`: also what was refused.

    The owner answers at the coordinator; a person whose role approves the effects, on their own device.
    """
    home = Home.locate()
    with connect_as(home, person, timeout_ms=10_000) as client:
        waiting: list[dict[str, Any]] = client.call("decisions", {"all": everything})
        signing = client.person if isinstance(client, AsPerson) else None
    chosen = [one for one in waiting if which in ("", one["id"], one.get("job", one["id"]))]
    if which and not chosen:
        raise InvalidInput(
            f"{which[:64]} does not wait for an answer", field="id", hint="kindmesh review lists what does."
        )
    if out.as_json and not which:
        for one in waiting:
            out.result({key: value for key, value in one.items() if key not in SECRET})
        return EXIT_DONE
    if not chosen:
        out.result({"ok": True, "waiting": 0}, "Nothing waits for an answer.")
        return EXIT_DONE
    if signing is not None:
        chosen = [one for one in chosen if one.get("answerable")]
    if not chosen or (signing is None and not is_coordinator(home)):
        out.note("This is the owner's to answer, on the coordinator's device.")
        return EXIT_REFUSED
    handlers: Mapping[str, Handler] = (
        HANDLERS if signing is None else {"approval": partial(_answer_as, signing)}
    )
    for one in chosen:
        handler = handlers.get(one["kind"])
        if handler is None:
            out.note(f"{one['title']}: this version of Kindmesh does not know how to answer that.")
            continue
        allowed = handler(out, home, one)
        told = {"ok": True, "id": one["id"], "kind": one["kind"], "allowed": allowed}
        if "job" in one:
            told["job"] = one["job"]
        out.result(told, f"{one['id']}: {'allowed' if allowed else 'refused'}.")
    return EXIT_DONE


def _answer_as(person: Person, out: Output, home: Home, decision: dict[str, Any]) -> bool:
    return answer_request(out, home, decision["request"], person)


__all__ = ["HANDLERS", "Handler", "run_review"]
