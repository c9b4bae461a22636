"""Data sets: inspected in a process of their own, named by content, immutable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from automl_protos.v1 import dataset_service_pb2 as pb
from tests.integration.server.harness import TABLE, Refused, Served, served


async def test_an_upload_becomes_a_version_that_says_what_is_in_it(server: Served) -> None:
    dataset = await server.dataset(filename="Adult Income.csv.gz", display_name="People")
    assert dataset.name.startswith("projects/default/datasets/adult-income@")
    assert dataset.name.endswith(dataset.sha256[:16])
    assert (dataset.display_name, dataset.rows, dataset.modality, dataset.size_bytes) == ("People", 10, "table", len(TABLE))
    assert [(c.name, c.kind) for c in dataset.columns] == [
        ("age", pb.COLUMN_KIND_NUMERIC),
        ("label", pb.COLUMN_KIND_CATEGORICAL),
    ]
    assert [(f.check, f.warning, list(f.rows)) for f in dataset.findings] == [("duplicate-rows", True, [1, 2])]
    for name in (dataset.name, dataset.name.partition("@")[0]):
        assert (await server.call(server.datasets.GetDataset, pb.GetDatasetRequest(name=name))).dataset == dataset


async def test_the_same_bytes_are_the_same_version(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the fake inspector notes its calls
    made = await asyncio.gather(*(server.dataset() for _ in range(10)))
    assert len({d.name for d in made}) == 1
    assert (tmp_path / "inspections").read_text().splitlines() == ["adult.csv"]


async def test_other_bytes_are_another_version_and_the_newest_answers(server: Served) -> None:
    first = await server.dataset()
    second = await server.dataset(TABLE + b"11,yes\n")
    assert first.name.partition("@")[0] == second.name.partition("@")[0]
    newest = await server.call(server.datasets.GetDataset, pb.GetDatasetRequest(name=first.name.partition("@")[0]))
    assert newest.dataset.name == second.name


async def test_the_same_bytes_read_otherwise_need_another_id(server: Served) -> None:
    await server.dataset(has_header=True)
    with pytest.raises(Refused) as caught:
        await server.dataset(has_header=False)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.ALREADY_EXISTS, "DATASET_DIFFERS")
    assert (await server.dataset(has_header=False, dataset_id="headless")).name.startswith(
        "projects/default/datasets/headless@"
    )


async def test_unusable_data_are_refused_with_every_fault(server: Served) -> None:
    with pytest.raises(Refused) as caught:
        await server.dataset(b"ragged", "bad.csv")
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_DATA")
    assert error.violations == {"bad.csv, row 7": "expected 3 cells, got 2", "bad.csv, row 9": "expected 3 cells, got 5"}


@pytest.mark.parametrize(
    ("filename", "reason"),
    [("crash.csv", "PARSER_CRASHED"), ("slow.csv", "INSPECTION_TIMED_OUT"), ("hungry.csv", "TOO_LARGE")],
)
async def test_a_parser_that_dies_hangs_or_grows_is_the_files_fault(folder: Path, filename: str, reason: str) -> None:
    limit_s = 0.5 if filename == "slow.csv" else 30.0
    async with served(folder, inspect_timeout_s=limit_s, inspect_memory_bytes=256 << 20) as server:
        with pytest.raises(Refused) as caught:
            await server.dataset(b"x", filename)
        assert caught.value.reasons == {filename: reason}
        assert (await server.dataset()).rows == 10


@pytest.mark.parametrize("filename", ["garbage.csv", "defect.csv"])
async def test_a_defect_of_ours_tells_an_id_and_nothing_else(server: Served, filename: str) -> None:
    with pytest.raises(Refused) as caught:
        await server.dataset(b"x", filename)
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.metadata["error_id"] in error.message
    assert "/" not in error.message
    assert "Traceback" not in error.message


async def test_an_upload_must_be_complete_and_of_the_same_project(server: Served) -> None:
    upload = await server.create_upload(TABLE)
    with pytest.raises(Refused) as caught:
        await server.call(server.datasets.CreateDataset, pb.CreateDatasetRequest(upload=upload.name))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_INCOMPLETE")
    with pytest.raises(Refused) as caught:
        await server.call(
            server.datasets.CreateDataset, pb.CreateDatasetRequest(parent="projects/other", upload=upload.name)
        )
    assert caught.value.reasons == {"upload": "OTHER_PROJECT"}


async def test_lists_come_in_pages_newest_first(server: Served) -> None:
    made = [(await server.dataset(TABLE + b"%d,no\n" % i)).name for i in range(5)]
    found, token = [], ""
    for expected in (2, 2, 1):
        page = await server.call(server.datasets.ListDatasets, pb.ListDatasetsRequest(page_size=2, page_token=token))
        assert len(page.datasets) == expected
        assert not any(d.columns for d in page.datasets)
        found += [d.name for d in page.datasets]
        token = page.next_page_token
    assert (found, token) == (made[::-1], "")


@pytest.mark.parametrize(
    "changed", [{"page_size": -1}, {"page_token": "nonsense"}, {"page_token": "é" * 9000}, {"parent": "projects/UP"}]
)
async def test_wrong_pages_are_refused(server: Served, changed: dict) -> None:
    with pytest.raises(Refused) as caught:
        await server.call(server.datasets.ListDatasets, pb.ListDatasetsRequest(**changed))
    assert list(caught.value.violations) == list(changed)


async def test_a_page_token_fits_no_other_list(server: Served) -> None:
    for i in range(2):
        await server.dataset(TABLE + b"%d,no\n" % i)
    token = (await server.call(server.datasets.ListDatasets, pb.ListDatasetsRequest(page_size=1))).next_page_token
    with pytest.raises(Refused) as caught:
        await server.call(server.datasets.ListDatasets, pb.ListDatasetsRequest(parent="projects/other", page_token=token))
    assert caught.value.reasons == {"page_token": "INVALID_PAGE_TOKEN"}


async def test_deleting_removes_the_bytes_unless_somebody_else_has_them(server: Served) -> None:
    mine, theirs = await server.dataset(), await server.dataset(parent="projects/other")
    content = server.data / "content" / mine.sha256[:2] / mine.sha256
    await server.call(server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name=mine.name))
    assert content.exists()
    await server.call(server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name=theirs.name))
    assert not content.exists()
    with pytest.raises(Refused) as caught:
        await server.call(server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name=mine.name))
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    assert (await server.dataset()).name == mine.name, "the bytes are asked for again"


async def test_a_data_set_in_use_is_not_deleted(server: Served) -> None:
    job = await server.create_job("hold")
    with pytest.raises(Refused) as caught:
        await server.call(server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name=job.spec.dataset))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_IN_USE")
    await server.cancel(job.name)
    await server.call(server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name=job.spec.dataset))


@pytest.mark.parametrize(
    "name", ["", "x", "projects/default/datasets/../../etc", "projects/default/datasets/a@zz", "a" * 100_000, "\x1b[31m"]
)
async def test_wrong_names_say_what_was_expected(server: Served, name: str) -> None:
    for method, request in (
        (server.datasets.GetDataset, pb.GetDatasetRequest(name=name)),
        (server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name=name)),
    ):
        with pytest.raises(Refused) as caught:
            await server.call(method, request)
        assert caught.value.reasons == {"name": "INVALID_NAME"}
        assert "projects/{project}/datasets/{dataset}" in caught.value.message
        assert len(caught.value.message) < 1000
    with pytest.raises(Refused) as caught:
        await server.call(server.datasets.DeleteDataset, pb.DeleteDatasetRequest(name="projects/default/datasets/a"))
    assert caught.value.reasons == {"name": "VERSION_MISSING"}
