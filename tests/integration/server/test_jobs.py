"""A job's way through the server: queued, run by a controller, ended, its artifacts there."""

from __future__ import annotations

import json

import pytest
from automl_protos.v1 import job_service_pb2 as pb
from automl_protos.v1 import model_service_pb2

from tests.integration.server.harness import Served


async def test_a_job_runs_to_its_end_and_its_artifact_is_downloaded(server: Served) -> None:
    job = await server.run("trials=3 report")
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert (job.spec.task, job.spec.data.target, job.metric) == ("tabular-classification", "label", "accuracy")
    assert (job.validation_metric, job.test_metric, job.goodput) == (0.9, 0.88, 0.75)
    assert dict(job.trials) == {"COMPLETED": 3}
    assert [(r.format, r.precision) for r in job.refused] == [("tflite", "float16")]
    assert job.start_time.seconds and job.end_time.seconds and job.deadline.seconds - job.start_time.seconds == pytest.approx(600, abs=1)
    version = (await server.call(server.models.GetModelVersion, model_service_pb2.GetModelVersionRequest(name=job.model_version))).model_version
    [artifact] = version.artifacts
    data = await server.download(artifact.name)
    assert data == b"model of %s " % job.name.encode() * 200_000
    assert await server.download(artifact.name, offset=1_500_000) == data[1_500_000:]
    assert json.loads(version.recipe_json)["architecture"]["id"] == "mlp"
