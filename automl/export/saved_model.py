"""SavedModel: the model with its preprocessing inside, for TensorFlow Serving and Python. Raw columns in, strings included.

What it changes: the model is given as a SavedModel with everything that precedes it. Why it may help: whoever serves it
needs no code of this project and can't encode a row wrongly. When it hurts: it is the largest form, and needs TensorFlow
where it runs. How: preprocessing is written as TensorFlow operations in front of the network, traced with a free batch,
saved, loaded again in a process of its own and run on held-out raw rows.

The file is a zip archive with the folder `saved_model/` and, beside it, the companions. Its signature `serving_default`
takes one tensor [batch] for each raw column: float32 for numeric columns (NaN: missing), string for all others (empty, or
any of the texts that count as missing). Inputs bear the columns' names where these can be names of arguments in
TensorFlow; else a name made from them (`automl.export.raw.tables.input_names`), listed in the model card. Pictures come as
`image` uint8 [batch, h, w, channels], series as `series` float32 [batch, steps, channels] with NaN for what is missing or
beyond a series' end.

Outputs: for classes `probabilities` float32 [batch, classes] and `prediction`, the most probable class's name (string
[batch]); for numbers `prediction` float32 [batch] in the target's unit.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import candidate as candidates
from automl.export import companions, inference, predictor, raw

if TYPE_CHECKING:
    import numpy as np

SIGNATURE = "serving_default"
FOLDER = "saved_model"

FORMAT = catalog.format(
    id="saved-model", precisions=("float32",), suffix=".saved_model.zip", runtime="tensorflow", raw_input=True,
    exporter=f"{__name__}:write", doc=__doc__ or "",
    reference="Olston et al.: TensorFlow-Serving, arXiv:1712.06139 (2017)",
)


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 2.5 + 0.3 * parameters / 1e6


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the zip; runs in a child process. See `deliver` for the request."""
    import tensorflow as tf

    from automl.export import keras_file

    source = candidates.Candidate(Path(request["candidate"]))
    module, function = serving(source)
    with tempfile.TemporaryDirectory(prefix="automl-saved-model-") as folder:
        tf.saved_model.save(module, folder, signatures={SIGNATURE: function})
        with zipfile.ZipFile(request["out"], "w") as archive:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    name = f"{FOLDER}/{path.relative_to(folder).as_posix()}"
                    archive.writestr(companions.entry(name), path.read_bytes())
    travelling = Path(request["companions"])
    companions.append(Path(request["out"]), companions.collected(travelling))
    return {
        "parameters": int(source.model.count_params()), "sparsity": keras_file.sparsity(source.model), "notes": [],
    }


def serving(source: candidates.Candidate) -> tuple[Any, Any]:
    """The `tf.Module` to save and its concrete function from raw columns to outputs."""
    import tensorflow as tf

    model, preprocess, classes = source.model, source.preprocess, list(source.classes)
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.preprocessing = raw.of(preprocess).graph(preprocess, model)

    def serve(*columns: Any) -> dict[str, Any]:
        inputs = module.preprocessing.encode(columns)
        output = model(inference.arranged(model, inputs), training=False)
        if not classes:
            return {"prediction": output[:, 0]}
        return {"prediction": tf.gather(tf.constant(classes), tf.argmax(output, axis=1)), "probabilities": output}

    module.serve = tf.function(serve, input_signature=module.preprocessing.signature, autograph=False)
    return module, module.serve.get_concrete_function()


class SavedModelPredictor:
    """A zipped SavedModel in TensorFlow."""

    raw_input = True

    def __init__(self, path: Path):
        import tensorflow as tf

        self.runtime = f"tensorflow {tf.__version__}"
        preprocess = json.loads(companions.read(path)[companions.PREPROCESS])
        # TensorFlow reads variables and assets while loading only, but the folder must live as long as that.
        self._folder = tempfile.TemporaryDirectory(prefix="automl-saved-model-")
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.startswith(f"{FOLDER}/") and ".." not in Path(info.filename).parts:
                    archive.extract(info, self._folder.name)
        self._model = tf.saved_model.load(str(Path(self._folder.name) / FOLDER))
        self._function = self._model.signatures[SIGNATURE]
        self._types = {name: spec.dtype for name, spec in self._function.structured_input_signature[1].items()}
        self._columns = raw.of(preprocess).columns_of(preprocess)

    def predict(self, rows: predictor.Rows) -> np.ndarray:
        import numpy as np

        outputs = self._function(**self._tensors(rows))
        if "probabilities" in outputs:
            return np.asarray(outputs["probabilities"], dtype=np.float32)
        return np.asarray(outputs["prediction"], dtype=np.float32)[:, None]

    def single(self, row: predictor.Rows) -> Callable[[], object]:
        given = self._tensors(row)
        return lambda: self._function(**given)

    def _tensors(self, rows: predictor.Rows) -> dict[str, Any]:
        import tensorflow as tf

        named = predictor.required(rows, list(self._columns.values()))
        return {name: tf.constant(named[column], self._types[name]) for name, column in self._columns.items()}


def load(path: Path, threads: int) -> SavedModelPredictor:
    """Raises `zipfile.BadZipFile` or `ValueError` for a file that holds no SavedModel."""
    candidates.limit_tensorflow_threads(threads)
    return SavedModelPredictor(path)
