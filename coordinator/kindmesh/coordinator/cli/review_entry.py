"""Which of the ways of judging plans a `kindmesh review` with options means."""

from __future__ import annotations

import msgspec

from kindmesh.coordinator.cli.output import Output
from kindmesh.protocol.errors import InvalidInput


class ReviewWanted(msgspec.Struct, frozen=True):
    """What was typed; empty where nothing was."""

    which: str = ""
    explained: str = ""
    manifests: str = ""
    policy: str = ""
    batch: str = ""
    plan: str = ""
    text: str = ""


def run_judging(out: Output, wanted: ReviewWanted) -> int:
    """Judge a batch, or explain one verdict.

    Raises:
        InvalidInput: options that do not go together.
    """
    if wanted.batch:
        from kindmesh.coordinator.cli.review_batch import run_batch

        if not wanted.manifests:
            raise InvalidInput(
                "which tools there are is missing",
                field="manifests",
                hint="Add --manifests M.json; kindmesh capabilities --json makes one.",
            )
        if wanted.which:
            raise InvalidInput("--batch judges a file, and nothing else", field="id")
        return run_batch(out, wanted.manifests, wanted.policy, wanted.batch)
    from kindmesh.coordinator.cli.review_explain import explain_job, explain_plan

    if wanted.plan:
        return explain_plan(out, wanted.plan, wanted.text, wanted.manifests, wanted.policy)
    if not wanted.explained:
        raise InvalidInput(
            "what is to be explained?", field="id", hint="kindmesh review explain JOB, or --plan FILE."
        )
    return explain_job(out, wanted.explained)


__all__ = ["ReviewWanted", "run_judging"]
