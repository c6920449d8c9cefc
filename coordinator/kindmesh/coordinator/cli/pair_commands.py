"""`pair`: open a window, show how to come in, and let the owner decide about whoever knocks."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output, sentence
from kindmesh.coordinator.cli.pair_answers import (
    YES,
    Answer,
    describe_grant,
    describe_offers,
    read_answer,
    trim_offers,
)
from kindmesh.coordinator.cli.pair_desk import AtDoor, Desk, Heard, on_terminal, read_line
from kindmesh.coordinator.owner import Owner
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import (
    CertificateRefused,
    EnrolmentRefused,
    InvalidInput,
    NotInitialised,
    NotRunning,
    Revoked,
    UnknownMember,
)
from kindmesh.protocol.limits import PAIR_CODE_TRIES
from kindmesh.protocol.signed import signed_to_bytes

TICK_S: Final = 1.0
SETTLE_S: Final = 5.0
CLOSED_WORDS: Final = {
    "paired": "",
    "expired": "Time is up; the window is closed.",
    "closed": "The window is closed.",
    "failures": "Too many wrong tries; the window is closed.",
    "knocks": "Too many devices knocked; the window is closed.",
}


def run_pair(
    out: Output,
    minutes: float,
    role: str,
    save: Path | None,
    *,
    typed: bool = False,
    label: str = "",
    scan: str = "",
    at: str = "",
) -> int:
    """One window, until a device is in or the window is closed."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner

    home = Home.locate()
    if not is_coordinator(home):
        raise NotInitialised(
            "devices are paired at the coordinator", hint="Run kindmesh pair where the mesh was made."
        )
    if not 0 < minutes <= 15:
        raise InvalidInput("a window is open for at most 15 minutes", field="minutes")
    if sum(map(bool, (typed, label, scan))) > 1:
        raise InvalidInput("choose one of --typed, --label and --scan", field="typed")
    if save is not None and (typed or label or scan):
        raise InvalidInput("there is no QR code to save here", field="save")
    wish: dict[str, Any] = {"ttl_ms": int(minutes * 60_000), "role": role, "typed": typed, "at": at}
    if label or scan:
        wish["label"] = _label_text(out, label, scan)
    if at and "label" not in wish:
        raise InvalidInput("--at says where the device of a label waits", field="at")
    owner = unlock_owner(home, ask_passphrase())
    # A picture with the secret is to be removed also when somebody ends this.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with connect(home) as stream, connect(home) as nonces, connect(home) as answers:
        window = _Window(out, owner, answers, Desk(stream, nonces), role=role, save=save)
        try:
            return window.run(wish)
        finally:
            signal.signal(signal.SIGTERM, before)
            window.tidy()


def _label_text(out: Output, label: str, scan: str) -> str:
    """The text of a label: given, in a file, from standard input, or seen by a camera."""
    from kindmesh.protocol.adopt import LABEL_PREFIX, label_from_text

    if scan:
        from kindmesh.coordinator.cli.scan import scan_text

        text = scan_text(scan, LABEL_PREFIX, out.progress)
    elif label == "-":
        text = read_line() or ""
    elif label.startswith("@"):
        try:
            text = Path(label[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{label[1:]} cannot be read", field="label") from error
    else:
        text = label
    label_from_text(text)
    return text


class _Window:
    """The conversation of one window."""

    def __init__(
        self, out: Output, owner: Owner, answers: ControlClient, desk: Desk, *, role: str, save: Path | None
    ) -> None:
        self._out, self._owner, self._role, self._answers = out, owner, role, answers
        self._desk, self._save = desk, save
        self._live = on_terminal() and not out.as_json
        self._waiting: list[AtDoor] = []
        self._asked: AtDoor | None = None
        self._right: Answer | None = None
        """The code was right, and the terminal asks what to grant."""
        self._tries = PAIR_CODE_TRIES
        self._ended = False
        self._saved = False
        self._paired = False

    def run(self, wish: dict[str, Any]) -> int:
        """Until the window is closed; the exit code."""
        self._desk.open(wish)
        while True:
            heard = self._desk.hear(TICK_S if self._live else 3600.0)
            if heard.end is not None:
                return self._end(heard.end)
            self._take(heard)

    def tidy(self) -> None:
        """No secret stays in a picture."""
        self._out.clear()
        if self._save is not None and self._saved:
            self._save.unlink(missing_ok=True)
            self._saved = False
            self._out.note(f"{self._save} is removed: its secret opens nothing any more.")

    def _take(self, heard: Heard) -> None:
        if heard.error is not None:
            raise heard.error
        if heard.event is not None:
            self._event(heard.event)
        elif heard.typed:
            self._line(heard.line)
        else:
            self._tick()

    def _end(self, closing: dict[str, Any]) -> int:
        self.tidy()
        note = CLOSED_WORDS[closing["reason"]]
        self._out.result({"ok": self._paired, **closing}, *([note] if note else []))
        return EXIT_DONE if self._paired else EXIT_REFUSED

    # ----------------------------------------------------------------------------------------------- events

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "window":
            self._show(event)
        elif kind == "knock":
            self._knock(event)
        elif kind == "failed":
            self._out.event(
                event, f"A try was refused: {sentence(event['message'])} {event['left']} more allowed."
            )
            self._prompt()
        elif kind == "adopting":
            self._out.event(event, _adopting_words(event))
        elif kind == "left":
            self._out.event(event, f"{event['name']} came to the door and went away again.")
        elif kind == "paired":
            self._paired = True
            self._out.event(event, f"{event['name']} belongs to your mesh now.")

    def _show(self, event: dict[str, Any]) -> None:
        from kindmesh.coordinator.cli import qr

        until = time.strftime("%H:%M:%S", time.localtime(event["expires_ms"] / 1000))
        minutes = event["ttl_ms"] / 60_000
        closing = f"The window is open for {minutes:g} min, until {until}. Ctrl-C closes it."
        if event["kind"] == "typed":
            found = (
                "finds this by itself" if event["mdns"] else "needs to be told where this is (mDNS is off)"
            )
            self._out.event(
                event,
                "Type on the other device:",
                "",
                f'  kindmesh join --code "{event["typed"]}"',
                "",
                f"It {found}; else add: --at {event['at'][0]}",
                closing,
            )
            return
        if event["kind"] == "label":
            self._out.event(
                event,
                f"Waiting for {event['name']} ({event['device']}).",
                "It is adopted when it appears: switch it on, with kindmesh up, in the same network.",
                closing,
            )
            return
        if self._save is not None:
            qr.save(event["text"], self._save)
            self._saved = True
            event = {**event, "saved": os.fspath(self._save)}
        self._out.event(
            event,
            *qr.terminal_lines(event["text"]),
            "On the other device:",
            "",
            f"  kindmesh join '{event['text']}'",
            "",
            closing,
        )

    def _knock(self, event: dict[str, Any]) -> None:
        try:
            found = self._desk.verify(event)
        except EnrolmentRefused as error:
            self._out.note(f"{sentence(error.message)} It is turned away.")
            self._answers.call("pair.answer", {"knock": event["knock"]})
            return
        if self._asked is not None and self._asked.knock == found.knock and _same(self._asked, found):
            # It began again while the owner was thinking; the code that it shows now is the right one.
            self._asked, self._right = found, None
            return
        self._waiting = [other for other in self._waiting if other.knock != found.knock] + [found]
        self._next()

    def _next(self) -> None:
        if self._asked is None and self._waiting:
            self._asked, self._right, self._tries = self._waiting.pop(0), None, PAIR_CODE_TRIES
            hello = self._asked.hello
            self._out.event(
                self._asked.shown,
                "",
                f"{hello.name} is at the door ({self._asked.device}). It asks for:",
                *describe_offers(hello.offers),
            )
            self._desk.begin_typing()
            if self._ended:
                self._answer(None)
            else:
                self._prompt()

    # -------------------------------------------------------------------------------------------- the owner

    def _prompt(self) -> None:
        if self._asked is None or self._ended:
            return
        self._out.clear()
        if self._right is not None:
            words, short = (
                "Right. Enter grants all of it; or name what it may do (device notes=read, -speech)",
                "Grant",
            )
        elif self._asked.recognised:
            words, short = (
                "This is the device with the label. yes, no, or yes and what it may do",
                "Let it in",
            )
        else:
            words, short = (
                "Type the check code that the device shows (or no, or code and what it may do)",
                "Code",
            )
        # On a terminal the last line stays short: what is above it is found by counting lines.
        sys.stderr.write(f"{words}.\n{self._clock()}\n{short}: " if self._live else f"{words}: ")
        sys.stderr.flush()

    def _tick(self) -> None:
        if not self._live:
            return
        if self._asked is None:
            self._out.progress(self._clock())
            return
        # The line above the prompt; what the owner is typing stays as it is.
        sys.stderr.write(f"\x1b7\x1b[1A\r\x1b[K{self._clock()}\x1b8")
        sys.stderr.flush()

    def _clock(self) -> str:
        left = self._desk.left_s()
        return f"The window is open for another {left // 60}:{left % 60:02d}."

    def _line(self, line: str | None) -> None:
        self._ended = self._ended or line is None
        if self._asked is None:
            return
        if self._right is not None:
            self._grant_words((line or "").replace(",", " ").split(), stop=line is None)
            return
        answer = read_answer(line)
        if answer.refused:
            self._answer(None)
        elif self._asked.recognised:
            if answer.code.lower() in YES:
                self._grant_words(answer.trim, stop=False)
            else:
                self._prompt()
        elif self._fits(answer.code):
            if self._live and not answer.trim:
                self._right = answer
                self._prompt()
            else:
                self._grant_words(answer.trim, stop=False)
        else:
            self._wrong()

    def _fits(self, code: str) -> bool:
        """Whether the device shows this code; if it began again just now, its new knock is waited for."""
        asked = self._asked
        end = time.monotonic() + SETTLE_S
        while asked is not None and asked.code != code and time.monotonic() < end:
            current = [
                one["code"] for one in self._answers.call("pair.waiting") if one["knock"] == asked.knock
            ]
            if current == [asked.code]:
                break
            heard = self._desk.hear(SETTLE_S)
            if heard.end is not None or heard.typed:
                self._desk.give_back(heard)
                return False
            self._take(heard)
            asked = self._asked
        return asked is not None and asked.code == code

    def _wrong(self) -> None:
        self._tries -= 1
        words = "That is not this device's code."
        if self._tries:
            more = f"{self._tries} more {'try' if self._tries == 1 else 'tries'}."
            self._out.event({"event": "wrong_code", "left": self._tries}, f"{words} Look again; {more}")
            self._prompt()
            return
        self._out.event(
            {"event": "wrong_code", "left": 0},
            f"{words} It is turned away: somebody else may be at the door. The window is still open.",
        )
        self._answer(None)

    def _grant_words(self, words: list[str] | tuple[str, ...], *, stop: bool) -> None:
        asked = self._asked
        if asked is None:
            return
        if stop or (words and read_answer(words[0]).refused):
            self._answer(None)
            return
        try:
            granted = trim_offers(asked.hello.offers, words)
        except InvalidInput as error:
            self._out.event(
                {"event": "wrong_words", "message": error.message, "hint": error.hint},
                f"{sentence(error.message)} {error.hint}",
            )
            if self._live:
                self._prompt()
            else:
                self._answer(None)
            return
        self._out.note(f"Granted: {describe_grant(granted)}.")
        grant = self._owner.sign_grant(
            name=asked.hello.name,
            ed_pub=asked.hello.ed_pub,
            curve_pub=asked.hello.curve_pub,
            roles=(self._role,),
            capabilities=granted,
        )
        self._answer(signed_to_bytes(grant))

    def _answer(self, grant: bytes | None) -> None:
        asked, self._asked, self._right = self._asked, None, None
        if asked is None:
            return
        name = asked.hello.name
        try:
            self._answers.call("pair.answer", {"knock": asked.knock, "grant": grant})
        except (UnknownMember, NotRunning):
            self._out.note(f"{name} is not at the door any more.")
        except (Revoked, CertificateRefused) as error:
            self._out.event(
                {"event": "refused", "name": name, "code": error.code, "message": error.message},
                f"{name} cannot come in: {sentence(error.message)} {error.hint}",
            )
        else:
            if grant is None:
                self._out.note("Turned away.")
        self._next()


def _same(one: AtDoor, other: AtDoor) -> bool:
    left, right = one.hello, other.hello
    return (left.ed_pub, left.curve_pub, left.name, left.role, left.offers) == (
        right.ed_pub,
        right.curve_pub,
        right.name,
        right.role,
        right.offers,
    )


def _adopting_words(event: dict[str, Any]) -> str:
    if event["state"] == "found":
        return f"{event['name']} is there ({event['address']}) and comes to the door."
    if event["state"] == "refused":
        return f"{event['name']} at {event['address']} cannot be adopted: {sentence(event['message'])}"
    return f"{sentence(event['message'])} Say where the device is: --at HOST:PORT, as kindmesh up shows it there."


__all__ = ["run_pair"]
