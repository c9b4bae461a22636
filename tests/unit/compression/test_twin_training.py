"""The clock of the fine-tuning in tf_keras: too few steps are seen from the first ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl.compression import bridge, twin_training
from automl.data.prepared import PreparedDataset
from tests.unit.export import planted


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def fitted(
    table: planted.Planted, monkeypatch: Any, *, step_s: float, end: float, first_s: float = 0.0
) -> tuple[Clock, Any]:
    """A linear twin trained on under a clock that each step moves on; the clock, and the steps or the error."""
    tf_keras = bridge.load()
    clock = Clock()
    monkeypatch.setattr(twin_training, "time", clock)

    class Work(tf_keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            clock.now += first_s if first_s and not clock.now else step_s

    x = np.random.default_rng(0).normal(size=(640, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    twin = tf_keras.Sequential([tf_keras.Input((3,), name="numeric"), tf_keras.layers.Dense(2, activation="softmax")])
    meta = PreparedDataset.open(table.data.path).meta
    try:
        return clock, twin_training.fit(twin, ["numeric"], {"numeric": x}, y, meta, end=end, callbacks=[Work()])
    except twin_training.TooSlow as error:
        return clock, error


def test_steps_that_fit_are_made(table: planted.Planted, monkeypatch: Any) -> None:
    _, steps = fitted(table, monkeypatch, step_s=0.1, end=100.0)
    assert steps == twin_training.USUAL_STEPS


def test_the_end_stops_it(table: planted.Planted, monkeypatch: Any) -> None:
    clock, steps = fitted(table, monkeypatch, step_s=1.0, end=60.0)
    assert steps == 60
    assert clock.now == 60.0


def test_it_gives_up_when_the_first_steps_show_that_too_few_fit(table: planted.Planted, monkeypatch: Any) -> None:
    clock, error = fitted(table, monkeypatch, step_s=12.0, end=180.0)
    assert "only 15 steps of fine-tuning are possible in its time; at least 30 are needed" in str(error)
    assert clock.now == 12.0 * (twin_training.SURE + 1)


def test_a_first_step_that_takes_all_the_time_is_the_last(table: planted.Planted, monkeypatch: Any) -> None:
    clock, error = fitted(table, monkeypatch, step_s=1.0, first_s=50.0, end=40.0)
    assert clock.now == 50.0
    assert "only 1 steps" in str(error)


def test_without_time_no_step_is_made(table: planted.Planted, monkeypatch: Any) -> None:
    clock, error = fitted(table, monkeypatch, step_s=1.0, end=-1.0)
    assert clock.now == 0.0
    assert isinstance(error, twin_training.TooSlow)
