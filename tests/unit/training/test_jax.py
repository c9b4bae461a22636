"""The same recipe trains under JAX where no TensorFlow is installed, and what it leaves is good for TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.spec import Choice, Recipe
from automl.training import prediction
from tests.unit.layers.test_listed import LAYERS, run

PARTS = Path(__file__).parent / "parts"


def train(
    python: Path | str, backend: str, case: Any, recipe: Recipe, work: Path, root: Path, **more: str
) -> dict[str, Any]:
    file = work.parent / f"{work.name}.json"
    file.write_text(json.dumps(recipe.to_dict()))
    done = subprocess.run(
        [str(python), str(PARTS / "train_once.py"), str(case.path), str(file), str(work)],
        env={"PATH": os.environ["PATH"], "HOME": str(work.parent), "PYTHONPATH": str(root), "KERAS_BACKEND": backend,
             **more},
        capture_output=True, text=True, timeout=600, check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classification", "pictures"])
def test_the_same_recipe_under_jax_alone(
    name: str, jax_python: Path, request: pytest.FixtureRequest, root: Path, tmp_path: Path
) -> None:
    case = request.getfixturevalue(name)
    recipe = case.recipe.changed(epochs=20 if name == "classification" else 3)
    scores = {}
    for backend, python in (("jax", jax_python), ("tensorflow", sys.executable)):
        found = train(python, backend, case, recipe, tmp_path / backend, root)
        assert (found["backend"], found["outcome"]) == (backend, "COMPLETED")
        assert found["tensorflow"] == (backend == "tensorflow")
        scores[backend] = found["score"]
    # 150 and 60 validation rows: two standard errors of a share of 0.93 are 0.04 and 0.07.
    assert abs(scores["jax"] - scores["tensorflow"]) <= (0.04 if name == "classification" else 0.07), scores

    from automl.data.encoder import TableEncoder

    inputs = case.data.inputs("validation")
    preprocess = json.loads((tmp_path / "jax/preprocess.json").read_text())
    if preprocess["modality"] == "table":
        inputs = TableEncoder.from_dict(preprocess).transform(inputs)
    found = prediction.predict(tmp_path / "jax", inputs)
    np.testing.assert_allclose(found, np.load(tmp_path / "jax/validation.npy"), atol=1e-4)


@pytest.mark.slow
def test_every_kind_of_step_under_jax(jax_python: Path, classification: Any, root: Path, tmp_path: Path) -> None:
    """Optimizers, losses and normalisations that the search may choose, on the loop over held data."""
    base = classification.recipe
    for optimizer, loss, norm in (("adamw", "focal", "batch-norm"), ("rmsprop", "cross-entropy", "layer-norm")):
        techniques = [c for c in base.techniques if c.id not in ("adam", "cross-entropy")]
        chosen = (Choice(id=optimizer, params={"learning_rate": 0.01}), Choice(id=loss), Choice(id=norm))
        recipe = base.changed(techniques=(*techniques, *chosen), epochs=6)
        found = train(jax_python, "jax", classification, recipe, tmp_path / optimizer, root)
        assert found["outcome"] == "COMPLETED"
        assert found["score"] > 0.7, (optimizer, found)


UNDER_JAX = """
import json, pathlib, sys
import keras, numpy as np
from automl.layers import attention, deformable, recurrent, sequences, tables, windows
folder, found = pathlib.Path(sys.argv[1]), {}
assert keras.backend.backend() == "jax"
for file in sorted(folder.glob("[!.]*.keras")):
    held = np.load(file.with_suffix(".npz"))
    arrays = [held[f"x{i}"] for i in range(len(held.files) - 1)]
    model = keras.models.load_model(file)
    found[file.stem] = float(np.abs(np.asarray(model(arrays[0] if len(arrays) == 1 else arrays)) - held["y"]).max())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_layer_gives_the_same_under_jax(jax_python: Path, tmp_path: Path, root: Path) -> None:
    for name, (layer, arrays) in LAYERS.items():
        model, y = run(type(layer).from_config(layer.get_config()), arrays)
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", y=y, **{f"x{i}": a for i, a in enumerate(arrays)})
    done = subprocess.run(
        [str(jax_python), "-c", UNDER_JAX, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(root), "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == set(LAYERS)
    assert max(found.values()) < 1e-4, found


@pytest.mark.slow
@pytest.mark.parametrize("ids", [
    ("sam", "lookahead", "lr-range-test", "batch-norm", "ema"),
    ("mixed-precision:dtype=float16", "lookahead", "layerwise-lr-decay", "ema"),
    ("data-parallel", "sam", "batch-norm", "dropout", "swa"),
    ("data-parallel", "mixed-precision:dtype=float16", "gradient-clipping"),
], ids=lambda ids: ids[0].partition(":")[0] + "+" + ids[1].partition(":")[0])
def test_what_changes_the_step_under_jax(
    ids: tuple[str, ...], jax_python: Path, classification: Any, root: Path, tmp_path: Path
) -> None:
    """Whole trainings, from the recipe to the candidate; the process sees two devices."""
    chosen = []
    for one in ids:
        id, _, setting = one.partition(":")
        name, _, value = setting.partition("=")
        chosen.append(Choice(id=id, params={name: value} if name else {}))
    recipe = classification.recipe.changed(techniques=(*classification.recipe.techniques, *chosen), epochs=8)
    found = train(
        jax_python, "jax", classification, recipe, tmp_path / "work", root,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert found["outcome"] == "COMPLETED"
    assert found["score"] > 0.8
    assert (tmp_path / "work/model.keras").is_file()
