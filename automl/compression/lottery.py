"""Lottery tickets: what pruning leaves of a network is put back to where its training began, and trained once more.

`draw` is the function of a child process. The recipe's seed gives the same first weights again, so nothing has to be kept of
the first training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.compression import finetuning, magnitude
from automl.export import candidate as candidates
from automl.spec import AutoMLError, Fidelity
from automl.training.given import Given

TECHNIQUE = "lottery-ticket"
TAIL_S = 2.0

Masks = dict[str, NDArray[np.float32]]
"""By the layer's name: 1 where its kernel keeps a weight, else 0."""


class NoTicket(AutoMLError):
    """The trained network's kernels aren't those that its recipe builds: a reparametrised one has been folded."""

    reason = "NO_TICKET"


def draw(request: dict[str, Any]) -> dict[str, Any]:
    """Trains the ticket of a candidate and writes its candidate.

    `request`: candidate, prepared, out, metric, time_s, threads, seed, settings ("sparsity", and "mask": "magnitude", or
    "random" for comparison). Returns "settings" and "notes". Raises `NoTicket`, `magnitude.NothingToPrune` or
    `finetuning.Untrained`.
    """
    end = time.monotonic() + float(request["time_s"])
    source = candidates.Candidate(Path(request["candidate"]))
    settings = dict(request["settings"])
    sparsity = float(settings["sparsity"])

    from automl.data.prepared import PreparedDataset
    from automl.training import backends, trainer

    backends.limit_threads(int(request["threads"]))
    prepared = PreparedDataset.open(Path(request["prepared"]))
    if source.recipe.members:
        raise NoTicket("an ensemble has no single ticket: its members would each be drawn from")
    magnitude.check_worth(source.model)
    kernels = {
        layer.name: np.asarray(layer.kernel) for layer in source.model.layers
        if type(layer).__name__ in magnitude.PRUNED_LAYERS and layer.kernel.shape
        and int(np.prod(layer.kernel.shape)) >= magnitude.SMALLEST_KERNEL
    }
    masks = (masks_of if settings["mask"] == "magnitude" else random_masks)(kernels, sparsity, int(request["seed"]))
    epochs = source.recipe.epochs
    out = Path(request["out"])
    result = trainer.train(
        source.recipe.changed(fold=None), prepared, fidelity=Fidelity(epochs=epochs), metric=str(request["metric"]),
        workdir=out, on_epoch=lambda measurement: True, deadline=end - TAIL_S, resume=False,
        threads=int(request["threads"]), given=Given(shaped=lambda core: hold(core, masks), preprocess=source.preprocess),
    )
    if not result.usable:
        raise finetuning.Untrained(f"the ticket's training ended with {result.outcome.value}: {result.message}")
    made = candidates.Candidate(out)
    params = {"sparsity": sparsity, "mask": str(settings["mask"])}
    finetuning.rewritten(
        out, made.model, finetuning.with_technique(source.recipe, TECHNIQUE, params), source, prepared
    )
    return {"settings": params, "notes": []}


def masks_of(kernels: Mapping[str, NDArray[Any]], sparsity: float, seed: int = 0) -> Masks:
    """Keeps in each kernel the weights of largest magnitude."""
    found = {}
    for name, kernel in kernels.items():
        order = np.argsort(np.abs(kernel), axis=None, kind="stable")
        mask = np.ones(kernel.size, np.float32)
        mask[order[: round(sparsity * kernel.size)]] = 0.0
        found[name] = mask.reshape(kernel.shape)
    return found


def random_masks(kernels: Mapping[str, NDArray[Any]], sparsity: float, seed: int = 0) -> Masks:
    """As many weights of each kernel, drawn at random."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.permutation(mask.ravel()).reshape(mask.shape).astype(np.float32)
        for name, mask in masks_of(kernels, sparsity).items()
    }


def hold(core: Any, masks: Masks) -> None:
    """Sets what is masked to zero and keeps it there, by a constraint that the optimizer applies after each step. Raises
    `NoTicket` for a layer that the core lacks."""
    import keras

    class Masked(keras.constraints.Constraint):
        def __init__(self, mask: NDArray[np.float32]):
            self.mask = mask

        def __call__(self, w: Any) -> Any:
            return w * keras.ops.convert_to_tensor(self.mask, w.dtype)

    layers = {layer.name: layer for layer in core.layers}
    for name, mask in masks.items():
        kernel = getattr(layers.get(name), "kernel", None)
        if kernel is None or tuple(kernel.shape) != mask.shape:
            raise NoTicket(f"{name}: the network that the recipe builds has another kernel there")
        kernel.assign(np.asarray(kernel) * mask)
        kernel.constraint = Masked(mask)
