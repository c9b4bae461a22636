"""Scores computed from prediction files by scikit-learn, without a line of the product's own code; and the peer's score."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

from benchmarks.mainjob.sets import Prepared


def score(predictions: Path, prepared: Prepared) -> float:
    """The set's metric of a file that `automl predict` wrote."""
    from sklearn import metrics

    with predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = prepared.truth
    if prepared.by_file is not None:
        truth = [prepared.by_file[Path(row["file"]).name] for row in rows]
    if len(rows) != len(prepared.truth):
        raise ValueError(f"{len(rows)} predictions for {len(prepared.truth)} rows")
    if prepared.metric == "roc-auc":
        return float(
            metrics.roc_auc_score(
                [t == prepared.positive for t in truth], [float(r[f"p_{prepared.positive}"]) for r in rows]
            )
        )
    if prepared.metric == "r2":
        return float(metrics.r2_score([float(t) for t in truth], [float(r["prediction"]) for r in rows]))
    return float(metrics.accuracy_score(truth, [r["prediction"] for r in rows]))


def gradient_boosting(prepared: Prepared) -> dict[str, Any] | None:
    """scikit-learn's HistGradientBoosting with its defaults on the same rows; None for pictures."""
    if prepared.by_file is not None:
        return None
    import pandas as pd
    from sklearn import ensemble, metrics

    table, new = pd.read_csv(prepared.train, na_values="?"), pd.read_csv(prepared.new, na_values="?")
    target = prepared.options[prepared.options.index("--target") + 1]
    y, X = table.pop(target), table
    for column in X.columns:
        if not pd.api.types.is_numeric_dtype(X[column]):
            categories = sorted(set(X[column].dropna()))
            X[column] = pd.Categorical(X[column], categories)
            new[column] = pd.Categorical(new[column], categories)
    begun = time.monotonic()
    if prepared.metric == "r2":
        number = ensemble.HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0).fit(X, y)
        value = metrics.r2_score([float(t) for t in prepared.truth], number.predict(new))
    else:
        chooser = ensemble.HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0).fit(X, y)
        positive = list(chooser.classes_).index(prepared.positive)
        value = metrics.roc_auc_score(
            [t == prepared.positive for t in prepared.truth], chooser.predict_proba(new)[:, positive]
        )
    return {"model": "HistGradientBoosting", "metric": float(value), "fit_s": round(time.monotonic() - begun, 2)}
