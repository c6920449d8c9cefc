"""The one module that reads YAML; import it where it is needed, not at the top. Only plain data come out: no objects,
no aliases that grow, no names twice.

With `shared=True` a value may be named once and used again (`*name`), as programs write it that repeat a list. Such a
file can stand for far more than it holds, so whoever allows it counts what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from kindmesh.protocol.errors import InvalidInput


class _Loader(yaml.SafeLoader):
    """YAML's plain data without what surprises: aliases (which make a small file huge), doubled names, and times."""

    shared = False

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuses aliases."""
        if not self.shared and self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not used here", self.get_mark()
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuses names that are there twice."""
        found = super().construct_mapping(node, deep=True)
        if len(found) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a name is there twice", node.start_mark)
        return found


_TRUTH: Final = "tag:yaml.org,2002:bool"
_LEFT_OUT: Final = (_TRUTH, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
_Loader.yaml_implicit_resolvers = {
    first: [found for found in resolvers if found[0] not in _LEFT_OUT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Only these, as in YAML 1.2: a step or a word called `on`, `no` or `y` is text.
_Loader.add_implicit_resolver(_TRUTH, re.compile(r"true|false"), ["t", "f"])


class _SharedLoader(_Loader):
    shared = True


def from_yaml(text: str, name: str, *, shared: bool = False) -> Any:
    """The plain data in `text`; `name` is what it is called; `shared`: see the module.

    Raises:
        InvalidInput: it is not YAML, or more than plain data; says where.
    """
    try:
        return yaml.load(text, Loader=_SharedLoader if shared else _Loader)  # noqa: S506 - SafeLoaders, narrowed
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or str(error)
        raise InvalidInput(f"{name} is not YAML{where}: {str(why)[:200]}", field="file") from error


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Values that are used twice are written twice."""
        return True


def to_yaml(document: Any) -> str:
    """Plain data as YAML that `from_yaml` reads back, names in their order."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


__all__ = ["from_yaml", "to_yaml"]
