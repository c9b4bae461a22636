"""A profile estimated from a data set's inspection, for those who ask what applies before anything is prepared.

The real `Profile` is counted by the preparation (`automl.data.prepare`) on the training rows. This one is worked out from
the `DatasetInfo` alone, without a look at the data, so the server can make it in microseconds. How near it comes:

- rows, parts: the preparation's own sizes (`automl.spec.sizes`). Duplicates and groups, which stay together, may move the
  border by some rows.
- classes, class_min, imbalance: from the counts of the target's values, times the training part's share; classes with a
  single row are left out, as the preparation does. An inspection lists at most 50 values: of more classes the rarest counts
  as the average of those that aren't listed.
- numeric, categorical, cardinality_max: by the columns' kinds. What the preparation finds out only by reading isn't known: a
  column that copies the target, features of dates that don't vary, how many words of a text come often enough (estimated by
  the laws of Heaps and Zipf from the examples that the inspection shows).
- missing_fraction: from the counts of missing cells; words in a numeric column aren't among them.
- image_shape: the most frequent size. Pictures of many sizes are resized to the median one.
- length of texts: the inspection's, of a sample; length and channels of series: those of the longest one, in a table of
  steps those of the average one. vocabulary and ngrams of texts: by order of magnitude.
- target_min: the least value of all rows.
- heavy_tailed and target_skew stay 0, numeric_values empty: no technique's declaration may turn on them here.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

from automl.catalog.entries import Task
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, DataSettings, Modality, Profile, sizes
from automl.spec.dataset import LABELLED_FORMS

_NEVER_FEATURES = (ColumnKind.CONSTANT, ColumnKind.ID)
_WORD = re.compile(r"[^\W_]+")
_YEAR = re.compile(r"[0-9]{4}")


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Training rows, of `total` rows that can be used."""

    train: int
    total: int

    def of(self, rows: float) -> float:
        """How many of some rows are in the training part, on the average."""
        return rows * self.train / max(1, self.total)


def profile(info: DatasetInfo, task: Task, settings: DataSettings, *, separate_test: bool = False) -> Profile:
    """The estimate for a task on an inspected data set. `separate_test`: the test rows come as a data set of their own.

    Expects settings that `validation.violations` found sound.
    """
    columns = [c.changed(kind=settings.kinds.get(c.name, c.kind)) for c in info.columns]
    target = next((c for c in columns if c.name == (settings.target or info.own_target)), None)
    reserved = {
        settings.split_column, settings.group_column, settings.time_column, *settings.ignore, target.name if target else None
    }
    features = [
        c for c in columns
        if c.name not in reserved and c.kind not in _NEVER_FEATURES and c.rows_missing < info.rows
    ]
    # In a table of steps a series has many rows, which the group column holds together.
    steps = info.column(settings.group_column) if task.modality == Modality.SERIES and settings.group_column else None
    examples = steps.distinct if steps is not None and info.modality == Modality.TABLE else info.rows
    share = examples / max(1, info.rows)
    counts = _class_counts(target, info.rows, share) if task.kind == "classification" and target is not None else []
    usable = round(sum(counts)) if counts else round((info.rows - (target.rows_missing if target else 0)) * share)
    rows = _Rows(_training_rows(info, task, settings, usable, separate_test), usable)
    base = Profile(
        modality=task.modality, task=task.id, rows=rows.train, classes=len(counts), outputs=len(counts) or 1,
        class_min=max(1, round(rows.of(counts[-1]))) if counts else 0, imbalance=counts[0] / counts[-1] if counts else 1.0,
        temporal=settings.time_column is not None,
    )
    if task.kind == "regression" and target is not None:
        base = base.changed(target_min=target.minimum)
    match task.modality:
        case Modality.TABLE:
            return _table(base, info, features, rows)
        case Modality.IMAGE:
            return _pictures(base, info)
        case Modality.TEXT:
            return _texts(base, [c for c in features if c.kind == ColumnKind.TEXT])
        case _:
            return _series(base, info, features, steps, examples)


def _class_counts(target: ColumnInfo, rows: int, share: float) -> list[float]:
    """Examples of each class, the most frequent first; a class of a single one can't be learnt and judged."""
    listed = sorted((n * share for _, n in target.top), reverse=True)
    others = target.distinct - len(listed)
    if others > 0:
        rest = max(0.0, (rows - target.rows_missing) * share - sum(listed))
        listed += [rest / others] * others
    return [n for n in listed if n >= 1.5]


def _training_rows(info: DatasetInfo, task: Task, settings: DataSettings, usable: int, separate_test: bool) -> int:
    named: dict[str, float] = {}
    if settings.split_column is not None and (column := info.column(settings.split_column)) is not None:
        for value, rows in column.top:
            part = sizes.PARTS.get(value.lower(), "")
            named[part] = named.get(part, 0.0) + rows
    elif task.modality == Modality.IMAGE or (info.format in LABELLED_FORMS and not separate_test):
        named = {part: float(rows) for part, rows in info.parts}
    share = usable / max(1, info.rows)
    held = {part: round(rows * share) for part, rows in named.items() if not (separate_test and part == "test")}
    pool = max(1, usable - held.get("test", 0) - held.get("validation", 0))
    if "test" not in held and not separate_test:
        pool -= sizes.rows_to_test(pool, settings.test_fraction)
    if "validation" not in held:
        pool -= sizes.rows_to_validate(pool)
    return max(1, pool)


# --- by the form of an example ------------------------------------------------------------------


def _table(base: Profile, info: DatasetInfo, features: list[ColumnInfo], rows: _Rows) -> Profile:
    numeric, missing, cardinalities = 0, 0.0, []
    for column in features:
        absent = column.rows_missing / max(1, info.rows)
        if column.kind == ColumnKind.CATEGORICAL:
            if known := _categories(column, info, rows):
                cardinalities.append(known + 2)
                missing += absent
        else:
            width = _width(column, rows)
            numeric += width
            # A text without words is zeros, and nothing of it is missing.
            missing += 0.0 if column.kind == ColumnKind.TEXT else absent * width
    cells = numeric + len(cardinalities)
    return base.changed(
        numeric=numeric, categorical=len(cardinalities), cardinality_max=max(cardinalities, default=0),
        cardinalities=tuple(cardinalities), missing_fraction=missing / max(1, cells), sample_bytes=4 * cells,
    )


def _categories(column: ColumnInfo, info: DatasetInfo, rows: _Rows) -> int:
    """Categories that come often enough in the training rows; 0 where none does, and the column is left out."""
    least = sizes.rows_of_category(rows.train)
    kept = sum(rows.of(n) >= least - 0.5 for _, n in column.top)
    others = column.distinct - len(column.top)
    if others > 0:
        rest = max(0, info.rows - column.rows_missing - sum(n for _, n in column.top))
        kept += others if rows.of(rest / others) >= least - 0.5 else 0
    return min(kept, sizes.CATEGORIES)


def _width(column: ColumnInfo, rows: _Rows) -> int:
    """Numeric columns that a column becomes."""
    match column.kind:
        case ColumnKind.DATE:
            return _date_features(column)
        case ColumnKind.TEXT:
            # Of the words of a text corpus about one in `TOKEN_ROWS` comes so often (Zipf).
            return min(sizes.TOKENS, round(_vocabulary(column.examples, rows.train) / sizes.TOKEN_ROWS))
        case _:
            return 1


def _date_features(column: ColumnInfo) -> int:
    """Days, month and weekday as two numbers each; year and hour where the values that are shown differ in them."""
    shown = [*column.examples, *(value for value, _ in column.top)]
    years = {match[0] for text in shown if (match := _YEAR.search(text))}
    return 5 + (len(years) > 1) + any(":" in text for text in shown)


def _vocabulary(examples: Sequence[str], rows: int) -> float:
    """Different words in so many texts like the examples, by Heaps's law: the n-fold of words has n^0.6 as many different
    ones (Manning et al.: Introduction to Information Retrieval, 2008, 5.1.1, has exponents of 0.4 to 0.6)."""
    shown = {word.lower() for text in examples for word in _WORD.findall(text)}
    return len(shown) * math.pow(max(1.0, rows / max(1, len(examples))), 0.6)


def _pictures(base: Profile, info: DatasetInfo) -> Profile:
    height, width, channels = info.image_shape or (1, 1, 1)
    if any(finding.check == "picture-modes" for finding in info.findings):
        channels = 3
    factor = min(1.0, sizes.PICTURE_SIDE / max(height, width))
    shape = (max(1, round(height * factor)), max(1, round(width * factor)), channels)
    return base.changed(image_shape=shape, sample_bytes=math.prod(shape))


def _texts(base: Profile, columns: list[ColumnInfo]) -> Profile:
    shown = [text for column in columns for text in column.examples]
    # A column that was told to be text has no count of its tokens.
    counted = [c.tokens or max((len(_WORD.findall(text)) for text in c.examples), default=1) for c in columns]
    tokens = sum(counted) + max(0, len(columns) - 1)
    length = max(8, -(-min(tokens, sizes.TEXT_LENGTH) // 8) * 8)
    vocabulary = min(20_000, round(_vocabulary(shown, base.rows * max(1, len(columns))) / 2)) + 3
    return base.changed(length=length, vocabulary=vocabulary, ngrams=2 * vocabulary, sample_bytes=4 * 5 * length)


def _series(
    base: Profile, info: DatasetInfo, features: list[ColumnInfo], steps: ColumnInfo | None, examples: int
) -> Profile:
    if info.modality == Modality.SERIES:
        length, channels = info.series_shape or (0, 0)
        length = min(length, sizes.SERIES_LENGTH)
        return base.changed(length=length, channels=channels, sample_bytes=4 * length * channels)
    numeric = [c for c in features if c.kind == ColumnKind.NUMERIC]
    absent = sum(c.rows_missing for c in numeric) / max(1, info.rows * len(numeric))
    length, channels = (round(info.rows / max(1, examples)), len(numeric)) if steps is not None else (len(numeric), 1)
    length = min(length, sizes.SERIES_LENGTH)
    return base.changed(
        length=length, channels=channels, missing_fraction=absent, sample_bytes=4 * length * channels,
    )
