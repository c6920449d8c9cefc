"""The data of the languages, one module each; see `language`."""
