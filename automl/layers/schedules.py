"""Learning-rate schedules as curves: the rate is peak × curve(t), where t runs from 0 at the first step to 1 at the
last."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops


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
