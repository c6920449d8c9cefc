"""`events`: watching what happens, the topics there are, and a test event made by hand."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Final

from kindmesh.coordinator.cli.local import connect
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def since_ms(text: str, now_ms: int) -> int:
    """When `15m`, `2h`, `3d` ago was, or the time in milliseconds that `text` is; 0 for nothing.

    Raises:
        InvalidInput.
    """
    if not text:
        return 0
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found:
        return max(1, now_ms - int(found[1]) * _UNITS[found[2]])
    if re.fullmatch(r"[0-9]{10,16}", text):
        return int(text)
    raise InvalidInput(
        f"{text[:40]!r} is no time", field="since", hint="Write 30s, 15m, 2h or 3d, or a UTC time in ms."
    )


def run_watch(out: Output, patterns: list[str], since: str, count: int) -> int:
    """Show events until Ctrl-C, or `count` of them."""
    asked = {"patterns": patterns or ["*"], "since_ms": since_ms(since, time.time_ns() // 1_000_000)}
    seen = 0
    with connect(Home.locate()) as client:
        for event in client.stream("events", asked):
            if event["event"] != "event":
                _remark(out, event)
                continue
            out.event(event, event_line(event))
            seen += 1
            if seen == count:
                break
    return EXIT_DONE


def _remark(out: Output, event: dict[str, Any]) -> None:
    """What is said about the watching itself: that it began, that some were left out."""
    if out.as_json:
        out.event(event)
    elif event["event"] == "watching":
        out.note("Watching. Ctrl-C ends it.")
    else:
        out.note(f"This terminal was too slow: {event['dropped']} events were not shown.")


def event_line(event: dict[str, Any]) -> str:
    """`14:03:12  system.device.lost  desk  name=hall`."""
    at = time.strftime("%H:%M:%S", time.localtime(event["at_ms"] / 1000))
    who = event.get("source_name") or event["source"][:9]
    data = "  ".join(f"{name}={_short(value)}" for name, value in event["data"].items())
    return f"{at}  {event['topic']}  {who}  {data}".rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def run_topics(out: Output) -> int:
    """The topics that are declared now."""
    with connect(Home.locate(), timeout_ms=10_000) as client:
        topics: list[dict[str, Any]] = client.call("events.topics")
    if out.as_json:
        for topic in topics:
            out.result(topic)
        return EXIT_DONE
    rows = [
        [
            one["topic"],
            "yes" if one["durable"] else "",
            one["data_class"],
            ",".join(one["fields"]),
            one["title"],
        ]
        for one in topics
    ]
    out.result(None, *table(["TOPIC", "DURABLE", "ABOUT", "DATA", "WHEN"], rows))
    return EXIT_DONE


def run_emit(out: Output, topic: str, values: list[str], readers: list[str]) -> int:
    """Publish a test event."""
    asked = {"topic": topic, "data": _values(values), "readers": readers}
    with connect(Home.locate(), timeout_ms=10_000) as client:
        event: dict[str, Any] = client.call("events.emit", asked)
    out.result({"ok": True, **event}, f"Published: {event_line(event)}")
    return EXIT_DONE


def _values(words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        raw = name.endswith(":")
        name = name.removesuffix(":")
        if not sign or not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{word[:40]!r} is not name=value", field="values", hint="Such as room=kitchen."
            )
        try:
            found[name] = json.loads(text) if raw else text
        except ValueError as error:
            raise InvalidInput(
                f"{text[:40]!r} is no JSON", field=name, hint="Such as confidence:=0.9."
            ) from error
    return found


__all__ = ["event_line", "run_emit", "run_topics", "run_watch", "since_ms"]
