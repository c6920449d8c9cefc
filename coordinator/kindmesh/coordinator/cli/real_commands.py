"""`kindmesh simulate --real`: a chaos run on real processes, and what came of it."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import msgspec

from kindmesh.coordinator.chaos.run import ChaosOutcome, run_chaos
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, Output
from kindmesh.protocol.errors import InvalidInput

MINUTES_MAX = 24 * 60


def run_real(out: Output, seed: int, minutes: float) -> int:
    """The command; exit status 1 if something happened that must not.

    Raises:
        InvalidInput: no such length.
        KindmeshError: the household could not be made.
    """
    if not 0 < minutes <= MINUTES_MAX:
        raise InvalidInput(
            f"{minutes:g} minutes is no length of a run", field="minutes", hint="Try --minutes 2."
        )

    async def run() -> ChaosOutcome:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await run_chaos(seed, minutes * 60, out.progress)

    try:
        outcome = asyncio.run(run())
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED
    document: dict[str, Any] = msgspec.to_builtins(outcome)
    out.result(document, *_lines(outcome))
    return EXIT_FAILED if outcome.violations else EXIT_DONE


def _lines(outcome: ChaosOutcome) -> list[str]:
    states = ", ".join(f"{count} {state}" for state, count in outcome.states.items())
    head = (
        f"Seed {outcome.number}: {outcome.seconds:g} s, {outcome.nodes} devices of real processes. {outcome.jobs} jobs"
        f" were promised ({states}), {outcome.emergencies} emergencies, {outcome.kills} kills, {outcome.stops} stops."
    )
    if not outcome.violations:
        return [head, f"  Nothing was lost, doubled or done without a permit. {outcome.cpu_s:.1f} s of CPU."]
    found = [
        line
        for one in outcome.violations
        for line in (
            f"  {one.kind}: {one.job or 'nobody'}: {one.text}",
            *(f"    {entry}" for entry in one.story),
        )
    ]
    return [head, *found, "What happened until then:", *(f"  {line}" for line in outcome.history)]


__all__ = ["run_real"]
