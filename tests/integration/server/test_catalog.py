"""The catalogue over the wire: what is declared, and nothing else."""

from __future__ import annotations

import pytest

from automl.catalog import entries
from automl_protos.v1 import catalog_service_pb2 as pb
from tests.integration.server.harness import Refused, Served


async def test_everything_declared_is_listed_by_id(server: Served) -> None:
    tasks = (await server.call(server.catalog.ListTaskTypes, pb.ListTaskTypesRequest())).task_types
    assert [t.id for t in tasks] == [t.id for t in entries.tasks]
    assert all(t.summary and t.description and t.metrics and t.takes and t.returns for t in tasks)
    techniques = (await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest())).techniques
    assert [t.id for t in techniques] == sorted([t.id for t in entries.techniques] + [a.id for a in entries.architectures])
    assert all(t.summary and t.stage and t.modalities and t.kinds for t in techniques)
    formats = (await server.call(server.catalog.ListFormats, pb.ListFormatsRequest())).formats
    assert [f.id for f in formats] == [f.id for f in entries.formats]


async def test_a_task_narrows_the_techniques(server: Served) -> None:
    listed = (
        await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest(task="tabular-regression"))
    ).techniques
    assert listed
    assert all("table" in t.modalities and "regression" in t.kinds for t in listed)
    with pytest.raises(Refused) as caught:
        await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest(task="tabular-regresion"))
    assert "did you mean tabular-regression" in caught.value.violations["task"]


async def test_conflicts_are_told_on_both_sides(server: Served) -> None:
    listed = (await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest())).techniques
    conflicts = {t.id: dict(t.conflicts) for t in listed}
    assert any(conflicts.values())
    assert all(id in conflicts[other] for id, others in conflicts.items() for other in others if other in conflicts)


async def test_lists_come_in_pages(server: Served) -> None:
    found, token = [], ""
    while True:
        page = await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest(page_size=7, page_token=token))
        found += [t.id for t in page.techniques]
        if not (token := page.next_page_token):
            break
    assert len(found) == len(set(found)) == len(entries.techniques) + len(entries.architectures)
