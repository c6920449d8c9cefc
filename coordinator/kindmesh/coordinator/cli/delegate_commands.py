"""`people delegate` and `people delegations`: what may act for a person, within which limits, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kindmesh.coordinator.cli.as_person import chosen, connect_as, has_key, unlocked
from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.coordinator.cli.people_commands import day_words, days_ms, find_person
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.manifest import parse_effects
from kindmesh.protocol.roles import ALL_EFFECTS, ANY
from kindmesh.protocol.signed import signed_to_bytes


def run_delegate(
    out: Output,
    acting: str,
    name: str,
    *,
    operations: Sequence[str],
    effects: Sequence[str],
    data: Sequence[str],
    purposes: Sequence[str],
    days: float,
) -> int:
    """Let a goal, limb or home act for a person, within limits, for a time."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.mesh.clock import SystemEntropy
    from kindmesh.protocol.ids import new_id
    from kindmesh.protocol.people import Delegation, check_delegation
    from kindmesh.protocol.principal import parse_acting
    from kindmesh.protocol.roles import Rights

    home = Home.locate()
    kind, id_ = parse_acting(acting)
    rights = Rights(
        tuple(operations) or ANY,
        int(parse_effects(list(effects))) if effects else ALL_EFFECTS,
        tuple(data) or ANY,
        tuple(purposes) or ANY,
    )
    with connect(home, timeout_ms=30_000) as client:
        file = None if is_coordinator(home) and not has_key(home, name) else chosen(home, name)
        now_ms = client.call("clock")["now_ms"]
        whom = b""
        if file is None:
            whom = parse_id(find_person(client.call("people"), name)["person"]) if name else b""
        person = None if file is None else unlocked(home, client, file)
        delegation = Delegation(
            mesh=_mesh(home),
            delegation_id=new_id(now_ms, SystemEntropy().token(10)),
            kind=kind,
            acting_id=id_,
            person=whom if person is None else person.certificate.person,
            rights=rights,
            issued_ms=now_ms,
            expires_ms=now_ms + days_ms(days),
        )
        check_delegation(delegation)
        if person is not None:
            signed = person.sign_delegation(delegation)
        else:
            signed = unlock_owner(home, ask_passphrase()).sign_delegation(delegation)
        client.call("delegate", {"delegation": signed_to_bytes(signed)})
    who = person.name if person is not None else name or "the owner"
    out.result(
        {"ok": True, "acting": acting, "person": who, "expires_ms": delegation.expires_ms},
        f"{acting} may act for {who} until {day_words(delegation.expires_ms)}.",
    )
    return EXIT_DONE


def run_delegations(out: Output, withdraw: str, name: str) -> int:
    """What acts for whom; or withdraw one."""
    with connect_as(Home.locate(), name, timeout_ms=10_000) as client:
        if withdraw:
            found = [
                one
                for one in client.call("people")["delegations"]
                if withdraw in (one["delegation"], one["acting"])
            ]
            if len(found) != 1:
                raise InvalidInput(
                    f"there is no one delegation {withdraw[:64]!r}",
                    field="withdraw",
                    hint="Use the id from kindmesh people delegations.",
                )
            client.call("undelegate", {"delegation": found[0]["delegation"]})
            out.result(
                {"ok": True, **found[0]},
                f"{found[0]['acting']} does not act for {found[0]['name']} any more.",
            )
            return EXIT_DONE
        known: list[dict[str, Any]] = client.call("people")["delegations"]
    if out.as_json:
        for one in known:
            out.result(one)
        return EXIT_DONE
    rows = [
        [
            one["acting"], one["name"], ", ".join(one["operations"]), ", ".join(one["effects"]),
            "ended" if one["ended"] else day_words(one["expires_ms"]), one["delegation"],
        ]
        for one in known
    ]  # fmt: skip
    lines = (
        table(["ACTS", "FOR", "OPERATIONS", "EFFECTS", "UNTIL", "ID"], rows)
        if rows
        else ["Nothing acts for anybody."]
    )
    out.result(None, *lines)
    return EXIT_DONE


def _mesh(home: Home) -> bytes:
    from kindmesh.mesh.trust import Trust

    return Trust.load(home.identity).mesh


__all__ = ["run_delegate", "run_delegations"]
