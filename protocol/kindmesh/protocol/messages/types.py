"""Numbers of the message types. A number, once released, keeps its meaning."""

from __future__ import annotations

import enum


class MessageType(enum.IntEnum):
    """Types of signed envelopes."""

    HELLO = 1
    WELCOME = 2
    ADVERT = 3
    RENEW = 4
    RENEWED = 5
    JOB = 10
    JOB_CANCEL = 11
    JOB_RESULT = 12
    STOP = 13
    ARTIFACT_GET = 20
    ARTIFACT_DATA = 21
    REQUEST = 30
    REPLY = 31
    DURABLE_EVENT = 50
    EVENT_FOLLOW = 51
    STREAM_OPEN = 40
    STREAM_ANSWER = 41
    STREAM_END = 42


class SessionType(enum.IntEnum):
    """Types of session frames."""

    HEARTBEAT = 1
    CALL = 2
    CALL_REPLY = 3
    JOB_ACCEPTED = 4
    JOB_PROGRESS = 5
    RESULT_TAKEN = 6
    TRUST_UPDATE = 7
    RELAY = 8
    ROTATE = 9
    DRAINING = 10
    EVENT_SUBSCRIBE = 30
    EVENT = 31
    EVENT_TAKEN = 32
    STREAM = 20
    STREAM_DATA = 21
    STREAM_CREDIT = 22
    STREAM_RESUME = 23


__all__ = ["MessageType", "SessionType"]
