"""DatasetService: files in, inspected, named by content."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from automl.spec import AutoMLError, InvalidInput, Violation
from automl_protos.v1 import dataset_service_pb2 as pb
from automl_protos.v1 import dataset_service_pb2_grpc
from automl_server import converters, errors, pages
from automl_server import resource_names as names
from automl_server.content import ContentStore
from automl_server.inspection import Inspector
from automl_server.store import Store, datasets
from automl_server.store.datasets import DatasetRecord
from automl_server.uploads import Chunk, Uploads

_PAGE_SIZE = 50
DRAIN_MESSAGES = 16
DRAIN_S = 1.0


class DatasetService(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self, store: Store, content: ContentStore, uploads: Uploads, inspector: Inspector):
        self._store = store
        self._content = content
        self._uploads = uploads
        self._inspector = inspector
        self._being_made: dict[names.Dataset, asyncio.Lock] = {}

    async def CreateUpload(self, request: pb.CreateUploadRequest, context: Any) -> pb.CreateUploadResponse:
        project = names.Project.parent(request.parent)
        found = list(_upload_faults(request.upload))
        if found:
            raise InvalidInput(found)
        record = await self._uploads.create(
            project.project, request.upload.filename, request.upload.size_bytes, request.upload.sha256.lower()
        )
        return pb.CreateUploadResponse(upload=converters.upload(record))

    async def WriteUpload(
        self, request_iterator: AsyncIterator[pb.WriteUploadRequest], context: Any
    ) -> pb.WriteUploadResponse:
        first = await anext(request_iterator, None)
        if first is None:
            raise InvalidInput.at("name", "the first message of the stream must name the upload", reason="NAME_MISSING")
        name = names.Upload.parse(first.name)
        try:
            record = await self._uploads.write(name, _chunks(first, request_iterator))
        except AutoMLError:
            await _drain(request_iterator)
            raise
        return pb.WriteUploadResponse(upload=converters.upload(record))

    async def GetUpload(self, request: pb.GetUploadRequest, context: Any) -> pb.GetUploadResponse:
        record = await self._uploads.get(names.Upload.parse(request.name))
        return pb.GetUploadResponse(upload=converters.upload(record))

    async def CreateDataset(self, request: pb.CreateDatasetRequest, context: Any) -> pb.CreateDatasetResponse:
        project = names.Project.parent(request.parent)
        upload_name = names.Upload.parse(request.upload, "upload")
        if upload_name.project != project.project:
            raise InvalidInput.at(
                "upload", f"expected an upload of {project}, got one of another project", reason="OTHER_PROJECT"
            )
        if len(request.display_name) > converters.MAX_TEXT:
            raise InvalidInput.at("display_name", f"expected at most {converters.MAX_TEXT} characters", reason="TOO_LONG")
        upload = await self._uploads.get(upload_name)
        if not upload.complete:
            raise errors.FailedPrecondition(
                f"{upload_name} has {upload.committed_size} of {upload.size_bytes} bytes: send the rest first.",
                reason="UPLOAD_INCOMPLETE",
                metadata={"committed_size": str(upload.committed_size)},
            )
        id = names.check_id(request.dataset_id, "dataset_id") if request.dataset_id else _id_of_file(upload.filename)
        name = names.Dataset(project.project, id, upload.sha256[:16])
        has_header = request.has_header if request.HasField("has_header") else None
        async with self._one_at_a_time(name):
            there = await self._store.read(datasets.get, name)
            if there is None:
                info = await self._inspector.inspect(self._content.path(upload.sha256), upload.filename, has_header)
                there = await self._store.write(
                    datasets.insert,
                    DatasetRecord(
                        project=project.project,
                        id=id,
                        version=name.version or "",
                        sha256=upload.sha256,
                        size_bytes=upload.size_bytes,
                        filename=upload.filename,
                        display_name=request.display_name or upload.filename,
                        has_header=has_header,
                        info=info,
                        create_time=time.time(),
                    ),
                )
        if there.sha256 != upload.sha256 or (has_header is not None and there.info.has_header != has_header):
            raise errors.AlreadyExists(
                f"{name} is there and was read otherwise (with has_header {there.info.has_header}). Give it another "
                "dataset_id.",
                reason="DATASET_DIFFERS",
            )
        return pb.CreateDatasetResponse(dataset=converters.dataset(there))

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Any) -> pb.GetDatasetResponse:
        name = names.Dataset.parse(request.name)
        record = await self._store.read(datasets.get, name)
        if record is None:
            raise errors.NotFound(f"There is no data set {name}.")
        return pb.GetDatasetResponse(dataset=converters.dataset(record))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Any) -> pb.ListDatasetsResponse:
        project = names.Project.parent(request.parent)
        listing, rows = f"{project}/datasets", pages.size(request.page_size, _PAGE_SIZE)
        found = await self._store.read(datasets.page, project.project, pages.place(listing, request.page_token), rows + 1)
        page, after = pages.cut(found, rows, listing, lambda record: record.number or 0)
        return pb.ListDatasetsResponse(datasets=[converters.dataset(r, whole=False) for r in page], next_page_token=after)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Any) -> pb.DeleteDatasetResponse:
        name = names.Dataset.parse(request.name)
        if name.version is None:
            raise InvalidInput.at("name", f"expected one version's name with its @, got {name}", reason="VERSION_MISSING")
        record = await self._store.write(datasets.delete, name)
        await self._uploads.drop_content(record.sha256)
        return pb.DeleteDatasetResponse()

    @contextlib.asynccontextmanager
    async def _one_at_a_time(self, name: names.Dataset) -> AsyncIterator[None]:
        """Calls that make the same version inspect it once."""
        lock = self._being_made.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._being_made.pop(name, None)


def _upload_faults(upload: pb.Upload) -> list[Violation]:
    found = []
    plain = (
        0 < len(upload.filename) <= 255
        and upload.filename not in (".", "..")
        and not re.search(r"[/\\\x00-\x1f\x7f]", upload.filename)
    )
    if not plain:
        found.append(
            Violation(
                field="upload.filename",
                message=f"expected a file's name without folders and control characters, at most 255 "
                f"characters, got {upload.filename[:100]!r}",
                reason="INVALID_FILENAME",
            )
        )
    if upload.size_bytes < 1:
        found.append(
            Violation(
                field="upload.size_bytes",
                message=f"expected at least 1 byte, got {upload.size_bytes}",
                remedy="An empty file holds nothing to learn from.",
                reason="EMPTY",
            )
        )
    if not re.fullmatch(r"[0-9a-fA-F]{64}", upload.sha256):
        found.append(
            Violation(
                field="upload.sha256",
                message=f"expected 64 hexadecimal digits, got {upload.sha256[:80]!r}",
                reason="INVALID_SHA256",
            )
        )
    return found


async def _chunks(first: pb.WriteUploadRequest, rest: AsyncIterator[pb.WriteUploadRequest]) -> AsyncIterator[Chunk]:
    if first.data:
        yield Chunk(first.offset, first.data, first.crc32c)
    async for message in rest:
        yield Chunk(message.offset, message.data, message.crc32c)


async def _drain(messages: AsyncIterator[pb.WriteUploadRequest]) -> None:
    """Reads a little of what a client still sends: one that is cut off in the middle of a message sees a broken stream
    (INTERNAL) in place of the reason for which the call ended."""
    try:
        async with asyncio.timeout(DRAIN_S):
            for _ in range(DRAIN_MESSAGES):
                if await anext(messages, None) is None:
                    return
    except TimeoutError:
        return


def _id_of_file(filename: str) -> str:
    """Without its endings: adult-income for "Adult income.csv.gz"."""
    stem = filename
    endings = r"\.(gz|zip|csv|tsv|txt|parquet|npz|idx|tar|tgz|ts|tfrecords?)$"
    while (shorter := re.sub(endings, "", stem, flags=re.IGNORECASE)) != stem:
        stem = shorter
    return names.slug(stem, "data")
