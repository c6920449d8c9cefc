"""The signed post as its enemies see it: one member against the others, copied keys, greetings where none belong."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.post import Post
from kindmesh.mesh.recollection import Recollection
from kindmesh.protocol.errors import BackPressure, DiskFull, Replayed, SourceMismatch, UnknownCritical
from kindmesh.protocol.messages import Hello, JobCancel, MessageType, Request, Stop, TrustKnown
from kindmesh.protocol.replay import MessageMemory

CLOCK, ENTROPY = SystemClock(), SystemEntropy()


@dataclass
class Members:
    household: Household
    desk: Post
    phone: Post
    kitchen: Post


@pytest.fixture
def members() -> Members:
    household = Household(3, int(time.time() * 1000))
    identities = {
        name: household.add(name, *roles) for name, roles in (("desk", ("coordinator",)), ("phone", ()))
    }
    identities["kitchen"] = household.add("kitchen")
    desk, phone, kitchen = (
        Post(identities[name], household.trust(name), CLOCK, ENTROPY) for name in ("desk", "phone", "kitchen")
    )
    return Members(household, desk, phone, kitchen)


def again(post: Post, *, boot: int, tag: bytes) -> Post:
    """The same keys, started another time or elsewhere."""
    old = post.identity
    return Post(Identity(old.signing, old.curve, boot, tag), post.trust, CLOCK, ENTROPY)


def word(sender: Post, receiver: Post) -> list[bytes]:
    return sender.write(MessageType.JOB_CANCEL, receiver.identity.device_id, JobCancel(b"j" * 16, 1))[1]


def test_a_relayed_message_is_taken_once(members: Members) -> None:
    frames = word(members.phone, members.desk)
    members.desk.read(frames, None)
    with pytest.raises(Replayed):
        members.desk.read(frames, None)


def test_a_message_that_came_directly_is_not_taken_again_in_custody(members: Members) -> None:
    frames = word(members.phone, members.desk)
    members.desk.read(frames, members.phone.identity.device_id)
    with pytest.raises(Replayed):
        members.desk.read(frames, None)


def greeting(sender: Post, receiver: Post, **changes: Any) -> list[bytes]:
    hello = Hello(
        sender.trust.signed_certificate, b"e" * 32, b"n" * 32, (1,), TrustKnown(), CLOCK.now_ms(), **changes
    )
    return sender.write(MessageType.HELLO, receiver.identity.device_id, hello)[1]


def test_a_device_that_restarted_takes_nothing_from_before_the_session(members: Members) -> None:
    phone, desk = members.phone.identity.device_id, members.desk
    recorded = word(members.phone, desk)
    stored = word(members.phone, desk)
    desk.read(recorded, phone)
    restarted = Post(desk.identity, desk.trust, CLOCK, ENTROPY)
    restarted.read(greeting(members.phone, restarted), phone)
    with pytest.raises(Replayed):
        restarted.read(recorded, phone)
    # What somebody kept for it meanwhile is another matter.
    restarted.read(stored, None)
    restarted.read(word(members.phone, restarted), phone)


def test_a_critical_extension_that_is_not_known_is_refused_by_name(members: Members) -> None:
    phone = members.phone.identity.device_id
    members.desk.read(greeting(members.phone, members.desk, ext={"later": b"\xc0"}), phone)
    with pytest.raises(UnknownCritical, match="sure") as caught:
        members.desk.read(greeting(members.phone, members.desk, ext={"!sure": b"\xc0"}), phone)
    assert caught.value.field == "!sure"


def test_a_member_that_fills_its_memory_of_relayed_messages_shuts_out_only_itself(members: Members) -> None:
    phone = members.phone.identity.device_id
    members.desk.recollection._memories[phone] = MessageMemory(capacity=8)
    for _ in range(8):
        members.desk.read(word(members.phone, members.desk), None)
    with pytest.raises(BackPressure):
        members.desk.read(word(members.phone, members.desk), None)
    members.desk.read(word(members.kitchen, members.desk), None)


def test_another_start_speaks_only_once_it_is_confirmed(members: Members) -> None:
    phone = members.phone.identity
    members.desk.confirmed(phone.device_id, phone.boot, phone.tag)
    members.desk.read(word(members.phone, members.desk), phone.device_id)
    copy = again(members.phone, boot=phone.boot, tag=b"another!")
    with pytest.raises(SourceMismatch, match="phone"):
        members.desk.read(word(copy, members.desk), phone.device_id)
    assert members.desk.recollection.boots.copied == set()
    assert members.desk.confirmed(phone.device_id, copy.identity.boot, copy.identity.tag)
    assert members.desk.recollection.boots.copied == {phone.device_id}
    members.desk.read(word(copy, members.desk), phone.device_id)
    with pytest.raises(SourceMismatch):
        members.desk.read(word(members.phone, members.desk), phone.device_id)
    assert not members.desk.confirmed(phone.device_id, phone.boot, phone.tag)
    members.desk.read(word(members.phone, members.desk), phone.device_id)


def test_an_old_start_that_is_alive_is_a_copy_and_its_old_words_are_none(members: Members) -> None:
    phone = members.phone.identity
    old = word(members.phone, members.desk)
    newer = again(members.phone, boot=phone.boot + 1, tag=b"newboot!")
    assert not members.desk.confirmed(phone.device_id, phone.boot + 1, b"newboot!")
    members.desk.read(word(newer, members.desk), phone.device_id)
    with pytest.raises(Replayed):
        members.desk.read(old, phone.device_id)
    assert not members.desk.recollection.boots.copied
    assert members.desk.confirmed(phone.device_id, phone.boot, phone.tag)
    with pytest.raises(SourceMismatch):
        members.desk.read(word(newer, members.desk), phone.device_id)


def test_a_restart_is_no_copy(members: Members) -> None:
    phone = members.phone.identity
    members.desk.read(word(members.phone, members.desk), phone.device_id)
    late = word(members.phone, members.desk)
    restarted = again(members.phone, boot=phone.boot + 1, tag=b"newboot!")
    members.desk.read(word(restarted, members.desk), phone.device_id)
    members.desk.read(late, None)
    assert not members.desk.recollection.boots.copied


def test_neither_a_full_disk_nor_a_full_memory_keeps_anybody_from_stopping(
    members: Members, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk, phone = members.desk, members.phone.identity.device_id
    desk.recollection = Recollection(tmp_path / "kept")
    desk.read(word(members.phone, desk), None)

    def no_room(fd: int, data: bytes) -> None:
        raise OSError(28, "no room")

    monkeypatch.setattr("kindmesh.mesh.recollection.write_all", no_room)

    def asked(type_: MessageType, body: Any) -> list[bytes]:
        return members.phone.write(type_, desk.identity.device_id, body)[1]

    desk.read(asked(MessageType.REQUEST, Request("stop", b"\x80")), phone)
    desk.read(asked(MessageType.STOP, Stop("now")), None)
    with pytest.raises(DiskFull):
        desk.read(word(members.phone, desk), None)
    monkeypatch.undo()
    desk.recollection._memories[phone] = MessageMemory(capacity=0)
    desk.read(asked(MessageType.REQUEST, Request("stop", b"\x80")), phone)
    desk.read(asked(MessageType.STOP, Stop("now")), None)
    with pytest.raises(BackPressure):
        desk.read(word(members.phone, desk), None)


def test_what_came_in_custody_is_remembered_over_a_restart(members: Members, tmp_path: Path) -> None:
    desk = members.desk
    desk.recollection = Recollection(tmp_path / "kept")
    kept = word(members.phone, desk)
    phone = members.phone.identity
    restarted_phone = again(members.phone, boot=phone.boot + 1, tag=b"newboot!")
    desk.read(word(restarted_phone, desk), phone.device_id)
    # It was written before the phone's last restart, and somebody kept it: taken, once.
    desk.read(kept, None)
    rebooted = Post(desk.identity, desk.trust, CLOCK, ENTROPY, Recollection(tmp_path / "kept"))
    with pytest.raises(Replayed):
        rebooted.read(kept, None)
    rebooted.read(word(members.phone, rebooted), None)


def test_a_relayed_greeting_is_refused_and_leaves_nothing_behind(members: Members) -> None:
    hello = Hello(members.phone.trust.signed_certificate, b"e" * 32, b"n" * 32, (1,), TrustKnown(), 0)
    _, frames = members.phone.write(MessageType.HELLO, members.desk.identity.device_id, hello)
    with pytest.raises(SourceMismatch):
        members.desk.read(frames, None)
    assert not members.desk.recollection._memories
