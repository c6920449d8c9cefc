"""Each command's help has an example, which names that command and only options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from kindmesh.coordinator.cli.main import app

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


EVERY = dict(commands(typer.main.get_command(app)))


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
