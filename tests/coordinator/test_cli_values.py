"""What is text already is taken as it is: the same values and the same errors as typer's own, and a library less."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

from kindmesh.coordinator.cli.plain_values import take_text_as_it_is

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
below = typer.Typer(rich_markup_mode=None)
app.add_typer(below, name="below")


@app.command()
def say(
    name: Annotated[str, typer.Argument()],
    words: Annotated[list[str] | None, typer.Argument()] = None,
    where: Annotated[str | None, typer.Option()] = None,
    tag: Annotated[list[str] | None, typer.Option()] = None,
    times: Annotated[int, typer.Option(min=1, max=9)] = 3,
    wait: Annotated[float, typer.Option(min=1)] = 2.0,
    file: Annotated[Path, typer.Option()] = Path("letter.txt"),
    other: Annotated[Path | None, typer.Option()] = None,
    kind: Annotated[Literal["warm", "cold"], typer.Option()] = "warm",
    shout: Annotated[str, typer.Option(parser=str.upper)] = "so",
    loud: Annotated[bool, typer.Option("--loud")] = False,
    quiet: Annotated[bool | None, typer.Option("--quiet/--not-quiet")] = None,
) -> None:
    typer.echo(repr(locals()))


@below.command()
def deep(
    text: Annotated[str, typer.Option()] = "", number: Annotated[int | None, typer.Option()] = None
) -> None:
    typer.echo(repr(locals()))


@below.command()
def deeper(pair: Annotated[tuple[str, int], typer.Option()] = ("one", 1)) -> None:
    typer.echo(repr(locals()))


LINES = [
    "say anna", "say anna one two", "say anna --where here --tag a --tag b", "say anna --times 9 --wait 1.5",
    "say anna --file /tmp --other x --kind cold", "say anna --shout aloud --loud --quiet", "say anna --not-quiet",
    "say", "say anna --times ten", "say anna --times 10", "say anna --wait 0", "say anna --kind hot",
    "say anna --where", "say anna -- --loud", "say --help", "below", "below deep", "below deep --text  --number 4",
    "below deep --number x", "below deeper", "below deeper --pair two 2", "below deeper --pair two two", "nothing",
]  # fmt: skip


def understood(line: str, capsys: pytest.CaptureFixture[str], *, plain: bool) -> tuple[object, str, str]:
    """How the command ended and what it wrote: its values, or what is wrong with them."""
    command = typer.main.get_group(app)
    if plain:
        take_text_as_it_is(command)
    with pytest.raises(SystemExit) as left:
        command.main(line.split(" "), prog_name="test")
    shown = capsys.readouterr()
    return left.value.code, shown.out, shown.err


@pytest.mark.parametrize("line", LINES)
def test_a_line_means_what_it_means_to_typer(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    mine = understood(line, capsys, plain=True)
    assert mine == understood(line, capsys, plain=False)
    assert mine[1] or mine[2]


@pytest.mark.parametrize(
    "line", ["nodes --json", "init --name x", "up", "join -", "pair", "ask turn it on", "call a {}"]
)
def test_a_short_command_does_without_the_library(line: str, kindmesh_home: Path) -> None:
    code = (
        "import json, sys\n"
        "from kindmesh.coordinator.cli.main import program\n"
        "words = json.loads(sys.argv[1])\n"
        "command = program(words)\n"
        "command.commands[words[0]].make_context(words[0], words[1:])\n"
        "print(json.dumps('pydantic' in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(line.split())], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) is False
