"""Predicts a number from a table's row.

Takes rows of numeric, categorical, boolean, date and text columns with one numeric target column; returns a number in
the target's own unit. The target is standardised for training; predictions are kept within the range seen in training.
"""

from __future__ import annotations

from automl.catalog import task
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, Modality


def _metric(classes: int) -> str:
    return "r2"


@task(
    id="tabular-regression",
    modality="table",
    kind="regression",
    metrics=("r2", "rmse", "mae"),
    default_metric=_metric,
    default_loss="mse",
    takes="rows of numeric, categorical, boolean, date and text columns, and a numeric target",
    returns="a number in the target's unit",
)
def infer(info: DatasetInfo, target: ColumnInfo | None) -> float:
    """Sure when the target has fractions or many values."""
    if info.modality != Modality.TABLE or target is None or target.distinct < 2 or target.kind != ColumnKind.NUMERIC:
        return 0.0
    if target.distinct == 2:
        return 0.1
    if not target.integer:
        return 0.95
    return 0.4 if target.distinct <= 10 else 0.55 if target.distinct <= 20 else 0.9
