"""Learning-rate schedules as curves: the rate is peak × curve(t), where t runs from 0 at the first step to 1 at the
last."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


class Curve(keras.optimizers.schedules.LearningRateSchedule):
    """peak · curve(step / (steps − 1)). After the last step the rate stays as it is there.

    `curve` is a function in `keras.ops` named as "module:function" with parameters, so that a schedule is rebuilt from
    its config.
    """

    def __init__(self, peak: float, steps: int, curve: str, params: Mapping[str, Any] | None = None):
        self.peak, self.steps, self.curve, self.params = float(peak), int(steps), curve, dict(params or {})
        module, _, name = curve.partition(":")
        self._function: Callable[..., Any] = getattr(importlib.import_module(module), name)

    def __call__(self, step: Any) -> Any:
        t = ops.cast(step, "float32") / max(1, self.steps - 1)
        return ops.cast(self.peak * self._function(ops.clip(t, 0.0, 1.0), **self.params), "float32")

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps, "curve": self.curve, "params": self.params}


def rising(t: Any, low: float, high: float) -> Any:
    """A geometric rise from low / high to 1 of the peak `high`."""
    return ops.exp(ops.log(low / high) * (1 - t))


class RangeTest:
    """The learning-rate range test (Smith, arXiv:1506.01186, section 3.3), as `automl.training.rates.RateSearch`.

    Rates rise geometrically from `below` to `above` times a first guess. Losses are smoothed by a running mean; the test is
    over when the smoothed loss is `DIVERGED` times its least so far, or not finite. The rate at which it was least is
    a few times the largest stable one, since what diverges has to grow before it shows; `share` of it is picked.
    """

    SMOOTHING = 0.7
    DIVERGED = 4.0
    EARLY = 0.05
    """A least loss within this share of the first steps means that nothing was learned at any rate."""

    def __init__(self, steps: int, share: float, below: float = 1e-2, above: float = 1e3):
        self.steps, self.share, self.below, self.above = steps, share, below, above

    def schedule(self, rate: float) -> Curve:
        low, high = rate * self.below, rate * self.above
        return Curve(high, self.steps, f"{__name__}:rising", {"low": low, "high": high})

    def rates(self, rate: float) -> NDArray[np.float64]:
        return np.geomspace(rate * self.below, rate * self.above, self.steps)

    def smoothed(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The running mean, corrected for its start at 0; infinite from the first loss that isn't finite."""
        mean, out = 0.0, np.full(len(losses), np.inf)
        for i, loss in enumerate(losses):
            if not np.isfinite(loss):
                break
            mean = self.SMOOTHING * mean + (1 - self.SMOOTHING) * float(loss)
            out[i] = mean / (1 - self.SMOOTHING ** (i + 1))
        return out

    def over(self, losses: NDArray[np.float64]) -> bool:
        if not len(losses):
            return False
        curve = self.smoothed(losses)
        least = curve.min()
        # Of a loss that may be negative (likelihoods) the rise since its least counts, against the fall until then.
        limit = (self.DIVERGED - 1) * max(curve[0] - least, abs(least))
        return bool(not np.isfinite(curve[-1]) or curve[-1] - least > limit)

    def pick(self, rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
        curve = self.smoothed(losses)
        if not len(curve) or not np.isfinite(curve[0]):
            return None
        place = int(curve.argmin())
        return None if place < self.EARLY * self.steps else float(self.share * rates[place])
