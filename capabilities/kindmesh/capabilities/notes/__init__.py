"""A file of notes on this device: the smallest operation that changes something."""
