"""Fits linear models of texts (`automl.architectures.text_linear`) under the same contract as `training.trainer.train`."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import text_linear
from automl.layers import bags
from automl.training import fitting, samples

if TYPE_CHECKING:
    import keras
    from scipy.sparse import csr_matrix

STRENGTHS = (1.0, 4.0, 16.0, 64.0)
"""LIBLINEAR's C, the inverse of the penalty, for vectors of length 1: from too much penalty for most data to too little."""
NOTHING = (0, 1, 2)
"""Codes of words that count for nothing: what fills up, an unknown word, the boundary between columns."""
PASSES = 100
"""Over the rows, at most, of the coordinate descent; short of its end the weights are as good as at it."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """One strength's model as `LinearBags` holds it."""

    tables: tuple[NDArray[np.uint8], ...]
    """[codes, sums] of each kind."""
    scales: tuple[NDArray[np.float32], ...]
    """[sums] of each kind."""
    offset: NDArray[np.float32]
    """[sums]."""

    @classmethod
    def of(
        cls, coefficients: NDArray[np.float64], offset: NDArray[np.float64], rarities: list[NDArray[np.float64]]
    ) -> Weights:
        """From a linear model's coefficients [sums, Σ codes] for terms by their rarity, each kind behind the other."""
        tables, scales, first = [], [], 0
        for rarity in rarities:
            weight = coefficients[:, first : first + len(rarity)].T * rarity[:, None]
            scale = np.maximum(np.abs(weight).max(axis=0) / (bags.MIDDLE - 1), 1e-12)
            tables.append((np.rint(weight / scale) + bags.MIDDLE).astype(np.uint8))
            scales.append(scale.astype(np.float32))
            first += len(rarity)
        return cls(tuple(tables), tuple(scales), offset.astype(np.float32))

    def sums(self, there: list[csr_matrix], rarities: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """As the layer computes them, [n, sums]; `there` are ones where a code is."""
        total = np.tile(self.offset.astype(np.float64), (there[0].shape[0], 1))
        for found, rarity, table, scale in zip(there, rarities, self.tables, self.scales, strict=True):
            weights = (table.astype(np.float64) - bags.MIDDLE) * scale
            total += (found @ weights) / _lengths(found, rarity)[:, None]
        return total


class LinearText(fitting.PenaltyPath):
    strengths = STRENGTHS

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.there = self._there(self.samples.inputs)
        self.rarities = [self._rarity(found, words=i == 0) for i, found in enumerate(self.there)]
        self.x = _vectors(self.there, self.rarities)
        self.validation = self._there(self.samples.validation_inputs)

    def _there(self, inputs: samples.Inputs) -> list[csr_matrix]:
        """Of each kind of term ones where a text has it, [n, codes]."""
        from keras import ops
        from scipy.sparse import csr_matrix

        found = []
        for codes, count in text_linear.terms(inputs, self.samples.preprocess, **self.params).values():
            given = np.asarray(ops.convert_to_numpy(codes))
            rows, places = np.nonzero(given)
            matrix = csr_matrix((np.ones(len(rows), np.float32), (rows, given[rows, places])), shape=(len(given), count))
            matrix.sum_duplicates()
            matrix.data[:] = 1.0
            found.append(matrix)
        return found

    @staticmethod
    def _rarity(there: csr_matrix, *, words: bool) -> NDArray[np.float64]:
        """1 + ln((1 + n) / (1 + n with the code)) in the layer's steps; 0 for codes that mean nothing."""
        texts, having = there.shape[0], np.asarray(there.sum(axis=0)).reshape(-1)
        steps = np.rint(bags.STEPS * (1 + np.log((1 + texts) / (1 + having))))
        steps[list(NOTHING) if words else [0]] = 0
        return np.minimum(steps, 255) / bags.STEPS

    def fitted(self, strength: float) -> Weights:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        single = LogisticRegression(
            C=strength, solver="liblinear", dual=True, tol=0.01, max_iter=PASSES, random_state=self.recipe.seed % 2**31
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = OneVsRestClassifier(single).fit(self.x, self.y)
        coefficients = np.concatenate([e.coef_ for e in model.estimators_])
        offset = np.concatenate([e.intercept_ for e in model.estimators_])
        return Weights.of(coefficients, offset, self.rarities)

    def outputs_of(self, model: Weights) -> NDArray[np.float64]:
        return fitting.of_two(model.sums(self.validation, self.rarities), self.meta.profile.outputs)

    def parameters(self) -> int:
        """A weight counts as its byte, as in `text_linear.size`."""
        return sum(table.size + len(table) for table in self.kept.tables)

    def core(self) -> keras.Model:
        import keras

        from automl.architectures import model

        profile, kept = self.meta.profile, self.kept
        inputs = model.input_tensors(profile, self.samples.preprocess)
        core = keras.Model(inputs, text_linear.grow(inputs, profile, self.samples.preprocess, **self.params), name="core")
        layer = core.get_layer("weights")
        for i, rarity in enumerate(self.rarities):
            layer.tables[i].assign(kept.tables[i])
            layer.rarities[i].assign(np.rint(rarity * bags.STEPS).astype(np.uint8)[:, None])
            layer.scales[i].assign(kept.scales[i])
        layer.offset.assign(fitting.of_two(kept.offset[None], profile.outputs)[0].astype(np.float32))
        return core


def _lengths(there: csr_matrix, rarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the vectors of rarities, [n]; as the layer bounds them."""
    return np.sqrt(np.maximum(there @ rarity**2, 1 / bags.STEPS**2))


def _vectors(there: list[csr_matrix], rarities: list[NDArray[np.float64]]) -> csr_matrix:
    """The terms by their rarity, each kind brought to length 1, side by side: [n, Σ codes]."""
    from scipy.sparse import diags_array, hstack

    return hstack(
        [
            diags_array(1 / _lengths(found, rarity)) @ found @ diags_array(rarity)
            for found, rarity in zip(there, rarities, strict=True)
        ],
        format="csr",
    )
