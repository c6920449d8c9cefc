"""Session permits: only for what streams, within the device's bounds, and like any other permit otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from tests.coordinator.medulla_kit import World, fresh, manifest

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.protocol.codec import decode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.permit import Permit, check_permit, open_permit
from kindmesh.protocol.policy import ApprovalRequest
from kindmesh.protocol.stream_spec import StreamBounds, StreamMedia, StreamSpec

SPEC = StreamSpec("both", StreamMedia("bytes"), StreamMedia("bytes"), 60_000, 1_000_000)
BOUNDS = StreamBounds(10_000, 5_000)
STREAMS = Manifest(
    "ear", "1", "An ear",
    (
        Operation("ear.echo", "Echo", (), (), int(Effect.READ), True, stream=SPEC),
        Operation("ear.listen", "Listen", (), (), int(Effect.SENSE), True, stream=SPEC),
    ),
)  # fmt: skip


@pytest.fixture
def world() -> World:
    made = World()
    made.ask(m.Advertise(made.advert(made.phone, manifest(), STREAMS, version=2)))
    return made


def asked(world: World, operation: str = "ear.echo", stream: StreamBounds | None = BOUNDS) -> Any:
    opener = key_id(world.phone.public)
    return world.ask(world.request(operation, stream=stream, readers=(opener,)))


def opened(world: World, verdict: m.Verdict) -> Permit:
    assert verdict.permit is not None
    return open_permit(verdict.permit, world.permit_key.public)


def test_a_stream_gets_a_session_permit_with_the_bounds_that_were_asked_for(world: World) -> None:
    permit = opened(world, asked(world))
    assert (permit.kind, permit.duration_ms, permit.stream_bytes, permit.max_uses) == (
        "session",
        10_000,
        5_000,
        1,
    )
    assert permit.readers == (key_id(world.phone.public),)
    check_permit(
        permit, mesh=world.mesh, target=permit.target, operation="ear.echo", effects=int(Effect.READ),
        job_id=permit.job_id, args=world.request().args, epoch=1, policy_version=1, now_ms=world.now_ms,
        kind="session",
    )  # fmt: skip
    assert permit.args_hash == sha256(world.request().args)


@pytest.mark.parametrize(
    ("operation", "stream"),
    [
        ("notes.list", BOUNDS),
        ("ear.echo", None),
        ("ear.echo", StreamBounds(60_001, 5_000)),
        ("ear.echo", StreamBounds(0, 5_000)),
        ("ear.echo", StreamBounds(10_000, 1_000_001)),
        ("ear.echo", StreamBounds(10_000, 0)),
    ],
    ids=str,
)
def test_what_does_not_stream_or_not_that_much_is_denied(
    world: World, operation: str, stream: StreamBounds | None
) -> None:
    verdict = asked(world, operation, stream)
    assert (verdict.answer, verdict.rules) == ("deny", ("streamed",))


def test_what_nobody_offers_is_denied_for_that_reason_alone(world: World) -> None:
    assert asked(world, "ear.unknown").rules == ("offered",)


def test_a_stream_that_listens_asks_the_owner_and_the_yes_gives_the_same_bounds(world: World) -> None:
    verdict = asked(world, "ear.listen")
    assert verdict.answer == "ask"
    shown = decode(ApprovalRequest, verdict.request)
    assert shown.operation == "ear.listen"
    assert shown.reasons[-1] == "it is a stream of at most 10 s and 0.005 MB"
    permit = opened(world, world.ask(world.approval(verdict.request)))
    assert (permit.kind, permit.duration_ms, permit.stream_bytes) == ("session", 10_000, 5_000)
    assert permit.approval_id == shown.request_id
    assert fresh(1) != permit.permit_id
