"""A person's yes that lasts: for the rest of one run, or until a day, within bounds that the prompt shows.

It is made out of a question of Medulla's, and signed by the approving person's own key over that question's very bytes
together with what else it covers. `run`: the same operation on the same device in the same run, with values of the same
kinds. `standing`: the same operation on the same device with the same values, but for those that are `free` (they may
be others of the same kind), so many times within a while, and of one value so much at once and within that while. Both:
for the same principal and purpose, with no further effects or classes of data, until `expires_ms`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from kindmesh.protocol.bounds import Count, KeyId, Measure, Payload, TimeId, TimeMs, Word, printable
from kindmesh.protocol.codec import decode, decode_value, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import ARGUMENTS_MAX, CLOCK_SKEW_MS
from kindmesh.protocol.policy import ApprovalRequest, describe_request
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

STANDING_DOMAIN: Final = b"kindmesh-standing-v1\0"
Lasting = Literal["run", "standing"]
DAY_MS: Final = 24 * 3_600_000
LASTS_MAX_MS: Final[dict[Lasting, int]] = {"run": 31 * DAY_MS, "standing": 366 * DAY_MS}
TIMES_MAX: Final = 1_000


class StandingApproval(msgspec.Struct, array_like=True, frozen=True):
    """See the module. `request` are the `ApprovalRequest`'s bytes; `free` names of arguments; at most `times` within
    `per_ms`; `amount` names a numeric argument (or none), of which at most `each` at once and `altogether` within
    `per_ms`."""

    mesh: KeyId
    standing_id: TimeId
    request: Payload
    kind: Lasting
    issued_ms: TimeMs
    expires_ms: TimeMs
    times: Count
    per_ms: TimeMs
    free: Annotated[tuple[Word, ...], msgspec.Meta(max_length=64)] = ()
    amount: Word = ""
    each: Measure = 0.0
    altogether: Measure = 0.0

    def question(self) -> ApprovalRequest:
        """What it was made out of.

        Raises:
            Malformed: no question.
        """
        return decode(ApprovalRequest, self.request, limit=2 * ARGUMENTS_MAX)


class Wanted(msgspec.Struct, frozen=True):
    """What shall be done, as the device declares and Medulla knows it."""

    run_id: bytes
    operation: str
    target: bytes
    args: bytes
    effects: int
    principal: Principal
    purpose: str
    data_classes: tuple[str, ...]
    now_ms: int


def sign_standing(standing: StandingApproval, person: SigningKey) -> Signed:
    """Signed by the approving person's own key."""
    return sign_struct(standing, STANDING_DOMAIN, person)


def open_standing(signed: Signed, person_pub: bytes) -> StandingApproval:
    """The standing approval; `BadSignature` when that person did not sign it."""
    return open_signed(signed, StandingApproval, STANDING_DOMAIN, person_pub)


def check_standing(standing: StandingApproval) -> None:
    """Refuse one that cannot mean anything, or lasts too long.

    Raises:
        InvalidInput: names the field.
        Malformed: its question is none, or its values are not canonical.
    """
    question = standing.question()
    args = _named(question.args)
    if question.mesh != standing.mesh:
        raise InvalidInput("this question comes from another mesh", field="mesh")
    if not 0 < standing.expires_ms - standing.issued_ms <= LASTS_MAX_MS[standing.kind]:
        days = LASTS_MAX_MS[standing.kind] // DAY_MS
        raise InvalidInput(f"a yes like this lasts at most {days} days", field="days")
    if not (0 < standing.times <= TIMES_MAX and 0 < standing.per_ms <= LASTS_MAX_MS["standing"]):
        raise InvalidInput(f"it says how often: 1 to {TIMES_MAX} times within a while", field="times")
    if standing.kind == "run" and (standing.free or standing.amount):
        raise InvalidInput("a yes for one run has no further bounds", field="free")
    missing = [name for name in (*standing.free, standing.amount) if name and name not in args]
    if missing:
        raise InvalidInput(f"there is no value {printable(missing[0])}", field="free")
    if not standing.amount:
        return
    if not 0 < standing.each <= standing.altogether:
        raise InvalidInput("of an amount it says how much at once, and how much altogether", field="each")
    if amount_of(standing, question.args) is None:
        raise InvalidInput(f"{printable(standing.amount)} is no number", field="amount")


def covers(standing: StandingApproval, wanted: Wanted) -> bool:
    """Whether it is about this at all; how often and how much is counted by whoever remembers (`amount_of`)."""
    question = standing.question()
    if not standing.issued_ms - CLOCK_SKEW_MS <= wanted.now_ms <= standing.expires_ms:
        return False
    if standing.kind == "run" and wanted.run_id != question.run_id:
        return False
    same = (question.operation, question.target, question.purpose, principal_text(question.principal)) == (
        wanted.operation, wanted.target, wanted.purpose, principal_text(wanted.principal)
    )  # fmt: skip
    if not same or wanted.effects & ~question.effects:
        return False
    if not set(wanted.data_classes) <= set(question.data_classes):
        return False
    agreed, given = decode_value(question.args), decode_value(wanted.args)
    if shape(agreed) != shape(given):
        return False
    if standing.kind == "standing" and not _same_but(agreed, given, standing.free):
        return False
    amount = amount_of(standing, wanted.args)
    return not standing.amount or (amount is not None and 0 <= amount <= standing.each)


def amount_of(standing: StandingApproval, args: bytes) -> float | None:
    """How much of its amount these argument bytes are; None when it has none, or that is no number."""
    value = _named(args).get(standing.amount)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def _named(args: bytes) -> dict[str, Any]:
    value = decode_value(args)
    return value if isinstance(value, dict) else {}


def _same_but(agreed: Any, given: Any, free: tuple[str, ...]) -> bool:
    """Bytes are compared: in Python 1 equals true."""
    if not isinstance(agreed, dict):
        return encode_value(agreed) == encode_value(given)
    return all(name in free or encode_value(agreed[name]) == encode_value(given[name]) for name in agreed)


def shape(value: Any) -> Any:
    """What kind of value it is: names and the kinds below them, of a list the kinds in it, numbers alike."""
    if isinstance(value, dict):
        return {str(name): shape(item) for name, item in value.items()}
    if isinstance(value, list):
        kinds = {repr(shape(item)) for item in value}
        return ["list", *sorted(kinds)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def describe_standing(standing: StandingApproval) -> list[str]:
    """Lines of the prompt: the question, and for how long and how far the yes goes, from the bytes that are signed.

    Raises:
        Malformed: the question is none, or its values are not canonical.
    """
    question = standing.question()
    until = utc_text(standing.expires_ms)
    if standing.kind == "run":
        lasts = [
            f"agreed     as long as this run lasts, at most until {until}",
            "may differ every value, by another of the same kind",
        ]
    else:
        free = ", ".join(printable(name) for name in standing.free)
        lasts = [
            f"agreed     until {until}; kindmesh review grants ends it earlier",
            f"may differ {f'the values of: {free}' if free else 'nothing: only these very values'}",
        ]
    lasts.append(f"how often  at most {standing.times} times in {_while(standing.per_ms)}")
    if standing.amount:
        name = printable(standing.amount)
        lasts.append(
            f"how much   {name} at most {standing.each:g} at once, {standing.altogether:g} in {_while(standing.per_ms)}"
        )
    return [*describe_request(question), *lasts]


def utc_text(ms: int) -> str:
    """`2027-01-15 08:00 UTC` for UTC milliseconds.

    The date by days since 1970 is counted in eras of 400 years that begin in March."""
    days, minutes = ms // DAY_MS + 719_468, ms % DAY_MS // 60_000
    era, day = divmod(days, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day += 1 - (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    return (
        f"{era * 400 + year + (month <= 2):04}-{month:02}-{day:02} {minutes // 60:02}:{minutes % 60:02} UTC"
    )


def _while(ms: int) -> str:
    days, rest = divmod(ms, DAY_MS)
    return (
        f"{days} days" if days > 1 and not rest else "a day" if ms == DAY_MS else f"{ms / 3_600_000:g} hours"
    )


__all__ = [
    "DAY_MS", "LASTS_MAX_MS", "STANDING_DOMAIN", "TIMES_MAX", "Lasting", "StandingApproval", "Wanted", "amount_of",
    "check_standing", "covers", "describe_standing", "open_standing", "shape", "sign_standing", "utc_text",
]  # fmt: skip
