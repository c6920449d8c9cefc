"""What `llm` offers: a language model answers, at once or token by token, and which models there are.

Two pairs of operations, because an effect is a property of the operation: `llm.chat` and `llm.stream` use only models
on the household's own devices, so that nothing leaves the house and nothing is paid; `llm.chat_outside` and
`llm.stream_outside` may also use models elsewhere, which sends the messages there and costs money. Medulla, and the
owner's rules, therefore see the difference before anything is sent. What may go outside at all is decided once more
by the device that hosts the models (`routing`).
"""

from __future__ import annotations

from typing import Final

from kindmesh.capabilities.llm.model import MESSAGES_MAX, TEXT_MAX, TOKENS_MAX, TOOL_CALLS_MAX, TOOLS_MAX
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec

__all__ = ["MANIFEST", "TASKS", "TASK_DEFAULT"]

TASKS: Final = ("chat", "plan", "judge", "summary")
"""What a model is asked for; each can have its own order of models."""
TASK_DEFAULT: Final = "chat"
_TIMEOUT_MS: Final = 300_000
_STREAM_BYTES: Final = 4 * 1024 * 1024

_INPUT: Final = (
    Field(
        "messages", "list", "Objects with role (system, user, assistant, tool), text, tool_calls, tool_call_id",
        minimum=1, maximum=MESSAGES_MAX, items="object",
    ),
    Field(
        "tools", "list", "What the model may ask for: objects with name, description, parameters (a JSON Schema)",
        required=False, maximum=TOOLS_MAX, items="object", default=encode_value([]),
    ),
    Field(
        "max_tokens", "integer", "The longest answer, in tokens", required=False, minimum=1, maximum=TOKENS_MAX,
        default=encode_value(1024),
    ),
    Field(
        "temperature", "number", "0: always the likeliest word", required=False, minimum=0, maximum=2,
        default=encode_value(0.0),
    ),
    Field(
        "model", "text", "A model's name; empty: chosen by task, privacy and cost", required=False, max_length=64,
        default=encode_value(""),
    ),
    Field("task", "text", "What it is for", required=False, choices=TASKS, default=encode_value(TASK_DEFAULT)),
    Field(
        "data_classes", "list", "What the messages are about, in the words of manifests; decides where they may go",
        required=False, maximum=16, default=encode_value(["other"]),
    ),
    Field(
        "readers", "list", "Who may know it; * for anybody", required=False, maximum=64, default=encode_value(["*"]),
    ),
    Field("run", "text", "What the costs of one run are counted by", required=False, max_length=64,
          default=encode_value("")),
)  # fmt: skip
_OUTPUT: Final = (
    Field("text", "text", "The answer", max_length=TEXT_MAX),
    Field("tool_calls", "list", "Objects with id, name, arguments", maximum=TOOL_CALLS_MAX, items="object"),
    Field("finish", "text", "Why it ended", choices=("stop", "length", "tool_calls", "filtered")),
    Field("model", "text", "Who answered"),
    Field("local", "boolean", "Whether that is a model of this household"),
    Field("usage", "object", "input_tokens, output_tokens, estimated"),
    Field("cost_micros", "integer", "What it cost, in millionths of the budget's currency", minimum=0),
    Field("passed_over", "list", "Models that were not used: objects with model, reason", items="object"),
)
_DATA: Final = ("text", "home", "other")
_LIMITS: Final = Limits(
    timeout_ms=_TIMEOUT_MS, max_concurrent=4, max_input_bytes=262_144, max_output_bytes=524_288
)
_STREAM: Final = StreamSpec("out", None, StreamMedia("text"), _TIMEOUT_MS, _STREAM_BYTES)
_OUTSIDE: Final = int(Effect.READ | Effect.SPEND)

MANIFEST: Final = Manifest(
    capability="llm",
    version="1",
    title="Language models",
    requires="llm",
    operations=(
        Operation(
            "llm.chat", "Ask a language model of this household", _INPUT, _OUTPUT, int(Effect.READ), False, _DATA,
            _LIMITS, session_call=True,
        ),
        Operation(
            "llm.chat_outside", "Ask a language model, perhaps outside the house", _INPUT, _OUTPUT, _OUTSIDE, False,
            _DATA, _LIMITS,
        ),
        Operation(
            "llm.stream", "Ask a language model of this household, and hear each word as it comes", _INPUT, _OUTPUT,
            int(Effect.READ), False, _DATA, _LIMITS, stream=_STREAM,
        ),
        Operation(
            "llm.stream_outside", "Ask a language model, perhaps outside the house, and hear each word as it comes",
            _INPUT, _OUTPUT, _OUTSIDE, False, _DATA, _LIMITS, stream=_STREAM,
        ),
        Operation(
            "llm.models", "Which language models there are here",
            (),
            (
                Field("models", "list", "Objects with name, local, tasks, context, price_in, price_out, state",
                      maximum=64, items="object"),
                Field("currency", "text", "Of the prices, which are per million tokens"),
            ),
            int(Effect.READ), True, ("device",),
            Limits(timeout_ms=10_000, max_concurrent=4, max_input_bytes=1_024, max_output_bytes=65_536),
            session_call=True,
        ),
    ),
)  # fmt: skip
