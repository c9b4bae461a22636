"""Data sets are named by their content, their versions never change, and what is made of one says which."""

from __future__ import annotations

import hashlib

from automl_protos.v1 import dataset_service_pb2, model_service_pb2
from tests.integration.server.harness import TABLE, Served, job_spec


def changed(data: bytes, place: int) -> bytes:
    """The same but for one byte, a digit, so that the table stays one."""
    assert data[place : place + 1].isdigit()
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


async def get(server: Served, name: str) -> dataset_service_pb2.Dataset:
    request = dataset_service_pb2.GetDatasetRequest(name=name)
    return (await server.call(server.datasets.GetDataset, request)).dataset


async def test_a_version_is_the_content_and_nothing_else(server: Served) -> None:
    place = next(i for i, byte in enumerate(TABLE) if chr(byte).isdigit())
    other = changed(TABLE, place)
    assert sum(a != b for a, b in zip(TABLE, other, strict=True)) == 1
    first = await server.dataset(TABLE)
    second = await server.dataset(other)
    again = await server.dataset(TABLE)
    assert again == first
    for data, dataset in ((TABLE, first), (other, second)):
        digest = hashlib.sha256(data).hexdigest()
        assert (dataset.sha256, dataset.name) == (digest, f"projects/default/datasets/adult@{digest[:16]}")
    assert first.name != second.name
    # Another name for the same bytes is another data set of the same version.
    renamed = await server.dataset(TABLE, dataset_id="people")
    assert renamed.name == first.name.replace("adult", "people")


async def test_an_older_version_stays_as_it_was(server: Served) -> None:
    first = await server.dataset()
    await server.dataset(changed(TABLE, next(i for i, byte in enumerate(TABLE) if chr(byte).isdigit())))
    assert await get(server, first.name) == first


async def test_a_model_names_the_version_that_it_learned_from(server: Served) -> None:
    """Also where the job named the data set alone: then the newest version of that moment is written down."""
    first = await server.dataset()
    named = await server.run(spec=job_spec(first.name.partition("@")[0]))
    await server.dataset(TABLE + b"11,yes\n")
    exact = await server.run(spec=job_spec(first.name))
    for job in (named, exact):
        request = model_service_pb2.GetModelVersionRequest(name=job.model_version)
        assert (await server.call(server.models.GetModelVersion, request)).model_version.dataset == first.name
