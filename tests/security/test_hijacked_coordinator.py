"""The coordinator in the wrong hands: it has the coordinator's keys, folder and place, and wants devices to act.

First what it asks of Medulla through the coordinator's own methods, then what it says to a node itself, with the
coordinator's processes gone and the adversary in their place.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.security.adversary import ENTROPY, fresh_identity
from tests.security.kit import Watch, household, id_of, within
from tests.system.kit import notes, talking
from tests.system.test_permits_at_node import ARGS, Impostor, cases

from kindmesh.coordinator.lab.device import Running
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import Owner, unlock_owner
from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.protocol.certificate import (
    Certificate,
    RevocationList,
    Roster,
    sign_certificate,
    sign_revocations,
    sign_roster,
)
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import PERMIT_TTL_MS
from kindmesh.protocol.messages import JobCancel, MessageType, Reply, SessionType, Stop, TrustUpdate
from kindmesh.protocol.policy import (
    Approval,
    ApprovalRequest,
    Policy,
    Removal,
    Rule,
    sign_approval,
    sign_policy,
    sign_removal,
)
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS = 24 * 3_600_000


# ------------------------------------------------------------------------------- what it wants Medulla to believe


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk and a kitchen."""
    async with household(tmp_path_factory.mktemp("hijacked")) as lab:
        yield lab


def coordinators_key(lab: Lab) -> SigningKey:
    return Identity.load(lab.desk.home.coordinator / "identity", ENTROPY, start=False).signing


def owner_of(lab: Lab) -> Owner:
    return unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])


def owner_id(owner: Owner) -> bytes:
    return owner.sign_policy(Policy(owner.mesh, 0, 0, ())).author


async def asked(lab: Lab, method: str, params: dict[str, Any]) -> str:
    """The code of the refusal; empty when it worked."""
    async with talking(lab.desk) as client:
        try:
            await client.call(method, params)
        except KindmeshError as error:
            return error.code
    return ""


async def waiting(lab: Lab) -> dict[str, Any]:
    """A question of Medulla's, with the bytes that the owner would see."""
    wish = {"operation": "notes.append", "args": {"text": "nobody allowed this"}, "target": "kitchen"}
    async with talking(lab.desk) as client:
        job = (await client.call("submit", wish))["job"]

        async def there() -> bool:
            return any(one["job"] == job for one in await client.call("approvals"))

        await within(there, "Medulla's question")
        found: dict[str, Any] = next(one for one in await client.call("approvals") if one["job"] == job)
    return found


def forged(signed: Signed, author: bytes) -> dict[bytes, str]:
    """Signed by one who has no say, and the same by its own word by one who has: how each is refused."""
    by_another = msgspec.structs.replace(signed, author=author)
    return {signed_to_bytes(signed): "CERTIFICATE_REFUSED", signed_to_bytes(by_another): "BAD_SIGNATURE"}


async def test_a_coordinator_that_forges_the_owners_approval(lab: Lab) -> None:
    question = await waiting(lab)
    shown = question["request"]
    owner = owner_of(lab)
    yes = Approval(shown, "allow", SystemClock().now_ms())
    for said, code in forged(sign_approval(yes, coordinators_key(lab)), owner_id(owner)).items():
        assert await asked(lab, "approve", {"approval": said}) == code
    # The owner's true signature, over another question than Medulla's.
    request = decode(ApprovalRequest, shown)
    other = msgspec.structs.replace(request, args=encode_value({"text": "something else"}))
    swapped = owner.sign_approval(encode(other), allow=True)
    assert await asked(lab, "approve", {"approval": signed_to_bytes(swapped)}) == "PERMIT_MISMATCH"
    # The owner's signature for one purpose, shown for another.
    policy = signed_from_bytes(signed_to_bytes(owner.sign_policy(Policy(owner.mesh, 99, 1, ()))))
    assert await asked(lab, "approve", {"approval": signed_to_bytes(policy)}) in (
        "BAD_SIGNATURE",
        "MALFORMED",
    )
    # The true no is taken, and only once.
    no = signed_to_bytes(owner.sign_approval(shown, allow=False))
    assert await asked(lab, "approve", {"approval": no}) == ""
    again = signed_to_bytes(owner.sign_approval(shown, allow=True))
    assert await asked(lab, "approve", {"approval": again}) != ""
    assert notes(lab.devices["kitchen"]) == []


async def test_a_coordinator_that_lowers_or_forges_the_policy(lab: Lab) -> None:
    owner, before = owner_of(lab), lab.ask("status")["policy_version"]
    everything = (Rule("*", 255, "allow"),)
    lower = owner.sign_policy(Policy(owner.mesh, max(0, before - 1), SystemClock().now_ms(), everything))
    same = owner.sign_policy(Policy(owner.mesh, before, SystemClock().now_ms(), everything))
    for signed in (lower, same):
        assert await asked(lab, "policy.set", {"policy": signed_to_bytes(signed)}) == "INVALID_INPUT"
    higher = Policy(owner.mesh, before + 1, SystemClock().now_ms(), everything)
    for said, code in forged(sign_policy(higher, coordinators_key(lab)), owner_id(owner)).items():
        assert await asked(lab, "policy.set", {"policy": said}) == code
    assert lab.ask("status")["policy_version"] == before


async def test_a_coordinator_that_forges_a_removal(lab: Lab) -> None:
    owner = owner_of(lab)
    removal = Removal(owner.mesh, id_of(lab, "kitchen"), SystemClock().now_ms())
    for said, code in forged(sign_removal(removal, coordinators_key(lab)), owner_id(owner)).items():
        assert await asked(lab, "revoke", {"removal": said}) == code
    assert "kitchen" in lab.states("alive")


# ---------------------------------------------------------------------------------- what it says to a node itself


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hijacked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Lab, Impostor]]:
    """A kitchen whose coordinator was replaced."""
    async with household(tmp_path_factory.mktemp("replaced")) as lab:
        node = id_of(lab, "kitchen")
        await lab.desk.down()
        async with in_place(Impostor(lab, node)) as played:
            yield lab, played


@asynccontextmanager
async def in_place(played: Impostor) -> AsyncIterator[Impostor]:
    """The adversary listens where the coordinator did, and the node has come."""
    await played.hub.start()
    try:
        async with asyncio.timeout(30):
            await played.up.wait()
        yield played
    finally:
        await played.hub.close()


def at_node(lab: Lab) -> Watch:
    return Watch(lab, "kitchen", "node")


CASES = {
    "a_node_to_act_without_medulla": "none",
    "with_a_permit_for_other_arguments": "other values",
    "with_a_permit_for_another_node": "another node",
    "with_a_permit_from_an_old_policy": "an older policy",
    "with_a_permit_that_has_ended": "expired",
    "with_a_permit_of_its_own_making": "signed by the coordinator",
    "with_a_permit_for_fewer_effects": "fewer effects",
    "with_a_permit_of_an_unisolated_medulla": "an unisolated Medulla",
    "with_a_permit_of_another_mesh": "another mesh",
    "with_a_permit_for_another_operation": "another operation",
}


@pytest.mark.parametrize("name", CASES)
async def test_a_coordinator_that_asks(hijacked: tuple[Lab, Impostor], name: str) -> None:
    lab, played = hijacked
    job_id = played.new_id()
    permit, code, field = cases(played, job_id)[CASES[name]]
    result = await played.result_of(played.job(permit, job_id))
    assert result.error is not None
    assert (result.outcome, result.error.code, result.error.field) == ("failed", code, field)
    assert notes(lab.devices["kitchen"]) == []
    await still_works(played)


async def still_works(played: Impostor) -> None:
    """What the node may do without asking, it still does."""
    args = encode_value({"text": "still here"})
    assert await played.hub.call(played.node, "device.echo", args, 20_000)


async def test_a_permit_that_was_used(hijacked: tuple[Lab, Impostor]) -> None:
    lab, played = hijacked
    before = len(notes(lab.devices["kitchen"]))
    job_id = played.new_id()
    permit = played.permit(job_id)
    assert (await played.result_of(played.job(permit, job_id))).outcome == "succeeded"
    # The same job is answered from the journal; another job, attempt or text is refused by what the permit says.
    assert (await played.result_of(played.job(permit, job_id))).outcome == "succeeded"
    other_job = await played.result_of(played.job(permit, played.new_id()))
    assert other_job.error is not None
    assert (other_job.error.code, other_job.error.field) == ("PERMIT_MISMATCH", "job")
    other_text = msgspec.structs.replace(played.job(permit, job_id), args=encode_value({"text": "more"}))
    swapped = await played.result_of(other_text)
    assert swapped.error is not None
    assert swapped.error.code == "PERMIT_MISMATCH"
    assert len(notes(lab.devices["kitchen"])) == before + 1


async def test_an_effect_as_a_session_call(hijacked: tuple[Lab, Impostor]) -> None:
    lab, played = hijacked
    before = notes(lab.devices["kitchen"])
    with pytest.raises(KindmeshError) as caught:
        await played.hub.call(played.node, "notes.append", ARGS, 20_000)
    assert caught.value.code == "PERMIT_MISSING"
    assert notes(lab.devices["kitchen"]) == before


async def test_a_coordinator_that_issues_a_certificate(hijacked: tuple[Lab, Impostor]) -> None:
    lab, played = hijacked
    own = decode(Certificate, played.trust.signed_certificate.payload)
    stranger = fresh_identity()
    made = msgspec.structs.replace(
        own, subject=stranger.device_id, ed_pub=stranger.signing.public, curve_pub=stranger.curve.public,
        name="stranger", roles=("node",), serial=own.serial + 100,
    )  # fmt: skip
    watch = at_node(lab)
    mine = sign_certificate(made, played.identity.signing)
    issuer = played.trust.signed_certificate.author
    for paper in (mine, msgspec.structs.replace(mine, author=issuer)):
        played.hub.tell(played.node, SessionType.TRUST_UPDATE, TrustUpdate(certificate=paper))
        roster = sign_roster(Roster(own.mesh, 2**40, own.not_before_ms, (paper,)), played.identity.signing)
        played.hub.tell(played.node, SessionType.TRUST_UPDATE, TrustUpdate((roster,)))
    await watch.refuses("CERTIFICATE_REFUSED", 4)
    # A message of whom it made up is a stranger's.
    await still_works(played)


async def test_a_coordinator_that_forges_a_roster_or_revocation_list(hijacked: tuple[Lab, Impostor]) -> None:
    lab, played = hijacked
    mesh, now_ms = played.trust.mesh, played.clock.now_ms()
    issuer = played.trust.rosters[0].author
    watch = at_node(lab)
    roster = sign_roster(Roster(mesh, 2**40, now_ms, ()), played.identity.signing)
    gone = sign_revocations(RevocationList(mesh, 2**40, now_ms, (played.node,)), played.identity.signing)
    for update in (
        TrustUpdate((roster,)),
        TrustUpdate((msgspec.structs.replace(roster, author=issuer),)),
        TrustUpdate((), (gone,)),
        TrustUpdate((), (msgspec.structs.replace(gone, author=issuer),)),
    ):
        played.hub.tell(played.node, SessionType.TRUST_UPDATE, update)
    await watch.refuses("CERTIFICATE_REFUSED", 2)
    await watch.refuses("BAD_SIGNATURE", 2)
    # An older one that is truly signed changes nothing and is no attack.
    played.hub.tell(
        played.node,
        SessionType.TRUST_UPDATE,
        TrustUpdate(played.trust.rosters, played.trust.revocations),
    )
    await still_works(played)
    assert watch.refused() == {"BAD_SIGNATURE": 2, "CERTIFICATE_REFUSED": 2}


async def test_a_coordinator_that_lowers_the_policys_version_at_a_node(
    hijacked: tuple[Lab, Impostor],
) -> None:
    lab, played = hijacked
    owner, old = owner_of(lab), played.trust.policy.version
    first = played.trust.signed_policy
    newer = owner.sign_policy(Policy(owner.mesh, old + 5, played.clock.now_ms(), (Rule("*", 3, "allow"),)))
    played.hub.tell(played.node, SessionType.TRUST_UPDATE, TrustUpdate(policy=newer))
    watch = at_node(lab)
    forger = sign_policy(Policy(owner.mesh, old + 9, 1, (Rule("*", 255, "allow"),)), played.identity.signing)
    played.hub.tell(played.node, SessionType.TRUST_UPDATE, TrustUpdate(policy=forger))
    await watch.refuses("CERTIFICATE_REFUSED")
    # The older one comes back: the node keeps the newer, and a permit from the older is stale.
    played.hub.tell(played.node, SessionType.TRUST_UPDATE, TrustUpdate(policy=first))
    job_id = played.new_id()
    stale = await played.result_of(played.job(played.permit(job_id, policy_version=old), job_id))
    assert stale.error is not None
    assert stale.error.code == "PERMIT_STALE"
    job_id = played.new_id()
    fine = await played.result_of(played.job(played.permit(job_id, policy_version=old + 5), job_id))
    assert fine.outcome == "succeeded"


async def test_replay_of_every_message_type_to_a_node(hijacked: tuple[Lab, Impostor]) -> None:
    lab, played = hijacked
    job_id = played.new_id()
    bodies: dict[MessageType, msgspec.Struct] = {
        MessageType.JOB: played.job(None, job_id),
        MessageType.JOB_CANCEL: JobCancel(job_id, 1),
        MessageType.REPLY: Reply("ok", encode_value({})),
    }
    post, listener = played.hub._post, played.hub._listener
    key = played.trust.membership.get(played.node).curve_pub
    said = {type_: post.write(type_, played.node, body)[1] for type_, body in bodies.items()}
    for frames in said.values():
        listener.send(key, frames)
    await still_works(played)
    for type_, frames in said.items():
        watch = at_node(lab)
        listener.send(key, frames)
        await watch.refuses("REPLAYED")
        assert watch.refused() == {"REPLAYED": 1}, type_.name
    # The node restarts and remembers nothing: what is older than its session is refused all the same.
    played.up.clear()
    await lab.devices["kitchen"].down()
    await lab.devices["kitchen"].up()
    async with asyncio.timeout(30):
        await played.up.wait()
    await still_works(played)
    for type_, frames in said.items():
        watch = at_node(lab)
        listener.send(key, frames)
        await watch.refuses("REPLAYED")
        assert watch.refused() == {"REPLAYED": 1}, type_.name
    played.hub.post(played.node, MessageType.STOP, Stop("the last word of this test"))


class Shifted(SystemClock):
    """A clock that is off."""

    def __init__(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        """What it says."""
        return super().now_ms() + self._offset_ms


@asynccontextmanager
async def at_another_time(lab: Lab, node_ms: int, said_ms: int, true_ms: int) -> AsyncIterator[Impostor]:
    """The kitchen's node with a clock that is `node_ms` off, and the adversary, who says that it is `said_ms` from
    now and dates its messages `true_ms` from now."""
    kitchen = lab.devices["kitchen"]
    log = kitchen.logs / f"kitchen-time-{node_ms}-up.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.system.skewed_node", str(kitchen.home.root), str(node_ms),
            stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=Path(__file__).parents[2],
            env={**os.environ, "KINDMESH_HOME": str(kitchen.home.root), "KINDMESH_MESH_MDNS": "false"},
        )  # fmt: skip
    running = Running(process, log)
    try:
        await running.until("ready")
        played = Impostor(lab, id_of_home(lab), Shifted(said_ms))
        played.hub._post._clock = Shifted(true_ms)
        async with in_place(played):
            played.clock = Shifted(true_ms)
            yield played
    finally:
        await running.stop()


def id_of_home(lab: Lab) -> bytes:
    return Identity.load(lab.devices["kitchen"].home.identity, ENTROPY, start=False).device_id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elsewhen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A household that is switched off, for its clocks to be turned."""
    async with household(tmp_path_factory.mktemp("elsewhen")) as lab:
        await lab.devices["kitchen"].down()
        await lab.desk.down()
        yield lab


async def write(played: Impostor, **changes: Any) -> str:
    """A note with a permit that fits now, and `changes`: the code and field of the refusal, or empty."""
    job_id = played.new_id()
    result = await played.result_of(played.job(played.permit(job_id, **changes), job_id))
    return f"{result.error.code} {result.error.field}".strip() if result.error else ""


async def test_a_clock_set_back(elsewhen: Lab) -> None:
    """The node's clock is set back and the adversary confirms it, so that what has ended would live again: time does
    not fall below what Medulla signed."""
    back = -10 * DAY_MS
    async with at_another_time(elsewhen, back, back, 0) as played:
        ended_ms = SystemClock().now_ms() + back
        assert (
            await write(played, issued_ms=ended_ms, expires_ms=ended_ms + PERMIT_TTL_MS) == "PERMIT_EXPIRED"
        )
        assert await write(played) == ""


async def test_a_coordinator_that_withholds_a_revocation(elsewhen: Lab) -> None:
    """A day later the node has heard nothing new of who was removed: it reads, notifies and stops, and nothing else."""
    later = DAY_MS + 3_600_000
    async with at_another_time(elsewhen, later, later, later) as played:
        assert await write(played) == "PERMIT_REFUSED revocations"
        await still_works(played)


class Hands:
    """A clock whose hands the test turns."""

    def __init__(self, now_ms: int) -> None:
        self.passed_s, self._begun_ms = 0.0, now_ms

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return self._begun_ms + int(self.passed_s * 1000)

    def monotonic(self) -> float:
        """Seconds since it began."""
        return self.passed_s


async def test_a_coordinator_that_says_it_is_still_yesterday() -> None:
    """So that the list it withholds does not grow old: what time has passed here, nobody can talk a node out of."""
    clock = Hands(SystemClock().now_ms())
    signed_ms = clock.now_ms()
    node = MeshClock(clock)
    node.raise_floor(signed_ms)
    for hour in range(1, 26):
        clock.passed_s += 3600.0
        node.learn(signed_ms + 60_000)
        assert node.now_ms() >= signed_ms + hour * 3_600_000
    # It is written down, so a restart does not help the liar.
    restarted = MeshClock(clock, node.floor_ms)
    restarted.learn(signed_ms)
    assert restarted.now_ms() >= signed_ms + 25 * 3_600_000
