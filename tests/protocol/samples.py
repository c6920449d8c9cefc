"""One small household in which nothing is random: what the golden vectors and many tests are made of.

Every key's seed is SHA-256 of `kindmesh-vector-` and its name, every time is `NOW` or near it, every id counts up.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.adopt import (
    AdoptChallenge,
    AdoptHello,
    AdoptRefused,
    Label,
    adopt_accepted,
    adopt_offer,
    adopt_transcript,
)
from kindmesh.protocol.anchors import AnchorList, open_bundle, sign_anchors
from kindmesh.protocol.certificate import (
    CapabilityGrant,
    Certificate,
    Heard,
    Kind,
    Membership,
    Renewal,
    RevocationList,
    Roster,
    sign_certificate,
    sign_renewal,
    sign_revocations,
    sign_roster,
)
from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.crypto import CurveKey, SigningKey, sha256
from kindmesh.protocol.enrol import (
    DEVICE_DOMAIN,
    DONE_DOMAIN,
    ENROL_VERSION,
    EnrolChallenge,
    EnrolClosed,
    EnrolDone,
    EnrolGranted,
    EnrolHello,
    EnrolPending,
    EnrolProof,
    EnrolRefused,
    Invitation,
    OfferedOperation,
    OfferSummary,
    host_mac,
    nonce_commitment,
    proof_mac,
    transcript,
)
from kindmesh.protocol.envelope import envelope_hash, make_envelope
from kindmesh.protocol.errors import EnrolmentRefused, PermitMissing, StreamLimit, error_to_wire
from kindmesh.protocol.ids import key_id, new_id
from kindmesh.protocol.label_reset import LabelReset
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, PERMIT_TTL_MS
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.messages import (
    ArtifactData,
    ArtifactGet,
    Call,
    CallReply,
    Draining,
    Heartbeat,
    Hello,
    Job,
    JobAccepted,
    JobCancel,
    JobProgress,
    JobResult,
    MessageType,
    NodeFacts,
    Relay,
    Renew,
    Renewed,
    Reply,
    Request,
    ResultTaken,
    Rotate,
    SessionType,
    SignedAdvert,
    Stop,
    StreamAnswer,
    StreamCarried,
    StreamCredit,
    StreamData,
    StreamEnd,
    StreamOpen,
    StreamResume,
    TrustKnown,
    TrustUpdate,
    Welcome,
)
from kindmesh.protocol.messages.events import (
    DurableEvent,
    EventFollow,
    EventSubscribe,
    EventTaken,
    Interest,
    Labels,
    MeshEvent,
    sign_event,
)
from kindmesh.protocol.messages.hello import Advert, Offer, Thing, sign_advert
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.papers import MeshPapers
from kindmesh.protocol.people import (
    Acceptance,
    Delegation,
    PersonInvitation,
    PersonRequest,
    PersonTerms,
    sign_acceptance,
    sign_delegation,
    sign_request,
    sign_terms,
)
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.plan_labels import Label as ValueLabel
from kindmesh.protocol.policy import (
    Approval,
    ApprovalRequest,
    Grant,
    Policy,
    Removal,
    Rule,
    sign_approval,
    sign_grant,
    sign_policy,
    sign_removal,
)
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.readmit import (
    Credentials,
    Readmission,
    ReadmitHello,
    ReadmitProof,
    Recall,
    sign_readmission,
    sign_recall,
)
from kindmesh.protocol.receipt import Receipt, ResultProof, Use
from kindmesh.protocol.release import Release, sign_release
from kindmesh.protocol.roles import Rights
from kindmesh.protocol.routine import RoutineApproval, RoutineRequest, RoutineStep
from kindmesh.protocol.session import SessionKeys, derive_session
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.standing import StandingApproval
from kindmesh.protocol.stream_credit import FIRST_CREDIT
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec
from kindmesh.protocol.topics import Topic, Topics
from kindmesh.protocol.typed import (
    TYPED_VERSION,
    DoorKeys,
    TypedShare,
    TypedStart,
    typed_accepted,
    typed_confirm,
)
from kindmesh.protocol.utterance import Spoken, Utterance, WordProof
from kindmesh.protocol.utterance_evidence import ArgumentLabel, ArgumentSource, Evidence

NOW: Final = 1_767_225_600_000
"""2026-01-01 00:00 UTC."""
KEYS: Final = ("root", "owner", "issuer", "medulla", "desk", "phone", "stranger", "anna")


def seed(name: str) -> bytes:
    """32 bytes that belong to `name`."""
    return sha256(b"kindmesh-vector-" + name.encode())


def time_id(number: int) -> bytes:
    """A 16-byte id made at `NOW`."""
    return new_id(NOW, number.to_bytes(10, "big"))


SIGNING: Final = {name: SigningKey(seed(name)) for name in KEYS}
CURVE: Final = {name: CurveKey(seed(f"{name}-curve")) for name in ("desk", "phone", "stranger")}
IDS: Final = {name: key_id(key.public) for name, key in SIGNING.items()}
MESH: Final = IDS["root"]
GRANTED: Final = (
    CapabilityGrant("device", int(Effect.READ)),
    CapabilityGrant("speech", int(Effect.READ | Effect.NOTIFY)),
)


def certificate(
    name: str, kind: Kind = "device", roles: tuple[str, ...] = ("node",), serial: int = 1
) -> Certificate:
    """What `name` would be certified as."""
    return Certificate(
        mesh=MESH,
        subject=IDS[name],
        kind=kind,
        name=name,
        ed_pub=SIGNING[name].public,
        curve_pub=CURVE[name].public if kind == "device" else b"",
        roles=roles,
        capabilities=GRANTED if kind == "device" else (),
        not_before_ms=NOW,
        expires_ms=NOW + CERTIFICATE_LIFETIME_MS,
        serial=serial,
    )


CERTIFICATES: Final[dict[str, Certificate]] = {
    "owner": certificate("owner", "person", ("owner",), 1),
    "issuer": certificate("issuer", "issuer", (), 2),
    "medulla": certificate("medulla", "medulla", (), 3),
    "desk": certificate("desk", "device", ("coordinator", "node"), 4),
    "phone": certificate("phone", "device", ("node",), 5),
}
SIGNED: Final[dict[str, Signed]] = {
    name: sign_certificate(value, SIGNING["root" if name in ("owner", "issuer", "medulla") else "issuer"])
    for name, value in CERTIFICATES.items()
}
ANCHORS: Final = AnchorList(
    MESH, NOW, NOW, (CERTIFICATES["owner"], CERTIFICATES["issuer"], CERTIFICATES["medulla"])
)
BUNDLE: Final = sign_anchors(ANCHORS, SIGNING["root"])
ROSTER: Final = Roster(MESH, 7, NOW, (SIGNED["desk"], SIGNED["phone"]))
REVOCATIONS: Final = RevocationList(MESH, 3, NOW, (IDS["stranger"],), (99,))
RENEWAL: Final = Renewal(MESH, IDS["phone"], 5, NOW, CURVE["stranger"].public)
SIGNED_ROSTER: Final = sign_roster(ROSTER, SIGNING["issuer"])
SIGNED_REVOCATIONS: Final = sign_revocations(REVOCATIONS, SIGNING["issuer"])
SIGNED_RENEWAL: Final = sign_renewal(RENEWAL, SIGNING["phone"])


def membership() -> Membership:
    """What a device of this household believes."""
    believed = Membership(open_bundle(BUNDLE, MESH))
    believed.merge_roster(SIGNED_ROSTER)
    believed.merge_revocations(SIGNED_REVOCATIONS)
    return believed


MANIFEST: Final = Manifest(
    capability="speech",
    version="1.0.0",
    title="Speaks",
    requires="speech",
    operations=(
        Operation(
            name="speech.render",
            title="Make speech",
            input=(
                Field("text", "text", "What to say", max_length=20),
                Field("voice", "text", required=False, choices=("en", "de"), default=encode_value("en")),
                Field("rate", "integer", required=False, minimum=80, maximum=400),
                Field("gain", "number", required=False, minimum=0, maximum=1.5),
                Field("loud", "boolean", required=False),
                Field("image", "artifact", required=False),
                Field("raw", "bytes", required=False, max_length=4),
                Field("marks", "list", required=False, minimum=1, maximum=3, items="integer"),
                Field("extra", "object", required=False),
            ),
            output=(Field("audio", "artifact"), Field("length_ms", "integer", minimum=0)),
            effects=Effect.READ,
            idempotent=True,
            data_classes=("text",),
            limits=Limits(10_000, 2, 65_536, 1_024),
            ext={"note": encode_value("a reader may ignore this")},
        ),
        Operation("speech.say", "Say it", (Field("text", "text"),), (), int(Effect.NOTIFY), False),
    ),
)
THINGS: Final = (Thing("media_player.radio", ("Radio", "Kitchen")),)
ADVERT: Final = Advert(MESH, IDS["phone"], 3, 1, NOW, (Offer(MANIFEST, True, "", 0.75, False, THINGS),))
SIGNED_ADVERT: Final = sign_advert(ADVERT, SIGNING["phone"])

POLICY: Final = Policy(
    MESH,
    2,
    NOW,
    (Rule("*", 9, "allow"), Rule("speech.*", 8, "ask"), Rule("speech.say", 8, "deny")),
    cedar="permit (principal, action, resource);",
)
GRANT: Final = Grant(
    mesh=MESH,
    grant_id=time_id(40),
    kind="device",
    name="phone",
    ed_pub=SIGNING["phone"].public,
    curve_pub=CURVE["phone"].public,
    roles=("node",),
    capabilities=GRANTED,
    issued_ms=NOW,
    expires_ms=NOW + 600_000,
)
REMOVAL: Final = Removal(MESH, IDS["stranger"], NOW)
TERMS: Final = PersonTerms(
    mesh=MESH,
    person=IDS["stranger"],
    name="Anna",
    role="caregiver",
    issued_ms=NOW,
    until_ms=NOW + 90 * 86_400_000,
    operations=("speech.*", "notes.list"),
    effects=9,
    invite_id=time_id(60),
    invite_pub=SigningKey(seed("invitation")).public,
    invite_expires_ms=NOW + 2 * 86_400_000,
)
SIGNED_TERMS: Final = sign_terms(TERMS, SIGNING["owner"])
PERSON_KEY: Final = SIGNING["anna"]
ACCEPTANCE: Final = Acceptance(MESH, TERMS.invite_id, PERSON_KEY.public, IDS["phone"], NOW + 1_000)
ACCEPTED: Final = sign_acceptance(ACCEPTANCE, PERSON_KEY, SigningKey(seed("invitation")))
PERSON_INVITATION: Final = PersonInvitation(1, SIGNED_TERMS, seed("invitation"))
PERSON_REQUEST: Final = PersonRequest(
    MESH, time_id(61), IDS["phone"], "submit", encode_value({"operation": "speech.say"}), NOW + 2_000
)
SIGNED_PERSON_REQUEST: Final = sign_request(PERSON_REQUEST, PERSON_KEY)
DELEGATION: Final = Delegation(
    MESH, time_id(62), "goal", "water-the-plants", IDS["stranger"],
    Rights(("notes.*",), 5, ("notes",), ("household",)), NOW, NOW + 7 * 86_400_000,
)  # fmt: skip
SIGNED_DELEGATION: Final = sign_delegation(DELEGATION, PERSON_KEY)
ARGS: Final = encode_value({"text": "Good morning"})
REQUEST: Final = ApprovalRequest(
    mesh=MESH,
    request_id=time_id(41),
    run_id=time_id(42),
    job_id=time_id(43),
    operation="speech.say",
    target=IDS["phone"],
    target_name="phone",
    args=ARGS,
    effects=8,
    principal=OWNER,
    reasons=("the policy asks",),
    issued_ms=NOW,
    expires_ms=NOW + 60_000,
)
APPROVAL: Final = Approval(encode(REQUEST), "allow", NOW + 5_000)
SIGNED_POLICY: Final = sign_policy(POLICY, SIGNING["owner"])
SIGNED_GRANT: Final = sign_grant(GRANT, SIGNING["owner"])
RELEASE: Final = Release(MESH, IDS["phone"], NOW)
SIGNED_RELEASE: Final = sign_release(RELEASE, SIGNING["owner"])
SIGNED_REMOVAL: Final = sign_removal(REMOVAL, SIGNING["owner"])
SIGNED_APPROVAL: Final = sign_approval(APPROVAL, SIGNING["owner"])

_SALT: Final = bytes(range(16))
UTTERANCE: Final = Utterance(
    REQUEST.mesh,
    REQUEST.request_id,
    2,
    bytes(range(32)),
    REQUEST.target,
    b"",
    "owner",
    NOW,
    "en",
    True,
    "Kitchen",
)
SPOKEN: Final = Spoken(("lamp", "on"), (_SALT, _SALT))
EVIDENCE: Final = Evidence(SIGNED_APPROVAL, (WordProof(0, "lamp", _SALT, (bytes(range(32)),)),))
ARGUMENT_LABEL: Final = ArgumentLabel("data.item", ValueLabel("user", words=("lamp",)))
STANDING: Final = StandingApproval(
    REQUEST.mesh,
    REQUEST.request_id,
    encode(REQUEST),
    "standing",
    issued_ms=NOW,
    expires_ms=NOW + 60_000,
    times=3,
    per_ms=86_400_000,
    free=("text",),
    amount="amount",
    each=1.5,
    altogether=4.0,
)
ROUTINE_STEP: Final = RoutineStep("speech.say", IDS["phone"], "phone", ARGS, int(Effect.NOTIFY))
ROUTINE_REQUEST: Final = RoutineRequest(
    MESH,
    time_id(70),
    OWNER,
    ("movie", "time"),
    (ROUTINE_STEP, msgspec.structs.replace(ROUTINE_STEP, data_classes=("home",), after=(0,))),
    NOW,
    NOW + 600_000,
)
ROUTINE: Final = RoutineApproval(encode(ROUTINE_REQUEST), NOW, NOW + 30 * 86_400_000, 10)
LABEL_RESET: Final = LabelReset(MESH, IDS["phone"], "notes", Carried("web", ("anna",), ("notes",)), NOW)
RECEIPT: Final = Receipt(
    REQUEST.mesh,
    REQUEST.target,
    time_id(43),
    time_id(42),
    "home.get",
    2,
    bytes(range(32)),
    NOW,
    Carried("memory"),
    Carried("model", ("*",), ("notes",)),
)
CARRIED: Final = Carried("device", ("*",), ("home",))
USE: Final = Use("data.level", ("0", "state"))
RESULT_PROOF: Final = ResultProof(SIGNED_APPROVAL, "entities", b"\x01", 1, (bytes(range(32)),), (USE,))
ARGUMENT_SOURCE: Final = ArgumentSource("data.level", "read", ("entities", "0"))
PROVENANCE: Final = (
    UTTERANCE, SPOKEN, EVIDENCE, ARGUMENT_LABEL, STANDING, ROUTINE_STEP,
    ROUTINE_REQUEST, ROUTINE, LABEL_RESET, RECEIPT, CARRIED, USE, RESULT_PROOF, ARGUMENT_SOURCE,
)  # fmt: skip

PERMIT: Final = Permit(
    mesh=MESH,
    kind="once",
    permit_id=time_id(50),
    run_id=time_id(42),
    step=0,
    job_id=time_id(43),
    operation="speech.say",
    target=IDS["phone"],
    args_hash=sha256(ARGS),
    effects=int(Effect.NOTIFY),
    policy_version=2,
    epoch=1,
    issued_ms=NOW,
    expires_ms=NOW + PERMIT_TTL_MS,
    max_uses=1,
    principal=OWNER,
    isolation="landlock",
    readers=(IDS["desk"],),
    label=Carried("device", data_class=("home",)),
)
SIGNED_PERMIT: Final = sign_permit(PERMIT, SIGNING["medulla"])
SESSION_PERMIT: Final = msgspec.structs.replace(
    PERMIT, kind="session", permit_id=time_id(61), job_id=time_id(60), operation="device.echo_stream",
    effects=int(Effect.READ), duration_ms=60_000, stream_bytes=1_000_000,
)  # fmt: skip
SIGNED_SESSION_PERMIT: Final = sign_permit(SESSION_PERMIT, SIGNING["medulla"])
STREAMING: Final = Manifest(
    capability="device",
    version="1",
    title="This device",
    operations=(
        Operation(
            "device.echo_stream", "Send back what comes", (), (), int(Effect.READ), True,
            stream=StreamSpec("both", StreamMedia("audio", "s16le", 16_000, 1), StreamMedia("text"), 60_000, 1_000_000),
        ),
    ),
)  # fmt: skip
INFO: Final = ArtifactInfo(sha256(b"a letter"), 8, "text/plain", IDS["phone"])
FACTS: Final = NodeFacts(0.25, 0.5, True, 41.5, 512, 2048, 1)

_HELLO: Final = Hello(
    certificate=SIGNED["phone"],
    ephemeral=CurveKey(seed("phone-ephemeral")).public,
    nonce=seed("phone-nonce"),
    versions=(1,),
    known=TrustKnown(NOW, 0, (Heard(IDS["issuer"], 6, 3, NOW),)),
    clock_ms=NOW,
)


def frames(type_: MessageType, body: msgspec.Struct, number: int, author: str = "phone") -> list[bytes]:
    """A signed message from `author` to the other of phone and desk."""
    return make_envelope(
        SIGNING[author],
        type_=int(type_),
        message_id=time_id(number),
        src=IDS[author],
        dst=IDS["phone" if author == "desk" else "desk"],
        boot=3,
        tag=b"boot-tag",
        sequence=number,
        issued_ms=NOW,
        body=encode(body),
        trace=time_id(42),
    )


HELLO_FRAMES: Final = frames(MessageType.HELLO, _HELLO, 1)
_WELCOME: Final = Welcome(
    hello_hash=envelope_hash(HELLO_FRAMES),
    certificate=SIGNED["desk"],
    ephemeral=CurveKey(seed("desk-ephemeral")).public,
    nonce=seed("desk-nonce"),
    version=1,
    clock_ms=NOW,
    trust=TrustUpdate(rosters=(SIGNED_ROSTER,), policy=SIGNED_POLICY),
)
WELCOME_FRAMES: Final = frames(MessageType.WELCOME, _WELCOME, 2, "desk")

EVENT: Final = MeshEvent(
    time_id(60),
    "perception.falls.detected",
    IDS["phone"],
    NOW,
    Labels("device", (IDS["desk"],), "health", "care"),
    encode_value({"confidence": 0.9, "room": "kitchen"}),
    time_id(42),
)
TOPICS: Final = Topics(
    (Topic("perception.falls.detected", "somebody fell", (Field("room", "text"),), data_class="health"),)
)
SIGNED_EVENT: Final = sign_event(EVENT, SIGNING["phone"])

MESSAGES: Final[dict[MessageType, tuple[str, msgspec.Struct]]] = {
    MessageType.HELLO: ("phone", _HELLO),
    MessageType.WELCOME: ("desk", _WELCOME),
    MessageType.ADVERT: ("phone", SignedAdvert(SIGNED_ADVERT)),
    MessageType.RENEW: ("phone", Renew(SIGNED_RENEWAL)),
    MessageType.RENEWED: ("desk", Renewed(SIGNED["phone"])),
    MessageType.JOB: (
        "desk",
        Job(
            time_id(43),
            time_id(42),
            0,
            1,
            "speech.say",
            ARGS,
            NOW + 30_000,
            "interactive",
            SIGNED_PERMIT,
            (INFO,),
        ),
    ),
    MessageType.JOB_CANCEL: ("desk", JobCancel(time_id(43), 1, "no longer wanted")),
    MessageType.JOB_RESULT: (
        "phone",
        JobResult(
            time_id(43),
            1,
            "failed",
            b"",
            error_to_wire(PermitMissing()),
            time_id(50),
            NOW,
            NOW + 900,
            (INFO,),
        ),
    ),
    MessageType.STOP: ("phone", Stop("a hand was in the way")),
    MessageType.ARTIFACT_GET: ("desk", ArtifactGet(INFO.artifact, 0, 262_144, SIGNED_PERMIT)),
    MessageType.ARTIFACT_DATA: ("phone", ArtifactData(INFO.artifact, 0, 8, "text/plain", b"a letter")),
    MessageType.REQUEST: ("phone", Request("jobs", encode_value({"limit": 5}))),
    MessageType.REPLY: ("desk", Reply("ok", encode_value({"jobs": []}))),
    MessageType.DURABLE_EVENT: ("phone", DurableEvent(SIGNED_EVENT)),
    MessageType.EVENT_FOLLOW: ("phone", EventFollow(("system.device.*",))),
    MessageType.STREAM_OPEN: (
        "desk",
        StreamOpen(
            time_id(60),
            "device.echo_stream",
            ARGS,
            SIGNED_SESSION_PERMIT,
            CurveKey(seed("desk-stream")).public,
            FIRST_CREDIT,
        ),
    ),
    MessageType.STREAM_ANSWER: (
        "phone",
        StreamAnswer(
            time_id(60),
            sha256(b"the opening"),
            None,
            CurveKey(seed("phone-stream")).public,
            FIRST_CREDIT,
            60_000,
            1_000_000,
            ("192.0.2.7:7437",),
        ),
    ),
    MessageType.STREAM_END: (
        "phone",
        StreamEnd(time_id(60), "limit", True, error_to_wire(StreamLimit()), b"", 600_000, 400_000),
    ),
}
FRAMES: Final = {
    type_: frames(type_, body, number, author)
    for number, (type_, (author, body)) in enumerate(MESSAGES.items(), start=1)
}
SESSION_MESSAGES: Final[dict[SessionType, msgspec.Struct]] = {
    SessionType.HEARTBEAT: Heartbeat(
        12, NOW, FACTS, TrustKnown(NOW, 2, (Heard(IDS["issuer"], 7, 3, NOW),)), 1
    ),
    SessionType.CALL: Call("device.echo", ARGS, 2_000),
    SessionType.CALL_REPLY: CallReply(ARGS),
    SessionType.JOB_ACCEPTED: JobAccepted(time_id(43), 1, "accepted"),
    SessionType.JOB_PROGRESS: JobProgress(time_id(43), 1, 0.5, "half of it"),
    SessionType.RESULT_TAKEN: ResultTaken(time_id(43), 1, ((time_id(44), 2),)),
    SessionType.TRUST_UPDATE: TrustUpdate(
        (SIGNED_ROSTER,), (SIGNED_REVOCATIONS,), SIGNED_POLICY, SIGNED["phone"], BUNDLE
    ),
    SessionType.ROTATE: Rotate(),
    SessionType.DRAINING: Draining(on=True, grace_ms=5_000, reason="a new battery"),
    SessionType.RELAY: Relay((HELLO_FRAMES[0], HELLO_FRAMES[1], HELLO_FRAMES[2]), 1),
    SessionType.EVENT_SUBSCRIBE: EventSubscribe(
        (Interest("system.device.*"), Interest("perception.falls.*", "room", encode_value("kitchen")))
    ),
    SessionType.EVENT: EVENT,
    SessionType.EVENT_TAKEN: EventTaken((time_id(60),)),
    SessionType.STREAM: StreamCarried(
        IDS["desk"], IDS["phone"], False, (b"S" * 17, b"m" * 16, b"a sealed frame")
    ),
    SessionType.STREAM_DATA: StreamData(3, 96_000, b"some samples", True, False),
    SessionType.STREAM_CREDIT: StreamCredit(3, 15, 358_144),
    SessionType.STREAM_RESUME: StreamResume(3),
}


def session_pair() -> tuple[SessionKeys, SessionKeys]:
    """(dialler's, listener's) ends of the session that HELLO and WELCOME open."""
    hashes = {"hello_hash": envelope_hash(HELLO_FRAMES), "welcome_hash": envelope_hash(WELCOME_FRAMES)}
    return (
        derive_session(
            secret=seed("phone-ephemeral"), peer_public=_WELCOME.ephemeral, dialler=True, **hashes
        ),
        derive_session(secret=seed("desk-ephemeral"), peer_public=_HELLO.ephemeral, dialler=False, **hashes),
    )


INVITATION: Final = Invitation(
    version=ENROL_VERSION,
    mesh=MESH,
    ed_pub=SIGNING["desk"].public,
    curve_pub=CURVE["desk"].public,
    hints=("192.0.2.7:7420",),
    secret=seed("secret")[:16],
    expires_s=NOW // 1000 + 300,
)
ENROL_HELLO: Final = EnrolHello(
    version=ENROL_VERSION,
    ed_pub=SIGNING["phone"].public,
    curve_pub=CURVE["phone"].public,
    name="phone",
    role="node",
    offers=(OfferSummary("speech", "Speaks", 9, (OfferedOperation("speech.say", 8),)),),
    commitment=nonce_commitment(seed("enrol-phone")),
)
ENROL_CHALLENGE: Final = EnrolChallenge(seed("enrol-desk"))
TRANSCRIPT: Final = transcript(INVITATION, ENROL_HELLO, ENROL_CHALLENGE, seed("enrol-phone"))
ENROL_PROOF: Final = EnrolProof(
    proof_mac(INVITATION, TRANSCRIPT),
    SIGNING["phone"].sign(DEVICE_DOMAIN + TRANSCRIPT),
    seed("enrol-phone"),
)
ENROL_GRANTED: Final = EnrolGranted(
    bundle=BUNDLE,
    certificate=SIGNED["phone"],
    coordinator=SIGNED["desk"],
    rosters=(SIGNED_ROSTER,),
    revocations=(SIGNED_REVOCATIONS,),
    policy=SIGNED_POLICY,
    addresses=("192.0.2.7:7421",),
)
ENROL_DONE: Final = EnrolDone(SIGNING["phone"].sign(DONE_DOMAIN + TRANSCRIPT))
ENROL_MESSAGES: Final[tuple[msgspec.Struct, ...]] = (
    ENROL_HELLO,
    ENROL_CHALLENGE,
    ENROL_PROOF,
    EnrolPending(host_mac(INVITATION, TRANSCRIPT)),
    ENROL_GRANTED,
    EnrolRefused(error_to_wire(EnrolmentRefused())),
    ENROL_DONE,
    EnrolClosed(),
    TypedStart(TYPED_VERSION, b"A" + seed("typed-phone")),
    TypedShare(b"B" + seed("typed-desk")),
    typed_confirm(seed("typed-key")),
    typed_accepted(seed("typed-key"), INVITATION.expires_s, "node"),
)
DOOR_KEYS: Final = DoorKeys(
    version=TYPED_VERSION,
    mesh=MESH,
    ed_pub=SIGNING["desk"].public,
    curve_pub=CURVE["desk"].public,
    door=7438,
)
LABEL: Final = Label(
    version=ENROL_VERSION,
    ed_pub=SIGNING["phone"].public,
    curve_pub=CURVE["phone"].public,
    secret=seed("label")[:16],
    name="hall",
)
ADOPT_HELLO: Final = AdoptHello(ENROL_VERSION, MESH, SIGNING["desk"].public, seed("adopt-desk"))
ADOPT_CHALLENGE: Final = AdoptChallenge(seed("adopt-phone"))
ADOPT_TRANSCRIPT: Final = adopt_transcript(LABEL, CURVE["desk"].public, ADOPT_HELLO, ADOPT_CHALLENGE)
ADOPT_OFFER: Final = adopt_offer(LABEL, ADOPT_TRANSCRIPT, INVITATION)
ADOPT_MESSAGES: Final[tuple[msgspec.Struct, ...]] = (
    ADOPT_HELLO,
    ADOPT_CHALLENGE,
    ADOPT_OFFER,
    adopt_accepted(LABEL, ADOPT_TRANSCRIPT, INVITATION),
    AdoptRefused(error_to_wire(EnrolmentRefused())),
)

# Coming back after the coordinator was lost.
RECALL: Final = Recall(MESH, NOW, NOW, NOW + 1_000)
SIGNED_RECALL: Final = sign_recall(RECALL, SIGNING["owner"])
READMISSION: Final = Readmission(MESH, IDS["phone"], 5, NOW, seed("readmit-nonce"), NOW)
SIGNED_READMISSION: Final = sign_readmission(READMISSION, SIGNING["phone"])
CREDENTIALS: Final = Credentials(
    (BUNDLE,), SIGNED["phone"], (SIGNED_ROSTER,), (SIGNED_REVOCATIONS,), SIGNED_POLICY
)
READMIT_MESSAGES: Final[tuple[msgspec.Struct, ...]] = (
    ReadmitHello(1, IDS["phone"], CURVE["phone"].public),
    ReadmitProof(SIGNED_READMISSION, CREDENTIALS),
)
PAPERS: Final = MeshPapers(
    1, BUNDLE, (SIGNED["desk"],), (SIGNED_REVOCATIONS,), ("192.0.2.7:7437",), ("192.0.2.7:7438",)
)
