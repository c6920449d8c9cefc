"""Language models: which there are, which may be given what, what they may cost, and how they are asked."""
