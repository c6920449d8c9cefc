"""Medulla as a process: its socket, its confinement, its memory across `kill -9`, and bytes it did not expect."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.coordinator.medulla_kit import key
from tests.support.quick_mesh import quick_mesh

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.client import MedullaClient, medulla_call, medulla_socket
from kindmesh.coordinator.brain.medulla.service import DIGEST_KEEP_MS, Service
from kindmesh.coordinator.owner import Owner, unlock_owner
from kindmesh.mesh.clock import FlooredClock, SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.audit import open_entry, open_head
from kindmesh.protocol.audit_check import LogCheck
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import (
    BadSignature,
    CertificateRefused,
    HomeInUse,
    InvalidInput,
    KindmeshError,
    Malformed,
    NotRunning,
    PeerUnreachable,
    StoreDamaged,
)
from kindmesh.protocol.ids import key_id, new_id
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.messages.hello import Advert, Offer, sign_advert
from kindmesh.protocol.permit import open_permit
from kindmesh.protocol.policy import Policy, Rule, in_zone
from kindmesh.protocol.principal import OWNER

PASSPHRASE = "correct horse battery"


class Mesh:
    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.made = quick_mesh(self.home, PASSPHRASE, zone="")
        self.path = medulla_socket(self.home)

    def permit_key(self) -> bytes:
        return Trust.load(self.home.identity).membership.anchors.of_kind("medulla")[0].ed_pub

    def owner(self) -> Owner:
        return unlock_owner(self.home, PASSPHRASE)

    def call(self, method: str, params: msgspec.Struct, answer: type[Any]) -> Any:
        return medulla_call(self.path, method, params, answer)

    def advert(self) -> m.Advertise:
        node = Identity.load(self.home.identity, SystemEntropy(), start=False)
        operations = (
            Operation("notes.append", "Append", (), (), int(Effect.WRITE), idempotent=False),
            Operation("notes.list", "List", (), (), int(Effect.READ), idempotent=True),
        )
        offer = Offer(Manifest("notes", "1", "Notes", operations), ready=True)
        return m.Advertise(
            sign_advert(Advert(self.made.mesh, node.device_id, 1, 1, 1, (offer,)), node.signing)
        )

    def request(self, operation: str) -> m.PermitRequest:
        now_ms, entropy = SystemClock().now_ms(), SystemEntropy()
        run, job = new_id(now_ms, entropy.token(10)), new_id(now_ms, entropy.token(10))
        return m.PermitRequest(
            run, 1, job, operation, self.made.node, encode_value({"text": "milk"}), 1, OWNER
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        reading, writing = os.pipe()
        command = [
            sys.executable,
            "-m",
            "kindmesh.coordinator.brain.medulla",
            "--home",
            os.fspath(self.home.root),
        ]
        medulla = subprocess.Popen([*command, "--ready-fd", str(writing), *arguments], pass_fds=[writing])
        os.close(writing)
        try:
            with os.fdopen(reading, "rb") as ready:
                assert ready.readline() == b"ready\n"
            yield medulla
        finally:
            medulla.terminate()
            medulla.wait(10)


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


def test_unisolated_medulla_permits_reading_and_refuses_writing(mesh: Mesh) -> None:
    everything = Policy(mesh.made.mesh, 2, SystemClock().now_ms(), (Rule("*", 255, "allow"),))
    with mesh.running():
        mesh.call("advert", mesh.advert(), m.Advertised)
        mesh.call("policy", m.Install(mesh.owner().sign_policy(everything)), m.Trust)
        allowed = mesh.call("permit", mesh.request("notes.list"), m.Verdict)
        refused = mesh.call("permit", mesh.request("notes.append"), m.Verdict)
        status = mesh.call("status", m.StatusWanted(), m.Status)
    anchors = Trust.load(mesh.home.identity).membership.anchors
    assert open_permit(allowed.permit, anchors.permit_pub(allowed.permit.author)).isolation == "none"
    assert (refused.answer, refused.permit, refused.rules) == ("deny", None, ("isolated",))
    assert status.isolation == "none"


def test_medulla_takes_its_own_network_and_files_away(mesh: Mesh) -> None:
    with mesh.running() as medulla:
        status = mesh.call("status", m.StatusWanted(), m.Status)
        confinement = msgspec.msgpack.decode(status.confinement)
        lines = Path(f"/proc/{medulla.pid}/status").read_text(encoding="ascii")
    assert status.pid == medulla.pid
    if sys.platform == "linux":
        assert confinement["network"] == "none"
        assert confinement["dumpable"] is False
        assert "NoNewPrivs:\t1" in lines
        assert "CapEff:\t0000000000000000" in lines


@pytest.mark.parametrize(
    "claim", [["--isolation", "uid"], ["--isolation", "uid", "--peer-uid", str(os.geteuid())]]
)
def test_a_claim_of_isolation_that_cannot_be_true_becomes_none(mesh: Mesh, claim: list[str]) -> None:
    with mesh.running(*claim):
        assert mesh.call("status", m.StatusWanted(), m.Status).isolation == "none"


def test_with_landlock_a_process_that_is_not_confined_cannot_connect(mesh: Mesh) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from kindmesh.coordinator.brain.medulla.client import *\n"
        "from kindmesh.coordinator.brain.medulla.messages import *\n"
        "print(medulla_call(Path(sys.argv[1]), 'status', StatusWanted(), Status).isolation)"
    )
    with mesh.running("--isolation", "landlock"):
        assert mesh.call("status", m.StatusWanted(), m.Status).isolation == "landlock"  # we are its launcher
        other = subprocess.run(
            [sys.executable, "-c", code, os.fspath(mesh.path)], capture_output=True, text=True, check=False
        )
    assert other.returncode != 0
    assert "PeerUnreachable" in other.stderr


def test_kill_9_and_restart_keep_questions_policy_removals_and_log(mesh: Mesh) -> None:
    owner = mesh.owner()
    stranger = key_id(key("stranger").public)
    second = Policy(mesh.made.mesh, 2, SystemClock().now_ms(), (Rule("*", 1, "allow"),))
    with mesh.running("--isolation", "landlock") as medulla:
        mesh.call("advert", mesh.advert(), m.Advertised)
        mesh.call("policy", m.Install(owner.sign_policy(second)), m.Trust)
        mesh.call("revoke", m.Revoke(owner.sign_removal(stranger)), m.Trust)
        asked = mesh.call("permit", mesh.request("notes.append"), m.Verdict)
        before = mesh.call("status", m.StatusWanted(), m.Status)
        os.kill(medulla.pid, signal.SIGKILL)
        medulla.wait()
    with pytest.raises(NotRunning):
        mesh.call("status", m.StatusWanted(), m.Status)
    approval = m.Approve(owner.sign_approval(asked.request, allow=True))
    with mesh.running("--isolation", "landlock"):
        after = mesh.call("status", m.StatusWanted(), m.Status)
        assert msgspec.structs.replace(after, pid=0) == msgspec.structs.replace(before, pid=0)
        assert mesh.call("approve", approval, m.Verdict).answer == "allow"
        with pytest.raises(KindmeshError):
            mesh.call("approve", approval, m.Verdict)
        with pytest.raises(InvalidInput):
            mesh.call(
                "policy", m.Install(owner.sign_policy(msgspec.structs.replace(second, version=1))), m.Trust
            )
        page = mesh.call("log", m.LogQuery(limit=1000), m.LogPage)
        status = mesh.call("status", m.StatusWanted(), m.Status)
    check = LogCheck(mesh.made.mesh, mesh.permit_key())
    for number, row in enumerate(page.entries, 1):
        check.feed(number, row)
    check.end()
    assert (check.problems, check.rewritten) == ([], False)
    assert page.head is not None
    assert open_head(page.head, mesh.permit_key(), mesh.made.mesh) == check.head
    assert check.head is not None
    assert (check.head.size, check.head.root) == (status.log_seq, status.log_head)


def test_a_forged_grant_is_refused_over_the_socket(mesh: Mesh) -> None:
    stranger = Owner(mesh.made.mesh, key("stranger"), clock=SystemClock(), entropy=SystemEntropy())
    grant = stranger.sign_grant(name="phone", ed_pub=key("phone").public, curve_pub=b"c" * 32)
    with mesh.running():
        with pytest.raises(CertificateRefused):
            mesh.call("issue", m.Issue(grant), m.Issued)
        forged = msgspec.structs.replace(grant, author=mesh.made.owner)
        with pytest.raises(BadSignature):
            mesh.call("issue", m.Issue(forged), m.Issued)


def test_only_one_medulla_runs_in_a_folder(mesh: Mesh) -> None:
    with mesh.running():
        command = [
            sys.executable,
            "-m",
            "kindmesh.coordinator.brain.medulla",
            "--home",
            os.fspath(mesh.home.root),
        ]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert "another Medulla" in second.stderr
        assert "Traceback" not in second.stderr
        assert mesh.call("status", m.StatusWanted(), m.Status).isolation == "none"
        with pytest.raises(HomeInUse):
            Service(mesh.home.medulla, "none")


def test_without_a_mesh_medulla_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kindmesh.coordinator.brain.medulla", "--home", os.fspath(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "kindmesh init" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_garbage_is_answered_with_errors_and_never_ends_medulla(mesh: Mesh) -> None:
    frames = [
        b"",
        b"\xc1",
        b"\x93\x01\xa6permit\x90",
        b"\x93\x02\xa4nope\x90",
        b"\x93\x03\xa3log\x91\xa1x",
        b"\xdc" * 50,
    ]
    with mesh.running():
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(os.fspath(mesh.path))
            connected.sendall(b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames))
            replies = [read_reply(connected) for _ in frames]
        assert [reply[:2] for reply in replies] == [
            [0, "error"],
            [0, "error"],
            [1, "error"],
            [2, "error"],
            [3, "error"],
            [0, "error"],
        ]
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(os.fspath(mesh.path))
            connected.sendall(b"\xff\xff\xff\xff")
            assert connected.recv(1) == b""
        refused = [open_entry(row.entry) for row in mesh.call("log", m.LogQuery(3, 10), m.LogPage).entries]
    assert [(entry.answer, entry.code) for entry in refused[:2]] == [
        ("refused", "MALFORMED"),
        ("refused", "INVALID_INPUT"),
    ]


def read_reply(connected: socket.socket) -> Any:
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = connected.recv(size - len(data))
            assert piece
            data += piece
        return data

    return msgspec.msgpack.decode(exactly(int.from_bytes(exactly(4), "big")))


async def test_many_requests_at_once_are_answered_each(mesh: Mesh) -> None:
    with mesh.running():
        client = MedullaClient(mesh.path)
        await client.advertise(mesh.advert().advert)
        requests = [mesh.request("notes.list") for _ in range(300)]
        verdicts = await asyncio.gather(*(client.permit(request) for request in requests))
        medulla = Trust.load(mesh.home.identity).membership.anchors.of_kind("medulla")[0].ed_pub
        for request, verdict in zip(requests, verdicts, strict=True):
            assert verdict.permit is not None
            assert open_permit(verdict.permit, medulla).job_id == request.job_id
        assert (await client.status()).permits == 300
        assert len((await client.log_page(limit=5)).entries) == 5
        client.close()


async def test_the_client_fails_closed_and_connects_anew(mesh: Mesh) -> None:
    client = MedullaClient(mesh.path)
    with pytest.raises(NotRunning):
        await client.status()
    with mesh.running() as medulla:
        await client.trust()
        os.kill(medulla.pid, signal.SIGSTOP)
        waiting = asyncio.ensure_future(client.status())
        await asyncio.sleep(0)
        os.kill(medulla.pid, signal.SIGKILL)
        with pytest.raises((PeerUnreachable, NotRunning)):
            await waiting
        medulla.wait()
    with mesh.running():
        assert (await client.status()).policy_version == 1
    client.close()


def test_a_full_disk_refuses_and_memory_does_not_run_ahead(mesh: Mesh) -> None:
    service = Service(mesh.home.medulla, "landlock")
    service.ask(mesh.advert())
    before = service.audit.committed
    service._store.execute("PRAGMA max_page_count = 1")
    service._store.commit_now()
    frame = msgspec.msgpack.encode(
        (7, "permit", msgspec.structs.replace(mesh.request("notes.append"), args=big()))
    )
    (reply,) = service.process([frame])
    number, status, error = msgspec.msgpack.decode(reply[4:])
    assert (number, status, error[0]) == (7, "error", "DISK_FULL")
    assert service.audit.committed == before
    assert not service.beliefs.questions
    (reply,) = service.process([frame])
    assert msgspec.msgpack.decode(reply[4:])[1] == "ok"
    service.close()


def big() -> bytes:
    return encode_value({"text": "x" * 200_000})


def test_what_a_digest_stands_for_is_forgotten_after_a_while(mesh: Mesh) -> None:
    service = Service(mesh.home.medulla, "none")
    service.ask(mesh.advert())
    assert service.audit.key(service.audit.committed) is not None
    clock = FlooredClock(SystemClock(), SystemClock().now_ms() + DIGEST_KEEP_MS + 1_000)
    service.close()
    service = Service(mesh.home.medulla, "none", clock=clock)
    service.process([])
    service.process([])
    service.close()
    service = Service(mesh.home.medulla, "none")
    assert service.audit.key(service.audit.committed) is None
    service.close()


def test_a_changed_store_stops_medulla_with_a_plain_word(mesh: Mesh) -> None:
    service = Service(mesh.home.medulla, "none")
    service._store.execute("UPDATE audit SET seal = ? WHERE seq = (SELECT max(seq) FROM audit)", (bytes(64),))
    service.close()
    with pytest.raises(StoreDamaged):
        Service(mesh.home.medulla, "none")


def test_a_wrong_answer_is_malformed_not_a_yes(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
        child = os.fork()
        if child == 0:
            connected, _ = listener.accept()
            connected.recv(100)
            connected.sendall(b"\0\0\0\1\xc0")
            os._exit(0)
        with pytest.raises(Malformed):
            medulla_call(path, "status", m.StatusWanted(), m.Status)
        os.waitpid(child, 0)


def test_quiet_hours_are_meant_where_the_owners_policy_says_and_not_where_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    made = quick_mesh(home, PASSPHRASE, zone="Asia/Tokyo")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    service = Service(home.medulla, "landlock")
    try:
        assert service.beliefs.policy.guards.zone == "Asia/Tokyo"
        service.process([])
        assert service.beliefs.offset_ms == 9 * 3_600_000
        owner = unlock_owner(home, PASSPHRASE)
        policy = in_zone(service.beliefs.policy, "")
        service.ask(m.Install(owner.sign_policy(msgspec.structs.replace(policy, version=policy.version + 1))))
        service.process([])
        assert service.beliefs.offset_ms == 0
        unknown = in_zone(service.beliefs.policy, "Mars/Olympus_Mons")
        service.ask(
            m.Install(owner.sign_policy(msgspec.structs.replace(unknown, version=policy.version + 2)))
        )
        service.process([])
        assert service.beliefs.offset_ms == 0
        assert made.mesh == service.beliefs.anchors.mesh
    finally:
        service.close()
        monkeypatch.undo()
        time.tzset()
