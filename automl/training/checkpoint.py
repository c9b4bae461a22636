"""Checkpoints: all that a training needs to go on from its last epoch as if it had never stopped.

One `.npz` file a checkpoint (its zip has a CRC of every array), two generations of it: written to a temporary file, synced,
and renamed, so that whatever is killed when, one whole checkpoint is there. One that can't be read counts as absent.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from automl.spec import Fidelity, Measurement
from automl.spec.model import Frozen

CURRENT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
VERSION = 1
Arrays = list[NDArray[Any]]
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Position(Frozen):
    """Where a training stands, but for its arrays."""

    version: int = VERSION
    recipe: str
    """Identity."""
    lineage: str = ""
    """Identity but for the epochs; "" of checkpoints from before there was one."""
    part: str
    metric: str
    fidelity: Fidelity
    warm: bool
    """It began from another training's weights."""
    epochs_done: int
    steps_per_epoch: int
    best_epoch: int | None
    best_score: float | None
    best_averaged: bool
    stale: int
    """Epochs since the best."""
    measurements: tuple[Measurement, ...]
    callbacks: tuple[dict[str, bool | int | float | str | None], ...]
    """Plain attributes of each callback."""
    rate_found: float | None = None
    """The peak rate that was looked for before training; None where none was."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    position: Position
    variables: Arrays
    """Of the model, random states included."""
    optimizer: Arrays
    best: Arrays
    """Weights of the best epoch, as of `model.get_weights()`; empty before there is one."""
    predictions: NDArray[np.float32] | None
    """Of the best epoch on the validation part."""
    averager: dict[str, NDArray[Any]]


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Makes it the folder's newest checkpoint. Raises `OSError`, and leaves those that are there, when the disk is full."""
    arrays: dict[str, NDArray[Any]] = {
        "position": np.frombuffer(json.dumps(checkpoint.position.to_dict()).encode(), np.uint8),
        **{f"variable:{i}": a for i, a in enumerate(checkpoint.variables)},
        **{f"optimizer:{i}": a for i, a in enumerate(checkpoint.optimizer)},
        **{f"best:{i}": a for i, a in enumerate(checkpoint.best)},
        **{f"averager:{name}": a for name, a in checkpoint.averager.items()},
    }
    if checkpoint.predictions is not None:
        arrays["predictions"] = checkpoint.predictions
    write_arrays(folder, arrays)


def write_arrays(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Puts the arrays into the folder's newest generation and keeps the one before. Raises `OSError`, and leaves those that
    are there, when the disk is full."""
    temporary = folder / f"{CURRENT}.partial"
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    current = folder / CURRENT
    if current.exists():
        os.replace(current, folder / PREVIOUS)
    os.replace(temporary, current)
    sync_folder(folder)


def read(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read; None where there is none."""
    return newest(folder, _checkpoint)


def newest(folder: Path, take: Callable[[dict[str, NDArray[Any]]], T]) -> T | None:
    """What `take` makes of the arrays of the newest generation that can be read; None where there is none. It raises
    `ValueError` or `KeyError` for arrays that aren't what it wants."""
    for name in (CURRENT, PREVIOUS):
        try:
            with np.load(folder / name, allow_pickle=False) as file:
                return take({entry: file[entry] for entry in file.files})
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
            _log.warning("%s in %s can't be read and counts as absent: %s", name, folder.name, fault)
    return None


def _checkpoint(arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    position = Position.model_validate_json(arrays.pop("position").tobytes())
    if position.version != VERSION:
        raise ValueError(f"expected version {VERSION}, got {position.version}")

    def numbered(prefix: str) -> Arrays:
        return [arrays[f"{prefix}:{i}"] for i in range(sum(name.startswith(f"{prefix}:") for name in arrays))]

    return Checkpoint(
        position, numbered("variable"), numbered("optimizer"), numbered("best"), arrays.get("predictions"),
        {name.removeprefix("averager:"): a for name, a in arrays.items() if name.startswith("averager:")},
    )


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
