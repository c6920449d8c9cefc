"""What a permit costs Medulla. By hand: `.venv/bin/python tests/benchmarks/bench_medulla.py [--batch N]`.

Runs the real process on a mesh made for it, sends requests in batches over its socket, and reads its own CPU time
(user and system, from /proc/PID/stat) before and after: decode, rules, signature, log, commit, encode, socket. Each is
measured bare, with evidence (`steps`: an utterance for every ten permits, each with two words proven and four labels),
with an utterance for every single one (`first`), which is then the first of its run, and where words decide (`words`:
as `steps`, but for a light of a home of `--things`, which the owner's policy asks about and the words settle).

`least_us`: of groups of 256 permits the one that took least CPU, nearest to a machine that does nothing else.
`signing_us`: what the two signatures cost by themselves that belong to a permit (its own, and that of the log's new
head, which is one for a batch); `verifying_us`: an utterance's; both in this process and in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.coordinator.brain.medulla.client import medulla_call, medulla_socket
from kindmesh.coordinator.brain.medulla.messages import Advertise, Advertised, PermitRequest
from kindmesh.coordinator.new_mesh import create_mesh
from kindmesh.coordinator.utterances import hear_here
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey, verify
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.messages.hello import Advert, Offer, Thing, sign_advert
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import grants_for
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.utterance_evidence import ArgumentLabel, ArgumentLabels, Evidence, evidence

GROUP = 256
"""Permits of which `least_us` is the mean."""


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def loop_ns(pid: int) -> int:
    """Nanoseconds that the thread that serves has run (proc(5), schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def offer(home: Home, things: int) -> bytes:
    """Has this device offer `bench.echo`, and a home of so many lights; returns its id."""
    entropy = SystemEntropy()
    node = Identity.load(home.identity, entropy, start=False)
    from kindmesh.mesh.trust import Trust

    operation = Operation("bench.echo", "Echo", (), (), int(Effect.READ), idempotent=True)
    manifest = Manifest("bench", "1", "Bench", (operation,))
    lights = tuple(Thing(f"light.l{number}", (f"Lamp {number}", "Hall")) for number in range(1, things))
    kitchen = Thing("light.kitchen", ("Kitchen Light", "Kitchen"))
    offers = (Offer(manifest, True), Offer(HOME, True, things=(kitchen, *lights)))
    advert = Advert(Trust.load(home.identity).mesh, node.device_id, 1, 1, 0, offers)
    medulla_call(medulla_socket(home), "advert", Advertise(sign_advert(advert, node.signing)), Advertised)
    return node.device_id


def signatures_us(rounds: int = 2_000) -> dict[str, float]:
    """What Ed25519 costs here, through libsodium, in CPU time."""
    key, data = SigningKey(bytes(32)), bytes(300)
    signature = key.sign(data)
    begun = time.process_time()
    for _ in range(rounds):
        key.sign(data)
    between = time.process_time()
    for _ in range(rounds):
        verify(key.public, signature, data)
    ended = time.process_time()
    signing, verifying = (between - begun) / rounds * 1e6, (ended - between) / rounds * 1e6
    return {"signing_us": round(2 * signing, 1), "verifying_us": round(verifying, 1)}


def evidence_for(home: Home) -> tuple[ArgumentLabels, Evidence]:
    """A fresh utterance of the owner's, two words of it proven, and four labels."""
    heard = hear_here(
        home, "turn off the kitchen light", now_ms=time.time_ns() // 1_000_000, entropy=SystemEntropy()
    )
    names = Label("user", words=("kitchen", "light"))
    labels = tuple(ArgumentLabel(path, names) for path in ("entities.0", "service", "data.a", "data.b"))
    return labels, evidence(heard, labels)


def light_for(home: Home) -> tuple[ArgumentLabels, Evidence]:
    """The same, with all words proven, as for a step that they shall settle."""
    heard = hear_here(
        home, "turn off the kitchen light", now_ms=time.time_ns() // 1_000_000, entropy=SystemEntropy()
    )
    labels = (ArgumentLabel("entities.0", Label("user", words=("kitchen", "light"))),)
    whole = (
        *labels,
        ArgumentLabel("", Label("user", words=("turn", "off", "the", "kitchen", "light"))),
    )
    return labels, evidence(heard, whole)


def measure(
    home: Home, pid: int, target: bytes, requests: int, batch: int, kind: str
) -> dict[str, float | str]:
    steps = {"none": 0, "first": 1}.get(kind, 10)
    operation, made = ("home.control", light_for) if kind == "words" else ("bench.echo", evidence_for)
    light = {"service": "light.turn_off", "entities": ["light.kitchen"], "data": {}}
    args = encode_value(light if kind == "words" else {"text": "x" * 80})
    entropy = SystemEntropy()
    encode = msgspec.msgpack.Encoder().encode
    frames = []
    first = b""
    labels: ArgumentLabels = ()
    shown: Evidence | None = None
    for number in range(requests):
        now_ms = time.time_ns() // 1_000_000
        run, job = new_id(now_ms, entropy.token(10)), new_id(now_ms, entropy.token(10))
        if steps and number % steps == 0:
            first, (labels, shown) = run, made(home)
        request = PermitRequest(run, 1, job, operation, target, args, 1, OWNER)
        if steps:
            request = msgspec.structs.replace(request, run_id=first, labels=labels, evidence=shown)
        body = encode((number, "permit", request))
        frames.append(len(body).to_bytes(4, "big") + body)
    latencies: list[float] = []
    groups: list[float] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.connect(os.fspath(medulla_socket(home)))
        before, started = cpu_s(pid), time.perf_counter()
        done, ran = 0, loop_ns(pid)
        for begin in range(0, requests, batch):
            if begin - done >= GROUP:
                now = loop_ns(pid)
                groups.append((now - ran) / (begin - done) / 1000)
                done, ran = begin, now
            part = frames[begin : begin + batch]
            sent = time.perf_counter()
            connected.sendall(b"".join(part))
            for _ in part:
                size = int.from_bytes(exactly(connected, 4), "big")
                reply = exactly(connected, size)
                assert b"allow" in reply, msgspec.msgpack.decode(reply)
            latencies.append(time.perf_counter() - sent)
        elapsed, used = time.perf_counter() - started, cpu_s(pid) - before
    latencies.sort()
    return {
        "evidence": kind,
        "requests": requests,
        "batch": batch,
        "cpu_us_per_permit": round(used / requests * 1e6, 1),
        "least_us": round(min(groups), 1) if groups else 0.0,
        "per_s": round(requests / elapsed),
        "p50_us": round(latencies[len(latencies) // 2] * 1e6),
        "p99_us": round(latencies[int(len(latencies) * 0.99)] * 1e6),
    }


def exactly(connected: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connected.recv(size - len(data))
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--things", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        granted = (*grants_for((HOME,)), CapabilityGrant("bench", int(Effect.READ)))
        create_mesh(home, "bench bench bench", "bench", capabilities=granted)
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "kindmesh.coordinator.brain.medulla", "--home", str(home.root)]
        medulla = subprocess.Popen([*command, "--ready-fd", str(writing)], pass_fds=[writing])
        os.close(writing)
        assert os.read(reading, 16) == b"ready\n"
        try:
            target = offer(home, options.things)
            for batch in options.batch or [1, 4, 32]:
                for kind in ("none", "steps", "first", "words"):
                    found = measure(home, medulla.pid, target, options.requests, batch, kind)
                    print(json.dumps({**found, **signatures_us()}))
            status = Path(f"/proc/{medulla.pid}/smaps_rollup").read_text(encoding="ascii")
            print([line for line in status.splitlines() if line.startswith(("Rss", "Pss:"))])
        finally:
            medulla.terminate()
            medulla.wait()


if __name__ == "__main__":
    main()
