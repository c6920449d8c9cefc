"""The papers' endpoint and renewals: what a stranger gets there, and what a member may not become."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import pytest_asyncio
from tests.security.adversary import CLOCK, ENTROPY, fresh_key, member, open_tcp, utter, written
from tests.security.kit import Watch, canary, household, id_of, within
from tests.support.household import Household
from tests.system.kit import Mole

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.papers import PORT_AFTER_MESH, ask_papers
from kindmesh.protocol.certificate import Renewal, sign_renewal
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import KindmeshError, PeerUnreachable
from kindmesh.protocol.messages import MessageType, Renew, Renewed
from kindmesh.protocol.papers import PAPERS_ASK, PAPERS_MAX, MeshPapers
from kindmesh.protocol.signed import Signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, and a member that wants to be more."""
    async with household(tmp_path_factory.mktemp("papers"), "mole") as lab:
        yield lab


async def asked(port: int, question: bytes) -> bytes:
    """What the endpoint answers, up to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(question)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def test_papers_are_not_for_who_does_not_know_the_mesh(lab: Lab) -> None:
    port = lab.port + PORT_AFTER_MESH
    mesh = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust.mesh
    async with canary(lab):
        for question in (
            PAPERS_ASK + b"m" * 20,
            PAPERS_ASK[:-1] + b"X" + mesh,
            b"GET / HTTP/1.1\r\n\r\n" + bytes(64),
        ):
            assert await asked(port, question) == b""
        # Who knows it learns who decides and who coordinates: no member, no address of one, no policy.
        found = await ask_papers(f"127.0.0.1:{port}", mesh)
        assert [certificate.name for certificate, _ in found.coordinators] == ["desk (coordinator)"]
        assert b"kitchen" not in encode(found.papers)


async def test_a_flood_at_the_papers(lab: Lab) -> None:
    """It answers nobody for a while; the mesh goes on, and so does the endpoint afterwards."""
    port = lab.port + PORT_AFTER_MESH
    mesh = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust.mesh
    opened = []
    async with canary(lab):
        try:
            opened = await open_tcp(port, 200)
            for writer in opened:
                writer.write(PAPERS_ASK[:5])
        finally:
            for writer in opened:
                writer.transport.abort()

        async def answers() -> bool:
            try:
                await ask_papers(f"127.0.0.1:{port}", mesh)
            except PeerUnreachable:
                return False
            return True

        await within(answers, "the papers are given again")


@asynccontextmanager
async def liar(say: Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[str]:
    """An endpoint that says something else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_an_endpoint_that_gives_papers_of_its_own(lab: Lab) -> None:
    mesh = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust.mesh
    stranger = Household(21, CLOCK.now_ms())
    stranger.add("desk", "coordinator")
    own = encode(MeshPapers(1, stranger.bundle, (stranger.certificates["desk"],), ()))
    lies: list[tuple[Callable[[asyncio.StreamWriter], None], str]] = [
        (lambda writer: writer.write(len(own).to_bytes(4, "big") + own), "CERTIFICATE_REFUSED"),
        (lambda writer: writer.write((PAPERS_MAX + 1).to_bytes(4, "big")), "MALFORMED"),
        (lambda writer: writer.write(b"\0\0\0\5" + b"\x91" * 5), "MALFORMED"),
        (lambda writer: writer.write(b"\0\0\1\0"), "PEER_UNREACHABLE"),
    ]
    for say, code in lies:
        async with liar(say) as address:
            with pytest.raises(KindmeshError) as caught:
                await ask_papers(address, mesh)
            assert caught.value.code == code


# ------------------------------------------------------------------------------------------------------ renewals


async def renewed(mole: Mole, signed: Signed) -> str:
    """The code of the answer to a renewal; empty when a certificate came. One that has to wait is said again."""
    heard: asyncio.Queue[Renewed] = asyncio.Queue()
    mole.uplink.on(MessageType.RENEWED, lambda _, body: heard.put_nowait(body))
    async with asyncio.timeout(30):
        while True:
            await utter(mole, written(mole, MessageType.RENEW, Renew(signed)))
            answer = await heard.get()
            code = answer.error.code if answer.error is not None else ""
            if code != "BUSY":
                return code
            await asyncio.sleep(0.2)


def wish(mole: Mole, key: SigningKey | None = None, **changes: object) -> Signed:
    own = mole.trust.certificate
    made = Renewal(own.mesh, own.subject, own.serial, CLOCK.now_ms())
    return sign_renewal(msgspec.structs.replace(made, **changes), key or mole.identity.signing)


async def test_a_renewal_for_another_device_or_serial(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        kitchen = id_of(lab, "kitchen")
        assert await renewed(mole, wish(mole, subject=kitchen)) != ""
        assert (
            await renewed(mole, msgspec.structs.replace(wish(mole, subject=kitchen), author=kitchen))
            == "BAD_SIGNATURE"
        )
        assert await renewed(mole, wish(mole, serial=2**50)) == "REPLAYED"
        assert await renewed(mole, wish(mole, mesh=b"m" * 20)) == "WRONG_DESTINATION"
        # Before its time it is answered with the certificate that there is: nothing becomes wider.
        before = {node["name"]: node["role"] for node in lab.ask("nodes")}
        assert await renewed(mole, wish(mole)) == ""
        assert {node["name"]: node["role"] for node in lab.ask("nodes")} == before


async def test_a_curve_key_of_another_device_as_ones_own(lab: Lab) -> None:
    """Who is allowed to have another's key in its certificate would be spoken to in its place."""
    victim = Identity.load(lab.devices["kitchen"].home.identity, ENTROPY, start=False).curve.public
    async with canary(lab), member(lab, "mole") as mole:
        for taken in (victim, mole.trust.coordinator.curve_pub):
            assert await renewed(mole, wish(mole, curve_pub=taken)) == "CERTIFICATE_REFUSED"
        assert await renewed(mole, wish(mole, curve_pub=b"short")) == "INVALID_INPUT"
        watch = Watch(lab)
        assert await renewed(mole, wish(mole, curve_pub=fresh_key().public)) == ""
        assert watch.refused() == {}
        assert "kitchen" in lab.states("alive")
