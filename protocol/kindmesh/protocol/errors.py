"""The one error tree.

Every error has a wire `code` (stable, upper snake case), a cause a person can read, a `hint` (what to do next) and,
for bad input, the offending `field`. `RemoteError` means that the other side broke the rules or reports a failure of
its own; `LocalError` means that this side cannot go on. Code that crosses the wire is looked up in `ERRORS`; a code
we do not know becomes `RemoteFailure`, which keeps the code it was sent, so that nothing turns into silence.

    KindmeshError
    |-- RemoteError                          they broke the rules, or say that they failed
    |   |-- Malformed                        bytes that do not decode, are too deep or too large
    |   |   |-- UnknownCritical              a critical `ext` entry that we do not know
    |   |   `-- UnsupportedVersion
    |   |-- AuthenticationError
    |   |   |-- BadSignature, BadSeal
    |   |   |-- UnknownMember, Revoked
    |   |   |-- CertificateRefused, CertificateExpired
    |   |   |-- SourceMismatch, WrongDestination
    |   |   |-- Replayed, ClockSkew, Expired, RateLimited
    |   |   `-- EnrolmentRefused
    |   |-- PermitRefused
    |   |   |-- PermitMissing, PermitExpired, PermitMismatch, PermitUsed, PermitStale
    |   |   |-- NeedsApproval                a person has to say yes first
    |   |   `-- Denied                       Medulla said no
    |   |-- InvalidInput                     a field of a request; names it
    |   |   `-- UnknownOperation             names the nearest one
    |   |-- AccessRefused                    an artifact without a reader grant
    |   `-- RemoteFailure                    a code we do not know
    |       `-- ReportedError                keeps that code
    `-- LocalError
        |-- TransportError
        |   |-- PeerUnreachable, BackPressure, FrameTooLarge, AddressInUse, TransportClosed
        |-- StoreError
        |   |-- StoreTooNew, StoreDamaged, StoreConflict, DiskFull, Forgotten
        |-- ConfigError                      names file, line and hint
        |-- HomeInUse, NotInitialised, AlreadyInitialised, NotRunning
        |-- WrongPassphrase, KeysLocked, KeyringUnavailable, InsecurePermissions
        |-- JobError
        |   |-- NoDeviceAble, DeadlineExceeded, Cancelled, Busy, Uncertain, Interrupted, Stopped, UnknownJob
        |   |-- StreamBroken, StreamLimit
        |-- CapabilityError
        |   |-- CapabilityMissing, CapabilityCrashed, CapabilityQuarantined
        |   |-- NoAudioDevice, ImageDamaged, ImageTooLarge, UnknownVoice
        |   |-- ModelUnavailable, ModelMalformed, BudgetExceeded, EgressRefused
        |-- ArtifactError
        |   |-- ArtifactMissing, ArtifactDamaged, ArtifactTooLarge, QuotaExceeded
        |-- ConfinementFailed                a process could not be restricted as it must be
        |-- Unstable                         a part keeps ending; it was restarted too often
        |-- InvalidTransition                a bug of ours: carries the story so far
        `-- InternalError
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kindmesh.protocol.bounds import Count, Text, Word, printable


class KindmeshError(Exception):
    """Base of all errors; `str(error)` is one plain sentence for a person."""

    code: ClassVar[str] = "ERROR"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str = "", *, hint: str = "", field: str = "", retry_ms: int = 0) -> None:
        """`retry_ms`: about when it may be tried again; 0: nobody can say."""
        self.retry_ms = retry_ms
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.hint = hint or self.default_hint
        self.field = field
        super().__init__(self.message)


class RemoteError(KindmeshError):
    """The other side broke the rules."""

    code = "REMOTE"


class LocalError(KindmeshError):
    """This side cannot go on."""

    code = "LOCAL"


class Malformed(RemoteError):
    """The bytes are not a valid message."""

    code = "MALFORMED"


class UnknownCritical(Malformed):
    """The message has a critical extension that this version does not know."""

    code = "UNKNOWN_CRITICAL"
    default_hint = "Update Kindmesh on this device."


class UnsupportedVersion(Malformed):
    """The other side speaks a version that this one does not."""

    code = "UNSUPPORTED_VERSION"
    default_hint = "Update Kindmesh on the older device."


class AuthenticationError(RemoteError):
    """The message could not be authenticated."""

    code = "AUTHENTICATION"


class BadSignature(AuthenticationError):
    """The signature does not fit the bytes."""

    code = "BAD_SIGNATURE"


class BadSeal(AuthenticationError):
    """The sealed bytes were changed, or this is not their key."""

    code = "BAD_SEAL"


class UnknownMember(AuthenticationError):
    """This key belongs to no member of the mesh."""

    code = "UNKNOWN_MEMBER"
    default_hint = "Pair the device first: kindmesh pair on the coordinator, kindmesh join on the device."


class Revoked(AuthenticationError):
    """This member was removed from the mesh."""

    code = "REVOKED"
    default_hint = (
        "To have it back: kindmesh pair at the coordinator, then kindmesh join --fresh TEXT on that device."
    )


class CertificateRefused(AuthenticationError):
    """The certificate was not issued by this mesh, or not for this."""

    code = "CERTIFICATE_REFUSED"


class CertificateExpired(AuthenticationError):
    """The certificate is past its end."""

    code = "CERTIFICATE_EXPIRED"


class RateLimited(AuthenticationError):
    """A member sends more than one member may; what was too much was not looked at."""

    code = "RATE_LIMITED"
    default_hint = "Is a program on that device running wild? kindmesh doctor names the device."


class SourceMismatch(AuthenticationError):
    """The message names another author than the key it came with."""

    code = "SOURCE_MISMATCH"


class WrongDestination(AuthenticationError):
    """The message is for another device or another mesh."""

    code = "WRONG_DESTINATION"


class Replayed(AuthenticationError):
    """The message was already received."""

    code = "REPLAYED"


class ClockSkew(AuthenticationError):
    """The message is dated too far from this device's clock."""

    code = "CLOCK_SKEW"
    default_hint = "Set the clock of the device that is wrong."


class Expired(AuthenticationError):
    """The message is past its time to live."""

    code = "EXPIRED"


class EnrolmentRefused(AuthenticationError):
    """The pairing was refused."""

    code = "ENROLMENT_REFUSED"
    default_hint = "Open a new window with kindmesh pair and try again."


class PermitRefused(RemoteError):
    """The permit does not allow this."""

    code = "PERMIT_REFUSED"


class PermitMissing(PermitRefused):
    """The job came without a permit."""

    code = "PERMIT_MISSING"


class PermitExpired(PermitRefused):
    """The permit is past its end or not valid yet."""

    code = "PERMIT_EXPIRED"


class PermitMismatch(PermitRefused):
    """The permit is for something else: another device, operation, job or other arguments."""

    code = "PERMIT_MISMATCH"


class PermitUsed(PermitRefused):
    """The permit was used already."""

    code = "PERMIT_USED"


class PermitStale(PermitRefused):
    """The permit comes from an old policy or an old attempt."""

    code = "PERMIT_STALE"


class NeedsApproval(PermitRefused):
    """A person has to approve this first."""

    code = "NEEDS_APPROVAL"
    default_hint = "The owner approves with kindmesh review."


class Denied(PermitRefused):
    """Medulla does not allow this."""

    code = "DENIED"


class InvalidInput(RemoteError):
    """A value is not what the operation takes."""

    code = "INVALID_INPUT"


class UnknownOperation(InvalidInput):
    """No device offers this operation."""

    code = "UNKNOWN_OPERATION"
    default_hint = "kindmesh capabilities lists what there is."


class AccessRefused(RemoteError):
    """The holder of the artifact has no grant for this reader."""

    code = "ACCESS_REFUSED"


class RemoteFailure(RemoteError):
    """The other side reports an error that this version does not know."""

    code = "REMOTE_FAILURE"


class TransportError(LocalError):
    """The network did not do it."""

    code = "TRANSPORT"


class PeerUnreachable(TransportError):
    """The device cannot be reached now."""

    code = "PEER_UNREACHABLE"


class BackPressure(TransportError):
    """The link is full; try again later."""

    code = "BACK_PRESSURE"


class FrameTooLarge(TransportError):
    """The message is larger than a link carries."""

    code = "FRAME_TOO_LARGE"


class AddressInUse(TransportError):
    """Another program uses this address."""

    code = "ADDRESS_IN_USE"
    default_hint = (
        "Stop the other program, or choose another port: [mesh] port in config.toml, or up --listen."
    )


class TransportClosed(TransportError):
    """The link was closed."""

    code = "TRANSPORT_CLOSED"


class StoreError(LocalError):
    """The store on disk could not be used."""

    code = "STORE"


class StoreTooNew(StoreError):
    """The store was written by a newer version."""

    code = "STORE_TOO_NEW"
    default_hint = "Update Kindmesh, or restore the backup made before the upgrade."


class StoreDamaged(StoreError):
    """The store is damaged."""

    code = "STORE_DAMAGED"
    default_hint = "Restore a backup; kindmesh doctor says where they are."


class StoreConflict(StoreError):
    """The entry contradicts one that is there."""

    code = "STORE_CONFLICT"


class DiskFull(StoreError):
    """The disk is full."""

    code = "DISK_FULL"
    default_hint = "Free some space; nothing was lost and nothing is half-done."


class Forgotten(StoreError):
    """The contents were deleted on purpose and cannot be read any more."""

    code = "FORGOTTEN"


class ConfigError(LocalError):
    """The configuration cannot be used."""

    code = "CONFIG"


class HomeInUse(LocalError):
    """Another process uses this state folder."""

    code = "HOME_IN_USE"


class NotInitialised(LocalError):
    """There is no mesh in this state folder yet."""

    code = "NOT_INITIALISED"
    default_hint = "Run kindmesh init (first device), or kindmesh join TEXT (every other device)."


class AlreadyInitialised(LocalError):
    """This state folder already belongs to a mesh."""

    code = "ALREADY_INITIALISED"
    default_hint = "Use another folder with KINDMESH_HOME."


class NotRunning(LocalError):
    """Kindmesh is not running on this device."""

    code = "NOT_RUNNING"
    default_hint = "Start it with kindmesh up."


class WrongPassphrase(LocalError):
    """The passphrase does not open the key."""

    code = "WRONG_PASSPHRASE"


class KeysLocked(LocalError):
    """This folder's private keys are wrapped, and nothing has opened them yet."""

    code = "KEYS_LOCKED"
    default_hint = "kindmesh up asks for the passphrase; unattended: KINDMESH_PASSPHRASE_FILE."


class KeyringUnavailable(LocalError):
    """There is no keyring here that keeps a key safely."""

    code = "KEYRING_UNAVAILABLE"
    default_hint = "Use a passphrase instead: kindmesh keys protect."


class InsecurePermissions(LocalError):
    """A secret file can be read by others."""

    code = "INSECURE_PERMISSIONS"


class JobError(LocalError):
    """The job did not succeed."""

    code = "JOB"


class NoDeviceAble(JobError):
    """No device that is here can do this."""

    code = "NO_DEVICE_ABLE"
    default_hint = "kindmesh capabilities shows what is missing."


class DeadlineExceeded(JobError):
    """It took longer than allowed."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(JobError):
    """It was cancelled."""

    code = "CANCELLED"


class Busy(JobError):
    """The device is busy."""

    code = "BUSY"


class Uncertain(JobError):
    """It may or may not have happened; nobody can know. It was not tried again."""

    code = "UNCERTAIN"
    default_hint = "Look whether it happened, then decide."


class Interrupted(JobError):
    """The device stopped before it was done; nothing was changed."""

    code = "INTERRUPTED"


class Stopped(JobError):
    """The mesh was told to stop."""

    code = "STOPPED"


class UnknownJob(JobError):
    """There is no such job."""

    code = "UNKNOWN_JOB"
    default_hint = "kindmesh jobs lists them."


class StreamBroken(JobError):
    """The stream broke off."""

    code = "STREAM_BROKEN"
    default_hint = "What had arrived is whole. Start it again when the device is back."


class StreamLimit(JobError):
    """The stream reached the amount of data that it was allowed."""

    code = "STREAM_LIMIT"
    default_hint = "Ask for more: kindmesh stream --max-mb."


class CapabilityError(LocalError):
    """The capability failed."""

    code = "CAPABILITY"


class CapabilityMissing(CapabilityError):
    """The capability is not installed on this device."""

    code = "CAPABILITY_MISSING"


class CapabilityCrashed(CapabilityError):
    """The capability's process ended unexpectedly."""

    code = "CAPABILITY_CRASHED"


class CapabilityQuarantined(CapabilityError):
    """The capability kept failing on this device and rests."""

    code = "CAPABILITY_QUARANTINED"
    default_hint = (
        "It is tried again by itself after a while; kindmesh heal on that device lets it go on now."
    )


class NoAudioDevice(CapabilityError):
    """This device has nothing to play sound with."""

    code = "NO_AUDIO_DEVICE"


class ImageDamaged(CapabilityError):
    """The image cannot be read."""

    code = "IMAGE_DAMAGED"


class ImageTooLarge(CapabilityError):
    """The image is too large."""

    code = "IMAGE_TOO_LARGE"


class UnknownVoice(CapabilityError):
    """There is no such voice."""

    code = "UNKNOWN_VOICE"


class ModelUnavailable(CapabilityError):
    """No language model answers now."""

    code = "MODEL_UNAVAILABLE"
    default_hint = (
        "kindmesh llm list shows the models and what is wrong with each; kindmesh llm test tries one."
    )


class ModelMalformed(CapabilityError):
    """A language model answered something that cannot be used."""

    code = "MODEL_MALFORMED"
    default_hint = "Ask again, or choose another model: kindmesh llm list shows them."


class BudgetExceeded(CapabilityError):
    """This would cost more than the owner allows for language models."""

    code = "BUDGET_EXCEEDED"
    default_hint = "kindmesh llm budget shows what was spent and what is allowed; llm.yaml sets it."


class EgressRefused(CapabilityError):
    """This stays in the house, and no language model of the house can take it."""

    code = "EGRESS_REFUSED"
    default_hint = (
        "Add a local model, or allow it in llm.yaml: outside lists what may go to models elsewhere."
    )


class ArtifactError(LocalError):
    """The artifact cannot be used."""

    code = "ARTIFACT"


class ArtifactMissing(ArtifactError):
    """No device that is here holds this artifact."""

    code = "ARTIFACT_MISSING"


class ArtifactDamaged(ArtifactError):
    """The artifact's bytes do not fit its hash."""

    code = "ARTIFACT_DAMAGED"


class ArtifactTooLarge(ArtifactError):
    """The artifact is larger than allowed."""

    code = "ARTIFACT_TOO_LARGE"


class QuotaExceeded(ArtifactError):
    """The room set aside for artifacts is used up."""

    code = "QUOTA_EXCEEDED"


class ConfinementFailed(LocalError):
    """A process could not be restricted as it must be."""

    code = "CONFINEMENT_FAILED"
    default_hint = "kindmesh doctor shows what this system offers."


class Unstable(LocalError):
    """A part of Kindmesh keeps ending and was restarted too often."""

    code = "UNSTABLE"
    default_hint = "Its log lines say why; then start again with kindmesh up."


class InvalidTransition(LocalError):
    """A state machine got an event that its table does not have. This is our bug; `story` is what led to it."""

    code = "INVALID_TRANSITION"

    def __init__(self, message: str, *, story: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint="Please report this, with the story from the log.")
        self.story = story


class InternalError(LocalError):
    """Something went wrong inside Kindmesh."""

    code = "INTERNAL"
    default_hint = "kindmesh doctor may know more; the log names the job."


class WireError(msgspec.Struct, array_like=True, frozen=True):
    """An error as it travels: code, cause, hint, field; `retry_ms`: about when to try again, 0: not known."""

    code: Word
    message: Text
    hint: Text = ""
    field: Word = ""
    retry_ms: Count = 0


def _tree(base: type[KindmeshError]) -> dict[str, type[KindmeshError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found.update(_tree(child))
    return found


ERRORS: dict[str, type[KindmeshError]] = _tree(KindmeshError)
"""Wire code -> class, for every error in the tree."""


def error_to_wire(error: KindmeshError) -> WireError:
    """The error as data; text is cut to 500 characters so that an error never becomes the large message."""
    code = error.remote_code if isinstance(error, ReportedError) else error.code
    return WireError(code, error.message[:500], error.hint[:500], error.field[:80], error.retry_ms)


class ReportedError(RemoteFailure):
    """An unknown code, kept as it was sent."""

    code = "REMOTE_FAILURE"

    def __init__(self, remote_code: str, message: str, *, hint: str = "", field: str = "") -> None:
        super().__init__(message or remote_code, hint=hint, field=field)
        self.remote_code = remote_code


def error_from_wire(wire: WireError) -> KindmeshError:
    """The error to raise on this side: of the class with that code, or `ReportedError` for a code we do not know.

    Its text is shown to people, so it is made `printable`; another side's `InvalidTransition` is not our bug and
    arrives as `InternalError`.
    """
    code, message, hint, field = map(printable, (wire.code, wire.message, wire.hint, wire.field))
    cls = ERRORS.get(code)
    if cls is None:
        return ReportedError(code, message, hint=hint, field=field)
    if cls is InvalidTransition:
        return InternalError(message, hint=hint)
    error = cls(message, hint=hint, field=field)
    error.retry_ms = wire.retry_ms
    return error


__all__ = [
    "ERRORS",
    "AccessRefused",
    "AddressInUse",
    "AlreadyInitialised",
    "ArtifactDamaged",
    "ArtifactError",
    "ArtifactMissing",
    "ArtifactTooLarge",
    "AuthenticationError",
    "BackPressure",
    "BadSeal",
    "BadSignature",
    "BudgetExceeded",
    "Busy",
    "Cancelled",
    "CapabilityCrashed",
    "CapabilityError",
    "CapabilityMissing",
    "CapabilityQuarantined",
    "CertificateExpired",
    "CertificateRefused",
    "ClockSkew",
    "ConfigError",
    "ConfinementFailed",
    "DeadlineExceeded",
    "Denied",
    "DiskFull",
    "EgressRefused",
    "EnrolmentRefused",
    "Expired",
    "Forgotten",
    "FrameTooLarge",
    "HomeInUse",
    "ImageDamaged",
    "ImageTooLarge",
    "InsecurePermissions",
    "InternalError",
    "Interrupted",
    "InvalidInput",
    "InvalidTransition",
    "JobError",
    "KeyringUnavailable",
    "KeysLocked",
    "KindmeshError",
    "LocalError",
    "Malformed",
    "ModelMalformed",
    "ModelUnavailable",
    "NeedsApproval",
    "NoAudioDevice",
    "NoDeviceAble",
    "NotInitialised",
    "NotRunning",
    "PeerUnreachable",
    "PermitExpired",
    "PermitMismatch",
    "PermitMissing",
    "PermitRefused",
    "PermitStale",
    "PermitUsed",
    "QuotaExceeded",
    "RateLimited",
    "RemoteError",
    "RemoteFailure",
    "Replayed",
    "ReportedError",
    "Revoked",
    "SourceMismatch",
    "Stopped",
    "StoreConflict",
    "StoreDamaged",
    "StoreError",
    "StoreTooNew",
    "StreamBroken",
    "StreamLimit",
    "TransportClosed",
    "TransportError",
    "Uncertain",
    "UnknownCritical",
    "UnknownJob",
    "UnknownMember",
    "UnknownOperation",
    "UnknownVoice",
    "Unstable",
    "UnsupportedVersion",
    "WireError",
    "WrongDestination",
    "WrongPassphrase",
    "error_from_wire",
    "error_to_wire",
]
