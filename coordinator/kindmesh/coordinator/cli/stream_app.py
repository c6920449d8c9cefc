"""`kindmesh stream`: an operation that streams, with a file, a pipe or nothing at either end.

Data goes to stdout or a file and nothing else does; what happens is said on stderr, and with `--json` as one object on
stdout when the data goes to a file, else on stderr. Input is read as fast as the far end takes it, output is asked for
as fast as it can be written. Ctrl-C cancels at the far end, and waits for it to say that it has stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from kindmesh.coordinator.cli.commands import explained
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_INTERRUPTED, Output, exit_code, plain
from kindmesh.protocol.errors import (
    InvalidInput,
    KindmeshError,
    NeedsApproval,
    TransportClosed,
    WireError,
    error_from_wire,
)

READ_BYTES: Final = 32_768
TELL_S: Final = 0.5
Json = Annotated[bool, typer.Option("--json", help="Machine-readable: how it went, as one object.")]


def stream(
    operation: Annotated[str, typer.Argument(help="An operation that streams, such as speech.stream.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="key=value ...", metavar="KEY=VALUE...")
    ] = None,
    *,
    source: Annotated[str, typer.Option("--input", help="Send this file; - is standard input.")] = "",
    target: Annotated[str, typer.Option("--output", help="Write to this file; - is standard output.")] = "-",
    on: Annotated[str, typer.Option("--on", help="Only on this device.")] = "",
    max_seconds: Annotated[float, typer.Option(min=0, help="It ends after so many seconds.")] = 0,
    max_mb: Annotated[
        float, typer.Option(min=0, help="It ends after so many megabytes, both ways together.")
    ] = 0,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask here when the owner's yes is needed.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Stream to or from an operation, on whichever device serves it best.

    Example: kindmesh stream speech.stream text="Good morning" --output morning.pcm
    """
    out = Output(as_json)
    wish = {
        "operation": operation,
        "words": arguments or [],
        "target": on,
        "max_ms": int(max_seconds * 1000),
        "max_bytes": int(max_mb * 1_000_000),
    }
    try:
        code = asyncio.run(_run(out, wish, source, target, ask=ask))
    except KindmeshError as error:
        code = _trouble(out, explained(error), target)
    except KeyboardInterrupt:
        out.clear()
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


async def _run(out: Output, wish: dict[str, Any], source: str, target: str, *, ask: bool) -> int:
    from kindmesh.coordinator.cli.arguments import parse_arguments
    from kindmesh.coordinator.cli.call_commands import fields_of
    from kindmesh.coordinator.cli.local import is_coordinator
    from kindmesh.mesh.control_async import AsyncControlClient
    from kindmesh.mesh.home import Home
    from kindmesh.mesh.trust import TRUST_FILE
    from kindmesh.protocol.errors import NotInitialised

    home = Home.locate()
    owner = is_coordinator(home)
    if not owner and not (home.identity / TRUST_FILE).exists():
        raise NotInitialised()
    with ExitStack() as files:
        reading = _open_source(files, source)
        writing = _Output(files, target, reading)
        client = await AsyncControlClient.connect(home.socket("coordinator" if owner else "node"))
        try:
            fields = fields_of(await client.call("capabilities"), wish["operation"])
            values = parse_arguments(wish.pop("words"), fields, _no_files)
            request = {**wish, "args": values}
            talk = _Talk(out, client, home if owner and ask and source != "-" else None)
            document = await talk.run(request, reading, writing)
        finally:
            await client.close()
    return _tell(out, document, target)


class _Talk:
    """One stream over the control socket."""

    def __init__(self, out: Output, client: Any, asking: Any) -> None:
        self._out = out
        self._client = client
        self._asking = asking
        self._opened: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._begun = time.monotonic()
        self._told = 0.0
        self.sent = self.received = 0

    def _event(self, event: Any) -> None:
        if event.get("event") == "open" and not self._opened.done():
            self._opened.set_result(event)
        elif event.get("event") == "approval":
            self._questions.put_nowait(event)

    async def run(
        self, request: dict[str, Any], reading: BinaryIO | None, writing: _Output
    ) -> dict[str, Any]:
        """From opening to the end; the document of the end.

        Raises:
            KindmeshError: it was not opened.
        """
        ending = self._client.call("stream.open", request, on_event=self._event)
        try:
            await self._until_open(request["operation"], ending)
        except BaseException:
            ending.cancel()
            raise
        opened = self._opened.result()
        name = opened["stream"]
        if reading is not None and opened["direction"] == "out":
            ending.cancel()
            raise InvalidInput(
                f"{request['operation']} takes no input", field="input", hint="Leave out --input."
            )
        writing.begin()
        self._out.progress(f"{request['operation']} on {opened['device_name']} ({opened['route']})")
        interrupted = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            # A second Ctrl-C ends the command itself, if what it talks to answers no more.
            loop.remove_signal_handler(signal.SIGINT)
            interrupted.set()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        tasks = [asyncio.ensure_future(self._receive(name, writing))]
        if opened["direction"] != "out":
            tasks.append(asyncio.ensure_future(self._send(opened, reading)))
        cancel = asyncio.ensure_future(interrupted.wait())
        try:
            await asyncio.wait({ending, cancel}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                self._out.note("Cancelling it at the other end ...")
                await self._client.call("stream.cancel", {"stream": name})
            document: dict[str, Any] = await ending
            # What had arrived is written, whatever ended the stream.
            await asyncio.wait(tasks[:1])
        finally:
            cancel.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, cancel, return_exceptions=True)
        trouble = tasks[0].exception() if not tasks[0].cancelled() else None
        if isinstance(trouble, OSError):
            raise InvalidInput(
                f"the output cannot be written: {trouble.strerror}", field="output"
            ) from trouble
        took_ms = int((time.monotonic() - self._begun) * 1000)
        return {**document, "sent": self.sent, "written": self.received, "took_ms": took_ms}

    async def _until_open(self, operation: str, ending: asyncio.Future[Any]) -> None:
        while not self._opened.done():
            asked = asyncio.ensure_future(self._questions.get())
            waiting: list[asyncio.Future[Any]] = [asked, ending, self._opened]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                await self._answer(operation, asked.result())
                continue
            asked.cancel()
            if ending.done() and not self._opened.done():
                ending.result()
                raise TransportClosed("the stream ended before it began")

    async def _answer(self, operation: str, question: dict[str, Any]) -> None:
        from kindmesh.coordinator.cli.review_approval import answer_request

        if self._asking is None:
            raise NeedsApproval(
                f"{operation} needs the owner's yes", hint="Ask for it on the coordinator, in a terminal."
            )
        await asyncio.to_thread(answer_request, self._out, self._asking, question["request"])

    async def _send(self, opened: dict[str, Any], reading: BinaryIO | None) -> None:
        name = opened["stream"]
        # Where a read ends says nothing about where a letter or a sample does.
        last = opened["input"]["kind"] not in ("text", "audio")
        try:
            while reading is not None:
                data = await _read_some(reading)
                if not data:
                    break
                await self._client.call("stream.write", {"stream": name, "data": data, "last": last})
                self.sent += len(data)
                self._progress()
            await self._client.call("stream.write", {"stream": name, "data": b"", "final": True})
        except KindmeshError:
            # The stream has ended; `stream.open` says why.
            return

    async def _receive(self, name: str, writing: _Output) -> None:
        try:
            while True:
                answer = await self._client.call("stream.read", {"stream": name})
                for data, _ in answer["pieces"]:
                    await asyncio.to_thread(writing.write, data)
                    self.received += len(data)
                if answer["pieces"]:
                    await asyncio.to_thread(writing.flush)
                self._progress()
                if answer["over"]:
                    return
        except KindmeshError:
            return
        except OSError:
            await self._client.call("stream.cancel", {"stream": name})
            raise

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_S:
            self._told = now
            self._out.progress(
                f"{self.sent / 1e6:.1f} MB sent, {self.received / 1e6:.1f} MB received, {now - self._begun:.0f} s"
            )


async def _read_some(reading: BinaryIO) -> bytes:
    """What is there, not waiting for a whole buffer: a microphone is a pipe too. Nothing blocks in a thread that Ctrl-C
    could not end."""
    number = reading.fileno()
    if not stat.S_ISREG(os.fstat(number).st_mode):
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(number, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(number)
    return await asyncio.to_thread(os.read, number, READ_BYTES)


def _no_files(path: Path) -> dict[str, Any]:
    raise InvalidInput(f"a stream takes no files as values ({path})", hint="Send it with --input.")


def _open_source(files: ExitStack, source: str) -> BinaryIO | None:
    if not source:
        return None
    if source == "-":
        return sys.stdin.buffer
    try:
        return files.enter_context(Path(source).open("rb"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise InvalidInput(f"{source} cannot be read: {why}", field="input") from error


class _Output:
    """Where the data goes. A file is only emptied when the stream is open: what fails before leaves it as it was."""

    def __init__(self, files: ExitStack, target: str, reading: BinaryIO | None) -> None:
        """Raises: InvalidInput: it cannot be written, or it is the file that is read."""
        from kindmesh.coordinator.cli.local import check_target

        self._sink: BinaryIO = sys.stdout.buffer
        self._path = None if target == "-" else Path(target)
        if self._path is None:
            return
        check_target(self._path)
        try:
            self._sink = files.enter_context(self._path.open("ab"))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no file can have this name"
            raise InvalidInput(f"{target} cannot be written: {why}", field="output") from error
        if reading is not None and os.path.sameopenfile(reading.fileno(), self._sink.fileno()):
            raise InvalidInput(
                f"{target} is read and written at once", field="output", hint="Name another file."
            )

    def begin(self) -> None:
        """The stream is open; what was in the file goes."""
        if self._path is not None and stat.S_ISREG(os.fstat(self._sink.fileno()).st_mode):
            self._sink.truncate(0)

    def write(self, data: bytes) -> None:
        """Raises: OSError."""
        self._sink.write(data)

    def flush(self) -> None:
        """Raises: OSError."""
        self._sink.flush()


def _tell(out: Output, document: dict[str, Any], target: str) -> int:
    wire = document.get("error")
    error = None if wire is None else error_from_wire(WireError(**wire))
    if out.as_json:
        _json(document, target)
    elif error is None:
        out.note(
            f"Done: {document['sent']} bytes sent, {document['written']} received in {document['took_ms'] / 1000:.1f} s"
            f" ({document['device_name']}, {document['route']})."
        )
    if document["reason"] == "cancelled":
        far = "It has stopped there." if document["confirmed"] else "It could not be reached to be told."
        out.note(f"Cancelled. {far}")
        return EXIT_INTERRUPTED
    if error is None:
        return EXIT_DONE
    if not out.as_json:
        Output(as_json=False).trouble(error)
    return exit_code(error)


def _trouble(out: Output, error: KindmeshError, target: str) -> int:
    if out.as_json and target == "-":
        from kindmesh.protocol.errors import error_to_wire

        wire = error_to_wire(error)
        shown = {"code": wire.code, "message": wire.message, "hint": wire.hint, "field": wire.field}
        _json({"ok": False, "error": shown}, target)
        return exit_code(error)
    return out.trouble(error)


def _json(document: dict[str, Any], target: str) -> None:
    """On stdout, unless the data is there."""
    sink = sys.stderr if target == "-" else sys.stdout
    sink.write(json.dumps(plain(document)) + "\n")
    sink.flush()


__all__ = ["stream"]
