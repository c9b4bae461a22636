"""Checks a job's specification against the inspected data, before anything is started: every fault at once.

This runs in the server, so it loads nothing but the catalogue's declarations.
"""

from __future__ import annotations

from automl.catalog import compose, devices, entries, slots
from automl.catalog.precisions import narrowest
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, DataSettings, JobSpec, Modality, Violation


def infer_task(info: DatasetInfo, target: str | None, data: DataSettings | None = None) -> str | None:
    """The id of the task type that fits data and target best, None when none does. `data` says which columns count, and of
    what kind they are."""
    if data is not None:
        info = _as_set(info, data)
    column = _target_column(info, target)
    certainties = sorted(((task.infer(info, column), task.id) for task in entries.tasks), reverse=True)
    return certainties[0][1] if certainties and certainties[0][0] > 0 else None


def _as_set(info: DatasetInfo, data: DataSettings) -> DatasetInfo:
    """The data set without the columns that aren't features by the settings, and with the kinds that these name."""
    spare = {data.split_column, data.group_column, data.time_column, *data.ignore} - {data.target}
    columns = tuple(c.changed(kind=data.kinds.get(c.name, c.kind)) for c in info.columns if c.name not in spare)
    return info.changed(columns=columns)


def violations(spec: JobSpec, info: DatasetInfo, test_info: DatasetInfo | None = None) -> list[Violation]:
    """Every fault of a specification that can be seen without reading the data again; an empty list when it is
    sound."""
    found: list[Violation] = []
    known_task = spec.task is None or spec.task in entries.tasks
    if not known_task:
        found.append(_fault("task", entries.tasks.unknown(str(spec.task)), "UNKNOWN_ID"))
    found += _data_faults(spec, info, test_info)
    task_id = spec.task if spec.task in entries.tasks else None
    if spec.task is None and not any(v.field == "data.target" for v in found):
        task_id = infer_task(info, spec.data.target, spec.data)
        if task_id is None:
            found.append(_fault("task", "could not be inferred from the data and target; name it", "TASK_UNCLEAR"))
    if task_id is not None:
        task = entries.tasks[task_id]
        if info.modality not in task.forms:
            found.append(
                _fault(
                    "task", f"{task.id} takes {task.takes}, but the data set is of the form {info.format}", "WRONG_MODALITY"
                )
            )
        elif task.modality != Modality.SERIES and None not in (spec.data.time_column, spec.data.group_column):
            # Of series the group column may be what tells them apart, which only reading tells.
            message = "a split by time and a group column exclude each other: a group's rows would stand on both sides"
            found.append(_fault("data.time_column", message, "CONTRADICTION"))
        elif task.modality == Modality.TEXT and not _has_text(spec, info):
            kinds = ", ".join(f"{c.name!r} ({c.kind})" for c in info.columns[:10] if c.name != spec.data.target)
            message = f"{task.id} needs a column of texts, and there is none ({kinds}); --kind COLUMN=text names one"
            found.append(_fault("data", message, "NO_TEXT"))
        elif task.kind == "regression" and (column := _target_column(info, spec.data.target)) is not None:
            kind = spec.data.kinds.get(column.name, column.kind)
            if kind not in (ColumnKind.NUMERIC, ColumnKind.BOOLEAN):
                examples = ", ".join(map(repr, column.examples[:3]))
                message = f"{task.id} needs numbers, but column {column.name!r} is {kind} (for example {examples})"
                found.append(_fault("data.target", message, "TARGET_NOT_NUMERIC"))
        if spec.metric is not None and spec.metric not in task.metrics:
            found.append(
                _fault(
                    "metric", f"unknown metric {spec.metric!r}; {task.id} has {', '.join(task.metrics)}", "UNKNOWN_METRIC"
                )
            )
    found += _format_faults(spec)
    if spec.constraints.device and spec.constraints.device not in devices.devices:
        found.append(_fault("constraints.device", devices.devices.unknown(spec.constraints.device), "UNKNOWN_ID"))
    found += _search_faults(spec)
    return found


def _has_text(spec: JobSpec, info: DatasetInfo) -> bool:
    target = spec.data.target or info.own_target
    return any(c.kind == ColumnKind.TEXT for c in _as_set(info, spec.data).columns if c.name != target)


def _target_column(info: DatasetInfo, target: str | None) -> ColumnInfo | None:
    if target is not None:
        return info.column(target)
    return None if info.own_target is None else info.column(info.own_target)


def _data_faults(spec: JobSpec, info: DatasetInfo, test_info: DatasetInfo | None) -> list[Violation]:
    found = []
    names = ", ".join(c.name for c in info.columns[:40]) + (" …" if len(info.columns) > 40 else "")
    target = spec.data.target
    if info.modality == Modality.TABLE and target is None and info.own_target is None:
        found.append(_fault("data.target", f"tables need a target column; there are: {names}", "TARGET_MISSING"))
    for field, name in (
        ("data.target", target),
        ("data.split_column", spec.data.split_column),
        ("data.group_column", spec.data.group_column),
        ("data.time_column", spec.data.time_column),
        *((f"data.ignore[{i}]", c) for i, c in enumerate(spec.data.ignore)),
        *((f"data.kinds[{c}]", c) for c in spec.data.kinds),
    ):
        if name is not None and info.column(name) is None:
            found.append(_fault(field, f"no column {name!r}; there are: {names}", "COLUMN_MISSING"))
    column = info.column(target) if target is not None else _target_column(info, None)
    if column is not None:
        if column.rows_missing == info.rows:
            found.append(_fault("data.target", f"column {column.name!r} has no values at all", "TARGET_EMPTY"))
        elif column.distinct < 2:
            only = column.examples[0] if column.examples else ""
            found.append(
                _fault(
                    "data.target",
                    f"column {column.name!r} has the single value {only!r}: there is nothing to learn",
                    "ONE_CLASS",
                )
            )
        if target is not None and target in spec.data.ignore:
            found.append(_fault("data.ignore", f"the target {target!r} can't be ignored", "CONTRADICTION"))
        if target is not None and target == spec.data.time_column:
            message = f"{target!r} is the target: what is to be predicted can't order the rows"
            found.append(_fault("data.time_column", message, "CONTRADICTION"))
    if info.modality == Modality.TABLE and target is not None and column is not None:
        features = [
            c
            for c in info.columns
            if c.name != target
            and c.name not in (spec.data.split_column, spec.data.group_column, spec.data.time_column, *spec.data.ignore)
            and spec.data.kinds.get(c.name, c.kind) not in (ColumnKind.CONSTANT, ColumnKind.ID)
            and c.rows_missing < info.rows
        ]
        if not features:
            found.append(_fault("data", "no column is left to learn from", "NO_FEATURES"))
    if test_info is not None:
        if test_info.modality != info.modality:
            message = f"expected data of the form {info.format}, got {test_info.format}"
            found.append(_fault("test_dataset", message, "WRONG_MODALITY"))
        elif info.modality == Modality.TABLE:
            lacking = [c.name for c in info.columns if test_info.column(c.name) is None and c.name not in spec.data.ignore
                       and c.name not in (spec.data.split_column, spec.data.group_column, spec.data.time_column)
                       and not (c.name == "part" and info.parts)]
            if lacking:
                message = f"lacks the columns {', '.join(map(repr, lacking[:20]))}"
                found.append(_fault("test_dataset", message, "COLUMN_MISSING"))
        if spec.data.split_column is not None:
            found.append(
                _fault(
                    "data.split_column", "a separate test data set and a split column exclude each other", "CONTRADICTION"
                )
            )
    return found


def _format_faults(spec: JobSpec) -> list[Violation]:
    found = []
    if not spec.formats:
        found.append(_fault("formats", "at least one artifact format is needed", "FORMAT_MISSING"))
    for i, wanted in enumerate(spec.formats):
        if wanted.format not in entries.formats:
            found.append(_fault(f"formats[{i}]", entries.formats.unknown(wanted.format), "UNKNOWN_ID"))
        elif wanted.precision not in entries.formats[wanted.format].precisions:
            offered = ", ".join(entries.formats[wanted.format].precisions)
            found.append(
                _fault(
                    f"formats[{i}]", f"{wanted.format} comes in {offered}, not in {wanted.precision}", "UNKNOWN_PRECISION"
                )
            )
        elif lacking := entries.formats[wanted.format].lacking:
            found.append(_fault(f"formats[{i}]", lacking, "FORMAT_UNAVAILABLE"))
        if wanted in spec.formats[:i]:
            found.append(_fault(f"formats[{i}]", f"{wanted} is asked for twice", "DUPLICATE"))
    return found


def _search_faults(spec: JobSpec) -> list[Violation]:
    found = []
    known = {e.id for e in entries.techniques} | {e.id for e in entries.architectures}
    for field in ("allow", "forbid", "force"):
        for i, id in enumerate(getattr(spec.search, field)):
            if id not in known:
                found.append(_fault(f"search.{field}[{i}]", entries.techniques.unknown(id), "UNKNOWN_ID"))
    for id in sorted(set(spec.search.force) & set(spec.search.forbid)):
        found.append(_fault("search.force", f"{id} is forced and forbidden at once", "CONTRADICTION"))
    found += compose.fixed(spec.search.parameters)[1]
    found += _forced_together(spec)
    if spec.search.rank_by == "artifact" and narrowest(spec.formats, "tflite") is None:
        message = "trials are ranked by a TFLite file, and none is asked for: add --format tflite:int8"
        found.append(_fault("search.rank_by", message, "FORMAT_MISSING"))
    if spec.search.strategy == "fixed" and not spec.search.recipes:
        found.append(_fault("search.recipes", "the strategy `fixed` needs at least one recipe", "RECIPE_MISSING"))
    if spec.budget.wall_s <= spec.budget.spent_s:
        found.append(
            _fault(
                "budget", f"{spec.budget.wall_s:g} s are used up by the upload ({spec.budget.spent_s:.1f} s)", "BUDGET_SPENT"
            )
        )
    return found


def _forced_together(spec: JobSpec) -> list[Violation]:
    """Forced ids that can't stand in one recipe, whatever the data: two in one place, or one excluding the other."""
    found = []
    forced = [id for id in dict.fromkeys(spec.search.force) if id in entries.techniques]
    for slot in slots.SLOTS.values():
        held = [id for id in forced if entries.techniques[id].slot == slot.name]
        if len(held) > 1:
            names = " and ".join(held)
            found.append(_fault("search.force", f"{names} are forced, but there is one place: {slot.meaning}", "CONFLICT"))
    found += [_fault("search.force", message, "NOT_APPLICABLE") for message in compose.unsearched_among(spec.search.force)]
    for first, second, why in compose.conflicts_among(set(spec.search.force)):
        found.append(_fault("search.force", f"{first} and {second} are both forced, but {why}", "CONFLICT"))
    for id in forced:
        for needed, why in entries.techniques[id].requires.items():
            if needed in spec.search.forbid:
                found.append(_fault("search.force", f"{id} needs {needed} ({why}), which is forbidden", "CONTRADICTION"))
        for wanted in map(str, spec.formats):
            if reason := entries.techniques[id].reason_against_format(wanted):
                message = f"{id} is forced, but can't be given as {wanted}: {reason}"
                found.append(_fault("search.force", message, "CONTRADICTION"))
    return found


def _fault(field: str, message: str, reason: str) -> Violation:
    return Violation(field=field, message=message, reason=reason)
