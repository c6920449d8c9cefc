"""The recogniser of what people say to a home; see `recogniser.py` and `answers.py`.

clause --read--> Meaning --resolve--> entities --acts--> Act per operation and service
"""

from kindmesh.coordinator.brain.cortex.intents.answers import answer
from kindmesh.coordinator.brain.cortex.intents.recogniser import HomeIntents

__all__ = ["HomeIntents", "answer"]
