"""Pure formats and rules of the mesh: no IO, no clock, no randomness."""
