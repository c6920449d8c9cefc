"""Which models may be asked, in which order, and why the others not. Pure: settings and what is known come in as
values.

A model is passed over when it is not for the task, when it is outside the house and the request is not to leave it,
when the data or their readers do not allow that, when the request does not fit into its context, or when it failed
lately. *Default deny*: what is about a class of data that `outside` does not list, or may be known only to certain
readers, goes to no model outside. The order is the owner's (`order` of the settings), else those at home first, then
by price. What is asked for by name is asked alone, and the same rules hold for it, but that it failed lately: a
person may try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from kindmesh.capabilities.llm.config import Settings
from kindmesh.protocol.errors import EgressRefused, InvalidInput, KindmeshError, ModelUnavailable

_NEEDED: Final = 1_000


class Wish(msgspec.Struct, frozen=True):
    """A request, as far as it decides where it goes. `may_leave`: it was made by an operation that may leave the
    house;
    `tokens_in`: an upper estimate."""

    task: str
    tokens_in: int
    max_tokens: int
    may_leave: bool = False
    model: str = ""
    data_classes: tuple[str, ...] = ("other",)
    readers: tuple[str, ...] = ("*",)
    with_tools: bool = False


class PassedOver(msgspec.Struct, frozen=True):
    """A model that is not asked, or was in vain, and why in words. `at_home`: because the data stay in the house."""

    model: str
    reason: str
    at_home: bool = False


class Route(msgspec.Struct, frozen=True):
    """Models to ask, one after the other, and those that are not."""

    chain: tuple[str, ...]
    passed_over: tuple[PassedOver, ...] = ()


def route(wish: Wish, settings: Settings, failing: Mapping[str, str]) -> Route:
    """Where the request may go. `failing`: why a model should not be asked now, by its name.

    Raises:
        InvalidInput: there is no model of the name that was asked for.
    """
    if wish.model and wish.model not in settings.models:
        known = ", ".join(sorted(settings.models)) or "none"
        raise InvalidInput(
            f"there is no model called {wish.model[:40]!r} here",
            field="model",
            hint=f"There are: {known[:300]}.",
        )
    chain: list[str] = []
    passed: list[PassedOver] = []
    for name in (wish.model,) if wish.model else ordered(settings, wish.task):
        private = why_private(wish, settings) if not settings.local(name) and wish.may_leave else ""
        reason = private or _unfit(wish, settings, name) or ("" if wish.model else failing.get(name, ""))
        if reason:
            passed.append(PassedOver(name, reason, bool(private) or _stays(wish, settings, name)))
        else:
            chain.append(name)
    return Route(tuple(chain), tuple(passed))


def ordered(settings: Settings, task: str) -> tuple[str, ...]:
    """All models for a task, the first choice first; the second reviewer is for the task `judge` alone."""
    if settings.second and task == "judge":
        return (settings.second,)
    if task in settings.order:
        return settings.order[task]
    return tuple(
        sorted(
            (name for name in settings.models if name != settings.second),
            key=lambda name: (not settings.local(name), settings.cost(name, _NEEDED, _NEEDED)),
        )
    )


def why_private(wish: Wish, settings: Settings) -> str:
    """Why the request goes to no model outside the house; empty when it may."""
    if "*" not in wish.readers and not settings.outside_for_named_readers:
        return "only certain people may know this, so it stays in the house"
    if "*" in settings.outside:
        return ""
    if kept := [word for word in wish.data_classes if word not in settings.outside]:
        return f"what is about {', '.join(kept)[:80]} stays in the house"
    return "" if wish.data_classes else "nobody said what it is about, so it stays in the house"


def _stays(wish: Wish, settings: Settings, name: str) -> bool:
    return not wish.may_leave and not settings.local(name)


def _unfit(wish: Wish, settings: Settings, name: str) -> str:
    entry = settings.models[name]
    if not settings.local(name) and not wish.may_leave:
        return "it is outside the house, and this request stays in it"
    if entry.tasks and wish.task not in entry.tasks:
        return f"it is not for the task {wish.task}"
    if wish.with_tools and not entry.tools:
        return "it cannot call tools"
    if wish.tokens_in + wish.max_tokens > entry.context:
        return f"{wish.tokens_in} tokens and {wish.max_tokens} of answer do not fit into {entry.context}"
    return ""


def nobody(passed_over: tuple[PassedOver, ...]) -> KindmeshError:
    """The error to raise when no model answered."""
    if not passed_over:
        return ModelUnavailable(
            "no language model is set up on this device", hint="kindmesh llm add sets one up."
        )
    reasons = "; ".join(f"{one.model}: {one.reason}" for one in passed_over)[:400]
    kind = EgressRefused if all(one.at_home for one in passed_over) else ModelUnavailable
    return kind(f"no language model can take this ({reasons})")


__all__ = ["PassedOver", "Route", "Wish", "nobody", "ordered", "route", "why_private"]
