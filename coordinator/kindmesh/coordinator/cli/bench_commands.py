"""`bench`: measure, and print the figures with their method."""

from __future__ import annotations

import asyncio

from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table


def run_bench_roundtrip(out: Output, payload: int, inflight: int, nodes: int, requests: int) -> int:
    """Calls and jobs against the raw floor."""
    from kindmesh.coordinator.bench.roundtrip import run_roundtrip

    found = asyncio.run(
        run_roundtrip(payload=payload, inflight=inflight, nodes=nodes, requests=requests, note=out.progress)
    )
    headings = ["ROW", "P50 us", "P99 us", "PER S", "CPU us", "P50 x FLOOR", "PER S x FLOOR"]
    rows = [
        [
            row["name"],
            f"{row['p50_us']:.0f}",
            f"{row['p99_us']:.0f}",
            f"{row['per_s']:.0f}",
            f"{row['cpu_us']:.0f}",
            f"{row['ratio_p50']:.2f}",
            f"{row['ratio_per_s']:.2f}",
        ]
        for row in [*found["rows"], *found["also"]]
    ]
    out.result(
        found,
        *table(headings, rows),
        "",
        f"{payload} bytes, {inflight} in flight, {nodes} node(s), {found['rows'][0]['requests']} requests a row "
        f"in {found['rounds']} rounds, all rows in turn.",
    )
    return EXIT_DONE


def run_bench_footprint(out: Output) -> int:
    """Memory and start-up time."""
    from kindmesh.coordinator.bench.footprint import run_footprint

    found = asyncio.run(run_footprint(out.progress))
    parts = ", ".join(f"{name} {value} MiB" for name, value in found["parts_pss_mib"].items())
    out.result(
        found,
        f"A bare node imports in {found['import_ms']:.0f} ms (median) and idles at {found['idle_rss_mib']} MiB (RSS).",
        f"The coordinator with Medulla takes {found['coordinator_pss_mib']} MiB (PSS: {parts}).",
    )
    return EXIT_DONE


def run_bench_discovery(out: Output, runs: int) -> int:
    """How soon a device is there, is missed, is back."""
    from kindmesh.coordinator.bench.discovery import run_discovery

    found = asyncio.run(run_discovery(runs, out.progress))
    rows = [
        [name, f"{one['median']:.2f}", f"{one['max']:.2f}", str(one["runs"])] for name, one in found.items()
    ]
    out.result(found, *table(["WHAT", "MEDIAN s", "MAX s", "RUNS"], rows))
    return EXIT_DONE


def run_bench_pairing(out: Output, runs: int) -> int:
    """From the QR code to the first job."""
    from kindmesh.coordinator.bench.pairing import run_pairing

    found = asyncio.run(run_pairing(runs, out.progress))
    rows = [
        [name, f"{one['median']:.2f}", f"{one['max']:.2f}"] for name, one in found.items() if name != "runs"
    ]
    out.result(found, *table(["WHAT", "MEDIAN s", "MAX s"], rows), f"{runs} devices, one after the other.")
    return EXIT_DONE


def run_bench_ask(out: Output, count: int) -> int:
    """Sentences and jobs."""
    from kindmesh.coordinator.bench.ask import run_ask

    found = asyncio.run(run_ask(count, out.progress))
    rows = [
        [
            row["name"],
            str(row["count"]),
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['max_ms']:.1f}",
        ]
        for row in found["rows"]
    ]
    said = "met" if found["met"] else "missed"
    out.result(
        found,
        *table(["ROW", "COUNT", "P50 ms", "P95 ms", "MAX ms"], rows),
        "",
        f"{found['entities']} things on two nodes, all rows in turn. Target for ask: p95 <= "
        f"{found['target_p95_ms']:.0f} ms: {said}.",
    )
    return EXIT_DONE


__all__ = [
    "run_bench_ask",
    "run_bench_discovery",
    "run_bench_footprint",
    "run_bench_pairing",
    "run_bench_roundtrip",
]
