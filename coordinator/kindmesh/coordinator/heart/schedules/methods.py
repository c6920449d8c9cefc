"""What can be asked of schedules, as control methods: `schedule.add .list .show .history .pause .resume .run .remove
.calendar`.

The owner may do everything. A person may make schedules if their role allows it (`schedule.add`, as an operation that
only notifies) and allows what the schedule is to do; it then runs as something that acts for them, within a delegation
that they sign, because nobody is there to sign when it is due. They see and change their own. A bare device, which
speaks for whoever uses it, makes none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from heapq import nsmallest
from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.devices import Devices, Seat
from kindmesh.coordinator.heart.schedules import asking
from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules.documents import due_document, firing_document, summary, what, whole
from kindmesh.coordinator.heart.schedules.instants import coming
from kindmesh.coordinator.heart.schedules.place import Place
from kindmesh.coordinator.heart.schedules.plan_starter import calls_in, files_in
from kindmesh.coordinator.heart.schedules.service import Held, Schedules
from kindmesh.coordinator.heart.schedules.words import Action, OnEvent
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.mesh.clock import Entropy
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import AccessRefused, InvalidInput
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.manifest import Effect, artifacts_in, check_fields
from kindmesh.protocol.messages.events import fits
from kindmesh.protocol.plan import plan_from_bytes, plan_from_document, plan_to_bytes
from kindmesh.protocol.plan_check import check_inputs, check_plan
from kindmesh.protocol.principal import Principal, belongs_to, describe_principal, principal_text
from kindmesh.protocol.roles import PURPOSES, missing
from kindmesh.protocol.topics import Topic

Emit = Callable[[Any], None]
Method = Callable[[Params, Emit, Principal], Awaitable[Any]]

ADD: Final = "schedule.add"
"""Making schedules is judged like an operation of this name."""
NEXT_SHOWN: Final = 5
_JOBS: Final = "system.job."
HISTORY_MAX: Final = 500
CALENDAR_MAX: Final = 1_000
CALENDAR_DAYS_MAX: Final = 366


class ScheduleMethods:
    """See the module; holds no state of its own."""

    def __init__(
        self,
        schedules: Schedules,
        *,
        people: PeopleDesk,
        devices: Devices,
        entropy: Entropy,
        place: Place,
        topics: Callable[[], list[Topic]],
    ) -> None:
        """`topics`: what is declared on the event bus."""
        self._topics = topics
        self._schedules = schedules
        self._people = people
        self._devices = devices
        self._entropy = entropy
        self._place = place

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {
            "schedule.add": self._add,
            "schedule.list": self._list,
            "schedule.show": self._show,
            "schedule.history": self._history,
            "schedule.pause": self._pause,
            "schedule.resume": self._resume,
            "schedule.run": self._run,
            "schedule.remove": self._remove,
            "schedule.calendar": self._calendar,
        }

    # ---------------------------------------------------------------------------------------------------- making

    async def _add(self, params: Params, emit: Emit, who: Principal) -> Any:
        if who.kind in ("device", "person"):
            raise AccessRefused(
                "a schedule acts for a person when nobody is there to sign, and needs that person's delegation",
                field="acting",
                hint="kindmesh schedule add --as NAME signs one.",
            )
        action = self._action(params, who)
        maker = msgspec.structs.replace(who, device=b"")
        made = asking.read_schedule(
            params, action, maker, self._place, now_ms=self._schedules.now_ms(), entropy=self._entropy
        )
        if isinstance(made.when, OnEvent):
            calls = calls_in(plan_from_bytes(action.plan)) if action.plan else {action.operation}
            self._check_topic(made.when, calls)
        held = await self._schedules.add(made)
        return self._document(held)

    def _check_topic(self, when: OnEvent, calls: set[str]) -> None:
        """Refuse a trigger on what nobody ever says, or on the schedule's own doing."""
        known = [topic.name for topic in self._topics()]
        fitting = [name for name in known if fits(when.pattern, name)]
        if not fitting:
            near = get_close_matches(when.pattern, known, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else "kindmesh events shows what is said."
            raise InvalidInput(f"nothing here says {when.pattern}", field="topic", hint=hint)
        other = any(
            one.field == "operation" and one.test == "=" and one.value not in calls for one in when.where
        )
        if any(name.startswith(_JOBS) for name in fitting) and not other:
            raise InvalidInput(
                "its own jobs would make it due again and again",
                field="topic",
                hint="Say which operation's jobs are meant: --where operation=NAME, not its own.",
            )

    def _action(self, params: Params, who: Principal) -> Action:
        """What is to be done, if it can be, and if who asks may do it."""
        if "plan" in params.values:
            return self._plan(params, who)
        operation, target = params.text("operation"), params.text("target", "")
        resolved = self._devices.resolve(target) if target else b""
        seats = self._devices.seats(operation)
        seat = next((one for one in seats if one.candidate.device == resolved), seats[0])
        if resolved and seat.candidate.device != resolved:
            raise InvalidInput(f"{target} does not offer {operation}", field="target")
        values = check_fields(seat.operation.input, params.mapping("args"))
        self._check_may(params, who, seats, has_files=bool(artifacts_in(seat.operation.input, values)))
        args = encode_value(values)
        if len(args) > min(seat.operation.limits.max_input_bytes, ARGUMENTS_MAX):
            raise InvalidInput(
                f"the values are {len(args)} bytes, which is too much for {operation}", field="args"
            )
        return Action(operation, args, resolved)

    def _plan(self, params: Params, who: Principal) -> Action:
        """A whole plan: checked as if it were started now."""
        if params.values.get("operation"):
            raise InvalidInput("a schedule does one operation or one plan", field="operation")
        plan = plan_from_document(params.mapping("plan"))
        check_plan(plan, emergency=params.text("priority", "") == "emergency")
        inputs = check_inputs(plan, params.mapping("inputs"))
        seats = [seat for call in sorted(calls_in(plan)) for seat in self._devices.seats(call)]
        self._check_may(params, who, seats, has_files=bool(files_in(inputs)))
        return Action("", encode_value(inputs), b"", plan_to_bytes(plan))

    def _check_may(self, params: Params, who: Principal, seats: list[Seat], *, has_files: bool) -> None:
        rights = self._people.rights(who)
        if rights is None:
            return
        purpose = params.choice("purpose", PURPOSES, "household")
        # Its own delegation names what the schedule does; making schedules at all is up to the person's role.
        person = Principal("person", who.acting_for) if who.acting_for not in ("", "owner") else who
        own = self._people.rights(person)
        if own is not None and missing(own, ADD, int(Effect.NOTIFY), (), purpose):
            raise AccessRefused(
                "your role does not make schedules", hint="The owner can change that: kindmesh people role."
            )
        if has_files:
            raise AccessRefused("only the owner's schedules can use files", field="args")
        for seat in seats:
            found = seat.operation
            lacking = missing(rights, found.name, found.effects, found.data_classes, purpose)
            if lacking:
                raise AccessRefused(f"who asks was not given: {'; '.join(lacking)}", field="operation")

    # --------------------------------------------------------------------------------------------------- looking

    def _mine(self, who: Principal) -> list[Held]:
        return [
            held for held in self._schedules.all() if belongs_to(who, principal_text(held.schedule.maker))
        ]

    def _named(self, params: Params, who: Principal) -> Held:
        """The schedule that is meant; those of others do not exist."""
        name = params.text("name")
        for held in self._mine(who):
            if held.schedule.name == name:
                return held
        raise InvalidInput(
            f"there is no schedule {name[:64]!r}", field="name", hint="kindmesh schedule list shows them."
        )

    def _summary(self, held: Held) -> dict[str, Any]:
        journal, id_ = self._schedules.journal, held.schedule.schedule_id
        last = next(iter(journal.history(id_, 1)), None)
        return summary(held, self._schedules.now_ms(), last, journal.missed(id_))

    def _document(self, held: Held) -> dict[str, Any]:
        schedule = held.schedule
        after_ms = max(self._schedules.now_ms(), held.machine.cursor_ms)
        due = coming(schedule, after_ms, count=NEXT_SHOWN) if held.machine.state == "active" else []
        return {
            **self._summary(held),
            **whole(held, self._devices.name),
            "coming": [due_document(one, schedule.zone) for one in due],
        }

    async def _list(self, params: Params, emit: Emit, who: Principal) -> Any:
        return [self._summary(held) for held in self._mine(who)]

    async def _show(self, params: Params, emit: Emit, who: Principal) -> Any:
        held = self._named(params, who)
        return {
            **self._document(held),
            "history": self._firings(held, 10),
            "misses": self._firings(held, 10, misses=True),
        }

    async def _history(self, params: Params, emit: Emit, who: Principal) -> Any:
        held = self._named(params, who)
        limit = params.number("limit", 50, least=1, most=HISTORY_MAX)
        return self._firings(held, limit, misses=params.flag("misses"))

    def _firings(self, held: Held, limit: int, *, misses: bool = False) -> list[dict[str, Any]]:
        found = self._schedules.journal.history(held.schedule.schedule_id, limit, misses=misses)
        lines = []
        for firing in found:
            document = firing_document(firing, held.schedule.zone)
            failed = firing.ref and firing.ended_ms and firing.state != "succeeded"
            document["problem"] = self._schedules.starter.problem(held.schedule, firing.ref) if failed else ""
            lines.append(document)
        return lines

    async def _calendar(self, params: Params, emit: Emit, who: Principal) -> Any:
        """What comes, of all schedules, in order; `more` if there is more than is listed."""
        days = params.number("days", 7, least=1, most=CALENDAR_DAYS_MAX)
        now_ms = self._schedules.now_ms()
        found = []
        for held in self._mine(who):
            if held.machine.state != "active":
                continue
            after_ms = max(now_ms, held.machine.cursor_ms)
            due = coming(held.schedule, after_ms, count=CALENDAR_MAX + 1, until_ms=now_ms + days * 86_400_000)
            found += [(one, held.schedule) for one in due]
        first = nsmallest(CALENDAR_MAX, found, key=lambda pair: pair[0].at_ms)
        return {
            "coming": [
                {
                    **due_document(due, schedule.zone),
                    "name": schedule.name,
                    "operation": what(schedule.action),
                }
                for due, schedule in first
            ],
            "more": len(found) > CALENDAR_MAX,
        }

    # -------------------------------------------------------------------------------------------------- changing

    async def _pause(self, params: Params, emit: Emit, who: Principal) -> Any:
        held = self._named(params, who)
        await self._schedules.change(held, w.PauseAsked(describe_principal(who)))
        return self._document(held)

    async def _resume(self, params: Params, emit: Emit, who: Principal) -> Any:
        held = self._named(params, who)
        await self._schedules.change(held, w.ResumeAsked(describe_principal(who)))
        return self._document(held)

    async def _run(self, params: Params, emit: Emit, who: Principal) -> Any:
        held = self._named(params, who)
        due_ms = await self._schedules.run_now(held, describe_principal(who))
        return {"name": held.schedule.name, "due_ms": due_ms}

    async def _remove(self, params: Params, emit: Emit, who: Principal) -> Any:
        held = self._named(params, who)
        await self._schedules.remove(held)
        return {"ok": True, "name": held.schedule.name}


__all__ = ["ADD", "ScheduleMethods"]
