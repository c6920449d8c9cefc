"""A language model of one device, used by another, through the real mesh: coordinator, Medulla, two nodes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.model_server import Reply, model_server, ollama_says
from tests.system.kit import PATIENCE_S, mesh, say, until
from tests.system.test_ask import ROOMS, allow_home, asked, state_of

from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.files import private_folder
from kindmesh.protocol.guards import FIRST_GUARDS
from kindmesh.protocol.manifest import HARMLESS, Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.roles import FIRST_ROLES
from kindmesh.protocol.signed import signed_to_bytes

RIDDLE = "which soup would suit a rainy evening best"
ANSWERS = [
    {"say": "A thick lentil soup.", "when": RIDDLE, "times": 0},
    {"say": "The kettle is on.", "when": "kettle", "times": 0},
    {"say": "one two three", "times": 0},
]
ASK = 'messages=[{"role": "user", "text": "Is the kettle on?"}]'


def set_up(device: Device, answers: list[dict[str, Any]], judge: list[dict[str, Any]] | None = None) -> None:
    """As `kindmesh llm add` does, before the device joins: what it then asks to be granted includes the models."""
    folder = device.home.node
    private_folder(folder.parent)
    private_folder(folder)
    settings: dict[str, Any] = {
        "providers": {"script": {"kind": "scripted", "answers": answers}},
        "models": {"small": {"provider": "script", "name": "script", "context": 65_536}},
    }
    if judge is not None:
        settings["providers"]["other"] = {"kind": "scripted", "answers": judge}
        settings["models"]["judge"] = {"provider": "other", "name": "other", "context": 65_536}
        settings["second"] = "judge"
    (folder / "llm.yaml").write_text(json.dumps(settings))


async def test_a_model_on_one_device_answers_the_others_and_only_where_it_is_set_up(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "hall") as lab:
        set_up(lab.device("kitchen"), ANSWERS)
        kitchen = await lab.add("kitchen")
        offers: list[dict[str, Any]] = lab.ask("capabilities")
        assert {one["device_name"] for one in offers if one["capability"] == "llm"} == {"kitchen"}

        answer = await say(lab.desk, "call", "llm.chat", ASK)
        assert answer.code == 0, answer
        value = answer.objects[-1]["value"]
        assert (value["text"], value["model"], value["local"]) == ("The kettle is on.", "small", True)
        quick = await say(lab.devices["hall"], "call", "llm.chat", ASK, "--session", "--on", "kitchen")
        assert quick.objects[-1]["value"]["text"] == "The kettle is on.", quick
        target = tmp_path / "said.txt"
        streamed = await say(
            lab.desk,
            "stream",
            "llm.stream",
            'messages=[{"role": "user", "text": "count"}]',
            "--output",
            str(target),
        )
        assert (streamed.code, target.read_text()) == (0, "one two three"), streamed
        # What may leave the house, and cost something, is another operation, and that needs the owner's yes.
        outside = await say(lab.desk, "call", "llm.chat_outside", ASK, "--timeout", "3")
        assert outside.code != 0
        assert "The kettle" not in str(outside.objects)
        wrong = await say(lab.desk, "call", "llm.chat", 'messages=[{"role": "boss", "text": "x"}]')
        assert (wrong.code, wrong.error["code"], wrong.error["field"]) == (2, "INVALID_INPUT", "messages")
        # What no grammar understands goes to the model.
        asked = await say(lab.desk, "ask", RIDDLE)
        assert "A thick lentil soup." in str(asked.objects), asked
        listed = await say(kitchen, "llm", "list")
        assert [one["name"] for one in listed.objects[-1]["models"]] == ["small"]
        tested = await say(kitchen, "llm", "test")
        assert tested.objects[-1]["models"][0]["text"] == "one two three"


FILM = "get the flat ready for film night"
PLANNED: list[dict[str, Any]] = [
    {"name": "home__control",
     "arguments": {"service": "light.turn_off", "entities": ["light.kitchen", "light.bedroom"]}},
    {"name": "home__control", "arguments": {"service": "light.turn_on", "entities": ["light.counter"]}},
    {"name": "finish", "arguments": {"say": "Dark, but for one lamp."}},
]  # fmt: skip
PLANS: list[dict[str, Any]] = [
    {"when": f"request:\n{FILM}", "times": 0,
     "calls": [{"name": "home__get", "arguments": {"entities": ["light.bedroom"]}}]},
    {"when": "this is look1", "times": 0, "calls": PLANNED},
]  # fmt: skip


async def test_a_plan_of_a_model_is_carried_out_at_the_homes_of_its_things_after_a_yes(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path / "lab", KINDMESH_NODE_CAPABILITIES="device,home,llm") as lab:
        set_up(lab.device("upstairs"), PLANS)
        for name in ROOMS:
            await lab.add(name)
        await lab.alive("desk", *ROOMS)
        allow_home(lab, "home.load")
        for name, inventory in ROOMS.items():
            wish = {"operation": "home.load", "args": {"inventory": inventory}, "target": name, "wait": True}
            assert lab.ask("submit", wish)["state"] == "succeeded"
        assert (await asked(lab.desk, "turn off the counter lamp"))[0] == 0

        # In words, with each thing by its name, and nothing is done.
        shown = await say(lab.desk, "plan", FILM)
        found = shown.objects[-1]
        assert (found["outcome"], found["verdict"], found["run"]) == ("planned", "ask", ""), found
        lines = [line for line in found["lines"] if line[:1].isdigit()]
        assert lines == [
            "1. turn off the kitchen light and the bedroom light", "2. turn on the counter lamp (after 1)",
        ]  # fmt: skip
        assert "$value" not in str(found["lines"])
        assert state_of(lab, "light.kitchen") == "on"

        # It waits for a yes; then each step is done where its things are, and read back.
        async with watching(lab.desk.home.socket("coordinator")) as events:
            asking = asyncio.create_task(asked(lab.desk, FILM))
            answered: set[str] = set()
            while len(answered) < 3:
                waiting = await until(
                    events,
                    lambda event: event.get("state") == "waiting_approval" and event["job"] not in answered,
                )
                yes = await say(lab.desk, "review", waiting["job"], typed="yes\n")
                assert yes.code == 0, yes
                answered.add(waiting["job"])
            code, found = await asking
        assert (code, found["outcome"]) == (0, "done"), found
        assert {(one["entity"], one["after"]) for one in found["changes"]} == {
            ("light.kitchen", "off"), ("light.bedroom", "off"), ("light.counter", "on"),
        }  # fmt: skip
        assert [state_of(lab, one) for one in ("light.kitchen", "light.bedroom", "light.counter")] == [
            "off", "off", "on",
        ]  # fmt: skip


def allow_outside(lab: Lab) -> None:
    """The owner's policy lets sentences go to models outside the house without a question."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    rules = (
        Rule("*", int(HARMLESS), "allow"),
        Rule("llm.chat_outside", int(Effect.READ | Effect.SPEND), "allow"),
    )
    version = lab.ask("status")["policy_version"] + 1
    policy = Policy(owner.mesh, version, SystemClock().now_ms(), rules, FIRST_ROLES, FIRST_GUARDS)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


async def test_a_sentence_goes_to_a_model_outside_only_where_the_owner_allowed_it_in_both_places(
    tmp_path: Path,
) -> None:
    async with model_server() as far, mesh(tmp_path / "lab", KINDMESH_NODE_CAPABILITIES="device,llm") as lab:
        far.replies = [Reply(ollama_says("Lentils."))]
        settings: dict[str, Any] = {
            "providers": {"far": {"kind": "ollama", "url": far.url}},
            "models": {
                "big": {"provider": "far", "name": "m:1b-cloud", "context": 65_536, "price_in": 1, "price_out": 1},
            },
            "budget": {"currency": "EUR", "month": 5},
        }  # fmt: skip
        folder = lab.device("kitchen").home.node
        private_folder(folder.parent)
        private_folder(folder)
        (folder / "llm.yaml").write_text(json.dumps(settings))
        await lab.add("kitchen")
        await lab.alive("desk", "kitchen")

        async def said() -> str:
            return str((await say(lab.desk, "ask", RIDDLE)).objects[-1]["reply"])

        # Nowhere allowed, then on the device only, then in the policy only: nothing leaves the house.
        assert "outside the house" in await said()
        (folder / "llm.yaml").write_text(json.dumps({**settings, "outside": ["text", "home"]}))
        assert "outside the house" in await said()
        allow_outside(lab)
        (folder / "llm.yaml").write_text(json.dumps({**settings, "outside": ["text"]}))
        assert "outside the house" in await said()
        assert far.asked == []
        # In both places: it is asked, with what was said, and its words are the answer.
        (folder / "llm.yaml").write_text(json.dumps({**settings, "outside": ["text", "home"]}))
        assert "Lentils." in await said()
        assert len(far.asked) == 1
        assert RIDDLE in json.dumps(far.asked[0].body)


DARK = "make film night begin and turn off the kitchen light"
DARKER = [
    {"when": f"request:\n{DARK}", "times": 0, "calls": [
        {"name": "home__control", "arguments": {"service": "light.turn_off", "entities": ["light.kitchen"]}},
        {"name": "finish", "arguments": {"say": "Dark."}},
    ]},
]  # fmt: skip
DOUBT = "The whole kitchen would be dark."
OPINIONS = [
    {"say": json.dumps({"verdict": "allow", "why": ""})},
    {"say": json.dumps({"verdict": "deny", "why": DOUBT})},
    {"say": json.dumps({"verdict": "ask", "why": DOUBT})},
    {"say": "Sure, go ahead!"},
]


async def test_a_second_model_may_only_make_it_worse_and_is_asked_about_at_the_step(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", KINDMESH_NODE_CAPABILITIES="device,home,llm") as lab:
        set_up(lab.device("upstairs"), DARKER, OPINIONS)
        for name in ROOMS:
            await lab.add(name)
        await lab.alive("desk", *ROOMS)
        allow_home(lab, "home.load", "home.control")
        for name, inventory in ROOMS.items():
            wish = {"operation": "home.load", "args": {"inventory": inventory}, "target": name, "wait": True}
            assert lab.ask("submit", wish)["state"] == "succeeded"

        code, found = await asked(lab.desk, DARK)
        assert (code, found["outcome"], found["verdict"]) == (0, "done", "allow"), found
        assert state_of(lab, "light.kitchen") == "off"

        code, found = await asked(lab.desk, DARK)
        assert (code, found["outcome"], found["verdict"]) == (4, "refused", "deny"), found
        assert DOUBT in found["reply"]
        assert [one["rule"] for one in found["reasons"]] == ["second"]

        # The plan is sent back once for a doubt; the model has no other, so a person is asked, at the step.
        assert (await asked(lab.desk, "turn on the kitchen light"))[0] == 0
        async with watching(lab.desk.home.socket("coordinator")) as events:
            asking = asyncio.create_task(asked(lab.desk, DARK))
            waiting = await until(events, lambda event: event.get("state") == "waiting_approval")
            shown = await say(lab.desk, "review", "explain", waiting["job"])
            assert DOUBT in str(shown.objects[-1]["reasons"]), shown
            assert state_of(lab, "light.kitchen") == "on"
            yes = await say(lab.desk, "review", waiting["job"], typed="yes\n")
            assert yes.code == 0, yes
            code, found = await asking
        assert (code, found["outcome"]) == (0, "done"), found

        # An answer that cannot be used is no yes.
        planned = (await say(lab.desk, "plan", DARK)).objects[-1]
        assert (planned["verdict"], planned["reasons"][0]["rule"]) == ("ask", "second"), planned


async def test_a_second_model_that_is_away_is_missed_also_after_a_restart(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", KINDMESH_NODE_CAPABILITIES="device,home,llm") as lab:
        set_up(lab.device("downstairs"), DARKER)
        set_up(lab.device("upstairs"), DARKER, OPINIONS[:1])
        for name in ROOMS:
            await lab.add(name)
        await lab.alive("desk", *ROOMS)
        allow_home(lab, "home.load", "home.control")
        wish = {"operation": "home.load", "target": "downstairs", "wait": True}
        job = lab.ask("submit", {**wish, "args": {"inventory": ROOMS["downstairs"]}})
        assert job["state"] == "succeeded"
        # Nothing was planned yet: it is known all the same, and missed once it is gone.
        await known(lab, "ok")
        await lab.devices["upstairs"].kill()
        await lab.desk.down()
        await lab.desk.up()
        await lab.alive("desk", "downstairs")
        (doctor,) = await known(lab, "warn")
        assert doctor["message"] == "What other models plan waits for a yes: judge on upstairs is not there."
        code, found = await asked(lab.desk, DARK, "--wait", "2")
        assert (code, found["outcome"], found["verdict"]) == (6, "unanswered", "ask"), found
        assert "judge on upstairs does not answer" in found["reasons"][0]["message"]
        assert state_of(lab, "light.kitchen") == "on"
        # It is back, and its owner does without a second reviewer: nobody is missed any more.
        set_up(lab.devices["upstairs"], DARKER)
        await lab.devices["upstairs"].up()
        assert await known(lab) == []
        code, found = await asked(lab.desk, DARK)
        assert (code, found["outcome"], state_of(lab, "light.kitchen")) == (0, "done", "off"), found
        # One that left the mesh is not missed either.
        await lab.devices["upstairs"].down()
        set_up(lab.devices["upstairs"], DARKER, OPINIONS[:1])
        await lab.devices["upstairs"].up()
        await known(lab, "ok")
        await lab.devices["upstairs"].kill()
        await known(lab, "warn")
        assert (await say(lab.desk, "revoke", "upstairs", "--yes")).code == 0
        assert await known(lab) == []


async def known(lab: Lab, level: str = "") -> list[dict[str, Any]]:
    """What `doctor` says of the second reviewer, once that is as grave as `level`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            findings = (await say(lab.desk, "doctor")).objects[-1]["findings"]
            told = [one for one in findings if one["check"] == "second reviewer"]
            if {one["level"] for one in told} == ({level} if level else set()):
                return told
