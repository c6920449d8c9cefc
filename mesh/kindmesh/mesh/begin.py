"""`python -m kindmesh.mesh.begin MODULE ARGUMENT...`: the `main` of a part, with what it loads set apart for good.

A part loads some hundred modules before it serves. None of them is garbage before its end, but Python's collector goes
through all of them again and again while they are loaded, at each of its full rounds later, and once more at the end.
So it waits until all is loaded, and from then on looks only at what came afterwards (`gc.freeze`). To start a part and
to end it takes a fifth less of the processor.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module


def main() -> int:
    """The exit code of the module's `main`, which finds its arguments where they would be without this; as with `-m`, a
    package stands for its `__main__`."""
    sys.argv = sys.argv[1:]
    gc.disable()
    try:
        module = import_module(sys.argv[0])
        if hasattr(module, "__path__"):
            module = import_module(f"{module.__name__}.__main__")
        gc.freeze()
    finally:
        gc.enable()
    code: int = module.main()
    return code


def command(module: str) -> list[str]:
    """What begins it, before its own arguments; after the interpreter and the interpreter's options."""
    return ["-m", "kindmesh.mesh.begin", module]


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["command", "main"]
