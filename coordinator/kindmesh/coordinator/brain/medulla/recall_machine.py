"""News from outside, and members of before: how Medulla learns what others decided, and whom it certifies anew.

`learn` takes over papers that authentic keys signed: a newer list of anchors (signed by the root), rosters and removals
by other issuers, of now or of before. Removals are taken into Medulla's own list, for ever. It can only narrow, or say
what another present issuer certified; so it needs no owner's signature.
`readmit` certifies a device of before anew while the owner's `Recall` is in force: the device proves its key, shows a
certificate that an issuer of before signed, and was not removed. It becomes what it was: name, roles, capabilities and
effects of the newest certificate that is known of it, and none of them more. Coordinators are never readmitted.
"""

from __future__ import annotations

import msgspec

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Learn, Learned, Readmit, SetRecall
from kindmesh.coordinator.brain.medulla.trust_machine import certify, issued
from kindmesh.protocol.anchors import open_bundle
from kindmesh.protocol.certificate import Certificate, Membership, open_certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import CertificateRefused, InvalidInput, NeedsApproval, Replayed, Revoked
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS
from kindmesh.protocol.policy import open_policy
from kindmesh.protocol.readmit import RECALL_MAX_MS, Readmission, open_readmission, open_recall
from kindmesh.protocol.signed import Signed, signed_to_bytes


def learn(beliefs: Beliefs, event: Learn, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `learn`; what is known already changes nothing.

    Raises:
        BadSignature, CertificateRefused, Malformed: a part is not what it says, and nothing was taken over.
    """
    _check(beliefs, event)
    instructions = _adopt(beliefs, event)
    history = beliefs.history
    for signed in event.revocations:
        if signed.author != beliefs.own_issuer and history.merge_revocations(signed):
            instructions.append(Save("heard-revocations", signed.author, signed_to_bytes(signed)))
    for signed in event.rosters:
        if signed.author != beliefs.own_issuer and history.merge_roster(signed):
            instructions.append(Save("heard-roster", signed.author, signed_to_bytes(signed)))
    if event.policy is not None:
        instructions += _remember_policy(beliefs, event.policy)
    instructions += _take_removals(beliefs, now_ms)
    dated, trust = beliefs.trust(now_ms)
    return [
        *instructions,
        *dated,
        Answer(Learned(trust, history.anchors.version, beliefs.is_replaced), durable=True),
    ]


def _check(beliefs: Beliefs, event: Learn) -> None:
    """Everything, on a copy; what fails here has changed nothing."""
    mesh = beliefs.anchors.mesh
    tried = Membership(beliefs.anchors)
    for bundle in (*beliefs.bundles.values(), *event.bundles):
        tried.adopt(open_bundle(bundle, mesh))
    for signed in event.revocations:
        tried.merge_revocations(signed)
    for signed in event.rosters:
        tried.merge_roster(signed)
    if event.policy is not None:
        beliefs.check_mesh(open_policy(event.policy, tried.ever_pub(event.policy.author, "person")).mesh)


def _adopt(beliefs: Beliefs, event: Learn) -> list[Instruction]:
    instructions: list[Instruction] = []
    for bundle in event.bundles:
        opened = open_bundle(bundle, beliefs.anchors.mesh)
        if opened.digest not in beliefs.bundles:
            beliefs.put_bundle(bundle)
            instructions.append(Save("bundle", opened.digest, encode(bundle)))
    for subject in [subject for subject in beliefs.offers if beliefs.member(subject) is None]:
        del beliefs.offers[subject]
        instructions.append(Forget("advert", subject))
    return instructions


def _remember_policy(beliefs: Beliefs, signed: Signed) -> list[Instruction]:
    """A newer policy of a present owner counts; one of before binds beside it, until the owner signs anew."""
    if beliefs.anchors.find(signed.author, "person") is not None:
        if open_policy(signed, beliefs.anchors.owner_pub(signed.author)).version <= beliefs.policy.version:
            return []
        beliefs.put_policy(signed)
        return [Save("policy", b"", signed_to_bytes(signed))]
    if beliefs.put_former_policy(signed):
        return [Save("former-policy", b"", signed_to_bytes(signed))]
    return []


def _take_removals(beliefs: Beliefs, now_ms: int) -> list[Instruction]:
    own = beliefs.revocations
    heard = beliefs.history.revoked - beliefs.anchors.subjects
    # A person leaves with every key, also those that only this Medulla knows.
    keys = {key.subject for subject in heard for key in beliefs.people.keys_of(subject)}
    new = tuple(sorted((heard | keys) - set(own.subjects)))
    if not new:
        return []
    grown = msgspec.structs.replace(
        own, version=own.version + 1, issued_ms=now_ms, subjects=(*own.subjects, *new)
    )
    instructions: list[Instruction] = [beliefs.sign_new_revocations(grown)]
    forgotten = False
    for subject in new:
        if beliefs.certificates.pop(subject, None):
            instructions.append(Forget("certificate", subject))
            forgotten = True
        if beliefs.offers.pop(subject, None):
            instructions.append(Forget("advert", subject))
        instructions += beliefs.people.drop(subject, (subject,))
        instructions.append(beliefs.log("revocation", "allow", now_ms, subject, rules=("heard",)))
    if forgotten:
        instructions.append(beliefs.sign_new_roster(now_ms))
    return instructions


def set_recall(beliefs: Beliefs, event: SetRecall, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `recall`.

    Raises:
        BadSignature, CertificateRefused, Malformed, WrongDestination: not signed by an owner of this mesh.
        Replayed: for an older list of anchors. InvalidInput: for too long.
    """
    recall = open_recall(event.recall, beliefs.anchors.owner_pub(event.recall.author))
    beliefs.check_mesh(recall.mesh)
    if recall.anchors_version != beliefs.anchors.version:
        raise Replayed("this recall is for another list of who decides")
    if recall.until_ms > recall.issued_ms + RECALL_MAX_MS:
        raise InvalidInput("members are called back for at most 90 days", field="until_ms")
    beliefs.recall = recall
    dated, trust = beliefs.trust(now_ms)
    return [
        Save("recall", b"", signed_to_bytes(event.recall)),
        beliefs.log("recall", "allow", now_ms, event.recall.author, rules=("owner",)),
        *dated,
        Answer(trust, durable=True),
    ]


def readmit(beliefs: Beliefs, event: Readmit, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `readmit`; what the device has from before was given to `learn`. Asking again gives the same certificate.

    Raises:
        CertificateRefused: no certificate from before that could count, or of a coordinator.
        BadSignature, Malformed, WrongDestination, Replayed: the wish is not that device's, for now.
        Revoked: it was removed.
        NeedsApproval: no recall is in force; the owner certifies it by a grant.
    """
    before, wish = _before(beliefs, event)
    known = beliefs.certificates.get(before.subject)
    if known is not None and known[0].serial > before.serial:
        return issued(beliefs, known[1], now_ms)
    beliefs.check_curve_free(before.curve_pub, before.subject)
    recall = beliefs.recall
    if recall is None or recall.anchors_version != beliefs.anchors.version or now_ms > recall.until_ms:
        raise NeedsApproval(
            f"the owner has to let {before.name} back in", hint="Answer with kindmesh recover --waiting."
        )
    anew = msgspec.structs.replace(
        before,
        not_before_ms=now_ms,
        expires_ms=now_ms + CERTIFICATE_LIFETIME_MS,
        serial=max(beliefs.next_serial(now_ms), wish.serial + 1),
        curve_previous=b"",
    )
    return certify(beliefs, anew, now_ms, "recall")


def _before(beliefs: Beliefs, event: Readmit) -> tuple[Certificate, Readmission]:
    """What the device was: the newest that is known of it, with the keys that it has."""
    history, mesh = beliefs.history, beliefs.anchors.mesh
    shown = open_certificate(event.certificate, history.ever_pub(event.certificate.author, "issuer"), mesh)
    if event.certificate.author in beliefs.anchors.subjects:
        raise CertificateRefused("this certificate counts still; it is renewed, not made anew")
    wish = open_readmission(event.wish, shown.ed_pub)
    beliefs.check_mesh(wish.mesh)
    if (wish.subject, wish.serial) != (shown.subject, shown.serial):
        raise Replayed("this wish is for another certificate")
    if wish.anchors_version != beliefs.anchors.version:
        raise Replayed("this wish is for another list of who decides")
    if (
        beliefs.is_removed(shown.subject)
        or history.is_revoked(shown)
        or shown.subject in beliefs.anchors.subjects
    ):
        raise Revoked(
            f"{shown.name} was removed from the mesh",
            hint="kindmesh join --fresh TEXT on that device makes a new key.",
        )
    newest = history.newest_ever(shown.subject)
    if newest is None or newest.serial <= shown.serial:
        newest = shown
    if shown.kind != "device" or "coordinator" in newest.roles or not newest.roles:
        raise CertificateRefused("only a device that did not coordinate is let in again")
    return msgspec.structs.replace(newest, ed_pub=shown.ed_pub, curve_pub=shown.curve_pub), wish


__all__ = ["learn", "readmit", "set_recall"]
