"""Numbers of a run: percentiles by nearest rank, rates, ratios."""

from __future__ import annotations

from typing import Any

import msgspec


class Sample(msgspec.Struct):
    """What one row collects over all rounds: seconds per request, seconds in all, CPU seconds of all processes."""

    name: str
    took: list[float] = []
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, took: list[float], wall_s: float, cpu_s: float) -> None:
        """One more round."""
        self.took += took
        self.wall_s += wall_s
        self.cpu_s += cpu_s


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0..1) of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-int(share * len(ordered) * 1_000_000) // 1_000_000))
    return ordered[min(rank, len(ordered)) - 1]


def row(sample: Sample, base: Sample, *, payload: int, inflight: int, nodes: int) -> dict[str, Any]:
    """A row as `bench roundtrip --json` gives it; ratios are to `base` in the same run."""
    p50, per_s = percentile(sample.took, 0.5), len(sample.took) / sample.wall_s
    base_p50, base_per_s = percentile(base.took, 0.5), len(base.took) / base.wall_s
    return {
        "name": sample.name,
        "payload": payload,
        "inflight": inflight,
        "nodes": nodes,
        "requests": len(sample.took),
        "p50_us": round(p50 * 1e6, 1),
        "p99_us": round(percentile(sample.took, 0.99) * 1e6, 1),
        "per_s": round(per_s, 1),
        "cpu_us": round(sample.cpu_s / len(sample.took) * 1e6, 1),
        "ratio_p50": round(p50 / base_p50, 3),
        "ratio_per_s": round(per_s / base_per_s, 3),
    }


__all__ = ["Sample", "percentile", "row"]
