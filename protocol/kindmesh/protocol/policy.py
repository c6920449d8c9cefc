"""What the owner signs: grants, approvals and the policy.

A *grant* lets Medulla's issuer certify one key; an *approval* lets it permit one thing once; the *policy* says what
needs no question. All three are signed by the owner's own key over exactly the bytes that the prompt showed
(`describe_request` renders from those bytes). The policy's version never falls, on Medulla and on every node.
Policy 1: read and notify are allowed, everything else asks; the strongest answer wins: deny > ask > allow.
The policy carries the owner's rules in Cedar as text; what they mean is decided where they are evaluated (Medulla).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from kindmesh.protocol.bounds import (
    Arguments,
    Count,
    Effects,
    Key,
    KeyId,
    Line,
    Name,
    OptionalKey,
    Payload,
    TimeId,
    TimeMs,
    Word,
    printable,
)
from kindmesh.protocol.certificate import CapabilityGrant, Kind
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, check_guards
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.limits import CEDAR_MAX, PERMIT_MAX
from kindmesh.protocol.manifest import EFFECT_WORDS, HARMLESS, Effect, Manifest, effect_names
from kindmesh.protocol.principal import Principal, describe_principal
from kindmesh.protocol.roles import FIRST_ROLES, PATTERN, RoleRule, check_roles, matches
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

GRANT_DOMAIN: Final = b"kindmesh-grant-v1\0"
APPROVAL_DOMAIN: Final = b"kindmesh-approval-v1\0"
POLICY_DOMAIN: Final = b"kindmesh-policy-v1\0"
REMOVAL_DOMAIN: Final = b"kindmesh-removal-v1\0"

Answer = Literal["allow", "ask", "deny"]
ALL_EFFECTS: Final = sum(Effect)
RULES_MAX: Final = 1_000
SEVERITY: Final[dict[str, int]] = {"allow": 0, "ask": 1, "deny": 2}


class Grant(msgspec.Struct, array_like=True, frozen=True):
    """Lets a key be certified as this: signed by the owner, used once (`grant_id`, 16 bytes), until `expires_ms`.

    `capabilities` are copied into the certificate: nothing else may ever be permitted there.
    """

    mesh: KeyId
    grant_id: TimeId
    kind: Kind
    name: Name
    ed_pub: Key
    curve_pub: OptionalKey
    roles: tuple[Word, ...]
    capabilities: tuple[CapabilityGrant, ...]
    issued_ms: TimeMs
    expires_ms: TimeMs


class Removal(msgspec.Struct, array_like=True, frozen=True):
    """Makes a member leave: signed by the owner."""

    mesh: KeyId
    subject: KeyId
    issued_ms: TimeMs


class ApprovalRequest(msgspec.Struct, array_like=True, frozen=True):
    """What a person is asked; made by Medulla. `args` are the canonical argument bytes, so the prompt can show them."""

    mesh: KeyId
    request_id: TimeId
    run_id: TimeId
    job_id: TimeId
    operation: Word
    target: KeyId
    target_name: Name
    args: Arguments
    effects: Effects
    principal: Principal
    reasons: tuple[Line, ...]
    issued_ms: TimeMs
    expires_ms: TimeMs
    purpose: Word = "household"
    data_classes: tuple[Word, ...] = ()


class Approval(msgspec.Struct, array_like=True, frozen=True):
    """A person's answer; `request` are the `ApprovalRequest`'s bytes as Medulla made and the prompt showed them."""

    request: Payload
    answer: Literal["allow", "deny"]
    answered_ms: TimeMs


class Rule(msgspec.Struct, array_like=True, frozen=True):
    """For operations that match (a full name, `capability.*` or `*`) and have any of `effects` (bit set)."""

    operation: Word
    effects: Effects
    answer: Answer


class Policy(msgspec.Struct, array_like=True, frozen=True):
    """The owner's rules; the strongest answer per effect wins, and an effect that no rule names is `ask`. `roles`: what
    people may do at most; a role that is not here allows nothing. `guards`: bounds beside the rules, and for what
    proven words settle an `ask`. `cedar`: rules in Cedar, which only make an answer worse; empty: none."""

    mesh: KeyId
    version: Count
    issued_ms: TimeMs
    rules: tuple[Rule, ...]
    roles: tuple[RoleRule, ...] = FIRST_ROLES
    guards: Guards = Guards()
    cedar: Annotated[str, msgspec.Meta(max_length=CEDAR_MAX)] = ""

    def role(self, name: str) -> RoleRule | None:
        """The role with that name, or None."""
        return next((role for role in self.roles if role.name == name), None)


def first_policy(mesh: bytes, issued_ms: int) -> Policy:
    """Policy 1: read and notify are allowed, others ask the owner; for the home a person's proven words are enough."""
    return Policy(mesh, 1, issued_ms, (Rule("*", int(HARMLESS), "allow"),), FIRST_ROLES, FIRST_GUARDS)


def in_zone(policy: Policy, zone: str) -> Policy:
    """The policy with its hours meant in this time zone; empty: as Medulla's machine has it."""
    return msgspec.structs.replace(policy, guards=msgspec.structs.replace(policy.guards, zone=zone))


def check_policy(policy: Policy) -> None:
    """Refuse a policy with a rule or a role that could not mean anything.

    Raises:
        InvalidInput: names it.
    """
    if len(policy.rules) > RULES_MAX:
        raise InvalidInput(f"a policy has at most {RULES_MAX} rules", field="rules")
    for rule in policy.rules:
        if not PATTERN.fullmatch(rule.operation):
            raise InvalidInput(
                f"{rule.operation[:40]!r} is no operation",
                field="operation",
                hint="Write capability.operation, capability.* or *.",
            )
        if not 0 < rule.effects <= ALL_EFFECTS:
            raise InvalidInput(
                f"the rule for {rule.operation} is about no effect",
                field="effects",
                hint=f"Name some of: {', '.join(effect_names(ALL_EFFECTS))}.",
            )
    check_roles(policy.roles)
    check_guards(policy.guards)
    if len(policy.cedar.encode()) > CEDAR_MAX:
        raise InvalidInput(f"rules in Cedar take at most {CEDAR_MAX} bytes", field="cedar")


def decide(policy: Policy, operation: str, effects: int) -> Answer:
    """The policy's answer for an operation with these effects.

    For each effect the most specific matching rules speak (full name before `capability.*` before `*`), the
    strongest of them counts; over all effects the strongest answer wins. No rule for an effect: `ask`. No effect at
    all, or one that this version does not know: `deny`, since no rule can have meant it.
    """
    if not 0 < effects <= ALL_EFFECTS:
        return "deny"
    worst: Answer = "allow"
    for effect in Effect:
        if not effects & effect:
            continue
        rules = [
            rule for rule in policy.rules if rule.effects & effect and matches(rule.operation, operation)
        ]
        best = max((_rank(rule) for rule in rules), default=-1)
        answers: list[Answer] = [rule.answer for rule in rules if _rank(rule) == best] or ["ask"]
        worst = max([worst, *answers], key=SEVERITY.__getitem__)
    return worst


def _rank(rule: Rule) -> int:
    return 0 if rule.operation == "*" else 1 if rule.operation.endswith(".*") else 2


def grants_for(manifests: Iterable[Manifest]) -> tuple[CapabilityGrant, ...]:
    """What must be granted so that everything in `manifests` may be permitted, and nothing more; by name."""
    effects: dict[str, int] = {}
    for manifest in manifests:
        for operation in manifest.operations:
            effects[manifest.capability] = effects.get(manifest.capability, 0) | int(operation.effects)
    return tuple(CapabilityGrant(capability, effects[capability]) for capability in sorted(effects))


def sign_grant(grant: Grant, owner: SigningKey) -> Signed:
    """Signed by the owner."""
    return sign_struct(grant, GRANT_DOMAIN, owner)


def open_grant(signed: Signed, owner_pub: bytes) -> Grant:
    """The grant; `BadSignature` when the owner did not sign it."""
    return open_signed(signed, Grant, GRANT_DOMAIN, owner_pub, limit=PERMIT_MAX)


def sign_removal(removal: Removal, owner: SigningKey) -> Signed:
    """Signed by the owner."""
    return sign_struct(removal, REMOVAL_DOMAIN, owner)


def open_removal(signed: Signed, owner_pub: bytes) -> Removal:
    """The removal; `BadSignature` when the owner did not sign it."""
    return open_signed(signed, Removal, REMOVAL_DOMAIN, owner_pub, limit=PERMIT_MAX)


def sign_approval(approval: Approval, person: SigningKey) -> Signed:
    """Signed by the approving person's own key."""
    return sign_struct(approval, APPROVAL_DOMAIN, person)


def open_approval(signed: Signed, person_pub: bytes) -> Approval:
    """The approval; `BadSignature` when that person did not sign it."""
    return open_signed(signed, Approval, APPROVAL_DOMAIN, person_pub)


def sign_policy(policy: Policy, owner: SigningKey) -> Signed:
    """Signed by the owner."""
    return sign_struct(policy, POLICY_DOMAIN, owner)


def open_policy(signed: Signed, owner_pub: bytes) -> Policy:
    """The policy; `BadSignature` when the owner did not sign it."""
    return open_signed(signed, Policy, POLICY_DOMAIN, owner_pub)


def describe_request(request: ApprovalRequest) -> list[str]:
    """Lines of the prompt: all that the approval will be bound to, from the bytes that will be signed.

    Text in the request cannot forge, hide or reorder a line: what is not printable is shown as its escape.

    Raises:
        Malformed: the arguments are not canonical, so what is shown might not be what is done.
    """
    effects = [EFFECT_WORDS[effect] for effect in Effect if request.effects & effect]
    values = msgspec.json.format(msgspec.json.encode(decode_value(request.args)), indent=2).decode()
    return [
        f"operation  {printable(request.operation)}",
        f"device     {printable(request.target_name)} ({format_id(request.target)})",
        f"effects    {', '.join(effect_names(request.effects))}: {'; '.join(effects)}",
        f"asked by   {describe_principal(request.principal)}",
        f"for        {printable(request.purpose)}",
        *(f"data       {printable(name)}" for name in request.data_classes),
        *(f"why asked  {printable(reason)}" for reason in request.reasons),
        "values",
        *(f"  {printable(line)}" for line in values.split("\n")),
    ]


__all__ = [
    "Answer",
    "Approval",
    "ApprovalRequest",
    "Grant",
    "Policy",
    "Removal",
    "Rule",
    "check_policy",
    "decide",
    "describe_request",
    "first_policy",
    "grants_for",
    "in_zone",
    "open_approval",
    "open_grant",
    "open_policy",
    "open_removal",
    "sign_approval",
    "sign_grant",
    "sign_policy",
    "sign_removal",
]
