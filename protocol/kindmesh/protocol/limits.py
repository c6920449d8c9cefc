"""Sizes, depths and times that every side keeps; one table, so that a reader finds every bound in one place.

Bytes unless the name says otherwise. A bound is checked before the bytes are decoded. Nothing here is configurable:
two devices must agree on them.
"""

from __future__ import annotations

from typing import Final

WIRE_VERSION: Final = 1
WIRE_VERSIONS: Final = (1,)
"""Versions that this build speaks; from version 2 on also the previous one."""

HEADER_MAX: Final = 512
BODY_MAX: Final = 1_048_576
"""One message body. Larger things are artifacts."""
FRAME_MAX: Final = BODY_MAX + 4096
"""One transport frame: a body and what a relay wraps around it."""
FRAMES_MAX: Final = 8
DEPTH_MAX: Final = 32
"""Nesting of free-form values (job arguments, results, `ext`)."""
ARGUMENTS_MAX: Final = 262_144
RESULT_MAX: Final = 786_432
MANIFEST_MAX: Final = 65_536
CERTIFICATE_MAX: Final = 4_096
PERMIT_MAX: Final = 2_048
ROSTER_MAX: Final = 786_432
ANCHORS_MAX: Final = 32
"""Owners, issuers and permit keys of a mesh together."""
BUNDLE_MAX: Final = 16_384
ISSUERS_MAX: Final = 64
"""Issuers that a device remembers, those that were replaced included."""
OFFERS_MAX: Final = 128
"""Capabilities that a device may ask for when it is paired."""
THINGS_MAX: Final = 1_000
"""Things that a device names for one capability."""
THING_NAMES_MAX: Final = 96
"""Names of one of them, those of where it is included."""
THINGS_BYTES_MAX: Final = 262_144
"""All things that a device names for one capability, as canonical MessagePack."""
NAME_MAX: Final = 64
"""Characters in a device's or a person's name."""
TEXT_MAX: Final = 4_096

CLOCK_SKEW_MS: Final = 120_000
"""How far two clocks may differ; a message or permit from further in the future is refused."""
TTL_MAX_MS: Final = 7 * 24 * 3_600_000
TTL_DEFAULT_MS: Final = 60_000
PERMIT_TTL_MS: Final = 120_000
CERTIFICATE_LIFETIME_MS: Final = 30 * 24 * 3_600_000
ROSTER_STALE_MS: Final = 24 * 3_600_000
"""A revocation list older than this allows only {read, notify}."""

REPLAY_WINDOW_BITS: Final = 1024
HEARTBEAT_MS: Final = 1_000
SUSPECT_MS: Final = 3_000

STREAM_FRAME_MAX: Final = 32_768
"""Bytes of one data frame of a stream."""
STREAM_WINDOW_FRAMES: Final = 12
STREAM_WINDOW_BYTES: Final = 262_144
"""What may be under way in one direction of one stream, and is kept to be sent again."""
STREAMS_MAX: Final = 12
"""Streams of one device at once, as the opener and as the one that acts; with the window it keeps what is under way on
one link well below a socket's queue of 256 messages."""
STREAM_OPEN_MS: Final = 10_000
STREAM_RESUME_MS: Final = 10_000
"""How long a broken link may last before its streams end."""
STREAM_DURATION_MAX_MS: Final = 4 * 3_600_000
STREAM_BYTES_MAX: Final = 8 * 1024**3
STREAM_ADDRESSES_MAX: Final = 8

ARTIFACT_CHUNK: Final = 262_144
ARTIFACT_MAX: Final = 8 * 1024**3

EVENT_DATA_MAX: Final = 16_384
"""The data of one event. Larger things are artifacts, which an event can name."""
EVENT_MAX: Final = 32_768
EVENT_DEPTH_MAX: Final = 8
EVENT_READERS_MAX: Final = 64
EVENT_INTERESTS_MAX: Final = 256
"""Patterns that one member may ask for at once."""
EVENT_TAKEN_MAX: Final = 256
"""Durable events that one message acknowledges."""
TOPICS_MAX: Final = 64
"""Topics that one capability may declare."""

PAIR_WINDOW_DEFAULT_MS: Final = 300_000
PAIR_WINDOW_MAX_MS: Final = 900_000
PAIR_FAILURES_MAX: Final = 5
PAIR_HELLOS_MAX: Final = 16
"""Hellos that one window answers; each is one chance in 10,000 to meet a wanted check code."""
PAIR_PROOFS_MAX: Final = 3
"""Times that a device proves itself, and so shows a check code, with one invitation."""
PAIR_CODE_TRIES: Final = 3
"""Wrong check codes that the owner may type for one device."""
ADOPT_FAILURES_MAX: Final = 5
"""Wrong proofs after which a device that waits to be adopted answers nobody any more."""
PAIR_SECRET: Final = 16

PLAN_MAX: Final = 131_072
"""A plan as canonical MessagePack; sub-plans that are written into it included."""
PLAN_STEPS_MAX: Final = 128
"""Steps of a plan, those of its written sub-plans included."""
PLAN_DEPTH_MAX: Final = 4
"""Runs inside runs: the first, and three below it."""
EXPRESSION_DEPTH_MAX: Final = 12
"""Maps and lists inside each other in one value of a plan."""
PLAN_ITEMS_MAX: Final = 1_000
"""Iterations of one step."""
PLAN_PARALLEL_MAX: Final = 32
"""Iterations of one step at the same time."""
PLAN_ATTEMPTS_MAX: Final = 10
PLAN_WAIT_MAX_MS: Final = 31 * 24 * 3_600_000
"""How long a plan, or a step of it, may take or wait."""
RUN_DATA_MAX: Final = 16_777_216
"""What the outputs of a run take altogether."""
RUN_OPEN_MAX: Final = 32
"""Items of a run (jobs, sub-runs, waits) that are open at the same time."""
LINEAGE_MAX: Final = 64
"""Origins that are remembered of one value."""
LABELS_MAX: Final = 128
"""Labels of the parts of one step's arguments."""
PROOF_VALUE_MAX: Final = 32_768
"""Bytes of a field of a result that is shown to Medulla as a proof; a longer one proves nothing."""
UTTERANCE_FRESH_MS: Final = 600_000
"""How old an utterance may be when its run asks for its first permit; for later ones the run counts."""
UTTERANCE_WORDS_MAX: Final = 256
"""Words of one utterance, and of one label."""
UTTERANCE_WORD_MAX: Final = 512
"""Characters of one word of an utterance."""
CEDAR_MAX: Final = 65_536
"""The owner's rules in Cedar, as UTF-8."""

__all__ = [name for name in list(globals()) if name.isupper()]
