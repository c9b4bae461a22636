"""Predicts a class from a text.

Takes texts with one label each: a table with one or more columns of text, whose texts are joined, or folders of `.txt`
files, one a class. Returns a probability for each class. The model takes the codes of words (and of n-grams of their
characters); the vocabulary is learnt from the training rows and travels in the artifact.
"""

from __future__ import annotations

from automl.catalog import task
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, Modality
from automl.spec.dataset import LABELLED_FORMS
from automl.tasks import tabular_classification

_NEVER_FEATURES = (ColumnKind.CONSTANT, ColumnKind.ID)


def _metric(classes: int) -> str:
    return "roc-auc" if classes == 2 else "accuracy"


@task(
    id="text-classification",
    modality="text",
    forms=("table",),
    kind="classification",
    metrics=("accuracy", "balanced-accuracy", "roc-auc", "pr-auc", "log-loss", "f1-macro", "mcc"),
    default_metric=_metric,
    default_loss="cross-entropy",
    takes="tables with one or more columns of text and a label, or class folders of .txt files",
    returns="a probability for each class",
)
def infer(info: DatasetInfo, target: ColumnInfo | None) -> float:
    """Sure where every column that can tell something is text; where there are others too, a table's task uses them all."""
    if info.modality != Modality.TABLE or target is None or target.distinct < 2:
        return 0.0
    if info.format in LABELLED_FORMS:
        return 0.97
    features = [c for c in info.columns if c.name != target.name and c.kind not in _NEVER_FEATURES]
    if not features or any(c.kind != ColumnKind.TEXT for c in features):
        return 0.0
    return min(1.0, tabular_classification.infer(info, target) + 0.03)
