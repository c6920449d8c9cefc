"""The command line's small parts: arguments by declared type, exit codes, tables, ages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.bench.statistics import Sample, percentile, row
from kindmesh.coordinator.cli import output
from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.coordinator.cli.ask_mesh import Wish, run_ask
from kindmesh.coordinator.cli.call_commands import value_lines
from kindmesh.coordinator.params import Params
from kindmesh.protocol import errors as e

FIELDS: dict[str, dict[str, Any]] = {
    "text": {"type": "text"},
    "rate": {"type": "integer"},
    "share": {"type": "number"},
    "loud": {"type": "boolean"},
    "raw": {"type": "bytes"},
    "words": {"type": "list"},
    "more": {"type": "object"},
    "image": {"type": "artifact"},
}


def parsed(*words: str) -> dict[str, Any]:
    return parse_arguments(words, FIELDS, lambda path: {"artifact": "a" * 64, "path": str(path)})


def test_words_become_values_of_the_declared_type() -> None:
    assert parsed(
        "text=a=b", "rate=-3", "share=0.5", "loud=yes", "raw=hi", "words=a, b", 'more={"x": [1]}'
    ) == {
        "text": "a=b",
        "rate": -3,
        "share": 0.5,
        "loud": True,
        "raw": b"hi",
        "words": ["a", "b"],
        "more": {"x": [1]},
    }
    assert parsed("image=" + "0" * 64) == {"image": {"artifact": "0" * 64}}
    assert parsed("image=letter.jpg")["image"]["path"] == "letter.jpg"
    assert parsed("unknown=1") == {"unknown": "1"}


def test_text_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("Grüße")
    assert parsed(f"text=@{path}") == {"text": "Grüße"}
    with pytest.raises(e.InvalidInput) as caught:
        parsed("text=@nowhere.txt")
    assert caught.value.field == "text"


@pytest.mark.parametrize(
    "word", ["rate=fast", "share=half", "loud=maybe", "more={", "words=[1", "nothing", "rate=1.5"]
)
def test_what_does_not_fit_is_refused_by_name(word: str) -> None:
    with pytest.raises(e.InvalidInput) as caught:
        parsed(word)
    assert caught.value.field == word.partition("=")[0]


def test_a_value_given_twice_is_refused() -> None:
    with pytest.raises(e.InvalidInput):
        parsed("text=a", "text=b")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (e.InvalidInput(), 2),
        (e.UnknownOperation(), 2),
        (e.NotRunning(), 3),
        (e.PeerUnreachable(), 3),
        (e.Denied(), 4),
        (e.BadSignature(), 4),
        (e.Uncertain(), 5),
        (e.Busy(), 6),
        (e.BackPressure(), 6),
        (e.CapabilityCrashed(), 1),
    ],
)
def test_each_kind_of_trouble_has_its_exit_code(error: e.KindmeshError, code: int) -> None:
    assert output.exit_code(error) == code


def test_json_output_is_one_object_with_bytes_as_hexadecimal(capsys: pytest.CaptureFixture[str]) -> None:
    output.Output(True).result({"a": b"\x01\xff", "b": [(1, b"\x02")]}, "for people")
    said = capsys.readouterr()
    assert json.loads(said.out) == {"a": "01ff", "b": [[1, "02"]]}
    assert said.err == ""


def test_trouble_is_a_sentence_with_a_hint_or_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    error = e.InvalidInput("rate is above 450", field="rate", hint="Slower, please.")
    assert output.Output(False).trouble(error) == 2
    assert capsys.readouterr().err == "Rate is above 450.\nSlower, please.\n"
    output.Output(True).trouble(error)
    assert json.loads(capsys.readouterr().out)["error"]["field"] == "rate"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (None, "never"),
        (0, "now"),
        (12_000, "12 s"),
        (180_000, "3 min"),
        (7_200_000, "2 h"),
        (5 * 86_400_000, "5 days"),
    ],
)
def test_ages_are_said_in_words(milliseconds: int | None, words: str) -> None:
    assert output.age(milliseconds) == words


def test_tables_line_up() -> None:
    assert output.table(["A", "LONG"], [["xyz", "1"], ["q", "22"]]) == ["A    LONG", "xyz  1", "q    22"]


def test_long_results_are_shown_short() -> None:
    lines = value_lines(
        {"text": "x" * 70, "boxes": list(range(9)), "audio": {"artifact": "f" * 64, "size_bytes": 5}, "n": 1}
    )
    assert lines == [
        "text:",
        "  " + "x" * 70,
        "boxes: 9 items (all of them with --json)",
        f"audio: {'f' * 64} (5 bytes)",
        "n: 1",
    ]


def test_parameters_are_read_by_name_and_type() -> None:
    params = Params({"a": "x", "n": 5, "f": True, "b": b"1", "m": {"k": 1}, "l": [{"a": "y"}]})
    assert (params.text("a"), params.number("n"), params.flag("f"), params.data("b")) == ("x", 5, True, b"1")
    assert params.mapping("m") == {"k": 1}
    assert [item.text("a") for item in params.items("l")] == ["y"]
    assert params.choice("a", ("x", "y"), "y") == "x"
    for read in (
        lambda: params.text("n"),
        lambda: params.number("f"),
        lambda: params.number("n", most=4),
        lambda: params.text("missing"),
        lambda: params.choice("a", ("p",), "p"),
        lambda: Params([1]),
        lambda: Params({"l": [1]}).items("l"),
    ):
        with pytest.raises(e.InvalidInput):
            read()


def test_percentiles_are_by_nearest_rank_and_ratios_to_the_base() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([3.0], 0.99) == 3.0
    base, ours = Sample("floor"), Sample("ours")
    base.add([0.001] * 10, 0.01, 0.01)
    ours.add([0.002] * 10, 0.04, 0.03)
    found = row(ours, base, payload=100, inflight=1, nodes=1)
    assert (found["ratio_p50"], found["ratio_per_s"], found["cpu_us"]) == (2.0, 0.25, 3000.0)


@pytest.mark.parametrize("words", [("",), ("  ",), ("", " ")])
def test_a_sentence_of_nothing_is_refused_with_a_hint_before_a_mesh_is_looked_for(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDMESH_HOME", str(tmp_path / "none"))
    with pytest.raises(e.InvalidInput, match="nothing to understand") as caught:
        run_ask(output.Output(as_json=False), Wish(words), act=True)
    assert caught.value.field == "text"
    assert "what can you do" in caught.value.hint
