"""Each command has an example in its help, with options that it has; and only the command that is typed is made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from kindmesh.coordinator.cli.main import app, program

EXAMPLE = re.compile(r"^ *(?:Example: )?(kindmesh .*)$", re.MULTILINE)


def commands(command: Any, path: tuple[str, ...] = ("kindmesh",)) -> Iterator[tuple[str, Any]]:
    """Each command that is shown, with what is typed for it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, one in inner.items():
        if not one.hidden:
            yield from commands(one, (*path, name))


WHOLE: Any = typer.main.get_command(app)
EVERY = dict(commands(WHOLE))


@pytest.mark.parametrize("typed", EVERY)
def test_the_help_of_each_command_has_an_example_that_can_be_typed(typed: str) -> None:
    command = EVERY[typed]
    text = command.help or ""
    examples = EXAMPLE.findall(text[text.find("Example") :])
    assert examples, f"{typed} --help shows no example"
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    for example in examples:
        words = shlex.split(example)
        group = typed.rpartition(" ")[0]  # its first command may be left out: kindmesh events
        assert example.startswith(typed) or (group != "kindmesh" and example.startswith(group)), example
        used = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}
        assert used <= known, f"{example}: there is no {', '.join(sorted(used - known))}"


@pytest.mark.parametrize("typed", EVERY)
def test_what_is_typed_is_read_as_if_all_commands_had_been_made(typed: str) -> None:
    first, *others = typed.split()[1:]
    found = program([first, *others])
    assert list(found.commands) == [first]
    for word in (first, *others):
        found = found.commands[word]
    assert [one.opts for one in found.params] == [one.opts for one in EVERY[typed].params]
    assert found.help == EVERY[typed].help


@pytest.mark.parametrize("typed", [[], ["--help"], ["nodse"], ["-x", "nodes"]])
def test_where_no_command_comes_first_all_of_them_are_there_to_be_named(typed: list[str]) -> None:
    assert list(program(typed).commands) == list(WHOLE.commands)
