"""Training on of a network that compression has changed, by the trainer: with the recipe's own loss, optimizer and data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.catalog import compose, tasks, techniques
from automl.export import candidate as candidates
from automl.spec import AutoMLError, Choice, Fidelity, Recipe
from automl.training.given import Given
from automl.training.result import TrainResult

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

RATE = 0.3
"""Factor on the recipe's learning rate."""
EPOCHS_SHARE = 0.4
"""Of the recipe's epochs, at most."""
SETUP_S = 4.0
"""Of a training outside its epochs, at least; four times the candidate's own epoch goes to tracing and evaluation."""


class Untrained(AutoMLError):
    """The training came to no usable end."""

    reason = "UNTRAINED"


def core_of(model: Any) -> Any:
    """What a loss acts on: the inference model up to its logits, on the same layers. Raises `Untrained` where there is no
    such place."""
    import keras

    from automl.tasks import head

    if not any(layer.name == head.LOCATION for layer in model.layers):
        raise Untrained(f"the model has no layer {head.LOCATION!r} that its loss could act on")
    return keras.Model(model.input, model.get_layer(head.LOCATION).output, name=model.name)


def epochs_within(source: candidates.Candidate, time_s: float, share: float = 1.0) -> int:
    """Epochs of fine-tuning for which there is time, by what an epoch of the candidate's own training took; at least one.
    `share`: of the candidate's work that the changed network does."""
    account = source.result
    epoch_s = float(account.get("step_s") or 0.0) / max(1, int(account.get("epochs_done") or 1)) * max(0.3, share)
    room = (time_s - SETUP_S) / max(epoch_s, 1e-3) - 1
    return max(1, min(int(room), round(EPOCHS_SHARE * source.recipe.epochs)))


def train(
    network: Callable[[], Any], source: candidates.Candidate, prepared: PreparedDataset, *, metric: str, out: Path,
    epochs: int, deadline: float, threads: int, rate: float = RATE,
) -> TrainResult:
    """Trains a network (a core, built) on with the candidate's recipe, on the training rows; writes its candidate to `out`.
    Raises `Untrained`."""
    from automl.training import trainer

    result = trainer.train(
        _plain(source.recipe, prepared), prepared, fidelity=Fidelity(epochs=epochs), metric=metric, workdir=out,
        on_epoch=lambda measurement: True, deadline=deadline, resume=False, threads=threads,
        given=Given(network=network, preprocess=source.preprocess, epochs=epochs, rate=rate),
    )
    if not result.usable:
        raise Untrained(f"the training ended with {result.outcome.value}: {result.message or 'no epoch was evaluated'}")
    return result


def rewritten(folder: Path, model: Any, recipe: Recipe, source: candidates.Candidate, prepared: PreparedDataset) -> None:
    """Writes the candidate's model and recipe anew, with its outputs on the validation rows."""
    from automl.tasks import metrics
    from automl.training import candidate as written
    from automl.training import prediction, result

    outputs = prediction.predict(model, source.encode(prepared.inputs("validation")))
    account = result.read(folder if (folder / "result.json").is_file() else source.path)
    y = np.asarray(prepared.target("validation"))
    folder.mkdir(parents=True, exist_ok=True)
    written.write(
        folder, written.Files(model, source.preprocess, recipe, outputs),
        account.changed(
            recipe=recipe.identity, validation=metrics.evaluate(prepared.meta.task, y, outputs),
            score=metrics.score(account.metric, y, outputs), parameters=int(model.count_params()),
            size_bytes=4 * int(model.count_params()),
        ),
    )


def with_technique(recipe: Recipe, id: str, params: dict[str, Any]) -> Recipe:
    """The recipe with a technique in it, in the place of what it said of it."""
    others = tuple(choice for choice in recipe.techniques if choice.id != id)
    return recipe.changed(techniques=(*others, Choice(id=id, params=params)))


def _plain(recipe: Recipe, prepared: PreparedDataset) -> Recipe:
    """The recipe without a loss that learns how uncertain the outputs are: the inference model has no place for that."""
    recipe = recipe.changed(fold=None)
    profile = prepared.meta.profile
    if not compose.plan_of(recipe, profile).spread:
        return recipe
    default = tasks[prepared.meta.task].default_loss
    others = tuple(c for c in recipe.techniques if techniques[c.id].slot != "loss")
    return recipe.changed(techniques=(*others, Choice(id=default)))
