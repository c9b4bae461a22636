"""Fits linear models of tables (`automl.architectures.linear`) under the same contract as `training.trainer.train`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import linear
from automl.layers import trees
from automl.training import boosting, fitting, samples

if TYPE_CHECKING:
    import keras

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Inverses of the penalty on the weights' squares, beside the sum of the rows' losses."""
PASSES = 200
"""Of L-BFGS, at most; short of its end the weights are as good as at it."""
BATCH = 4096

Weights = tuple[NDArray[np.float64], NDArray[np.float64]]
"""[columns, outputs] and [outputs]."""


class LinearTable(fitting.PenaltyPath):
    strengths = STRENGTHS

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.encoder, self.levels_at = self._encoder()
        self.x = self._encoded(self.samples.inputs)
        if self.levels_at is not None:
            categories = self.samples.inputs["categorical"]
            levels, own = boosting.fit_levels(
                categories, self.samples.target, self.samples.preprocess["cardinalities"], self.meta.profile,
                self.recipe.seed,
            )
            self.encoder.get_layer("levels").set_weights([levels.table])
            self.x[:, self.levels_at :] = own / trees.STEPS  # of folds without the row itself
        self.validation = self._encoded(self.samples.validation_inputs)

    def _encoder(self) -> tuple[keras.Model, int | None]:
        """The part before the fitted layer, and its first column of levels; None without categories."""
        import keras

        from automl.architectures import model

        inputs = model.input_tensors(self.meta.profile, self.samples.preprocess)
        encoded = linear.columns(
            inputs, self.meta.profile, self.samples.preprocess, self.samples.shown, **self.params
        )
        encoder = keras.Model(inputs, encoded)
        if "categorical" not in inputs:
            return encoder, None
        return encoder, int(encoded.shape[-1]) - int(encoder.get_layer("levels").output.shape[-1])

    def _encoded(self, inputs: samples.Inputs) -> NDArray[np.float32]:
        rows = len(next(iter(inputs.values())))
        return np.concatenate([
            np.asarray(self.encoder({n: np.asarray(v[start : start + BATCH]) for n, v in inputs.items()}, training=False))
            for start in range(0, rows, BATCH)
        ])

    def fitted(self, strength: float) -> Weights:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge

        if self.meta.kind == "regression":
            ridge = Ridge(alpha=1 / strength).fit(self.x, self.y)
            return ridge.coef_.reshape(-1, 1), np.atleast_1d(ridge.intercept_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=PASSES, tol=1e-3).fit(self.x, self.y)
        outputs = self.meta.profile.outputs
        return fitting.of_two(model.coef_.T, outputs), fitting.of_two(model.intercept_[None], outputs)[0]

    def outputs_of(self, model: Weights) -> NDArray[np.float64]:
        weights, offset = model
        return self.validation @ weights + offset

    def parameters(self) -> int:
        weights, offset = self.kept
        return weights.size + offset.size

    def core(self) -> keras.Model:
        import keras

        from automl.layers import tables

        # Anew: the session of the trainings before was cleared.
        encoder, _ = self._encoder()
        encoder.set_weights(self.encoder.get_weights())
        weights, offset = self.kept
        last = tables.LinearSums(weights.shape[1], name=linear.LAST)
        core = keras.Model(encoder.input, last(encoder.output), name="core")
        last.set_weights([weights.astype(np.float32), offset.astype(np.float32)])
        return core
