"""ModelService: what jobs returned, and the bytes of the artifacts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import google_crc32c

from automl.catalog import entries
from automl.spec import InvalidInput
from automl_protos.v1 import model_service_pb2 as pb
from automl_protos.v1 import model_service_pb2_grpc
from automl_server import converters, errors, pages
from automl_server import resource_names as names
from automl_server.content import ContentStore
from automl_server.exporting import Exporter
from automl_server.kits import Kits
from automl_server.store import Store, models
from automl_server.store.models import ModelVersionRecord

_PAGE_SIZE = 50


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, store: Store, content: ContentStore, kits: Kits, exporter: Exporter):
        self._store = store
        self._content = content
        self._kits = kits
        self._exporter = exporter

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        project = names.Project.parent(request.parent)
        listing, rows = f"{project}/models", pages.size(request.page_size, _PAGE_SIZE)
        found = await self._store.read(models.page, project.project, pages.place(listing, request.page_token), rows + 1)
        page, after = pages.cut(found, rows, listing, lambda record: record.number)
        return pb.ListModelsResponse(models=map(converters.model, page), next_page_token=after)

    async def GetModelVersion(self, request: pb.GetModelVersionRequest, context: Any) -> pb.GetModelVersionResponse:
        record = await self._version(names.ModelVersion.parse(request.name))
        return pb.GetModelVersionResponse(model_version=converters.model_version(record))

    async def ExportArtifact(self, request: pb.ExportArtifactRequest, context: Any) -> pb.ExportArtifactResponse:
        record = await self._version(names.ModelVersion.parse(request.name))
        if request.max_size_bytes < 0:
            message = f"expected at least 1, or 0 for no limit, got {request.max_size_bytes}"
            raise InvalidInput.at("max_size_bytes", message, reason="OUT_OF_RANGE")
        if not (request.max_latency_ms >= 0 and math.isfinite(request.max_latency_ms)):
            message = f"expected milliseconds, or 0 for no limit, got {request.max_latency_ms}"
            raise InvalidInput.at("max_latency_ms", message, reason="OUT_OF_RANGE")
        check_format(request.format, request.precision)
        made = await self._exporter.export(
            record, format=request.format, precision=request.precision, max_size_bytes=request.max_size_bytes or None,
            tolerance=request.tolerance if request.HasField("tolerance") else None,
            max_latency_ms=request.max_latency_ms or None, retarget=request.retarget,
        )
        return pb.ExportArtifactResponse(artifact=converters.artifact(record.name, made))

    async def DeleteModelKit(self, request: pb.DeleteModelKitRequest, context: Any) -> pb.DeleteModelKitResponse:
        record = await self._version(names.ModelVersion.parse(request.name))
        if not await asyncio.to_thread(self._kits.remove, record.name):
            raise errors.NotFound(f"Nothing is kept of {record.name} beside its artifacts.")
        return pb.DeleteModelKitResponse()

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        name = names.Artifact.parse(request.name)
        record = await self._version(name.model_version)
        artifact = next((a for a in record.artifacts if a.id == name.artifact), None)
        if artifact is None:
            raise errors.NotFound(
                f"{record.name} has no artifact {name.artifact}; it has {', '.join(a.id for a in record.artifacts)}."
            )
        if request.offset < 0:
            raise InvalidInput.at(
                "offset", f"expected 0 to {artifact.size_bytes}, got {request.offset}", reason="OUT_OF_RANGE"
            )
        if request.offset > artifact.size_bytes:
            raise errors.OutOfRange(
                f"{name} has {artifact.size_bytes} bytes; there is nothing at {request.offset}.",
                metadata={"size_bytes": str(artifact.size_bytes)},
            )
        chunks = self._content.read(artifact.sha256, artifact.size_bytes, request.offset)
        try:
            while (piece := await asyncio.to_thread(next, chunks, None)) is not None:
                offset, data = piece
                yield pb.DownloadArtifactResponse(offset=offset, data=data, crc32c=google_crc32c.value(data))
        finally:
            chunks.close()

    async def _version(self, name: names.ModelVersion) -> ModelVersionRecord:
        record = await self._store.read(models.get, name)
        if record is None:
            raise errors.NotFound(f"There is no model version {name}.")
        return record


def check_format(format: str, precision: str) -> None:
    """Raises `InvalidInput` for a format or precision that there isn't, or that this machine can't write."""
    if format not in entries.formats:
        raise InvalidInput.at("format", entries.formats.unknown(format), reason="UNKNOWN_ID")
    entry = entries.formats[format]
    if precision and precision not in entry.precisions:
        message = f"{format} comes in {', '.join(entry.precisions)}, not in {precision}"
        raise InvalidInput.at("precision", message, reason="UNKNOWN_PRECISION")
    if lacking := entry.lacking:
        raise InvalidInput.at("format", lacking, reason="FORMAT_UNAVAILABLE")
