"""`python -m kindmesh.coordinator.cli`: how the launchers of devices start the command line.

What is loaded at the start stays to the end. To look through it for garbage again and again meanwhile takes a sixth of
the time of a short command.
"""

import gc


def start() -> None:
    """As the `kindmesh` command."""
    gc.disable()
    from kindmesh.coordinator.cli.main import main

    gc.freeze()
    gc.enable()
    main()


if __name__ == "__main__":
    start()
