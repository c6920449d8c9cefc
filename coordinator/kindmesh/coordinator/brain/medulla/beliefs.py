"""What Medulla believes: all of its state, how it is restored, and the few ways in which it changes.

Members are certificates that Medulla itself issued; offers come from adverts that the devices signed; removed ids stay
removed for ever; versions, serials and time only rise. Everything restored from disk is checked again as if it had
just arrived, so a changed store is noticed, not believed. Pure: no clock, no randomness, no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from kindmesh.coordinator.brain.medulla.approvals import Approvals
from kindmesh.coordinator.brain.medulla.cedar import Rules
from kindmesh.coordinator.brain.medulla.counts import Counts
from kindmesh.coordinator.brain.medulla.evidence import BESIDE, Ears, Utterances
from kindmesh.coordinator.brain.medulla.instructions import Instruction, Log, Save
from kindmesh.coordinator.brain.medulla.messages import Decline, PermitRequest, Trust
from kindmesh.coordinator.brain.medulla.offers import Offers, ReadyNames, offers_of
from kindmesh.coordinator.brain.medulla.people import PeopleBeliefs
from kindmesh.coordinator.brain.medulla.policies import Policies
from kindmesh.coordinator.brain.medulla.produced import Maker, Receipts
from kindmesh.coordinator.brain.medulla.review_home import HomeNames
from kindmesh.protocol.anchors import Anchors, MeshBundle, open_bundle
from kindmesh.protocol.audit import Note
from kindmesh.protocol.certificate import (
    REVOCATION_DOMAIN,
    ROSTER_DOMAIN,
    Certificate,
    Membership,
    RevocationList,
    Roster,
    open_certificate,
    sign_revocations,
    sign_roster,
)
from kindmesh.protocol.codec import decode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    CertificateRefused,
    NotInitialised,
    StoreDamaged,
    WrongDestination,
)
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, ROSTER_STALE_MS
from kindmesh.protocol.messages.hello import Advert, open_advert
from kindmesh.protocol.permit import Isolation
from kindmesh.protocol.policy import Answer, Policy, open_policy
from kindmesh.protocol.readmit import Recall, open_recall
from kindmesh.protocol.signed import Signed, open_signed, signed_from_bytes, signed_to_bytes

_REVOCATIONS_FRESH_MS = ROSTER_STALE_MS // 8
_FIRST = {"bundle": 0, "advert": 2, "delegation": 2, "standing": 2}
"""The order in which kinds of rows are restored; 1 for all others."""


class Question(msgspec.Struct, array_like=True, frozen=True):
    """An open question: the bytes shown to the person, until when, and the request it came from."""

    shown: bytes
    expires_ms: int
    request: PermitRequest


class Beliefs:
    """See the module. Built empty, then `restore`d from what was saved."""

    def __init__(
        self, anchors: Anchors, issuer: SigningKey, permit_key: SigningKey, isolation: Isolation
    ) -> None:
        named = (
            anchors.find(key_id(issuer.public), "issuer"),
            anchors.find(key_id(permit_key.public), "medulla"),
        )
        if None in named:
            raise CertificateRefused("Medulla's keys are not those that the mesh root certified")
        self.history = Membership(anchors)
        """What others decided, and who ever had a say; our own papers are not in it."""
        self.bundles: dict[bytes, MeshBundle] = {}
        self.own_issuer = key_id(issuer.public)
        self.recall: Recall | None = None
        self.issuer = issuer
        self.permit_key = permit_key
        self.isolation: Isolation = isolation
        self.certificates: dict[bytes, tuple[Certificate, Signed]] = {}
        self.grants: dict[bytes, bytes] = {}
        self.offers: dict[bytes, Offers] = {}
        self.questions: dict[bytes, Question] = {}
        self.declined: dict[bytes, dict[str, int]] = {}
        self.held: dict[bytes, int] = {}
        self.serial = 0
        self.policies = Policies(anchors.mesh)
        self.revocations = RevocationList(anchors.mesh, 0, 0)
        self.roster_version = 0
        self.signed_roster: Signed | None = None
        self.signed_revocations: Signed | None = None
        self.permits = 0
        self.highest_ms = 0
        self.people = PeopleBeliefs()
        self.utterances = Utterances()
        self.receipts = Receipts()
        self.offset_ms = 0
        """How far the household's clock is ahead of UTC; the driver keeps it."""
        self.approvals = Approvals()
        self.counts = Counts()
        self._names = ReadyNames()

    def restore(
        self, rows: Iterable[tuple[str, bytes, bytes]], *, permits: int = 0, highest_ms: int = 0
    ) -> None:
        """Take over what was saved: `(kind, key, value)` rows; the number of permits and the time of the last entry of
        the audit log.

        Raises:
            StoreDamaged: the rows do not belong together.
            BadSignature, Malformed, CertificateRefused: somebody changed a row.
        """
        take = self._restorers()
        # What counts depends on who decides, so that comes first; adverts are of members that are known by then.
        for kind, key, value in sorted(rows, key=lambda row: _FIRST.get(row[0], 1)):
            if kind not in take:
                raise StoreDamaged(f"Medulla's store has an unknown kind of row: {kind[:40]}")
            take[kind](key, value)
        self.permits, self.highest_ms = permits, highest_ms

    def _restorers(self) -> dict[str, Callable[[bytes, bytes], object]]:
        """By the kind of row: what takes its key and value over."""

        def signed(take: Callable[[Signed], object]) -> Callable[[bytes, bytes], object]:
            return lambda _, value: take(signed_from_bytes(value))

        return {
            "bundle": lambda _, value: self.put_bundle(decode(MeshBundle, value)),
            "heard-roster": signed(self.history.merge_roster),
            "heard-revocations": signed(self.history.merge_revocations),
            "recall": signed(self._put_recall),
            "former-policy": signed(self.put_former_policy),
            "certificate": signed(self.put_certificate),
            "grant": self.grants.__setitem__,
            "advert": signed(self._put_known_advert),
            "pending": lambda key, value: self.questions.__setitem__(key, decode(Question, value)),
            "policy": signed(self.put_policy),
            "roster": signed(self._put_roster),
            "revocations": signed(self._put_revocations),
            "declined": self._put_declined,
            **self.people.restorers(lambda author: self.history.ever_pub(author, "person")),
            **self.utterances.restorers(),
            **self.approvals.restorers(self._person_pub),
            **self.counts.restorers(),
            "held": lambda key, value: self.held.__setitem__(key, int.from_bytes(value, "big")),
            "serial": lambda _, value: setattr(self, "serial", int.from_bytes(value, "big")),
        }

    def _put_recall(self, signed: Signed) -> None:
        self.recall = open_recall(signed, self.history.ever_pub(signed.author, "person"))

    def _put_known_advert(self, signed: Signed) -> None:
        member = self.member(signed.author)
        if member is not None:
            self.put_advert(signed, member)

    def _person_pub(self, author: bytes) -> bytes:
        known = self.people.keys.get(author)
        return known.ed_pub if known is not None else self.history.ever_pub(author, "person")

    def _put_declined(self, key: bytes, value: bytes) -> None:
        refused = decode(Decline, value).capabilities
        self.declined[key] = {one.capability: one.effects for one in refused}

    # ------------------------------------------------------------------------------------------------ changes

    def put_certificate(self, signed: Signed) -> Certificate:
        """Take over a certificate of the issuer's."""
        certificate = open_certificate(signed, self.issuer.public, self.anchors.mesh)
        self.certificates[certificate.subject] = (certificate, signed)
        if certificate.kind == "person":
            self.people.put_key(certificate)
        self.serial = max(self.serial, certificate.serial)
        return certificate

    def put_advert(self, signed: Signed, member: Certificate) -> Advert:
        """Take over the advert of a member."""
        advert = open_advert(signed, member.ed_pub)
        self.check_mesh(advert.mesh)
        self.offers[signed.author] = offers_of(advert)
        return advert

    def put_policy(self, signed: Signed) -> None:
        """Take over a policy of the owner's."""
        policy = open_policy(signed, self.history.ever_pub(signed.author, "person"))
        self.check_mesh(policy.mesh)
        self.policies.put(policy, signed)

    def put_former_policy(self, signed: Signed) -> bool:
        """Take over the newest policy of an owner of before; False when a newer one is known."""
        return self.policies.put_former(open_policy(signed, self.history.ever_pub(signed.author, "person")))

    def put_bundle(self, bundle: MeshBundle) -> None:
        """Take over a list of anchors, an older one too."""
        anchors = open_bundle(bundle, self.anchors.mesh)
        self.history.adopt(anchors)
        self.bundles[anchors.digest] = bundle

    def _put_roster(self, signed: Signed) -> None:
        roster = open_signed(signed, Roster, ROSTER_DOMAIN, self.issuer.public)
        self.roster_version, self.signed_roster = roster.version, signed

    def _put_revocations(self, signed: Signed) -> None:
        self.revocations = open_signed(signed, RevocationList, REVOCATION_DOMAIN, self.issuer.public)
        self.signed_revocations = signed

    # ---------------------------------------------------------------------------------------------- questions

    def check_mesh(self, mesh: bytes) -> None:
        """Refuse what was signed for another mesh.

        Raises:
            WrongDestination: it was.
        """
        if mesh != self.anchors.mesh:
            raise WrongDestination("this was signed for another mesh")

    def next_serial(self, now_ms: int) -> int:
        """The serial of the next certificate: rises always, and by time, so that those of several issuers order."""
        return max(self.serial + 1, now_ms)

    @property
    def anchors(self) -> Anchors:
        """Who decides now."""
        return self.history.anchors

    @property
    def policy(self) -> Policy:
        """The owner's."""
        return self.policies.policy

    @property
    def signed_policy(self) -> Signed | None:
        """The owner's, as it was signed; None: there never was one."""
        return self.policies.signed

    @property
    def is_replaced(self) -> bool:
        """Whether the mesh root names this Medulla no more: then it signs nothing."""
        return self.anchors.find(self.own_issuer, "issuer") is None

    def member(self, subject: bytes) -> Certificate | None:
        """The newest certificate of a member, whoever of the present issuers made it; None for no member."""
        own, heard = self.certificates.get(subject), None
        if not self.is_removed(subject):
            heard = self.history.find(subject)
        if own is None:
            return heard
        return heard if heard is not None and heard.serial > own[0].serial else own[0]

    def ears(self, author: bytes) -> Ears:
        """Who may have heard what is signed with the key of that id."""
        certificate = self.people.keys.get(author) or self.member(author)
        beside = certificate is not None and any(
            other.name == certificate.name + BESIDE and "coordinator" in other.roles
            for other, _ in self.certificates.values()
        )
        return Ears(certificate, self.is_removed(author), author in self.held, beside)

    def maker(self, author: bytes, operation: str) -> Maker:
        """Who signed a result with the key of that id, and what they declare of the operation."""
        certificate = self.member(author)
        offers = None if certificate is None else self.offers.get(certificate.subject)
        gone = self.is_removed(author) or author in self.held
        return Maker(certificate, gone, None if offers is None else offers.operations.get(operation))

    def check_curve_free(self, curve_pub: bytes, subject: bytes) -> None:
        """Refuse a CURVE key that another member has, or had before its last rotation, whichever Medulla certified it.

        Raises:
            CertificateRefused: names the member.
        """
        for other in (
            *(certificate for certificate, _ in self.certificates.values()),
            *self.history.members(),
        ):
            taken = curve_pub and curve_pub in (other.curve_pub, other.curve_previous)
            if taken and other.subject != subject:
                raise CertificateRefused(f"{other.name} has this CURVE key already")

    def leaving(self, subject: bytes) -> tuple[bytes, ...]:
        """Who leaves when that member or person is removed: a person with all keys; nobody, if it left before."""
        if self.is_removed(subject):
            return ()
        keys = [certificate.subject for certificate in self.people.keys_of(subject)]
        return (subject, *(key for key in keys if not self.is_removed(key)))

    def lasts_until(self, certificate: Certificate, now_ms: int) -> int:
        """When a certificate that is renewed now ends; a person's never after the owner's terms."""
        usual = now_ms + CERTIFICATE_LIFETIME_MS
        found = self.people.terms.get(certificate.person)
        return usual if found is None else found[0].lasts(usual)

    def is_removed(self, subject: bytes) -> bool:
        """Whether that id was removed from the mesh."""
        return subject in self.revocations.subjects

    def decide(self, operation: str, effects: int) -> Answer:
        """The owner's policy on an operation with these effects; `deny` while there is no policy."""
        return self.policies.decide(operation, effects, self.anchors.issued_ms)

    def names(self, target: bytes) -> HomeNames:
        """What people call the things of the home, by id, as `target` knows them."""
        return self._names.of(target, self.offers)

    @property
    def rules(self) -> tuple[Rules, ...]:
        """The owner's rules in Cedar that count; none: empty."""
        return self.policies.rules(self.anchors.issued_ms)

    # ------------------------------------------------------------------------------------------- instructions

    def sign_new_roster(self, now_ms: int) -> Save:
        """The roster of all members as they are now, one version up."""
        self.roster_version += 1
        members = tuple(self.certificates[subject][1] for subject in sorted(self.certificates))
        signed = sign_roster(Roster(self.anchors.mesh, self.roster_version, now_ms, members), self.issuer)
        self.signed_roster = signed
        return Save("roster", b"", signed_to_bytes(signed))

    def sign_new_revocations(self, revocations: RevocationList) -> Save:
        """`revocations`, signed and taken over."""
        signed = sign_revocations(revocations, self.issuer)
        self.revocations, self.signed_revocations = revocations, signed
        return Save("revocations", b"", signed_to_bytes(signed))

    def trust(self, now_ms: int) -> tuple[list[Instruction], Trust]:
        """Roster, revocations and policy; a revocation list that is missing or hours old is dated anew.

        Raises:
            NotInitialised: no policy was ever installed.
        """
        if self.signed_policy is None:
            raise NotInitialised("Medulla has no policy signed by the owner yet")
        instructions: list[Instruction] = []
        signed_revocations, signed_roster = self.signed_revocations, self.signed_roster
        if signed_revocations is None or now_ms - self.revocations.issued_ms > _REVOCATIONS_FRESH_MS:
            dated = msgspec.structs.replace(self.revocations, issued_ms=now_ms)
            save = self.sign_new_revocations(dated)
            instructions.append(save)
            signed_revocations = signed_from_bytes(save.value)
        if signed_roster is None:
            save = self.sign_new_roster(now_ms)
            instructions.append(save)
            signed_roster = signed_from_bytes(save.value)
        return instructions, Trust(signed_roster, signed_revocations, self.signed_policy)

    def log(
        self,
        kind: str,
        answer: str,
        now_ms: int,
        subject: bytes,
        *,
        request: PermitRequest | None = None,
        contents: bytes | None = None,
        rules: tuple[str, ...] = (),
    ) -> Log:
        """An entry of the audit log, which keeps a keyed hash of `contents`; raises the time floor to `now_ms`."""
        self.highest_ms = now_ms
        return Log(
            Note(
                kind,
                answer,
                now_ms,
                subject,
                target=request.target if request else b"",
                run_id=request.run_id if request else b"",
                job_id=request.job_id if request else b"",
                operation=request.operation if request else "",
                rules=rules,
                number=self.permits,
                contents=contents,
            )
        )


__all__ = ["Beliefs", "Question"]
