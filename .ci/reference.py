"""The pages of docs/reference that are derived from the code, each a function that gives a page's text.

They import our modules and read what is declared there (the error tree, the manifests, the message tables, the
bounds), so a page can only say what the program does.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import diagrams
import diagrams_parts
import diagrams_runs
import msgspec
import reference_home
import typer

NOTE = "<!-- Generated from the code by `just docs`; edit the code instead. -->\n\n"
ROOT = Path(__file__).resolve().parent.parent
EXACT_MAX = 2**53


def prose(text: str | None) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split()).removeprefix("See the module. ")


def table(head: tuple[str, ...], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
        + "\n"
    )


def type_name(annotation: Any) -> str:
    """A type as a reader wants it: `bytes (32)`, `int 0..604800000`, `a, b or c`, `list of Signed (at most 64)`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(args[0]) + "".join(
            bounds(meta, args[0]) for meta in args[1:] if isinstance(meta, msgspec.Meta)
        )
    if origin is Literal:
        return ", ".join(args[:-1]) + f" or {args[-1]}"
    if origin in (Union, UnionType):
        kinds = [type_name(kind) for kind in args if kind is not type(None)]
        return " or ".join([*kinds, "nothing"] if type(None) in args else kinds)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"list of {type_name(args[0])}"
        return f"[{', '.join(map(type_name, args))}]"
    if origin is dict:
        return f"map of {type_name(args[0])} to {type_name(args[1])}"
    return str(getattr(annotation, "__name__", annotation))


def bounds(meta: msgspec.Meta, kind: Any) -> str:
    """What a field's declaration adds to its type; the bound that only keeps numbers exact in JSON is left out."""
    if meta.max_length is not None:
        exact = meta.min_length == meta.max_length
        return f" ({meta.max_length:,})" if exact else f" (at most {meta.max_length:,})"
    if meta.pattern is not None:
        return f" (`{meta.pattern}`)"
    low = "" if meta.ge is None else f"{meta.ge:,}"
    high = "" if meta.le is None or meta.le == EXACT_MAX else f"{meta.le:,}"
    return f" {low}..{high}" if high or low not in ("", "0") else " from 0" if low and kind is int else ""


def struct_fields(struct: type[msgspec.Struct]) -> str:
    """The fields of a struct in the order of the wire."""
    fields = msgspec.structs.fields(struct)
    rows = ((str(place), f"`{field.name}`", type_name(field.type)) for place, field in enumerate(fields))
    return table(("", "Field", "Type"), rows)


def errors() -> str:
    """Error codes."""
    tree = importlib.import_module("kindmesh.protocol.errors")
    rows = (
        (f"`{code}`", f"`{cls.__name__}`", prose(cls.__doc__), cls.default_hint)
        for code, cls in sorted(tree.ERRORS.items())
    )
    return (
        "# Error codes\n\n"
        "Every refusal and failure has one of these codes. They are stable: scripts may rely on them. With `--json`\n"
        "an error is `{code, message, hint, field}`; the meaning below is the default, the real message names the\n"
        "particulars. A code that this version does not know keeps its name.\n\n"
        + table(("Code", "Class", "Meaning", "What to do"), rows)
    )


def limits() -> str:
    """Sizes, depths and times."""
    module = importlib.import_module("kindmesh.protocol.limits")
    body = ast.parse(inspect.getsource(module)).body
    rows = []
    for place, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        after = body[place + 1] if place + 1 < len(body) else None
        said = after.value if isinstance(after, ast.Expr) else None
        note = prose(said.value) if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
        value = getattr(module, node.target.id)
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        rows.append((f"`{node.target.id}`", shown, note))
    return (
        "# Limits\n\nBytes unless the name says otherwise; `_MS` is milliseconds. Not configurable: two devices\n"
        "must agree on them.\n\n" + table(("Name", "Value", ""), rows)
    )


def capabilities() -> str:
    """What devices can do."""
    registry = importlib.import_module("kindmesh.capabilities.registry")
    words = importlib.import_module("kindmesh.protocol.manifest")
    parts = [
        "# Capabilities\n\nAn operation is called as `kindmesh call NAME field=value ...`. *Effects* are what it does\n"
        "to the world; all but read and notify need the owner's yes under the first policy. *Repeatable* means that\n"
        "doing it twice is the same as doing it once, so it may move to another device when one dies.\n\n"
    ]
    for entry in registry.ENTRIES:
        manifest = registry.manifest_of(entry)
        needs = f" Needs `pip install 'kindmesh[{entry.extra}]'`." if entry.extra else ""
        parts.append(f"## {manifest.capability}: {manifest.title}\n\nVersion {manifest.version}.{needs}\n\n")
        for operation in manifest.operations:
            effects = ", ".join(words.effect_names(operation.effects))
            parts.append(
                f"### `{operation.name}`\n\n{operation.title}. Effects: {effects}. "
                f"{'Repeatable' if operation.idempotent else 'Not repeatable'}. "
                f"At most {operation.limits.timeout_ms / 1000:g} s, {operation.limits.max_concurrent} at once"
                f"{'. Also as a session call' if operation.session_call else ''}.\n\n"
            )
            rows = [("in", *field_row(field, words)) for field in operation.input]
            rows += [("out", *field_row(field, words)) for field in operation.output]
            parts.append(table(("", "Field", "Type", "", "Bounds"), rows) if rows else "")
    effects = table(
        ("Effect", "What it does"), ((e.name.lower(), text) for e, text in words.EFFECT_WORDS.items())
    )
    return "".join(parts) + "## Effects\n\n" + effects


def field_row(field: Any, words: Any) -> tuple[str, str, str, str]:
    """Name, type, title and bounds of a manifest's field."""
    bounds = [f"one of {', '.join(field.choices)}"] if field.choices else []
    if field.minimum is not None or field.maximum is not None:
        low = "" if field.minimum is None else f"{field.minimum:g}"
        high = "" if field.maximum is None else f"{field.maximum:g}"
        bounds.append(f"{low}..{high}")
    if field.type == "text" and not field.choices:
        bounds.append(f"at most {field.max_length} characters")
    if field.default:
        bounds.append(f"default `{msgspec.json.encode(msgspec.msgpack.decode(field.default)).decode()}`")
    elif not field.required:
        bounds.append("optional")
    kind = f"list of {field.items}" if field.type == "list" else field.type
    return f"`{field.name}`", kind, field.title, "; ".join(bounds)


def permits() -> str:
    """Permits and what they are bound to."""
    permit = importlib.import_module("kindmesh.protocol.permit")
    refusals = inspect.cleandoc(permit.check_permit.__doc__ or "")
    return (
        f"# Permits\n\n{inspect.cleandoc(permit.__doc__ or '')}\n\n## Fields\n\n"
        f"{prose(permit.Permit.__doc__)}\n\n{struct_fields(permit.Permit)}"
        f"## `check_permit`\n\n```text\n{refusals}\n```\n"
    )


def messages() -> str:
    """Message types and their bodies."""
    module = importlib.import_module("kindmesh.protocol.messages")
    envelope = importlib.import_module("kindmesh.protocol.envelope")
    parts = [
        f"# Messages\n\n## Envelope header\n\n{prose(envelope.Header.__doc__)}\n\n{struct_fields(envelope.Header)}",
        "## In signed envelopes\n\n",
    ]
    for number, body in module.BODIES.items():
        parts.append(
            f"### {number.value} {number.name}: `{body.__name__}`\n\n{prose(body.__doc__)}\n\n{struct_fields(body)}"
        )
    parts.append("## In session frames\n\n")
    for number, body in module.SESSION_BODIES.items():
        parts.append(
            f"### {number.value} {number.name}: `{body.__name__}`\n\n{prose(body.__doc__)}\n\n{struct_fields(body)}"
        )
    return "".join(parts)


def configuration() -> str:
    """Settings."""
    module = importlib.import_module("kindmesh.node.config")
    defaults = module.Config()
    parts = [
        "# Configuration\n\nEvery setting has a default, so a device needs no file. Where there is one, it is\n"
        "`config.toml` in the state folder (`KINDMESH_HOME`), or in `~/.config/kindmesh` when the state folder is\n"
        "the usual one. The environment overrides the file: `KINDMESH_<SECTION>_<KEY>`, for example\n"
        "`KINDMESH_MESH_PORT=7438`; lists are separated by commas. A mistake is an error that names file, line and\n"
        "what was probably meant.\n\n"
    ]
    for section in msgspec.structs.fields(module.Config):
        values = getattr(defaults, section.name)
        rows = []
        for field in msgspec.structs.fields(section.type):
            shown = msgspec.json.encode(getattr(values, field.name)).decode()
            rows.append((f"`{field.name}`", type_name(field.type), f"`{shown}`"))
        said = prose(section.type.__doc__).removeprefix(f"`[{section.name}]`: ")
        parts.append(
            f"## `[{section.name}]`\n\n{said[:1].upper()}{said[1:]}\n\n{table(('Key', 'Type', 'Default'), rows)}"
        )
    return "".join(parts)


def help_text(root: Any, path: tuple[str, ...]) -> str:
    """What a command prints for `--help` where 80 columns fit."""
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        root.main([*path, "--help"], prog_name="kindmesh", standalone_mode=False, terminal_width=80)
    return shown.getvalue()


def commands() -> str:
    """The command line, as its own help says."""
    app = importlib.import_module("kindmesh.coordinator.cli.main").app
    # Made once; typer's own runner makes all of it anew for each single page of help.
    root: Any = typer.main.get_command(app)
    parts = [
        "# Commands\n\nAs `--help` says it. Every command takes `--json`; then standard output holds JSON only. The\n"
        "state folder is `KINDMESH_HOME`, or the usual place.\n\n"
    ]
    said = inspect.cleandoc(importlib.import_module("kindmesh.coordinator.cli.output").__doc__ or "").split(
        "\n\n"
    )
    exits = "\n".join(line.removeprefix("    ") for line in said[-1].splitlines())
    parts.append(f"## Exit codes\n\n```text\n{exits}\n```\n\n")
    waiting: list[tuple[str, ...]] = [()]
    for path in waiting:
        command = root
        for word in path:
            command = command.commands[word]
        inside = getattr(command, "commands", {})
        waiting += [(*path, name) for name in inside if not inside[name].hidden]
        text = "\n".join(line.rstrip() for line in help_text(root, path).strip().splitlines())
        parts.append(f"## {' '.join(('kindmesh', *path))}\n\n```text\n{text}\n```\n\n")
    return "".join(parts)


def states() -> str:
    """The state machines."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    drawings = {**diagrams.DRAWINGS, **diagrams_parts.PARTS, **diagrams_runs.RUNS}
    machines = next(contract["source_modules"] for contract in contracts if contract["id"] == "pure-machines")
    parts = [
        "# States\n\nEverything that decides over time is a pure state machine: an event and a time go in,\n"
        "instructions come out. A pair of state and event that has no place in a machine's table is an error with\n"
        "the story so far. These are the machines, in the words with which their files open.\n\n"
        "The drawings, and the tables below them, are not written by hand: a program told each machine every event\n"
        "in every state that it can reach, and noted where it went (`.ci/diagrams.py`).\n\n"
    ]
    for name in machines:
        file = "/".join([name.split(".")[1], *name.split(".")]) + ".py"
        said = inspect.cleandoc(importlib.import_module(name).__doc__ or "")
        parts.append(
            f"## {name.removeprefix('kindmesh.')}\n\n[`{file}`](../../{file})\n\n```text\n{said}\n```\n\n"
        )
        if name in drawings:
            parts.append(drawings[name]())
    return "".join(parts)


def topics() -> str:
    """The topics of events."""
    module = importlib.import_module("kindmesh.protocol.topics")
    events = importlib.import_module("kindmesh.protocol.messages.events")
    registry = importlib.import_module("kindmesh.capabilities.registry")
    declared = [
        topic for entry in registry.ENTRIES for topic in module.declared_topics(registry.manifest_of(entry))
    ]
    rows = (
        (
            f"`{topic.name}`",
            topic.title,
            ", ".join(f"`{field.name}`{'' if field.required else ' (optional)'}" for field in topic.fields),
            "yes" if topic.durable else "",
            topic.data_class,
            topic.publisher,
        )
        for topic in [*module.TOPICS, *declared]
    )
    return (
        f"# Topics of events\n\n```text\n{inspect.cleandoc(events.__doc__ or '')}\n```\n\n"
        "## Who may publish what\n\n"
        f"{' '.join(inspect.cleandoc(module.__doc__ or '').split(chr(10) * 2)[1].split())}\n\n"
        + table(("Topic", "When", "Data", "Durable", "About", "Published by"), rows)
        + "## The labels of an event\n\n"
        + struct_fields(events.Labels)
    )


def home() -> str:
    """The inventory file and the services."""
    return reference_home.page(table)


PAGES = {
    "topics": topics,
    "commands": commands,
    "states": states,
    "configuration": configuration,
    "errors": errors,
    "limits": limits,
    "capabilities": capabilities,
    "home": home,
    "permits": permits,
    "messages": messages,
}
