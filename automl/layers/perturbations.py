"""Where a step's gradient is taken, if not where the weights stand (see `automl.training.engine.Perturbation`)."""

from __future__ import annotations

from typing import Any, Literal

from keras import ops


class Uphill:
    """To the worst place within a distance, to first order: w + radius · g / ‖g‖, with the norm over all weights together
    (Foret et al., arXiv:2010.01412, equation 2). A gradient of 0 moves nothing."""

    moved: Literal["weights", "inputs"] = "weights"

    def __init__(self, radius: float):
        self.radius = radius

    def values(self, values: list[Any], gradients: list[Any]) -> list[Any]:
        known = [ops.cast(g, "float32") for g in gradients if g is not None]
        # By the largest entry first: under float16's scaled loss the squares would overflow before the norm does.
        largest = ops.max(ops.stack([ops.max(ops.abs(g)) for g in known]))
        unit = ops.where(largest > 0, largest, 1.0)
        norm = ops.sqrt(sum(ops.sum(ops.square(g / unit)) for g in known))
        factor = self.radius / ops.where(norm > 0, norm, 1.0) / unit
        return [
            value if g is None else value + ops.cast(factor * ops.cast(g, "float32"), value.dtype)
            for value, g in zip(values, gradients, strict=True)
        ]
