"""The Cortex: from what a person says to a typed plan, and from what became of it to an answer. See `terms`."""
