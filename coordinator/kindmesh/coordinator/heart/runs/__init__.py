"""Runs: plans executed durably. Start reading in `run_words`, then `run_machine`, then `runs`."""
