"""The command line against odd words and hostile devices: typed refusals, pure JSON, nothing that moves a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.coordinator.cli.local import check_target, download, upload
from kindmesh.coordinator.cli.main import run
from kindmesh.coordinator.cli.output import Output, safe
from kindmesh.coordinator.cli.setup_commands import check_name, listening, near_host
from kindmesh.coordinator.reachable import join_address
from kindmesh.mesh.control_client import ControlClient
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import ARGUMENTS_MAX

FIELDS: dict[str, dict[str, Any]] = {
    name: {"type": name} for name in ("text", "object", "artifact", "integer")
}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDMESH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KINDMESH_PASSPHRASE", "three quiet swans")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = run(words)
    said = capsys.readouterr()
    objects = [json.loads(line) for line in said.out.splitlines()]
    assert len(objects) == 1
    assert "Traceback" not in said.err
    error: dict[str, Any] = objects[0]["error"]
    return code, error


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate", "--json"],
        ["call", "--json"],
        ["jobs", "--limit", "many", "--json"],
        ["nodes", "--bogus", "--json"],
        ["bench", "roundtrip", "--payload", "-1", "--json"],
        ["call", "device.echo", "--timeout", "nan", "--json"],
        ["call", "device.echo", "--timeout", "inf", "--json"],
        ["call", "device.echo", "--timeout", "0", "--session", "--json"],
        ["call", "device.echo", "--timeout", "-5", "--json"],
        ["call", "device.echo", "--save", "/no/such/folder/x", "--json"],
        ["call", "device.echo", "--save", "/", "--json"],
        ["join", "KM1:ABC", "--json"],
        ["join", "KM1:ABC", "--name", "a\x1b[2Jb", "--json"],
        ["join", "", "--json"],
        ["init", "--name", "a\nb", "--json"],
        ["init", "--kit", "/proc/no/kit", "--json"],
    ],
)
def test_a_wrong_call_is_one_json_object_and_exit_code_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = refused(words, capsys)
    assert (code, error["code"]) == (2, "INVALID_INPUT")


def test_a_wrong_call_without_json_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["frobnicate"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "frobnicate" in said.err


def test_help_and_versions_of_it_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert run(["call", "--help"]) == 0
    assert "speech.render" in capsys.readouterr().out


def test_a_kit_is_never_put_in_the_place_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = tmp_path / "kit.txt"
    kit.write_text("of another mesh")
    assert refused(["init", "--kit", str(kit), "--json"], capsys)[1]["field"] == "kit"
    assert kit.read_text() == "of another mesh"
    assert not (tmp_path / "home" / "identity").exists()


@pytest.mark.parametrize("word", ["object=" + "[" * 100_000, "artifact=", "text=@/dev/zero", "text=@\0"])
def test_words_that_would_break_a_parser_are_refused_by_name(word: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_arguments([word], FIELDS, lambda path: {})
    assert caught.value.field == word.partition("=")[0]


def test_a_text_file_may_be_as_long_as_arguments_may(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_text("a" * ARGUMENTS_MAX)
    assert len(parse_arguments([f"text=@{path}"], FIELDS, lambda path: {})["text"]) == ARGUMENTS_MAX


@pytest.mark.parametrize("value", ["\udcff\udcfe", 2**70, -(2**64), object()])
def test_what_no_message_can_carry_is_refused_before_it_is_sent(tmp_path: Path, value: object) -> None:
    with ControlClient(tmp_path / "no.sock") as client, pytest.raises(InvalidInput):
        client.call("submit", {"args": {"text": value}})


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/tmp"), Path("/no/such"), Path("a\0b")])
def test_what_is_no_file_is_not_uploaded(tmp_path: Path, path: Path) -> None:
    with ControlClient(tmp_path / "no.sock") as client, pytest.raises(InvalidInput):
        upload(client, path, lambda part: None)


def test_a_result_cannot_be_saved_beneath_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" / "x.wav"
    with pytest.raises(InvalidInput):
        check_target(target)
    with ControlClient(tmp_path / "no.sock") as client, pytest.raises(InvalidInput):
        download(client, {"artifact": "a" * 64, "size_bytes": 1}, "job", target)


@pytest.mark.parametrize("name", ["\x1b[31m", " ", "a\tb", "x" * 1000, "\u202egpj"])
def test_names_that_cannot_be_shown_are_refused_here_already(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


def test_text_from_other_devices_cannot_take_over_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "ok\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202edlo\u2066"
    out = Output(as_json=False)
    out.result(None, evil, "two\nlines\tand a tab", "Grüße 👩‍🍳")
    out.note(evil)
    out.trouble(InvalidInput(evil, hint=evil))
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert not set(text) & set("\x1b\x07\r\x9b\u202e\u2066")
    assert "two\nlines\tand a tab\nGrüße 👩‍🍳\n" in said.out
    assert safe("\x1b[2J") == "\\u001b[2J"


@pytest.mark.parametrize(
    ("listen", "near", "bound"),
    [
        ("0.0.0.0", "127.0.0.1", "0.0.0.0:1"),
        ("*", "127.0.0.1", "*:1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7:1"),
        ("::", "[::1]", "[::]:1"),
        ("[::]", "[::1]", "[::]:1"),
        ("2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:1"),
        ("[2001:db8::7]", "[2001:db8::7]", "[2001:db8::7]:1"),
    ],
)
def test_ipv6_hosts_are_written_as_addresses_want_them(listen: str, near: str, bound: str) -> None:
    assert near_host(listen) == near
    assert join_address(listen, 1) == bound


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("0.0.0.0:7437", "0.0.0.0", 7437),
        ("*:1", "*", 1),
        ("desk.local:80", "desk.local", 80),
        ("[::]:7437", "[::]", 7437),
        (":::7437", "::", 7437),
        ("[fe80::1%eth0]:7437", "[fe80::1%eth0]", 7437),
    ],
)
def test_an_address_to_listen_at_is_host_and_port(address: str, host: str, port: int) -> None:
    assert listening(address) == (host, port)


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:7437", "7437", ":7437", "a b:7437", "host:", "host:0", "host:65535", "a/b:1"]
)
def test_what_is_no_address_to_listen_at_is_refused_as_that(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        listening(address)
    assert caught.value.field == "listen"
    assert address in caught.value.message
