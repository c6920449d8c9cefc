"""Text to speech: into a file, or out loud."""
