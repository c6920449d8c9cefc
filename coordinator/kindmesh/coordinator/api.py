"""What people's programs can ask of the coordinator: one table of methods, for its own socket and for other devices.

    status nodes capabilities doctor watch            how things are
    submit call explain jobs job cancel               having something done
    approvals approve decisions raise.answer          the owner's yes
    pair.open .challenge .waiting .answer revoke release rotate policy policy.set stop      trust
    audit.rows audit.heads audit.accept               the audit logs
    people people.invite .withdraw .terms .accept .renew delegate undelegate      people (see `people`)
    events events.topics events.emit                  what happens (see `event_desk`)
    artifact.put_begin .put_append .put_finish .read  files
    stream.permit stream.open .write .read .cancel    streams (see `stream_desk`)

Whoever runs this machine is the owner and sees all. A member's node passes its users' calls on as signed REQUESTs,
and is another principal: it sees, cancels and reads the files of its own jobs only, and pairing windows (`LOCAL_ONLY`)
are not for it. `approve`, `revoke` and `policy.set` carry their own authority, the owner's signature, so it does not
matter who brings them; `stop` is everybody's. `params` are plain data and are checked here, field by field.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from kindmesh.coordinator.audit_service import AuditService
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.copies import Copies
from kindmesh.coordinator.decisions import Decisions, RaiseService, approval_decision
from kindmesh.coordinator.heart.heart import Heart, Wish
from kindmesh.coordinator.heart.machine_words import STATES
from kindmesh.coordinator.pairing import PAIR_DEFAULT_MS, Pairing, WindowWish
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.readmission import Returning
from kindmesh.coordinator.renewals import RenewalService
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.audit_report import ROWS_MAX
from kindmesh.mesh.exchange import Exchange
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.node.holding import Uploads, artifact_id
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import AccessRefused, InternalError, InvalidInput, TransportError, UnknownJob
from kindmesh.protocol.ids import format_id, parse_id, parse_time_id
from kindmesh.protocol.limits import ARTIFACT_CHUNK
from kindmesh.protocol.manifest import parse_effects
from kindmesh.protocol.messages import MessageType, Stop
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.policy import Removal
from kindmesh.protocol.principal import OWNER, Principal, belongs_to, describe_principal, principal_text
from kindmesh.protocol.roles import PURPOSES
from kindmesh.protocol.signed import Signed, signed_from_bytes

Emit = Callable[[Any], None]
Method = Callable[["Params", Emit, Principal], Awaitable[Any]]
"""Takes the parameters, where events go, and who asks (the principal)."""

TOLD_WITHIN_S: Final = 2.0
"""How long `revoke` waits for the devices to say that they know; the removal itself counts at once."""
MEDIA_TYPE_MAX: Final = 200
LOCAL_ONLY: Final = frozenset(
    {
        "artifact.put_begin",
        "artifact.put_append",
        "artifact.put_finish",
        "audit.accept",
        "audit.heads",
        "audit.rows",
        "events",
        "events.emit",
        "pair.answer",
        "pair.challenge",
        "pair.open",
        "pair.waiting",
        "raise.answer",
        "rotate",
        "readmit.answer",
        "readmit.waiting",
        "people.invite",
        "people.terms",
        "people.withdraw",
        "stream.cancel",
        "stream.open",
        "stream.read",
        "stream.write",
        "watch",
    }
)


class Api:
    """See the module; holds no state of its own."""

    def __init__(
        self,
        *,
        heart: Heart,
        hub: Hub,
        trust: Trust,
        trust_service: TrustService,
        returning: Returning,
        pairing: Pairing,
        medulla: MedullaClient,
        artifacts: ArtifactStore,
        exchange: Exchange,
        uploads: Uploads,
        auditing: AuditService,
        people: PeopleDesk,
        copies: Copies,
        renewals: RenewalService,
    ) -> None:
        self._heart = heart
        self._hub = hub
        self._trust = trust
        self._trust_service = trust_service
        self._returning = returning
        self.papers_problem = ""
        self.event_findings: Callable[[], Sequence[tuple[str, str, str]]] = tuple
        self.schedule_findings: Callable[[], Sequence[tuple[str, str, str]]] = tuple
        self.on_stop: Callable[[Principal, str], None] | None = None
        self.approvers: list[Callable[[Signed], Awaitable[Any]]] = []
        """Asked before the Heart; each says None when an approval is not about something of its own."""
        self._pairing = pairing
        self._medulla = medulla
        self._artifacts = artifacts
        self._exchange = exchange
        self._uploads = uploads
        self._raises = RaiseService(heart, trust, trust_service, medulla)
        self.decisions = Decisions()
        self.decisions.add(copies.waiting)
        self.decisions.add(self._raises.waiting)
        self._copies = copies
        self._auditing = auditing
        self._people = people
        self._renewals = renewals
        self._begun = time.monotonic()
        self.methods: dict[str, Method] = {
            "status": self._status,
            "nodes": self._nodes,
            "capabilities": self._capabilities,
            "doctor": self._doctor,
            "watch": self._watch,
            "submit": self._submit,
            "call": self._call,
            "explain": self._explain,
            "jobs": self._jobs,
            "job": self._job,
            "cancel": self._cancel,
            "approvals": self._approvals,
            "decisions": self._decided,
            "raise.answer": self._raise_answer,
            "rotate": self._rotate,
            "approve": self._approve,
            "pair.open": self._pair_open,
            "pair.answer": self._pair_answer,
            "pair.challenge": self._pair_challenge,
            "pair.waiting": self._pair_waiting,
            "readmit.waiting": self._readmit_waiting,
            "readmit.answer": self._readmit_answer,
            "release": self._release,
            "revoke": self._revoke,
            "policy.set": self._policy_set,
            "policy": self._policy,
            "people": self._people_list,
            "people.invite": self._people_invite,
            "people.withdraw": self._people_withdraw,
            "people.terms": self._people_terms,
            "people.accept": self._people_accept,
            "people.renew": self._people_renew,
            "delegate": self._delegate,
            "undelegate": self._undelegate,
            "clock": self._clock,
            "stop": self._stop,
            "audit.rows": self._audit_rows,
            "audit.heads": self._audit_heads,
            "audit.accept": self._audit_accept,
            "artifact.put_begin": self._put_begin,
            "artifact.put_append": self._put_append,
            "artifact.put_finish": self._put_finish,
            "artifact.read": self._read,
        }

    def add(self, methods: dict[str, Method]) -> None:
        """Further methods, from the parts that own them.

        Raises:
            InternalError: a name is given twice; a bug.
        """
        if twice := methods.keys() & self.methods.keys():
            raise InternalError(f"methods given twice: {', '.join(sorted(twice))}")
        self.methods.update(methods)

    # ------------------------------------------------------------------------------------------ how things are

    async def _status(self, params: Params, emit: Emit, who: Principal) -> Any:
        status = await self._medulla.status()
        return {
            "mesh": format_id(self._trust.mesh),
            "device": format_id(self._hub.device_id),
            "name": self._trust.certificate.name,
            "address": self._hub.address,
            "pid": os.getpid(),
            "uptime_ms": int((time.monotonic() - self._begun) * 1000),
            "jobs": self._heart.statistics(),
            "refused": dict(self._hub.refused),
            "turned_away": self._hub.statistics().refused,
            "policy_version": self._trust.policy.version,
            "medulla": {
                "pid": status.pid,
                "uid": status.uid,
                "isolation": status.isolation,
                "permits": status.permits,
            },
        }

    async def _nodes(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._people.check_look(who)
        return list(self._heart.devices.nodes())

    async def _capabilities(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._people.visible(who, list(self._heart.devices.capabilities()))

    async def _doctor(self, params: Params, emit: Emit, who: Principal) -> Any:
        from kindmesh.coordinator.findings import coordinator_findings  # noqa: PLC0415 - memory, until somebody asks

        events = [
            {"check": check, "level": level, "message": message, "hint": hint}
            for check, lines in (("events", self.event_findings()), ("schedules", self.schedule_findings()))
            for level, message, hint in lines
        ]
        found = await coordinator_findings(
            self._heart,
            self._trust,
            self._medulla,
            self._hub,
            self._auditing.findings(),
            papers_problem=self.papers_problem,
            returning=len(self._returning.waiting()),
        )
        return [*found, *events]

    async def _watch(self, params: Params, emit: Emit, who: Principal) -> Any:
        end = self._heart.watch(emit)
        try:
            emit({"event": "watching"})
            await asyncio.get_running_loop().create_future()
        finally:
            end()

    # ------------------------------------------------------------------------------------ having something done

    def _wish(self, params: Params, who: Principal) -> Wish:
        target, key = params.text("target", ""), params.text("key", "")
        return Wish(
            operation=params.text("operation"),
            args=params.mapping("args"),
            target=self._heart.devices.resolve(target) if target else b"",
            priority=params.choice("priority", ("emergency", "interactive", "background"), "interactive"),
            deadline_ms=params.number("deadline_ms", 0),
            # A member's keys are its own: it must not get another's job by guessing a key.
            key=(key if who.kind == "owner" else f"{principal_text(who)}/{key}") if key else None,
            run_id=parse_time_id(run) if (run := params.text("run", "")) else b"",
            step=params.number("step", 0),
            full=params.flag("full"),
            sources=self.sources_of(params, who),
            principal=who,
            proof=params.proof,
            purpose=params.choice("purpose", PURPOSES, "household"),
            hedge_ms=params.number("hedge_ms", -1, least=-1, most=600_000),
        )

    def sources_of(self, params: Params, who: Principal) -> tuple[ArtifactInfo, ...]:
        """Who has the files of the arguments. A member speaks for what lies on its own device; the files that were
        put here, and those that others' jobs made, are not for it, even when it knows their hash."""
        found = [
            ArtifactInfo(
                artifact_id(one.text("artifact")),
                one.number("size_bytes"),
                one.text("media_type", "application/octet-stream"),
                parse_id(one.text("holder")),
            )
            for one in params.items("sources")
        ]
        if any(len(source.media_type) > MEDIA_TYPE_MAX for source in found):
            raise InvalidInput(f"a media type has at most {MEDIA_TYPE_MAX} characters", field="sources")
        named = _named(params.mapping("args"))
        if who.kind != "owner":
            if any(source.holder != who.device for source in found):
                raise AccessRefused("a device can only say what it holds itself", field="sources")
            for artifact in named:
                makers = self._heart.read.makers(artifact)
                if makers and not any(belongs_to(who, maker) for maker in makers):
                    raise AccessRefused("this file was made for somebody else", field="args")
            return tuple(found)
        for held in named:
            if self._artifacts.has(held):
                info = self._artifacts.stat(held)
                found.append(ArtifactInfo(held, info.size, info.media_type, self._hub.device_id))
        return tuple(found)

    # These two are asked most. What they return is waited for as it is: no task is made for it.

    def _submit(self, params: Params, emit: Emit, who: Principal) -> Awaitable[Any]:
        wish = self._wish(params, who)
        if not params.flag("wait"):
            return self._submitted(wish)
        return self._heart.run(wish, None if params.flag("quiet") else emit)

    async def _submitted(self, wish: Wish) -> Any:
        job_id = await self._heart.submit(wish)
        return self._heart.job(job_id)

    def _call(self, params: Params, emit: Emit, who: Principal) -> Awaitable[Any]:
        target, operation = params.text("target", ""), params.text("operation")
        if who.kind != "owner":
            purpose = params.choice("purpose", PURPOSES, "household")
            for seat in self._heart.devices.seats(operation):
                self._people.check_call(who, seat.operation, purpose)
        return self._heart.call(
            operation,
            params.mapping("args"),
            target=self._heart.devices.resolve(target) if target else b"",
            within_ms=params.number("timeout_ms", 10_000, least=1, most=300_000),
        )

    async def _explain(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._people.check_look(who)
        target = params.text("target", "")
        resolved = self._heart.devices.resolve(target) if target else b""
        return self._heart.explain(params.text("operation"), params.mapping("args"), resolved)

    async def _jobs(self, params: Params, emit: Emit, who: Principal) -> Any:
        state = params.text("state", "")
        if state and state not in STATES:
            raise InvalidInput(
                f"no job is ever {state[:40]!r}", field="state", hint=f"One of: {', '.join(STATES)}."
            )
        limit = params.number("limit", 20, least=1, most=1000)
        return self._heart.jobs(limit, state, "" if who.kind == "owner" else principal_text(who))

    def _own(self, job_id: bytes, who: Principal) -> dict[str, Any]:
        """A job's document; for a member, those of others do not exist."""
        document = self._heart.job(job_id)
        if not _is_own(document, who):
            raise UnknownJob()
        return document

    def _named(self, params: Params, who: Principal) -> bytes:
        whose = "" if who.kind == "owner" else principal_text(who)
        return self._heart.read.named(params.text("id"), whose)

    async def _job(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._own(self._named(params, who), who)

    async def _cancel(self, params: Params, emit: Emit, who: Principal) -> Any:
        job_id = self._named(params, who)
        self._own(job_id, who)
        return self._heart.cancel(job_id, "the owner" if who.kind == "owner" else describe_principal(who))

    async def _approvals(self, params: Params, emit: Emit, who: Principal) -> Any:
        found = []
        for waiting in self._heart.approvals():
            answerable = self._people.may_answer(who, waiting)
            if answerable or _is_own(waiting, who):
                found.append({**waiting, "answerable": answerable})
        return found

    async def _decided(self, params: Params, emit: Emit, who: Principal) -> Any:
        found = [approval_decision(waiting) for waiting in await self._approvals(params, emit, who)]
        if who.kind == "owner":
            found += await self.decisions.waiting(everything=params.flag("all"))
        return found

    async def _raise_answer(self, params: Params, emit: Emit, who: Principal) -> Any:
        grant = params.data("grant", b"")
        if grant:
            return await self._raises.grant(signed_from_bytes(grant))
        effects = int(parse_effects(params.words("effects")))
        return await self._raises.decline(parse_id(params.text("device")), params.text("capability"), effects)

    async def _rotate(self, params: Params, emit: Emit, who: Principal) -> Any:
        text = params.text("device", "")
        device = self._heart.devices.resolve(text) if text else self._hub.device_id
        if device == self._hub.device_id:
            away = [
                node["name"]
                for node in self._heart.devices.nodes()
                if node["role"] == "node" and not node["connected"]
            ]
            rotated = await self._renewals.rotate_own()
            return {
                "device": format_id(device),
                "name": self._trust.certificate.name,
                "rotated": rotated,
                "away": away,
            }
        rotated = await self._renewals.rotate_device(device)
        return {
            "device": format_id(device),
            "name": self._heart.devices.name(device),
            "rotated": rotated,
            "away": [],
        }

    async def _approve(self, params: Params, emit: Emit, who: Principal) -> Any:
        approval = signed_from_bytes(params.data("approval"))
        for other in self.approvers:
            found = await other(approval)
            if found is not None:
                return found
        return await self._heart.approve(approval)

    # ------------------------------------------------------------------------------------------------- trust

    async def _pair_open(self, params: Params, emit: Emit, who: Principal) -> Any:
        wish = WindowWish(
            ttl_ms=params.number("ttl_ms", PAIR_DEFAULT_MS),
            role=params.text("role", "node"),
            typed=params.flag("typed"),
            label=params.text("label", ""),
            at=params.text("at", ""),
        )
        return await self._pairing.open(wish, emit)

    async def _pair_challenge(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._pairing.challenge(params.text("knock"), params.data("nonce"))
        return {}

    async def _pair_answer(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._pairing.answer(params.text("knock"), params.data("grant", b"") or None)

    async def _pair_waiting(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._pairing.waiting()

    async def _readmit_waiting(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._returning.waiting()

    async def _readmit_answer(self, params: Params, emit: Emit, who: Principal) -> Any:
        device = parse_id(params.text("device"))
        return await self._returning.answer(device, params.data("grant", b"") or None)

    async def _release(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._copies.release(signed_from_bytes(params.data("release")))

    async def _revoke(self, params: Params, emit: Emit, who: Principal) -> Any:
        begun = time.monotonic()
        removal = signed_from_bytes(params.data("removal"))
        await self._people.ready()
        self._trust_service.take(await self._medulla.revoke(removal))
        self._people.removed(decode(Removal, removal.payload).subject)
        told, missed = await self._trust_service.heard_by_all(TOLD_WITHIN_S)
        names = {member.subject: member.name for member in self._trust.membership.members()}
        return {
            "ok": True,
            "told": sorted(names[one] for one in told if one in names),
            "not_reached": sorted(names[one] for one in missed if one in names),
            "within_ms": int((time.monotonic() - begun) * 1000),
        }

    async def _policy_set(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._trust_service.take(await self._medulla.install_policy(signed_from_bytes(params.data("policy"))))
        return {"ok": True, "version": self._trust.policy.version}

    async def _policy(self, params: Params, emit: Emit, who: Principal) -> Any:
        return {"version": self._trust.policy.version, "policy": encode(self._trust.policy)}

    # ------------------------------------------------------------------------------------------------- people

    async def _people_list(self, params: Params, emit: Emit, who: Principal) -> Any:
        found = await self._people.people()
        if who.kind == "owner":
            return found
        own = [one for one in found["people"] if one["person"] == who.person]
        mine = [one for one in found["delegations"] if one["person"] == who.person]
        return {"ok": True, "people": own, "invitations": [], "delegations": mine}

    async def _people_invite(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.invite(params)

    async def _people_withdraw(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.withdraw(params)

    async def _people_terms(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.set_terms(params)

    async def _people_accept(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.accept(params, who)

    async def _people_renew(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.renew(params)

    async def _delegate(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.delegate(params)

    async def _undelegate(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._people.undelegate(params, who)

    async def _clock(self, params: Params, emit: Emit, who: Principal) -> Any:
        return {"now_ms": self._people.now_ms(), "mesh": format_id(self._trust.mesh), "skew_ms": 0}

    async def _stop(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self.stop(params.text("reason", "")[:200], who)

    async def stop(self, reason: str, who: Principal) -> dict[str, Any]:
        """Halt every device; which were told, and which were not reached."""
        told, missed = [], []
        for node in self._heart.devices.nodes():
            if node["role"] != "node":
                continue
            try:
                self._hub.post(parse_id(node["id"]), MessageType.STOP, Stop(reason))
                told.append(node["name"])
            except TransportError:
                missed.append(node["name"])
        self._auditing.audit.note("stop", "passed on", number=len(told))
        if self.on_stop is not None:
            self.on_stop(who, reason)
        return {"devices": told, "not_reached": missed}

    async def _audit_rows(self, params: Params, emit: Emit, who: Principal) -> Any:
        limit = params.number("limit", ROWS_MAX, least=1, most=ROWS_MAX)
        return await self._auditing.rows(self._log_named(params), params.number("after", 0, least=0), limit)

    async def _audit_heads(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self._auditing.heads(self._log_named(params))

    def _log_named(self, params: Params) -> str:
        """`coordinator`, `medulla`, or a device's id as hexadecimal; nothing for the coordinator's own memory."""
        named = params.text("log", "")
        return named if named in ("", "coordinator", "medulla") else self._heart.devices.resolve(named).hex()

    async def _audit_accept(self, params: Params, emit: Emit, who: Principal) -> Any:
        return {"ok": self._auditing.witness.accept(params.data("author"))}

    # ------------------------------------------------------------------------------------------------- files

    async def _put_begin(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._uploads.begin(params.values)

    async def _put_append(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._uploads.append(params.values)

    async def _put_finish(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._uploads.finish(params.values)

    async def _read(self, params: Params, emit: Emit, who: Principal) -> Any:
        artifact = artifact_id(params.text("artifact"))
        held = self._artifacts.has(artifact)
        if not held or who.kind != "owner":
            job_id = parse_time_id(params.text("job"))
            self._own(job_id, who)
            info, permit = self._heart.read.made(job_id, artifact)
            if not held:
                await self._exchange.fetch(info, permit)
        stat = self._artifacts.stat(artifact)
        length = params.number("length", ARTIFACT_CHUNK, least=1, most=ARTIFACT_CHUNK)
        data = self._artifacts.read(artifact, params.number("offset", 0), length)
        return {"data": data, "size_bytes": stat.size, "media_type": stat.media_type}


def _named(value: Any) -> list[bytes]:
    """Artifact ids that arguments refer to, at any depth; what is no id is left for the check of the arguments."""
    if isinstance(value, dict):
        found = [name for item in value.values() for name in _named(item)]
        try:
            return [artifact_id(value.get("artifact")), *found]
        except InvalidInput:
            return found
    if isinstance(value, list):
        return [name for item in value for name in _named(item)]
    return []


def _is_own(document: dict[str, Any], who: Principal) -> bool:
    return belongs_to(who, principal_text(Principal(**document["principal"])))


def find(methods: dict[str, Method], name: str, *, local: bool) -> Method:
    """The method, or why not.

    Raises:
        InvalidInput: there is none.
        AccessRefused: it only works on the coordinator's own machine.
    """
    method = methods.get(name)
    if method is None:
        raise InvalidInput(f"the coordinator has no method {name[:40]!r}", field="method")
    if not local and name in LOCAL_ONLY:
        raise AccessRefused(f"{name} works on the coordinator's own device only", field="method")
    return method


__all__ = ["LOCAL_ONLY", "OWNER", "Api", "Method", "find"]
