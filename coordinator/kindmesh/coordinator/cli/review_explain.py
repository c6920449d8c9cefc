"""`kindmesh review explain`: which rule says what about a plan or a job, why, and what would make it allowed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from kindmesh.coordinator.brain.medulla.review_facts import Reviewed
from kindmesh.coordinator.brain.medulla.review_table import TABLE
from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output, sentence
from kindmesh.coordinator.cli.review_batch import reviewer_for
from kindmesh.coordinator.cli.review_manifests import Tools, read_tools, tools_from_document
from kindmesh.coordinator.cli.run_commands import read_plan
from kindmesh.mesh.home import Home


def explain_plan(out: Output, path: str, text: str, manifests: str, policy: str) -> int:
    """Judge one plan and say why. Without `manifests`, by what the devices of this mesh offer."""
    tools = read_tools(Path(manifests)) if manifests else _offered()
    reviewer = reviewer_for(tools, policy)
    line = {"id": path, "plan": read_plan(path), "request": {"text": text, "principal": "owner"}}
    verdict = reviewer.judge(line, time.time_ns() // 1_000_000)
    out.result(explained(verdict), *_lines(verdict))
    return EXIT_DONE if verdict.verdict == "allow" else EXIT_REFUSED


def explained(verdict: Reviewed) -> dict[str, Any]:
    """A verdict with every reason, the less grave ones too, as plain data."""
    return {
        "verdict": verdict.verdict,
        "reasons": [
            {
                "rule": one.rule,
                "step": one.step,
                "message": one.message,
                "verdict": one.answer,
                "about": TABLE[one.rule].about,
                "remedy": TABLE[one.rule].remedy,
            }
            for one in (*verdict.reasons, *verdict.also)
        ],
    }


def _lines(verdict: Reviewed) -> list[str]:
    said = {
        "allow": "This plan is allowed.",
        "ask": "This plan needs a yes.",
        "deny": "This plan is refused.",
    }
    lines = [said[verdict.verdict]]
    for one in (*verdict.reasons, *verdict.also):
        at = f"step {one.step}: " if one.step else ""
        lines += [
            "",
            f"{at}{sentence(one.message)}",
            f"  rule     {one.rule}: {TABLE[one.rule].about}",
            f"  allowed  {TABLE[one.rule].remedy}",
        ]
    return lines


def _offered() -> Tools:
    with connect_as(Home.locate(), "", timeout_ms=10_000) as client:
        return tools_from_document(client.call("capabilities"))


def explain_job(out: Output, job: str) -> int:
    """Why a job waits for a yes, or was refused."""
    with connect_as(Home.locate(), "", timeout_ms=10_000) as client:
        waiting = [
            one for one in client.call("decisions", {"all": True}) if job in (one["id"], one.get("job"))
        ]
        found: dict[str, Any] = {"job": job, "verdict": "ask", "reasons": []}
        if waiting:
            found["reasons"] = list(waiting[0].get("reasons", [])) or [waiting[0].get("title", "")]
        else:
            known = client.call("job", {"id": job})
            error = known.get("error") or {}
            against = error.get("code") in ("DENIED", "NEEDS_APPROVAL")
            found["verdict"] = {"DENIED": "deny", "NEEDS_APPROVAL": "ask"}.get(error.get("code", ""), "allow")
            found["reasons"] = [error["message"]] if against else []
            found["state"] = known.get("state", "")
            found["asked"] = any(one["what"] == "approval needed" for one in known.get("timeline", ()))
    said = {"ask": "It waits for a yes.", "deny": "It was refused.", "allow": "Nothing was held against it."}
    if not waiting and found["verdict"] == "ask":
        said["ask"] = "It waited for a yes, and was not done."
    if not waiting and found["asked"]:
        said["allow"] = "It waited for a yes, and somebody gave it."
    lines = [said[found["verdict"]], *(f"  {sentence(str(reason))}" for reason in found["reasons"])]
    if waiting:
        lines.append(f"  Answer it: kindmesh review {job}")
    out.result(found, *lines)
    sys.stdout.flush()
    return EXIT_DONE


__all__ = ["explain_job", "explain_plan", "explained"]
