"""`kindmesh bench ask`: from a sentence to the confirmed state, next to the raw job of the same operation.

A throw-away mesh of real processes: coordinator, Medulla, and two nodes with a part of the home each. Rows, in turn, so
that a slow moment of the machine touches both:
- `ask`: a sentence on the coordinator's socket, as `kindmesh ask` sends it: signed word by word, the homes read,
  understood, reviewed, written down, run as a durable job with its permit, the state read back, answered;
- `call`: the same service call as a job on the same socket, as `kindmesh call` does it, waited for; nothing read back.
The owner's policy here allows what the sentences do, so that nobody has to say yes a thousand times. The first
sentences, which read the grammars, are not counted.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.bench.statistics import percentile
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.coordinator.utterances import hear_here, to_param
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.protocol.errors import InternalError
from kindmesh.protocol.guards import FIRST_GUARDS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.roles import FIRST_ROLES
from kindmesh.protocol.signed import signed_to_bytes

WARM_UP: Final = 10
TARGET_P95_MS: Final = 500.0
ENTITIES: Final = 50
"""On each of the two nodes."""
_NODES: Final = ("downstairs", "upstairs")


def inventory(node: str, first: str) -> dict[str, Any]:
    """A part of the home with `ENTITIES` lights, of which one is called `first`."""
    others = [
        {"id": f"light.{node}_{number}", "name": f"{node} spot {number}", "area": node, "state": "off"}
        for number in range(ENTITIES - 1)
    ]
    light = {"id": f"light.{first}", "name": f"{first} light", "area": node, "state": "off"}
    return {"areas": [{"id": node, "name": node}], "entities": [light, *others]}


async def run_ask(count: int, note: Callable[[str], None]) -> dict[str, Any]:
    """`count` sentences and as many jobs; milliseconds."""
    root = Path(tempfile.mkdtemp(prefix="kindmesh-bench-"))
    took: dict[str, list[float]] = {"ask": [], "call": []}
    try:
        note("starting a mesh of its own ...")
        async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device,home"}) as lab:
            await _mesh(lab)
            client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
            try:
                for number in range(WARM_UP + count):
                    if number % 20 == 0:
                        note(f"{number} of {WARM_UP + count}")
                    for name, one in (("ask", _ask), ("call", _call)):
                        begun = time.perf_counter()
                        await one(lab, client, number)
                        if number >= WARM_UP:
                            took[name].append((time.perf_counter() - begun) * 1000)
            finally:
                await client.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "count": len(values),
            "p50_ms": round(percentile(values, 0.5), 2),
            "p95_ms": round(percentile(values, 0.95), 2),
            "max_ms": round(max(values), 2),
        }
        for name, values in took.items()
    ]
    return {
        "rows": rows,
        "entities": len(_NODES) * ENTITIES,
        "target_p95_ms": TARGET_P95_MS,
        "met": rows[0]["p95_ms"] <= TARGET_P95_MS,
    }


async def _mesh(lab: Lab) -> None:
    # The desk has no home itself, so that every state crosses to another process and back.
    await lab.begin({"KINDMESH_NODE_DISABLED": "home"})
    for name in _NODES:
        await lab.add(name)
    await lab.alive(*_NODES)
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    acts = int(Effect.READ | Effect.WRITE | Effect.ACTUATE)
    rules = (
        Rule("*", int(Effect.READ | Effect.NOTIFY), "allow"),
        *(Rule(operation, acts, "allow") for operation in ("home.load", "home.control")),
    )
    policy = Policy(owner.mesh, 2, time.time_ns() // 1_000_000, rules, FIRST_ROLES, FIRST_GUARDS)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})
    for name, first in zip(_NODES, ("kitchen", "bedroom"), strict=True):
        wish = {
            "operation": "home.load",
            "args": {"inventory": inventory(name, first)},
            "target": name,
            "wait": True,
        }
        job = lab.ask("submit", wish)
        if job["state"] != "succeeded":
            raise InternalError(f"the home was not loaded: {job.get('error')}")


async def _ask(lab: Lab, client: AsyncControlClient, number: int) -> None:
    """Each sentence changes something: on and off in turn, downstairs and upstairs."""
    room, word = ("kitchen", "bedroom")[number // 2 % 2], ("on", "off")[number % 2]
    text = f"turn {word} the {room} light"
    heard = hear_here(lab.desk.home, text, now_ms=time.time_ns() // 1_000_000, entropy=SystemEntropy())
    answer = await client.call("ask", {"text": text, "utterance": to_param(heard), "quiet": True})
    if answer["outcome"] != "done" or not answer["changes"]:
        raise InternalError(f"{text!r} was not done: {answer['reply']}")


async def _call(lab: Lab, client: AsyncControlClient, number: int) -> None:
    word = ("on", "off")[number % 2]
    args = {"service": f"light.turn_{word}", "entities": ["light.upstairs_1"], "data": {}}
    wish = {"operation": "home.control", "args": args, "target": "upstairs", "wait": True, "quiet": True}
    job = await client.call("submit", wish)
    if job["state"] != "succeeded":
        raise InternalError(f"home.control {job['state']}: {job.get('error')}")


__all__ = ["ENTITIES", "TARGET_P95_MS", "run_ask"]
