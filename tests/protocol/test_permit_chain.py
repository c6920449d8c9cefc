"""Permits of a run inside a run: a parent that fits is taken, each one that does not is refused by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.protocol.anchors import open_bundle
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import KindmeshError, Malformed, PermitMismatch, PermitRefused
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_TTL_MS
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.permit_chain import PARENT, check_parent, parent_ext
from kindmesh.protocol.principal import OWNER, device_principal

NOW = 1_800_000_000_000
HOUSE = Household(4, NOW)
PHONE = HOUSE.add("phone")
ANCHORS = open_bundle(HOUSE.bundle, HOUSE.mesh)


def permit(number: int, **changes: Any) -> Permit:
    base = Permit(
        HOUSE.mesh, "once", new_id(NOW, bytes([number] * 10)), new_id(NOW, bytes([100 + number] * 10)), 1,
        new_id(NOW, bytes([50 + number] * 10)), "speech.say", PHONE.device_id, bytes(32), 8, 1, 1, NOW + number,
        NOW + number + PERMIT_TTL_MS, 1, OWNER, "landlock",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


ABOVE = permit(1)
BELOW = permit(2, parent=ABOVE.permit_id)


def refusal(below: Permit, ext: dict[str, bytes]) -> str:
    with pytest.raises(KindmeshError) as error:
        check_parent(below, ext, ANCHORS)
    assert isinstance(error.value, (PermitMismatch, PermitRefused, Malformed))
    assert error.value.field == PARENT
    return error.value.message


def shown(above: Permit, key: SigningKey = HOUSE.medulla) -> dict[str, bytes]:
    return parent_ext(sign_permit(above, key))


def test_a_parent_that_fits_and_no_parent_at_all_are_fine() -> None:
    check_parent(BELOW, shown(ABOVE), ANCHORS)
    check_parent(permit(3), {"other": b""}, ANCHORS)
    check_parent(msgspec.structs.replace(BELOW, issued_ms=NOW + 10**9), shown(ABOVE), ANCHORS)


@pytest.mark.parametrize(
    ("above", "said"),
    [
        (permit(5), "another permit"),
        (msgspec.structs.replace(ABOVE, mesh=bytes(20)), "another mesh"),
        (msgspec.structs.replace(ABOVE, run_id=BELOW.run_id), "the same run"),
        (msgspec.structs.replace(ABOVE, principal=device_principal(PHONE.device_id)), "somebody else"),
        (msgspec.structs.replace(ABOVE, purpose="care"), "another purpose"),
        (msgspec.structs.replace(ABOVE, issued_ms=BELOW.issued_ms + CLOCK_SKEW_MS + 1), "from later"),
    ],
)
def test_a_parent_that_does_not_fit_is_refused(above: Permit, said: str) -> None:
    assert said in refusal(BELOW, shown(above))


def test_a_parent_that_was_not_shown_or_not_named_or_not_signed_is_refused() -> None:
    assert "missing" in refusal(BELOW, {})
    assert "does not name" in refusal(permit(3), shown(ABOVE))
    assert "no Medulla" in refusal(BELOW, shown(ABOVE, HOUSE.issuer))
    assert "no permit" in refusal(BELOW, {PARENT: encode_value("x")})
