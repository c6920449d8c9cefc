"""A device wants more than it was granted: the owner's yes is a new grant for the same keys, a no is remembered.

What is signed comes from the signed roster on this disk, not from what the coordinator says: the same keys, name and
roles as now, with what is shown here added to what the device has.
"""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.cli.local import connect
from kindmesh.coordinator.cli.output import Output
from kindmesh.coordinator.cli.review_approval import ask
from kindmesh.mesh.home import Home
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.certificate import CapabilityGrant, Certificate
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.manifest import EFFECT_WORDS, Effect, effect_names, parse_effects


def raised(certificate: Certificate, capability: str, effects: int) -> tuple[CapabilityGrant, ...]:
    """What the certificate grants, and these effects of that capability as well."""
    others = tuple(one for one in certificate.capabilities if one.capability != capability)
    more = CapabilityGrant(capability, certificate.granted(capability) | effects)
    return tuple(sorted((*others, more), key=lambda one: one.capability))


def answer_raise(out: Output, home: Home, decision: dict[str, Any]) -> bool:
    """A handler of `review`."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import coordinator_identity, unlock_owner
    from kindmesh.mesh.trust import Trust
    from kindmesh.protocol.signed import signed_to_bytes

    certificate = Trust.load(coordinator_identity(home)).membership.get(parse_id(decision["device"]))
    capability, effects = decision["capability"], int(parse_effects(decision["effects"]))
    words = "; ".join(EFFECT_WORDS[effect] for effect in Effect if effects & effect)
    title = decision["lines"][1].partition(": ")[2]
    lines = [
        f"device      {printable(certificate.name)} ({format_id(certificate.subject)})",
        f"capability  {printable(capability)}{f': {printable(title)}' if title else ''}",
        f"wants       {', '.join(effect_names(effects))}: {words}",
    ]
    has = certificate.granted(capability)
    if has:
        lines.append(f"has         {', '.join(effect_names(has))}")
    answer: dict[str, Any] = {
        "device": decision["device"], "capability": capability, "effects": decision["effects"],
    }  # fmt: skip
    allow = ask(out, "Grant this to the device, until you take it back?", lines)
    if allow:
        grant = unlock_owner(home, ask_passphrase()).sign_grant(
            name=certificate.name,
            ed_pub=certificate.ed_pub,
            curve_pub=certificate.curve_pub,
            kind=certificate.kind,
            roles=certificate.roles,
            capabilities=raised(certificate, capability, effects),
        )
        answer["grant"] = signed_to_bytes(grant)
    with connect(home) as client:
        client.call("raise.answer", answer)
    return allow


__all__ = ["answer_raise", "raised"]
