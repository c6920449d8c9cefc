"""The owner's rules in Cedar on a mesh of real processes: loaded by a command, they stop what the policy allows,
in whole plans and at the step, also after Medulla and the coordinator were killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.system.kit import say
from tests.system.test_ask import asked, household, state_of
from tests.system.test_kill import pid_of

RULES = """
@id("all") permit (principal, action, resource);

@id("front-door") @says("nobody touches the front door")
forbid (principal, action in Action::"lock", resource == Thing::"lock.front_door");
"""


async def test_rules_stop_what_the_policy_allows_and_outlive_a_kill(tmp_path: Path) -> None:
    rules = tmp_path / "rules.cedar"
    rules.write_text(RULES)
    async with household(tmp_path / "lab") as lab:
        wish = {
            "operation": "home.access", "target": "downstairs", "wait": True,
            "args": {"service": "lock.lock", "entities": ["lock.front_door"]},
        }  # fmt: skip
        assert lab.ask("submit", wish)["state"] == "succeeded"
        # What cannot be meant is refused before anybody signs it.
        wrong = tmp_path / "wrong.cedar"
        wrong.write_text(RULES.replace('"lock"', '"lok"'))
        said = await say(lab.desk, "policy", "load", os.fspath(wrong), "--yes")
        assert said.code == 2
        assert said.objects[-1]["problems"][0]["line"] == 5
        # What would leave the household nothing is told before anybody signs it.
        alone = tmp_path / "alone.cedar"
        alone.write_text(RULES.partition("\n\n")[2])
        said = await say(lab.desk, "policy", "load", os.fspath(alone), typed="no\n")
        assert (said.code, said.objects) == (4, [])
        assert "Careful: line 2, column 1: nothing in it is permitted" in said.text
        assert "kindmesh policy starter" in said.text.partition("Careful:")[2].partition("Sign this?")[0]
        said = await say(lab.desk, "policy", "load", os.fspath(rules), "--yes")
        assert (said.code, said.objects[-1]["changed"]) == (0, True), said
        assert said.objects[-1]["warnings"] == []
        # Killed between load and use: the rules are what Medulla keeps.
        os.kill(pid_of(lab, "medulla"), signal.SIGKILL)
        await lab.desk.kill()
        await lab.desk.up()
        await lab.alive("desk", "downstairs", "upstairs")
        said = await say(lab.desk, "policy", "rules")
        assert said.objects[-1]["cedar"] == RULES
        wish["args"] = {"service": "lock.unlock", "entities": ["lock.front_door"]}
        refused = lab.ask("submit", wish)
        assert refused["state"] != "succeeded"
        assert "nobody touches the front door (rule front-door)" in refused["error"]["message"]
        assert state_of(lab, "lock.front_door") == "locked"
        # A sentence is refused as a whole, and says why; what no rule forbids is done.
        code, found = await asked(lab.desk, "unlock the front door")
        assert (code, found["verdict"]) == (4, "deny"), found
        assert [one["rule"] for one in found["reasons"]] == ["cedar"]
        assert (await asked(lab.desk, "turn off the kitchen light"))[0] == 0
        tried = await say(lab.desk, "policy", "try", "lock.unlock", "entities=lock.front_door")
        assert tried.objects, tried
        assert (tried.objects[-1]["answer"], tried.objects[-1]["rules"]) == ("deny", ["front-door"])
        said = await say(lab.desk, "policy", "remove", "--yes")
        assert said.code == 0, said
        assert lab.ask("submit", wish)["state"] == "succeeded"
