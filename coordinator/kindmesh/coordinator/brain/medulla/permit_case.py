"""What a permit is judged by: a request, and all that Medulla itself knows of who asks, the step, and its values.

Nothing of a case is the coordinator's word alone. Where values came from counts as far as the evidence proves it, what
an operation does as its device declared it, signed (what the planner says can only add to that), the permit above this
one as far as it fits, and the step is laid out for the rules of a review only where something that the owner bounds
could be about it. Pure.
"""

from __future__ import annotations

import msgspec

from kindmesh.coordinator.brain.medulla.asking import Standing, role_of
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.cedar_permit import needs_scene, ruled
from kindmesh.coordinator.brain.medulla.counts import Counted, count_key
from kindmesh.coordinator.brain.medulla.evidence import Ears, Proven, Prover, Wanted, examine
from kindmesh.coordinator.brain.medulla.messages import PermitRequest
from kindmesh.coordinator.brain.medulla.produced import Given, carried, with_results
from kindmesh.coordinator.brain.medulla.review_facts import Facts, Reason
from kindmesh.coordinator.brain.medulla.review_scene import Scene
from kindmesh.coordinator.brain.medulla.review_step import (
    beyond,
    counted_for_ms,
    done_here,
    foreign,
    is_foreign,
    scene_of,
    unsettled,
)
from kindmesh.coordinator.brain.medulla.rule_bounds import presence
from kindmesh.coordinator.brain.medulla.rules import Case
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.guards import Guards, settled_by_words
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages.jobs import is_alert
from kindmesh.protocol.permit_chain import Link, check_link
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.roles import EVERYTHING, matches


def proven_of(beliefs: Beliefs, request: PermitRequest, now_ms: int) -> Proven:
    """What of the labels of this request is proven."""
    author = b"" if request.evidence is None else request.evidence.utterance.author
    fits = request.parent_permit is not None and not _chain_problem(beliefs, request, now_ms)
    wanted = Wanted(
        beliefs.anchors.mesh,
        request.run_id,
        request.principal,
        request.labels,
        request.evidence,
        request.parent_permit if fits else None,
        now_ms,
    )
    found = examine(wanted, beliefs.ears(author) if author else Ears(None), beliefs.utterances)
    if request.evidence is None or not request.evidence.results:
        return found
    given = Given(beliefs.anchors.mesh, request.run_id, request.args, request.labels, now_ms)
    return with_results(found, request.evidence.results, given, beliefs.maker, beliefs.receipts)


def label_of(beliefs: Beliefs, request: PermitRequest, case: Case) -> Carried | None:
    """What is known of where the arguments came from, for whoever gets the permit."""
    if not request.labels:
        # What a person's own signature names is theirs.
        return Carried("user") if request.proof is not None and request.evidence is None else None
    offers = beliefs.offers[request.target]
    operation = offers.operations.get(request.operation)
    return carried(decode_value(request.args), case.labels, operation, offers.names)


def case_of(
    beliefs: Beliefs,
    request: PermitRequest,
    known: tuple[Standing, Proven],
    now_ms: int,
    *,
    approved: bool,
) -> Case:
    """What the rules judge; `known`: what who asks may do, and what is proven; `approved`: a person said yes to it."""
    asker, proven = known
    offers = beliefs.offers.get(request.target)
    declared = offers.effects.get(request.operation) if offers else None
    effects = (declared or 0) | request.effects
    case = Case(
        operation=request.operation,
        target=beliefs.member(request.target),
        revoked=beliefs.is_removed(request.target),
        declared=declared,
        effects=effects,
        isolation=beliefs.isolation,
        policy=beliefs.decide(request.operation, effects),
        approved=approved,
        now_ms=now_ms,
        priority=request.priority,
        rights=asker.rights,
        problem=asker.problem,
        data_classes=offers.classes.get(request.operation, ()) if offers else (),
        purpose=request.purpose,
        asker=request.principal.name,
        chain=_chain_problem(beliefs, request, now_ms),
        held=request.target in beliefs.held or request.principal.device in beliefs.held,
        stream=request.stream,
        streams=offers.streams.get(request.operation) if offers else None,
        evidence=proven.problem,
        prover=proven.prover,
        labels=proven.labels,
        doubts=request.doubts,
    )
    scene = _scene(beliefs, request, effects, known, now_ms)
    if beliefs.rules:
        said = ruled(beliefs, request, effects, known, scene=scene, now_ms=now_ms)
        case = msgspec.structs.replace(case, ruled=said)
    return case if scene is None else _bounded(beliefs, request, case, scene, now_ms)


def _bounded(beliefs: Beliefs, request: PermitRequest, case: Case, scene: Scene, now_ms: int) -> Case:
    """The case with what the owner's bounds say of it, and what they have to count."""
    by_words = settled_by_words(beliefs.policy.guards, request.operation, True)
    lasts_ms = counted_for_ms(scene, by_words=by_words)
    counted = Counted(now_ms + lasts_ms, done_here(scene)) if lasts_ms else None
    if case.approved:
        return msgspec.structs.replace(case, counted=counted, foreign=_foreign(request, scene))
    over = beyond(scene)
    if counted is not None and beliefs.counts.is_full(key_of(request), now_ms):
        over = (*over, Reason("rate", "", "so much was done lately that no more can be counted"))
    words = _unsettled(beliefs, request, case, scene)
    strange = _foreign(request, scene)
    return msgspec.structs.replace(case, counted=counted, beyond=over, unsettled=words, foreign=strange)


def _foreign(request: PermitRequest, scene: Scene) -> tuple[Reason, ...]:
    if not is_foreign(request.labels):
        return ()
    args = decode_value(request.args)
    return foreign(scene, args if isinstance(args, dict) else {}, request.labels)


def key_of(request: PermitRequest) -> bytes:
    """By what a job that is permitted again is known when it is counted."""
    return count_key(request.job_id, request.operation, request.args)


def _unsettled(beliefs: Beliefs, request: PermitRequest, case: Case, scene: Scene) -> tuple[str, ...] | None:
    """Why the proven words are not enough for this, where the owner lets them be; None: the owner does not."""
    prover = case.prover
    # A word that is held back could be a "not".
    if not prover.whole or not settled_by_words(beliefs.policy.guards, request.operation, prover.present):
        return None
    if case.policy != "ask" or not isinstance(decode_value(request.args), dict):
        return None
    return unsettled(scene)


def _concerned(guards: Guards, operation: str, effects: int) -> bool:
    """Whether anything that the owner bounds could be about this operation."""
    if guards.quiet or guards.egress or effects & Effect.SPEND:
        return True
    rated = any(matches(rate.operation, operation) for rate in guards.rates)
    return rated or settled_by_words(guards, operation, True)


def _origin(request: PermitRequest, prover: Prover) -> bytes:
    """What led to the request: the words that were said, which may serve several runs, or else the run."""
    if request.evidence is None or not prover.words:
        return request.run_id
    return sha256(request.evidence.utterance.payload)


def _scene(
    beliefs: Beliefs, request: PermitRequest, effects: int, known: tuple[Standing, Proven], now_ms: int
) -> Scene | None:
    """The step as the rules of a review see it; None where no device declares it, or no bound or rule concerns it."""
    guards = beliefs.policy.guards
    concerned = _concerned(guards, request.operation, effects) or needs_scene(beliefs.rules, effects)
    if not is_foreign(request.labels) and not concerned:
        return None
    return _laid_out(beliefs, request, effects, known, now_ms)


def is_absent(
    beliefs: Beliefs, request: PermitRequest, effects: int, known: tuple[Standing, Proven], now_ms: int
) -> bool:
    """Whether this could hurt somebody or let somebody in, and nobody is known to be there."""
    scene = _laid_out(beliefs, request, effects, known, now_ms)
    return scene is None or any(presence(scene))


def _laid_out(
    beliefs: Beliefs, request: PermitRequest, effects: int, known: tuple[Standing, Proven], now_ms: int
) -> Scene | None:
    asker, proven = known
    guards, prover = beliefs.policy.guards, proven.prover
    offers = beliefs.offers.get(request.target)
    operation = offers.operations.get(request.operation) if offers else None
    if operation is None:
        return None
    args = decode_value(request.args)
    facts = Facts(
        operations={operation.name: operation},
        policy=beliefs.decide,
        guards=guards,
        prover=prover,
        principal="",
        name=request.principal.name,
        role=role_of(beliefs, request.principal),
        rights=asker.rights or EVERYTHING,
        present=prover.present,
        purpose=request.purpose,
        names=beliefs.names(request.target),
        area=(prover.area,) if prover.area else (),
        now_ms=now_ms,
        minute=(now_ms + beliefs.offset_ms) // 60_000 % 1_440,
        emergency=is_alert(request.priority, effects),
        ledger=beliefs.counts.ledger(key_of(request), now_ms),
        run=_origin(request, prover),
    )
    # What is no set of values is refused by the device.
    return scene_of(operation, effects, args if isinstance(args, dict) else {}, proven.labels, facts)


def _chain_problem(beliefs: Beliefs, request: PermitRequest, now_ms: int) -> str:
    """Why the permit above this one does not fit, or empty."""
    shown = request.parent_permit
    if not request.parent and shown is None:
        return ""
    if not request.parent or shown is None:
        return "the permit above this one was not shown, or is not named"
    mesh = beliefs.anchors.mesh
    link = Link(request.parent, mesh, request.run_id, request.principal, request.purpose, now_ms)
    try:
        check_link(link, shown, beliefs.anchors)
    except KindmeshError as error:
        return error.message
    return ""


__all__ = ["case_of", "is_absent", "key_of", "label_of", "proven_of"]
