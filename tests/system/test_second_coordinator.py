"""Two coordinators of one mesh: the second takes over when the first is away; what one removes, both have removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.system.test_recover import alive, ask, until

from kindmesh.coordinator.lab.mesh import Lab, free_port
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import CertificateRefused, InvalidInput, KindmeshError


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(tmp_path / "lab") as lab:
        await lab.begin()
        yield lab


async def test_a_second_coordinator_takes_over_and_shares_what_was_decided(lab: Lab, tmp_path: Path) -> None:
    port = free_port()
    kit = tmp_path / "sheet.txt"
    lab.desk.home.recovery_kit.rename(kit)
    kitchen = await lab.add("kitchen", {"KINDMESH_MESH_PORT": str(port)})
    seeds = {"KINDMESH_MESH_SEEDS": f"127.0.0.1:{lab.port},127.0.0.1:{port}"}
    for name in ("cellar", "gone"):
        await lab.add(name, seeds)
    before = Trust.load(lab.devices["cellar"].home.identity).certificate

    await kitchen.down()
    await kitchen.run("recover", str(kit), "--second")
    await kitchen.up()
    # Its node serves the first coordinator still, and brings it the new list of who decides.
    await until(lambda: "kitchen" in alive(lab.desk), "kitchen at the desk")
    version = Trust.load(kitchen.home.identity).membership.anchors.version
    for device, folder in ((lab.desk, "coordinator/identity"), (lab.devices["cellar"], "identity")):
        await until(
            lambda device=device, folder=folder: (
                Trust.load(device.home.root / folder).membership.anchors.version == version
            ),
            f"{device.name} to know of the second coordinator",
        )
    assert len(Trust.load(lab.desk.home.identity).membership.anchors.of_kind("issuer")) == 2

    # What is decided at the first is known at the second.
    await lab.desk.run("revoke", "gone")
    await until(
        lambda: (
            Trust.load(lab.devices["gone"].home.identity).certificate.subject
            in Trust.load(kitchen.home.root / "coordinator" / "identity").membership.revoked
        ),
        "the second coordinator to hear of the removal",
    )

    await lab.desk.kill()
    await until(lambda: "cellar" in alive(kitchen), "cellar at the second coordinator")
    said = await kitchen.run("call", "device.echo", "text=I took over", "--on", "cellar")
    assert said[-1]["state"] == "succeeded"
    assert Trust.load(lab.devices["cellar"].home.identity).certificate == before
    assert "gone" not in alive(kitchen)


async def test_the_owner_gets_a_new_key_and_the_old_one_counts_no_more(lab: Lab, tmp_path: Path) -> None:
    kit = tmp_path / "sheet.txt"
    lab.desk.home.recovery_kit.rename(kit)
    await lab.add("kitchen")
    old = (lab.desk.home.owner / "owner.key").read_bytes()
    with pytest.raises(KindmeshError):
        await lab.desk.run("recover", str(kit), "--rotate-owner")  # it runs
    await lab.desk.down()
    lab.desk._env["KINDMESH_NEW_PASSPHRASE"] = "another passphrase"
    await lab.desk.run("recover", str(kit), "--rotate-owner", "--new-passphrase")
    lab.desk._env["KINDMESH_PASSPHRASE"] = "another passphrase"
    checked = await lab.desk.run("recover", str(lab.desk.home.recovery_kit), "--check")
    assert checked[-1]["ok"]
    await lab.desk.up()
    await lab.alive("kitchen")
    new = (lab.desk.home.owner / "owner.key").read_bytes()
    (lab.desk.home.owner / "owner.key").write_bytes(old)
    lab.desk._env["KINDMESH_PASSPHRASE"] = lab.environment["KINDMESH_PASSPHRASE"]
    with pytest.raises(CertificateRefused):
        await lab.desk.run("revoke", "kitchen")
    (lab.desk.home.owner / "owner.key").write_bytes(new)
    lab.desk._env["KINDMESH_PASSPHRASE"] = "another passphrase"
    await lab.desk.run("revoke", "kitchen")
    assert "kitchen" not in {node["name"] for node in ask(lab.desk, "nodes")}


async def test_the_kit_of_another_mesh_is_refused(lab: Lab, tmp_path: Path) -> None:
    await lab.add("kitchen")
    other = lab.device("other")
    kit = tmp_path / "other.txt"
    await other.run("init", "--kit", str(kit))
    await lab.devices["kitchen"].down()
    await lab.desk.down()
    with pytest.raises(InvalidInput):
        await lab.devices["kitchen"].run("recover", str(kit), "--second")
    lab.desk.home.recovery_kit.unlink()
    with pytest.raises(InvalidInput):
        await lab.desk.run("recover", str(kit), "--rotate-owner")
    assert not (lab.devices["kitchen"].home.coordinator / "identity").exists()
    await lab.desk.up()
    await lab.devices["kitchen"].up()
    await lab.alive("kitchen")
