"""Schedules: what is done at certain times, and when something happens."""
