"""Layers that act in training only take their steps under JAX, too, with gradients, states and folding."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = """
import keras, numpy as np, jax
from automl.layers import deformable, folding, kernels, noise
x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
i = keras.Input((6, 6, 3))
y = kernels.SpectralNorm(keras.layers.Conv2D(8, 3, padding="same", name="a"))(i)
y = kernels.WeightStandardization(keras.layers.Conv2D(8, 3, name="b"), scaled=True)(y)
y = noise.DropBlock(0.2, 2, seed=1)(y)
offsets = keras.layers.Conv2D(18, 3, padding="same", name="o")(y)
y = deformable.DeformableSampling(3)([y, offsets])
y = keras.layers.GlobalAveragePooling2D()(y)
y = kernels.WeightNorm(keras.layers.Dense(8, name="c"))(y)
y = kernels.Shakeout(keras.layers.Dense(8, name="d"), seed=2)(y)
y = noise.GaussianBottleneck(4, 0.1, seed=3)(y)
m = keras.Model(i, y)
tv, ntv = [v.value for v in m.trainable_variables], [v.value for v in m.non_trainable_variables]
@jax.jit
def step(tv, ntv):
    def loss(tv, ntv):
        out, ntv, penalties = m.stateless_call(tv, ntv, x, training=True, return_losses=True)
        return (out ** 2).mean() + sum(penalties), (ntv, penalties)
    return jax.value_and_grad(loss, has_aux=True)(tv, ntv)
(value, (new, penalties)), gradients = step(tv, ntv)
assert np.isfinite(value) and len(penalties) == 1
assert all(np.isfinite(g).all() for g in gradients)
assert sum(float(abs(g).max()) > 0 for g in gradients) >= len(gradients) - 1
moved = [v.path for v, a, b in zip(m.non_trainable_variables, ntv, new) if not np.array_equal(a, b)]
assert sum("singular_vector" in p for p in moved) == 1 and sum("seed" in p for p in moved) == 3, moved
np.testing.assert_allclose(folding.fold(m)(x), m(x), atol=1e-4)
"""


@pytest.mark.slow
def test_all_of_them_step_under_jax(jax_python: Path, root: Path) -> None:
    done = subprocess.run(
        [str(jax_python), "-c", SCRIPT], env={"PATH": os.environ["PATH"], "KERAS_BACKEND": "jax", "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=300, check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
