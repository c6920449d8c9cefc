"""Artifacts: whole or not visible, sealed at rest, verified, resumable, within limits."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindmesh.mesh.artifact_file import HEADER, SLOT, stored_size
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.protocol.errors import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactMissing,
    ArtifactTooLarge,
    DiskFull,
    InternalError,
    InvalidInput,
    KindmeshError,
    QuotaExceeded,
    StoreError,
)
from kindmesh.protocol.limits import ARTIFACT_CHUNK

KEY = bytes(range(32))
LARGE = os.urandom(3 * ARTIFACT_CHUNK + 1000)
LARGE_ID = hashlib.sha256(LARGE).digest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def store(folder: Path) -> ArtifactStore:
    return ArtifactStore.open(folder, KEY)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_id_is_the_hash_of_what_it_says(store: ArtifactStore, folder: Path) -> None:
    info = store.put(LARGE, "image/jpeg")
    assert info.id == LARGE_ID
    assert (info.size, info.media_type) == (len(LARGE), "image/jpeg")
    assert info.stored_bytes == stored_size(len(LARGE)) == store.used_bytes
    assert store.stat(info.id) == info
    assert store.list() == [info]
    assert store.has(info.id)
    assert files(folder) == [f"objects/{info.id.hex()}"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*")} == {0o600, 0o700}


def test_nothing_readable_lies_on_disk(store: ArtifactStore, folder: Path) -> None:
    info = store.put(b"Dear Ada, " * 100_000, "text/plain")
    raw = (folder / "objects" / info.id.hex()).read_bytes()
    assert b"Dear Ada" not in raw
    assert b"text/plain" not in raw
    other = ArtifactStore.open(folder, bytes(32))
    with pytest.raises(ArtifactDamaged, match="another folder"):
        other.read(info.id)
    assert other.list() == []


def test_the_same_bytes_are_kept_once(store: ArtifactStore, folder: Path) -> None:
    first = store.put(LARGE)
    assert store.put(LARGE).modified_ms == first.modified_ms
    assert len(files(folder)) == 1
    assert store.used_bytes == first.stored_bytes


EDGES = [0, 1, ARTIFACT_CHUNK - 1, ARTIFACT_CHUNK, ARTIFACT_CHUNK + 1, 2 * ARTIFACT_CHUNK]


@settings(max_examples=40)
@given(
    size=st.one_of(st.sampled_from(EDGES), st.integers(0, 3 * ARTIFACT_CHUNK)),
    pieces=st.lists(st.integers(1, 2 * ARTIFACT_CHUNK), max_size=6),
    reads=st.lists(
        st.tuples(st.integers(0, 4 * ARTIFACT_CHUNK), st.integers(0, 4 * ARTIFACT_CHUNK)), max_size=4
    ),
)
def test_any_division_into_pieces_gives_the_same_artifact(
    size: int, pieces: list[int], reads: list[tuple[int, int]]
) -> None:
    data = LARGE[:size]
    with tempfile.TemporaryDirectory() as name:
        store = ArtifactStore.open(Path(name) / "artifacts", KEY)
        with store.writer() as writer:
            place = 0
            for piece in [*pieces, size]:
                writer.write(data[place : place + piece])
                place = min(place + piece, size)
                assert writer.offset == place
            info = writer.finish()
        assert info.id == hashlib.sha256(data).digest()
        assert info.size == size
        store.verify(info.id)
        for offset, length in reads:
            assert store.read(info.id, offset, length) == data[offset : offset + length]
        assert ArtifactStore.open(Path(name) / "artifacts", KEY).used_bytes == store.used_bytes


def test_files_go_in_and_come_out(store: ArtifactStore, tmp_path: Path) -> None:
    source, target = tmp_path / "letter.jpg", tmp_path / "copy.jpg"
    source.write_bytes(LARGE)
    info = store.put_file(source, "image/jpeg")
    assert store.export(info.id, target) == info
    assert target.read_bytes() == LARGE
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(InvalidInput) as caught:
        store.put_file(tmp_path / "nowhere.jpg")
    assert caught.value.field == "path"
    with pytest.raises(InvalidInput):
        store.put_file(tmp_path)
    with pytest.raises(StoreError):
        store.export(info.id, tmp_path / "nowhere" / "copy.jpg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["artifacts", "copy.jpg", "letter.jpg"]


async def test_long_work_has_async_forms(store: ArtifactStore, tmp_path: Path) -> None:
    source, target = tmp_path / "letter.jpg", tmp_path / "copy.jpg"
    source.write_bytes(LARGE)
    info = await store.put_file_async(source, "image/jpeg")
    await store.export_async(info.id, target)
    assert target.read_bytes() == LARGE
    writer = await store.resume_async(hashlib.sha256(b"other").digest())
    writer.write(b"other")
    assert writer.finish().size == 5


def test_an_unfinished_artifact_is_not_there(store: ArtifactStore, folder: Path) -> None:
    with store.writer() as writer:
        writer.write(LARGE)
        assert store.list() == []
        assert not store.has(LARGE_ID)
    assert files(folder) == []
    assert store.used_bytes == 0
    with pytest.raises(InternalError):
        writer.write(b"late")
    with pytest.raises(ArtifactMissing):
        store.read(LARGE_ID)


def test_what_a_dead_process_left_without_a_name_is_removed(store: ArtifactStore, folder: Path) -> None:
    store.writer().write(LARGE)
    assert len(files(folder)) == 1
    again = ArtifactStore.open(folder, KEY)
    assert files(folder) == []
    assert again.used_bytes == 0


def test_bytes_that_are_not_the_expected_ones_leave_nothing(store: ArtifactStore, folder: Path) -> None:
    writer = store.writer(expected=LARGE_ID)
    writer.write(LARGE[:-1] + b"?")
    with pytest.raises(ArtifactDamaged, match="asked for"):
        writer.finish()
    assert files(folder) == []
    assert store.used_bytes == 0


def test_a_broken_transfer_goes_on_where_it_stopped(store: ArtifactStore, folder: Path) -> None:
    with store.writer("audio/wav", expected=LARGE_ID) as writer:
        writer.write(LARGE[: 2 * ARTIFACT_CHUNK + 500])
    writer = ArtifactStore.open(folder, KEY).resume(LARGE_ID)
    assert writer.offset == 2 * ARTIFACT_CHUNK
    writer.write(LARGE[writer.offset :])
    info = writer.finish()
    assert (info.id, info.media_type) == (LARGE_ID, "audio/wav")
    assert files(folder) == [f"objects/{LARGE_ID.hex()}"]
    assert ArtifactStore.open(folder, KEY).used_bytes == info.stored_bytes


def test_resuming_what_was_never_begun_begins_it(store: ArtifactStore) -> None:
    writer = store.resume(LARGE_ID, "audio/wav", size=len(LARGE))
    assert writer.offset == 0
    writer.write(LARGE)
    assert writer.finish().media_type == "audio/wav"


@pytest.mark.parametrize(("place", "kept"), [(HEADER - 5, 0), (HEADER + 50, 0), (HEADER + SLOT + 50, 1)])
def test_resuming_keeps_nothing_from_a_changed_chunk_on(
    store: ArtifactStore, folder: Path, place: int, kept: int
) -> None:
    with store.writer(expected=LARGE_ID) as writer:
        writer.write(LARGE)
    flip(folder / "partial" / LARGE_ID.hex(), place)
    store = ArtifactStore.open(folder, KEY)
    writer = store.resume(LARGE_ID)
    assert writer.offset == kept * ARTIFACT_CHUNK
    writer.write(LARGE[writer.offset :])
    info = writer.finish()
    store.verify(info.id)
    assert store.used_bytes == info.stored_bytes


def test_one_writer_at_a_time_for_one_artifact(store: ArtifactStore) -> None:
    writer = store.writer(expected=LARGE_ID)
    with pytest.raises(ArtifactError, match="already"):
        store.resume(LARGE_ID)
    assert not store.delete(LARGE_ID), "not while it is being written"
    writer.abort()
    store.resume(LARGE_ID).abort(keep=False)


KILLED = textwrap.dedent(
    """
    import hashlib, os, sys
    from pathlib import Path
    from kindmesh.mesh.artifacts import ArtifactStore

    store = ArtifactStore.open(Path(sys.argv[1]), bytes(range(32)))
    data = Path(sys.argv[2]).read_bytes()
    writer = store.resume(hashlib.sha256(data).digest())
    print(writer.offset, flush=True)
    while sys.stdin.readline():
        writer.write(data[writer.offset : writer.offset + 50_000])
        print(writer.offset, flush=True)
    """
)


def test_a_transfer_survives_kill_9(folder: Path, tmp_path: Path) -> None:
    data = os.urandom(6 * ARTIFACT_CHUNK)
    source = tmp_path / "source"
    source.write_bytes(data)
    begun_at = []
    for pieces in (8, 10, 6):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, folder, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            begun_at.append(int(process.stdout.readline()))
            for _ in range(pieces):
                process.stdin.write(b"next\n")
                process.stdin.flush()
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
    store = ArtifactStore.open(folder, KEY)
    assert store.list() == []
    writer = store.resume(hashlib.sha256(data).digest())
    assert [offset // ARTIFACT_CHUNK for offset in (*begun_at, writer.offset)] == [0, 1, 2, 3]
    writer.write(data[writer.offset :])
    assert store.read(writer.finish().id, 0, len(data)) == data


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def flip_header(path: Path) -> None:
    flip(path, 100)


def flip_magic(path: Path) -> None:
    flip(path, 0)


def flip_chunk(path: Path) -> None:
    flip(path, HEADER + SLOT + 1000)


def flip_last(path: Path) -> None:
    flip(path, path.stat().st_size - 1)


def drop_last_chunk(path: Path) -> None:
    os.truncate(path, HEADER + 3 * SLOT)


def drop_a_byte(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def add_a_chunk(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(SLOT))


def swap_chunks(path: Path) -> None:
    raw = path.read_bytes()
    first, second = raw[HEADER : HEADER + SLOT], raw[HEADER + SLOT : HEADER + 2 * SLOT]
    path.write_bytes(raw[:HEADER] + second + first + raw[HEADER + 2 * SLOT :])


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    "damage",
    [
        flip_header,
        flip_magic,
        flip_chunk,
        flip_last,
        drop_last_chunk,
        drop_a_byte,
        add_a_chunk,
        swap_chunks,
        empty,
    ],
)
def test_a_changed_file_is_never_taken_for_the_artifact(
    store: ArtifactStore, folder: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store.put(LARGE)
    damage(folder / "objects" / LARGE_ID.hex())
    target = tmp_path / "copy"
    for use in (
        lambda: store.read(LARGE_ID, 0, len(LARGE)),
        lambda: store.verify(LARGE_ID),
        lambda: store.export(LARGE_ID, target),
    ):
        with pytest.raises(ArtifactDamaged):
            use()
    assert [p.name for p in tmp_path.iterdir()] == ["artifacts"]


def test_another_artifacts_file_is_not_this_one(store: ArtifactStore, folder: Path) -> None:
    store.put(LARGE)
    other = store.put(LARGE[::-1])
    os.replace(folder / "objects" / other.id.hex(), folder / "objects" / LARGE_ID.hex())
    with pytest.raises(ArtifactDamaged):
        store.read(LARGE_ID)


def test_a_damaged_artifact_is_replaced_by_a_sound_one(store: ArtifactStore, folder: Path) -> None:
    store.put(LARGE)
    drop_a_byte(folder / "objects" / LARGE_ID.hex())
    store.put(LARGE)
    store.verify(LARGE_ID)


def test_an_artifact_that_is_too_large_is_refused(store: ArtifactStore, folder: Path) -> None:
    small = ArtifactStore.open(folder, KEY, max_bytes=300_000)
    with pytest.raises(ArtifactTooLarge, match="300000"):
        small.writer(size=300_001)
    writer = small.writer(expected=LARGE_ID)
    writer.write(LARGE[:299_999])
    with pytest.raises(ArtifactTooLarge):
        writer.write(b"ab")
    assert files(folder) == []
    assert small.used_bytes == 0
    assert small.put(LARGE[:300_000]).size == 300_000


def test_the_quota_covers_all_of_them(folder: Path, tmp_path: Path) -> None:
    store = ArtifactStore.open(folder, KEY, quota=stored_size(len(LARGE)) + 5000)
    store.put(LARGE)
    source = tmp_path / "more"
    source.write_bytes(LARGE[::-1])
    with pytest.raises(QuotaExceeded):
        store.put_file(source)
    writer = store.writer()
    with pytest.raises(QuotaExceeded) as caught:
        writer.write(LARGE[::-1])
    assert "Delete" in caught.value.hint
    assert len(files(folder)) == 1
    assert store.delete(LARGE_ID)
    assert store.used_bytes == 0
    store.put_file(source)


def test_deleting_overwrites_the_key_first(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    store.put(LARGE)
    os.link(folder / "objects" / LARGE_ID.hex(), tmp_path / "kept")
    assert store.delete(LARGE_ID)
    assert not store.has(LARGE_ID)
    assert not store.delete(LARGE_ID)
    assert (tmp_path / "kept").read_bytes()[:HEADER] == bytes(HEADER)
    with store.writer(expected=LARGE_ID) as writer:
        writer.write(LARGE)
    assert store.delete(LARGE_ID)
    assert files(folder) == []
    assert store.used_bytes == 0


def test_a_full_disk_leaves_nothing_half_visible(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * ARTIFACT_CHUNK, before[1]))
    try:
        with pytest.raises(DiskFull):
            store.put_file(source)
        with pytest.raises(DiskFull):
            store.put(LARGE)
        writer = store.writer(expected=LARGE_ID)
        with pytest.raises(DiskFull):
            writer.write(LARGE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.list() == []
    assert files(folder) == [f"partial/{LARGE_ID.hex()}"]
    assert store.used_bytes == HEADER + SLOT
    writer = store.resume(LARGE_ID)
    assert writer.offset == ARTIFACT_CHUNK
    writer.write(LARGE[writer.offset :])
    writer.finish()


def test_a_full_disk_while_exporting_leaves_no_file(store: ArtifactStore, tmp_path: Path) -> None:
    store.put(LARGE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ARTIFACT_CHUNK, before[1]))
    try:
        with pytest.raises(DiskFull):
            store.export(LARGE_ID, tmp_path / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["artifacts"]


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.writer("not a media type"),
        lambda store: store.writer("text/" + "x" * 200),
        lambda store: store.writer(expected=b"short"),
        lambda store: store.resume(b""),
        lambda store: store.read(b""),
        lambda store: store.read(LARGE_ID, -1),
        lambda store: store.read(LARGE_ID, 0, -1),
        lambda store: store.read(LARGE_ID),
        lambda store: store.stat(LARGE_ID),
        lambda store: store.verify(LARGE_ID),
    ],
)
def test_bad_input_is_a_typed_error(store: ArtifactStore, use: Callable[[ArtifactStore], object]) -> None:
    with pytest.raises(KindmeshError) as caught:
        use(store)
    assert isinstance(caught.value, (InvalidInput, ArtifactMissing))
