"""The kit, used: killed at any step, with the wrong sheet or clock, and twice; nothing is ever half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.new_mesh import create_mesh
from kindmesh.coordinator.owner import is_coordinator_home, unlock_owner
from kindmesh.coordinator.recovery import check_kit, recover_mesh, rotate_owner
from kindmesh.coordinator.sealed import CODE_PREFIX, SealedKey, from_paper, to_code
from kindmesh.coordinator.second import make_second
from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import Trust, TrustFile
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import (
    AlreadyInitialised,
    CertificateRefused,
    HomeInUse,
    InvalidInput,
    NotInitialised,
    StoreDamaged,
    WrongPassphrase,
)

WORDS = "correct horse"
CRASHES = """
import json, os, signal, sys
from pathlib import Path
from kindmesh.coordinator import sealed
from kindmesh.coordinator.recovery import recover_mesh, rotate_owner
from kindmesh.coordinator.second import make_second
from kindmesh.mesh.home import Home
home, kit, what, rename = Home(Path(sys.argv[1])), Path(sys.argv[2]).read_text(), sys.argv[3], os.rename
sealed.affordable_cost = lambda: (8_192, 1)
def life(step):
    done = 0
    def counting(*args, **more):
        nonlocal done
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return rename(*args, **more)
    os.rename = counting
    if what == "recover":
        recover_mesh(home, kit, "correct horse", "attic")
    elif what == "rotate":
        rotate_owner(home, kit, "correct horse")
    else:
        make_second(home, kit, "correct horse")
for step in range(60):
    child = os.fork()
    if child == 0:
        life(step)
        sys.exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != -signal.SIGKILL:
        print(json.dumps([step, code]))
        sys.exit(0)
sys.exit("it never ended")
"""
"""One process after the other, killed before its first rename, its second, ... until one lives to its end. Each is
forked from what has loaded everything; how hard it is to guess a passphrase is not what is tried here."""


class Late(SystemClock):
    """A clock that is off by `by_ms`."""

    def __init__(self, by_ms: int) -> None:
        self._by_ms = by_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("kindmesh.coordinator.sealed.affordable_cost", lambda: (8_192, 1))
    home = Home(tmp_path / "lost")
    create_mesh(home, WORDS, "desk")
    return home.recovery_kit


def killed(home: Home, kit: Path, what: str) -> int:
    """Run it, killed before each rename in turn, then wholly; how many deaths there were."""
    command = [sys.executable, "-c", CRASHES, os.fspath(home.root), os.fspath(kit), what]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    steps, code = json.loads(ended.stdout)
    assert code == 0 or is_coordinator_home(home), ended.stderr
    deaths: int = steps
    return deaths


def member(tmp_path: Path, of: Path) -> Home:
    """A state folder that is a member of the mesh and nothing else: the desk's node, alone."""
    home = Home(tmp_path / "member")
    (of / "identity").parent.mkdir(exist_ok=True)
    home.create()
    for path in (of / "identity").iterdir():
        (home.identity / path.name).write_bytes(path.read_bytes())
        (home.identity / path.name).chmod(0o600)
    return home


def test_recover_killed_at_any_rename_leaves_nothing_or_a_complete_coordinator(
    kit: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "attic")
    mesh = check_kit(kit.read_text(), WORDS).mesh
    assert killed(home, kit, "recover") > 5
    assert unlock_owner(home, WORDS).mesh == mesh
    assert Trust.load(home.identity).mesh == mesh
    assert check_kit(home.recovery_kit.read_text(), WORDS).mesh == mesh
    assert not [path for path in home.root.iterdir() if path.name.startswith(".init-") and path.is_dir()]


def test_a_second_coordinator_killed_at_any_rename_is_made_by_the_next_try(kit: Path, tmp_path: Path) -> None:
    home = member(tmp_path, kit.parent)
    assert killed(home, kit, "second") > 5
    assert is_coordinator_home(home)
    trust = Trust.load(home.coordinator / "identity")
    assert len(trust.membership.anchors.of_kind("issuer")) == 2
    assert not [path for path in home.root.iterdir() if path.name.startswith(".second-")]
    with pytest.raises(AlreadyInitialised):
        make_second(home, kit.read_text(), WORDS)


def test_a_rotation_killed_at_any_rename_is_whole_after_the_next_try(kit: Path) -> None:
    home = Home(kit.parent)
    sheet = kit.with_name("sheet.txt")
    sheet.write_text(kit.read_text())
    before = unlock_owner(home, WORDS).subject
    assert killed(home, sheet, "rotate") >= 3
    rotate_owner(home, sheet.read_text(), WORDS, new_passphrase="another passphrase")
    owner = unlock_owner(home, "another passphrase")
    assert owner.subject != before
    for folder in (home.identity, home.coordinator / "identity"):
        anchors = Trust.load(folder).membership.anchors
        assert [one.subject for one in anchors.of_kind("person")] == [owner.subject]
    assert check_kit(kit.read_text(), "another passphrase").mesh == owner.mesh


def test_each_list_made_from_a_kit_is_newer_than_the_last(kit: Path, tmp_path: Path) -> None:
    first = Trust.load(kit.parent / "identity").membership.anchors
    text, versions = kit.read_text(), [first.version]
    # The second and third recovery happen on devices whose clocks are some hours late.
    for number, late in enumerate((0, -3_600_000, -7_200_000)):
        home = Home(tmp_path / f"attic{number}")
        recover_mesh(home, text, WORDS, "attic", clock=Late(late))
        text = home.recovery_kit.read_text()
        trust = Trust.load(home.identity)
        versions.append(trust.membership.anchors.version)
        assert first.subjects.isdisjoint(trust.membership.anchors.subjects)
        assert trust.policy.version > versions[-2] - 1
    assert versions == sorted(set(versions))


def test_what_cannot_be_is_refused_before_anything_is_made(kit: Path, tmp_path: Path) -> None:
    text, home = kit.read_text(), Home(tmp_path / "attic")
    with pytest.raises(WrongPassphrase):
        recover_mesh(home, text, "not this one", "attic")
    with pytest.raises(InvalidInput, match="clock"):
        recover_mesh(home, text, WORDS, "attic", clock=Late(-3 * 86_400_000))
    for days in (-1, 91):
        with pytest.raises(InvalidInput, match="days"):
            recover_mesh(home, text, WORDS, "attic", recall_days=days)
    with pytest.raises(InvalidInput, match="passphrase"):
        recover_mesh(home, text, WORDS, "attic", new_passphrase="short")
    with pytest.raises(InvalidInput):
        recover_mesh(home, text.replace("01 ", "xx "), WORDS, "attic")
    owner = encode_owner(kit.parent)
    with pytest.raises(InvalidInput, match="not a recovery kit"):
        recover_mesh(home, owner, WORDS, "attic")
    assert not home.exists()
    with pytest.raises(AlreadyInitialised):
        recover_mesh(Home(kit.parent), text, WORDS, "attic")
    with pytest.raises(NotInitialised):
        rotate_owner(home, text, WORDS)


def encode_owner(folder: Path) -> str:
    """The owner's sealed key, dressed up as a kit."""
    from kindmesh.coordinator.sealed import sealed_from_bytes, to_paper

    return "\n".join(to_paper(sealed_from_bytes((folder / "owner" / "owner.key").read_bytes())))


def test_a_running_coordinator_is_not_changed(kit: Path) -> None:
    home = Home(kit.parent)
    from kindmesh.coordinator.brain.medulla.service import Service

    service = Service(home.medulla, "none")
    try:
        with pytest.raises(HomeInUse):
            rotate_owner(home, kit.read_text(), WORDS)
    finally:
        service.close()


def test_a_device_that_is_no_member_now_becomes_no_coordinator(kit: Path, tmp_path: Path) -> None:
    home = member(tmp_path, kit.parent)
    attic = Home(tmp_path / "attic")
    recover_mesh(attic, kit.read_text(), WORDS, "attic")
    from kindmesh.protocol.messages import TrustUpdate

    Trust.load(home.identity).merge(TrustUpdate(bundle=Trust.load(attic.identity).bundle))
    trust = Trust.load(home.identity)
    assert trust.is_retired
    assert trust.credentials.bundles[0] == trust.bundle
    assert len(trust.credentials.bundles) == 2
    with pytest.raises(CertificateRefused):
        make_second(home, attic.recovery_kit.read_text(), WORDS)
    content = TrustFile(**{name: getattr(trust._content, name) for name in TrustFile.__struct_fields__})
    (home.identity / "membership").write_bytes(
        encode(TrustFile(**{**{n: getattr(content, n) for n in TrustFile.__struct_fields__}, "former": ()}))
    )
    with pytest.raises(StoreDamaged):
        Trust.load(home.identity)


sealed_keys = st.builds(
    SealedKey,
    version=st.just(1), purpose=st.just("root"), mesh=st.binary(min_size=20, max_size=20),
    public=st.binary(min_size=32, max_size=32), mem_kib=st.integers(0, 2**32), ops=st.integers(0, 2**16),
    salt=st.binary(max_size=16), nonce=st.binary(max_size=24), sealed=st.binary(max_size=48),
    after=st.integers(0, 2**53),
)  # fmt: skip


@given(sealed_keys, st.randoms())
def test_the_code_in_the_picture_says_the_same_and_damage_is_noticed(
    sealed: SealedKey, random: object
) -> None:
    code = to_code(sealed)
    assert from_paper(code) == from_paper(f"  {code.lower()}\n") == sealed
    assert set(code) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:")
    with pytest.raises(InvalidInput):
        from_paper(code[:-3])
    changed = "A" if code[9] != "A" else "B"
    with pytest.raises(InvalidInput):
        from_paper(code[:9] + changed + code[10:])
    with pytest.raises(InvalidInput):
        from_paper(CODE_PREFIX)
