"""A language model of one device, used by another, through the real mesh: coordinator, Medulla, two nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.system.kit import mesh, say

from kindmesh.mesh.files import private_folder

RIDDLE = "which soup would suit a rainy evening best"
ANSWERS = [
    {"say": "A thick lentil soup.", "when": RIDDLE, "times": 0},
    {"say": "The kettle is on.", "when": "kettle", "times": 0},
    {"say": "one two three", "times": 0},
]
SETTINGS = {
    "providers": {"script": {"kind": "scripted", "answers": ANSWERS}},
    "models": {"small": {"provider": "script", "name": "script"}},
}
ASK = 'messages=[{"role": "user", "text": "Is the kettle on?"}]'


async def test_a_model_on_one_device_answers_the_others_and_only_where_it_is_set_up(tmp_path: Path) -> None:
    async with mesh(tmp_path / "lab", "hall") as lab:
        # As `kindmesh llm add` does, before the device joins: what it then asks to be granted includes the models.
        folder = lab.device("kitchen").home.node
        private_folder(folder.parent)
        private_folder(folder)
        (folder / "llm.yaml").write_text(json.dumps(SETTINGS))
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
