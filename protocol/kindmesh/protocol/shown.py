"""How a structure with a secret in it is shown: `repr` names the field and hides what it holds."""

from __future__ import annotations

import msgspec


def repr_without(value: msgspec.Struct, *hidden: str) -> str:
    """As `repr` of a struct, with `...` in place of the fields named."""
    parts = [
        f"{name}={'...' if name in hidden else repr(getattr(value, name))}"
        for name in value.__struct_fields__
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


__all__ = ["repr_without"]
