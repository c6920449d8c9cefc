"""Heart: durable jobs, where each is done and why, and how each of them ended."""
