"""Tools of a household and of other systems, and plans over them, for tests of the review."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.brain.medulla.review_facts import Reviewed
from kindmesh.coordinator.cli.review_batch import Reviewer
from kindmesh.coordinator.cli.review_manifests import Tools, tools_from_document

NOW_MS = 1_795_000_000_000


def tool(name: str, title: str, effects: list[str], /, **fields: Any) -> dict[str, Any]:
    """A tool as other systems describe it: a JSON Schema and effects."""
    properties = {field: {"type": kind} if isinstance(kind, str) else kind for field, kind in fields.items()}
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": title, "effects": effects, "parameters": schema}


_HOME = {"service": "string", "entities": "array", "data": "object"}
TOOLS: list[dict[str, Any]] = [
    tool("home.control", "Switch things at home", ["actuate"], **_HOME),
    tool("home.access", "Lock, unlock and open", ["actuate"], **_HOME),
    tool("home.note", "Lists, calendars, timers", ["write"], **_HOME),
    tool("home.get", "States of things", ["read"], entities="array"),
    tool("mail.send", "Send an email", ["write"], to="string", cc="string", subject="string", body="string"),
    tool("mail.list", "List mails", ["sense"], folder="string"),
    tool("web.fetch", "Fetch a web page", ["read"], url="string"),
    tool("web.search", "Search the web", ["read"], query="string"),
    tool(
        "bank.transfer", "Transfer money", ["spend"],
        payee="string", amount="number", currency="string", reference="string",
    ),
    tool("memory.put", "Remember a value", ["write"], key="string", value="string"),
    tool("memory.get", "Recall a value", ["read"], key="string"),
    tool("contacts.find", "Find a person's address", ["read"], name="string"),
    tool("messages.send", "Send a text message", ["notify"], recipient="string", text="string"),
    tool("calendar.create_event", "Create an event", ["write"], title="string", start="string", end="string"),
    tool("calendar.list_events", "List calendar events", ["sense"], day="string"),
    tool("files.delete", "Delete a file", ["write"], path="string"),
    tool("shell.run", "Run a command", ["execute"], command="string"),
    tool("speech.say", "Say something aloud", ["notify"], text="string"),
    tool("camera.snapshot", "Take a picture", ["sense"], camera="string"),
    tool("robot.drive_to", "Drive the robot to a place", ["move"], place="string"),
    tool("shop.order", "Order groceries", ["spend"], item="string", quantity={"type": "integer", "default": 1}),
]  # fmt: skip


def call(operation: str, /, **args: Any) -> dict[str, Any]:
    """A step's `call` and `args`."""
    return {"call": operation, "args": args}


def home(service: str, *entities: Any, op: str = "home.control", **data: Any) -> dict[str, Any]:
    """A step that calls a service of the home."""
    return call(op, service=service, entities=list(entities), **({"data": data} if data else {}))


def plan(*steps: dict[str, Any]) -> dict[str, Any]:
    """A plan of these steps, with ids where they have none."""
    return {"plan": 1, "steps": [{"id": f"s{number}", **step} for number, step in enumerate(steps)]}


def line(text: str, *steps: dict[str, Any], **request: Any) -> dict[str, Any]:
    """One line of a batch."""
    return {"id": text, "plan": plan(*steps), "request": {"text": text, "principal": "owner", **request}}


def reviewer(policy: Any = None, **beside: Any) -> Reviewer:
    """With the tools here; `beside`: an address book, names."""
    tools: Tools = tools_from_document({"manifests": TOOLS, **beside})
    return Reviewer(tools, policy)


def judge(text: str, *steps: dict[str, Any], **request: Any) -> Reviewed:
    """The verdict on one plan, without any history."""
    return reviewer().judge(line(text, *steps, **request), NOW_MS)
