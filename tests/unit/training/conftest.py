"""Small prepared data sets, written by hand in the format of `automl.data.prepared`, and a recipe for each."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.data import encoder, prepared
from automl.spec import Choice, Modality, Profile, Recipe

JAX_PACKAGES = ("jax", "keras", "numpy", "scikit-learn", "pydantic")
TECHNIQUES = ("standardization", "relu", "he", "adam")


@dataclasses.dataclass(frozen=True)
class Case:
    """Data and a recipe that learns them."""

    path: Path
    recipe: Recipe

    @property
    def data(self) -> prepared.PreparedDataset:
        return prepared.PreparedDataset.open(self.path)

    @property
    def metric(self) -> str:
        return "accuracy" if self.data.meta.kind == "classification" else "r2"


def recipe(
    task: str, *more: Choice, architecture: Choice | None = None, epochs: int = 6, batch: int = 32, rate: float = 0.01
) -> Recipe:
    small = Choice(id="mlp", params={"width": 32, "depth": 1, "numeric_embedding": "none", "feature_scale": False})
    loss = "mse" if task.endswith("regression") else "cross-entropy"
    held = {choice.id for choice in more}
    base = [Choice(id=id) for id in (*TECHNIQUES, loss) if id not in held]
    base = [c if c.id != "adam" else Choice(id="adam", params={"learning_rate": rate}) for c in base]
    return Recipe(
        task=task, architecture=architecture or small, techniques=(*base, *more), batch_size=batch, epochs=epochs, seed=7
    )


def _write(path: Path, arrays: dict[str, np.ndarray], rows: tuple[int, int], **meta: Any) -> Path:
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    prepared.write_meta(path / "meta.json", prepared.PreparedMeta(
        parts={"train": rows[0], "validation": rows[1], "test": 0}, findings=(), key="0" * 64, **meta
    ))
    return path


def make_table(path: Path, kind: str = "classification", rows: int = 600, seed: int = 0) -> Path:
    """Four numbers (some missing) and a category; the target is a smooth function of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    codes = rng.integers(2, 5, size=(rows, 1)).astype(np.int32)
    signal = x[:, 0] + np.where(codes[:, 0] == 2, 1.5, -0.5) * x[:, 1] + 0.5 * x[:, 2]
    x[rng.random(rows) < 0.05, 3] = np.nan
    validation = rows // 4
    train = rows - validation
    regression = kind == "regression"
    target = (100 + 20 * signal).astype(np.float32) if regression else (signal > 0).astype(np.int32)
    task = f"tabular-{kind}"
    classes = () if regression else ("no", "yes")
    numbers = {
        "target_mean": float(target[:train].mean()), "target_std": float(target[:train].std()),
        "target_min": float(target[:train].min()), "target_max": float(target[:train].max()),
    } if regression else {}
    preprocess = {
        "version": 1, "modality": "table", "task": task, "kind": kind, "target": "y", "classes": list(classes),
        "missing": list(encoder.MISSING),
        "columns": [{"name": c, "kind": "numeric"} for c in "abcd"]
        + [{"name": "e", "kind": "categorical", "vocabulary": ["p", "q", "r"]}],
        "numeric": list("abcd"), "categorical": ["e"], "cardinalities": [5],
    }
    profile = Profile(
        modality=Modality.TABLE, task=task, rows=train, numeric=4, categorical=1, cardinality_max=5, missing_fraction=0.01,
        classes=len(classes), class_min=0 if regression else train // 3, outputs=1 if regression else 2, sample_bytes=20,
    )
    return _write(
        path, {"numeric": x, "categorical": codes, "target": target}, (train, validation), task=task, kind=kind,
        modality=Modality.TABLE, target="y", classes=classes, profile=profile, preprocess=preprocess, **numbers,
    )


def make_pictures(path: Path, rows: int = 240, side: int = 12, seed: int = 0, *, faint: bool = False) -> Path:
    """Grey pictures with a bright bar that lies or stands; a faint one is its own ground, only brighter."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 200 if faint else 120, size=(rows, side, side, 1)).astype(np.uint8)
    target = rng.integers(0, 2, size=rows).astype(np.int32)
    for i in range(rows):
        place = rng.integers(1, side - 1)
        bar = images[i, place] if target[i] else images[i, :, place]
        bar[:] = bar + 55 if faint else 230
    validation = rows // 4
    task, classes = "image-classification", ("lies", "stands")
    preprocess = {
        "version": 1, "modality": "image", "task": task, "height": side, "width": side, "channels": 1, "resize": "bilinear",
        "classes": list(classes), "kind": "classification",
    }
    profile = Profile(
        modality=Modality.IMAGE, task=task, rows=rows - validation, classes=2, class_min=rows // 4, outputs=2,
        image_shape=(side, side, 1), sample_bytes=side * side,
    )
    return _write(
        path, {"image": images, "target": target}, (rows - validation, validation), task=task, kind="classification",
        modality=Modality.IMAGE, target="label", classes=classes, profile=profile, preprocess=preprocess,
    )


CONVNET = Choice(id="convnet", params={"width": 8, "stages": 2, "residual": False})


@pytest.fixture
def classification(tmp_path: Path) -> Case:
    return Case(make_table(tmp_path / "prepared"), recipe("tabular-classification"))


@pytest.fixture
def regression(tmp_path: Path) -> Case:
    return Case(make_table(tmp_path / "prepared", "regression"), recipe("tabular-regression"))


@pytest.fixture
def pictures(tmp_path: Path) -> Case:
    return Case(make_pictures(tmp_path / "prepared"), recipe("image-classification", architecture=CONVNET, epochs=3))


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    return recipe


@pytest.fixture(scope="session")
def jax_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what a training under JAX needs, and nothing else, in the versions of this environment."""
    folder = tmp_path_factory.mktemp("jax") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    wanted = []
    for name in JAX_PACKAGES:
        try:
            wanted.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            wanted.append(name)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip can't install {', '.join(JAX_PACKAGES)} here: {done.stderr.strip()[-300:]}")
    return python


ENGINE_CASES = (
    "linear:", "linear:sam", "linear:inputs", "normalized:", "normalized:sam", "normalized:+ahead", "linear:+half",
    "normalized:+half+ahead", "linear:+split", "normalized:+split", "normalized:sam+split", "normalized:+half+split",
)
"""What `parts/engine_steps.py` runs under JAX, on a machine that it sees two devices of."""


@pytest.fixture(scope="session")
def steps() -> Any:
    """`parts/engine_steps.py`, here under TensorFlow."""
    folder = str(Path(__file__).parent / "parts")
    sys.path.insert(0, folder)
    try:
        import engine_steps
    finally:
        sys.path.remove(folder)
    return engine_steps


@pytest.fixture(scope="session")
def under_jax(jax_python: Path, root: Path) -> dict[str, Any]:
    """What the steps gave under JAX, by case."""
    done = subprocess.run(
        [str(jax_python), str(Path(__file__).parent / "parts/engine_steps.py"), *ENGINE_CASES], capture_output=True,
        text=True, timeout=600, check=False, env={
            **os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
