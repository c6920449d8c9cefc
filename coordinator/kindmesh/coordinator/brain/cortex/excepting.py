"""What is left out of a command: "all the lights except the lamp", "turn the fan off but leave the heater on"."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kindmesh.coordinator.brain.cortex.own.phrase import Phrase
from kindmesh.coordinator.brain.cortex.split import excepted, leaves
from kindmesh.coordinator.brain.cortex.terms import Recognised

Read = Callable[[Phrase], tuple[Recognised, ...]]
"""What a clause means; empty: nothing."""


def excepting(phrase: Phrase, read: Read) -> tuple[Recognised, ...]:
    """ "All the lights except the lamp", "... but leave the lamp on": the same without what is kept."""
    divided = excepted(phrase.words, phrase.language)
    if divided is None:
        return ()
    before, kept = divided
    whole = read(phrase.with_words(before))
    if len(whole) != 1 or not whole[0].acts or whole[0].question:
        return ()
    named: list[Recognised] = []
    for way in kept:
        found = [next((one for words in each if (one := read(phrase.with_words(words)))), ()) for each in way]
        if all(found):
            named = [one for several in found for one in several]
            break
    left_out = {one for part in named for act in part.acts for one in act.args.get("entities", ())}
    everything = {one for act in whole[0].acts for one in act.args.get("entities", ())}
    if left_out and not left_out & everything and leaves(phrase.words[len(before) :], phrase.language):
        # "Turn the fan off but leave the heater on": the heater was never meant.
        return whole
    # What is kept and was never meant is a misunderstanding.
    if not left_out or not left_out < everything:
        return ()
    spoken = tuple(word.at for word in phrase.plain)
    acts = tuple(
        msgspec.structs.replace(
            act,
            args={**act.args, "entities": [one for one in act.args["entities"] if one not in left_out]},
            words={**act.words, "entities": spoken},
        )
        for act in whole[0].acts
    )
    acts = tuple(act for act in acts if act.args["entities"])
    about = tuple(one for one in whole[0].entities if one not in left_out)
    return (msgspec.structs.replace(whole[0], acts=acts, entities=about),)


__all__ = ["Read", "excepting"]
