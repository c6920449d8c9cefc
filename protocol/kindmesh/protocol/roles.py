"""What somebody may do at most: roles as data, and the arithmetic of being narrower.

`Rights` bound operations (patterns as in the policy's rules), effects, classes of data and purposes. A role is rights
with a name, and the effects whose questions its people may answer. `narrow` is the intersection: whoever acts for a
person, on a device, by a role, has what all of them allow and never more; it is commutative, associative and
idempotent. `missing` says what stands in the way, by name. Nothing here opens a door: beyond the rights is `deny`,
within them the owner's policy still decides.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from kindmesh.protocol.bounds import Effects, Line, Word
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import DATA_CLASSES, Effect, effect_names

Purpose = Literal["household", "care", "alerts", "security", "maintenance", "learning"]
PURPOSES: Final[tuple[Purpose, ...]] = ("household", "care", "alerts", "security", "maintenance", "learning")
"""What a request may be for."""
ANY: Final = ("*",)
ALL_EFFECTS: Final = int(sum(Effect))
PATTERNS_MAX: Final = 200
ROLES_MAX: Final = 64

Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=PATTERNS_MAX)]
PATTERN: Final = re.compile(r"\*|[a-z][a-z0-9_]{0,31}\.(\*|[a-z][a-z0-9_]{0,31})")
"""`*`, `capability.*` or `capability.operation`."""
_ROLE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class Rights(msgspec.Struct, array_like=True, frozen=True):
    """`operations`: patterns; `data_classes` and `purposes`: words, or `*` for all. The default allows everything."""

    operations: Words = ANY
    effects: Effects = ALL_EFFECTS
    data_classes: Words = ANY
    purposes: Words = ANY


class RoleRule(msgspec.Struct, array_like=True, frozen=True):
    """A role: its people's rights, and `approves`, the effects whose questions they may answer."""

    name: Word
    title: Line
    rights: Rights
    approves: Effects = 0


EVERYTHING: Final = Rights()
NOTHING: Final = Rights((), 0, (), ())

_HARMLESS: Final = int(Effect.READ | Effect.NOTIFY)
FIRST_ROLES: Final = (
    RoleRule("owner", "decides about this home", EVERYTHING, ALL_EFFECTS),
    RoleRule(
        "resident",
        "lives here",
        Rights(
            ANY,
            _HARMLESS | int(Effect.SENSE | Effect.WRITE | Effect.ACTUATE | Effect.MOVE),
            ANY,
            ("household", "care", "alerts", "security", "learning"),
        ),
        int(Effect.SENSE | Effect.ACTUATE),
    ),
    RoleRule(
        "caregiver",
        "looks after somebody here",
        Rights(
            ANY,
            _HARMLESS | int(Effect.SENSE),
            ("device", "home", "text", "image", "audio", "health", "location"),
            ("household", "care", "alerts"),
        ),
    ),
    RoleRule(
        "guest",
        "is here for a while",
        Rights(
            ("device.*", "home.*", "speech.*"), _HARMLESS, ("device", "home", "text", "audio"), ("household",)
        ),
    ),
    RoleRule(
        "alerts",
        "sees and acknowledges alerts, nothing else",
        Rights(("alerts.*",), _HARMLESS, ANY, ("alerts",)),
    ),
)
"""The roles of the first policy; the owner changes them as data."""


def matches(pattern: str, operation: str) -> bool:
    """Whether a pattern (`*`, `capability.*`, a full name) is about that operation."""
    return pattern in ("*", operation) or (pattern.endswith(".*") and operation.startswith(pattern[:-1]))


def narrow(one: Rights, other: Rights) -> Rights:
    """What both allow."""
    return Rights(
        _common(one.operations, other.operations),
        one.effects & other.effects,
        _common(one.data_classes, other.data_classes),
        _common(one.purposes, other.purposes),
    )


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns of either that a pattern of the other covers, sorted, each once, without those that another covers."""
    both = {pattern for pattern in one if _covered(pattern, other)}
    both |= {pattern for pattern in other if _covered(pattern, one)}
    return tuple(sorted(pattern for pattern in both if not _covered(pattern, both - {pattern})))


def _covered(pattern: str, by: tuple[str, ...] | set[str]) -> bool:
    return any(matches(wider, pattern) for wider in by)


def missing(
    rights: Rights, operation: str, effects: int, data_classes: tuple[str, ...], purpose: str
) -> tuple[str, ...]:
    """What these rights lack for doing this, as words for a person; empty when nothing is missing.

    `effects` as a bit set; an operation that senses and names no class of data counts as `other`.
    """
    lacking: list[str] = []
    if not any(matches(pattern, operation) for pattern in rights.operations):
        lacking.append(f"the operation {operation}")
    beyond = effects & ~rights.effects
    if beyond:
        lacking.append(f"the effect {', '.join(effect_names(beyond))}")
    classes = data_classes or (("other",) if effects & Effect.SENSE else ())
    hidden = [name for name in classes if "*" not in rights.data_classes and name not in rights.data_classes]
    if hidden:
        lacking.append(f"data about {', '.join(sorted(hidden))}")
    if "*" not in rights.purposes and purpose not in rights.purposes:
        lacking.append(f"the purpose {purpose}")
    return tuple(lacking)


def allows(rights: Rights, operation: str, effects: int, data_classes: tuple[str, ...], purpose: str) -> bool:
    """Whether nothing is `missing`."""
    return not missing(rights, operation, effects, data_classes, purpose)


def check_rights(rights: Rights, where: str) -> None:
    """Refuse rights that no request could mean.

    Raises:
        InvalidInput: names the word and what there is.
    """
    for pattern in rights.operations:
        if not PATTERN.fullmatch(pattern):
            raise InvalidInput(
                f"{where}: {pattern[:40]!r} is no operation",
                field="operations",
                hint="Write capability.operation, capability.* or *.",
            )
    for field, words, known in (
        ("data_classes", rights.data_classes, DATA_CLASSES),
        ("purposes", rights.purposes, PURPOSES),
    ):
        for word in words:
            if word != "*" and word not in known:
                raise InvalidInput(
                    f"{where}: {word[:40]!r} is not known here",
                    field=field,
                    hint=f"One of: *, {', '.join(known)}.",
                )


def check_roles(roles: tuple[RoleRule, ...]) -> None:
    """Refuse roles that are doubled, badly named, or have rights that no request could mean.

    Raises:
        InvalidInput: names the role.
    """
    if len(roles) > ROLES_MAX:
        raise InvalidInput(f"a policy has at most {ROLES_MAX} roles", field="roles")
    seen: set[str] = set()
    for role in roles:
        if not _ROLE_NAME.fullmatch(role.name) or role.name in seen:
            raise InvalidInput(
                f"{role.name[:40]!r} is no new name for a role",
                field="name",
                hint="Lower case letters, digits, - and _; each name once.",
            )
        seen.add(role.name)
        check_rights(role.rights, f"role {role.name}")


__all__ = [
    "EVERYTHING",
    "FIRST_ROLES",
    "NOTHING",
    "PURPOSES",
    "Purpose",
    "Rights",
    "RoleRule",
    "allows",
    "check_rights",
    "check_roles",
    "matches",
    "missing",
    "narrow",
]
