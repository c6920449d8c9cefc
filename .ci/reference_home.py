"""The page docs/reference/home.md: `reference_home.txt`, and the services per domain out of their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kindmesh.capabilities.home import inventory
from kindmesh.capabilities.home.home_store import HISTORY_DAYS, HISTORY_MAX
from kindmesh.capabilities.home.services import READ_ONLY, SERVICES
from kindmesh.protocol.manifest import Field

TEXT = Path(__file__).with_suffix(".txt").read_text()


def said(field: Field) -> str:
    """A service's value in a cell."""
    title = f" ({field.title})" if field.title else ""
    return f"`{field.name}`{'' if field.required else '?'}{title}"


def page(table: Callable[[tuple[str, ...], Iterable[Sequence[str]]], str]) -> str:
    """The page; `table` makes a Markdown table."""
    rows = [
        (
            f"`{service.name}`{'' if service.idempotent else ' +'}",
            service.title,
            ", ".join(said(field) for field in service.fields),
        )
        for service in sorted(SERVICES.values(), key=lambda one: one.name)
    ]
    text = TEXT.format(
        entities=inventory.ENTITIES_MAX,
        areas=inventory.AREAS_MAX,
        floors=inventory.FLOORS_MAX,
        bytes=inventory.INVENTORY_MAX,
        history=HISTORY_MAX,
        days=HISTORY_DAYS,
        kinds=", ".join(f"`{kind}`" for kind in sorted(READ_ONLY)),
    )
    return text + table(("service", "what it does", "data (? may be missing)"), rows)
