"""The program in the coordinator's place: it has the coordinator's keys and folder, talks to the real Medulla and to
the real node, and wants the node to sense, write or actuate. It is started by the launcher in the coordinator's own
confinement, so this text runs there, without the tests around it: `attack(root)` returns what came of each try.

What it was given besides: `heard`, an utterance of the owner's that passed through the coordinator this minute, with
all of its words and salts. What is not in its reach it makes up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.approval_messages import EndStanding, Standings
from kindmesh.coordinator.brain.medulla.client import medulla_call, medulla_socket
from kindmesh.coordinator.brain.medulla.routine_messages import Agree, Propose, Proposed, ProposedStep
from kindmesh.coordinator.utterances import make_utterance
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.post import Post
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.anchors import AnchorList, sign_anchors
from kindmesh.protocol.certificate import Roster, sign_certificate, sign_roster
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import PERMIT_TTL_MS, PLAN_MAX
from kindmesh.protocol.manifest import HARMLESS
from kindmesh.protocol.messages import Heartbeat, Job, JobResult, MessageType, ResultTaken, SessionType
from kindmesh.protocol.messages.hello import Advert, Thing, sign_advert
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.plan import plan_to_bytes, single_step
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import (
    Approval,
    ApprovalRequest,
    Grant,
    Policy,
    Rule,
    sign_approval,
    sign_grant,
    sign_policy,
)
from kindmesh.protocol.principal import OWNER, Principal
from kindmesh.protocol.routine import RoutineApproval, RoutineRequest, sign_routine
from kindmesh.protocol.signed import Signed, signed_from_bytes
from kindmesh.protocol.utterance import Utterance, prove, sign_utterance
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence, Heard

PATIENCE_S = 30
ECHO, NOTE, LIST = "device.echo", "notes.append", "notes.list"
GAIN = {"text": "the hijacker was here"}
WHOSE = Label("user", words=("kitchen", "light"))


class Hijacker:
    """Everything the coordinator has, and the wish that something is done."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        folder = self.home.coordinator / "identity"
        self.entropy, self.clock = SystemEntropy(), SystemClock()
        self.identity, self.trust = Identity.load(folder, self.entropy), Trust.load(folder)
        self.heard = decode(Heard, (self.home.coordinator / "heard").read_bytes(), limit=1 << 20)
        self.said: Utterance = decode(Utterance, self.heard.utterance.payload)
        self.node = self.said.device
        self.found: dict[str, str] = {}
        self.adverts: asyncio.Queue[Signed] = asyncio.Queue()
        self.results: asyncio.Queue[JobResult] = asyncio.Queue()
        post = Post(self.identity, self.trust, self.clock, self.entropy)
        listen = f"tcp://127.0.0.1:{os.environ['KINDMESH_MESH_PORT']}"
        self.hub = Hub(post, self.clock, self.entropy, ZmqTransport(), listen)
        self.hub.on(MessageType.JOB_RESULT, self._on_result)
        self.hub.on(MessageType.ADVERT, lambda envelope, body: self.adverts.put_nowait(body.advert))
        self.hub.on_session(SessionType.HEARTBEAT, self._on_heartbeat)
        self.hub.on_session(SessionType.JOB_ACCEPTED, lambda *_: None)

    def _on_result(self, envelope: Envelope, result: Any) -> None:
        self.results.put_nowait(result)

    def _on_heartbeat(self, peer: bytes, ref: int, beat: Heartbeat) -> None:
        self.hub.tell(
            peer, SessionType.HEARTBEAT, msgspec.structs.replace(beat, clock_ms=self.clock.now_ms())
        )

    # ------------------------------------------------------------------------------------------------- what it says

    def new_id(self) -> bytes:
        """A job's, run's or utterance's id."""
        return new_id(self.clock.now_ms(), self.entropy.token(10))

    def ask(self, method: str, params: msgspec.Struct, answer: Any) -> Any:
        """A request to the real Medulla."""
        return medulla_call(medulla_socket(self.home), method, params, answer)

    def request(self, operation: str = NOTE, args: Any = GAIN, **changes: Any) -> m.PermitRequest:
        """A step that it would like to have done."""
        run_id = self.new_id()
        request = m.PermitRequest(run_id, 1, run_id, operation, self.node, encode_value(args), 1, OWNER)
        return msgspec.structs.replace(request, **changes)

    def shown(self, *indices: int, utterance: Signed | None = None) -> Evidence:
        """Words of the true utterance."""
        return Evidence(utterance or self.heard.utterance, prove(self.heard.said, indices or (3, 4)))

    async def tries(self, name: str, request: m.PermitRequest) -> None:
        """Ask Medulla, and do with what it gives what would do harm: a permit, if there is one, goes to the node."""
        try:
            verdict: m.Verdict = self.ask("permit", request, m.Verdict)
        except KindmeshError as error:
            self.found[name] = error.code
            return
        self.found[name] = f"{verdict.answer} {' '.join(verdict.rules)}".strip()
        if verdict.permit is not None:
            job = Job(
                request.job_id, request.run_id, request.step, request.epoch, request.operation, request.args,
                self.clock.now_ms() + 30_000, "interactive", verdict.permit,
            )  # fmt: skip
            self.found[name] += f", {await self.done(job)}"

    async def done(self, job: Job) -> str:
        """What the node makes of a job: `succeeded`, or the code of its refusal."""
        self.hub.post(self.node, MessageType.JOB, job)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                result = await self.results.get()
                self.hub.tell(self.node, SessionType.RESULT_TAKEN, ResultTaken(result.job_id, result.epoch))
                if result.job_id == job.job_id:
                    return result.outcome if result.error is None else result.error.code

    def refused(self, name: str, method: str, params: msgspec.Struct, answer: Any) -> None:
        """A paper that Medulla shall take."""
        with self.noted(name):
            self.ask(method, params, answer)
            self.found[name] = "taken"

    @contextlib.contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """How it was refused."""
        try:
            yield
        except KindmeshError as error:
            self.found[name] = error.code
        except OSError as error:
            self.found[name] = f"refused {error.errno}"


async def everything(hijacker: Hijacker) -> dict[str, str]:
    """All of it, in order."""
    await hijacker.hub.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            signed = await hijacker.adverts.get()
        hijacker.ask("advert", m.Advertise(signed), m.Advertised)
        await plans(hijacker, decode(Advert, signed.payload))
        names(hijacker, signed)
        await routines(hijacker, await words(hijacker))
        await permits(hijacker)
        papers(hijacker)
        await rules(hijacker)
        keys(hijacker)
    finally:
        await hijacker.hub.close()
    return hijacker.found


async def plans(hijacker: Hijacker, advert: Advert) -> None:
    """Any plan it likes: everything the node offers that does more than read and notify."""
    operations = [one for offer in advert.offers for one in offer.manifest.operations]
    beyond = [one for one in operations if one.effects & ~int(HARMLESS)]
    for operation in beyond:
        await hijacker.tries(f"plan {operation.name}", hijacker.request(operation.name, {}))
    await hijacker.tries("plan as harmless", hijacker.request(effects=0))
    await hijacker.tries("plan as an emergency", hijacker.request(priority="emergency"))
    forged = (ArgumentLabel("text", Label("user", words=("kitchen", "light"))),)
    await hijacker.tries("labels without evidence", hijacker.request(labels=forged))


def names(hijacker: Hijacker, signed: Signed) -> None:
    """Other things of the home shall be called what was said."""
    advert, own = decode(Advert, signed.payload), hijacker.identity
    things = tuple(
        Thing(one, ("kitchen light",)) for one in ("light.bedroom", "lock.front_door", "todo.kitchen")
    )
    offers = tuple(msgspec.structs.replace(offer, things=things) for offer in advert.offers)
    lying = msgspec.structs.replace(advert, version=advert.version + 1, offers=offers)
    changed = msgspec.structs.replace(signed, payload=encode(lying))
    by_node = msgspec.structs.replace(sign_advert(lying, own.signing), author=hijacker.node)
    of_node = sign_advert(lying, own.signing)
    as_own = sign_advert(msgspec.structs.replace(lying, device=own.device_id), own.signing)
    for name, paper in (
        ("names: a true advert that was changed", changed),
        ("names: its own by the node's word", by_node),
        ("names: its own about the node", of_node),
        ("names: its own about itself", as_own),
    ):
        hijacker.refused(name, "advert", m.Advertise(paper), m.Advertised)


def there(path: Path) -> bytes:
    """What is in a file, once it is there."""
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(path.name)
        time.sleep(0.02)
    return path.read_bytes()


async def routines(hijacker: Hijacker, run_id: bytes) -> None:
    """The owner agrees that one sentence has something written down; another sentence was said, for this run."""
    home, now_ms = hijacker.home.coordinator, hijacker.clock.now_ms()

    def laid(*words: str) -> bytes:
        step = ProposedStep(NOTE, hijacker.node, encode_value(GAIN))
        proposed: Proposed = hijacker.ask("propose", Propose(OWNER, words, (step,)), Proposed)
        return proposed.request

    def agree(name: str, signed: Signed) -> None:
        hijacker.refused(f"routine: {name}", "agree", Agree(signed), Standings)

    said = hijacker.heard.said.words
    request = laid("movie", "time")
    (home / "laid.part").write_bytes(request)
    (home / "laid.part").rename(home / "laid")
    true = signed_from_bytes(await asyncio.to_thread(there, home / "agreed"))
    approval = decode(RoutineApproval, true.payload, limit=1 << 20)
    heard = encode(msgspec.structs.replace(approval.asked(), words=said))
    other = msgspec.structs.replace(approval, request=heard)
    own = RoutineApproval(laid(*said), now_ms, now_ms + 86_400_000, 10)
    for name, paper in (
        ("with the words that were said", other),
        ("for longer", approval),
        ("of its own", own),
    ):
        longer = msgspec.structs.replace(paper, expires_ms=paper.expires_ms + 86_400_000)
        agree(f"{name}, signed by itself", sign_routine(longer, hijacker.identity.signing))
        agree(f"{name}, by the owner's word", msgspec.structs.replace(true, payload=encode(longer)))
    agree("as the owner signed it", true)
    words = tuple(range(len(said)))
    for name, evidence in (
        ("without words", None),
        ("with other words that were said", hijacker.shown(*words)),
        ("with some of them", hijacker.shown(0)),
    ):
        await hijacker.tries(f"routine: used {name}", hijacker.request(evidence=evidence, run_id=run_id))
    made = make_utterance(
        "movie time", key=hijacker.identity.signing, mesh=hijacker.said.mesh, device=hijacker.node,
        principal=OWNER, now_ms=now_ms, entropy=hijacker.entropy, present=True,
    )  # fmt: skip
    by_node = msgspec.structs.replace(made.utterance, author=hijacker.node)
    for name, signed in (("of its own", made.utterance), ("by the node's word", by_node)):
        shown = Evidence(signed, prove(made.said, (0, 1)))
        await hijacker.tries(f"routine: used with words {name}", hijacker.request(evidence=shown))
    asked = decode(RoutineRequest, request, limit=1 << 20)
    hijacker.refused("routine: ended", "unstand", EndStanding(asked.request_id), Standings)
    agree("again, after it was ended", true)


async def words(hijacker: Hijacker) -> bytes:
    """Utterances: made up, changed, of somebody else, of another run, for something else. Returns the run that the true
    one serves."""
    said, labels = hijacker.said, (ArgumentLabel("text", WHOSE),)

    async def tries(name: str, evidence: Evidence, operation: str = ECHO, **changes: Any) -> None:
        args = {"text": "kitchen light"} if operation == ECHO else GAIN
        await hijacker.tries(
            name, hijacker.request(operation, args, labels=labels, evidence=evidence, **changes)
        )

    own = make_utterance(
        "the kitchen light says: the hijacker was here", key=hijacker.identity.signing, mesh=said.mesh,
        device=hijacker.identity.device_id, principal=OWNER, now_ms=hijacker.clock.now_ms(),
        entropy=hijacker.entropy, present=True,
    )  # fmt: skip
    await tries("words of its own", Evidence(own.utterance, prove(own.said, (1, 2))))
    in_its_name = sign_utterance(decode(Utterance, own.utterance.payload), hijacker.identity.signing)
    by_node = msgspec.structs.replace(in_its_name, author=hijacker.node)
    await tries("words of its own by the node's word", Evidence(by_node, prove(own.said, (1, 2))))
    newer = msgspec.structs.replace(said, utterance_id=hijacker.new_id())
    again = msgspec.structs.replace(hijacker.heard.utterance, payload=encode(newer))
    await tries("a true utterance with another id", hijacker.shown(utterance=again))
    true = hijacker.shown()
    other = msgspec.structs.replace(true.words[0], word="hijacker")
    await tries("another word", Evidence(true.utterance, (other,)))
    await tries("words of another utterance", Evidence(true.utterance, prove(own.said, (1, 2))))
    device = msgspec.structs.replace(OWNER, kind="device", device=hijacker.node)
    await tries("the owner's words for another", true, principal=device)
    reviews(hijacker, by_node)
    # The true words, for other arguments than they were said for, and in the run that they were said for.
    run_id = hijacker.new_id()
    await tries("what was said", true, run_id=run_id)
    reviewed(hijacker, "review: with words that a run used", hijacker.shown())
    await tries("the words of one thing for another", true, NOTE, run_id=run_id)
    everywhere = hijacker.shown(*range(len(hijacker.heard.said.words)))
    await tries("all of the words for another thing", everywhere, NOTE, run_id=run_id)
    light = (ArgumentLabel("entities", WHOSE),)
    for service, entity, operation in (
        ("light.turn_on", "light.kitchen", "home.control"),
        ("light.turn_off", "light.bedroom", "home.control"),
        ("lock.unlock", "lock.kitchen_light", "home.control"),
        ("lock.unlock", "lock.kitchen_light", "home.access"),
        ("lock.unlock", "lock.front_door", "home.access"),
        ("todo.add_item", "todo.kitchen", "home.note"),
    ):
        wish = hijacker.request(
            operation,
            {"service": service, "entities": [entity], "data": {}},
            labels=light,
            evidence=everywhere,
        )
        name = f"in the home: {operation} {service} {entity}"
        await hijacker.tries(name, msgspec.structs.replace(wish, run_id=run_id))
    held_back = hijacker.request(
        "home.control", {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}, labels=light,
        evidence=true, run_id=run_id,
    )  # fmt: skip
    await hijacker.tries("in the home: with a word held back", held_back)
    used = hijacker.ask("permit", hijacker.request(NOTE, evidence=true, labels=labels), m.Verdict)
    hijacker.found["an old utterance for another run"] = f"{used.answer} {' '.join(used.rules)}"
    return run_id


def reviews(hijacker: Hijacker, forged: Signed) -> None:
    """What Medulla would say of plans, asked again and again: it shall use the words up, or be kept from permitting."""
    before = hijacker.ask("status", m.StatusWanted(), m.Status)
    for _ in range(20):
        reviewed(hijacker, "review: with words that were said", hijacker.shown())
    reviewed(hijacker, "review: with words of its own by the node's word", Evidence(forged))
    reviewed(hijacker, "review: with a friend's yes", None, m.Opinion("allow", "It is fine."))
    with hijacker.noted("review: of garbage"):
        hijacker.ask("review", m.PlanReview(b"\xc1" * 1_000, OWNER), m.PlanVerdict)
    with hijacker.noted("review: of more than a plan may be"):
        hijacker.ask("review", m.PlanReview(bytes(PLAN_MAX + 1), OWNER), m.PlanVerdict)
    after = hijacker.ask("status", m.StatusWanted(), m.Status)
    same = (before.permits, before.pending) == (after.permits, after.pending)
    hijacker.found["review: leaves"] = "nothing" if same else "something"


def reviewed(
    hijacker: Hijacker, name: str, evidence: Evidence | None, second: m.Opinion | None = None
) -> None:
    """What Medulla would say of writing down that the hijacker was here."""
    plan = plan_to_bytes(single_step(NOTE, GAIN))
    verdict = hijacker.ask(
        "review", m.PlanReview(plan, OWNER, evidence=evidence, second=second), m.PlanVerdict
    )
    hijacker.found[name] = f"{verdict.answer} {verdict.reasons[0].rule if verdict.reasons else ''}".strip()


async def permits(hijacker: Hijacker) -> None:
    """What it tells the node itself: no permit, its own, and a true one for something else."""
    real: m.PermitRequest = hijacker.request(ECHO, {"text": "hello"})
    verdict: m.Verdict = hijacker.ask("permit", real, m.Verdict)
    assert verdict.permit is not None
    given = decode(Permit, verdict.permit.payload)
    args, now_ms = encode_value(GAIN), hijacker.clock.now_ms()
    written = msgspec.structs.replace(
        given, operation=NOTE, args_hash=sha256(args), effects=255, expires_ms=now_ms + PERMIT_TTL_MS
    )
    own = sign_permit(written, hijacker.identity.signing)
    changed = msgspec.structs.replace(verdict.permit, payload=encode(written))
    by_medulla = msgspec.structs.replace(own, author=verdict.permit.author)
    for name, permit in (
        ("no permit", None),
        ("a permit of its own", own),
        ("a permit of its own by Medulla's word", by_medulla),
        ("a true permit that was changed", changed),
        ("a true permit for something else", verdict.permit),
    ):
        job = Job(real.job_id, real.run_id, 1, 1, NOTE, args, now_ms + 30_000, "interactive", permit)
        hijacker.found[name] = await hijacker.done(
            job if permit is verdict.permit else msgspec.structs.replace(job, job_id=hijacker.new_id())
        )
    with hijacker.noted("an effect as a session call"):
        await hijacker.hub.call(hijacker.node, NOTE, args, 20_000)
        hijacker.found["an effect as a session call"] = "answered"
    # So it was the permits, and nothing else: what is allowed is done.
    await hijacker.tries("what is allowed", hijacker.request(ECHO, {"text": "hello"}))


def papers(hijacker: Hijacker) -> None:
    """The owner's word, an issuer's, and the mesh root's, made up."""
    signing, mesh, now_ms = hijacker.identity.signing, hijacker.said.mesh, hijacker.clock.now_ms()
    asked: m.Verdict = hijacker.ask("permit", hijacker.request(), m.Verdict)
    owner = next(one.subject for one in hijacker.trust.membership.anchors.of_kind("person"))

    def forged(signed: Signed) -> tuple[tuple[str, Signed], ...]:
        return (("", signed), (" by the owner's word", msgspec.structs.replace(signed, author=owner)))

    for whose, signed in forged(sign_approval(Approval(asked.request, "allow", now_ms), signing)):
        hijacker.refused(f"an approval{whose}", "approve", m.Approve(signed), m.Verdict)
    question = decode(ApprovalRequest, asked.request)
    other = encode(msgspec.structs.replace(question, args=encode_value({"text": "x"})))
    for whose, signed in forged(sign_approval(Approval(other, "allow", now_ms), signing)):
        hijacker.refused(f"an approval of another question{whose}", "approve", m.Approve(signed), m.Verdict)
    policy = Policy(mesh, hijacker.trust.policy.version + 1, now_ms, (Rule("*", 255, "allow"),))
    for whose, signed in forged(sign_policy(policy, signing)):
        hijacker.refused(f"a policy{whose}", "policy", m.Install(signed), m.Trust)
    grant = Grant(
        mesh, hijacker.new_id(), "device", "accomplice", signing.public, hijacker.identity.curve.public, ("node",), (),
        now_ms, now_ms + 60_000,
    )  # fmt: skip
    for whose, signed in forged(sign_grant(grant, signing)):
        hijacker.refused(f"a grant{whose}", "issue", m.Issue(signed), m.Issued)
    own = hijacker.trust.certificate
    made = sign_certificate(msgspec.structs.replace(own, roles=("owner",), serial=own.serial + 9), signing)
    issuer = hijacker.trust.signed_certificate.author
    for whose, author in (("", made.author), (" by the issuer's word", issuer)):
        roster = sign_roster(Roster(mesh, 2**40, now_ms, (made,)), signing)
        learn = m.Learn(rosters=(msgspec.structs.replace(roster, author=author),))
        before = hijacker.ask("status", m.StatusWanted(), m.Status).members
        hijacker.refused(f"a roster{whose}", "learn", learn, m.Learned)
        after = hijacker.ask("status", m.StatusWanted(), m.Status).members
        hijacker.found[f"a roster{whose}"] += "" if after == before else ", believed"
    certificates = hijacker.trust.membership.anchors.certificates
    bundle = sign_anchors(AnchorList(mesh, 2**40, now_ms, certificates), signing)
    hijacker.refused("anchors", "learn", m.Learn(bundles=(bundle,)), m.Learned)


async def rules(hijacker: Hijacker) -> None:
    """The owner's rules in Cedar forbid what the policy allows: a way around them, without them, and before them."""
    wish = hijacker.request(LIST, {})
    await hijacker.tries("rules: what they forbid", wish)
    await hijacker.tries("rules: for another purpose", msgspec.structs.replace(wish, purpose="care"))
    other = Principal("person", "somebody")
    await hijacker.tries("rules: by another's word", msgspec.structs.replace(wish, principal=other))
    signing, folder = hijacker.identity.signing, hijacker.home.coordinator
    before, after = (decode(Signed, (folder / name).read_bytes()) for name in ("before", "after"))
    now = decode(Policy, after.payload)
    hijacker.refused("rules: the policy before them", "policy", m.Install(before), m.Trust)
    hijacker.refused("rules: the policy before them, learned", "learn", m.Learn(policy=before), m.Learned)
    without = sign_policy(msgspec.structs.replace(now, version=now.version + 1, cedar=""), signing)
    owner = next(one.subject for one in hijacker.trust.membership.anchors.of_kind("person"))
    for whose, signed in (
        ("", without),
        (" by the owner's word", msgspec.structs.replace(without, author=owner)),
    ):
        hijacker.refused(f"rules: a policy without them{whose}", "policy", m.Install(signed), m.Trust)
    cut = msgspec.structs.replace(after, payload=encode(msgspec.structs.replace(now, cedar="")))
    hijacker.refused("rules: cut out of the policy", "policy", m.Install(cut), m.Trust)
    await hijacker.tries("rules: afterwards", hijacker.request(LIST, {}))


def keys(hijacker: Hijacker) -> None:
    """Medulla's keys, the owner's, and those with which the node signs what it heard."""
    status: m.Status = hijacker.ask("status", m.StatusWanted(), m.Status)
    for name in (
        "medulla/keys/issuer.key", "medulla/keys/permit.key", "medulla/state/medulla.db", "owner/owner.key",
        "identity/device.key",
    ):  # fmt: skip
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND):
            with hijacker.noted(f"file {name} {flags}"):
                os.close(os.open(hijacker.home.root / name, flags))
                hijacker.found[f"file {name} {flags}"] = "opened"
    for name in ("mem", "maps", "environ"):
        with hijacker.noted(f"memory {name}"):
            os.close(os.open(f"/proc/{status.pid}/{name}", os.O_RDONLY))
            hijacker.found[f"memory {name}"] = "opened"


def attack(root: str) -> dict[str, str]:
    """What came of each try, by its name."""
    return asyncio.run(everything(Hijacker(Path(root))))
