"""CatalogService: the engine's declarations, listed, and what of them applies to some data."""

from __future__ import annotations

import asyncio
from typing import Any

from automl.catalog import applicability, devices, entries
from automl.spec import InvalidInput
from automl_protos.v1 import catalog_service_pb2 as pb
from automl_protos.v1 import catalog_service_pb2_grpc
from automl_server import converters, pages, specifications
from automl_server import resource_names as names
from automl_server.store import Store

_PAGE_SIZE = 1000


class CatalogService(catalog_service_pb2_grpc.CatalogServiceServicer):
    def __init__(self, store: Store):
        self._store = store

    async def ListTaskTypes(self, request: pb.ListTaskTypesRequest, context: Any) -> pb.ListTaskTypesResponse:
        found, after = pages.slice_of(list(entries.tasks), "task-types", request.page_size, request.page_token, _PAGE_SIZE)
        return pb.ListTaskTypesResponse(task_types=map(converters.task_type, found), next_page_token=after)

    async def ListTechniques(self, request: pb.ListTechniquesRequest, context: Any) -> pb.ListTechniquesResponse:
        techniques, architectures = list(entries.techniques), list(entries.architectures)
        if request.task:
            if request.task not in entries.tasks:
                raise InvalidInput.at("task", entries.tasks.unknown(request.task[:100]), reason="UNKNOWN_ID")
            task = entries.tasks[request.task]
            techniques = [t for t in techniques if task.modality in t.modalities and task.kind in t.kinds]
            architectures = [a for a in architectures if task.modality in a.modalities]
        conflicts = _conflicts()
        listed = [converters.technique(t, conflicts.get(t.id, {})) for t in techniques]
        listed += [converters.architecture(a, conflicts.get(a.id, {})) for a in architectures]
        listed.sort(key=lambda t: t.id)
        found, after = pages.slice_of(
            listed, f"techniques {request.task}", request.page_size, request.page_token, _PAGE_SIZE
        )
        return pb.ListTechniquesResponse(techniques=found, next_page_token=after)

    async def ExplainTechniques(
        self, request: pb.ExplainTechniquesRequest, context: Any
    ) -> pb.ExplainTechniquesResponse:
        project = names.Project.parent(request.parent)
        spec, dataset = await specifications.checked(self._store, request.spec, project)
        # In a thread, as the check: the more is forced, the more pairs are looked at.
        return converters.applicability(await asyncio.to_thread(applicability.of, spec, dataset.info))

    async def ListFormats(self, request: pb.ListFormatsRequest, context: Any) -> pb.ListFormatsResponse:
        found, after = pages.slice_of(list(entries.formats), "formats", request.page_size, request.page_token, _PAGE_SIZE)
        return pb.ListFormatsResponse(formats=map(converters.format, found), next_page_token=after)

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Any) -> pb.ListDevicesResponse:
        listed = list(devices.devices)
        found, after = pages.slice_of(listed, "devices", request.page_size, request.page_token, _PAGE_SIZE)
        return pb.ListDevicesResponse(devices=map(converters.device, found), next_page_token=after)


def _conflicts() -> dict[str, dict[str, str]]:
    """Conflicts by id, both ways, with what isn't for QAT; they are declared on one side."""
    both: dict[str, dict[str, str]] = {}
    for technique in entries.techniques:
        for other, why in technique.conflicts.items():
            both.setdefault(technique.id, {})[other] = why
            both.setdefault(other, {}).setdefault(technique.id, why)
    for entry in (*entries.techniques, *entries.architectures):
        if entry.not_for_qat:
            both.setdefault(entry.id, {})[entries.QAT] = entry.not_for_qat
            both.setdefault(entries.QAT, {})[entry.id] = entry.not_for_qat
    return both
