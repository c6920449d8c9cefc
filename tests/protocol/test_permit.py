"""Permits: each thing that a permit is bound to refuses alone, with its field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import IDS, NOW, PERMIT, SIGNING, time_id

from kindmesh.protocol.errors import (
    Malformed,
    PermitExpired,
    PermitMismatch,
    PermitRefused,
    PermitStale,
)
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_MAX, PERMIT_TTL_MS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.permit import Permit, check_permit, open_permit, sign_permit

ASKED: dict[str, Any] = {
    "mesh": samples.MESH,
    "target": IDS["phone"],
    "operation": "speech.say",
    "effects": int(Effect.NOTIFY),
    "job_id": time_id(43),
    "args": samples.ARGS,
    "epoch": 1,
    "policy_version": 2,
    "now_ms": NOW,
}


def permit(**changes: object) -> Permit:
    return msgspec.structs.replace(PERMIT, **changes)


def test_a_permit_that_fits_is_honoured() -> None:
    opened = open_permit(samples.SIGNED_PERMIT, SIGNING["medulla"].public)
    assert opened == PERMIT
    check_permit(opened, **ASKED)


def test_a_permit_may_cover_more_than_is_asked_and_come_from_a_newer_policy() -> None:
    check_permit(permit(effects=int(Effect.NOTIFY | Effect.READ), policy_version=9), **ASKED)


@pytest.mark.parametrize(
    ("differs", "error", "field"),
    [
        ({"mesh": IDS["desk"]}, PermitMismatch, "mesh"),
        ({"target": IDS["desk"]}, PermitMismatch, "target"),
        ({"operation": "speech.render"}, PermitMismatch, "operation"),
        ({"operation": "Speech.say"}, PermitMismatch, "operation"),
        ({"job_id": time_id(44)}, PermitMismatch, "job"),
        ({"epoch": 0}, PermitMismatch, "epoch"),
        ({"epoch": 2}, PermitMismatch, "epoch"),
        ({"args": samples.ARGS + b"\x00"}, PermitMismatch, "args"),
        ({"args": b""}, PermitMismatch, "args"),
        ({"effects": int(Effect.NOTIFY | Effect.MOVE)}, PermitMismatch, "effects"),
        ({"effects": int(Effect.READ)}, PermitMismatch, "effects"),
        ({"policy_version": 3}, PermitStale, ""),
        ({"now_ms": NOW - CLOCK_SKEW_MS - 1}, PermitExpired, ""),
        ({"now_ms": NOW + PERMIT_TTL_MS + CLOCK_SKEW_MS + 1}, PermitExpired, ""),
    ],
    ids=str,
)
def test_a_permit_is_refused_for_anything_else(
    differs: dict[str, object], error: type[PermitRefused], field: str
) -> None:
    with pytest.raises(error) as caught:
        check_permit(PERMIT, **{**ASKED, **differs})
    assert caught.value.field == field


def test_a_mismatch_of_effects_names_what_is_missing() -> None:
    with pytest.raises(PermitMismatch, match="write, move"):
        check_permit(PERMIT, **{**ASKED, "effects": int(Effect.NOTIFY | Effect.WRITE | Effect.MOVE)})


@pytest.mark.parametrize("changes", [{"kind": "standing"}, {"max_uses": 0}, {"max_uses": 2}], ids=str)
def test_kinds_whose_rules_do_not_exist_yet_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(PermitRefused) as caught:
        check_permit(permit(**changes), **ASKED)
    assert (type(caught.value), caught.value.field) == (PermitRefused, "kind")


SESSION: dict[str, Any] = {
    **ASKED, "operation": "device.echo_stream", "effects": int(Effect.READ), "job_id": time_id(60), "kind": "session",
}  # fmt: skip


def test_a_session_permit_opens_the_stream_that_it_names() -> None:
    check_permit(samples.SESSION_PERMIT, **SESSION)


def test_neither_kind_serves_for_the_other() -> None:
    with pytest.raises(PermitMismatch) as caught:
        check_permit(samples.SESSION_PERMIT, **{**SESSION, "kind": "once"})
    assert caught.value.field == "kind"
    with pytest.raises(PermitMismatch):
        check_permit(PERMIT, **{**ASKED, "kind": "session"})


@pytest.mark.parametrize("changes", [{"duration_ms": 0}, {"stream_bytes": 0}], ids=str)
def test_a_session_permit_without_bounds_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(PermitRefused, match="bounds"):
        check_permit(msgspec.structs.replace(samples.SESSION_PERMIT, **changes), **SESSION)


@pytest.mark.parametrize("effect", list(Effect))
def test_an_unisolated_medulla_may_allow_reading_and_notifying_only(effect: Effect) -> None:
    value = permit(isolation="none", effects=int(effect))
    asked = {**ASKED, "effects": int(effect)}
    if effect in (Effect.READ, Effect.NOTIFY):
        check_permit(value, **asked)
    else:
        with pytest.raises(PermitRefused) as caught:
            check_permit(value, **asked)
        assert caught.value.field == "isolation"
        check_permit(permit(isolation="uid", effects=int(effect)), **asked)


def test_a_permit_holds_to_the_skew_on_both_sides() -> None:
    for now_ms in (NOW - CLOCK_SKEW_MS, NOW + PERMIT_TTL_MS + CLOCK_SKEW_MS):
        check_permit(PERMIT, **{**ASKED, "now_ms": now_ms})
    with pytest.raises(PermitExpired, match="not valid yet"):
        check_permit(PERMIT, **{**ASKED, "now_ms": NOW - CLOCK_SKEW_MS - 1})
    with pytest.raises(PermitExpired, match="past its end"):
        check_permit(PERMIT, **{**ASKED, "now_ms": NOW + PERMIT_TTL_MS + CLOCK_SKEW_MS + 1})


@pytest.mark.parametrize("name", ["owner", "issuer", "desk", "phone", "root", "stranger"])
def test_only_medullas_permit_key_makes_permits(name: str) -> None:
    signed = sign_permit(PERMIT, SIGNING[name])
    claimed = msgspec.structs.replace(signed, author=IDS["medulla"])
    for attempt in (signed, claimed):
        with pytest.raises(PermitRefused, match="Medulla did not sign"):
            open_permit(attempt, SIGNING["medulla"].public)


def test_a_permit_that_is_too_large_is_malformed() -> None:
    with pytest.raises(Malformed, match=str(PERMIT_MAX)):
        open_permit(
            sign_permit(permit(readers=(IDS["desk"],) * 120), SIGNING["medulla"]), SIGNING["medulla"].public
        )
