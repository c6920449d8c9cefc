"""`ask` and `plan` on the mesh: one sentence, or a prompt for one after the other; feedback, manners.

What is on the way goes to stderr, the reply to stdout. Every sentence has a key of its own: when the coordinator dies
in the middle, the same sentence is asked again with the same key as soon as it is back, and is the same act.
"""

from __future__ import annotations

import secrets
import sys
import time
from typing import Any, Final

import msgspec

from kindmesh.coordinator.cli.area_app import area_of
from kindmesh.coordinator.cli.as_person import AsPerson, connect_as
from kindmesh.coordinator.cli.output import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_LATER,
    EXIT_REFUSED,
    EXIT_UNCERTAIN,
    EXIT_USAGE,
    Output,
)
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput, KeysLocked, KindmeshError, NotRunning, TransportError

AGAIN_S: Final = 20.0
"""How long is tried again after the connection was lost in the middle."""
PAUSE_S: Final = 0.5
LINE_MAX: Final = 8_192
_ENDS: Final = frozenset({"bye", "exit", "quit"})
_EXITS: Final = {
    "answered": EXIT_DONE, "planned": EXIT_DONE, "done": EXIT_DONE, "later": EXIT_DONE, "question": EXIT_USAGE,
    "partly": EXIT_FAILED, "lost": EXIT_FAILED, "refused": EXIT_REFUSED, "unanswered": EXIT_LATER,
}  # fmt: skip


class Wish(msgspec.Struct, frozen=True):
    """What was typed; `place` is where this device stands, `conversation` keeps one prompt's turns apart from
    another's."""

    words: tuple[str, ...] = ()
    area: str = ""
    place: str = ""
    language: str = "en"
    key: str = ""
    conversation: str = ""
    person: str = ""
    quiet: bool = False
    wait_s: float = 120.0


def run_ask(out: Output, wish: Wish, *, act: bool) -> int:
    """Ask once, or, without words at a terminal, again and again."""
    text = " ".join(wish.words)
    if text == "-":
        text = sys.stdin.read(LINE_MAX).strip()
        if not text:
            raise InvalidInput("standard input is empty", field="text")
    if wish.words and not text.strip():
        raise InvalidInput(
            "There is nothing to understand.", field="text", hint='kindmesh ask "what can you do"'
        )
    wish = _placed(wish)
    if text:
        with connect_as(Home.locate(), wish.person) as client:
            return _once(out, client, wish, text, act=act)
    return _prompt(out, wish, act=act)


def _placed(wish: Wish) -> Wish:
    """With where this device stands."""
    return msgspec.structs.replace(wish, place=area_of(Home.locate()))


def _prompt(out: Output, wish: Wish, *, act: bool) -> int:
    """One sentence a line, until the input ends, `bye`, or Ctrl-C."""
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    if asks:
        out.note("What can I do? An empty line or Ctrl-D ends it.")
    with connect_as(Home.locate(), wish.person) as client:
        worst = EXIT_DONE
        while True:
            if asks:
                sys.stderr.write("> ")
                sys.stderr.flush()
            try:
                line = sys.stdin.readline(LINE_MAX)
            except KeyboardInterrupt:
                out.note("")
                return EXIT_DONE
            except ValueError as error:
                raise InvalidInput("standard input is not text", field="text") from error
            text = line.strip()
            if not line or text.casefold() in _ENDS or (asks and not text):
                return worst if not asks else EXIT_DONE
            if not text:
                continue
            try:
                code = _once(out, client, wish, text, act=act)
            except KindmeshError as error:
                if isinstance(error, (NotRunning, TransportError)):
                    raise
                code = out.trouble(error)
            worst = max(worst, code)


def _once(out: Output, client: ControlClient, wish: Wish, text: str, *, act: bool) -> int:
    request = {
        "text": text, "area": wish.area, "language": wish.language, "conversation": wish.conversation,
        "place": wish.place, "key": wish.key or secrets.token_hex(16), "plan": not act, "quiet": wish.quiet,
        "yes_ms": int(wish.wait_s * 1000),
    }  # fmt: skip
    spoken = _heard(out, client, wish, text)
    if spoken:
        request["utterance"] = spoken
    answer = _patiently(out, client, request, act=act)
    ok = _EXITS.get(answer["outcome"], EXIT_FAILED) == EXIT_DONE
    lines = answer["lines"] if not act and answer["lines"] else [answer["reply"]]
    out.result({"ok": ok, **answer}, *lines)
    if any(finding["outcome"] == "uncertain" for finding in answer["findings"]):
        return EXIT_UNCERTAIN
    return _EXITS.get(answer["outcome"], EXIT_FAILED)


def _heard(out: Output, client: ControlClient, wish: Wish, text: str) -> bytes:
    """The words as this device, or the person with a key here, signs them; empty where nothing can sign."""
    from kindmesh.coordinator.utterances import hear_here, to_param
    from kindmesh.mesh.clock import SystemEntropy

    area = (wish.area or wish.place).strip()
    if isinstance(client, AsPerson):
        return to_param(client.person.hear(text, language=wish.language, area=area))
    now_ms = client.call("clock")["now_ms"]
    try:
        heard = hear_here(
            Home.locate(), text, now_ms=now_ms, entropy=SystemEntropy(), language=wish.language, area=area
        )
    except KeysLocked:
        out.note(
            "This device's key is locked, so nothing proves what you said: you are asked for a yes instead."
        )
        return b""
    return to_param(heard)


def _patiently(out: Output, client: ControlClient, request: dict[str, Any], *, act: bool) -> dict[str, Any]:
    """The answer; asked again with the same key when the connection was lost after the sentence was heard."""
    heard, until, run = False, 0.0, ""
    while True:
        try:
            stream = client.stream("ask", request)
            while True:
                try:
                    event = next(stream)
                except StopIteration as end:
                    out.clear()
                    answer: dict[str, Any] = end.value
                    return answer
                heard = True
                run = event.get("run", "") if event.get("event") == "started" else run
                _tell(out, event)
        except KeyboardInterrupt:
            if run:
                out.clear()
                out.note(
                    f"No longer waited for, but what was begun goes on. To end it: kindmesh jobs cancel {run}"
                )
            raise
        except (NotRunning, TransportError) as error:
            until = until or time.monotonic() + AGAIN_S
            if not act or not heard or time.monotonic() > until:
                if heard and act:
                    raise _lost(error) from error
                raise
            out.note("The coordinator went away in the middle; asking again what became of it ...")
            time.sleep(PAUSE_S)


def _lost(error: KindmeshError) -> KindmeshError:
    hint = "What was begun goes on once it is back: kindmesh jobs runs shows it."
    return type(error)("the coordinator went away in the middle and is not back", hint=hint)


def _tell(out: Output, event: dict[str, Any]) -> None:
    """Progress, on stderr."""
    kind, state = event.get("event"), event.get("state", "")
    if kind == "planned":
        for number, step in enumerate(event["steps"], 1):
            out.progress(f"{number}. {step}")
    elif kind == "approval":
        out.note("This waits for a yes. See: kindmesh review")
    elif kind == "item" and state == "asking":
        out.note("This asks a question first. See: kindmesh inbox")
    elif kind in ("item", "job"):
        where = f" on {event['device_name']}" if event.get("device_name") else ""
        out.progress(f"{event.get('path', '')}: {state}{where}")


# ----------------------------------------------------------------------------------------------- feedback, manners


def run_feedback(out: Output, wish: Wish, *, good: bool) -> int:
    """Good, or not what was meant; the words, if any, are what was meant."""
    meant = " ".join(wish.words)
    if good and meant:
        raise InvalidInput("--good takes no text", field="good")
    request = {
        "good": good, "meant": meant, "area": wish.area, "place": _placed(wish).place,
        "language": wish.language, "conversation": wish.conversation,
    }  # fmt: skip
    with connect_as(Home.locate(), wish.person) as client:
        found: dict[str, Any] = client.call("ask.feedback", request)
    proposed = found["proposed"]
    if proposed:
        out.result(
            found,
            f'{"Thank you" if good else "Noted"}. Shall "{proposed["sentence"]}" mean that from now on?'
            f" {found['does']}",
            f"Yes: kindmesh ask routines confirm {proposed['id']}",
        )
    elif good or not meant:
        out.result(found, "Thank you." if good else "Noted: that was not what you meant.")
    else:
        out.result(found, f"Noted, but I do not know how to do that. {found['reply']}")
    return EXIT_DONE


def run_persona(out: Output, name: str, person: str) -> int:
    """Choose manners."""
    with connect_as(Home.locate(), person, timeout_ms=30_000) as client:
        found = client.call("ask.persona", {"name": "" if name == "?" else name})
    out.result(found, f"Manners: {found['persona']} (there are {', '.join(found['personas'])}).")
    return EXIT_DONE


def run_forget(out: Output, conversation: str, person: str) -> int:
    """Forget what was said."""
    with connect_as(Home.locate(), person, timeout_ms=30_000) as client:
        found = client.call("ask.forget", {"conversation": conversation})
    out.result(found, f"Forgotten: {found['forgotten']} notes of what you said.")
    return EXIT_DONE


__all__ = ["Wish", "run_ask", "run_feedback", "run_forget", "run_persona"]
