"""`join`: become a member, by the text of an invitation, a picture of it, or a code that was typed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from kindmesh.coordinator.cli.area_app import check_area, keep_area
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.coordinator.cli.pair_desk import read_line
from kindmesh.coordinator.cli.setup_commands import check_name, default_name
from kindmesh.coordinator.cli.unlocking import open_folder
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.enrol import EnrolGranted, Invitation, OfferedOperation, OfferSummary
from kindmesh.protocol.errors import AlreadyInitialised, InvalidInput, KindmeshError, PeerUnreachable
from kindmesh.protocol.ids import format_id

if TYPE_CHECKING:
    from kindmesh.capabilities.registry import Entry

JOIN_PATIENCE_S: Final = 900.0
LOOK_S: Final = 10.0
"""How long to look around for a door with a typed code."""
SETTLE_S: Final = 0.5
DOOR_PORT: Final = 7440
"""Where the keys of a door are told unless the coordinator listens at another port."""


def run_join(
    out: Output, text: str, name: str, area: str = "", *, scan: str = "", code: str = "", at: str = ""
) -> int:
    """Join; exactly one of `text`, `scan` and `code` says whom."""
    check_name(name)
    check_area(area)
    if sum(map(bool, (text, scan, code))) != 1:
        raise InvalidInput(
            "say how to join: the invitation's text, --scan or --code", field="text",
            hint="kindmesh pair at the coordinator shows what to type here.",
        )  # fmt: skip
    if at and not code:
        raise InvalidInput("--at goes with --code", field="at")
    home = Home.locate()
    if area:
        keep_area(home, area)
    if code:
        return _join_typed(out, home, read_line() or "" if code == "-" else code, name, at)
    return _join_with(out, home, _invitation(out, text, scan), name)


def _invitation(out: Output, text: str, scan: str) -> Invitation:
    from kindmesh.protocol.enrol import TEXT_PREFIX, invitation_from_text

    if scan:
        from kindmesh.coordinator.cli.scan import scan_text

        return invitation_from_text(scan_text(scan, TEXT_PREFIX, out.progress))
    return invitation_from_text(read_line() or "" if text == "-" else text)


def _join_with(out: Output, home: Home, invitation: Invitation, name: str) -> int:
    from kindmesh.mesh.clock import SystemEntropy

    check_home(home, invitation.mesh)
    home.create()
    open_folder(home)
    with home.lock("node"):
        identity = Identity.create(home.identity, SystemEntropy())
        asyncio.run(knock(home, invitation, identity, name or default_name(), _shower(out, identity)))
    return _joined(out, home, invitation, identity)


def _join_typed(out: Output, home: Home, code: str, name: str, at: str) -> int:
    from kindmesh.mesh.addresses import parse_place
    from kindmesh.mesh.clock import SystemEntropy
    from kindmesh.mesh.enrol_guest import type_code
    from kindmesh.mesh.spake import load_library
    from kindmesh.mesh.zmq_transport import ZmqTransport
    from kindmesh.protocol.typed import parse_code

    plain = parse_code(code)
    load_library()
    address = parse_place(at, DOOR_PORT) if at else None
    place = (address.host, address.port) if address is not None else None
    home.create()
    open_folder(home)
    with home.lock("node"):
        identity = Identity.create(home.identity, SystemEntropy())

        async def join() -> Invitation:
            out.progress("looking for the coordinator ...")
            host, keys = await _find_door(home, identity, place)
            check_home(home, keys.mesh)
            literal = f"[{host}]" if ":" in host else host
            invitation = await type_code(plain, literal, keys, identity, transport=ZmqTransport())
            await knock(home, invitation, identity, name or default_name(), _shower(out, identity))
            return invitation

        invitation = asyncio.run(join())
    return _joined(out, home, invitation, identity)


def _shower(out: Output, identity: Identity) -> Callable[[str], None]:
    def show(code: str) -> None:
        out.event(
            {"event": "code", "code": code, "device": format_id(identity.device_id)},
            f"Check code: {code}",
            "Type it at the coordinator. Waiting for the owner ...",
        )

    return show


def _joined(out: Output, home: Home, invitation: Invitation, identity: Identity) -> int:
    out.result(
        {"ok": True, "event": "joined", "mesh": format_id(invitation.mesh), "device": format_id(identity.device_id),
         "home": os.fspath(home.root)},
        f"This device belongs to mesh {format_id(invitation.mesh)} now.",
        "Next: kindmesh up",
    )  # fmt: skip
    return EXIT_DONE


def check_home(home: Home, mesh: bytes) -> None:
    """Refuse a state folder that belongs to another mesh.

    Raises:
        AlreadyInitialised.
    """
    from kindmesh.mesh.trust import Trust

    if (home.identity / TRUST_FILE).exists() and Trust.load(home.identity).mesh != mesh:
        hint = "One state folder is one member of one mesh; use another folder with KINDMESH_HOME."
        raise AlreadyInitialised(f"{home.root} belongs to another mesh", hint=hint)


def own_offers() -> tuple[OfferSummary, ...]:
    """What this device can do and asks to be granted."""
    from kindmesh.capabilities.registry import ENTRIES

    folder = Home.locate().node
    return offer_summaries([one for one in ENTRIES if not one.settings or (folder / one.settings).is_file()])


def offer_summaries(entries: Sequence[Entry]) -> tuple[OfferSummary, ...]:
    """What a device with these capabilities asks to be granted."""
    from kindmesh.capabilities.registry import manifest_of

    offers = []
    for manifest in map(manifest_of, entries):
        effects = 0
        for operation in manifest.operations:
            effects |= operation.effects
        operations = tuple(
            OfferedOperation(operation.name, int(operation.effects)) for operation in manifest.operations
        )
        offers.append(OfferSummary(manifest.capability, manifest.title, effects, operations))
    return tuple(offers)


async def knock(
    home: Home,
    invitation: Invitation,
    identity: Identity,
    name: str,
    show: Callable[[str], None],
    *,
    offers: Sequence[OfferSummary] = (),
) -> None:
    """Knock, and put the papers on disk; `offers` other than this program's own are for measuring.

    Raises:
        KindmeshError: why this device is not a member.
    """
    from kindmesh.mesh.clock import SystemEntropy
    from kindmesh.mesh.enrol_guest import Guest
    from kindmesh.mesh.trust import Trust, TrustFile
    from kindmesh.mesh.zmq_transport import ZmqTransport

    def store(papers: EnrolGranted) -> None:
        Trust.create(
            home.identity,
            TrustFile(
                schema=1,
                mesh=invitation.mesh,
                bundle=papers.bundle,
                certificate=papers.certificate,
                coordinator=papers.coordinator,
                rosters=papers.rosters,
                revocations=papers.revocations,
                policy=papers.policy,
                addresses=papers.addresses,
            ),
        )

    asked = tuple(offers) or own_offers()
    guest = Guest(invitation, identity, name, asked, transport=ZmqTransport(), entropy=SystemEntropy())
    await guest.knock(show, store, JOIN_PATIENCE_S)


async def _find_door(home: Home, identity: Identity, place: tuple[str, int] | None) -> tuple[str, Any]:
    """The host where a typed code is waited for, and the keys that are told there.

    Raises:
        PeerUnreachable: nobody, or nobody answers. InvalidInput: several households do.
    """
    from kindmesh.mesh.addresses import parse_address
    from kindmesh.mesh.door_keys import ask_door_keys

    if place is not None:
        return place[0], await ask_door_keys(*place)
    found = await _look_around(home, identity)
    if len(found) > 1:
        listed = "; ".join(doors[0] for doors in found.values())
        raise InvalidInput(
            "more than one coordinator is pairing here",
            field="at",
            hint=f"Say which: --at with one of {listed}",
        )
    last: KindmeshError | None = None
    for door in next(iter(found.values())):
        address = parse_address(f"tcp://{door}")
        try:
            return address.host, await ask_door_keys(address.host, address.port)
        except PeerUnreachable as error:
            last = error
    raise last or PeerUnreachable("no coordinator is pairing here")


async def _look_around(home: Home, identity: Identity) -> dict[bytes, tuple[str, ...]]:
    from kindmesh.mesh.discovery import Discovery
    from kindmesh.node.config import load_config

    hint = "kindmesh pair --typed shows what to add: --at HOST:PORT"
    if not load_config(home.config_file, os.environ).mesh.mdns:
        raise PeerUnreachable("mDNS is switched off here, so the coordinator cannot be found", hint=hint)
    discovery = Discovery(b"", identity.device_id)
    await discovery.start()
    try:
        if discovery.problem:
            raise PeerUnreachable(discovery.problem, hint=hint)
        try:
            async with asyncio.timeout(LOOK_S):
                async for peer in discovery.events():
                    if peer.here and peer.doors:
                        break
        except TimeoutError as error:
            raise PeerUnreachable("no coordinator is pairing with a typed code here", hint=hint) from error
        # Whoever else is pairing answers about as fast.
        await asyncio.sleep(SETTLE_S)
        return {peer.device: peer.doors for peer in discovery.peers() if peer.doors}
    finally:
        await discovery.close()


__all__ = ["check_home", "knock", "offer_summaries", "own_offers", "run_join"]
