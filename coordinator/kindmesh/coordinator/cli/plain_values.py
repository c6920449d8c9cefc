"""Words of a command line that are text already, and options nobody gave, are taken as they are.

Typer hands every value to a validation library, which takes a third of the time of a short command to load. Text has
nothing to be made into, and neither has an option that was not given; whatever else was typed (numbers, paths, choices)
goes on to typer as ever, with its checks and its words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


class _AsItIs:
    """Stands before what would make a value of a parameter's type."""

    def __init__(self, param: Any) -> None:
        self._make = param.get_runtime_param
        self._type = param.type_descriptor.annotation
        self._plain = param.type_descriptor.parameter_info.parser is None
        self._several = param.multiple or param.nargs != 1

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value for the command; raises typer's own errors."""
        if self._plain and self._is_there(value, param):
            return list(value) if isinstance(value, tuple) else value
        return self._make().coerce(value, param=param, ctx=ctx)

    def _is_there(self, value: Any, param: Any) -> bool:
        if self._several:
            return self._type == list[str] and isinstance(value, list | tuple)
        if value is None or (self._type is str and isinstance(value, str)):
            return True
        return value is param.default and isinstance(self._type, type) and isinstance(value, self._type)


def take_text_as_it_is(command: Any) -> None:
    """For all options and arguments of a command of typer's, and of those below it."""
    for param in command.params:
        _take(param)
    command.get_help_option = partial(_help_option, command.get_help_option)
    for below in getattr(command, "commands", {}).values():
        take_text_as_it_is(below)


def _take(param: Any) -> None:
    before = _AsItIs(param)
    param.get_runtime_param = lambda: before


def _help_option(make: Callable[[Any], Any], ctx: Any) -> Any:
    """`--help` is made when the command line is read, and kept."""
    option = make(ctx)
    if option is not None and "get_runtime_param" not in vars(option):
        _take(option)
    return option


__all__ = ["take_text_as_it_is"]
