"""A job may or may not have happened: somebody looks, and says which."""

from __future__ import annotations

import sys
from typing import Any

from kindmesh.coordinator.cli.local import connect
from kindmesh.coordinator.cli.output import Output, safe
from kindmesh.coordinator.cli.review_approval import FENCE
from kindmesh.mesh.home import Home


def answer_uncertain(out: Output, home: Home, decision: dict[str, Any]) -> bool:
    """A handler of `review`; True when it happened. Whoever does not know answers later."""
    out.clear()
    lines = [
        decision["title"],
        FENCE,
        *decision["lines"],
        FENCE,
        "did it happen? yes or no (anything else: later): ",
    ]
    sys.stderr.write(safe("\n".join(lines)))
    sys.stderr.flush()
    said = {"yes": "happened", "y": "happened", "no": "did-not-happen", "n": "did-not-happen"}
    answer = said.get(sys.stdin.readline().strip().lower(), "")
    if not answer:
        out.note("Nothing was changed; it goes on waiting.")
        return False
    with connect(home) as client:
        client.call("jobs.settle", {"id": decision["job"], "answer": answer})
    if answer == "did-not-happen":
        again = f"kindmesh jobs settle {decision['job']} --did-not-happen --again"
        out.note(f"Start it anew, if it is still wanted: {again}")
    return answer == "happened"


__all__ = ["answer_uncertain"]
