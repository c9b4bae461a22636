"""From the arguments of `submit` to a job's specification, for both clients."""

from __future__ import annotations

from pathlib import Path

from automl_client import errors, types

LABELLED_FORMS = ("text-folder",)
"""Forms of tables that bring their target: the folders that texts lie in name their classes."""

TABLE_ENDINGS = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz", ".parquet.gz", ".txt", ".txt.gz")


def check(data: str | Path | types.Dataset, settings: types.SubmitSettings) -> None:
    """What can be told before a byte is sent. Raises `InvalidInput` with every fault; the server checks the rest."""
    faults = []
    if not settings.get("target") and _is_table(data):
        faults.append(
            errors.Violation(
                "data.target", f"a table needs the column to predict. {_columns(data)}".rstrip(), "TARGET_MISSING"
            )
        )
    for name in ("budget_s", "max_size_bytes", "max_latency_ms", "max_parameters", "max_memory_bytes", "max_trials"):
        value = settings.get(name)
        if isinstance(value, int | float) and not value > 0:
            faults.append(errors.Violation(name, f"must be more than 0, got {value}.", "OUT_OF_RANGE"))
    if faults:
        raise errors.InvalidInput("\n".join(map(str, faults)), faults)


def specification(settings: types.SubmitSettings, dataset: str, test_dataset: str, spent_s: float) -> types.JobSpec:
    """The specification; what wasn't given is left to the server."""
    return types.JobSpec(
        dataset=dataset,
        test_dataset=test_dataset,
        task=settings.get("task", ""),
        metric=settings.get("metric", ""),
        data=types.DataSettings(
            target=settings.get("target", ""),
            split_column=settings.get("split_column", ""),
            group_column=settings.get("group_column", ""),
            time_column=settings.get("time_column", ""),
            kinds=settings.get("kinds", {}),
            ignore=tuple(settings.get("ignore", ())),
            test_fraction=settings.get("test_fraction"),
        ),
        constraints=types.Constraints(
            settings.get("max_size_bytes"), settings.get("max_latency_ms"), settings.get("max_parameters"),
            settings.get("max_memory_bytes"), settings.get("device", ""),
        ),
        budget=types.Budget(settings.get("budget_s", 600.0), spent_s, settings.get("max_trials")),
        search=types.SearchSettings(
            strategy=settings.get("strategy", "auto"),
            allow=tuple(settings.get("allow", ())),
            forbid=tuple(settings.get("forbid", ())),
            force=tuple(settings.get("force", ())),
            parameters={name: _as_text(value) for name, value in settings.get("parameters", {}).items()},
            seed=settings.get("seed", 0),
            recipes_json=tuple(settings.get("recipes_json", ())),
            rank_by=settings.get("rank_by", "model"),
        ),
        formats=tuple(types.Format.parse(text) for text in settings.get("formats", ())),
        tolerance=settings.get("tolerance"),
        display_name=settings.get("display_name", ""),
    )


def _as_text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_table(data: str | Path | types.Dataset) -> bool:
    if isinstance(data, types.Dataset):
        return data.modality == "table" and data.format not in LABELLED_FORMS
    return Path(data).is_file() and Path(data).name.lower().endswith(TABLE_ENDINGS)


def _columns(data: str | Path | types.Dataset) -> str:
    """A sentence that names the columns, where they can be had without a reader."""
    if isinstance(data, types.Dataset):
        names = [column.name for column in data.columns]
    else:
        if not Path(data).name.lower().endswith((".csv", ".tsv")):
            return ""
        with Path(data).open(encoding="utf-8", errors="replace") as file:
            line = file.readline(65536).strip()
        names = [cell.strip().strip('"') for cell in line.split("\t" if str(data).lower().endswith(".tsv") else ",")]
    shown = ", ".join(repr(name) for name in names[:20]) + (", …" if len(names) > 20 else "")
    return f"The first line has: {shown}." if shown else ""
