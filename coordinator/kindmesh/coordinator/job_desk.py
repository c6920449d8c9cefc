"""What people can do about jobs that are stuck: control methods of the parts in `heart` that keep them in sight.

    jobs.settle      say whether an uncertain job happened          the owner, and who may say yes to such a job
    jobs.dead        what could not be delivered or read            the owner
    jobs.redeliver   try a dead letter again                        the owner
    jobs.dismiss     a dead letter was dealt with otherwise         the owner
    drain            a device gets no more jobs, or gets them again the owner

A person is named as the signature of the request says. Everything is written down before it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from kindmesh.coordinator.decisions import Decision
from kindmesh.coordinator.heart.dead_letters import Letter
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import AccessRefused, InvalidInput, KindmeshError, UnknownJob
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.messages.jobs import JobResult
from kindmesh.protocol.principal import Principal, describe_principal

_WAITING_MAX: Final = 100
_Method = Callable[[Params, Callable[[Any], None], Principal], Awaitable[Any]]


class JobDesk:
    """See the module; holds no state of its own."""

    def __init__(self, heart: Heart, people: PeopleDesk) -> None:
        self._heart = heart
        self._people = people

    def methods(self) -> dict[str, _Method]:
        """For the coordinator's table."""
        return {
            "jobs.settle": self._settle,
            "jobs.dead": self._dead,
            "jobs.redeliver": self._redeliver,
            "jobs.dismiss": self._dismiss,
            "drain": self._drain,
        }

    async def waiting(self, everything: bool) -> list[Decision]:
        """A source of decisions: jobs of which somebody has to find out whether they happened."""
        return [_question(document) for document in self._heart.read.unsettled(_WAITING_MAX)]

    # --------------------------------------------------------------------------------------------------- settle

    async def _settle(self, params: Params, emit: Callable[[Any], None], who: Principal) -> Any:
        job_id = self._heart.read.named(params.text("id"))
        happened = params.choice("answer", ("happened", "did-not-happen"), "")
        document = self._heart.job(job_id)
        if not self._people.may_answer(who, document):
            raise AccessRefused(
                "you may not say whether this happened", field="id",
                hint="The owner may, and who may say yes to such a job.",
            )  # fmt: skip
        row = self._heart.read.row(job_id)
        new = self._heart.settler.settle(
            row, happened=happened == "happened", by=_name(who), note=params.text("note", ""),
            now_ms=self._people.now_ms(),
        )  # fmt: skip
        await self._durable()
        return {"ok": True, "new": new, **self._heart.job(job_id)}

    # --------------------------------------------------------------------------------------------- dead letters

    async def _dead(self, params: Params, emit: Callable[[Any], None], who: Principal) -> Any:
        _owner_only(who)
        letters = self._heart.letters
        named = params.text("id", "")
        if named:
            letter = letters.find(named)
            return {
                "letters": [{**self._document(letter), "contents": self._contents(letter)}],
                "overflow": [],
            }
        limit = params.number("limit", 100, least=1, most=1000)
        return {
            "letters": [self._document(one) for one in letters.letters(limit, everything=params.flag("all"))],
            "overflow": [
                {"kind": kind, "times": times, "last_ms": last_ms}
                for kind, (times, last_ms) in letters.overflow().items()
            ],
        }

    async def _redeliver(self, params: Params, emit: Callable[[Any], None], who: Principal) -> Any:
        _owner_only(who)
        letter = self._heart.letters.find(params.text("id"))
        again = await self._again(letter)
        self._heart.letters.close(letter, "redelivered", _name(who), params.text("note", ""))
        await self._durable()
        return {
            "ok": True,
            **self._document(self._heart.letters.find(format_time_id(letter.letter))),
            **again,
        }

    async def _again(self, letter: Letter) -> dict[str, Any]:
        if letter.state != "open":
            raise InvalidInput(f"this letter was {letter.state} before, by {letter.by}", field="id")
        if letter.kind in ("refused", "alert"):
            return {"job": format_time_id(await self._heart.again(letter.job_id, letter.letter))}
        body = self._heart.letters.body(letter)
        if not body:
            raise InvalidInput(
                "nothing of it could be kept",
                field="id",
                hint="The device sends what it still has by itself.",
            )
        result = decode(JobResult, body, limit=BODY_MAX)
        try:
            self._heart.read.row(result.job_id)
        except UnknownJob as error:
            raise UnknownJob(
                "the job is still not known here",
                hint="Restore the journal that knows it, or dismiss the letter.",
            ) from error
        self._heart.take_result(letter.device, result)
        return {"job": format_time_id(result.job_id)}

    async def _dismiss(self, params: Params, emit: Callable[[Any], None], who: Principal) -> Any:
        _owner_only(who)
        letter = self._heart.letters.find(params.text("id"))
        self._heart.letters.close(letter, "dismissed", _name(who), params.text("note", ""))
        await self._durable()
        return {"ok": True, **self._document(self._heart.letters.find(format_time_id(letter.letter)))}

    async def _drain(self, params: Params, emit: Callable[[Any], None], who: Principal) -> Any:
        _owner_only(who)
        device, drains = self._heart.devices.resolve(params.text("device")), self._heart.drains
        name = self._heart.devices.name(device)
        if params.flag("undo"):
            changed = drains.undo(device)
            await self._durable()
            return {
                "ok": True,
                "device": format_id(device),
                "device_name": name,
                "changed": changed,
                "drain": None,
            }
        drains.ask(device, _name(who), params.text("reason", ""))
        await self._durable()
        return {
            "ok": True, "device": format_id(device), "device_name": name, "changed": True,
            "drain": drains.document(device),
        }  # fmt: skip

    def _document(self, letter: Letter) -> dict[str, Any]:
        return {
            "id": format_time_id(letter.letter),
            "kind": letter.kind,
            "state": letter.state,
            "device": format_id(letter.device) if letter.device else "",
            "device_name": self._heart.devices.name(letter.device),
            "job": format_time_id(letter.job_id) if letter.job_id else "",
            "code": letter.code,
            "what": letter.what,
            "first_ms": letter.first_ms,
            "last_ms": letter.last_ms,
            "times": letter.times,
            "size_bytes": letter.size,
            "by": letter.by,
            "note": letter.note,
        }

    def _contents(self, letter: Letter) -> dict[str, Any] | None:
        try:
            body = self._heart.letters.body(letter)
            if not body:
                return None
            result = decode(JobResult, body, limit=BODY_MAX)
        except KindmeshError as error:
            return {"error": error.message}
        return {
            "outcome": result.outcome,
            "epoch": result.epoch,
            "value": result.value,
            "error": None
            if result.error is None
            else {"code": result.error.code, "message": result.error.message},
            "started_ms": result.started_ms,
            "ended_ms": result.ended_ms,
        }

    async def _durable(self) -> None:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._heart.after_sync(partial(_stored, stored))
        await stored


def _question(document: dict[str, Any]) -> Decision:
    where = printable(document["device_name"]) or "a device"
    error = document.get("error") or {}
    return {
        "kind": "uncertain",
        "id": document["job"],
        "job": document["job"],
        "title": f"{document['operation']} on {where} may or may not have happened: please look",
        "lines": [
            f"what    {document['operation']}",
            f"where   {where}",
            f"why     {printable(str(error.get('message', 'nobody can know whether it happened')))}",
        ],
        "operation": document["operation"],
        "device_name": document["device_name"],
        "effects": document["effects"],
        "ended_ms": document["ended_ms"],
    }


def _name(who: Principal) -> str:
    return "the owner" if who.kind == "owner" else describe_principal(who)


def _owner_only(who: Principal) -> None:
    if who.kind != "owner":
        raise AccessRefused("this is for the owner, on the coordinator's device")


def _stored(stored: asyncio.Future[None], error: KindmeshError | None) -> None:
    if stored.done():
        return
    if error is None:
        stored.set_result(None)
    else:
        stored.set_exception(error)


__all__ = ["JobDesk"]
