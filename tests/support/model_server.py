"""A provider of language models on loopback, for tests: a small HTTP server that answers what it is told to.

It speaks the three interfaces well enough for their SDKs: `openai_says`, `anthropic_says` and `ollama_says` make the
bytes of a good answer; a `Reply` can be anything else. What was asked is kept in `asked`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """`pieces` of the body, `pause_s` before each; `breaks`: the connection is reset after them, in the middle."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    breaks: bool = False


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: Any


class ModelServer:
    """See the module. `replies` are given one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [Reply(status=500)]
        self.asked: list[Asked] = []
        self.came = asyncio.Event()
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which is what some tests do
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        raw = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines if line}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(first.split()[1], raw, json.loads(body) if body else None))
        self.came.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        sent = {"content-type": "text/event-stream", "transfer-encoding": "chunked", "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in (sent | reply.headers).items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode())
        for piece in reply.pieces:
            await asyncio.sleep(reply.pause_s)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if reply.breaks:
            writer.transport.abort()
        else:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """A server on a free port of loopback."""
    made = ModelServer()
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


def event(data: Any, name: str = "") -> bytes:
    """A server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def openai_says(
    text: str = "", calls: Sequence[tuple[str, str]] = (), *, counted: bool = True
) -> list[bytes]:
    """An OpenAI-compatible answer: a piece for each word, arguments in two parts."""

    def chunk(delta: Any, finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return event(
            {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
        )

    pieces = [chunk({"role": "assistant", "content": ""})]
    pieces += [chunk({"content": word}) for word in text.split(" ")] if text else []
    for index, (name, arguments) in enumerate(calls):
        half = len(arguments) // 2
        first = {
            "index": index,
            "id": f"id{index}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        pieces.append(chunk({"tool_calls": [first]}))
        pieces += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            for part in (arguments[:half], arguments[half:])
        ]
    pieces.append(chunk({}, "tool_calls" if calls else "stop"))
    if counted:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        pieces.append(event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                             "usage": usage}))  # fmt: skip
    return [*pieces, b"data: [DONE]\n\n"]


def anthropic_says(text: str = "", calls: Sequence[tuple[str, str]] = ()) -> list[bytes]:
    """An answer as Anthropic sends it."""

    def said(name: str, **more: Any) -> bytes:
        return event({"type": name, **more}, name)

    message: dict[str, Any] = {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 1},
    }  # fmt: skip
    pieces = [said("message_start", message=message), said("ping")]
    blocks: list[tuple[Any, list[Any]]] = []
    if text:
        deltas = [{"type": "text_delta", "text": word} for word in text.split(" ")]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for number, (name, arguments) in enumerate(calls):
        half = len(arguments) // 2
        parts = [
            {"type": "input_json_delta", "partial_json": part}
            for part in (arguments[:half], arguments[half:])
        ]
        blocks.append(({"type": "tool_use", "id": f"id{number}", "name": name, "input": {}}, parts))
    for index, (start, deltas) in enumerate(blocks):
        pieces.append(said("content_block_start", index=index, content_block=start))
        pieces += [said("content_block_delta", index=index, delta=delta) for delta in deltas]
        pieces.append(said("content_block_stop", index=index))
    delta = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    pieces.append(said("message_delta", delta=delta, usage={"output_tokens": 7}))
    return [*pieces, said("message_stop")]


def ollama_says(text: str = "", calls: Sequence[tuple[str, str]] = ()) -> list[bytes]:
    """An answer as Ollama sends it."""

    def line(**more: Any) -> bytes:
        return json.dumps({"model": "m", "created_at": "2026-11-27T00:00:00Z", **more}).encode() + b"\n"

    pieces = [
        line(message={"role": "assistant", "content": word}, done=False) for word in text.split(" ") if word
    ]
    for name, arguments in calls:
        call = {"function": {"name": name, "arguments": json.loads(arguments)}}
        pieces.append(line(message={"role": "assistant", "content": "", "tool_calls": [call]}, done=False))
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7}
    return [*pieces, line(message={"role": "assistant", "content": ""}, **end)]


SAYS = {"openai": openai_says, "anthropic": anthropic_says, "ollama": ollama_says}
