"""16-bit arithmetic, several devices, and the account of a step before training."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from automl.execution import outcomes
from automl.spec import Choice, Fidelity, Outcome, Unavailable
from automl.training import backends, profile, trainer


def run(case: Any, recipe: Any, workdir: Path, **more: Any) -> Any:
    return trainer.train(
        recipe, case.data, fidelity=Fidelity(epochs=recipe.epochs), metric=case.metric, workdir=workdir,
        on_epoch=lambda m: True, **more,
    )


class TestMixedPrecision:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    @pytest.mark.parametrize("name", ["classification", "pictures"])
    def test_it_learns_as_well_and_leaves_a_float32_model(
        self, dtype: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        case = request.getfixturevalue(name)
        half = Choice(id="mixed-precision", params={"dtype": dtype})
        recipe = case.recipe.changed(techniques=(*case.recipe.techniques, half, Choice(id="ema")))
        plain = run(case, case.recipe, tmp_path / "plain")
        mixed = run(case, recipe, tmp_path / "mixed")
        assert mixed.outcome is Outcome.COMPLETED
        assert abs(mixed.score - plain.score) < 0.06
        assert keras.config.dtype_policy().name == "float32"
        model = keras.models.load_model(tmp_path / "mixed/model.keras")
        assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
        assert model.count_params() == keras.models.load_model(tmp_path / "plain/model.keras").count_params()
        kept = np.load(tmp_path / "mixed/validation.npy")
        assert kept.shape == np.load(tmp_path / "plain/validation.npy").shape
        assert np.isfinite(kept).all()

    @pytest.mark.parametrize("embedding", ["piecewise-linear", "periodic"])
    def test_encodings_of_numbers_bear_float16(self, embedding: str, classification: Any, tmp_path: Path) -> None:
        """Bins as narrow as a millionth have slopes beyond 65,504."""
        encoded = Choice(id="mlp", params={"width": 64, "depth": 1, "numeric_embedding": embedding})
        half = Choice(id="mixed-precision", params={"dtype": "float16"})
        recipe = classification.recipe.changed(
            architecture=encoded, techniques=(*classification.recipe.techniques, half, Choice(id="sam"))
        )
        assert run(classification, recipe, tmp_path / "w").score > 0.8

    def test_an_overflow_is_survived(self, steps: Any) -> None:
        """The first steps' gradients overflow float16: they are left out, and the scale is halved until steps are taken."""
        first = steps.run("linear:+half")
        assert np.isfinite(first["losses"]).all()
        lost = round(math.log2(2**18 / first["slots"]["dynamic_scale"]))
        assert 0 < lost < steps.STEPS
        w = steps.W.astype(np.float64)
        for i in range(lost, steps.STEPS):  # As if the lost steps had not been.
            rows = np.arange(i * steps.BATCH, (i + 1) * steps.BATCH) % len(steps.X)
            x, y = steps.X[rows], steps.Y[rows]
            w = w - steps.RATE * 2 * x.T @ (x @ w - y) / len(x)
        np.testing.assert_allclose(first["weights"]["d/kernel"], w, rtol=5e-3)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["linear:+half", "normalized:+half+ahead", "normalized:+ahead"])
    def test_jax_does_as_tensorflow(self, name: str, steps: Any, under_jax: dict[str, Any]) -> None:
        found = steps.run(name)
        for path, value in under_jax[name]["weights"].items():
            np.testing.assert_allclose(found["weights"][path], value, rtol=0.02, atol=2e-3, err_msg=path)
        if "half" in name:
            assert found["slots"]["dynamic_scale"] == under_jax[name]["slots"]["dynamic_scale"]


class TestDataParallel:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["linear:", "normalized:", "normalized:sam"])
    def test_two_devices_step_as_one(self, name: str, under_jax: dict[str, Any]) -> None:
        one, two = under_jax[name], under_jax[f"{name}+split"]
        assert (one["devices"], two["devices"]) == (1, 2)
        np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-4)
        for path, value in one["weights"].items():
            np.testing.assert_allclose(two["weights"][path], value, rtol=1e-3, atol=1e-5, err_msg=path)

    @pytest.mark.slow
    def test_with_halves_too(self, under_jax: dict[str, Any]) -> None:
        assert np.isfinite(under_jax["normalized:+half+split"]["losses"]).all()

    def test_other_backends_refuse(self, classification: Any, tmp_path: Path) -> None:
        recipe = classification.recipe.changed(techniques=(*classification.recipe.techniques, Choice(id="data-parallel")))
        with pytest.raises(Unavailable, match="runs under the JAX backend, KERAS_BACKEND is tensorflow"):
            run(classification, recipe, tmp_path / "w")

    @pytest.mark.parametrize(("devices", "batch"), [(1, 32), (2, 31), (0, 8)])
    def test_too_few_devices_are_refused(self, devices: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
        monkeypatch.setattr(keras.distribution, "list_devices", lambda: [f"cpu:{i}" for i in range(devices)])
        with pytest.raises(Unavailable, match=f"this process sees {devices}"):
            backends.split_batches(batch)


def core_of(*layers: Any, shape: tuple[int, ...] = (8, 8, 3)) -> keras.Model:
    inputs = keras.Input(shape)
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


class TestProfile:
    def test_a_convnet_in_closed_form(self) -> None:
        L = keras.layers
        core = core_of(
            L.Conv2D(16, 3, padding="same", name="c"), L.BatchNormalization(), L.ReLU(),
            L.DepthwiseConv2D(3, strides=2, padding="same", name="d"), L.Conv2D(10, 1, groups=2), L.GlobalAveragePooling2D(),
            L.Dense(5),
        )
        optimizer = keras.optimizers.Adam()
        optimizer.build(core.trainable_variables)
        found = profile.profile(core, optimizer, batch_size=7)
        weights = (27 * 16 + 16) + 4 * 16 + (9 * 16 + 16) + (8 * 10 + 10) + (10 * 5 + 5)
        trainable = weights - 2 * 16
        assert found.weights_bytes == 4 * weights == 4 * core.count_params()
        assert found.gradients_bytes == 4 * trainable
        assert found.optimizer_bytes - 2 * 4 * trainable in range(4, 17)  # Two moments, the rate, and a count of steps.
        outputs = 3 * 64 * 16 + 16 * 16 + 16 * 10 + 10 + 5
        assert found.activations_bytes == 7 * 4 * outputs
        assert found.macs == 64 * 27 * 16 + 16 * 9 * 16 + 16 * 8 * 10 + 10 * 5
        half = profile.profile(core, optimizer, 7, "mixed_bfloat16")
        assert half.activations_bytes == found.activations_bytes // 2

    @pytest.mark.parametrize(
        ("layer", "shape", "macs"),
        [
            (lambda L: L.Dense(6), (10, 4), 10 * 4 * 6),
            (lambda L: L.Conv1D(6, 3), (10, 4), 8 * 3 * 4 * 6),
            (lambda L: L.SeparableConv2D(6, 3, padding="same"), (5, 5, 4), 25 * (9 * 4 + 4 * 6)),
            (lambda L: L.EinsumDense("bmf,mfo->bmo", (4, 6), bias_axes="o"), (4, 5), 4 * 5 * 6),
            (lambda L: L.EinsumDense("bmf,fo->bmo", (4, 6)), (4, 5), 4 * 5 * 6),
            (lambda L: L.LSTM(6), (10, 4), 10 * (4 * 24 + 6 * 24)),
            (lambda L: L.GRU(6, return_sequences=True), (10, 4), 10 * (4 * 18 + 6 * 18)),
            (lambda L: L.BatchNormalization(), (10, 4), 0),
            (lambda L: L.MaxPooling1D(), (10, 4), 0),
        ],
    )
    def test_multiply_adds_of_layers(self, layer: Any, shape: tuple[int, ...], macs: int) -> None:
        core = core_of(made := layer(keras.layers), shape=shape)
        assert profile.macs(made) == macs
        assert core.count_params() >= 0

    def test_attention(self) -> None:
        inputs = keras.Input((10, 8))
        layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        keras.Model(inputs, layer(inputs, inputs))
        assert profile.macs(layer) == 4 * 10 * 8 * 8 + 2 * 10 * 10 * 8

    def test_what_can_not_fit_is_refused_before_it_runs(
        self, classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = run(classification, classification.recipe, tmp_path / "free")
        need = free.profile
        assert need.step_s > 0
        assert need.batch_size == classification.recipe.batch_size
        assert need.weights_bytes == free.size_bytes
        monkeypatch.setattr(trainer._Training, "_epochs", lambda self: pytest.fail("a step was taken"))
        outcome = run(classification, classification.recipe, tmp_path / "a", memory_bytes=need.state_bytes - 1)
        assert outcome.outcome is Outcome.OVERSIZE
        assert "whatever the batch" in outcome.message
        assert not outcome.usable
        assert not (tmp_path / "a/model.keras").exists()
        with pytest.raises(profile.TooLarge, match="32 rows needs about") as caught:
            run(classification, classification.recipe, tmp_path / "b", memory_bytes=need.total_bytes - 1)
        assert outcomes.of_exception(caught.value) is Outcome.OOM, "so it is tried once more with half the batch"
        monkeypatch.undo()
        halved = run(
            classification, classification.recipe.changed(epochs=1), tmp_path / "c", batch_scale=0.5,
            memory_bytes=need.state_bytes + need.activations_bytes // 2,
        )
        assert halved.outcome is Outcome.COMPLETED
        assert halved.profile.batch_size == 16

    def test_timing_a_step_leaves_the_training_as_it_is(
        self, classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dropout = classification.recipe.changed(
            techniques=(*classification.recipe.techniques, Choice(id="dropout"), Choice(id="batch-norm"))
        )
        timed = run(classification, dropout, tmp_path / "timed")
        monkeypatch.setattr(trainer._Training, "_time_step", lambda self, example: None)
        plain = run(classification, dropout, tmp_path / "plain")
        assert [m.train_loss for m in timed.measurements] == [m.train_loss for m in plain.measurements]
        assert (tmp_path / "timed/validation.npy").read_bytes() == (tmp_path / "plain/validation.npy").read_bytes()


def test_the_worker_says_what_room_it_has(monkeypatch: pytest.MonkeyPatch, classification: Any, tmp_path: Path) -> None:
    from automl.execution import worker
    from automl.execution.executor import Work

    asked: list[Any] = []
    monkeypatch.setattr(trainer, "train", lambda *given, **more: asked.append(more["memory_bytes"]))
    session = SimpleNamespace(epoch=None, beat=None, should_stop=None)
    for limit in (None, 12345):
        work = Work(
            trial="t", attempt=1, recipe=classification.recipe, fidelity=Fidelity(epochs=1), prepared=classification.path,
            metric="accuracy", workdir=tmp_path, room_bytes=limit,
        )
        worker.train(work, session, 1)  # type: ignore[arg-type]
    assert asked == [None, 12345]
