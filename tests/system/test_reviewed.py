"""What Medulla says of a plan before it is begun, on a mesh of real processes: the owner's bounds, why something waits,
and what happens while Medulla does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from tests.system.kit import say, until
from tests.system.test_ask import asked, household, state_of

from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, Quiet, Rate
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.roles import FIRST_ROLES
from kindmesh.protocol.signed import signed_to_bytes


def bound(lab: Lab, **bounds: Any) -> None:
    """The owner signs these bounds; for the home, words are enough."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    guards = Guards(words=FIRST_GUARDS.words, present=FIRST_GUARDS.present, **bounds)
    rules = (Rule("*", int(Effect.READ | Effect.NOTIFY), "allow"),)
    version = lab.ask("status")["policy_version"] + 1
    policy = Policy(owner.mesh, version, SystemClock().now_ms(), rules, FIRST_ROLES, guards)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


def medulla_of(lab: Lab) -> int:
    """The process id of the reviewer."""
    wanted = f"brain.medulla\0--home\0{lab.desk.home.root}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    raise AssertionError("no Medulla runs here")


async def test_the_owners_bounds_are_said_ahead_asked_about_and_explained(tmp_path: Path) -> None:
    async with household(tmp_path / "lab") as lab:
        now = SystemClock().now_ms() // 60_000 % 1_440
        quiet = Quiet((now - 60) % 1_440, (now + 60) % 1_440, int(Effect.ACTUATE))
        bound(lab, quiet=(quiet,), zone="UTC")
        planned = (await say(lab.desk, "plan", "turn off the kitchen light")).objects[-1]
        assert (planned["verdict"], planned["reasons"][0]["rule"]) == ("ask", "quiet-hours"), planned

        async with watching(lab.desk.home.socket("coordinator")) as events:
            asking = asyncio.create_task(asked(lab.desk, "turn off the kitchen light"))
            waiting = (await until(events, lambda event: event.get("state") == "waiting_approval"))["job"]
            shown = (await say(lab.desk, "review", "explain", waiting)).objects[-1]
            assert shown["verdict"] == "ask"
            assert "it is quiet time" in shown["reasons"][0]
            yes = await say(lab.desk, "review", waiting, typed="yes\n")
            assert yes.code == 0, yes
            code, found = await asking
        assert (code, found["outcome"]) == (0, "done"), found
        shown = (await say(lab.desk, "review", "explain", waiting)).objects[-1]
        assert (shown["verdict"], shown["asked"], shown["state"]) == ("allow", True, "succeeded")

        # Nobody says yes: it is not done, and that is what is told of it.
        bound(lab, rates=(Rate("home.control", 1, 3_600_000),), zone="UTC")
        assert (await asked(lab.desk, "turn on the kitchen light"))[0] in (0, 6)
        code, found = await asked(lab.desk, "turn off the counter lamp", "--wait", "2")
        assert (code, found["outcome"], found["reasons"][0]["rule"]) == (6, "unanswered", "rate"), found
        assert state_of(lab, "light.counter") == "on"
        jobs = (await say(lab.desk, "jobs")).objects
        left = next(job for job in jobs if job["state"] == "expired")
        shown = (await say(lab.desk, "review", "explain", left["job"])).objects[-1]
        assert (shown["verdict"], shown["asked"]) == ("ask", True)
        assert "nobody approved" in shown["reasons"][0]

        # Another time zone is another time of day.
        bound(lab, quiet=(quiet,), zone="Etc/GMT-6")
        assert (await say(lab.desk, "plan", "turn off the kitchen light")).objects[-1]["verdict"] == "allow"


async def test_while_medulla_does_not_answer_nothing_is_begun_questions_are_answered_and_stop_stops(
    tmp_path: Path,
) -> None:
    async with household(tmp_path / "lab") as lab:
        assert (await asked(lab.desk, "is the kitchen light on"))[0] == 0
        medulla = medulla_of(lab)
        os.kill(medulla, signal.SIGSTOP)
        try:
            code, found = await asked(lab.desk, "turn off the kitchen light")
            assert (code, found["outcome"], found["run"]) == (4, "refused", ""), found
            assert "cannot have it checked just now" in found["reply"]
            assert [one["rule"] for one in found["reasons"]] == ["unchecked"]
            assert (await asked(lab.desk, "is the kitchen light on"))[1]["outcome"] == "answered"
            code, found = await asked(lab.desk, "stop")
            assert (code, found["outcome"]) == (0, "done"), found
        finally:
            os.kill(medulla, signal.SIGCONT)
        assert state_of(lab, "light.kitchen") == "on"
