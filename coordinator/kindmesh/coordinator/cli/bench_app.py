"""The commands `bench` with their options; what they do is in the `bench_*` modules."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import Json, group, run_command

bench = group("Measure Kindmesh on this machine, next to a baseline in the same run.")


@bench.command()
def roundtrip(
    payload: Annotated[int, typer.Option(min=0, max=65_536, help="Bytes of text there and back.")] = 100,
    inflight: Annotated[int, typer.Option(min=1, max=256, help="Requests under way at once.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, max=16, help="Nodes that serve.")] = 1,
    requests: Annotated[int, typer.Option(min=8, max=1_000_000, help="Requests of each kind.")] = 2_000,
    as_json: Json = False,
) -> None:
    """Session calls and durable jobs against raw pyzmq: latency, throughput, CPU, ratios.

    Example: kindmesh bench roundtrip --requests 500
    """
    from kindmesh.coordinator.cli.bench_commands import run_bench_roundtrip

    run_command(as_json, lambda out: run_bench_roundtrip(out, payload, inflight, nodes, requests))


@bench.command()
def footprint(as_json: Json = False) -> None:
    """Memory of a bare node and of the coordinator with Medulla, and import time.

    Example: kindmesh bench footprint
    """
    from kindmesh.coordinator.cli.bench_commands import run_bench_footprint

    run_command(as_json, run_bench_footprint)


@bench.command()
def discovery(
    runs: Annotated[int, typer.Option(min=2, max=100, help="How often it is killed.")] = 5,
    as_json: Json = False,
) -> None:
    """How soon a device is there, is missed after kill -9, and is back.

    Example: kindmesh bench discovery --runs 3
    """
    from kindmesh.coordinator.cli.bench_commands import run_bench_discovery

    run_command(as_json, lambda out: run_bench_discovery(out, runs))


@bench.command()
def pairing(
    runs: Annotated[int, typer.Option(min=1, max=50, help="How many devices are paired.")] = 5,
    as_json: Json = False,
) -> None:
    """From the invitation being shown to the first job's result on the new device.

    Example: kindmesh bench pairing --runs 3
    """
    from kindmesh.coordinator.cli.bench_commands import run_bench_pairing

    run_command(as_json, lambda out: run_bench_pairing(out, runs))


@bench.command(name="heart")
def bench_heart(
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: a minute instead of several.")] = False,
    jobs: Annotated[int, typer.Option(min=0, max=10_000_000, help="Jobs over which memory is watched.")] = 0,
    finished: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="Finished jobs in the journals at a start.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """The figures that the Heart is held to: met or missed, and how each was measured.

    Example: kindmesh bench heart --quick --row cancel --row move
    """
    from kindmesh.coordinator.cli.bench_heart import run_bench_heart

    run_command(
        as_json, lambda out: run_bench_heart(out, row or [], quick=quick, jobs=jobs, finished=finished)
    )


@bench.command(name="ask")
def bench_ask(
    count: Annotated[int, typer.Option(min=10, max=100_000, help="Sentences, and raw jobs.")] = 200,
    as_json: Json = False,
) -> None:
    """From a sentence to the confirmed state, next to the raw job of the same operation.

    Example: kindmesh bench ask --count 100 --json
    """
    from kindmesh.coordinator.cli.bench_commands import run_bench_ask

    run_command(as_json, lambda out: run_bench_ask(out, count))


__all__ = ["bench"]
