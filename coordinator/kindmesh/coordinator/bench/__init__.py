"""`kindmesh bench`: what it costs, measured here and now, next to a baseline in the same run."""
