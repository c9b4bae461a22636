"""A job's specification as a request brings it, checked against the data sets that it names."""

from __future__ import annotations

import asyncio

from automl.catalog import validation
from automl.spec import InvalidInput, JobSpec, Violation
from automl_protos.v1 import job_service_pb2 as pb
from automl_server import converters, errors
from automl_server import resource_names as names
from automl_server.store import Store, datasets
from automl_server.store.datasets import DatasetRecord


async def checked(store: Store, message: pb.JobSpec, project: names.Project) -> tuple[JobSpec, DatasetRecord]:
    """The specification with exact data set versions. Raises `InvalidInput` with every fault, and `NotFound` for data."""
    spec = converters.spec_from_proto(message)
    dataset = await _dataset(store, spec.dataset, "dataset", project)
    test = await _dataset(store, spec.test_dataset, "test_dataset", project) if spec.test_dataset else None
    spec = spec.changed(dataset=str(dataset.name), test_dataset=str(test.name) if test else None)
    # In a thread: with a thousand ids and ten thousand columns it takes a while.
    found = await asyncio.to_thread(validation.violations, spec, dataset.info, test.info if test else None)
    if found:
        raise InvalidInput([_on_the_wire(violation) for violation in found])
    return spec, dataset


async def _dataset(store: Store, text: str, field: str, project: names.Project) -> DatasetRecord:
    name = names.Dataset.parse(text, field)
    if name.project != project.project:
        raise InvalidInput.at(
            field, f"expected a data set of {project}, got one of another project", reason="OTHER_PROJECT"
        )
    record = await store.read(datasets.get, name)
    if record is None:
        raise errors.NotFound(f"There is no data set {name}.", metadata={"field": field})
    return record


def _on_the_wire(violation: Violation) -> Violation:
    """`search.recipes` is called `search.recipes_json` there."""
    return (
        violation.changed(field=violation.field.replace("search.recipes", "search.recipes_json"))
        if violation.field.startswith("search.recipes")
        else violation
    )
