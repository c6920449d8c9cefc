"""The command line: the same words for people and programs, `--json` everywhere, nothing heavy before it is needed."""
