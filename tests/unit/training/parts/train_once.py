"""`python train_once.py PREPARED RECIPE.json WORKDIR`: prints score, backend and whether TensorFlow was loaded."""

import json
import sys
from pathlib import Path

import keras

from automl.data.prepared import PreparedDataset
from automl.spec import Fidelity, Recipe
from automl.training import trainer

prepared, recipe_file, workdir = map(Path, sys.argv[1:])
recipe = Recipe.from_dict(json.loads(recipe_file.read_text()))
result = trainer.train(
    recipe, PreparedDataset.open(prepared), fidelity=Fidelity(epochs=recipe.epochs), metric="accuracy", workdir=workdir,
    on_epoch=lambda measurement: True,
)
print(json.dumps({
    "score": result.score, "outcome": result.outcome, "backend": keras.backend.backend(),
    "tensorflow": "tensorflow" in sys.modules,
}))
