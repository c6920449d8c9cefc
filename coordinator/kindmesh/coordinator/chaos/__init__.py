"""`kindmesh simulate --real`: a household of real processes, killed and stopped at random while jobs are asked."""
