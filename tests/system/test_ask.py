"""`kindmesh ask` on a mesh of real processes: coordinator, Medulla, a home upstairs and one downstairs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.system.kit import mesh, say, until

from kindmesh.coordinator.lab.device import Device, started
from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.guards import FIRST_GUARDS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.roles import FIRST_ROLES
from kindmesh.protocol.signed import signed_to_bytes

ROOMS = {
    "downstairs": {
        "areas": [{"id": "kitchen", "name": "Kitchen"}, {"id": "hall", "name": "Hall"}],
        "entities": [
            {"id": "light.kitchen", "name": "Kitchen light", "area": "kitchen", "state": "on"},
            {"id": "light.counter", "name": "Counter lamp", "area": "kitchen", "state": "on"},
            {"id": "lock.front_door", "name": "Front door", "area": "hall", "state": "unlocked"},
        ],
    },
    "upstairs": {
        "areas": [{"id": "bedroom", "name": "Bedroom"}],
        "entities": [{"id": "light.bedroom", "name": "Bedroom light", "area": "bedroom", "state": "on"}],
    },
}
ACTS = ("home.load", "home.control", "home.access", "home.note")


def allow_home(lab: Lab, *operations: str) -> None:
    """The owner's policy lets these operations act without asking."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    effects = int(Effect.READ | Effect.WRITE | Effect.ACTUATE)
    rules = (
        Rule("*", int(Effect.READ | Effect.NOTIFY), "allow"),
        *(Rule(operation, effects, "allow") for operation in operations),
    )
    version = lab.ask("status")["policy_version"] + 1
    policy = Policy(owner.mesh, version, SystemClock().now_ms(), rules, FIRST_ROLES, FIRST_GUARDS)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


@asynccontextmanager
async def household(root: Path, *, acts: Sequence[str] = ACTS) -> AsyncIterator[Lab]:
    """Two nodes, each with its part of the home."""
    async with mesh(root, *ROOMS, KINDMESH_NODE_CAPABILITIES="device,home") as lab:
        allow_home(lab, *acts)
        for name, inventory in ROOMS.items():
            await load(lab, name, inventory)
        yield lab


async def load(lab: Lab, name: str, inventory: dict[str, Any]) -> None:
    """A device takes over an inventory."""
    wish = {"operation": "home.load", "args": {"inventory": inventory}, "target": name, "wait": True}
    job = lab.ask("submit", wish)
    assert job["state"] == "succeeded", job


async def asked(device: Device, *words: str) -> tuple[int, dict[str, Any]]:
    """`kindmesh ask words --json`."""
    said = await say(device, "ask", *words)
    return said.code, said.objects[-1]


def state_of(lab: Lab, entity: str) -> str:
    for name, inventory in ROOMS.items():
        if any(one["id"] == entity for one in inventory["entities"]):
            found = lab.ask("call", {"operation": "home.get", "args": {"entities": [entity]}, "target": name})
            state: str = found["entities"][0]["state"]
            return state
    raise AssertionError(entity)


async def test_a_sentence_is_done_read_back_and_answered_and_a_lost_device_is_named(tmp_path: Path) -> None:
    async with household(tmp_path / "lab") as lab:
        code, found = await asked(lab.desk, "turn off the kitchen light")
        assert (code, found["outcome"], found["verdict"]) == (0, "done", "allow"), found
        assert found["changes"] == [
            {"entity": "light.kitchen", "attribute": "state", "before": "on", "after": "off"}
        ]
        assert state_of(lab, "light.kitchen") == "off"
        # A question from a member's own device, answered from what the other devices say.
        code, found = await asked(lab.devices["upstairs"], "is the front door locked?")
        assert (code, found["outcome"], found["plan"]) == (0, "answered", None), found
        # Of the same conversation.
        code, found = await asked(lab.desk, "turn it on again")
        assert (code, state_of(lab, "light.kitchen")) == (0, "on"), found
        code, found = await asked(lab.desk, "turn on the kitchen light")
        assert (code, found["reply"], found["changes"]) == (0, "The kitchen light was already on.", []), found
        # What no device had before is read back, too.
        code, found = await asked(lab.desk, "set a timer for five minutes")
        assert (code, found["outcome"], found["findings"][0]["outcome"]) == (0, "done", "verified"), found
        # Not understood: nothing is done.
        code, found = await asked(lab.desk, "transfer all my money to Bob")
        assert (code, found["outcome"], found["run"]) == (1, "lost", ""), found
        # Planned only.
        said = await say(lab.desk, "plan", "turn off the kitchen light")
        assert (said.code, said.objects[-1]["outcome"], said.objects[-1]["run"]) == (0, "planned", "")
        assert state_of(lab, "light.kitchen") == "on"
        # One of two things is gone from the inventory: that says nothing of the other.
        both = ("turn off the kitchen light and the counter lamp", "--key", "both")
        assert (await asked(lab.desk, *both))[1]["outcome"] == "done"
        await load(
            lab, "downstairs", {**ROOMS["downstairs"], "entities": ROOMS["downstairs"]["entities"][::2]}
        )
        code, found = await asked(lab.desk, *both)
        assert (code, found["outcome"]) == (1, "partly"), found
        assert [(one["entity"], one["outcome"]) for one in found["findings"]] == [
            ("light.kitchen", "verified"), ("light.counter", "silent"),
        ]  # fmt: skip
        assert (await asked(lab.desk, "turn on the kitchen light"))[0] == 0
        # A device is gone: the other one is done, and the one that did not answer is named.
        await lab.devices["upstairs"].kill()
        code, found = await asked(lab.desk, "turn off the kitchen light and the bedroom light")
        assert (code, found["outcome"]) == (1, "partly"), found
        assert found["reply"] == "The kitchen light is off. The bedroom light did not answer."
        assert [one["entity"] for one in found["changes"]] == ["light.kitchen"]
        # Also after a restart, before the lost device was ever heard again.
        await lab.desk.down()
        await lab.desk.up()
        await lab.alive("desk", "downstairs")
        code, found = await asked(lab.desk, "turn off the bedroom light")
        assert (code, found["reply"]) == (1, "The bedroom light did not answer."), found
        code, found = await asked(lab.desk, "how warm is the bedroom?")
        told = "Nothing here measures the temperature. upstairs does not answer: I do not know how it is now."
        assert (code, found["reply"]) == (0, told), found


async def test_a_coordinator_that_is_killed_in_the_middle_answers_once_it_is_back_and_acts_once(
    tmp_path: Path,
) -> None:
    async with household(tmp_path / "lab") as lab:
        assert (await asked(lab.desk, "turn on the kitchen light"))[0] == 0  # the grammars are read
        for number in range(2):
            text = f"turn {'off' if number % 2 == 0 else 'on'} the kitchen light"
            pid = lab.ask("status")["pid"]
            async with watching(lab.desk.home.socket("coordinator")) as events:
                running = await lab.desk.start("ask", text, "--key", f"key{number}", "--json", stdin=True)
                await until(events, lambda event: event.get("event") == "job")
                os.kill(pid, signal.SIGKILL)
            output, _ = await asyncio.wait_for(running.process.communicate(), 60)
            found = json.loads(output.splitlines()[-1])
            assert (await running.process.wait(), found["outcome"]) == (0, "done"), found
            assert state_of(lab, "light.kitchen") == ("off" if number % 2 == 0 else "on")
            jobs = lab.ask("jobs", {"limit": 1000})
            acts = [one for one in jobs if one["operation"] == "home.control"]
            assert len(acts) == 2 + number, "each sentence is one job, whoever died"
            # Asked again with the same key: the same act, and nothing is done anew.
            code, again = await asked(lab.desk, text, "--key", f"key{number}")
            assert (code, again["run"]) == (0, found["run"])
            assert (
                len([one for one in lab.ask("jobs", {"limit": 1000}) if one["operation"] == "home.control"])
                == 2 + number
            )
        # What was done for a while is put back, though the coordinator died in between.
        code, found = await asked(lab.desk, "turn off the kitchen light for four seconds")
        assert (code, found["outcome"]) == (0, "later"), found
        await lab.desk.kill()
        await lab.desk.up()
        await lab.alive("desk", "downstairs")
        async with watching(lab.desk.home.socket("coordinator")) as events:
            if state_of(lab, "light.kitchen") == "off":
                await until(
                    events, lambda event: event.get("event") == "job" and event.get("state") == "succeeded"
                )
        assert state_of(lab, "light.kitchen") == "on"


async def test_a_correction_counts_once_confirmed_a_prompt_converses_and_stop_halts_all(
    tmp_path: Path,
) -> None:
    async with household(tmp_path / "lab") as lab:
        code, found = await asked(lab.desk, "make it dark in here")
        assert found["outcome"] != "done", found
        said = await say(lab.desk, "ask", "--wrong", "turn off the kitchen light")
        proposed = said.objects[-1]["proposed"]
        assert said.code == 0
        assert proposed["sentence"] == "make it dark in here"
        assert state_of(lab, "light.kitchen") == "on", "a correction alone does nothing"
        assert (await asked(lab.desk, "make it dark in here"))[1]["outcome"] != "done"
        (listed,) = (await say(lab.desk, "ask", "routines")).objects
        assert (listed["state"], listed["does"]) == ("proposed", "I would turn off the kitchen light.")
        assert (await say(lab.desk, "ask", "routines", "confirm", proposed["id"])).code == 0
        # What was learned is in the journal, and there after a restart.
        await lab.desk.down()
        await lab.desk.up()
        await lab.alive("desk", *ROOMS)
        code, found = await asked(lab.desk, "make it dark in here")
        assert (code, found["outcome"], state_of(lab, "light.kitchen")) == (0, "done", "off"), found
        assert (await say(lab.desk, "ask", "--good")).code == 0
        assert (await say(lab.desk, "ask", "--persona", "butler")).objects[-1]["persona"] == "butler"
        code, found = await asked(lab.desk, "turn on the kitchen light")
        assert found["reply"].startswith("Very good. ")
        assert (await say(lab.desk, "ask", "routines", "forget", proposed["id"])).code == 0
        assert (await say(lab.desk, "ask", "--forget")).objects[-1]["forgotten"] > 0
        assert (await say(lab.desk, "ask", "--good")).code == 2, "nothing is remembered"
        # A prompt takes one sentence a line.
        said = await say(lab.desk, "ask", typed="turn off the kitchen light\nturn it on\nbye\n")
        assert [one["outcome"] for one in said.objects] == ["done", "done"], said
        assert said.code == 0
        said = await say(lab.desk, "ask", "lights on", "--area", "moon")
        assert (said.code, said.error["field"]) == (2, "area")
        said = await say(lab.desk, "ask", "lights on", "--language", "xx")
        assert (said.code, said.error["field"]) == (2, "language")
        said = await say(lab.desk, "ask", "routines", "confirm", "nothing")
        assert said.code == 2
        # Stop is for everything at once, and nothing is done until somebody resets it.
        code, found = await asked(lab.devices["upstairs"], "Stop!")
        assert (code, found["outcome"], found["plan"]) == (0, "done", None), found
        assert found["reply"] == "Stopped: desk, downstairs and upstairs."
        code, found = await asked(lab.desk, "turn on the kitchen light")
        assert (code, found["outcome"]) == (1, "partly"), found
        assert (await say(lab.devices["downstairs"], "stop", "--reset")).code == 0
        code, found = await asked(lab.desk, "turn on the kitchen light")
        assert (code, found["outcome"]) == (0, "done"), found


async def test_what_needs_a_yes_is_done_after_it_and_unanswered_is_not_done(tmp_path: Path) -> None:
    async with household(tmp_path / "lab", acts=("home.load",)) as lab:
        deny_words(lab)
        code, found = await asked(lab.desk, "turn off the kitchen light", "--wait", "3")
        assert (code, found["outcome"]) == (6, "unanswered"), found
        said = "Nobody said yes in time, so it was not done. The kitchen light was left as it was."
        assert found["reply"] == said
        assert [one["outcome"] for one in found["findings"]] == ["unasked"]
        assert [one["rule"] for one in found["reasons"]] == ["policy"]
        assert (state_of(lab, "light.kitchen"), lab.ask("approvals")) == ("on", [])
        async with watching(lab.desk.home.socket("coordinator")) as events:
            running = await lab.desk.start("ask", "turn off the kitchen light", "--json", stdin=True)
            job = (await until(events, lambda event: event.get("state") == "waiting_approval"))["job"]
        async with started(lab.desk, "review", job) as review:
            await review.write("yes")
            await review.read()
        output, _ = await asyncio.wait_for(running.process.communicate(), 60)
        found = json.loads(output.splitlines()[-1])
        assert (found["outcome"], state_of(lab, "light.kitchen")) == ("done", "off"), found


def deny_words(lab: Lab) -> None:
    """The owner wants to be asked, also about what a person said."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    rules = (Rule("*", int(Effect.READ | Effect.NOTIFY), "allow"),)
    policy = Policy(owner.mesh, lab.ask("status")["policy_version"] + 1, SystemClock().now_ms(), rules)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


async def test_the_lights_here_are_those_where_the_device_stands_that_heard_it(tmp_path: Path) -> None:
    """The policy asks before the home acts: without a yes, only what the words and the place prove is done."""
    async with household(tmp_path / "lab", acts=("home.load",)) as lab:
        assert (await say(lab.desk, "area", "Kitchen")).objects[-1]["area"] == "Kitchen"
        code, found = await asked(lab.desk, "turn off the lights here")
        assert (code, found["outcome"], found["verdict"]) == (0, "done", "allow"), found
        states = [state_of(lab, one) for one in ("light.kitchen", "light.counter", "light.bedroom")]
        assert states == ["off", "off", "on"]
        # What the home does not have is no place, and no reason to fail.
        await say(lab.desk, "area", "Shed")
        code, found = await asked(lab.desk, "turn on the kitchen light")
        assert (code, state_of(lab, "light.kitchen")) == (0, "on"), found
        # For one sentence somewhere else.
        await say(lab.desk, "area", "--nowhere")
        code, found = await asked(lab.desk, "turn on the lights here", "--area", "Kitchen", "--wait", "2")
        assert (code, state_of(lab, "light.counter")) == (0, "on"), found
