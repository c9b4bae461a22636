"""Techniques that shape a network only while it is trained: what is measured is what leaves training, in plain layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl import layers
from automl.compression import bridge
from automl.data.encoder import TableEncoder
from automl.spec import Choice, Fidelity, Outcome
from automl.training import candidate, prediction, trainer


def trained(case: Any, work: Path, *more: Choice, epochs: int = 3, recipe: Any = None) -> Any:
    held = recipe or case.recipe
    ids = {choice.id for choice in more}
    held = held.changed(techniques=(*(c for c in held.techniques if c.id not in ids), *more))
    return trainer.train(
        held, case.data, fidelity=Fidelity(epochs=epochs), metric=case.metric, workdir=work, on_epoch=lambda m: True
    )


@pytest.mark.parametrize(("name", "ids"), [
    ("classification", ("spectral-norm", "one-cycle")), ("classification", ("shakeout", "information-bottleneck")),
    ("regression", ("weight-norm", "ema")), ("pictures", ("weight-standardization", "group-norm", "dropblock")),
    ("pictures", ("spectral-norm", "batch-norm", "mixed-precision")),
    ("pictures", ("randaugment", "deformable-conv", "dropblock", "warmup-cosine")),
], ids=str)
def test_the_candidate_gives_what_was_measured(
    name: str, ids: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from automl.catalog import techniques

    case = request.getfixturevalue(name)
    known = [Choice(id=id) for id in ids if id in techniques]
    outcome = trained(case, tmp_path / "work", *known)
    assert outcome.outcome is Outcome.COMPLETED, outcome.message
    inputs = case.data.inputs("validation")
    if name != "pictures":
        inputs = TableEncoder.from_dict(candidate.preprocess(tmp_path / "work")).transform(inputs)
    model = prediction.load(tmp_path / "work/model.keras")
    own = {type(layer).__name__ for layer in model.layers if not type(layer).__module__.startswith("keras")}
    assert own <= {name.partition(":")[2] for name in layers.LAYERS}
    found = prediction.predict(model, inputs, batch_size=64)
    expected = np.load(tmp_path / "work/validation.npy")
    tolerance = 0.05 if "mixed-precision" in ids else 1e-4 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, atol=tolerance)
    bridge.build(model, {k: np.asarray(v)[:8] for k, v in inputs.items()}, tolerance=1e-3)


def test_full_batch_takes_one_step_an_epoch(classification: Any, tmp_path: Path) -> None:
    rows = classification.data.meta.parts["train"]
    outcome = trained(classification, tmp_path / "whole", Choice(id="batch-training"), epochs=4)
    assert outcome.batch_size == rows
    from automl.training import checkpoint

    found = checkpoint.read(tmp_path / "whole")
    assert found is not None
    assert found.position.steps_per_epoch == 1
    parts = trained(classification, tmp_path / "parts", epochs=1)
    assert parts.batch_size == classification.recipe.batch_size
