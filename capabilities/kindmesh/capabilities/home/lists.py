"""Lists and calendars: what is written down in the home.

A list's items are its attribute `items`: `{uid, summary, status}` with `due` and `description` where given; its state
is how many are still to do. A calendar's are in `events`: `{uid, summary, start, end}` with `description` and
`location`; it is `on` while one of them is going on, and tells the next one as Home Assistant does (`message`,
`start_time`, `end_time`). Times with an offset are compared; a time without one says what the wall clock says, and is
only listed. Source: https://www.home-assistant.io/integrations/todo/, .../calendar/.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import Data, Service, amend, table, word, words
from kindmesh.protocol.errors import InvalidInput

ITEMS_MAX: Final = 500
"""Items of one list, events of one calendar."""
TO_DO: Final = "needs_action"
DONE: Final = "completed"
Item = dict[str, Any]


def items_of(entity: Entity) -> list[Item]:
    """The items of a list, each with `uid`, `summary` and `status`; one that is only text is taken as its summary."""
    raw = entity.attributes.get("items")
    found: list[Item] = []
    for at, item in enumerate(raw if isinstance(raw, list) else [], start=1):
        full = dict(item) if isinstance(item, dict) else {"summary": str(item)}
        summary = str(full.pop("summary", full.pop("name", "")))
        status = str(full.pop("status", DONE if full.pop("complete", False) else TO_DO))
        found.append({"uid": str(full.pop("uid", at)), "summary": summary, "status": status, **full})
    return found


def _with_items(entity: Entity, items: list[Item]) -> Entity:
    open_items = sum(item["status"] == TO_DO for item in items)
    return amend(entity, {"items": items}, str(open_items))


def _next_uid(rows: list[Item]) -> str:
    return str(1 + max((int(row["uid"]) for row in rows if str(row["uid"]).isdecimal()), default=0))


def _find(entity: Entity, items: list[Item], name: str) -> int:
    """Where the item called so is: one still to do before one that is done."""
    wanted = name.strip().casefold()
    places = [
        at
        for at, item in enumerate(items)
        if item["uid"] == name or item["summary"].strip().casefold() == wanted
    ]
    if not places:
        here = ", ".join(item["summary"] for item in items if item["status"] == TO_DO)[:200]
        raise InvalidInput(
            f"{entity.name} has no {name[:60]!r}",
            field="data.item",
            hint=f"It has {here}." if here else "It is empty.",
        )
    return min(places, key=lambda at: items[at]["status"] != TO_DO)


def _details(data: Data) -> Item:
    due = data.get("due_datetime") or data.get("due_date")
    found = {"due": due, "description": data.get("description")}
    return {name: value for name, value in found.items() if value is not None}


def _add_item(entity: Entity, data: Data, now_ms: int) -> Entity:
    summary = data["item"].strip()
    items = items_of(entity)
    if not summary:
        raise InvalidInput("the item is empty", field="data.item", hint="Say what to write on the list.")
    if len(items) >= ITEMS_MAX:
        raise InvalidInput(f"{entity.name} is full", field="data.item", hint="Remove what is done.")
    new = {"uid": _next_uid(items), "summary": summary, "status": TO_DO, **_details(data)}
    return _with_items(entity, [*items, new])


def _update_item(entity: Entity, data: Data, now_ms: int) -> Entity:
    items = items_of(entity)
    at = _find(entity, items, data["item"])
    changed = {**items[at], **_details(data)}
    changed["summary"] = data.get("rename", changed["summary"]).strip() or changed["summary"]
    changed["status"] = data.get("status", changed["status"])
    return _with_items(entity, [*items[:at], changed, *items[at + 1 :]])


def _remove_item(entity: Entity, data: Data, now_ms: int) -> Entity:
    items = items_of(entity)
    for name in data["item"]:
        del items[_find(entity, items, name)]
    return _with_items(entity, items)


def _remove_completed(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _with_items(entity, [item for item in items_of(entity) if item["status"] != DONE])


def moment(text: str) -> datetime | None:
    """The moment that an ISO text with an offset means; None for one without, or for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _events(entity: Entity) -> list[Item]:
    raw = entity.attributes.get("events")
    rows = [dict(row) for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []
    return [
        {"uid": str(row.pop("uid", at)), "summary": "", "start": "", "end": "", **row}
        for at, row in enumerate(rows, 1)
    ]


def calendar_at(entity: Entity, now_ms: int) -> Entity:
    """The calendar as it is at that moment: on while something is going on, and telling what is next."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    ahead = []
    for row in _events(entity):
        start, end = moment(str(row["start"])), moment(str(row["end"]))
        if start is not None and end is not None and end > now:
            ahead.append((start, end, row))
    if not ahead:
        gone = ("message", "start_time", "end_time")
        idle = entity.state in ("on", "off", "unknown") and isinstance(entity.attributes.get("events"), list)
        return amend(entity, {}, "off", gone) if idle else entity
    start, _, row = min(ahead, key=lambda one: one[0])
    told = {"message": row["summary"], "start_time": row["start"], "end_time": row["end"]}
    return amend(entity, told, "on" if start <= now else "off")


def calendar_edges(entity: Entity) -> list[int]:
    """The moments (UTC ms) at which an appointment begins or ends, as far as they are told with an offset."""
    found = (moment(str(row[name])) for row in _events(entity) for name in ("start", "end"))
    return [round(one.timestamp() * 1000) for one in found if one is not None]


def _create_event(entity: Entity, data: Data, now_ms: int) -> Entity:
    events = _events(entity)
    if len(events) >= ITEMS_MAX:
        raise InvalidInput(f"{entity.name} is full", field="data.summary")
    start = data.get("start_date_time") or data.get("start_date")
    end = data.get("end_date_time") or data.get("end_date")
    if not start or not end:
        raise InvalidInput(
            "an appointment has a start and an end",
            field="data.start_date_time",
            hint="Give start_date_time and end_date_time, or start_date and end_date.",
        )
    first, last = _instant_or_day(start, "start"), _instant_or_day(end, "end")
    if (first.tzinfo is None) == (last.tzinfo is None) and last < first:
        raise InvalidInput("the appointment ends before it starts", field="data.end_date_time")
    new = {"uid": _next_uid(events), "summary": data["summary"], "start": start, "end": end}
    new |= {name: data[name] for name in ("description", "location") if name in data}
    return calendar_at(amend(entity, {"events": [*events, new]}), now_ms)


def _instant_or_day(text: str, which: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text[:40]!r} is not a time",
            field=f"data.{which}_date_time",
            hint="Such as 2026-11-27T15:30:00+01:00.",
        ) from error


def _delete_event(entity: Entity, data: Data, now_ms: int) -> Entity:
    events = _events(entity)
    wanted = data["summary"].strip().casefold()
    left = [row for row in events if wanted not in (str(row["uid"]), str(row["summary"]).strip().casefold())]
    if len(left) == len(events):
        raise InvalidInput(f"{entity.name} has no {data['summary'][:60]!r}", field="data.summary")
    if len(left) < len(events) - 1:
        raise InvalidInput(
            f"{entity.name} has {data['summary'][:60]!r} more than once",
            field="data.summary",
            hint="Give its uid.",
        )
    return calendar_at(amend(entity, {"events": left}), now_ms)


_ITEM: Final = word("item", "what to write down", required=True, most=500)
_NAMED: Final = word("item", "its words or its uid", required=True, most=500)
_DUE: Final = (
    word("due_date", "2026-11-27"),
    word("due_datetime", "with the time of day"),
    word("description", "more words", most=2_000),
)
_EVENT: Final = (
    word("summary", "what it is", required=True),
    word("start_date_time", "ISO, with the offset"),
    word("end_date_time", "ISO, with the offset"),
    word("start_date", "for whole days"),
    word("end_date", "the day after the last"),
    word("description", "more words", most=2_000),
    word("location", "where"),
)
LISTS: Final = table(
    Service("todo.add_item", "Write on the list", _add_item, (_ITEM, *_DUE), 1, idempotent=False),
    Service(
        "todo.update_item",
        "Change or tick off",
        _update_item,
        (
            _NAMED,
            word("rename", "its new words"),
            word("status", "done or not", choices=(TO_DO, DONE)),
            *_DUE,
        ),
        4,
        idempotent=False,
    ),
    Service(
        "todo.remove_item",
        "Take off the list",
        _remove_item,
        (words("item", "words or uids", required=True),),
        2,
        idempotent=False,
    ),
    Service("todo.remove_completed_items", "Take off what is done", _remove_completed, feature=2),
    Service("calendar.create_event", "Write down an appointment", _create_event, _EVENT, 1, idempotent=False),
    Service(
        "calendar.delete_event",
        "Cancel an appointment",
        _delete_event,
        (word("summary", "its words or its uid", required=True),),
        2,
        idempotent=False,
    ),
)

__all__ = ["DONE", "ITEMS_MAX", "LISTS", "TO_DO", "calendar_at", "calendar_edges", "items_of", "moment"]
