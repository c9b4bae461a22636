"""Keras: the model as Keras 3 saves it (`.keras`), to be trained on, inspected or exported again.

What it changes: the model is given as it was trained. Why it may help: it is the form to go on from, by training, by
inspection or by another export. When it hurts: it needs Keras where it is loaded, and for layers of this project this
project; it is neither small nor fast. How: the trained model's own file with the companions added, loaded again in a
process of its own and run on held-out rows.

Takes the encoded inputs of the model by name and returns probabilities or numbers. The companions (preprocessing tables,
recipe, labels, model card, samples) are further members of the same archive, which Keras leaves alone. Models with layers
of this project's own load where `automl` is installed (`import automl.layers`); `automl predict` does that by itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import candidate as candidates
from automl.export import companions, inference, predictor

if TYPE_CHECKING:
    import numpy as np

FORMAT = catalog.format(
    id="keras-file", precisions=("float32",), suffix=".keras", runtime="keras", raw_input=False,
    exporter=f"{__name__}:write", doc=__doc__ or "",
    reference="Keras 3, the .keras format (2023)",
)


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 1.0 + 0.2 * parameters / 1e6


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Copies the candidate's model and appends the companions. See `deliver` for the request."""
    source = candidates.Candidate(Path(request["candidate"]))
    out, folder = Path(request["out"]), Path(request["companions"])
    shutil.copyfile(source.model_file, out)
    companions.append(out, companions.collected(folder))
    return {"parameters": int(source.model.count_params()), "sparsity": sparsity(source.model), "notes": []}


def sparsity(model: Any) -> float:
    """Share of exact zeros among weights of rank 2 and more."""
    kernels = [weight for weight in model.get_weights() if weight.ndim >= 2]
    total = sum(kernel.size for kernel in kernels)
    return float(sum(int((kernel == 0).sum()) for kernel in kernels) / total) if total else 0.0


class KerasPredictor:
    """A `.keras` file in Keras under TensorFlow."""

    raw_input = False

    def __init__(self, path: Path):
        keras = candidates.load_keras()
        from automl.training import prediction

        self.runtime = f"keras {keras.__version__}"
        self._model = prediction.load(path)
        self._names = [tensor.name for tensor in self._model.inputs]

    def predict(self, rows: predictor.Rows) -> np.ndarray:
        import numpy as np

        return np.asarray(self._model.predict_on_batch(self._given(rows)), dtype=np.float32)

    def single(self, row: predictor.Rows) -> Callable[[], object]:
        given = self._given(row)
        return lambda: self._model.predict_on_batch(given)

    def _given(self, rows: predictor.Rows) -> Any:
        return inference.arranged(self._model, predictor.required(rows, self._names))


def load(path: Path, threads: int) -> KerasPredictor:
    """Raises `ValueError` for a file that Keras can't read."""
    candidates.limit_tensorflow_threads(threads)
    return KerasPredictor(path)
