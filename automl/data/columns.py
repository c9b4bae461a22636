"""From kinds to `preprocess.json`: vocabularies, tokens and date features are fitted here, on training rows only.

The encoding itself is `automl.data.encoder`'s, applied to a column's different values and gathered by its codes.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import encoder, schema
from automl.data.schema import Column
from automl.data.table import TextColumn
from automl.spec import sizes
from automl.spec.dataset import ColumnKind, Finding, Severity
from automl.spec.model import Json

VOCABULARY, TOKENS, _MIN_TOKEN_ROWS = sizes.CATEGORIES, sizes.TOKENS, sizes.TOKEN_ROWS


def described(
    column: Column, rows: NDArray[np.int64], y: NDArray[Any], classes: int
) -> tuple[dict[str, Json] | None, list[Finding]]:
    """One column's entry in `preprocess.json`, fitted on the training rows; None when nothing can be learnt from it.

    `y` are the training rows' targets: class indices when `classes` is not 0. Findings say what was cut.
    """
    name = column.name
    match column.kind:
        case ColumnKind.NUMERIC:
            return {"name": name, "kind": "numeric"}, []
        case ColumnKind.BOOLEAN:
            true, false = schema.boolean_words(column.text)
            return {"name": name, "kind": "boolean", "true": true, "false": false}, []
        case ColumnKind.CATEGORICAL:
            return _categorical(column, rows)
        case ColumnKind.DATE:
            return _date(column, rows)
        case ColumnKind.TEXT:
            return _text(column, rows, y, classes)
        case _:
            return None, []


def encoded(description: Mapping[str, Json], column: TextColumn) -> NDArray[Any]:
    """All rows of a column by its description: float32 [n, features], or int32 [n] codes of a categorical one."""
    if description["kind"] == "numeric":
        return column.numbers.astype(np.float32)[column.codes][:, None]
    return np.asarray(encoder.column_values(description, column.texts, encoder.MISSING)[column.codes])


def _categorical(column: Column, rows: NDArray[np.int64]) -> tuple[dict[str, Json] | None, list[Finding]]:
    text = column.text
    counts = np.bincount(text.codes[rows], minlength=len(text.values))
    counts[text.absent] = 0
    common = np.flatnonzero(counts >= sizes.rows_of_category(len(rows)))
    common = common[np.argsort(-counts[common], kind="stable")][:VOCABULARY]
    kept, seen = len(common), int((counts > 0).sum())
    if not kept:
        return None, [Finding(
            check="id-like-column", severity=Severity.INFO, columns=(column.name,),
            message=f"Column {column.name!r} is left out: hardly any of its values comes more than once.",
        )]
    findings = []
    lost = int(counts.sum() - counts[common].sum())
    if lost > 0.01 * len(rows):
        findings.append(Finding(
            check="rare-categories", severity=Severity.INFO, columns=(column.name,),
            message=f"Column {column.name!r}: {seen - kept:,} of {seen:,} values are rare ({lost:,} rows, "
                    f"{lost / max(1, len(rows)):.1%}) and count as one.",
        ))
    vocabulary = sorted(text.texts[c] for c in common)
    return {"name": column.name, "kind": "categorical", "vocabulary": vocabulary}, findings


def _date(column: Column, rows: NDArray[np.int64]) -> tuple[dict[str, Json] | None, list[Finding]]:
    codes = np.unique(column.text.codes[rows])
    values = encoder.date_values([column.text.texts[c] for c in codes], column.order, encoder.DATE_FEATURES)
    varied = [
        feature for i, feature in enumerate(encoder.DATE_FEATURES)
        if len(np.unique(values[~np.isnan(values[:, i]), i])) > 1
    ]
    if not varied:
        return None, [Finding(
            check="constant-column", severity=Severity.INFO, columns=(column.name,),
            message=f"Column {column.name!r} is left out: its dates don't vary in the training rows.",
        )]
    return {"name": column.name, "kind": "date", "format": column.order, "features": varied}, []


def _text(
    column: Column, rows: NDArray[np.int64], y: NDArray[Any], classes: int
) -> tuple[dict[str, Json] | None, list[Finding]]:
    """The tokens that tell most: by the chi² statistic of their presence against the classes, or by document frequency."""
    text = column.text
    present = ~text.absent
    distinct = np.unique(text.codes[rows])
    documents: dict[int, set[str]] = {int(c): set(encoder.tokens_of(text.texts[c])) for c in distinct if present[c]}
    weights = np.bincount(text.codes[rows], minlength=len(text.values))
    frequency: collections.Counter[str] = collections.Counter()
    for code, words in documents.items():
        for token in words:
            frequency[token] += int(weights[code])
    total = int(weights[present].sum())
    # A token in nearly every text tells nothing.
    usable = {t: n for t, n in frequency.items() if n >= _MIN_TOKEN_ROWS and n <= max(_MIN_TOKEN_ROWS, 0.95 * total)}
    if not usable:
        return None, [Finding(
            check="text-without-tokens", severity=Severity.INFO, columns=(column.name,),
            message=f"Column {column.name!r} is left out: no word comes in at least {_MIN_TOKEN_ROWS} training rows.",
        )]
    # The most frequent ones bound the table of counts that chi² needs.
    candidates = sorted(usable, key=lambda t: (-usable[t], t))[: 40 * TOKENS]
    if classes and len(candidates) > TOKENS:
        scores = _chi2(candidates, documents, text.codes[rows], y, classes)
        candidates = [candidates[i] for i in np.argsort(-scores, kind="stable")]
    tokens = sorted(candidates[:TOKENS])
    idf = [round(math.log((1 + total) / (1 + usable[t])) + 1, 6) for t in tokens]
    findings = []
    if len(tokens) < len(usable):
        findings.append(Finding(
            check="text-vocabulary", severity=Severity.INFO, columns=(column.name,),
            message=f"Column {column.name!r}: the {len(tokens)} most telling of {len(usable):,} words are used.",
        ))
    return {"name": column.name, "kind": "text", "tokens": tokens, "idf": idf}, findings


def _chi2(
    tokens: list[str], documents: Mapping[int, set[str]], codes: NDArray[np.int32], y: NDArray[Any], classes: int
) -> NDArray[np.float64]:
    """Chi² of presence against the class, for each token."""
    place = {token: i for i, token in enumerate(tokens)}
    per_code = np.zeros((int(codes.max()) + 1, classes), np.int64)
    np.add.at(per_code, (codes, y), 1)
    with_token = np.zeros((len(tokens), classes), np.float64)
    for code, words in documents.items():
        hits = [place[w] for w in words if w in place]
        with_token[hits] += per_code[code]
    per_class = per_code.sum(axis=0).astype(np.float64)
    total = per_class.sum()
    occurrences = with_token.sum(axis=1, keepdims=True)
    statistic = np.zeros(len(tokens))
    for observed, share in ((with_token, occurrences / total), (per_class - with_token, 1 - occurrences / total)):
        expected = np.maximum(share * per_class, 1e-12)
        statistic += ((observed - expected) ** 2 / expected).sum(axis=1)
    return statistic


def document(
    descriptions: list[dict[str, Json]], *, task: str, kind: str, target: str, classes: tuple[str, ...], metric: str
) -> dict[str, Json]:
    """`preprocess.json` of a table without its fitted operations."""
    categorical = [d for d in descriptions if d["kind"] == "categorical"]
    return {
        "version": encoder.VERSION, "modality": "table", "task": task, "kind": kind, "target": target,
        "classes": list(classes), "metric": metric, "output": "probabilities" if kind == "classification" else "numbers",
        "missing": list(encoder.MISSING), "columns": descriptions,
        "numeric": [name for d in descriptions for name in encoder.feature_names(d)],
        "categorical": [d["name"] for d in categorical],
        "cardinalities": [len(d["vocabulary"]) + 2 for d in categorical],
    }
