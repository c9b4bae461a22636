"""Prepares a table: kinds, target, parts, leaks, features fitted on the training rows, matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from automl.catalog.entries import Task
from automl.data import checks, columns, drift, inspection, label_noise, schema, split, targets, times
from automl.data.prepared import PreparedMeta, Writer
from automl.data.schema import Column
from automl.data.table import Table, TextColumn
from automl.data.targets import Assignment
from automl.data.times import Times
from automl.spec import sizes
from automl.spec.dataset import ColumnKind, Finding, Modality, Profile, Severity
from automl.spec.errors import InvalidData, Violation
from automl.spec.job import DataSettings, JobSpec
from automl.spec.model import Json

_DUPLICATES_TOGETHER = 0.2
"""Up to this share of repeated rows, copies of a row are kept in one part; beyond it they are the nature of the data."""
_PROFILED_ROWS = 50_000


def prepare(spec: JobSpec, task: Task, table: Table, test: Table | None, writer: Writer, key: str) -> PreparedMeta:
    """Writes everything but `meta.json` and returns its content. Raises `InvalidData` with every violation."""
    settings = spec.data
    check_settings(settings, table, test)
    assert settings.target is not None
    target = table.columns[settings.target]
    kinds = schema.infer(table, settings.kinds)
    check_kinds(settings, kinds, table)
    reserved = {settings.target, settings.split_column, settings.group_column, settings.time_column, *settings.ignore}
    features = {
        name: column for name, column in kinds.items()
        if name not in reserved and column.kind not in (ColumnKind.CONSTANT, ColumnKind.ID)
        and column.rows_missing < table.rows
    }
    if not features:
        raise InvalidData.at(
            table.filename, "no column is left to learn from: all are ignored, constant, empty or ids.",
            "Give more columns, or override a kind.", "NO_FEATURES",
        )
    findings = checks.columns_alone({n: c for n, c in kinds.items() if n not in reserved}, table.rows)
    findings += checks.duplicate_rows([c.text for c in features.values()], table.rows, target)
    assignment = targets.assign(
        target, filename=table.filename, kind=task.kind, usable=np.ones(table.rows, bool),
        parts=parts_named(settings, table), groups=groups_of(settings, table, features, target),
        times=times_of(settings, table.columns, table.filename),
        test_target=None if test is None else test.columns[settings.target],
        test_usable=None if test is None else np.ones(test.rows, bool),
        test_fraction=settings.test_fraction, seed=spec.search.seed,
    )
    findings += assignment.findings
    findings += overlaps(table, test, assignment, features, target, settings)
    features = _without_copies(features, assignment, settings.target, findings)
    descriptions = _describe(features, assignment, findings, table)
    document = columns.document(
        descriptions, task=task.id, kind=task.kind, target=settings.target, classes=assignment.classes,
        metric=spec.metric or task.default_metric(len(assignment.classes)),
    )
    matrices = _write(descriptions, table, test, assignment, writer)
    write_groups(groups_of(settings, table, features, target), assignment, writer)
    if test is not None and document["categorical"]:
        findings += checks.unseen_categories(document["categorical"], matrices["train"][1], matrices["test"][1])
    if assignment.classes:
        counts = sum(np.bincount(assignment.y[p], minlength=len(assignment.classes)) for p in split.NAMES)
        findings += checks.class_balance(assignment.classes, np.asarray(counts))
        seen = np.concatenate([part[: label_noise.ROWS] for part in matrices["train"]], axis=1, dtype=np.float32)
        findings += label_noise.found(seen, assignment.y["train"], assignment.rows["train"], assignment.classes)
    findings += drift.found(
        {
            name: drift.Part(
                numbers[: drift.ROWS], codes[: drift.ROWS], assignment.y[name][: drift.ROWS].astype(np.float64)
            )
            for name, (numbers, codes) in matrices.items()
        },
        numeric=document["numeric"], categorical=document["categorical"], target=settings.target, classes=assignment.classes,
    )
    y = assignment.y["train"]
    statistics = {} if assignment.classes else {
        "target_mean": float(y.mean(dtype=np.float64)), "target_std": float(y.std(dtype=np.float64)) or 1.0,
        "target_min": float(y.min()), "target_max": float(y.max()),
    }
    return PreparedMeta(
        task=task.id, kind="classification" if assignment.classes else "regression", modality=Modality.TABLE,
        target=settings.target, classes=assignment.classes, parts={p: len(assignment.rows[p]) for p in split.NAMES},
        profile=_profile(task.id, document, matrices["train"], assignment, features), key=key, preprocess=document,
        findings=tuple(inspection.in_order(findings)), **statistics,
    )


def check_settings(settings: DataSettings, table: Table, test: Table | None) -> None:
    faults = []
    names = ", ".join(list(table.columns)[:40]) + (" …" if len(table.columns) > 40 else "")
    if settings.target is None:
        faults.append(Violation(field="data.target", message=f"tables need a target column; there are: {names}",
                                reason="TARGET_MISSING"))
    for field, name in (
        ("data.target", settings.target), ("data.split_column", settings.split_column),
        ("data.group_column", settings.group_column), ("data.time_column", settings.time_column),
        *((f"data.ignore[{i}]", c) for i, c in enumerate(settings.ignore)),
        *((f"data.kinds[{c}]", c) for c in settings.kinds),
    ):
        if name is not None and name not in table.columns:
            faults.append(Violation(field=field, message=f"no column {name!r}; there are: {names}", reason="COLUMN_MISSING"))
    if settings.target is not None and settings.target in (
        settings.split_column, settings.group_column, settings.time_column, *settings.ignore
    ):
        faults.append(Violation(field="data.target", reason="CONTRADICTION",
                                message=f"{settings.target!r} is the target, and can't be ignored or divide the rows"))
    faults += time_and_group(settings)
    if test is not None:
        spare = {settings.split_column, settings.group_column, settings.time_column, *settings.ignore}
        lacking = [n for n in table.columns if n not in test.columns and n not in spare]
        if lacking:
            faults.append(Violation(
                field=test.filename, reason="COLUMN_MISSING",
                message=f"the test data lack the columns {', '.join(map(repr, lacking[:20]))}",
            ))
        if settings.split_column is not None:
            faults.append(Violation(field="data.split_column", reason="CONTRADICTION",
                                    message="separate test data and a split column exclude each other"))
    if faults:
        raise InvalidData(faults)


def time_and_group(settings: DataSettings) -> list[Violation]:
    """A fault where rows are to be ordered and to be held together at once."""
    if settings.time_column is None or settings.group_column is None:
        return []
    return [Violation(
        field="data.time_column", reason="CONTRADICTION",
        message="a group's rows would stand on both sides of a moment: a split by time and groups exclude each other",
        remedy="Name one of the two, or the parts themselves in a split column.",
    )]


def check_kinds(settings: DataSettings, kinds: Mapping[str, Column], table: Table) -> None:
    faults = []
    for name in settings.kinds:
        column = kinds[name]
        present = table.rows - column.rows_missing
        if present and column.rows_unparsed == present:
            example = column.text.texts[column.present[0]][:60]
            faults.append(Violation(
                field=f"data.kinds[{name}]", reason="WRONG_KIND",
                message=f"no cell of {name!r} is {column.kind.value} (for example {example!r})",
            ))
    if faults:
        raise InvalidData(faults)


def parts_named(settings: DataSettings, table: Table) -> NDArray[np.int8]:
    """What the split column says of each row: TRAIN, VALIDATION, TEST, or -1 without one."""
    if settings.split_column is None:
        return np.full(table.rows, -1, np.int8)
    column = table.columns[settings.split_column]
    return parts_of(column, table.filename)


def parts_of(column: TextColumn, filename: str) -> NDArray[np.int8]:
    """The part that each row of a split column names. Raises `InvalidData` naming the values that name none."""
    places = {name: i for i, name in enumerate(split.NAMES)}
    table = np.array([places.get(sizes.PARTS.get(t.lower(), ""), -1) for t in column.texts], np.int8)
    strange = np.flatnonzero((table < 0) & (column.counts > 0))
    faults = [
        Violation(
            field=f"{filename}, row {int((column.codes == c).argmax()) + 1}, column {column.name!r}", reason="UNKNOWN_PART",
            message=f"expected train, validation (val, valid, dev) or test, got {column.texts[c][:60]!r}",
        )
        for c in strange[:20]
    ]
    parts = table[column.codes]
    if not (parts == split.TRAIN).any():
        faults.append(Violation(
            field=f"{filename}, column {column.name!r}", message="no row is of the part train", reason="TOO_FEW_ROWS"
        ))
    if faults:
        raise InvalidData(faults)
    return parts


def times_of(settings: DataSettings, columns: Mapping[str, TextColumn], filename: str) -> Times | None:
    """The time of each row, None where the split isn't by time. Raises `InvalidData` naming the rows without one."""
    return None if settings.time_column is None else times.read(columns[settings.time_column], filename)


def write_groups(groups: NDArray[np.int64] | None, assignment: Assignment, writer: Writer) -> None:
    """Keeps what folds have to keep together."""
    if groups is not None:
        writer.array("", "groups", groups[np.concatenate([assignment.rows["train"], assignment.rows["validation"]])])


def groups_of(
    settings: DataSettings, table: Table, features: Mapping[str, Column], target: TextColumn
) -> NDArray[np.int64] | None:
    """Numbers of the rows that must stay together: by the group column, else copies of a row when they are few. Where time
    divides the rows, nothing else does."""
    if settings.time_column is not None:
        return None
    alone = np.arange(table.rows, dtype=np.int64)
    if settings.group_column is not None:
        column = table.columns[settings.group_column]
        # A row without a group stands for itself.
        return np.where(column.rows_missing, alone + len(column.values), column.codes)
    _, groups, counts = np.unique(
        checks.signatures([*(c.text for c in features.values()), target], table.rows),
        return_inverse=True, return_counts=True,
    )
    repeated = table.rows - len(counts)
    if not repeated or repeated > _DUPLICATES_TOGETHER * table.rows:
        return None
    return groups.astype(np.int64)


def overlaps(
    table: Table, test: Table | None, assignment: Assignment, features: Mapping[str, Column], target: TextColumn,
    settings: DataSettings,
) -> list[Finding]:
    """Rows, and groups, that are in the training rows and in the test rows."""
    found: list[Finding] = []
    train_rows = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    compared = [*(c.text for c in features.values())]
    own = checks.signatures(compared, table.rows)
    test_rows = np.sort(assignment.rows["test"])
    if test is None:
        found += _at(checks.overlap(own[train_rows], own[test_rows]), test_rows)
    else:
        moved = [_with_values_of(c, test.columns[c.name]) for c in compared]
        # A value that the data don't have makes the row a different one.
        strange = np.zeros(test.rows, bool)
        for column in moved:
            strange |= column.codes >= len(table.columns[column.name].values)
        theirs = checks.signatures(
            [TextColumn(c.name, table.columns[c.name].values, np.where(strange, 0, c.codes)) for c in moved], test.rows
        )
        sound = test_rows[~strange[test_rows]]
        shared = np.isin(theirs[sound], own[train_rows])
        if shared.any():
            count = int(shared.sum())
            found.append(Finding(
                check="train-test-overlap", severity=Severity.WARNING, rows=tuple((sound[shared][:20] + 1).tolist()),
                message=f"{count:,} of {len(test_rows):,} test rows ({count / len(test_rows):.1%}) have the features of "
                        "a training row: the test score flatters the model.",
            ))
    group = settings.group_column
    if group is not None and test is not None and group in test.columns:
        theirs_texts = pa.array([test.columns[group].texts[c] for c in np.unique(test.columns[group].codes[test_rows])])
        shared_groups = int(pc.sum(pc.is_in(theirs_texts, value_set=table.columns[group].values)).as_py() or 0)
        if shared_groups:
            found.append(Finding(
                check="group-overlap", severity=Severity.WARNING, columns=(group,),
                message=f"{shared_groups:,} groups of {group!r} are in the test data and in the training data.",
            ))
    return found


def _at(found: list[Finding], rows: NDArray[np.int64]) -> list[Finding]:
    """Findings with row numbers among some rows, told as rows of the source."""
    return [f.changed(rows=tuple(int(rows[r - 1]) + 1 for r in f.rows)) for f in found]


def _with_values_of(column: TextColumn, other: TextColumn) -> TextColumn:
    """`other`'s cells as codes of `column`'s values; one more code than there are for values it hasn't."""
    places = pc.fill_null(pc.index_in(other.values, value_set=column.values), len(column.values))
    return TextColumn(column.name, column.values, places.to_numpy(zero_copy_only=False).astype(np.int32)[other.codes])


def _without_copies(
    features: dict[str, Column], assignment: Assignment, target: str, findings: list[Finding]
) -> dict[str, Column]:
    """The features without one-to-one copies of the target; adds what the leak check found."""
    rows = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    y = np.concatenate([assignment.y["train"], assignment.y["validation"]])
    y = y.astype(np.int64) if assignment.classes else y.astype(np.float64)
    suspicious, copies = checks.leaks(features, rows, y, len(assignment.classes))
    findings += suspicious
    if not copies:
        return features
    rest = {name: column for name, column in features.items() if name not in copies}
    findings.append(checks.copies_left_out(copies, target) if rest else checks.copies_kept(copies, target))
    return rest or features


def _describe(
    features: Mapping[str, Column], assignment: Assignment, findings: list[Finding], table: Table
) -> list[dict[str, Json]]:
    descriptions = []
    for column in features.values():
        description, found = columns.described(
            column, assignment.rows["train"], assignment.y["train"], len(assignment.classes)
        )
        findings += found
        if description is not None:
            descriptions.append(description)
    if not descriptions:
        raise InvalidData.at(
            table.filename, "no column is left to learn from: every value of every column comes once.",
            "Give more rows, or override a kind.", "NO_FEATURES",
        )
    return descriptions


def _write(
    descriptions: list[dict[str, Json]], table: Table, test: Table | None, assignment: Assignment, writer: Writer
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.int32]]]:
    """Writes matrices, targets, row numbers and raw texts. Returns for each part (numeric [n, d], categorical [n, c])."""
    own = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    test_rows = assignment.rows["test"]
    main = _matrices(descriptions, table, own)
    held = _matrices(descriptions, test or table, test_rows)
    y = np.concatenate([assignment.y["train"], assignment.y["validation"]])
    folders: tuple[Literal["", "test"], ...] = ("", "test")
    for folder, (numeric, categorical), target, rows in zip(
        folders, (main, held), (y, assignment.y["test"]), (own, test_rows)
    ):
        writer.array(folder, "numeric", numeric)
        writer.array(folder, "categorical", categorical)
        writer.array(folder, "target", target)
        writer.array(folder, "rows", rows)
    write_raw([d["name"] for d in descriptions if d["kind"] != "numeric"], table, test, own, test_rows, writer)
    train = len(assignment.rows["train"])
    return {"train": (main[0][:train], main[1][:train]), "validation": (main[0][train:], main[1][train:]), "test": held}


def _matrices(
    descriptions: list[dict[str, Json]], table: Table, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    numeric: list[NDArray[Any]] = [np.zeros((len(rows), 0), np.float32)]
    categorical: list[NDArray[Any]] = []
    for description in descriptions:
        values = columns.encoded(description, table.columns[description["name"]].take(rows))
        (categorical if description["kind"] == "categorical" else numeric).append(values)
    codes = np.stack(categorical, axis=1) if categorical else np.zeros((len(rows), 0), np.int32)
    return np.concatenate(numeric, axis=1), codes


def write_raw(
    names: list[str], table: Table, test: Table | None, rows: NDArray[np.int64], test_rows: NDArray[np.int64],
    writer: Writer, *, missing_words: bool = True,
) -> None:
    """The raw text of columns that are not numeric: all different texts once, "" first, and codes into them. With
    `missing_words` the words that mean "missing" in tables become ""."""
    blocks: list[pa.Array] = [pa.array([""], pa.string())]
    offsets: dict[tuple[str, str], int] = {}
    for which, source in (("own", table), ("test", test)):
        for name in names if source is not None else ():
            offsets[which, name] = sum(map(len, blocks))
            blocks.append(source.columns[name].values)  # type: ignore[union-attr]

    def codes(source: Table, which: str, chosen: NDArray[np.int64]) -> NDArray[np.int32]:
        stacked = np.zeros((len(names), len(chosen)), np.int32)
        for i, name in enumerate(names):
            column = source.columns[name]
            local = column.codes[chosen]
            gone = column.absent[local] if missing_words else np.zeros(len(local), bool)
            stacked[i] = np.where(gone, 0, local + offsets[which, name])
        return stacked

    texts = pa.concat_arrays([b.cast(pa.large_string()) for b in blocks])
    _, ends, bytes_ = texts.buffers()
    writer.array("", "raw_offsets", np.frombuffer(ends, np.int64)[: len(texts) + 1])
    writer.array("", "raw_values", np.zeros(1, np.uint8) if not bytes_ else np.frombuffer(bytes_, np.uint8))
    writer.array("", "raw", codes(table, "own", rows))
    writer.array("test", "raw", codes(test or table, "own" if test is None else "test", test_rows))


def _profile(
    task: str, document: Mapping[str, Json], train: tuple[NDArray[np.float32], NDArray[np.int32]], assignment: Assignment,
    features: Mapping[str, Column],
) -> Profile:
    numeric, categorical = train
    y = assignment.y["train"]
    counts = np.bincount(y, minlength=len(assignment.classes)) if assignment.classes else np.zeros(0, np.int64)
    cells = numeric.size + categorical.size
    missing = int(np.isnan(numeric).sum()) + int((categorical == 0).sum())
    names = list(document["numeric"])
    plain = [names.index(n) for n, c in features.items() if c.kind == ColumnKind.NUMERIC and n in names]
    return Profile(
        modality=Modality.TABLE, task=task, rows=len(y), numeric=numeric.shape[1], categorical=categorical.shape[1],
        cardinality_max=max(document["cardinalities"], default=0), cardinalities=tuple(document["cardinalities"]),
        missing_fraction=missing / max(1, cells), heavy_tailed=_heavy_tailed(numeric[:_PROFILED_ROWS, plain]),
        numeric_values=tuple(len(np.unique(x[~np.isnan(x)])) for x in numeric[:_PROFILED_ROWS].T),
        classes=len(assignment.classes),
        class_min=int(counts.min()) if len(counts) else 0,
        imbalance=float(counts.max() / counts.min()) if len(counts) else 1.0,
        target_min=None if assignment.classes else float(y.min()),
        target_skew=0.0 if assignment.classes else _skew(y.astype(np.float64)),
        outputs=len(assignment.classes) or 1, sample_bytes=4 * (numeric.shape[1] + categorical.shape[1]),
    )


def _heavy_tailed(x: NDArray[np.float32]) -> float:
    """Share of columns whose kurtosis (3 for a normal distribution) exceeds 10."""
    if not x.shape[1]:
        return 0.0
    heavy = 0
    for column in x.T.astype(np.float64):
        present = column[~np.isnan(column)]
        if len(present) and (variance := present.var()) > 0:
            heavy += float(((present - present.mean()) ** 4).mean()) / variance**2 > 10
    return heavy / x.shape[1]


def _skew(y: NDArray[np.float64]) -> float:
    deviation = y.std()
    return float((((y - y.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0
