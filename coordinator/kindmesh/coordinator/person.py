"""A person's own key on this device: accepting an invitation with it, and signing what its owner asks and answers.

The key is made here and stays here (`mesh.people_keys`); sealed under the person's passphrase if they want that, as the
owner's is. Everything a person signs names the mesh; a request also its method, parameters, device, time and an id, so
that it serves once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kindmesh.coordinator.sealed import open_key, seal_key, sealed_from_bytes
from kindmesh.coordinator.utterances import make_utterance
from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.people_keys import PeopleKeys, PersonKeyFile
from kindmesh.protocol.anchors import Anchors
from kindmesh.protocol.certificate import Certificate, Renewal, open_certificate, sign_renewal
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import CertificateRefused, InvalidInput, StoreDamaged, WrongDestination
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.people import (
    Acceptance,
    Delegation,
    PersonInvitation,
    PersonRequest,
    PersonTerms,
    open_terms,
    sign_acceptance,
    sign_delegation,
    sign_request,
)
from kindmesh.protocol.policy import Approval, ApprovalRequest, sign_approval
from kindmesh.protocol.principal import person_principal
from kindmesh.protocol.routine import RoutineApproval, check_routine, sign_routine
from kindmesh.protocol.signed import Signed, signed_to_bytes
from kindmesh.protocol.standing import StandingApproval, check_standing, sign_standing
from kindmesh.protocol.utterance_evidence import Heard


class Person:
    """An unlocked key. Keep it no longer than it takes to sign. `now_ms` reads the mesh's time."""

    def __init__(
        self, file: PersonKeyFile, key: SigningKey, device: bytes, now_ms: Callable[[], int], entropy: Entropy
    ) -> None:
        self.file = file
        self.device = device
        self._key = key
        self._now_ms = now_ms
        self._entropy = entropy

    @property
    def name(self) -> str:
        """What the person is called."""
        return self.file.name

    @property
    def certificate(self) -> Certificate:
        """The certificate of this key.

        Raises:
            StoreDamaged: there is none yet.
        """
        certified = self.file.certified
        if certified is None:
            raise StoreDamaged(
                f"the key of {self.name} is not certified", hint="Accept the invitation again."
            )
        return certified

    def prove(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with the person's signature over them."""
        now_ms = self._now_ms()
        request = PersonRequest(
            mesh=self.file.mesh,
            request_id=new_id(now_ms, self._entropy.token(RANDOM_BYTES)),
            device=self.device,
            method=method,
            params=encode_value(params),
            asked_ms=now_ms,
        )
        return {**params, "proof": signed_to_bytes(sign_request(request, self._key))}

    def hear(self, text: str, *, language: str = "en", area: str = "") -> Heard:
        """What this person said here (`area`: where this device stands), signed with their own key.

        Raises:
            InvalidInput: no words, or too many.
        """
        return make_utterance(
            text, key=self._key, mesh=self.file.mesh, device=self.device, person=self.certificate.person,
            principal=person_principal(self.certificate.person, self.name), now_ms=self._now_ms(),
            entropy=self._entropy, language=language, area=area,
        )  # fmt: skip

    def sign_approval(self, request: bytes, *, allow: bool) -> Signed:
        """The answer to a question: over exactly the bytes of the `ApprovalRequest` that were shown.

        Raises:
            Malformed: the bytes are no question. InvalidInput: a question of another mesh.
        """
        if decode(ApprovalRequest, request).mesh != self.file.mesh:
            raise InvalidInput("this question comes from another mesh", field="mesh")
        return sign_approval(Approval(request, "allow" if allow else "deny", self._now_ms()), self._key)

    def sign_standing(self, standing: StandingApproval) -> Signed:
        """A yes that lasts, as it was shown.

        Raises:
            Malformed: its question is none. InvalidInput: of another mesh, or it means nothing.
        """
        if standing.mesh != self.file.mesh:
            raise InvalidInput("this question comes from another mesh", field="mesh")
        check_standing(standing)
        return sign_standing(standing, self._key)

    def sign_routine(self, approval: RoutineApproval) -> Signed:
        """A yes to a learned routine, as it was shown.

        Raises:
            Malformed: its request is none. InvalidInput: of another mesh, or it means nothing.
        """
        if check_routine(approval).mesh != self.file.mesh:
            raise InvalidInput("this routine comes from another mesh", field="mesh")
        return sign_routine(approval, self._key)

    def sign_delegation(self, delegation: Delegation) -> Signed:
        """What something may do for this person.

        Raises:
            InvalidInput: for another person.
        """
        if delegation.person != self.certificate.person:
            raise InvalidInput("this is for another person", field="person")
        return sign_delegation(delegation, self._key)

    def renewal(self) -> bytes:
        """The wish that this key's certificate lives on, encoded."""
        certificate = self.certificate
        renewal = Renewal(self.file.mesh, certificate.subject, certificate.serial, self._now_ms())
        return signed_to_bytes(sign_renewal(renewal, self._key))

    def wants_renewal(self) -> bool:
        """Whether half of the certificate's life is over."""
        certificate = self.certificate
        return self._now_ms() >= (certificate.not_before_ms + certificate.expires_ms) // 2


def read_invitation(invitation: PersonInvitation, anchors: Anchors) -> PersonTerms:
    """The owner's terms in an invitation, if it is of this mesh.

    Raises:
        WrongDestination: of another mesh. BadSignature, CertificateRefused, Malformed: no owner of it signed them.
    """
    mesh = decode(PersonTerms, invitation.terms.payload).mesh
    if mesh != anchors.mesh:
        raise WrongDestination(
            "this invitation is for another mesh", hint="Accept it on a device that belongs to that mesh."
        )
    return open_terms(invitation.terms, anchors.owner_pub(invitation.terms.author))


def prepare(
    keys: PeopleKeys, terms: PersonTerms, passphrase: str, entropy: Entropy
) -> tuple[PersonKeyFile, SigningKey | None]:
    """The key for an invitation, on the disk before it is shown to anybody; the one of an earlier try if there was one
    (then without the key itself, which may be sealed). `passphrase` empty: not sealed.

    Raises:
        InvalidInput: too short a passphrase, or too many people here. Busy, DiskFull, StoreError.
    """
    for one in keys.all():
        if one.invite_id == terms.invite_id and one.mesh == terms.mesh:
            return one, None
    key = SigningKey(entropy.token(32))
    file = PersonKeyFile(1, terms.mesh, terms.name, key.public, terms.invite_id)
    if passphrase:
        sealed = seal_key(key, "person", terms.mesh, passphrase, entropy)
        file = msgspec.structs.replace(file, sealed=encode(sealed))
    else:
        file = msgspec.structs.replace(file, seed=key.seed)
    keys.write(file)
    return file, key


def unlock(file: PersonKeyFile, passphrase: Callable[[str], str]) -> SigningKey:
    """The key itself; `passphrase(name)` is asked only when it is sealed.

    Raises:
        WrongPassphrase. StoreDamaged: the file does not hang together. Busy: not enough memory.
    """
    if not file.sealed:
        key = SigningKey(file.seed)
    else:
        sealed = sealed_from_bytes(file.sealed)
        if sealed.purpose != "person" or sealed.mesh != file.mesh:
            raise StoreDamaged("this is not a person's key")
        key = open_key(sealed, passphrase(file.name))
    if key.public != file.public:
        raise StoreDamaged("the key is another one than its file says")
    return key


def accept(key: SigningKey, invitation: PersonInvitation, device: bytes, now_ms: int) -> bytes:
    """The acceptance for Medulla, signed by the new key and the invitation's, encoded."""
    terms = decode(PersonTerms, invitation.terms.payload)
    acceptance = Acceptance(terms.mesh, terms.invite_id, key.public, device, now_ms)
    return encode(sign_acceptance(acceptance, key, SigningKey(invitation.seed)))


def certified(file: PersonKeyFile, signed: Signed, anchors: Anchors) -> PersonKeyFile:
    """The file with the certificate that came back.

    Raises:
        CertificateRefused: not for this key, or not by this mesh.
    """
    certificate = open_certificate(signed, anchors.issuer_pub(signed.author), anchors.mesh)
    if certificate.ed_pub != file.public or certificate.kind != "person":
        raise CertificateRefused("the certificate is for another key")
    return msgspec.structs.replace(file, certificate=signed, name=certificate.name)


__all__ = ["Person", "accept", "certified", "prepare", "read_invitation", "unlock"]
