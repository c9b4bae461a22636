"""The wire and our types: what goes out comes back the same."""

from __future__ import annotations

import pytest

from automl.spec import (
    Budget,
    ColumnKind,
    Constraints,
    DataSettings,
    FormatRequest,
    InvalidInput,
    JobSpec,
    Recipe,
    SearchSettings,
)
from automl.spec.recipe import Choice
from automl_server import converters
from automl_server.summary import JobSummary

FULL = JobSpec(
    task="tabular-classification",
    dataset="projects/p/datasets/d@0123456789abcdef",
    test_dataset="projects/p/datasets/t@0123456789abcdef",
    data=DataSettings(
        target="y",
        split_column=None,
        group_column="g",
        time_column="d",
        kinds={"a": ColumnKind.TEXT, "b": ColumnKind.ID},
        ignore=("c",),
        test_fraction=0.2,
    ),
    metric="roc-auc",
    constraints=Constraints(max_size_bytes=1000, max_latency_ms=1.5, max_parameters=7),
    budget=Budget(wall_s=12.25, spent_s=0.5, max_trials=3),
    search=SearchSettings(
        strategy="asha",
        allow=("a",),
        forbid=("b",),
        force=("c",),
        parameters={"dropout.rate": "0.3"},
        seed=2**62,
        recipes=(Recipe(task="tabular-classification", architecture=Choice(id="mlp", params={"layers": 2}), seed=5),),
    ),
    formats=(FormatRequest(format="tflite", precision="int8"), FormatRequest(format="saved-model")),
    tolerance=0.0,
    display_name="Größe <b>",
)


@pytest.mark.parametrize("spec", [FULL, JobSpec(dataset="projects/p/datasets/d")], ids=["full", "defaults"])
def test_a_specification_survives_the_wire(spec: JobSpec) -> None:
    assert converters.spec_from_proto(converters.spec(spec, JobSummary())) == spec


def test_an_empty_message_means_every_default() -> None:
    message = converters.job_pb.JobSpec(dataset="projects/p/datasets/d")
    assert converters.spec_from_proto(message) == JobSpec(dataset="projects/p/datasets/d")


def test_every_kind_of_column_has_its_number() -> None:
    for kind in ColumnKind:
        spec = JobSpec(dataset="d", data=DataSettings(kinds={"a": kind}))
        assert converters.spec_from_proto(converters.spec(spec, JobSummary())).data.kinds == {"a": kind}


def test_what_was_inferred_is_filled_in() -> None:
    message = converters.spec(JobSpec(dataset="d"), JobSummary(task="tabular-regression", target="price", metric="r2"))
    assert (message.task, message.data.target, message.metric) == ("tabular-regression", "price", "r2")


def test_faults_of_all_parts_come_together() -> None:
    message = converters.spec(FULL, JobSummary())
    message.budget.wall.FromSeconds(0)
    message.search.strategy = "luck"
    message.formats[0].precision = "int3"
    message.search.recipes_json.append('{"task": 5}')
    with pytest.raises(InvalidInput) as caught:
        converters.spec_from_proto(message)
    fields = [v.field for v in caught.value.violations]
    assert {"budget.wall", "search.strategy", "formats[0].precision", "search.recipes_json[1].task"} <= set(fields)
    assert all(v.message and v.reason.isupper() for v in caught.value.violations)


@pytest.mark.parametrize("seconds", [0.0, 1.5, 1795201993.634064, 0.9999999])
def test_times_keep_their_microseconds(seconds: float) -> None:
    stamp = converters.timestamp(seconds)
    assert stamp is not None
    assert stamp.seconds + stamp.nanos / 1e9 == pytest.approx(seconds, abs=2e-6)
    assert converters.timestamp(None) is None


def test_an_artifact_keeps_its_devices_estimate_and_what_was_measured_on_the_wire() -> None:
    """From our type over bytes to the client's."""
    from automl.spec import Artifact, Fit, Interval, Verification
    from automl_client import converters as client
    from automl_client import types
    from automl_server.resource_names import ModelVersion

    proof = Verification(
        part="test", rows=512, held_out_rows=10_000, reference_rows=512, metric="accuracy", float_value=0.9,
        artifact_value=0.89, agreement=0.98, max_difference=0.1, tolerance=0.01, passed=True, runtime="tflite-micro",
        interval=Interval(low=0.86, high=0.914, method="Wilson"), calibration_error=0.0, calibration_shift=-0.02,
    )
    made = Artifact(
        id="tflite-int8", format="tflite", precision="int8", filename="model-int8.tflite", size_bytes=1000,
        compressed_bytes=800, sha256="0" * 64, parameters=900, sparsity=0.0, verification=proof, members={},
        fit=Fit(device="cortex-m7", latency_ms=12.5, macs=1_250_000, activation_bytes=4096),
    )
    owner = ModelVersion("p", "m", "1")

    def received(value: Artifact) -> types.Artifact:
        message = converters.artifact(owner, value)
        return client.artifact(type(message).FromString(message.SerializeToString()))

    found = received(made)
    assert found.fit == types.DeviceFit("cortex-m7", 12.5, 1_250_000, 4096)
    assert found.verification is not None
    assert (found.verification.rows, found.verification.held_out_rows) == (512, 10_000)
    assert found.verification.interval == types.Interval(0.86, 0.914, "Wilson")
    assert (found.verification.calibration_error, found.verification.calibration_shift) == (0.0, -0.02)
    assert received(made.changed(fit=None)).fit is None
    told_less = proof.changed(interval=None, calibration_error=None, calibration_shift=None)
    older = received(made.changed(verification=told_less)).verification
    assert older is not None
    assert (older.interval, older.calibration_error, older.calibration_shift) == (None, None, None)
