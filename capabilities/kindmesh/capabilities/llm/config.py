"""`llm.yaml` of a device that hosts language models: who provides them, what they cost, and what they may be given.

    providers:                              models:
      here: {kind: ollama}                    small: {provider: here, name: "qwen3:8b", context: 32768}
      far:  {kind: openai, url: https://..}   big:   {provider: far, name: ..., price_in: 2.5, price_out: 10}
    second: other          # a model that reviews what the others plan; never plans itself
    outside: [text]        # classes of data that may go to models outside the house; none unless said
    budget: {currency: EUR, month: 5, day: 1, run: 0.2}

Never in it: a key. `key` says where it is, `env:NAME` or `keyring:NAME`. Every mistake is a `ConfigError` that names
the field and never repeats what stands there, since it could be a key after all. A provider is *local* when its
address is evidently in the house (this machine, a private address, `.local`, `.lan`, `.home.arpa`) or the file says
so; models that Ollama runs elsewhere (`...-cloud`) are not. Whatever is not local has prices, and needs https.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from kindmesh.capabilities.llm.manifest import TASKS
from kindmesh.capabilities.llm.scripted import ScriptedAnswer
from kindmesh.mesh.files import read_private
from kindmesh.protocol.errors import ConfigError, InvalidInput, StoreError
from kindmesh.protocol.manifest import DATA_CLASSES

FILE: Final = "llm.yaml"
FILE_MAX: Final = 262_144
NANOS: Final = 1_000_000_000
"""Parts of one unit of the currency that money is counted in."""

Kind = Literal["openai", "ollama", "anthropic", "scripted"]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Money = Annotated[float, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=280)]

_URLS: Final[dict[Kind, str]] = {
    "openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com", "ollama": "http://127.0.0.1:11434",
    "scripted": "",
}  # fmt: skip
_KEYS: Final[dict[Kind, str]] = {
    "openai": "env:OPENAI_API_KEY", "anthropic": "env:ANTHROPIC_API_KEY", "ollama": "", "scripted": "",
}  # fmt: skip
_KEY: Final = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]{0,127}|keyring:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|none)")
_AT_HOME: Final = (".local", ".lan", ".home.arpa", ".internal")
_MASKED: Final = re.compile(r"'[^']*'")


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who answers. `url` and `key` have defaults by `kind`; `local` unsaid: as the address shows. `answers` are the
    script of a `scripted` one."""

    kind: Kind
    url: str = ""
    key: str = ""
    local: bool | None = None
    answers: tuple[ScriptedAnswer, ...] = ()

    @property
    def address(self) -> str:
        """Where it is."""
        return (self.url or _URLS[self.kind]).rstrip("/")

    @property
    def key_at(self) -> str:
        """Where its key is, `env:NAME` or `keyring:NAME`; empty: it needs none."""
        if self.key:
            return "" if self.key == "none" else self.key
        return "" if self.url and self.kind == "openai" else _KEYS[self.kind]

    @property
    def at_home(self) -> bool:
        """Whether what it is told stays in the house."""
        if self.local is not None:
            return self.local
        return self.kind == "scripted" or is_at_home(self.address)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model: `name` as its provider calls it, `context` tokens in and out together, prices per million tokens,
    `tasks` it is for (empty: all), `tools`: whether it can call tools; `temperature`: whether it lets
    anybody choose one."""

    provider: Name
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    context: Annotated[int, Meta(ge=256, le=16_777_216)] = 8_192
    price_in: Money | None = None
    price_out: Money | None = None
    tasks: tuple[str, ...] = ()
    tools: bool = True
    temperature: bool = True


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may be spent, in `currency`: in a calendar month, a day (both UTC), and for one run. Unsaid: nothing in a
    month; a day as much as the month; a run as much as the day."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "EUR"
    month: Money = 0.0
    day: Money | None = None
    run: Money | None = None


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Seconds: to connect, until the first word, between two words, and altogether."""

    connect_s: Seconds = 5.0
    first_s: Seconds = 60.0
    silence_s: Seconds = 30.0
    total_s: Seconds = 240.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """See the module. `order` has models by task, the first choice first; unsaid: those at home, then by price.
    `second` is asked for the task `judge` and for nothing else."""

    providers: dict[Name, Provider] = {}
    models: dict[Name, Entry] = {}
    order: dict[str, tuple[str, ...]] = {}
    second: str = ""
    outside: tuple[str, ...] = ()
    outside_for_named_readers: bool = False
    budget: Budget = Budget()
    timeouts: Timeouts = Timeouts()

    def local(self, model: str) -> bool:
        """Whether what this model is told stays in the house."""
        entry = self.models[model]
        provider = self.providers[entry.provider]
        return provider.at_home and not (provider.kind == "ollama" and entry.name.endswith("-cloud"))

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> int:
        """What so many tokens cost, in nanos of the currency, rounded up."""
        entry = self.models[model]
        return -int(-(tokens_in * _nanos(entry.price_in) + tokens_out * _nanos(entry.price_out)) // 1_000_000)


def _nanos(price: float | None) -> int:
    return round((price or 0.0) * NANOS)


def is_at_home(url: str) -> bool:
    """Whether an address is evidently on this machine or in the house's own network."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(_AT_HOME)
    return address.is_loopback or address.is_private or address.is_link_local


def load(folder: Path) -> Settings:
    """The settings in `folder/llm.yaml`.

    Raises:
        ConfigError: there is no such file, or it is wrong: which field, and what to write.
    """
    path = folder / FILE
    if not path.exists():
        raise ConfigError("no language model is set up on this device", hint="kindmesh llm add sets one up.")
    try:
        text = read_private(path, limit=FILE_MAX, secret=False).decode()
    except (StoreError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read: {type(error).__name__}", field=FILE) from error
    return from_text(text)


def from_text(text: str) -> Settings:
    """The settings that YAML text stands for.

    Raises:
        ConfigError: as `load`.
    """
    from kindmesh.mesh.yaml_text import from_yaml  # noqa: PLC0415 - only where there is such a file

    try:
        document = from_yaml(text, FILE)
    except InvalidInput as error:
        where = error.message.partition(":")[0]
        raise ConfigError(
            where, field=FILE, hint="docs/how-to/use-a-language-model.md has an example."
        ) from None
    return from_document({} if document is None else document)


def from_document(document: Any) -> Settings:
    """The settings that plain data stand for.

    Raises:
        ConfigError: as `load`.
    """
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        named = path.rstrip("`").lstrip(".") or FILE
        raise ConfigError(f"{FILE}: {_MASKED.sub('...', said)[:200]}", field=named[:80]) from None
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for name, provider in settings.providers.items():
        _check_provider(provider, f"providers.{name}")
    for name, entry in settings.models.items():
        where = f"models.{name}"
        if entry.provider not in settings.providers:
            raise _wrong("there is no such provider", f"{where}.provider", _known(settings.providers))
        _check_words(entry.tasks, TASKS, f"{where}.tasks")
        if not settings.local(name) and (entry.price_in is None or entry.price_out is None):
            raise _wrong(
                "it is outside the house, and what it costs is not said", f"{where}.price_in",
                "Write price_in and price_out, per million tokens; 0 where it is free.",
            )  # fmt: skip
    _check_words(tuple(settings.order), TASKS, "order")
    for task, names in settings.order.items():
        _check_words(names, tuple(settings.models), f"order.{task}")
    if settings.second:
        _check_second(settings)
    _check_words(settings.outside, ("*", *DATA_CLASSES), "outside")


def _check_second(settings: Settings) -> None:
    """A second reviewer is another model than those that plan, in the house."""
    name = settings.second
    _check_words((name,), tuple(settings.models), "second")
    entry = settings.models[name]
    if not settings.local(name):
        raise _wrong("a second reviewer is in the house", "second", "Name a model of this household.")
    if entry.tasks and "judge" not in entry.tasks:
        raise _wrong("it is not for the task judge", f"models.{name}.tasks", "Add judge, or leave tasks out.")
    if "judge" in settings.order:
        raise _wrong("second says who judges", "order.judge", "Take one of the two away.")
    for task, names in settings.order.items():
        if name in names:
            raise _wrong(
                "it reviews what others plan, so it does nothing else",
                f"order.{task}",
                f"Take {name} away there.",
            )
    same = [other for other, one in settings.models.items() if other != name and one.name == entry.name]
    if same:
        raise _wrong(f"it is the same model as {same[0]}, which plans", "second", "Name a different model.")


def _check_provider(provider: Provider, where: str) -> None:
    if provider.key and not _KEY.fullmatch(provider.key):
        raise _wrong(
            "a key does not belong into this file", f"{where}.key",
            "Write env:NAME or keyring:NAME; kindmesh llm key NAME puts one into the keyring.",
        )  # fmt: skip
    if (provider.kind == "scripted") != bool(provider.answers):
        raise _wrong("a scripted provider, and only that, has answers", f"{where}.answers")
    if provider.kind == "scripted":
        return
    try:
        parts = urlsplit(provider.address)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        raise _wrong("this is no address", f"{where}.url", "Like http://127.0.0.1:8080/v1.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_good:
        raise _wrong("this is no address", f"{where}.url", "Like http://127.0.0.1:8080/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _wrong("an address has no user, password or query here", f"{where}.url", "Use key: env:NAME.")
    if provider.local and not is_at_home(provider.address) and _is_public(parts.hostname):
        raise _wrong("that address is not in the house", f"{where}.local", "Take local: true away.")
    if parts.scheme == "http" and not provider.at_home:
        raise _wrong("what goes outside the house is encrypted", f"{where}.url", "Use https.")


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _check_words(words: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    for word in words:
        if word not in known:
            raise _wrong("that is not known here", where, f"Of these: {', '.join(known)[:300] or 'none'}.")


def _known(names: dict[str, Any]) -> str:
    return f"There are: {', '.join(sorted(names))[:300] or 'none'}."


def _wrong(message: str, field: str, hint: str = "") -> ConfigError:
    return ConfigError(f"{FILE}: {field}: {message}", field=field[:80], hint=hint)


__all__ = [
    "FILE", "NANOS", "Budget", "Entry", "Kind", "Provider", "Settings", "Timeouts", "from_document", "from_text",
    "is_at_home", "load",
]  # fmt: skip
