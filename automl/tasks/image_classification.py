"""Predicts a class from a picture.

Takes pictures (folders of classes, a manifest, arrays) with one label each; returns a probability for each class. The
model takes the picture's bytes (uint8) and rescales them inside.
"""

from __future__ import annotations

from automl.catalog import task
from automl.spec import ColumnInfo, DatasetInfo, Modality


def _metric(classes: int) -> str:
    return "roc-auc" if classes == 2 else "accuracy"


@task(
    id="image-classification",
    modality="image",
    kind="classification",
    metrics=("accuracy", "balanced-accuracy", "roc-auc", "pr-auc", "log-loss", "f1-macro", "mcc"),
    default_metric=_metric,
    default_loss="cross-entropy",
    takes="pictures with one label each: class folders, a manifest of paths and labels, .npz or IDX arrays",
    returns="a probability for each class",
)
def infer(info: DatasetInfo, target: ColumnInfo | None) -> float:
    """Pictures with labels are always of this task."""
    return 0.95 if info.modality == Modality.IMAGE and target is not None and target.distinct >= 2 else 0.0
