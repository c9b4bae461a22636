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
