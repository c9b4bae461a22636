"""Small data sets, made in the test: tables, pictures, archives, and job specifications for them."""

from __future__ import annotations

import io
import pathlib
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from automl.data.source import Source
from automl.spec import DataSettings, JobSpec, SearchSettings


def source(tmp_path: pathlib.Path, name: str, content: bytes | str) -> Source:
    """A file whose stored name says nothing, as an upload's."""
    path = tmp_path / f"upload-{len(list(tmp_path.iterdir()))}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Source(path, name)


def csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """A table with a header; None is an empty cell."""
    rows = zip(*columns.values())
    return "\n".join([",".join(columns), *(",".join("" if v is None else str(v) for v in row) for row in rows)]) + "\n"


def spec(seed: int = 0, metric: str | None = None, **data: Any) -> JobSpec:
    return JobSpec(dataset="d", data=DataSettings(**data), search=SearchSettings(seed=seed), metric=metric)


def picture(
    color: Any = 0, size: tuple[int, int] = (12, 10), mode: str = "RGB", format: str = "PNG", **options: Any
) -> bytes:
    """One picture's file; `size` is width, height."""
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, format, **options)
    return file.getvalue()


def archive(files: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """Without the time of day: bytes that name a test have to be the same in all processes that collect it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in files:
            member = zipfile.ZipInfo(name) if isinstance(name, str) else name
            packed.writestr(member, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def class_folders(per_class: int = 12, classes: Sequence[str] = ("cat", "dog"), root: str = "") -> list[tuple[str, bytes]]:
    """Pictures, all different, in class folders."""
    return [
        (f"{root}{name}/{i:03}.png", picture((10 * i % 256, 100 * c, i)))
        for c, name in enumerate(classes)
        for i in range(per_class)
    ]


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def table(rows: int = 300, seed: int = 0) -> dict[str, list[Any]]:
    """A classification table with a column of each kind; the target follows from `x` and `color`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows).round(3)
    color = rng.choice(["red", "green", "blue"], rows)
    label = np.where(x + (color == "red") + rng.normal(scale=0.5, size=rows) > 0.3, "yes", "no")
    return {
        "x": [None if i % 17 == 3 else v for i, v in enumerate(x.tolist())],
        "color": [None if i % 23 == 5 else v for i, v in enumerate(color.tolist())],
        "paid": rng.choice(["true", "false"], rows).tolist(),
        "since": [f"20{y:02}-{m:02}-{d:02}" for y, m, d in rng.integers((10, 1, 1), (24, 13, 29), (rows, 3)).tolist()],
        "remark": [" ".join(rng.choice(["good", "bad", "fast", "slow", "dear", "cheap"], 6)) + f" {i}" for i in range(rows)],
        "code": [f"u-{i}" for i in range(rows)],
        "same": ["k"] * rows,
        "label": label.tolist(),
    }
