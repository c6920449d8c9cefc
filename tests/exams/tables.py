"""The results as Markdown, and put between the markers of the pages that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.exams.understanding import SETS, asked, english, totals

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "explanation"
PAGES: Final = {"understanding": DOCS / "understanding.md", "medulla": DOCS / "medulla-exam.md"}
BEGIN: Final = "<!-- exam: {name}, written by `just exams` -->"
END: Final = "<!-- end of exam -->"
_NAMES: Final = {"flat": "flat", "farmhouse": "farmhouse", "care_room": "room in a care home",
                 "german_flat": "flat, in German", "loft": "loft with odd names", "orchard": "orchard farm",
                 "bungalow": "bungalow with care devices", "manor": "big house with duplicates",
                 "german_second": "flat, in German, anew", "terrace": "terraced house, British",
                 "ranch": "ranch house, American", "narrowboat": "narrowboat",
                 "condo": "condominium, brand names", "plain": "plain house, one name in many rooms",
                 "vicarage": "vicarage", "villa": "villa, numbered things", "share": "student house share",
                 "annex": "granny annexe", "cottage": "cottage"}  # fmt: skip
_KINDS: Final = {"command": "commands", "question": "questions", "leave": "to be left alone"}


def percent(part: int, whole: int) -> str:
    """`12.5 %`; of nothing, a dash."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def understanding(result: dict[str, Any]) -> str:
    """The tables of the understanding exam."""
    old, new, scope, late = (result[key] for key in ("regression", "unseen", "out_of_scope", "latency"))
    parts = [_targets(result)]
    for name, homes in reversed(list(SETS.items())):
        parts += [f"### Our own sentences, {name} set", _unseen(new, homes), "By what makes them hard:",
                  _classes(new["classes"][name])]  # fmt: skip
    rows = [[name, one["total"], one["acted"], percent(one["acted"], one["total"])]
            for name, one in scope["sets"].items()]  # fmt: skip
    parts += ["### Sentences after which nothing may happen",
              table(["set", "sentences", "acted upon", "rate"], rows)]  # fmt: skip
    if result.get("slurp"):
        parts += ["### What SLURP's people said to their homes", *_slurp(result["slurp"])]
    parts += ["### The official sentences, by intent",
              table(["intent", "sentences", "right"], [[key, *one] for key, one in old["by"].items()])]  # fmt: skip
    parts += [f"Latency of one sentence with {late['entities']} entities, over {late['sentences']} sentences: "
              f"median {late['p50_ms']} ms, 95th percentile {late['p95_ms']} ms."]  # fmt: skip
    return "\n\n".join(parts)


def _targets(result: dict[str, Any]) -> str:
    old, new, late = result["regression"], result["unseen"], result["latency"]
    lines = []
    for name, homes in reversed(list(SETS.items())):
        commands = totals(new, "command", english(homes))
        kinds = [totals(new, kind, homes) for kind in ("command", "leave")]
        wrong, shown = sum(one["wrong"] for one in kinds), sum(map(asked, kinds))
        lines += [
            [f"right change, English, {name} set", "at least 75 %", percent(commands["right"], asked(commands)),
             asked(commands)],
            [f"wrong change, all sentences, {name} set", "at most 1 %", percent(wrong, shown), shown],
        ]  # fmt: skip
    acted = sum(one["acted"] for one in result["out_of_scope"]["sets"].values())
    scope = sum(one["total"] for one in result["out_of_scope"]["sets"].values())
    rows = [
        ["the official English sentences", "100 %", percent(old["right"], old["total"]), old["total"]],
        *lines,
        ["out of scope, acted upon", "at most 0.5 %", percent(acted, scope), scope],
        ["median latency with 100 entities", "at most 10 ms", f"{late['p50_ms']} ms", late["sentences"]],
    ]  # fmt: skip
    return table(["what", "target", "seen", "sentences"], rows)


def _unseen(new: dict[str, Any], homes: Sequence[str]) -> str:
    rows = []
    for name in homes:
        for kind, label in _KINDS.items():
            one = totals(new, kind, [name])
            whole = asked(one)
            rows.append([_NAMES[name], label, whole, one["right"], one["wrong"], one["abstained"], one["withheld"],
                         percent(one["right"], whole), percent(one["wrong"], whole)])  # fmt: skip
    return table(
        [
            "home",
            "kind",
            "sentences",
            "right",
            "wrong",
            "abstained",
            "of these withheld by Medulla",
            "right",
            "wrong",
        ],
        rows,
    )


def _classes(classes: Mapping[str, Any]) -> str:
    rows = [[name, *(one.get(key, 0) for key in ("right", "wrong", "abstained"))]
            for name, one in sorted(classes.items())]  # fmt: skip
    return table(["class", "right", "wrong", "abstained"], rows)


def _slurp(result: Mapping[str, Any]) -> list[str]:
    rows = [[name, *(one.get(key, 0) for key in ("right", "other", "abstained"))]
            for name, one in result["by"].items()]  # fmt: skip
    seen, found = result["entities"].get("entities", 0), result["entities"].get("found", 0)
    return [
        table(["SLURP's intent", "the same intent", "another", "abstained"], rows),
        f"Of {seen} entities (places, colours, devices, amounts) in the sentences with the same intent, {found} were "
        "found in its slots.",
    ]


def medulla(result: Mapping[str, Any]) -> str:
    """The tables of the Medulla exam."""
    head = []
    for label, good, bad in (
        ("", "benign", "mutated"),
        (", second set", "benign_held_out", "mutated_held_out"),
        (", third set", "benign_third", "mutated_third"),
        (", fourth set", "benign_fourth", "mutated_fourth"),
    ):
        asked, seen = result[good], result[bad]
        head += [
            [f"mutations that were allowed{label}", "0", f"{seen['missed']} of {seen['total']}"],
            [f"needless questions on benign plans{label}", "at most 15 %",
             f"{asked['questions']} of {asked['total']} ({percent(asked['questions'], asked['total'])})"],
        ]  # fmt: skip
    good, bad, late = result["benign"], result["mutated"], result["mutated_held_out"]
    sets = (bad, late, result["mutated_third"], result["mutated_fourth"])
    keys = ("allow", "ask", "deny")
    names = sorted({name for one in sets for name in one["mutations"]})
    mutations = [[name, *(one["mutations"].get(name, {}).get(key, 0) for one in sets for key in keys)]
                 for name in names]  # fmt: skip
    kinds = [
        [name, *(one.get(key, 0) for key in keys), *(bad["kinds"].get(name, {}).get(key, 0) for key in keys)]
        for name, one in good["kinds"].items()
    ]
    return "\n\n".join([
        table(["what", "target", "seen"], head),
        "By mutation (a mutation of two plans counts with the stricter verdict):",
        table(["mutation", "missed", "asked", "denied", "second set: missed", "asked", "denied",
               "third set: missed", "asked", "denied", "fourth set: missed", "asked", "denied"], mutations),
        "By kind of plan, first set:",
        table(["kind", "benign: allowed", "asked", "denied", "mutated: missed", "asked", "denied"], kinds),
        f"Judging one benign plan took {good['p50_ms']} ms at the median, {good['p95_ms']} ms at the 95th percentile.",
    ])  # fmt: skip


def write(name: str, text: str) -> Path:
    """Put the tables of an exam into its page.

    Raises:
        ValueError: the page has no markers.
    """
    page = PAGES[name]
    begin = BEGIN.format(name=name)
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{page.name} has no place for the tables of {name}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    return page


__all__ = ["medulla", "percent", "table", "understanding", "write"]
