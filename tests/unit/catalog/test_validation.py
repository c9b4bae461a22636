"""A job's specification against the inspected data: every fault at once."""

from __future__ import annotations

from automl.catalog import validation
from automl.spec import (
    Budget,
    ColumnInfo,
    ColumnKind,
    DatasetInfo,
    DataSettings,
    FormatRequest,
    JobSpec,
    Modality,
    SearchSettings,
)

COLUMNS = (
    ColumnInfo(name="age", kind=ColumnKind.NUMERIC, rows_missing=0, distinct=60),
    ColumnInfo(name="job", kind=ColumnKind.CATEGORICAL, rows_missing=3, distinct=9, examples=("clerk", "smith")),
    ColumnInfo(name="income", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=2, examples=("<=50K", ">50K")),
    ColumnInfo(name="empty", kind=ColumnKind.CONSTANT, rows_missing=1000, distinct=0),
    ColumnInfo(name="always", kind=ColumnKind.CONSTANT, rows_missing=0, distinct=1, examples=("x",)),
)
INFO = DatasetInfo(modality=Modality.TABLE, format="csv", rows=1000, columns=COLUMNS)
PICTURES = DatasetInfo(
    modality=Modality.IMAGE, format="image-folder", rows=100, image_shape=(8, 8, 3),
    columns=(ColumnInfo(name="label", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=3),),
)


def reasons(info=INFO, test_info=None, **fields) -> set[str]:
    fields.setdefault("data", DataSettings(target="income"))
    return {v.reason for v in validation.violations(JobSpec(dataset="d", **fields), info, test_info)}


def test_a_sound_specification_has_no_faults():
    assert reasons() == set()
    assert reasons(PICTURES, data=DataSettings()) == set()
    assert reasons(task="tabular-regression", data=DataSettings(target="age"), metric="rmse") == set()


def test_targets():
    assert "TARGET_MISSING" in reasons(data=DataSettings())
    assert "COLUMN_MISSING" in reasons(data=DataSettings(target="wage"))
    assert "TARGET_EMPTY" in reasons(data=DataSettings(target="empty"))
    assert "ONE_CLASS" in reasons(data=DataSettings(target="always"))
    assert "TARGET_NOT_NUMERIC" in reasons(task="tabular-regression", data=DataSettings(target="job"))
    assert "CONTRADICTION" in reasons(data=DataSettings(target="income", ignore=("income",)))
    assert "CONTRADICTION" in reasons(data=DataSettings(target="income", time_column="income"))
    assert "CONTRADICTION" in reasons(data=DataSettings(target="income", time_column="age", group_column="job"))
    assert reasons(data=DataSettings(target="income", time_column="age")) == set()


def test_an_override_decides_what_a_target_is():
    data = DataSettings(target="job", kinds={"job": ColumnKind.NUMERIC})
    assert reasons(task="tabular-regression", data=data) == set()
    data = DataSettings(target="age", kinds={"age": ColumnKind.CATEGORICAL})
    assert "TARGET_NOT_NUMERIC" in reasons(task="tabular-regression", data=data)


def test_tasks_and_metrics():
    assert "UNKNOWN_ID" in reasons(task="tabular-clasification")
    assert "WRONG_MODALITY" in reasons(task="image-classification")
    assert "UNKNOWN_METRIC" in reasons(metric="r2")


def test_formats_budget_and_search():
    assert "UNKNOWN_ID" in reasons(formats=(FormatRequest(format="coreml"),))
    assert "UNKNOWN_PRECISION" in reasons(formats=(FormatRequest(format="saved-model", precision="int8"),))
    assert "DUPLICATE" in reasons(formats=(FormatRequest(format="tflite"),) * 2)
    assert "FORMAT_MISSING" in reasons(formats=())
    assert "BUDGET_SPENT" in reasons(budget=Budget(wall_s=5, spent_s=6))
    assert "CONTRADICTION" in reasons(search=SearchSettings(force=("dropout",), forbid=("dropout",)))
    assert reasons(search=SearchSettings(force=("edge-mobile", "data-checks"))) == {"NOT_APPLICABLE"}
    assert "UNKNOWN_ID" in reasons(search=SearchSettings(allow=("droput",)))
    assert "RECIPE_MISSING" in reasons(search=SearchSettings(strategy="fixed"))


def test_test_data_must_be_of_the_same_form_with_the_same_columns():
    assert "WRONG_MODALITY" in reasons(test_info=PICTURES)
    assert "COLUMN_MISSING" in reasons(test_info=INFO.changed(columns=[c.to_dict() for c in COLUMNS[1:]]))


def test_several_faults_come_at_once():
    found = reasons(task="nonsense", data=DataSettings(target="wage"), formats=(), budget=Budget(wall_s=1, spent_s=2))
    assert found == {"UNKNOWN_ID", "COLUMN_MISSING", "FORMAT_MISSING", "BUDGET_SPENT"}
