"""Prepares texts: the columns that hold them, target, parts, and tokens fitted on the training rows.

Texts come as a table, or as folders that are read as one (`automl.data.text_files`). Columns of other kinds are left out,
and so are rows without any text. Several columns of text are joined in the order of the table, with a code of its own
between them (see `automl.data.text_encoder`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from automl.catalog.entries import Task
from automl.data import checks, encoder, inspection, schema, split, table_preparation, targets, text_encoder, text_files
from automl.data.prepared import PreparedMeta, Writer
from automl.data.schema import Column
from automl.data.table import Table
from automl.data.targets import Assignment
from automl.spec.dataset import LABELLED_FORMS, ColumnKind, Finding, Modality, Profile, Severity
from automl.spec.errors import InvalidData
from automl.spec.job import DataSettings, JobSpec
from automl.spec.model import Json

_ENCODED_BYTES = 2**30
"""Room for the encoded training rows: very many rows get fewer tokens each."""


def prepare(spec: JobSpec, task: Task, table: Table, test: Table | None, writer: Writer, key: str) -> PreparedMeta:
    """Writes everything but `meta.json` and returns its content. Raises `InvalidData` with every violation."""
    settings, table = as_folders_say(spec.data, table, test)
    table_preparation.check_settings(settings, table, test)
    assert settings.target is not None
    target = table.columns[settings.target]
    kinds = schema.infer(table, settings.kinds)
    table_preparation.check_kinds(settings, kinds, table)
    findings = list(table.findings)
    features = _texts(settings, kinds, table, task, findings)
    names = list(features)
    findings += checks.duplicate_rows([c.text for c in features.values()], table.rows, target)
    assignment = targets.assign(
        target, filename=table.filename, kind=task.kind, usable=_with_text(table, names, findings),
        parts=table_preparation.parts_named(settings, table),
        times=table_preparation.times_of(settings, table.columns, table.filename),
        groups=table_preparation.groups_of(settings, table, features, target),
        test_target=None if test is None else test.columns[settings.target],
        test_usable=None if test is None else np.ones(test.rows, bool),
        test_fraction=settings.test_fraction, seed=spec.search.seed,
    )
    findings += assignment.findings
    findings += table_preparation.overlaps(table, test, assignment, features, target, settings)
    train = assignment.rows["train"]
    fitted = text_encoder.fit(list(_rows(table, names, train)), names, bytes_a_row=_ENCODED_BYTES / max(1, len(train)))
    document: dict[str, Json] = {
        "version": encoder.VERSION, "modality": text_encoder.MODALITY, "task": task.id, "kind": task.kind,
        "target": settings.target, "classes": list(assignment.classes),
        "metric": spec.metric or task.default_metric(len(assignment.classes)), "output": "probabilities", **fitted,
    }
    _write(document, table, test, assignment, writer, findings)
    table_preparation.write_groups(
        table_preparation.groups_of(settings, table, features, target), assignment, writer
    )
    counts = sum(np.bincount(assignment.y[p], minlength=len(assignment.classes)) for p in split.NAMES)
    findings += checks.class_balance(assignment.classes, np.asarray(counts))
    return PreparedMeta(
        task=task.id, kind="classification", modality=Modality.TEXT, target=settings.target, classes=assignment.classes,
        parts={p: len(assignment.rows[p]) for p in split.NAMES}, profile=_profile(task.id, document, assignment), key=key,
        preprocess=document, findings=tuple(inspection.in_order(findings)),
    )


def as_folders_say(settings: DataSettings, table: Table, test: Table | None) -> tuple[DataSettings, Table]:
    """The settings with what a folder of texts says by itself: its target, and the parts that its folders name."""
    if table.format not in LABELLED_FORMS:
        return settings, table
    if settings.target is None:
        settings = settings.changed(target=text_files.LABEL)
    if text_files.PART in table.columns and settings.split_column is None:
        if test is None:
            settings = settings.changed(split_column=text_files.PART)
        else:
            # The separate test data are the test part; what the folders say of parts counts no more.
            kept = {name: column for name, column in table.columns.items() if name != text_files.PART}
            table = Table(table.filename, table.format, kept, table.rows, table.has_header, table.findings)
    return settings, table


def _texts(
    settings: DataSettings, kinds: dict[str, Column], table: Table, task: Task, findings: list[Finding]
) -> dict[str, Column]:
    """The columns of text. Raises `InvalidData` where there is none."""
    reserved = {settings.target, settings.split_column, settings.group_column, settings.time_column, *settings.ignore}
    candidates = {name: column for name, column in kinds.items() if name not in reserved}
    features = {name: column for name, column in candidates.items() if column.kind == ColumnKind.TEXT}
    if not features:
        told = ", ".join(f"{name!r} ({column.kind.value})" for name, column in list(candidates.items())[:10])
        raise InvalidData.at(
            table.filename, f"{task.id} needs a column of texts, and there is none: {told or 'no column is left'}.",
            "If one holds texts all the same, say so with --kind COLUMN=text.", "NO_TEXT",
        )
    others = [n for n, c in candidates.items() if n not in features and c.kind != ColumnKind.CONSTANT]
    if others:
        findings.append(Finding(
            check="columns-without-text", severity=Severity.WARNING, columns=tuple(others[:50]),
            message=f"{len(others):,} columns hold no texts and are left out ({', '.join(map(repr, others[:5]))}"
                    f"{' …' if len(others) > 5 else ''}): a tabular task would use them.",
        ))
    return features


def _with_text(table: Table, names: list[str], findings: list[Finding]) -> NDArray[np.bool_]:
    """Rows in which at least one of the columns holds a text."""
    there = np.zeros(table.rows, bool)
    for name in names:
        column = table.columns[name]
        there |= np.array([text != "" for text in column.texts], bool)[column.codes]
    empty = np.flatnonzero(~there)
    if len(empty) == table.rows:
        raise InvalidData.at(table.filename, f"every text is empty ({', '.join(map(repr, names))}).", "", "EMPTY_TEXTS")
    if len(empty):
        findings.append(Finding(
            check="empty-texts", severity=Severity.WARNING, columns=tuple(names), rows=tuple((empty[:20] + 1).tolist()),
            message=f"{len(empty):,} of {table.rows:,} rows have no text and are left out.",
        ))
    return there


def _rows(table: Table, names: list[str], rows: NDArray[np.int64]) -> Iterator[tuple[str, ...]]:
    """The texts of some rows, one for each column."""
    columns = [table.columns[name] for name in names]
    return zip(*([column.texts[code] for code in column.codes[rows].tolist()] for column in columns))


def _write(
    document: dict[str, Json], table: Table, test: Table | None, assignment: Assignment, writer: Writer,
    findings: list[Finding],
) -> None:
    """Writes tokens, n-grams, targets, row numbers and raw texts."""
    fitted = text_encoder.TextEncoder(document)
    names = list(fitted.columns)
    own = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    test_rows = assignment.rows["test"]
    y = np.concatenate([assignment.y["train"], assignment.y["validation"]])
    parts: tuple[tuple[Literal["", "test"], Table, NDArray[np.int64], NDArray[np.int32]], ...] = (
        ("", table, own, y), ("test", test or table, test_rows, assignment.y["test"]),
    )
    for folder, source, rows, target in parts:
        inputs = fitted.rows(_rows(source, names, rows), len(rows))
        for name, values in inputs.items():
            writer.array(folder, name, values)
        writer.array(folder, "target", target)
        writer.array(folder, "rows", rows)
        if not folder:
            _say_cut(inputs["tokens"], findings)
            _say_unknown(inputs["tokens"], len(assignment.rows["train"]), findings)
    table_preparation.write_raw(names, table, test, own, test_rows, writer, missing_words=False)


def _say_cut(tokens: NDArray[np.int32], findings: list[Finding]) -> None:
    full = float((tokens[:, -1] != 0).mean())
    if full > 0.05:
        findings.append(Finding(
            check="long-texts", severity=Severity.INFO,
            message=f"{full:.0%} of the texts are longer than {tokens.shape[1]} words and symbols: only their beginning is "
                    "read.",
        ))


def _say_unknown(tokens: NDArray[np.int32], train: int, findings: list[Finding]) -> None:
    """How many words of the validation rows no training row has: what new texts will be like."""
    held = tokens[train:]
    share = float((held == text_encoder.UNKNOWN).sum() / max(1, (held != 0).sum()))
    if share > 0.2:
        findings.append(Finding(
            check="unknown-words", severity=Severity.WARNING,
            message=f"{share:.0%} of the words of the validation rows are in no two training rows: more texts would help.",
        ))


def _profile(task: str, document: dict[str, Json], assignment: Assignment) -> Profile:
    y = assignment.y["train"]
    counts = np.bincount(y, minlength=len(assignment.classes))
    sizes = document["inputs"]
    return Profile(
        modality=Modality.TEXT, task=task, rows=len(y), classes=len(assignment.classes), class_min=int(counts.min()),
        imbalance=float(counts.max() / counts.min()), length=int(sizes["tokens"]), vocabulary=int(sizes["vocabulary"]),
        ngrams=int(sizes.get("ngram_vocabulary", 0)), outputs=len(assignment.classes),
        sample_bytes=4 * (int(sizes["tokens"]) + int(sizes.get("ngrams", 0))),
    )
