"""The lab itself: a coordinator called `desk` and any number of nodes, in a folder of its own.

    async with Lab(root) as lab:
        await lab.begin()
        kitchen = await lab.add("kitchen")

The coordinator listens on loopback at a free port that stays the same over restarts. Leaving the block ends everything,
also after an error or Ctrl-C; nothing is left running.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kindmesh.coordinator.lab.device import Device, Events, base_environment
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.control_client import ControlClient
from kindmesh.protocol.errors import DeadlineExceeded, InternalError, KindmeshError

ALIVE_S = 20.0
PORT_MIN, PORT_MAX = 10_000, 32_768
PORT_TRIES = 1_000


def free_port() -> int:
    """Three neighbouring TCP ports on loopback that nobody uses now (mesh, door, papers); the lowest.

    From below the range that the kernel gives to outgoing connections (ip_local_port_range, Linux), so that nobody gets
    one of them by accident while a device of the lab is down; at random, so that two labs do not come to the same.

    Raises:
        InternalError: there are none.
    """
    for _ in range(PORT_TRIES):
        port = PORT_MIN + secrets.randbelow(PORT_MAX - PORT_MIN - 2)
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            try:
                for number, one in enumerate((first, second, third)):
                    one.bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port
    raise InternalError("no free ports on loopback")


class Lab:
    """See the module. `settings` hold for every device; `mdns` is off unless asked for, so that tests stay alone."""

    def __init__(self, root: Path, *, settings: Mapping[str, str] | None = None, mdns: bool = False) -> None:
        self.root = root
        self.port = free_port()
        self._passphrase = secrets.token_urlsafe(16)
        self._env = base_environment()
        self._env["KINDMESH_PASSPHRASE"] = self._passphrase
        self._settings = {
            "KINDMESH_MESH_LISTEN": "127.0.0.1",
            "KINDMESH_MESH_PORT": str(self.port),
            "KINDMESH_MESH_MDNS": "true" if mdns else "false",
            **(settings or {}),
        }
        self.devices: dict[str, Device] = {}

    @property
    def desk(self) -> Device:
        """The coordinator's device."""
        return self.devices["desk"]

    @property
    def environment(self) -> dict[str, str]:
        """What the lab's processes see, with the owner's passphrase."""
        return dict(self._env)

    def device(
        self, name: str, settings: Mapping[str, str] | None = None, *, prefix: Sequence[str] = ()
    ) -> Device:
        """A device that is not part of the mesh yet; `prefix` as in `Device`."""
        made = Device(self.root, name, {**self._settings, **(settings or {})}, self._env, prefix)
        self.devices[name] = made
        return made

    async def begin(self, settings: Mapping[str, str] | None = None) -> Device:
        """`kindmesh init` and `kindmesh up` on the desk.

        Raises:
            KindmeshError: why it does not work.
        """
        desk = self.device("desk", settings)
        await desk.run("init", "--name", "desk")
        await desk.up()
        return desk

    async def add(
        self, name: str, settings: Mapping[str, str] | None = None, *, save: Path | None = None
    ) -> Device:
        """Pair and start one more node, until the coordinator has seen it alive."""
        await self.join(name, settings, save=save)
        device = self.devices[name]
        await device.up()
        await self.alive(name)
        return device

    async def join(
        self, name: str, settings: Mapping[str, str] | None = None, *, save: Path | None = None
    ) -> Events:
        """Pair one more node, without starting it."""
        return await self.device(name, settings).join(self.desk, save=save)

    async def alive(self, *names: str, timeout_s: float = ALIVE_S) -> None:
        """Wait until the coordinator says that these devices are alive and has heard what they offer.

        Raises:
            DeadlineExceeded: some are not within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async with watching(self.desk.home.socket("coordinator")) as events:
                    missing = set(names) - self.states("alive")
                    while missing:
                        event = await events.get()
                        if event.get("event") == "node" and event.get("state") == "alive":
                            missing -= self.states("alive")
        except TimeoutError as error:
            hint = f"The logs are in {self.desk.logs}."
            raise DeadlineExceeded(f"{', '.join(names)} did not come up", hint=hint) from error

    def states(self, state: str) -> set[str]:
        """Names of the devices that are in this state now and offer something."""
        nodes: list[dict[str, Any]] = self.ask("nodes")
        return {
            node["name"]
            for node in nodes
            if node["state"] == state and node["role"] == "node" and node["offers"]
        }

    def ask(self, method: str, params: Any = None, *, device: str = "desk", part: str = "coordinator") -> Any:
        """One request to a control socket."""
        with ControlClient(self.devices[device].home.socket(part), timeout_ms=30_000) as client:
            return client.call(method, params)

    async def __aenter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.end())

    async def end(self) -> None:
        """End every device: nodes first, then the desk."""
        nodes = [device.down() for name, device in self.devices.items() if name != "desk"]
        await asyncio.gather(*nodes)
        if "desk" in self.devices:
            await self.desk.down()


class watching:  # noqa: N801 - reads as a statement: `async with watching(path) as events`
    """A queue with everything that the control method `watch` at `path` tells while the block runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._client: AsyncControlClient | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> asyncio.Queue[dict[str, Any]]:
        self._client = await AsyncControlClient.connect(self._path)
        begun = asyncio.Event()
        self._task = asyncio.create_task(self._follow(self._client, begun))
        await begun.wait()
        return self._events

    async def _follow(self, client: AsyncControlClient, begun: asyncio.Event) -> None:
        def take(event: dict[str, Any]) -> None:
            if event.get("event") == "watching":
                begun.set()
            else:
                self._events.put_nowait(event)

        try:
            await client.call("watch", on_event=take)
        except KindmeshError as error:
            self._events.put_nowait({"event": "gone", "code": error.code})
        finally:
            begun.set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.close()


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used so far (Linux, /proc/PID/stat)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


__all__ = ["Lab", "cpu_seconds", "free_port", "watching"]
