"""The desk where a sentence becomes an act: understood, reviewed, run, read back, answered."""
