"""Logs: ids, and never contents."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from kindmesh.mesh.logs import HumanFormatter, JsonFormatter, setup_logging
from kindmesh.protocol.errors import ConfigError, StoreDamaged

LETTER = "Dear Ada, the doctor says hello"


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("kindmesh")
    before = (root.handlers[:], root.level, ours.level, logging.raiseExceptions)
    yield
    root.handlers[:], root.level, ours.level, logging.raiseExceptions = before
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_ids() -> None:
    stream = io.StringIO()
    setup_logging(env={}, stream=stream)
    logging.getLogger("kindmesh.node.jobs").info(
        "job accepted", extra={"job": bytes([1, 2]), "count": 3, "operation": "speech.render", "late": False}
    )
    [line] = lines(stream)
    assert line.pop("time_ms") > 1_700_000_000_000
    assert line == {
        "level": "info", "logger": "kindmesh.node.jobs", "message": "job accepted", "job": "0102", "count": 3,
        "operation": "speech.render", "late": False,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "human"])
def test_contents_never_reach_the_log(form: str) -> None:
    stream = io.StringIO()
    setup_logging("debug", form, env={}, stream=stream)
    log = logging.getLogger("kindmesh.node.jobs")
    log.info("job accepted", extra={"text": LETTER, "more": [LETTER], "deep": {"text": LETTER}})
    log.info("job %s of %s", LETTER, b"\x01")
    try:
        raise ValueError(LETTER)
    except ValueError:
        log.exception("job failed")
    logging.getLogger("some.library").error("got %s", LETTER)
    logging.getLogger("some.library").handle(
        logging.makeLogRecord({"name": "some.library", "levelno": 40, "msg": "first line\n" + LETTER})
    )
    assert LETTER not in stream.getvalue()
    assert "Ada" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()
    assert "01" in stream.getvalue()


def test_a_typed_error_shows_its_code() -> None:
    stream = io.StringIO()
    setup_logging(env={}, stream=stream)
    error = StoreDamaged(LETTER)
    logging.getLogger("kindmesh.mesh.store").error("store failed", exc_info=error)
    assert lines(stream)[0]["code"] == "STORE_DAMAGED"


def test_people_get_one_readable_line() -> None:
    stream = io.StringIO()
    setup_logging("info", "human", env={}, stream=stream)
    logging.getLogger("kindmesh.node.jobs").warning("job is late", extra={"job": "ab12", "nodes": ["a", "b"]})
    text = stream.getvalue()
    assert text.endswith("WARNING node.jobs  job is late  job=ab12  nodes=a,b\n")


def test_the_environment_comes_before_the_setting() -> None:
    stream = io.StringIO()
    setup_logging(
        "error", "human", env={"KINDMESH_LOG": "DEBUG", "KINDMESH_LOG_FORMAT": "json"}, stream=stream
    )
    logging.getLogger("kindmesh.node").debug("heard")
    logging.getLogger("library").info("not heard")
    assert [line["message"] for line in lines(stream)] == ["heard"]
    setup_logging("error", env={}, stream=stream)
    logging.getLogger("kindmesh.node").warning("not heard")
    assert len(lines(stream)) == 1


def test_a_terminal_gets_the_human_form() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    setup_logging(env={}, stream=Terminal())
    assert isinstance(logging.getLogger().handlers[0].formatter, HumanFormatter)
    setup_logging(env={}, stream=io.StringIO())
    assert isinstance(logging.getLogger().handlers[0].formatter, JsonFormatter)


@pytest.mark.parametrize("env", [{"KINDMESH_LOG": "loud"}, {"KINDMESH_LOG_FORMAT": "xml"}])
def test_an_unknown_choice_is_named(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        setup_logging(env=env)
    assert next(iter(env)) in caught.value.message
    assert "Use one of" in caught.value.hint
    with pytest.raises(ConfigError, match="setting"):
        setup_logging("loud", env={})
