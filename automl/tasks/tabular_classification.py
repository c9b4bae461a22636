"""Predicts a class from a table's row.

Takes rows of numeric, categorical, boolean, date and text columns with one target column; returns a probability for
each class. Two classes are measured by the area under the ROC curve, which doesn't depend on a threshold; more by
accuracy.
"""

from __future__ import annotations

from automl.catalog import task
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, Modality


def _metric(classes: int) -> str:
    return "roc-auc" if classes == 2 else "accuracy"


@task(
    id="tabular-classification",
    modality="table",
    kind="classification",
    metrics=("accuracy", "balanced-accuracy", "roc-auc", "pr-auc", "log-loss", "f1-macro", "mcc"),
    default_metric=_metric,
    default_loss="cross-entropy",
    takes="rows of numeric, categorical, boolean, date and text columns, and a target with at least two classes",
    returns="a probability for each class",
)
def infer(info: DatasetInfo, target: ColumnInfo | None) -> float:
    """Sure when the target is words or yes/no; whole numbers count as classes when they are few."""
    if info.modality != Modality.TABLE or target is None or target.distinct < 2:
        return 0.0
    if target.kind in (ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN):
        return 0.95 if target.distinct <= max(2, info.rows // 3) else 0.2
    if target.kind == ColumnKind.NUMERIC:
        if target.distinct == 2:
            return 0.9
        if not target.integer:
            return 0.0
        return 0.6 if target.distinct <= 10 else 0.45 if target.distinct <= 20 else 0.1
    if target.kind == ColumnKind.TEXT:
        return 0.5 if target.distinct <= max(2, info.rows // 5) else 0.0
    return 0.0
