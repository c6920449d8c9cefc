"""A whole mesh on one machine, as real processes: what the demo, the benchmarks and the system tests run on."""
