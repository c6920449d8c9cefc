"""How the Heart asks the real Medulla, and what it hears when nobody is there."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from tests.coordinator.test_medulla_process import Mesh

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.messages import Verdict
from kindmesh.coordinator.heart.medulla_client import MedullaReviewer
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import KindmeshError, NotRunning, PermitUsed
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.policy import ApprovalRequest

Answer = Verdict | KindmeshError


async def ask(reviewer: MedullaReviewer, mesh: Mesh, operation: str) -> Answer:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    reviewer.ask(mesh.request(operation), answered.set_result)
    assert not answered.done()
    return await asyncio.wait_for(answered, 10)


async def test_the_real_medulla_permits_asks_and_takes_the_answer(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    client = MedullaClient(mesh.path)
    reviewer = MedullaReviewer(client)
    with mesh.running(), closing(client):
        await reviewer.advertise(mesh.advert().advert)
        verdict = await ask(reviewer, mesh, "notes.list")
        assert isinstance(verdict, Verdict)
        assert verdict.permit is not None
        assert decode(Permit, verdict.permit.payload).operation == "notes.list"
        verdict = await ask(reviewer, mesh, "notes.append")
        assert isinstance(verdict, Verdict)
        if (await client.status()).isolation == "none":
            # What this system offers does not keep Medulla apart: nothing beyond {read, notify}, whoever says yes.
            assert verdict.answer == "deny"
            return
        assert verdict.answer == "ask"
        assert decode(ApprovalRequest, verdict.request).operation == "notes.append"
        yes = mesh.owner().sign_approval(verdict.request, allow=True)
        assert (await reviewer.approve(yes)).permit is not None
        with pytest.raises(PermitUsed):
            await reviewer.approve(yes)


async def test_without_medulla_the_answer_is_an_error_and_never_a_yes(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    reviewer = MedullaReviewer(MedullaClient(mesh.path))
    assert isinstance(await ask(reviewer, mesh, "notes.list"), NotRunning)
    with pytest.raises(NotRunning):
        await reviewer.advertise(mesh.advert().advert)


async def test_what_was_not_answered_when_it_closes_is_never_answered(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    reviewer = MedullaReviewer(MedullaClient(mesh.path))
    answers: list[Answer] = []
    reviewer.ask(mesh.request("notes.list"), answers.append)
    await reviewer.close()
    assert answers == []
