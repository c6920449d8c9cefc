"""What travels on Medulla's socket.

A frame is a 4-byte big-endian length and a MessagePack array: `[id, method, params]` one way, `[id, "ok", payload]` or
`[id, "error", [code, message, hint, field]]` back, in any order; `params` and `payload` are the arrays of the structs
here. Many frames may follow each other without waiting: one read is one batch, one commit, one write.

    method   params           payload        what it does
    permit   PermitRequest    Verdict        judge one step; allow carries the signed permit, ask what to show a person
    approve  Approve          Verdict        the person's signed answer to an ask
    review   PlanReview       PlanVerdict    what would be said of a whole plan; permits nothing, keeps nothing
    issue    Issue            Issued         certify one key against the owner's signed grant
    renew    Renew            Issued         30 more days, or a new CURVE key, for a member that proves its key
    revoke   Revoke           Trust          the owner's signed removal of a member
    hold     Hold            Held           a member's identity was copied: no more than {read, notify} for it
    release  LetGo           Held           the owner's signed word that it is one device
    policy   Install          Trust          take over a policy signed by the owner; its version never falls
    advert   Advertise        Advertised     take over what a device says it offers, signed by the device
    raises   []               Raises         what devices offer beyond their certificates
    decline  Decline          Raises         remember the owner's no to some of that
    learn    Learn            Learned        take over what others decided: anchors, removals, rosters, older rules
    recall   SetRecall        Trust          the owner's standing yes to members of before
    readmit  Readmit          Issued         certify a member of before anew, as what it was
    trust    []               Trust          roster, revocation list and policy, signed and fresh
    status   []               Status         versions, counters, isolation
    log      LogQuery         LogPage        entries of Medulla's audit log
    audit    AuditWanted      AuditNow       its newest signed head, with a proof for who remembers an older one
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.anchors import MeshBundle, Papers
from kindmesh.protocol.audit import AuditNews, SealedEntry
from kindmesh.protocol.bounds import (
    Arguments,
    Count,
    Effects,
    KeyId,
    Line,
    Name,
    OptionalTimeId,
    TimeId,
    Word,
)
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.errors import WireError
from kindmesh.protocol.limits import PLAN_MAX, ROSTER_MAX
from kindmesh.protocol.messages.jobs import Priority
from kindmesh.protocol.permit import Isolation
from kindmesh.protocol.policy import Answer
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.stream_spec import StreamBounds
from kindmesh.protocol.utterance_evidence import ArgumentLabels, Evidence

DOUBTS_MAX: Final = 8
"""Sentences against one step."""
FRAME_LIMIT: Final = 4 * ROSTER_MAX
"""Bytes of one frame on Medulla's socket."""


Doubts = Annotated[tuple[Line, ...], Meta(max_length=DOUBTS_MAX)]


class PermitRequest(msgspec.Struct, array_like=True, frozen=True):
    """One step that shall be done: ids as in `Permit`, `args` the canonical argument bytes, `epoch` the attempt.

    `effects` are what the planner adds to what the device declares; they can only add. `principal` is who asked,
    `purpose` what for, `proof` the person's signature over the request where a person asked it; `readers` are devices
    that want to fetch the artifacts made by it (members only are written into the permit); `priority` of the job;
    `stream`: the bounds of the stream that is wanted, and then `readers` is the one device that may open it. A step of
    a sub-run names its `parent`, the permit that led to it, and shows that as `parent_permit`. `labels` say where the
    parts of the arguments came from, and `evidence` proves what of that was said.
    `doubts` are sentences that were said against it ahead; they can only make it ask.
    """

    run_id: TimeId
    step: Count
    job_id: TimeId
    operation: Word
    target: KeyId
    args: Arguments
    epoch: Count
    principal: Principal
    effects: Effects = 0
    parent: OptionalTimeId = b""
    readers: tuple[KeyId, ...] = ()
    purpose: Purpose = "household"
    proof: Signed | None = None
    priority: Priority = "interactive"
    stream: StreamBounds | None = None
    parent_permit: Signed | None = None
    labels: ArgumentLabels = ()
    evidence: Evidence | None = None
    doubts: Doubts = ()


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """`allow`: `permit` is signed. `ask`: `request` are the bytes of an `ApprovalRequest` to show and have signed.
    `deny`: neither. `reasons` are sentences for a person; `rules` the names of the rules that spoke."""

    answer: Answer
    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    permit: Signed | None = None
    request: bytes = b""


class Opinion(msgspec.Struct, array_like=True, frozen=True):
    """What a second reviewer says of a plan, and why in a sentence. It is the coordinator's word, so it can only make
    the verdict worse."""

    answer: Answer
    why: Line = ""


class PlanReview(msgspec.Struct, array_like=True, frozen=True):
    """A plan that somebody means to run: its canonical bytes (`plan_to_bytes`), who asks for it and what for, and what
    proves the words it came from; `second`: what somebody else said of it. No utterance is used up by it."""

    plan: Annotated[bytes, Meta(max_length=PLAN_MAX)]
    principal: Principal
    purpose: Purpose = "household"
    evidence: Evidence | None = None
    second: Opinion | None = None


class PlanReason(msgspec.Struct, array_like=True, frozen=True):
    """Why: the `rule`, the `step` (`outer.inner` in a plan inside; empty: the whole plan), a sentence for a person, and
    how grave it is."""

    rule: str
    step: str
    message: str
    answer: Answer


class PlanVerdict(msgspec.Struct, array_like=True, frozen=True):
    """What would be said of the plan now, the reasons that make it, and what else was found, less grave."""

    answer: Answer
    reasons: tuple[PlanReason, ...] = ()
    also: tuple[PlanReason, ...] = ()


class Approve(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Approval`; `epoch` of the attempt the permit shall be for, if it rose since the question was asked."""

    approval: Signed
    epoch: Count = 0


class Issue(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Grant`."""

    grant: Signed


class Renew(msgspec.Struct, array_like=True, frozen=True):
    """A `Renewal` signed with the key of the certificate to renew."""

    renewal: Signed


class Issued(msgspec.Struct, array_like=True, frozen=True):
    """The certificate, and the roster that has it."""

    certificate: Signed
    roster: Signed


class Revoke(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Removal`."""

    removal: Signed


class Hold(msgspec.Struct, array_like=True, frozen=True):
    """The id of a member of which two starts live at once."""

    subject: KeyId


class LetGo(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Release`."""

    release: Signed


class Held(msgspec.Struct, array_like=True, frozen=True):
    """The ids of all members that are held."""

    subjects: tuple[KeyId, ...]


class Install(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Policy`."""

    policy: Signed


class Advertise(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Advert`."""

    advert: Signed


class Advertised(msgspec.Struct, array_like=True, frozen=True):
    """Operations that may be permitted there, and capabilities of which the owner did not grant all effects."""

    operations: tuple[str, ...]
    refused: tuple[str, ...]


class Raise(msgspec.Struct, array_like=True, frozen=True):
    """A device offers a capability with `effects` (bit set) beyond those `granted`; `declined`: the owner said no."""

    subject: KeyId
    name: Name
    capability: Word
    effects: Effects
    granted: Effects
    declined: bool


class RaisesWanted(msgspec.Struct, array_like=True, frozen=True):
    """Method `raises` takes nothing."""


class Raises(msgspec.Struct, array_like=True, frozen=True):
    """All that members offer beyond what they were granted, by device and capability."""

    raises: tuple[Raise, ...]


class Decline(msgspec.Struct, array_like=True, frozen=True):
    """The owner said no to these effects of these capabilities on a device, and is not to be asked again."""

    subject: KeyId
    capabilities: Annotated[tuple[CapabilityGrant, ...], Meta(max_length=256)]


class Trust(msgspec.Struct, array_like=True, frozen=True):
    """What every device needs to know, each part signed."""

    roster: Signed
    revocations: Signed
    policy: Signed


class Learn(msgspec.Struct, array_like=True, frozen=True):
    """Papers as `protocol.messages.TrustUpdate` and `protocol.readmit.Credentials` carry them."""

    bundles: tuple[MeshBundle, ...] = ()
    rosters: Papers = ()
    revocations: Papers = ()
    policy: Signed | None = None


class Learned(msgspec.Struct, array_like=True, frozen=True):
    """Trust as it is now, the version of the anchors in force, and whether they name this Medulla no more."""

    trust: Trust
    anchors_version: int
    replaced: bool


class SetRecall(msgspec.Struct, array_like=True, frozen=True):
    """A signed `Recall`."""

    recall: Signed


class Readmit(msgspec.Struct, array_like=True, frozen=True):
    """A device's signed `Readmission`, and the certificate that it has from before."""

    wish: Signed
    certificate: Signed


class Status(msgspec.Struct, array_like=True, frozen=True):
    """`highest_ms` is the highest time signed (UTC ms); `log_head` the Merkle root of its audit log of
    `log_seq` entries;
    `confinement` what this process was left with, as `Confinement.as_dict` in MessagePack."""

    mesh: bytes
    isolation: Isolation
    policy_version: int
    roster_version: int
    revocation_version: int
    serial: int
    members: int
    pending: int
    permits: int
    highest_ms: int
    log_seq: int = 0
    log_head: bytes = b""
    pid: int = 0
    uid: int = 0
    confinement: bytes = b"\x80"


class TrustWanted(msgspec.Struct, array_like=True, frozen=True):
    """Method `trust` takes nothing."""


class StatusWanted(msgspec.Struct, array_like=True, frozen=True):
    """Method `status` takes nothing."""


class LogQuery(msgspec.Struct, array_like=True, frozen=True):
    """Entries after `after` (0: from the first), at most `limit` (1..1000)."""

    after: int = 0
    limit: int = 100


class LogPage(msgspec.Struct, array_like=True, frozen=True):
    """Rows of Medulla's audit log in order, and its newest signed head."""

    entries: tuple[SealedEntry, ...]
    head: Signed | None = None


class AuditWanted(msgspec.Struct, array_like=True, frozen=True):
    """What somebody gets who remembers Medulla's audit log at size `seen`."""

    seen: Count = 0


class AuditNow(msgspec.Struct, array_like=True, frozen=True):
    """None when that is all there is."""

    news: AuditNews | None = None


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """A request frame; `params` are decoded by the method's type."""

    id: int
    method: str
    params: msgspec.Raw


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """A reply frame; `payload` is a method's payload or a `WireError`."""

    id: int
    status: str
    payload: msgspec.Raw


__all__ = [
    "DOUBTS_MAX",
    "FRAME_LIMIT",
    "Advertise",
    "Advertised",
    "Approve",
    "AuditNow",
    "AuditWanted",
    "Decline",
    "Frame",
    "Held",
    "Hold",
    "Install",
    "Issue",
    "Issued",
    "Learn",
    "Learned",
    "LetGo",
    "LogPage",
    "LogQuery",
    "Opinion",
    "PermitRequest",
    "PlanReason",
    "PlanReview",
    "PlanVerdict",
    "Raise",
    "Raises",
    "RaisesWanted",
    "Readmit",
    "Renew",
    "Reply",
    "Revoke",
    "SetRecall",
    "Status",
    "StatusWanted",
    "Trust",
    "TrustWanted",
    "Verdict",
    "WireError",
]
