"""The coordinator in the wrong hands, before the real Medulla and a real node, in each mode of isolation that keeps
them apart: whatever it plans, says, signs or replays, the node does not sense, write or actuate.

The launcher starts Medulla, then `hijacker` in the coordinator's place (with its keys, its folder and its confinement),
then the node. The owner says one sentence at the machine, as the command line does, and it passes through the hijacker.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.security.test_isolation import Household
from tests.security.test_isolation import pytestmark as needs_isolation

from kindmesh.coordinator.brain.medulla.messages import Install
from kindmesh.coordinator.brain.medulla.service import Service
from kindmesh.coordinator.owner import Owner, unlock_owner
from kindmesh.coordinator.utterances import hear_here, to_param
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.protocol.routine import RoutineApproval
from kindmesh.protocol.signed import signed_to_bytes

pytestmark = needs_isolation

PROGRAM = Path(__file__).with_name("hijacker.py").read_text(encoding="utf-8")
IN_PLACE = """
import json, os, signal, sys, time, traceback
name, root = sys.argv[1:3]
ready = int(sys.argv[sys.argv.index("--ready-fd") + 1])
os.write(ready, b"ready\\n")
os.close(ready)
folder = os.path.join(root, "coordinator")
end = time.monotonic() + 60
while not os.path.exists(os.path.join(folder, "heard")) and time.monotonic() < end:
    time.sleep(0.02)
space = {{"__name__": "hijacker"}}
try:
    exec(compile({program!r}, "hijacker", "exec"), space)
    found = space["attack"](root)
except BaseException:
    found = {{"failed": traceback.format_exc()}}
with open(os.path.join(folder, "found.part"), "w") as file:
    json.dump(found, file)
os.replace(os.path.join(folder, "found.part"), os.path.join(folder, "found"))
signal.sigwait([signal.SIGTERM])
"""
SENTENCE = "turn off the kitchen light"


RULES = """
permit (principal, action, resource);
@id("private") forbid (principal, action == Action::"notes.list", resource);
"""


def with_rules(home: Home) -> Owner:
    """The owner, unlocked, who wrote rules in Cedar; the policy before them is left lying about where the coordinator
    finds it."""
    user = home.root.stat()
    give(home, os.getuid(), os.getgid())
    service = Service(home.medulla, "none")
    try:
        before = service.beliefs.signed_policy
        assert before is not None
        policy = service.beliefs.policy
        newer = msgspec.structs.replace(policy, version=policy.version + 1, cedar=RULES)
        owner = unlock_owner(home, "correct horse")
        service.ask(Install(owner.sign_policy(newer)))
        (home.coordinator / "before").write_bytes(signed_to_bytes(before))
        after = service.beliefs.signed_policy
        assert after is not None
        (home.coordinator / "after").write_bytes(signed_to_bytes(after))
        return owner
    finally:
        service.close()
        give(home, user.st_uid, user.st_gid)


def give(home: Home, user: int, group: int) -> None:
    """The whole folder to somebody else."""
    for path in (home.root, *home.root.rglob("*")):
        os.chown(path, user, group, follow_symlinks=False)


@pytest.fixture(scope="module", params=["uid", "landlock"])
def found(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What came of each of the hijacker's tries; `notes`: what is on the node's disk then."""
    folder = Path(f"/var/tmp/kindmesh-hijacked-{os.getpid()}-{request.param}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    try:
        household = Household(folder)
        home = household.home
        owner = with_rules(home)
        bodies = {"coordinator": IN_PLACE.format(program=PROGRAM)}
        with household.up(request.param, bodies):
            heard = hear_here(home, SENTENCE, now_ms=SystemClock().now_ms(), entropy=SystemEntropy())
            hand_over(home, "heard", to_param(heard))
            end = time.monotonic() + 120
            while not (home.coordinator / "found").exists():
                if (home.coordinator / "laid").exists() and not (home.coordinator / "agreed").exists():
                    hand_over(home, "agreed", agreed(owner, (home.coordinator / "laid").read_bytes()))
                assert time.monotonic() < end, "the hijacker did not come to an end"
                time.sleep(0.05)
            result: dict[str, str] = json.loads((home.coordinator / "found").read_text())
            assert "failed" not in result, result["failed"]
            notes = home.data / "notes" / "notes.jsonl"
            result["notes"] = notes.read_text() if notes.exists() else ""
        yield result
    finally:
        shutil.rmtree(folder)


def agreed(owner: Owner, request: bytes) -> bytes:
    """The owner agrees to a routine, as the command line does it."""
    now_ms = SystemClock().now_ms()
    return signed_to_bytes(owner.sign_routine(RoutineApproval(request, now_ms, now_ms + 86_400_000, 10)))


def hand_over(home: Home, name: str, data: bytes) -> None:
    """Something passes through the coordinator."""
    whose, part = home.coordinator.stat(), home.coordinator / f"{name}.part"
    part.write_bytes(data)
    os.chown(part, whose.st_uid, whose.st_gid)
    part.rename(home.coordinator / name)


def named(found: dict[str, str], beginning: str) -> dict[str, str]:
    """Those of the tries."""
    some = {name: how for name, how in found.items() if name.startswith(beginning)}
    assert some, beginning
    return some


def test_a_hijacked_coordinator_that_submits_any_plan_it_likes(found: dict[str, str]) -> None:
    """Everything that the node offers and that senses, writes or acts; under a false flag, too."""
    assert found["plan notes.append"] == "ask policy"
    for name, how in named(found, "plan ").items():
        assert how.split()[0] in ("ask", "deny"), (name, how)
    assert found["what is allowed"] == "allow, succeeded"
    assert found["notes"] == ""


def test_a_hijacked_coordinator_that_drops_the_owners_rules(found: dict[str, str]) -> None:
    """Neither an older policy, nor one without the rules, nor somebody else's name gets around them."""
    tried = named(found, "rules: ")
    assert tried["rules: what they forbid"] == tried["rules: afterwards"] == "deny cedar"
    assert tried["rules: for another purpose"] == "deny cedar"
    assert tried["rules: by another's word"].startswith("deny")
    assert tried["rules: the policy before them"] == "INVALID_INPUT"
    assert tried["rules: the policy before them, learned"] == "taken"
    assert tried["rules: a policy without them"] == "CERTIFICATE_REFUSED"
    assert tried["rules: a policy without them by the owner's word"] == "BAD_SIGNATURE"
    assert tried["rules: cut out of the policy"] == "BAD_SIGNATURE"


def test_a_hijacked_coordinator_that_forges_labels(found: dict[str, str]) -> None:
    assert found["labels without evidence"] == "ask policy"


def test_a_hijacked_coordinator_that_forges_evidence(found: dict[str, str]) -> None:
    for name in (
        "words of its own", "words of its own by the node's word", "a true utterance with another id", "another word",
        "words of another utterance", "the owner's words for another",
    ):  # fmt: skip
        assert found[name] == "deny evidence", name


def test_a_hijacked_coordinator_that_uses_words_for_something_else(found: dict[str, str]) -> None:
    """The words were said, and are proven; what they are used for, nobody said."""
    assert found["what was said"] == "allow, succeeded"
    for name in ("the words of one thing for another", "all of the words for another thing"):
        assert found[name].split()[0] in ("ask", "deny"), found[name]
        assert "evidence" not in found[name]
    for name, how in named(found, "in the home: ").items():
        assert how == "ask policy", (name, how)


def test_a_hijacked_coordinator_that_names_the_things_of_the_home(found: dict[str, str]) -> None:
    """What the node's things are called, only the node says; what was said still names nothing else (see above)."""
    assert named(found, "names: ") == {
        "names: a true advert that was changed": "BAD_SIGNATURE",
        "names: its own by the node's word": "BAD_SIGNATURE",
        "names: its own about the node": "SOURCE_MISMATCH",
        "names: its own about itself": "taken",
    }
    assert found["in the home: home.control light.turn_off light.bedroom"] == "ask policy"


def test_a_hijacked_coordinator_that_replays_an_old_utterance_for_another_run(found: dict[str, str]) -> None:
    assert found["an old utterance for another run"] == "deny evidence"


def test_a_hijacked_coordinator_that_asks_what_would_be_said_of_a_plan(found: dict[str, str]) -> None:
    """It learns what the rules say, uses no words up (`what was said` is permitted afterwards), and leaves nothing."""
    assert found["review: with words that were said"].split()[0] == "ask"
    assert found["review: with a friend's yes"].split()[0] == "ask"
    assert found["review: with words of its own by the node's word"] == "deny evidence"
    assert found["review: with words that a run used"] == "deny evidence"
    assert found["review: of garbage"] == "MALFORMED"
    assert found["review: of more than a plan may be"] == "MALFORMED"
    assert found["review: leaves"] == "nothing"
    assert found["what was said"] == "allow, succeeded"


def test_a_hijacked_coordinator_that_widens_or_replays_a_routine(found: dict[str, str]) -> None:
    """What the owner agreed to for one sentence is done for no other, for nobody else's words, and not for longer."""
    tried = named(found, "routine: ")
    assert {how for name, how in tried.items() if name.endswith("signed by itself")} == {
        "CERTIFICATE_REFUSED"
    }
    assert {how for name, how in tried.items() if name.endswith("by the owner's word")} == {"BAD_SIGNATURE"}
    assert tried["routine: as the owner signed it"] == "taken"
    for name in ("without words", "with other words that were said", "with some of them"):
        assert tried[f"routine: used {name}"] == "ask policy"
    for name in ("with words of its own", "with words by the node's word"):
        assert tried[f"routine: used {name}"] == "deny evidence"
    assert tried["routine: ended"] == "taken"
    assert tried["routine: again, after it was ended"] == "PERMIT_USED"


def test_a_hijacked_coordinator_that_brings_its_own_permit(found: dict[str, str]) -> None:
    assert found["no permit"] == "PERMIT_MISSING"
    assert found["a permit of its own"] == "PERMIT_REFUSED"
    assert found["a permit of its own by Medulla's word"] == "PERMIT_REFUSED"
    assert found["a true permit that was changed"] == "PERMIT_REFUSED"
    assert found["a true permit for something else"] == "PERMIT_MISMATCH"
    assert found["an effect as a session call"] == "PERMIT_MISSING"


def test_a_hijacked_coordinator_that_forges_what_the_owner_signs(found: dict[str, str]) -> None:
    for paper in ("an approval", "a policy", "a grant", "anchors"):
        for name, how in named(found, paper).items():
            assert how in ("BAD_SIGNATURE", "CERTIFICATE_REFUSED", "PERMIT_MISMATCH"), (name, how)


def test_a_hijacked_coordinator_that_forges_certificates(found: dict[str, str]) -> None:
    for name, how in named(found, "a roster").items():
        assert how in ("taken", "BAD_SIGNATURE", "CERTIFICATE_REFUSED"), (name, how)


def test_a_hijacked_coordinator_that_reads_keys_of_those_who_are_believed(found: dict[str, str]) -> None:
    """Medulla's, the owner's, and the node's, with which it signs what it heard."""
    for name, how in {**named(found, "file "), **named(found, "memory ")}.items():
        assert how.startswith("refused"), (name, how)
