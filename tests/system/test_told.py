"""What may be told of the home, on a mesh of real processes: a rule of the owner's keeps a lock's state from some
people, however they ask, and from nobody else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.system.kit import say
from tests.system.test_ask import asked, household, state_of
from tests.system.test_kill import pid_of
from tests.system.test_people import accept, invite

RULES = """
@id("all") permit (principal, action, resource);

@id("door") @says("only the owner is told about the door")
forbid (principal, action in Action::"effect.read", resource == Thing::"lock.front_door")
unless { principal in Role::"owner" };
"""
KEPT = "I may not tell you about the front door: only the owner is told about the door (rule door)."


async def test_what_a_rule_keeps_from_a_person_no_question_no_plan_and_no_act_tells(tmp_path: Path) -> None:
    rules = tmp_path / "rules.cedar"
    rules.write_text(RULES)
    async with household(tmp_path / "lab") as lab:
        guest, resident = lab.devices["upstairs"], lab.devices["downstairs"]
        await accept(guest, await invite(lab, "Gina", "--role", "guest"))
        await accept(resident, await invite(lab, "Rosa", "--role", "resident"))
        # Before there is a rule, everybody of the household is told, and nobody is asked anything.
        for device in (lab.desk, guest, resident):
            code, found = await asked(device, "is the front door locked?")
            assert (code, found["outcome"], found["verdict"]) == (0, "answered", None), found
            assert "unlocked" in found["reply"]
        said = await say(lab.desk, "policy", "load", os.fspath(rules), "--yes")
        assert said.code == 0, said
        for device in (guest, resident):
            code, found = await asked(device, "is the front door locked?")
            assert (code, found["outcome"], found["reply"]) == (4, "refused", KEPT), found
            assert (found["verdict"], [one["rule"] for one in found["reasons"]]) == ("deny", ["cedar"])
        # Nor without the signature, in a plan, in a part of a sentence, or among all that there is.
        code, found = await asked(guest, "is the front door locked?", "--as", "-")
        assert (code, found["reply"]) == (4, KEPT), found
        said = await say(guest, "plan", "is the front door locked?")
        assert (said.code, said.objects[-1]["reply"]) == (4, KEPT)
        code, found = await asked(guest, "is the front door locked and is the kitchen light on?")
        assert (code, found["outcome"]) == (1, "partly"), found
        assert found["reply"].endswith(KEPT)
        assert "itchen light" in found["reply"]
        code, found = await asked(guest, "which doors are unlocked?")
        assert "ront door" not in found["reply"].replace(KEPT, ""), found
        # Nor by reading the home itself, or having it read as a job.
        said = await say(guest, "home", "list", "--on", "downstairs")
        assert said.code == 0, said
        states = {one["id"]: one["state"] for one in said.objects[-1]["entities"]}
        assert (states["lock.front_door"], states["light.kitchen"]) == ("withheld", "on")
        said = await say(guest, "home", "history", "lock.front_door", "--on", "downstairs")
        assert (said.code, said.error["code"]) == (4, "ACCESS_REFUSED"), said
        for args in ([], ['entities=["lock.front_door"]']):
            said = await say(guest, "call", "home.get", *args, "--on", "downstairs")
            assert said.error["code"] == "DENIED", said
        # Who may lock it hears that it is locked, and not how it was.
        for _ in range(2):
            code, found = await asked(resident, "lock the front door")
            assert (code, found["reply"], found["changes"]) == (0, "The front door is locked.", []), found
        assert state_of(lab, "lock.front_door") == "locked"
        # Beside something else that is done, it is not told either.
        code, found = await asked(resident, "turn off the kitchen light and is the front door locked?")
        assert found["reply"].endswith(KEPT), found
        assert (code, state_of(lab, "light.kitchen")) == (1, "off")
        # Nobody can check it: then nobody is told, and what is not of the home is answered.
        medulla = pid_of(lab, "medulla")
        os.kill(medulla, signal.SIGSTOP)
        try:
            code, found = await asked(lab.desk, "is the front door locked?")
            assert (code, found["reasons"][0]["rule"]) == (4, "unchecked"), found
            assert (await asked(lab.desk, "what time is it"))[0] == 0
        finally:
            os.kill(medulla, signal.SIGCONT)
        # Nobody else misses anything.
        code, found = await asked(lab.desk, "is the front door locked?")
        assert (code, found["reply"]) == (0, "Yes"), found
        assert (await asked(guest, "is the bedroom light on?"))[0] == 0
