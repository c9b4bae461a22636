"""The task type is inferred from the data's form and the target column."""

from __future__ import annotations

import pytest

from automl.catalog import tasks, validation
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, DataSettings, Modality


def _table(**column) -> DatasetInfo:
    target = ColumnInfo(**{"name": "y", "kind": ColumnKind.NUMERIC, "rows_missing": 0, "distinct": 100, **column})
    other = ColumnInfo(name="x", kind=ColumnKind.NUMERIC, rows_missing=0, distinct=900)
    return DatasetInfo(modality=Modality.TABLE, format="csv", rows=1000, columns=(other, target))


@pytest.mark.parametrize(
    ("column", "task"),
    [
        ({"kind": ColumnKind.CATEGORICAL, "distinct": 3}, "tabular-classification"),
        ({"kind": ColumnKind.BOOLEAN, "distinct": 2}, "tabular-classification"),
        ({"kind": ColumnKind.NUMERIC, "distinct": 2, "integer": True}, "tabular-classification"),
        ({"kind": ColumnKind.NUMERIC, "distinct": 6, "integer": True}, "tabular-classification"),  # wine quality
        ({"kind": ColumnKind.NUMERIC, "distinct": 15, "integer": True}, "tabular-regression"),
        ({"kind": ColumnKind.NUMERIC, "distinct": 500, "integer": True}, "tabular-regression"),
        ({"kind": ColumnKind.NUMERIC, "distinct": 3, "integer": False}, "tabular-regression"),
        ({"kind": ColumnKind.NUMERIC, "distinct": 900, "integer": False}, "tabular-regression"),
        ({"kind": ColumnKind.TEXT, "distinct": 20}, "tabular-classification"),
        ({"kind": ColumnKind.TEXT, "distinct": 990}, None),
        ({"kind": ColumnKind.ID, "distinct": 1000}, None),
        ({"kind": ColumnKind.DATE, "distinct": 300}, None),
        ({"kind": ColumnKind.CONSTANT, "distinct": 1}, None),
    ],
)
def test_tables(column, task):
    assert validation.infer_task(_table(**column), "y") == task


def test_pictures_with_labels():
    label = ColumnInfo(name="label", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=10)
    info = DatasetInfo(modality=Modality.IMAGE, format="image-folder", rows=50, columns=(label,), image_shape=(32, 32, 3))
    assert validation.infer_task(info, None) == "image-classification"
    assert validation.infer_task(info.changed(columns=()), None) is None


def test_series_with_labels():
    label = ColumnInfo(name="label", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=2)
    info = DatasetInfo(modality=Modality.SERIES, format="ts", rows=50, columns=(label,))
    assert validation.infer_task(info, None) == "timeseries-classification"
    assert validation.infer_task(info.changed(columns=()), None) is None


def _columns(*kinds: ColumnKind, format: str = "csv") -> DatasetInfo:
    """A table of the target y, of two classes, and columns of these kinds."""
    target = ColumnInfo(name="y", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=2)
    others = [ColumnInfo(name=f"x{i}", kind=kind, rows_missing=0, distinct=900) for i, kind in enumerate(kinds)]
    return DatasetInfo(modality=Modality.TABLE, format=format, rows=1000, columns=(target, *others))


def test_a_table_of_texts_alone_is_a_task_of_texts():
    text, number = ColumnKind.TEXT, ColumnKind.NUMERIC
    assert validation.infer_task(_columns(text), "y") == "text-classification"
    assert validation.infer_task(_columns(text, text, ColumnKind.ID, ColumnKind.CONSTANT), "y") == "text-classification"
    assert validation.infer_task(_columns(text, number), "y") == "tabular-classification"
    assert validation.infer_task(_columns(number), "y") == "tabular-classification"


def test_what_is_left_out_or_of_another_kind_counts():
    info = _columns(ColumnKind.TEXT, ColumnKind.NUMERIC)
    assert validation.infer_task(info, "y", DataSettings(target="y", ignore=("x1",))) == "text-classification"
    words = _columns(ColumnKind.CATEGORICAL)
    said = DataSettings(target="y", kinds={"x0": ColumnKind.TEXT})
    assert validation.infer_task(words, "y", said) == "text-classification"


def test_folders_of_texts_need_no_target():
    text = ColumnInfo(name="text", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=30)
    label = ColumnInfo(name="label", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=2)
    info = DatasetInfo(modality=Modality.TABLE, format="text-folder", rows=50, columns=(text, label))
    assert validation.infer_task(info, None) == "text-classification"


def test_a_table_without_a_target_is_of_no_task():
    info = _table()
    assert validation.infer_task(info, None) is None
    assert validation.infer_task(info, "no such column") is None


def test_certainties_are_shares():
    counts = (1, 2, 8, 15, 400)
    infos = [_table(kind=kind, distinct=n, integer=i) for kind in ColumnKind for n in counts for i in (True, False)]
    for task in tasks:
        for info in infos:
            assert 0 <= task.infer(info, info.column("y")) <= 1
