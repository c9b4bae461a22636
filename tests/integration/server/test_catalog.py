"""The catalogue over the wire: what is declared, and nothing else."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from automl.catalog import entries, space
from automl.spec import JobSpec, Profile, SearchSettings
from automl_protos.v1 import catalog_service_pb2 as pb
from automl_protos.v1 import job_service_pb2 as job_pb
from tests.integration.server.harness import Refused, Served


async def test_everything_declared_is_listed_by_id(server: Served) -> None:
    tasks = (await server.call(server.catalog.ListTaskTypes, pb.ListTaskTypesRequest())).task_types
    assert [t.id for t in tasks] == [t.id for t in entries.tasks]
    assert all(t.summary and t.description and t.metrics and t.takes and t.returns for t in tasks)
    techniques = (await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest())).techniques
    assert [t.id for t in techniques] == sorted([t.id for t in entries.techniques] + [a.id for a in entries.architectures])
    assert all(t.summary and t.stage and t.modalities and t.kinds for t in techniques)
    told = {t.id: t.on_request for t in techniques if t.on_request}
    assert told == {t.id: t.on_request for t in entries.techniques if t.on_request}
    assert "custom-loss" in told
    decided = {t.id: t.decided_by for t in techniques if t.decided_by}
    assert decided == {t.id: t.options or "every job has it" for t in entries.techniques if not t.searched}
    assert decided["edge-mobile"] == "--format mobile"
    formats = (await server.call(server.catalog.ListFormats, pb.ListFormatsRequest())).formats
    assert [f.id for f in formats] == [f.id for f in entries.formats]
    there = {d.id: d for d in (await server.call(server.catalog.ListDevices, pb.ListDevicesRequest())).devices}
    assert there["here"].latency == "measured"
    assert not there["here"].operations
    board = there["nucleo-l4r5zi"]
    assert board.latency == "estimated"
    assert board.ram_bytes == 640 * 1024
    assert "CONV_2D" in board.operations


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
    told = {id: others["quantization-qat"] for id, others in conflicts.items() if "quantization-qat" in others}
    declared = {e.id: e.not_for_qat for e in (*entries.techniques, *entries.architectures) if e.not_for_qat}
    assert told == declared == conflicts["quantization-qat"]
    assert "boosted-trees" in told


async def test_lists_come_in_pages(server: Served) -> None:
    found, token = [], ""
    while True:
        page = await server.call(server.catalog.ListTechniques, pb.ListTechniquesRequest(page_size=7, page_token=token))
        found += [t.id for t in page.techniques]
        if not (token := page.next_page_token):
            break
    assert len(found) == len(set(found)) == len(entries.techniques) + len(entries.architectures)


# --- what applies to data -----------------------------------------------------------------------

MIXED = b"age,town,label\n" + b"".join(
    b"%d,%s,%s\n" % (i * 37 % 101, (b"Rome", b"Oslo")[i // 2 % 2], (b"no", b"yes", b"yes")[i % 3]) for i in range(90)
)


async def explained(server: Served, data: bytes = MIXED, target: str = "label", **values: Any) -> Any:
    dataset = await server.dataset(data)
    spec = job_pb.JobSpec(dataset=dataset.name, data=job_pb.DataSettings(target=target), **values)
    return await server.call(server.catalog.ExplainTechniques, pb.ExplainTechniquesRequest(spec=spec))


async def test_every_entry_is_said_to_apply_or_not_with_the_reason(server: Served) -> None:
    told = await explained(server)
    assert told.task == "tabular-classification"
    assert [v.id for v in told.verdicts] == sorted(e.id for e in (*entries.techniques, *entries.architectures))
    verdicts = {v.id: v for v in told.verdicts}
    assert all(v.applies or v.reason for v in told.verdicts)
    assert verdicts["mlp"].applies
    assert verdicts["adam"].applies
    assert verdicts["cross-entropy"].is_default
    assert "the data are table" in verdicts["mobilenet"].reason
    assert "the task is classification" in verdicts["mse"].reason
    assert verdicts[next(t.id for t in entries.techniques if not t.searched)].reason.startswith("not searched")
    profile = told.profile
    assert (profile.numeric, profile.categorical, profile.classes) == (1, 1, 2)
    assert profile.rows < 90
    assert profile.class_min == pytest.approx(profile.rows / 2, abs=1), "the fake inspection counts no values"


async def test_it_agrees_with_the_space_of_the_job(server: Served) -> None:
    told = await explained(server, search=job_pb.SearchSettings(forbid=["adam"], force=["mixup"]))
    verdicts = {v.id: v for v in told.verdicts}
    assert verdicts["adam"].reason == "forbidden by the user"
    assert verdicts["mixup"].forced
    settings = SearchSettings(forbid=("adam",), force=("mixup",))
    profile = Profile(
        modality="table", task=told.task, rows=told.profile.rows, numeric=1, categorical=1, classes=2, outputs=2,
        class_min=told.profile.class_min, cardinality_max=4,
    )
    formats = frozenset(str(f) for f in JobSpec(dataset="d").formats)
    derived = space.derive(told.task, profile, settings, formats)
    for id in derived.techniques:
        assert verdicts[id].applies, id
    for id in derived.excluded:
        searched = entries.techniques[id].searched if id in entries.techniques else True
        assert not verdicts[id].applies or not searched, id


async def test_formats_that_are_wanted_exclude_what_can_t_be_given_in_them(server: Served) -> None:
    id, wanted = next(
        (t.id, f) for t in entries.techniques for f in sorted(t.unsupported_formats) if "table" in t.modalities
    )
    format, _, precision = wanted.partition(":")
    asked = job_pb.FormatRequest(format=format, precision=precision)
    told = {v.id: v for v in (await explained(server, formats=[asked])).verdicts}
    assert told[id].reason.startswith(f"can't be given as {format}")
    told = {v.id: v for v in (await explained(server, formats=[job_pb.FormatRequest(format="keras-file")])).verdicts}
    assert "can't be given" not in told[id].reason


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"target": "labl"}, "data.target", "no column 'labl'; there are: age, town, label"),
        ({"task": "tabular-clasification"}, "task", "did you mean tabular-classification"),
        ({"task": "image-classification"}, "task", "image-classification takes"),
        ({"task": "tabular-regression"}, "data.target", "'label' is categorical"),
        ({"search": job_pb.SearchSettings(force=["adam", "sgd"])}, "search.force", "adam and sgd are forced"),
        ({"search": job_pb.SearchSettings(force=["mobilenet"])}, "search.force", "the data are table"),
        ({"search": job_pb.SearchSettings(force=["mixup"], forbid=["mixup"])}, "search.force", "forced and forbidden"),
    ],
)
async def test_what_can_t_be_is_refused_as_a_job_is(server: Served, values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Refused) as caught:
        await explained(server, **values)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.violations[field]


async def test_two_that_exclude_each_other_are_refused_with_both_names_and_the_reason(server: Served) -> None:
    first, other, why = next(
        (t.id, other, why) for t in entries.techniques for other, why in t.conflicts.items() if other in entries.techniques
    )
    with pytest.raises(Refused) as caught:
        await explained(server, search=job_pb.SearchSettings(force=[first, other]))
    said = caught.value.violations["search.force"]
    assert first in said
    assert other in said
    assert why in said


async def test_data_that_are_not_there_are_named(server: Served) -> None:
    spec = job_pb.JobSpec(dataset="projects/default/datasets/none@0123456789abcdef")
    with pytest.raises(Refused) as caught:
        await server.call(server.catalog.ExplainTechniques, pb.ExplainTechniquesRequest(spec=spec))
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
