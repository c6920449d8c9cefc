"""A house with real networks: each device in a network namespace of its own, joined by a bridge that can be cut.

Namespaces and veth pairs are the kernel's own network (ip-netns(8), veth(4)): other addresses, multicast over the
bridge, no shared loopback. They need root and iproute2, which `.ci/run` installs. Names carry this process's id, so
that two runs do not meet, and are removed at the end, also after an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

SUBNET = "10.213.{house}.{device}"


def why_not() -> str:
    """Empty where namespaces can be made here; else what is missing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (iproute2)"
    return "" if _ip("netns", "list", check=False) == 0 else "this kernel gives us no network namespaces"


def _ip(*words: str, check: bool = True) -> int:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.returncode


class House:
    """A bridge, and devices on it by name."""

    def __init__(self) -> None:
        self._number = os.getpid() % 250
        self._bridge = f"kmb{os.getpid() % 100_000}"
        self._devices: list[str] = []

    def begin(self) -> None:
        """Make the bridge. It lives in a namespace of its own, so that nothing of this machine's network is touched."""
        _ip("netns", "add", self._bridge)
        self._inside("link", "add", "bridge", "type", "bridge")
        self._inside("link", "set", "bridge", "up")

    def end(self) -> None:
        """Remove everything; whoever still runs there is ended first."""
        for name in [*self._devices, self._bridge]:
            space = name if name == self._bridge else self.space(name)
            found = subprocess.run(
                ["ip", "netns", "pids", space], check=False, capture_output=True, text=True
            )
            for pid in found.stdout.split():
                os.kill(int(pid), 9)
            _ip("netns", "del", space, check=False)

    def _inside(self, *words: str) -> None:
        _ip("-n", self._bridge, *words)

    def space(self, name: str) -> str:
        """The namespace of a device."""
        return f"{self._bridge}-{name}"

    def add(self, name: str) -> None:
        """A namespace with `eth0` on the bridge."""
        self._devices.append(name)
        space, port = self.space(name), f"to{len(self._devices)}"
        _ip("netns", "add", space)
        self._inside("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._inside("link", "set", port, "master", "bridge", "up")
        _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "route", "add", "224.0.0.0/4", "dev", "eth0")

    @property
    def net(self) -> str:
        """The first three numbers of all addresses on the bridge."""
        return SUBNET.format(house=self._number, device="").rstrip(".")

    def address(self, name: str) -> str:
        """The device's address on the bridge."""
        return SUBNET.format(house=self._number, device=self._devices.index(name) + 1)

    def prefix(self, name: str) -> list[str]:
        """What goes before a command that shall run on that device."""
        return ["ip", "netns", "exec", self.space(name)]

    def cut(self, name: str) -> None:
        """Pull the cable."""
        self._inside("link", "set", f"to{self._devices.index(name) + 1}", "down")

    def heal(self, name: str) -> None:
        """Put it back."""
        self._inside("link", "set", f"to{self._devices.index(name) + 1}", "up")

    def move(self, name: str, last: int) -> None:
        """The router gave it another address: the last number is `last` now."""
        space = self.space(name)
        _ip("-n", space, "addr", "flush", "dev", "eth0")
        _ip("-n", space, "addr", "add", f"{self.net}.{last}/24", "dev", "eth0")
        _ip("-n", space, "route", "replace", "224.0.0.0/4", "dev", "eth0")


@contextmanager
def house(*names: str) -> Iterator[House]:
    """A bridge with these devices on it, until the block ends."""
    made = House()
    try:
        made.begin()
        for name in names:
            made.add(name)
        yield made
    finally:
        made.end()


__all__ = ["House", "house", "why_not"]
