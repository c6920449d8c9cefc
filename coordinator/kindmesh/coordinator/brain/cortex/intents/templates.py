"""Templates of the official responses, rendered in a sandbox (the only module that imports `jinja2`).

The templates come with `home-assistant-intents`; they speak of `slots`, `state`, `query` and `state_attr(...)`.
Compiled once each; jinja2 is loaded when the first answer is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from kindmesh.protocol.errors import ConfigError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATE_MAX: Final = 20_000
"""Characters of a template."""


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - an extra: loaded when first needed
    except ImportError as error:
        raise ConfigError("jinja2 is not installed", hint="pip install 'kindmesh[brain]'") from error
    return ImmutableSandboxedEnvironment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])


@lru_cache(maxsize=512)
def _template(text: str) -> Template:
    return _environment().from_string(text[:TEMPLATE_MAX])


def render(text: str, context: Mapping[str, Any]) -> str:
    """The template's text in one line."""
    return " ".join(_template(text).render(dict(context)).split())


__all__ = ["render"]
