"""A member whose identity two devices use: held by anybody's word, released by the owner's signature only."""

from __future__ import annotations

import pytest
from tests.coordinator.medulla_kit import DAY, T0, World, key

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.machine import validate
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    CertificateRefused,
    InvalidTransition,
    Replayed,
    UnknownMember,
    WrongDestination,
)
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Rule
from kindmesh.protocol.principal import device_principal
from kindmesh.protocol.release import Release, sign_release
from kindmesh.protocol.signed import Signed


def release(world: World, *, at_ms: int = 0, by: SigningKey | None = None, mesh: bytes = b"") -> Signed:
    statement = Release(mesh or world.mesh, key_id(world.phone.public), at_ms or world.now_ms)
    return sign_release(statement, by or world.owner)


@pytest.fixture
def world() -> World:
    made = World()
    made.ask(m.Install(made.policy(2, Rule("*", int(Effect.READ | Effect.WRITE), "allow"))))
    return made


def test_a_held_device_may_read_and_nothing_more_until_the_owner_releases_it(world: World) -> None:
    phone = key_id(world.phone.public)
    assert world.ask(world.request("notes.append")).answer == "allow"
    assert world.ask(m.Hold(phone)).subjects == (phone,)
    assert world.ask(m.Hold(phone)).subjects == (phone,)
    verdict = world.ask(world.request("notes.append"))
    assert (verdict.answer, verdict.rules) == ("deny", ("held",))
    assert world.ask(world.request("notes.list")).answer == "allow"
    assert world.restored().held == world.beliefs.held
    world.now_ms += 1
    assert world.ask(m.LetGo(release(world))).subjects == ()
    assert world.ask(m.LetGo(release(world))).subjects == ()
    assert world.ask(world.request("notes.append")).answer == "allow"
    kinds = [note.kind for note in world.log if note.kind in ("hold", "release")]
    assert kinds == ["hold", "release"]


def test_what_a_held_device_asks_of_others_is_held_too(world: World) -> None:
    other = key("kitchen")
    world.ask(m.Issue(world.grant(other, "kitchen")))
    asked_by = device_principal(key_id(other.public), "kitchen")
    assert world.ask(world.request("notes.append", principal=asked_by)).answer == "allow"
    world.ask(m.Hold(key_id(other.public)))
    assert world.ask(world.request("notes.append", principal=asked_by)).rules == ("held",)
    assert world.ask(world.request("notes.list", principal=asked_by)).answer == "allow"


def test_a_signed_yes_does_not_lift_a_hold() -> None:
    world = World()
    question = world.ask(world.request("notes.append"))
    assert question.answer == "ask"
    world.ask(m.Hold(key_id(world.phone.public)))
    assert world.ask(world.approval(question.request)).rules == ("held",)


def test_only_the_owner_of_this_mesh_releases_and_not_with_an_old_word(world: World) -> None:
    early = release(world)
    world.now_ms += DAY
    world.ask(m.Hold(key_id(world.phone.public)))
    for wrong, error in (
        (early, Replayed),
        (release(world, by=key("stranger")), CertificateRefused),
        (release(world, mesh=b"m" * 20), WrongDestination),
    ):
        with pytest.raises(error):
            world.ask(m.LetGo(wrong))
    assert world.beliefs.held == {key_id(world.phone.public): T0 + DAY}


def test_who_is_removed_is_held_no_more_and_who_is_no_member_cannot_be(world: World) -> None:
    phone = key_id(world.phone.public)
    world.ask(m.Hold(phone))
    world.ask(m.Revoke(world.removal(phone)))
    assert not world.beliefs.held
    assert not world.restored().held
    with pytest.raises(UnknownMember):
        world.ask(m.Hold(phone))
    world.beliefs.held[phone] = 1
    with pytest.raises(InvalidTransition):
        validate(world.beliefs)
