"""Message types and their bodies, one file per domain.

Signed envelopes carry `MessageType`; session frames carry a `SessionBody` with a `SessionType`. `BODIES` and
`SESSION_BODIES` say which struct belongs to which type; a type that is not in its table is refused.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.messages.artifacts import ArtifactData, ArtifactGet
from kindmesh.protocol.messages.events import DurableEvent, EventFollow, EventSubscribe, EventTaken, MeshEvent
from kindmesh.protocol.messages.hello import Advert, Hello, NodeFacts, SignedAdvert, Welcome
from kindmesh.protocol.messages.jobs import Job, JobCancel, JobResult, Stop
from kindmesh.protocol.messages.renewal import Renew, Renewed, Rotate
from kindmesh.protocol.messages.requests import Reply, Request
from kindmesh.protocol.messages.session import (
    Call,
    CallReply,
    Draining,
    Heartbeat,
    JobAccepted,
    JobProgress,
    Relay,
    ResultTaken,
    SessionBody,
)
from kindmesh.protocol.messages.streams import (
    StreamAnswer,
    StreamCarried,
    StreamCredit,
    StreamData,
    StreamEnd,
    StreamOpen,
    StreamResume,
)
from kindmesh.protocol.messages.trust import TrustKnown, TrustUpdate
from kindmesh.protocol.messages.types import MessageType, SessionType

BODIES: Final[dict[MessageType, type[msgspec.Struct]]] = {
    MessageType.HELLO: Hello,
    MessageType.WELCOME: Welcome,
    MessageType.ADVERT: SignedAdvert,
    MessageType.RENEW: Renew,
    MessageType.RENEWED: Renewed,
    MessageType.JOB: Job,
    MessageType.JOB_CANCEL: JobCancel,
    MessageType.JOB_RESULT: JobResult,
    MessageType.STOP: Stop,
    MessageType.ARTIFACT_GET: ArtifactGet,
    MessageType.ARTIFACT_DATA: ArtifactData,
    MessageType.REQUEST: Request,
    MessageType.REPLY: Reply,
    MessageType.DURABLE_EVENT: DurableEvent,
    MessageType.EVENT_FOLLOW: EventFollow,
    MessageType.STREAM_OPEN: StreamOpen,
    MessageType.STREAM_ANSWER: StreamAnswer,
    MessageType.STREAM_END: StreamEnd,
}

SESSION_BODIES: Final[dict[SessionType, type[msgspec.Struct]]] = {
    SessionType.HEARTBEAT: Heartbeat,
    SessionType.CALL: Call,
    SessionType.CALL_REPLY: CallReply,
    SessionType.JOB_ACCEPTED: JobAccepted,
    SessionType.JOB_PROGRESS: JobProgress,
    SessionType.RESULT_TAKEN: ResultTaken,
    SessionType.TRUST_UPDATE: TrustUpdate,
    SessionType.RELAY: Relay,
    SessionType.ROTATE: Rotate,
    SessionType.DRAINING: Draining,
    SessionType.EVENT_SUBSCRIBE: EventSubscribe,
    SessionType.EVENT: MeshEvent,
    SessionType.EVENT_TAKEN: EventTaken,
    SessionType.STREAM: StreamCarried,
    SessionType.STREAM_DATA: StreamData,
    SessionType.STREAM_CREDIT: StreamCredit,
    SessionType.STREAM_RESUME: StreamResume,
}

__all__ = [
    "BODIES",
    "SESSION_BODIES",
    "Advert",
    "ArtifactData",
    "ArtifactGet",
    "Call",
    "CallReply",
    "Draining",
    "DurableEvent",
    "EventFollow",
    "EventSubscribe",
    "EventTaken",
    "Heartbeat",
    "Hello",
    "Job",
    "JobAccepted",
    "JobCancel",
    "JobProgress",
    "JobResult",
    "MeshEvent",
    "MessageType",
    "NodeFacts",
    "Relay",
    "Renew",
    "Renewed",
    "Reply",
    "Request",
    "ResultTaken",
    "Rotate",
    "SessionBody",
    "SessionType",
    "SignedAdvert",
    "Stop",
    "StreamAnswer",
    "StreamCarried",
    "StreamCredit",
    "StreamData",
    "StreamEnd",
    "StreamOpen",
    "StreamResume",
    "TrustKnown",
    "TrustUpdate",
    "Welcome",
]
