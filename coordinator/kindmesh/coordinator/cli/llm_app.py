"""The commands `llm` with their options; what they do is in `llm_commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import Json, group, run_command

llm = group("Language models that this device hosts: which, what they may be given, and what they may cost.")


@llm.command("list")
def llm_list(as_json: Json = False) -> None:
    """Show the models of this device, where they are, and what may leave the house.

    Example: kindmesh llm list
    """
    from kindmesh.coordinator.cli.llm_commands import run_llm_list

    run_command(as_json, run_llm_list)


@llm.command("add")
def llm_add(
    name: Annotated[str, typer.Argument(help="What to call the model here.")],
    *,
    kind: Annotated[str, typer.Option(help="ollama, openai (and all that are compatible) or anthropic.")],
    model: Annotated[str, typer.Option(help="What its provider calls it.")],
    url: Annotated[str, typer.Option(help="Where it is; default: as usual for the kind.")] = "",
    key: Annotated[str, typer.Option(help="Where its key is: env:NAME, keyring:NAME or none.")] = "",
    context: Annotated[int, typer.Option(help="Tokens of question and answer together.")] = 8_192,
    price_in: Annotated[float | None, typer.Option(help="Price of a million tokens of question.")] = None,
    price_out: Annotated[float | None, typer.Option(help="Price of a million tokens of answer.")] = None,
    as_json: Json = False,
) -> None:
    """Add a model to llm.yaml, or change one.

    Example: kindmesh llm add small --kind ollama --model qwen3:8b --context 16384
    """
    from kindmesh.coordinator.cli.llm_commands import run_llm_add

    entry = {"name": model, "context": context, "price_in": price_in, "price_out": price_out}
    provider = {"kind": kind, "url": url, "key": key}
    run_command(as_json, lambda out: run_llm_add(out, name, provider, entry))


@llm.command("key")
def llm_key(
    name: Annotated[str, typer.Argument(help="Its name in the keyring; llm.yaml then says keyring:NAME.")],
    as_json: Json = False,
) -> None:
    """Put a provider's key into the desktop's keyring; it is asked for, or read from standard input.

    Example: kindmesh llm key openai
    """
    from kindmesh.coordinator.cli.llm_commands import run_llm_key

    run_command(as_json, lambda out: run_llm_key(out, name))


@llm.command("test")
def llm_test(
    name: Annotated[str, typer.Argument(help="Which model; default: all.")] = "", as_json: Json = False
) -> None:
    """Ask a model for a few words, and show how long it took and what it cost.

    Example: kindmesh llm test small
    """
    from kindmesh.coordinator.cli.llm_commands import run_llm_test

    run_command(as_json, lambda out: run_llm_test(out, name))


@llm.command("budget")
def llm_budget(as_json: Json = False) -> None:
    """Show what models have cost this month and today, and what is allowed.

    Example: kindmesh llm budget
    """
    from kindmesh.coordinator.cli.llm_commands import run_llm_budget

    run_command(as_json, run_llm_budget)


__all__ = ["llm"]
