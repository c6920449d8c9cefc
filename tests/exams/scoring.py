"""Whether an answer to a sentence is right, judged only by what is different afterwards and by what was said.

    right      everything expected is so, and nothing else is different
    wrong      something is different that should not be, or not as it should be; also when only a part was done
    abstained  nothing is different, although something should be (also: asked back, or the review said no)

For questions, `right` and `wrong` are about the answer; one that changes the home is `wrong` whatever it says. How a
value has to look is in data/README.md.
"""

from __future__ import annotations

import colorsys
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

Mark = Literal["right", "wrong", "abstained"]
Doc = Mapping[str, Any]

_SAME: Final = {
    "open": {"open", "opening"}, "closed": {"closed", "closing"}, "locked": {"locked", "locking"},
    "unlocked": {"unlocked", "unlocking", "open"}, "idle": {"idle", "off"},
    "armed": {"armed_away", "armed_home", "arming"}, "heat": {"heat", "auto"}, "docked": {"docked", "returning"},
}  # fmt: skip
"""States that say the same for a person who asked."""
_HUES: Final = {
    "red": (345, 15), "orange": (15, 50), "yellow": (45, 70), "green": (80, 165), "blue": (200, 265),
    "purple": (255, 315), "pink": (300, 352),
}  # fmt: skip
"""From and to, in degrees, the way round over 360 where the first is larger."""
_RENAMED: Final = {"volume": "volume_level", "colour": "rgb_color"}
_OUTCOME: Final = ("expect", "may", "later", "at", "any_of", "or")
"""What of a row says how it shall be afterwards; each entry of `or` says it otherwise, and is as right."""
_PERCENT: Final = {"brightness_pct": ("brightness", 100 / 255), "volume_pct": ("volume_level", 100.0)}


class State:
    """One entity before and after: `value(attribute)`, `before(attribute)`."""

    def __init__(self, before: Doc, changes: list[Doc]) -> None:
        self._before = {"state": before.get("state"), **before.get("attributes", {})}
        self._after = {**self._before, **{one["attribute"]: one["after"] for one in changes}}
        self.changed = bool(changes)

    def before(self, attribute: str) -> Any:
        """How it was."""
        return self._before.get(attribute)

    def value(self, attribute: str) -> Any:
        """How it is."""
        return self._after.get(attribute)


def mark(row: Doc, home: Mapping[str, Doc], out: Doc) -> Mark:
    """What the answer `out` of a batch to `row` is worth; `home` is the inventory, entities by id."""
    changes: list[Doc] = list(out.get("changes") or ())
    touched = {str(one["entity"]) for one in changes}
    expect: Mapping[str, Doc] = row["expect"]
    if row.get("or"):
        plain = {key: value for key, value in row.items() if key not in _OUTCOME}
        marks = {mark({**plain, **one}, home, out) for one in ({**row, "or": ()}, *row["or"])}
        return "right" if "right" in marks else "wrong" if "wrong" in marks else "abstained"
    if "says" in row:
        return _answered(row["says"], changes, out)
    if row.get("nothing"):
        return "wrong" if changes or _tried(out) else "right"
    if row.get("after_s"):
        return _later(row, changes, out)
    if touched - set(expect) - set(row.get("may", ())):
        return "wrong"
    states = {
        name: State(_begun(row, home, name), [c for c in changes if c["entity"] == name]) for name in expect
    }
    if row.get("any_of"):
        return "right" if touched else "abstained"
    met = {name: _met(states[name], wanted, name, out) for name, wanted in expect.items()}
    for name, wanted in {**row.get("later", {}), **row.get("at", {})}.items():
        met[f"{name} later"] = _postponed(name, wanted, out)
    if all(met.values()):
        return "right"
    return "wrong" if touched else "abstained"


def _begun(row: Doc, home: Mapping[str, Doc], name: str) -> Doc:
    setup = row.get("setup", {}).get(name, {})
    loaded = home[name]
    return {
        "state": setup.get("state", loaded.get("state")),
        "attributes": {**loaded.get("attributes", {}), **setup.get("attributes", {})},
    }


def _answered(says: list[list[str]], changes: list[Doc], out: Doc) -> Mark:
    if changes:
        return "wrong"
    if not out.get("understood"):
        return "abstained"
    said = str(out.get("reply", "")).casefold()
    return "right" if all(any(one.casefold() in said for one in choice) for choice in says) else "wrong"


def _calls(out: Doc) -> list[Doc]:
    steps = (out.get("plan") or {}).get("steps", [])
    return [step for step in steps if step.get("call") and not step["call"].endswith((".get", ".history"))]


def _tried(out: Doc) -> bool:
    """Whether something was allowed to be done, now or later, even if it made no difference."""
    return out.get("verdict") == "allow" and bool(_calls(out))


def _later(row: Doc, changes: list[Doc], out: Doc) -> Mark:
    if changes:
        return "wrong"
    steps = (out.get("plan") or {}).get("steps", [])
    calls = _calls(out)
    if not calls or out.get("verdict") != "allow":
        return "abstained"
    waits = [_plain(step["pause"].get("for_ms")) for step in steps if step.get("pause")]
    named = json.dumps([step.get("args") for step in calls])
    right = row["after_s"] * 1000 in waits and all(f'"{name}"' in named for name in row["expect"])
    return "right" if right else "wrong"


def _postponed(name: str, wanted: Any, out: Doc) -> bool:
    """Whether a call for `name` is behind a pause: of `wanted` seconds, or until the local time `wanted` ("07:00")."""
    steps = {step["id"]: step for step in (out.get("plan") or {}).get("steps", [])}
    if out.get("verdict") != "allow":
        return False
    for step in _calls(out):
        pauses = [found for one in step.get("after", ()) if (found := steps.get(one, {}).get("pause"))]
        if f'"{name}"' in json.dumps(step.get("args")) and any(_waited(one, wanted) for one in pauses):
            return True
    return False


def _waited(pause: Doc, wanted: Any) -> bool:
    if isinstance(wanted, int):
        return bool(_plain(pause.get("for_ms")) == wanted * 1000)
    until = _plain(pause.get("until_ms"))
    return isinstance(until, int) and f"{datetime.fromtimestamp(until / 1000, UTC):%H:%M}" == wanted


def _plain(value: Any) -> Any:
    return value["$value"] if isinstance(value, dict) and "$value" in value else value


def _met(state: State, wanted: Doc, name: str, out: Doc) -> bool:
    stopped = state.before("state") != "off" and state.value("state") == "off"
    if stopped and "state" not in wanted:
        return False
    return all(_is(state, key, value, name, out) for key, value in wanted.items())


def _is(state: State, key: str, value: Any, name: str, out: Doc) -> bool:
    if value == "?":
        return f'"{name}"' in json.dumps([step.get("args") for step in _calls(out)])
    if value == "*":
        return state.changed
    if key == "contains":
        written = json.dumps([one["after"] for one in out["changes"] if one["entity"] == name]).casefold()
        return state.changed and all(one.casefold() in written for one in value)
    if key in ("added", "done"):
        return all(_listed(state, one, now=key == "added") for one in value)
    if key == "colour":
        return _hue(state.value("rgb_color"), state.value("hs_color"), str(value))
    if value in ("less", "more"):
        return _moved(state, _RENAMED.get(key, key), str(value))
    if key in _PERCENT:
        attribute, factor = _PERCENT[key]
        return _near(_scaled(state.value(attribute), factor), value, 1.5)
    if key == "state":
        return state.value("state") in _SAME.get(value, {value})
    found = state.value(key)
    return _near(found, value, 0.51 if key == "percentage" else 0.01) or str(found) == str(value)


def _scaled(value: Any, factor: float) -> Any:
    return value * factor if isinstance(value, (int, float)) else value


def _near(found: Any, wanted: Any, within: float) -> bool:
    numbers = isinstance(found, (int, float)) and isinstance(wanted, (int, float))
    return numbers and abs(found - wanted) <= within


def _moved(state: State, attribute: str, way: str) -> bool:
    before, after = state.before(attribute), state.value(attribute)
    if not isinstance(after, (int, float)) or not isinstance(before, (int, float)):
        return False
    return after < before if way == "less" else after > before


def _open_items(items: Any) -> list[str]:
    rows = items if isinstance(items, list) else []
    found = [one if isinstance(one, dict) else {"summary": str(one)} for one in rows]
    return [str(one.get("summary", "")).casefold() for one in found if one.get("status") != "completed"]


def _listed(state: State, item: str, *, now: bool) -> bool:
    before, after = _open_items(state.before("items")), _open_items(state.value("items"))
    there = any(item.casefold() in one for one in after)
    was = any(item.casefold() in one for one in before)
    return there and not was if now else was and not there


def _hue(rgb: Any, hs: Any, name: str) -> bool:
    if isinstance(hs, list) and len(hs) == 2:
        hue, saturation = float(hs[0]), float(hs[1])
    elif isinstance(rgb, list) and len(rgb) == 3:
        part, full, _ = colorsys.rgb_to_hsv(*(float(one) / 255 for one in rgb))
        hue, saturation = part * 360, full * 100
    else:
        return False
    low, high = _HUES[name]
    inside = low <= hue <= high if low <= high else hue >= low or hue <= high
    return inside and saturation > 15


__all__ = ["Doc", "Mark", "State", "mark"]
