"""A plan by a language model, for what the grammars do not understand: bounded, labelled, and checked like any
other."""
