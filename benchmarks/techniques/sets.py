"""The small real sets on which techniques are tried: a few for each modality, cut to what trains in seconds.

A technique is tried on the first set of a modality to which it applies.
"""

from __future__ import annotations

import csv
import dataclasses
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.mainjob.sets import ADULT_COLUMNS

SEED = 42
"""Of the choice of rows."""


@dataclasses.dataclass(frozen=True)
class Set:
    """A set, cut, and how long a run on it is."""

    name: str
    modality: str
    task: str
    metric: str
    epochs: int
    """Of every run, so that schedules span what is trained."""
    settings: dict[str, Any]
    """Fields of `DataSettings`."""
    cut: Callable[[Path, Path], Path]
    """`cut(data, work)` writes the file that is prepared."""


def _telco(data: Path, work: Path) -> Path:
    return data / "telco_churn" / "Telco-Customer-Churn.csv"


def _rare(data: Path, work: Path) -> Path:
    """2,000 people of adult, 200 of whom earn more than 50K: imbalance, and few enough rows for full batches."""
    with (data / "adult" / "adult-train.csv").open(newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if len(row) == len(ADULT_COLUMNS)]
    rng = random.Random(SEED)
    few = rng.sample([row for row in rows if row[-1] == ">50K"], 200)
    many = rng.sample([row for row in rows if row[-1] == "<=50K"], 1_800)
    chosen = few + many
    rng.shuffle(chosen)
    return _table(work / "adult.csv", [ADULT_COLUMNS, *chosen])


def _housing(data: Path, work: Path) -> Path:
    with (data / "california_housing" / "housing.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    return _table(work / "housing.csv", [head, *random.Random(SEED).sample(rows, 4_000)])


def _news(data: Path, work: Path) -> Path:
    with (data / "ag_news" / "ag_news.csv").open(newline="", encoding="utf-8") as file:
        rows = [[label, f"{title} {text}"] for label, title, text in csv.reader(file)]
    return _table(work / "news.csv", [["label", "text"], *random.Random(SEED).sample(rows, 3_000)])


def _vowels(data: Path, work: Path) -> Path:
    """The official training and test series in one file: folds need rows more than the official split."""
    folder, made = data / "ts_classification_ucr", work / "JapaneseVowels.ts"
    train = (folder / "JapaneseVowels_TRAIN.ts").read_text(encoding="utf-8")
    test = (folder / "JapaneseVowels_TEST.ts").read_text(encoding="utf-8")
    made.write_text(train.rstrip() + "\n" + test.partition("@data")[2].strip() + "\n", encoding="utf-8")
    return made


def _cifar(data: Path, work: Path) -> Path:
    """100 pictures a class."""
    made, classes = work / "cifar.zip", {}
    with zipfile.ZipFile(data / "cifar10_subset" / "cifar10_subset.zip") as archive:
        for name in sorted(archive.namelist()):
            parts = Path(name).parts
            if len(parts) == 4 and parts[1] == "train":
                classes.setdefault(parts[2], []).append(name)
        with zipfile.ZipFile(made, "w") as cut:
            for label, names in sorted(classes.items()):
                for name in random.Random(SEED).sample(names, 100):
                    cut.writestr(f"{label}/{Path(name).name}", archive.read(name))
    return made


SETS: tuple[Set, ...] = (
    Set("telco_churn", "table", "tabular-classification", "roc-auc", 12,
        {"target": "Churn", "ignore": ("customerID",)}, _telco),
    Set("california_housing", "table", "tabular-regression", "r2", 20, {"target": "median_house_value"}, _housing),
    Set("adult_rare", "table", "tabular-classification", "pr-auc", 20, {"target": "income"}, _rare),
    Set("cifar10_subset", "image", "image-classification", "accuracy", 8, {}, _cifar),
    Set("ag_news", "text", "text-classification", "accuracy", 6, {"target": "label"}, _news),
    Set("japanese_vowels", "series", "timeseries-classification", "accuracy", 30, {}, _vowels),
)


def _table(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path
