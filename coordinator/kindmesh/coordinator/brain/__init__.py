"""Where plans are judged: Medulla, the independent reviewer, is a process of its own."""
