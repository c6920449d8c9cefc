"""One case, judged: may this operation, with these effects, be done on that device now?

`Case` holds every fact a rule may look at; `RULES` is the list, each a function from a case to a `Finding` or nothing.
All rules are heard, the worst answer wins (deny > ask > allow), and only findings of that severity are reported. A rule
can only make the answer worse: with no rules everything is allowed, so whoever adds a rule never opens a door, and
facts that are missing are refused by the rule that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.cedar import Ruled
from kindmesh.coordinator.brain.medulla.counts import Counted
from kindmesh.coordinator.brain.medulla.evidence import Prover
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.manifest import HARMLESS, effect_names
from kindmesh.protocol.messages.jobs import Priority, is_alert
from kindmesh.protocol.permit import Isolation
from kindmesh.protocol.policy import SEVERITY, Answer
from kindmesh.protocol.roles import Rights, missing
from kindmesh.protocol.stream_spec import StreamBounds
from kindmesh.protocol.utterance_evidence import ArgumentLabel


class Case(msgspec.Struct, frozen=True):
    """Facts, none of them the coordinator's word except `operation` and `priority` (which only alerts profit from).

    `target`: the certificate Medulla issued, None when there is none; `revoked`: it, or its holder, was removed;
    `declared`: effects by the device's own signed advert, None when it does not offer the operation; `effects`: those
    with what the planner added; `policy`: the owner's policy on operation and effects; `approved`: the owner signed yes
    to exactly this; `now_ms`: UTC; `rights`: what who asks may do at most, None: unbounded; `problem`: why it may do
    nothing; `data_classes`: as the device declares them; `purpose`: what it is asked for; `asker`: the
    name of who asks, for the reasons; `held`: two devices use the identity of the target, or of the device that asks;
    `chain`: why the permit that a sub-run names as its parent does not fit;
    `stream`: the bounds of the stream that is wanted, None: a job; `streams`: the most that the device declares;
    `foreign`: what goes, opens or runs by a value that the plan itself says the web, a device or a model made;
    `doubts`: sentences that were said against it ahead;
    `unsettled`: why the proven words of who asks are not enough where the owner's policy lets them be, None: they are
    not looked at; `evidence`: why what shall prove where values came from does not hold; `prover`: which words are
    proven; `labels` of the parts of the arguments, as they count; `beyond`: the owner's bounds (quiet hours, rates,
    spending, places) that this goes beyond; `counted`: what they look back at once it is permitted, None: nothing;
    `ruled`: what the owner's rules in Cedar say of it, None: there are none, or none may hold it up.
    """

    operation: str
    target: Certificate | None
    revoked: bool
    declared: int | None
    effects: int
    isolation: Isolation
    policy: Answer
    approved: bool
    now_ms: int
    priority: Priority = "interactive"
    rights: Rights | None = None
    problem: str = ""
    data_classes: tuple[str, ...] = ()
    purpose: str = "household"
    asker: str = ""
    held: bool = False
    chain: str = ""
    stream: StreamBounds | None = None
    streams: StreamBounds | None = None
    evidence: str = ""
    prover: Prover = Prover()
    labels: tuple[ArgumentLabel, ...] = ()
    unsettled: tuple[str, ...] | None = None
    beyond: tuple[Reason, ...] = ()
    counted: Counted | None = None
    foreign: tuple[Reason, ...] = ()
    doubts: tuple[str, ...] = ()
    ruled: Ruled | None = None


class Finding(msgspec.Struct, frozen=True):
    """What one rule has against it: `answer` is ask or deny, `reason` a sentence for a person."""

    rule: str
    answer: Answer
    reason: str


class Judgement(msgspec.Struct, frozen=True):
    """The worst answer and the findings that make it."""

    answer: Answer
    findings: tuple[Finding, ...] = ()


Rule = Callable[[Case], Finding | None]


def member(case: Case) -> Finding | None:
    """The target is a member: certified by Medulla, not removed."""
    if case.revoked:
        return Finding("member", "deny", "this device was removed from the mesh")
    if case.target is None:
        return Finding("member", "deny", "this device is no member of the mesh")
    return None


def current(case: Case) -> Finding | None:
    """The target's certificate is within its time; an alert reaches it even so."""
    if case.target is None or is_alert(case.priority, case.effects):
        return None
    if case.now_ms > case.target.expires_ms:
        return Finding(
            "current", "deny", f"the certificate of {case.target.name} has ended; it renews when it connects"
        )
    if case.now_ms < case.target.not_before_ms - CLOCK_SKEW_MS:
        return Finding("current", "deny", f"the certificate of {case.target.name} is not valid yet")
    return None


def offered(case: Case) -> Finding | None:
    """The target itself said, signed, that it offers the operation."""
    if case.target is not None and case.declared is None:
        return Finding("offered", "deny", f"{case.target.name} does not offer {case.operation}")
    return None


def granted(case: Case) -> Finding | None:
    """The owner granted the capability to the target, with all of the effects."""
    if case.target is None:
        return None
    capability = case.operation.partition(".")[0]
    allowed = case.target.granted(capability)
    if not allowed:
        return Finding("granted", "deny", f"{case.target.name} was not granted {capability}")
    beyond = case.effects & ~allowed
    if beyond:
        words = ", ".join(effect_names(beyond))
        return Finding("granted", "deny", f"{capability} on {case.target.name} was not granted: {words}")
    return None


def isolated(case: Case) -> Finding | None:
    """Beyond read and notify only when Medulla is isolated from the coordinator."""
    if case.isolation == "none" and case.effects & ~HARMLESS:
        beyond = ", ".join(effect_names(case.effects & ~HARMLESS))
        return Finding(
            "isolated",
            "deny",
            f"Medulla is not isolated on this system, so nothing may be allowed that does: {beyond}",
        )
    return None


def asker(case: Case) -> Finding | None:
    """Who asks may do this: a person by role and terms, what acts for a person by its delegation too."""
    if case.problem:
        return Finding("asker", "deny", case.problem)
    if case.rights is None:
        return None
    lacking = missing(case.rights, case.operation, case.effects, case.data_classes, case.purpose)
    if lacking:
        return Finding("asker", "deny", f"{case.asker or 'who asks'} was not given: {'; '.join(lacking)}")
    return None


def held(case: Case) -> Finding | None:
    """An identity that two devices use may read and notify, whoever agreed to more: nobody knows which one is real."""
    if case.held and case.effects & ~HARMLESS:
        beyond = ", ".join(effect_names(case.effects & ~HARMLESS))
        reason = f"two devices use one identity, so until the owner chooses nothing may be allowed that does: {beyond}"
        return Finding("held", "deny", reason)
    return None


def streamed(case: Case) -> Finding | None:
    """What streams is permitted as a stream, within the device's own bounds, and nothing else is."""
    if case.declared is None:
        return None
    if case.stream is None:
        words = f"{case.operation} only works as a stream: kindmesh stream"
        return Finding("streamed", "deny", words) if case.streams is not None else None
    if case.streams is None:
        return Finding("streamed", "deny", f"{case.operation} does not stream")
    if not 0 < case.stream.duration_ms <= case.streams.duration_ms:
        return Finding("streamed", "deny", f"a stream of {case.operation} may not last that long")
    if not 0 < case.stream.data_bytes <= case.streams.data_bytes:
        return Finding("streamed", "deny", f"a stream of {case.operation} may not carry that much")
    return None


def chained(case: Case) -> Finding | None:
    """A sub-run's permit hangs on one that Medulla itself signed, for the same principal and purpose."""
    return Finding("chained", "deny", case.chain) if case.chain else None


def evidenced(case: Case) -> Finding | None:
    """What is shown as evidence holds: who shows a word that nobody said, or another's, or that of another run, is
    believed nothing."""
    return Finding("evidence", "deny", case.evidence) if case.evidence else None


def policy(case: Case) -> Finding | None:
    """The owner's policy; what it asks about, the owner's own signed yes settles, and where the owner said so the
    proven words of who asks. What nobody declared (and `offered`
    or `member` denies) it does not judge.
    """
    if case.declared is None:
        return None
    if case.policy == "deny":
        words = ", ".join(effect_names(case.effects))
        return Finding("policy", "deny", f"the owner's policy forbids {case.operation} ({words})")
    if case.policy == "ask" and not case.approved and case.unsettled != ():
        words = ", ".join(effect_names(case.effects))
        why = f"; {case.unsettled[0]}" if case.unsettled else ""
        return Finding("policy", "ask", f"the owner's policy asks before: {words}{why}")
    return None


def cedar(case: Case) -> Finding | None:
    """The owner's rules in Cedar; what they ask about, a yes to exactly this settles."""
    said = case.ruled
    if said is None or said.answer == "allow" or (said.answer == "ask" and case.approved):
        return None
    return None if case.declared is None else Finding("cedar", said.answer, said.reason)


def bounded(case: Case) -> Finding | None:
    """The bounds that the owner set beside the rules; a yes to exactly this settles them."""
    if case.approved or not case.beyond:
        return None
    said = "; ".join(dict.fromkeys(reason.message for reason in case.beyond))
    return Finding(case.beyond[0].rule, "ask", said)


def trusted(case: Case) -> Finding | None:
    """Whatever the policy allows: who gets it, where it goes, what is opened or run never comes from the web, a device
    or a model without a person's yes."""
    found = [reason for reason in case.foreign if reason.answer == "deny" or not case.approved]
    if not found:
        return None
    worst = max(found, key=lambda reason: SEVERITY[reason.answer])
    return Finding(worst.rule, worst.answer, worst.message)


def doubted(case: Case) -> Finding | None:
    """What was said against it when the plan was reviewed, or by a second reviewer; it can only make it ask."""
    if case.approved or not case.doubts:
        return None
    return Finding("doubt", "ask", "; ".join(dict.fromkeys(case.doubts)))


RULES: Final[tuple[Rule, ...]] = (
    member,
    current,
    offered,
    granted,
    isolated,
    held,
    asker,
    chained,
    streamed,
    evidenced,
    policy,
    cedar,
    bounded,
    trusted,
    doubted,
)
"""All rules; the order is that of the reasons."""


def judge(case: Case, rules: tuple[Rule, ...] = RULES) -> Judgement:
    """The worst of what all `rules` say about `case`."""
    findings = [finding for finding in [rule(case) for rule in rules] if finding is not None]
    if not findings:
        return Judgement("allow")
    worst = max(SEVERITY[finding.answer] for finding in findings)
    kept = tuple(finding for finding in findings if SEVERITY[finding.answer] == worst)
    return Judgement(kept[0].answer, kept)


__all__ = ["RULES", "Case", "Finding", "Judgement", "Rule", "judge"]
