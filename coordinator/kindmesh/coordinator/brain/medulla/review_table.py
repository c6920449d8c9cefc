"""The rules by name: what each looks at, and what would make the plan allowed. For explanations and for the docs."""

from __future__ import annotations

from typing import Final

import msgspec


class RuleWords(msgspec.Struct, frozen=True):
    """`about`: what the rule holds, in one sentence; `remedy`: what would make it content."""

    about: str
    remedy: str


TABLE: Final[dict[str, RuleWords]] = {
    "check": RuleWords(
        "a plan that could not run is not judged", "correct the plan: kindmesh run --dry FILE names the field"
    ),
    "known": RuleWords(
        "operations, values and labels are declared by a device",
        "use an operation that a device offers (kindmesh capabilities), with the values it takes",
    ),
    "unseen": RuleWords(
        "a plan made while another runs is not agreed to unseen", "write the inner plan into the plan"
    ),
    "policy": RuleWords(
        "the owner's policy allows, asks or forbids by operation and effect",
        "say yes once (kindmesh review), or change the policy (kindmesh policy allow)",
    ),
    "cedar": RuleWords(
        "the owner's rules in Cedar: what no rule permits, or one forbids, is not done",
        "change the rules (kindmesh policy show, check, load), or say yes once where they ask",
    ),
    "asker": RuleWords(
        "nobody does more than their role; children and guests less", "let the owner ask for it"
    ),
    "consent": RuleWords(
        "values serve the purpose and reach the readers that people agreed to",
        "ask whom the value belongs to",
    ),
    "sink": RuleWords(
        "who gets it, where it goes, what is run or opened comes from the person's words or the address book",
        "say the name, address or device in the request, or add it to the address book",
    ),
    "amount": RuleWords("a number with an effect is one that was said", "say the number, with its unit"),
    "spend": RuleWords(
        "money stays within the owner's bounds, per plan and per day, and nothing is paid twice",
        "say yes once, or raise [spend] in the policy",
    ),
    "asked-for": RuleWords(
        "each step with an effect is meant by the words", "say what shall be done, or leave the step out"
    ),
    "said": RuleWords(
        "text that is written or sent is mostly the person's own, without addresses nobody said",
        "say it in the request",
    ),
    "loop": RuleWords("a step repeats as often as the words support", "say all, or how many"),
    "influence": RuleWords(
        "text from outside, or a model, decides no effect",
        "leave the condition out, or let a person decide (ask)",
    ),
    "two-of-three": RuleWords(
        "untrusted input, private data and an outward effect do not meet",
        "leave one of the three out, or say yes once",
    ),
    "egress": RuleWords(
        "data goes only to places that the owner named", "add the place to [egress] in the policy"
    ),
    "quiet-hours": RuleWords("some effects ask at some hours", "wait, or say yes once"),
    "rate": RuleWords("nothing is done more often than the owner said", "wait, or say yes once"),
    "presence": RuleWords(
        "what moves, opens, heats or gives medicine is done while somebody is there",
        "be at home, or say yes once",
    ),
    "evidence": RuleWords(
        "who shows words that do not hold is believed nothing", "ask anew, in the same words"
    ),
    "member": RuleWords("the device is a member of the mesh", "pair the device: kindmesh pair"),
    "current": RuleWords("the device's certificate is in force", "connect the device, so that it renews"),
    "offered": RuleWords(
        "the device said, signed, that it offers this", "name another device: kindmesh capabilities"
    ),
    "granted": RuleWords(
        "the owner granted the capability to the device, with its effects", "grant it: kindmesh review"
    ),
    "isolated": RuleWords(
        "nothing beyond reading and notifying while Medulla is not isolated",
        "kindmesh doctor says what is missing",
    ),
    "held": RuleWords(
        "an identity that two devices use does no more than read and notify",
        "say which one is yours: kindmesh review",
    ),
    "streamed": RuleWords("what streams is opened as a stream", "kindmesh stream"),
    "doubt": RuleWords(
        "what was said against a step when its plan was reviewed is put to a person", "say yes once"
    ),
    "second": RuleWords("a second reviewer may only be stricter", "say yes once"),
}

__all__ = ["TABLE", "RuleWords"]
