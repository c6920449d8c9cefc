"""The documents hold together: every relative link and every heading it names exists, and nothing is an orphan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("protocol", "mesh", "capabilities", "node", "coordinator", "firmware", "hil", "tests", "docs")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def documents() -> list[str]:
    """Every Markdown file of the repository."""
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def anchors(path: Path) -> set[str]:
    headings = re.findall(
        r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(name: str) -> list[tuple[Path, str]]:
    """(file, anchor) of every link to something in the repository."""
    text = CODE.sub("", (ROOT / name).read_text())
    found = []
    for target in LINK.findall(text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            found.append(((ROOT / name).parent / file if file else ROOT / name, anchor))
    return found


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name: str) -> None:
    for path, anchor in links(name):
        assert path.exists(), f"{name} links to {path.relative_to(ROOT) if path.is_absolute() else path}"
        assert not anchor or anchor in anchors(path), f"{name} links to #{anchor} of {path.name}"


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [path for path, _ in links(page.relative_to(ROOT).as_posix())]
    assert [name for name in documents() if (ROOT / name).resolve() not in reached] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_that_a_readme_names_exist(folder: str) -> None:
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / folder / "README.md").read_text())
    assert [
        name for name in named if not any((ROOT / folder).rglob(name)) and not (ROOT / name).is_file()
    ] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_top_level_folder_says_what_lives_there(folder: str) -> None:
    assert (ROOT / folder / "README.md").is_file()


def test_every_decision_has_a_number_of_its_own_without_a_gap_and_a_line_in_the_list() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    listed = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert [name for name in names if f"| [{name[:4]}]({name}) |" not in listed] == []
