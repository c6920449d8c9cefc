"""The floor: raw pyzmq in our topology, without any of what makes it safe.

Client -> ROUTER (broker process) -> DEALER (worker process) and back, MessagePack bodies, blocking sockets, no CURVE,
no signatures, no journal. It is what the same three hops cost at the least in Python, and what our rows are divided by.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import zmq

_BROKER = """
import sys, zmq
context = zmq.Context()
clients, workers = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
print(clients.bind_to_random_port("tcp://127.0.0.1"), workers.bind_to_random_port("tcp://127.0.0.1"), flush=True)
poller = zmq.Poller()
poller.register(clients, zmq.POLLIN)
poller.register(workers, zmq.POLLIN)
known, turn = [], 0
while True:
    for socket, _ in poller.poll():
        frames = socket.recv_multipart()
        if socket is clients:
            worker = known[turn % len(known)]
            turn += 1
            workers.send_multipart([worker, frames[0], frames[1]])
        elif frames[1] == b"here":
            known.append(frames[0])
            print("worker", flush=True)
        else:
            clients.send_multipart([frames[1], frames[2]])
"""
_WORKER = """
import sys, zmq, msgspec
context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.connect("tcp://127.0.0.1:" + sys.argv[1])
socket.send(b"here")
decode, encode = msgspec.msgpack.Decoder().decode, msgspec.msgpack.Encoder().encode
while True:
    client, body = socket.recv_multipart()
    number, operation, values = decode(body)
    socket.send_multipart([client, encode([number, {"text": values["text"]}])])
"""


class Floor:
    """A running floor; `pids` are the broker and the workers."""

    def __init__(self, client: zmq.Socket[bytes], pids: list[int]) -> None:
        self._client = client
        self.pids = pids
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder().decode
        self._number = 0

    def run(self, count: int, payload: str, inflight: int) -> tuple[list[float], float]:
        """`count` requests with at most `inflight` open: each one's seconds, and the seconds for all."""
        send, receive = self._client.send, self._client.recv
        begun: dict[int, float] = {}
        took: list[float] = []
        first = time.perf_counter()
        sent = 0
        while len(took) < count:
            while sent < count and len(begun) < inflight:
                self._number += 1
                sent += 1
                begun[self._number] = time.perf_counter()
                send(self._encode([self._number, "device.echo", {"text": payload}]))
            number, _ = self._decode(receive())
            took.append(time.perf_counter() - begun.pop(number))
        return took, time.perf_counter() - first


@contextmanager
def floor(nodes: int) -> Iterator[Floor]:
    """Broker, workers and client, ended when the block is left."""
    processes: list[subprocess.Popen[str]] = []
    context = zmq.Context()
    client: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    try:
        broker = _start(_BROKER)
        processes.append(broker)
        if broker.stdout is None:
            raise RuntimeError("the broker's output is not connected")
        clients_port, workers_port = broker.stdout.readline().split()
        for _ in range(nodes):
            processes.append(_start(_WORKER, workers_port))
            broker.stdout.readline()
        client.connect(f"tcp://127.0.0.1:{clients_port}")
        yield Floor(client, [process.pid for process in processes])
    finally:
        client.close(0)
        context.term()
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _start(code: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)


__all__ = ["Floor", "floor"]
