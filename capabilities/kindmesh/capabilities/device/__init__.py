"""The device itself: what it is, and a call that only answers."""
