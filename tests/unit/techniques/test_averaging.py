"""Averages of weights equal the mean of the snapshots, and normalisation statistics fit the averaged weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

RNG = np.random.default_rng(0)
DATA = RNG.normal(2, 3, (400, 3)).astype(np.float32)


def network(normalized: bool = False):
    x = keras.Input((3,), name="numeric")
    y = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(1), name="hidden")(x)
    if normalized:
        y = keras.layers.BatchNormalization(momentum=0.9, name="norm")(y)
    return keras.Model({"numeric": x}, keras.layers.Dense(1)(y))


def batches():
    for start in range(0, 400, 40):
        yield {"numeric": DATA[start : start + 40]}


def test_swa_is_the_mean_of_the_epochs_from_its_start(apply):
    averager = apply("swa", start=0.6).averaging.make(epochs=5, steps_per_epoch=10)
    model = network()
    snapshots, given = [], []
    for epoch in range(1, 6):
        model.set_weights([RNG.normal(size=w.shape) for w in model.get_weights()])
        snapshots.append(model.get_weights())
        given.append(averager.after_epoch(model, epoch, batches))
    assert given[0] is None
    assert given[1] is None
    for last in (2, 3, 4):
        for i, averaged in enumerate(given[last]):
            np.testing.assert_allclose(averaged, np.mean([s[i] for s in snapshots[2 : last + 1]], axis=0), atol=1e-6)


def test_swa_goes_on_from_its_state(apply):
    component = apply("swa", start=0.5).averaging
    straight, first, second = (component.make(epochs=4, steps_per_epoch=10) for _ in range(3))
    model = network()
    for epoch in range(1, 5):
        model.set_weights([np.full_like(w, epoch) for w in model.get_weights()])
        expected = straight.after_epoch(model, epoch, batches)
        if epoch == 3:
            second.restore(first.state())
        given = (first if epoch < 3 else second).after_epoch(model, epoch, batches)
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_statistics_are_taken_anew_for_averaged_weights(apply):
    averager = apply("swa", start=0.5).averaging.make(epochs=2, steps_per_epoch=10)
    model = network(normalized=True)
    for epoch in (1, 2):
        weights = model.get_weights()
        weights[0] = RNG.normal(size=weights[0].shape)
        model.set_weights(weights)
        averaged = averager.after_epoch(model, epoch, batches)
    model.set_weights(averaged)
    hidden = np.asarray(model.get_layer("hidden")(DATA))
    norm = model.get_layer("norm")
    np.testing.assert_allclose(np.asarray(norm.moving_mean), hidden.mean(0), rtol=1e-3, atol=1e-3)
    within = np.mean([hidden[i : i + 40].var(0) for i in range(0, 400, 40)], axis=0)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), within, rtol=1e-3)
    assert norm.momentum == 0.9


def _trained(plan, epochs: int, steps: int):
    """What the trainer does with a plan's averaging, by Keras's own fit; the raw weights after each step beside it."""
    optimizer = plan.optimizer.make(learning_rate=0.05)
    for wrapper in plan.optimizer_wrappers:
        optimizer = wrapper.make(optimizer)
    model = network()
    model.compile(optimizer, "mse", jit_compile=False)
    optimizer.build(model.trainable_variables)
    span = {"epochs": epochs, "steps_per_epoch": steps}
    averager = plan.averaging.make(**span)
    raw, given = [], []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raw.append(model.get_weights())

        def on_epoch_end(self, epoch, logs=None):
            before = model.get_weights()
            given.append(averager.after_epoch(model, epoch + 1, batches))
            model.set_weights(before)

    hooks = [c.make(**span) for c in plan.callbacks]
    y = DATA.sum(1, keepdims=True)
    model.fit(
        {"numeric": DATA}, y, batch_size=400 // steps, epochs=epochs, shuffle=False, verbose=0, callbacks=[*hooks, Watch()]
    )
    return raw, given


def test_ema_is_the_running_average_over_its_horizon(apply):
    horizon, epochs, steps = 0.1, 5, 10
    raw, given = _trained(apply("ema", apply("sgd"), horizon=horizon), epochs, steps)
    decay = 1 - 1 / (horizon * epochs * steps)
    average = raw[0]
    for weights in raw[1:]:
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights)]
    for a, b in zip(given[-1], average, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("horizon", [0.05, 0.2])
def test_raw_weights_count_until_the_average_has_forgotten_the_start(horizon, apply):
    epochs, steps = 10, 5
    _, given = _trained(apply("ema", apply("adam"), horizon=horizon), epochs, steps)
    settled = 3 * max(2, horizon * epochs * steps) / steps
    assert [g is None for g in given] == [epoch < settled for epoch in range(1, epochs + 1)]
