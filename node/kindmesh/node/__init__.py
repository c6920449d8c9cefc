"""The program on a device: checks permits, runs jobs, keeps its own journal, supervises its capabilities."""
