"""`llm list | add | key | test | budget`: this device's `llm.yaml`, and what was spent.

They work on this device's own folder and need no coordinator. `llm test` asks the provider itself: while a node runs
here, the node alone writes the ledger, so a model with a price is then tested by asking for it through the mesh.
"""

from __future__ import annotations

import asyncio
import getpass
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.capabilities.llm.budget import FILE as BUDGET_FILE
from kindmesh.capabilities.llm.budget import SCHEMA, BudgetKeeper, Standing, money, read_ledger, standing_of
from kindmesh.capabilities.llm.clients import make_client
from kindmesh.capabilities.llm.config import FILE, NANOS, Settings, from_document, load
from kindmesh.capabilities.llm.engine import Engine
from kindmesh.capabilities.llm.handlers import described
from kindmesh.capabilities.llm.keys import KEY_MAX, find_key
from kindmesh.capabilities.llm.ledger_machine import Ledger
from kindmesh.capabilities.llm.model import Ask, Message, NotCharged
from kindmesh.capabilities.llm.routing import Wish
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output
from kindmesh.mesh import key_keyring
from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.files import private_folder, write_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.store import Store
from kindmesh.protocol.errors import ConfigError, HomeInUse, InvalidInput, KindmeshError

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_QUESTION: Final = Ask((Message("user", "Answer with the one word: ready"),), max_tokens=256)
_BY_MESH: Final = (
    "Ask for it through the mesh: kindmesh call llm.chat_outside model={name}"
    """ messages='[{{"role": "user", "text": "hello"}}]' data_classes='["text"]'"""
)
_MICROS: Final = NANOS // 1_000_000


def run_llm_list(out: Output) -> int:
    """The models as `llm.yaml` has them."""
    settings = load(Home.locate().node)
    models = described(settings, {})
    for model in models:
        model["key"] = _key_state(settings.providers[model["provider"]].key_at)
    currency = settings.budget.currency
    lines = [_model_line(model, currency) for model in models] or ["There are providers, and no models."]
    if any(not model["local"] for model in models):
        allowed = ", ".join(settings.outside) or "nothing"
        lines.append(f"May be told to models outside the house: {allowed}.")
    out.result({"ok": True, "models": models, "outside": settings.outside, "currency": currency}, *lines)
    return EXIT_DONE


def _model_line(model: dict[str, Any], currency: str) -> str:
    where = "in the house" if model["local"] else "outside the house"
    price = ""
    if model["price_in"] or model["price_out"]:
        price = f", {model['price_in']:g}/{model['price_out']:g} {currency} per million tokens in/out"
    key = f", its key is {model['key']}" if model["key"] else ""
    return f"{model['name']}: {model['called']} by {model['provider']}, {where}, context {model['context']}{price}{key}"


def _key_state(where: str) -> str:
    """Whether a key is there; the keyring is not asked, since that may ask the person."""
    if not where.startswith("env:"):
        return "in the keyring" if where else ""
    try:
        find_key(where)
    except NotCharged:
        return f"missing ({where})"
    return "there"


def run_llm_add(out: Output, name: str, provider: dict[str, Any], entry: dict[str, Any]) -> int:
    """Write a model, and its provider, into `llm.yaml`."""
    from kindmesh.mesh.yaml_text import to_yaml

    if not NAME.fullmatch(name):
        raise InvalidInput("a name is letters, digits, _ . and -", field="name", hint="Such as small.")
    folder = Home.locate().node
    document = _document(folder)
    wanted = {field: value for field, value in provider.items() if value}
    providers = document.setdefault("providers", {})
    models = document.setdefault("models", {})
    known = next((key for key, one in providers.items() if one == wanted), "")
    if not known:
        taken = {one["provider"] for key, one in models.items() if key != name}
        known = wanted["kind"] if wanted["kind"] not in taken | set(providers) else name
        providers[known] = wanted
    models[name] = {
        "provider": known,
        **{field: value for field, value in entry.items() if value is not None},
    }
    settings = from_document(document)
    private_folder(folder)
    path = folder / FILE
    if path.exists():
        write_private(path.with_name(f"{FILE}.before"), path.read_bytes())
    write_private(path, to_yaml(document).encode())
    kept = f" What was there before is in {FILE}.before, with its comments." if _has_comments(folder) else ""
    where = "in the house" if settings.local(name) else "outside the house"
    hints = [f"Added {name}, {where}.{kept}", f"Try it: kindmesh llm test {name}"]
    if settings.cost(name, 1_000_000, 1_000_000) and not settings.budget.month:
        hints.append(f"It costs money, and nothing may be spent yet: set budget: month in {path}.")
    hints.append("A node that runs here offers it after it was started again, if it is the first model.")
    out.result({"ok": True, "model": name, "local": settings.local(name), "file": str(path)}, *hints)
    return EXIT_DONE


def _document(folder: Path) -> dict[str, Any]:
    """The file as plain data, checked; empty where there is none."""
    from kindmesh.mesh.yaml_text import from_yaml

    if not (folder / FILE).exists():
        return {}
    load(folder)
    document: dict[str, Any] = from_yaml((folder / FILE).read_text(), FILE) or {}
    return document


def _has_comments(folder: Path) -> bool:
    before = folder / f"{FILE}.before"
    return before.exists() and any(line.lstrip().startswith("#") for line in before.read_text().splitlines())


def run_llm_key(out: Output, name: str) -> int:
    """Put a key into the keyring."""
    if not NAME.fullmatch(name):
        raise InvalidInput("a name is letters, digits, _ . and -", field="name", hint="Such as openai.")
    text = getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline()
    key = text.strip()
    if not key or len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
        raise InvalidInput("that is no key", field="key", hint="One line of plain characters.")
    key_keyring.put_text(name, key)
    out.result({"ok": True, "name": name}, f"Kept. Write key: keyring:{name} in {FILE}.")
    return EXIT_DONE


def run_llm_test(out: Output, name: str) -> int:
    """Ask one model, or each, for a word."""
    home = Home.locate()
    settings = load(home.node)
    if name and name not in settings.models:
        known = ", ".join(settings.models) or "none"
        raise InvalidInput(f"there is no model called {name[:40]}", field="name", hint=f"There are: {known}.")
    with _ledger(home, settings) as budget:
        results = asyncio.run(_test_all(out, settings, budget, [name] if name else list(settings.models)))
    good = all(result["ok"] for result in results)
    out.result({"ok": good, "models": results}, *[_test_line(result, settings) for result in results])
    return EXIT_DONE if good else EXIT_FAILED


@contextmanager
def _ledger(home: Home, settings: Settings) -> Iterator[BudgetKeeper | None]:
    """The ledger, when something has a price and no node writes it."""
    if not any(settings.cost(name, 1, 1) for name in settings.models):
        yield None
        return
    try:
        lock = home.lock("node")
    except HomeInUse:
        yield None
        return
    with lock:
        keeper = BudgetKeeper.open(home.data / "llm")
        try:
            yield keeper
        finally:
            keeper.close()


async def _test_all(
    out: Output, settings: Settings, budget: BudgetKeeper | None, names: list[str]
) -> list[dict[str, Any]]:
    # What is sent is our own sentence, so it may go to each of them.
    engine = Engine(msgspec.structs.replace(settings, outside=("*",)), make_client, budget, SystemClock())
    try:
        return [await _test_one(out, engine, name, running=budget is None) for name in names]
    finally:
        await engine.close()


async def _test_one(out: Output, engine: Engine, name: str, *, running: bool) -> dict[str, Any]:
    out.progress(f"asking {name}")
    begun, first = time.monotonic(), 0.0

    async def heard(text: str) -> None:
        nonlocal first
        first = first or time.monotonic()

    if running and engine.settings.cost(name, 1, 1):
        error: KindmeshError = ConfigError(
            "it has a price, and the node that runs here keeps the ledger", hint=_BY_MESH.format(name=name)
        )
        return _trouble(name, error)
    try:
        replied = await engine.ask(Wish("chat", 0, 0, True, name), _QUESTION, heard)
    except KindmeshError as failure:
        return _trouble(name, failure)
    done = time.monotonic()
    return {
        "model": name, "ok": True, "text": replied.answer.text[:200], "first_ms": int(((first or done) - begun) * 1000),
        "ms": int((done - begun) * 1000), "usage": msgspec.to_builtins(replied.answer.usage),
        "cost_micros": replied.cost_micros,
    }  # fmt: skip


def _trouble(name: str, error: KindmeshError) -> dict[str, Any]:
    return {"model": name, "ok": False, "code": error.code, "message": error.message, "hint": error.hint}


def _test_line(result: dict[str, Any], settings: Settings) -> str:
    if not result["ok"]:
        return f"{result['model']}: {result['message']}. {result['hint']}".strip()
    cost = (
        f", {money(result['cost_micros'] * _MICROS, settings.budget.currency)}"
        if result["cost_micros"]
        else ""
    )
    said = " ".join(result["text"].split())[:60]
    return f'{result["model"]}: "{said}" after {result["first_ms"]} ms, all in {result["ms"]} ms{cost}'


def run_llm_budget(out: Output) -> int:
    """How the budget stands."""
    home = Home.locate()
    settings = load(home.node)
    path = home.data / "llm" / BUDGET_FILE
    ledger = Ledger()
    if path.exists():
        store = Store.open_readonly(path, SCHEMA)
        try:
            ledger = read_ledger(store)
        finally:
            store.close()
    standing = standing_of(ledger, settings.budget, SystemClock().now_ms())
    out.result({"ok": True, **_plain(standing)}, *_budget_lines(standing))
    return EXIT_DONE


def _plain(standing: Standing) -> dict[str, Any]:
    """Money in the currency itself, as programs expect it; the ledger counts finer."""
    found: dict[str, Any] = msgspec.to_builtins(standing)
    for name in ("month_spent", "month_limit", "day_spent", "day_limit", "run_limit", "open_nanos"):
        found[name] /= NANOS
    found["reserved"] = found.pop("open_nanos")
    found["by_model"] = {name: nanos / NANOS for name, nanos in standing.by_model.items()}
    return found


def _budget_lines(standing: Standing) -> list[str]:
    def said(nanos: int) -> str:
        return money(nanos, standing.currency)

    lines = [
        f"This month: {said(standing.month_spent)} of {said(standing.month_limit)} (UTC).",
        f"Today: {said(standing.day_spent)} of {said(standing.day_limit)}.",
        f"For one run: at most {said(standing.run_limit)}.",
    ]
    lines += [f"  {name}: {said(nanos)}" for name, nanos in sorted(standing.by_model.items())]
    if standing.open_charges:
        lines.append(
            f"{said(standing.open_nanos)} of it is reserved for {standing.open_charges} requests that are under way, "
            "or whose end was never heard of; it counts as spent."
        )
    if not standing.month_limit:
        lines.append("Nothing may be spent: budget: month in llm.yaml sets how much.")
    return lines


__all__ = ["run_llm_add", "run_llm_budget", "run_llm_key", "run_llm_list", "run_llm_test"]
