"""The command `area`: where this device stands, so that "turn off the light here" means a place.

It is a setting of this device (`[device] area` in config.toml). What is said at the device is signed with it, so that
Medulla knows it from whoever heard the words, and no device can say it of another.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import Json, run_command
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.mesh.home import Home
from kindmesh.node.config import AREA_MAX, is_area, load_config
from kindmesh.protocol.errors import InvalidInput

AREA_HELP = "Where this device stands, as your home calls it."


def area(
    name: Annotated[
        str, typer.Argument(help="What your home calls the place; without it, it is shown.")
    ] = "",
    *,
    nowhere: Annotated[
        bool, typer.Option("--nowhere", help="It stands nowhere in particular, or is carried around.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say where this device stands: what is said here ("the light") then means that place.

    Example: kindmesh area Kitchen
    """
    run_command(as_json, lambda out: run_area(out, name, nowhere=nowhere))


def run_area(out: Output, name: str, *, nowhere: bool) -> int:
    """Show it, or keep it."""
    if name and nowhere:
        raise InvalidInput("a place, or --nowhere, not both", field="name")
    home = Home.locate()
    if name or nowhere:
        check_area(name)
        keep_area(home, name)
    stands = area_of(home)
    told = f"This device stands in: {stands}." if stands else "This device stands nowhere in particular."
    out.result({"ok": True, "area": stands}, told)
    return EXIT_DONE


def area_of(home: Home) -> str:
    """Where this device stands, empty: nowhere in particular.

    Raises:
        ConfigError: the settings are wrong.
    """
    return load_config(home.config_file, os.environ).device.area.strip()


def check_area(name: str) -> None:
    """Refuse what no area can be called.

    Raises:
        InvalidInput.
    """
    if not is_area(name) or (name and not name.strip()):
        raise InvalidInput(f"an area has 1 to {AREA_MAX} printable characters", field="area")


def keep_area(home: Home, name: str) -> None:
    """Keep it in the settings.

    Raises:
        ConfigError: the file is written in a way that a command does not change. DiskFull, StoreError.
    """
    from kindmesh.node.config_file import set_setting

    set_setting(home.config_file, "device", "area", name.strip())


__all__ = ["AREA_HELP", "area", "area_of", "check_area", "keep_area", "run_area"]
