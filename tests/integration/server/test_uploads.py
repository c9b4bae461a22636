"""Uploads: durable, resumable, never more than declared, and nothing left behind by those that fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from automl_protos.v1 import dataset_service_pb2 as pb
from tests.integration.server.harness import Refused, Served, chunks, eventually, served

DATA = os.urandom(5 << 20)


async def test_chunks_make_a_complete_upload(server: Served) -> None:
    upload = await server.create_upload(DATA)
    assert (upload.committed_size, upload.complete) == (0, False)
    upload = await server.send(upload.name, DATA)
    assert (upload.committed_size, upload.complete) == (len(DATA), True)
    assert not list((server.data / "uploads").iterdir())


async def test_a_stream_that_was_cut_off_goes_on_at_the_committed_size(server: Served) -> None:
    upload = await server.create_upload(DATA)
    half = await server.send(upload.name, DATA[: 2 << 20])
    assert (half.committed_size, half.complete) == (2 << 20, False)
    again = await server.create_upload(DATA)
    assert (again.name, again.committed_size) == (upload.name, 2 << 20)
    assert (await server.send(upload.name, DATA, offset=2 << 20)).complete


async def test_what_came_before_the_caller_vanished_is_kept(server: Served) -> None:
    upload = await server.create_upload(DATA)
    stream = server.datasets.WriteUpload()
    for message in chunks(upload.name, DATA)[:3]:
        await stream.write(message)
    await committed(server, upload.name, 3 << 20)
    stream.cancel()

    async def is_committed() -> bool:
        return (await server.create_upload(DATA)).committed_size >= 3 << 20

    await eventually(is_committed)
    assert (await server.send(upload.name, DATA, offset=3 << 20)).complete


async def committed(server: Served, name: str, size_bytes: int) -> None:
    """Returns when so many bytes have come (they are in the file; the row follows at the next commit)."""
    part = server.data / "uploads" / f"default.{name.rpartition('/')[2]}.part"
    await eventually(lambda: part.exists() and part.stat().st_size >= size_bytes)


async def test_an_upload_survives_the_server(folder: Path) -> None:
    async with served(folder) as first:
        upload = await first.create_upload(DATA)
        await first.send(upload.name, DATA[: 3 << 20])
    part = folder / "data" / "uploads" / f"default.{upload.name.rpartition('/')[2]}.part"
    with part.open("ab") as file:
        file.write(b"written, but never said to be durable")
    (part.parent / "default.u-unknown.part").write_bytes(b"nobody knows this file")
    async with served(folder) as second:
        assert [p.name for p in part.parent.iterdir()] == [part.name]
        found = (await second.call(second.datasets.GetUpload, pb.GetUploadRequest(name=upload.name))).upload
        assert found.committed_size == 3 << 20
        assert (await second.send(upload.name, DATA, offset=3 << 20)).complete


async def test_bytes_that_the_project_has_are_not_sent_again(server: Served) -> None:
    await server.upload(DATA)
    known = await server.create_upload(DATA, filename="copy.csv")
    assert known.complete
    assert not (await server.create_upload(DATA, filename="copy.csv", parent="projects/other")).complete


async def refused(call: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


async def test_a_chunk_at_another_place_is_refused_with_the_committed_size(server: Served) -> None:
    upload = await server.create_upload(DATA)
    error = await refused(server.send(upload.name, DATA, offset=1 << 20))
    assert (error.code, error.reason, error.metadata) == (
        grpc.StatusCode.OUT_OF_RANGE,
        "OFFSET_MISMATCH",
        {"committed_size": "0"},
    )


async def test_a_damaged_chunk_is_refused(server: Served) -> None:
    upload = await server.create_upload(DATA)
    [message, *_] = chunks(upload.name, DATA)
    message.crc32c ^= 1
    error = await refused(server.call(server.datasets.WriteUpload, iter([message])))
    assert (error.code, error.reasons) == (grpc.StatusCode.INVALID_ARGUMENT, {"crc32c": "CHECKSUM_MISMATCH"})


async def test_a_wrong_hash_removes_the_upload_and_its_bytes(server: Served) -> None:
    upload = await server.create_upload(DATA, sha256="0" * 64)
    error = await refused(server.send(upload.name, DATA))
    assert (error.code, error.reasons) == (grpc.StatusCode.INVALID_ARGUMENT, {"upload.sha256": "SHA256_MISMATCH"})
    error = await refused(server.call(server.datasets.GetUpload, pb.GetUploadRequest(name=upload.name)))
    assert error.code == grpc.StatusCode.NOT_FOUND
    assert not list((server.data / "uploads").iterdir())
    assert not [p for p in (server.data / "content").rglob("*") if p.is_file()]


async def test_more_bytes_than_declared_are_refused(server: Served) -> None:
    upload = await server.create_upload(DATA, size_bytes=1000)
    error = await refused(server.send(upload.name, DATA))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SIZE_EXCEEDED")
    assert sum(p.stat().st_size for p in (server.data / "uploads").iterdir()) == 0


async def test_chunks_are_at_most_a_mebibyte(server: Served) -> None:
    upload = await server.create_upload(DATA)
    error = await refused(server.send(upload.name, DATA, chunk=(1 << 20) + 1))
    assert (error.code, error.reasons) == (grpc.StatusCode.INVALID_ARGUMENT, {"data": "TOO_LARGE"})


async def test_a_message_beyond_the_limit_is_refused(server: Served) -> None:
    upload = await server.create_upload(DATA)
    error = await refused(server.send(upload.name, DATA, chunk=5 << 20))
    assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_beyond_the_limit_is_refused(server: Served) -> None:
    request = pb.GetUploadRequest(name="projects/default/uploads/u")
    error = await refused(server.call(server.datasets.GetUpload, request, metadata=(("x-large", "a" * 65536),)))
    assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_that_falls_silent_is_ended(folder: Path) -> None:
    async with served(folder, upload_silence_s=0.2) as server:
        upload = await server.create_upload(DATA)

        async def silent() -> AsyncIterator[Any]:
            yield chunks(upload.name, DATA)[0]
            await asyncio.Event().wait()

        error = await refused(server.call(server.datasets.WriteUpload, silent()))
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPLOAD_SILENT")
        assert (await server.create_upload(DATA)).committed_size == 1 << 20


async def test_a_silent_stream_gives_way(folder: Path) -> None:
    async with served(folder, upload_takeover_s=0.2) as server:
        upload = await server.create_upload(DATA)
        older = server.datasets.WriteUpload()
        await older.write(chunks(upload.name, DATA)[0])
        await committed(server, upload.name, 1 << 20)
        assert (await server.send(upload.name, DATA)).complete
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await older
        assert caught.value.code() == grpc.StatusCode.ABORTED


async def test_callers_with_the_same_file_all_find_it_complete(server: Served) -> None:
    assert all(u.complete for u in await asyncio.gather(*(server.upload(DATA) for _ in range(5))))


async def test_a_hundred_uploads_at_once(server: Served) -> None:
    files = {f"f{i}.csv": b"a,b\n%d,2\n" % i for i in range(100)}
    done = await asyncio.gather(*(server.upload(data, name) for name, data in files.items()))
    assert all(u.complete for u in done)


async def test_quotas_name_their_limit(folder: Path) -> None:
    async with served(folder, max_unfinished_uploads=2, max_project_bytes=1000, max_upload_bytes=2000) as server:
        error = await refused(server.create_upload(b"x" * 3000))
        assert error.reasons == {"upload.size_bytes": "TOO_LARGE"}
        error = await refused(server.create_upload(b"x" * 1500))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BYTES_QUOTA")
        for name in ("a", "b"):
            await server.create_upload(b"xyz", name)
        error = await refused(server.create_upload(b"xyz", "c"))
        assert (error.reason, error.metadata) == ("UPLOAD_QUOTA", {"limit": "2"})
        assert await server.create_upload(b"xyz", "c", parent="projects/other")


async def test_a_full_disk_is_said_before_the_bytes_come(folder: Path) -> None:
    async with served(folder, min_free_bytes=1 << 60) as server:
        error = await refused(server.create_upload(b"x"))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL")
        assert error.retry_after_s


@pytest.mark.parametrize("filename", ["", "../x.csv", "a/b.csv", "a\\b.csv", "a\nb.csv", "..", "x" * 300, "a\0.csv"])
async def test_every_fault_of_a_declaration_is_named_at_once(server: Served, filename: str) -> None:
    error = await refused(server.create_upload(b"", filename=filename, sha256="xyz"))
    assert set(error.reasons) == {"upload.filename", "upload.size_bytes", "upload.sha256"}
    assert error.domain == "automl"


async def test_a_stream_must_name_its_upload(server: Served) -> None:
    error = await refused(server.call(server.datasets.WriteUpload, iter([])))
    assert error.reasons == {"name": "NAME_MISSING"}
    error = await refused(server.send("projects/default/uploads/none", b"x"))
    assert error.code == grpc.StatusCode.NOT_FOUND


async def test_stale_uploads_expire(folder: Path) -> None:
    async with served(folder) as server:
        await server.send((await server.create_upload(DATA)).name, DATA[:100])
        await server.upload(b"a,b\n1,2\n", "complete.csv")
        dataset = await server.dataset()
    async with served(folder, upload_expiry_s=0.0) as server:
        assert not list((server.data / "uploads").iterdir())
        assert len([p for p in (server.data / "content").rglob("*") if p.is_file()]) == 1, "the data set's bytes stay"
        assert (await server.call(server.datasets.GetDataset, pb.GetDatasetRequest(name=dataset.name))).dataset == dataset
