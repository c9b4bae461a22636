"""The four sets as a user would bring them, with rows kept from the product altogether.

The product gets a file to learn from and makes its own test part of it. The rows on which the benchmark scores it are in
another file, without the target, that only `automl predict` sees.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Where the parts of a set are, and how it is scored."""

    train: Path
    new: Path
    """The held-out rows as `automl predict` takes them."""
    truth: list[str]
    """Of the held-out rows in the order of `new` (tables), or by file name (pictures: see `by_file`)."""
    options: tuple[str, ...]
    metric: str
    """"roc-auc", "r2" or "accuracy"."""
    positive: str = ""
    by_file: dict[str, str] | None = None
    """Pictures: file name → class."""


@dataclasses.dataclass(frozen=True)
class Set:
    """A set with what is aimed at."""

    name: str
    budget_s: int
    aim: float
    int8_within: float
    """Accepted loss of the int8 artifact against the float one, in the metric."""
    prepare: Callable[[Path, Path], Prepared]


ADULT_COLUMNS = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
]


def adult(data: Path, work: Path) -> Prepared:
    """The official split; the files have no header, blanks before values, and a dot after the test labels."""

    def read(name: str) -> list[list[str]]:
        with (data / "adult" / name).open(newline="") as file:
            return [[cell.strip().rstrip(".") for cell in row] for row in csv.reader(file) if len(row) == len(ADULT_COLUMNS)]

    train, test = read("adult-train.csv"), read("adult-test.csv")
    _table(work / "adult.csv", ADULT_COLUMNS, train)
    _table(work / "adult-new.csv", ADULT_COLUMNS[:-1], [row[:-1] for row in test])
    return Prepared(
        work / "adult.csv",
        work / "adult-new.csv",
        [row[-1] for row in test],
        ("--target", "income"),
        "roc-auc",
        positive=">50K",
    )


def california_housing(data: Path, work: Path) -> Prepared:
    """80/20 at random with seed 42, as the reference figures have it."""
    from sklearn.model_selection import train_test_split

    with (data / "california_housing" / "housing.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    at = head.index("median_house_value")
    train, test = train_test_split(rows, test_size=0.2, random_state=42)
    _table(work / "housing.csv", head, train)
    _table(
        work / "housing-new.csv",
        [c for i, c in enumerate(head) if i != at],
        [[c for i, c in enumerate(r) if i != at] for r in test],
    )
    return Prepared(work / "housing.csv", work / "housing-new.csv", [row[at] for row in test], ("--target", head[at]), "r2")


def mnist(data: Path, work: Path) -> Prepared:
    """The official split: the idx files of the training part in a folder, the test pictures as PNG files."""
    from PIL import Image

    source = data / "mnist"
    train, new = work / "mnist", work / "mnist-new"
    train.mkdir(parents=True)
    new.mkdir()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        shutil.copyfile(source / name, train / name)
    images, labels = _idx(source / "t10k-images-idx3-ubyte.gz"), _idx(source / "t10k-labels-idx1-ubyte.gz")
    truth = {}
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(new / f"{i:05d}.png")
        truth[f"{i:05d}.png"] = str(label)
    return Prepared(train, new, list(truth.values()), (), "accuracy", by_file=truth)


def cifar10_subset(data: Path, work: Path) -> Prepared:
    """The folders of the training part in a zip of their own, the test pictures in one folder."""
    new = work / "cifar10-new"
    new.mkdir(parents=True)
    truth = {}
    with (
        zipfile.ZipFile(data / "cifar10_subset" / "cifar10_subset.zip") as archive,
        zipfile.ZipFile(work / "cifar10.zip", "w") as train,
    ):
        for info in archive.infolist():
            parts = Path(info.filename).parts
            if info.is_dir() or len(parts) != 4:
                continue
            _, part, label, name = parts
            if part == "train":
                train.writestr(f"{label}/{name}", archive.read(info))
            else:
                (new / f"{label}-{name}").write_bytes(archive.read(info))
                truth[f"{label}-{name}"] = label
    return Prepared(work / "cifar10.zip", new, list(truth.values()), (), "accuracy", by_file=truth)


SETS = {
    s.name: s
    for s in (
        Set("adult", 180, 0.912, 0.005, adult),
        Set("california_housing", 180, 0.82, 0.005, california_housing),
        Set("mnist", 300, 0.985, 0.003, mnist),
        Set("cifar10_subset", 600, 0.72, 0.005, cifar10_subset),
    )
}


def _table(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes (LeCun's format: two zero bytes, type 8, rank, sizes as big-endian int32)."""
    with gzip.open(path) as file:
        _, kind, rank = struct.unpack(">HBB", file.read(4))
        assert kind == 8, f"{path.name}: only unsigned bytes are read here"
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)
