"""The phase before the first epoch: what it teaches starts the training, once, within its time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl.architectures import builder as builders
from automl.architectures import model
from automl.catalog import compose
from automl.spec import Choice, Fidelity, Modality, Outcome, Profile, Recipe
from automl.training import prediction, pretraining, replaced_tokens, samples, trainer
from tests.unit.training.conftest import Case, _write, recipe
from tests.unit.training.test_jax import train as train_under

WORDS, LENGTH = 23, 12
PREPROCESS = {
    "version": 1, "modality": "text", "task": "text-classification", "kind": "classification", "target": "y",
    "classes": ["no", "yes"], "columns": [{"name": "t", "kind": "text"}], "vocabulary": [f"w{i}" for i in range(WORDS - 3)],
    "ngrams": None, "inputs": {"tokens": LENGTH, "vocabulary": WORDS},
}
PRETRAINED = Choice(id="replaced-token-detection", params={"share": 0.5})


def make_texts(path: Path, rows: int = 256, seed: int = 0) -> Path:
    """Words in pairs: an odd code is always followed by the next even one. The class is whether the first pair is low."""
    rng = np.random.default_rng(seed)
    first = 2 * rng.integers(2, 11, size=(rows, LENGTH // 2)) - 1
    tokens = np.stack([first, first + 1], axis=2).reshape(rows, LENGTH)
    lengths = 2 * rng.integers(3, LENGTH // 2 + 1, rows)
    tokens = np.where(np.arange(LENGTH) < lengths[:, None], tokens, 0).astype(np.int32)
    validation = rows // 4
    profile = Profile(
        modality=Modality.TEXT, task="text-classification", rows=rows - validation, classes=2, class_min=rows // 4,
        outputs=2, length=LENGTH, vocabulary=WORDS, sample_bytes=4 * LENGTH,
    )
    return _write(
        path, {"tokens": tokens, "target": (first[:, 0] < 10).astype(np.int32)}, (rows - validation, validation),
        task="text-classification", kind="classification", modality=Modality.TEXT, target="y", classes=("no", "yes"),
        profile=profile, preprocess=PREPROCESS,
    )


@pytest.fixture
def texts(tmp_path: Path) -> Case:
    small = Choice(id="transformer", params={"width": 32, "depth": 1})
    more = (Choice(id="multi-head-attention"), Choice(id="positional-encoding"), PRETRAINED)
    made = recipe("text-classification", *more, architecture=small, epochs=2, rate=1e-3)
    kept = tuple(c for c in made.techniques if c.id != "standardization")
    return Case(make_texts(tmp_path / "prepared"), made.changed(techniques=kept))


def run(case: Case, work: Path, epochs: int = 2, chosen: Recipe | None = None, **more: Any) -> Any:
    more = {"on_epoch": lambda measurement: True, "fidelity": Fidelity(epochs=epochs), **more}
    return trainer.train(chosen or case.recipe, case.data, metric="accuracy", workdir=work, **more)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """In place of the steps every weight of the core's embedding becomes 7; gives the list of what was to be taught."""
    calls: list[Any] = []

    def run(made: Any, *args: Any) -> np.ndarray:
        calls.append(made)
        embedding = made.model.get_layer("discriminator").get_layer("embedding")
        embedding.set_weights([np.full_like(w, 7.0) for w in embedding.get_weights()])
        return np.ones(1, np.float32)

    monkeypatch.setattr(pretraining, "run", run)
    return calls


def test_what_was_taught_starts_the_classifier(texts: Case, taught: list[Any], tmp_path: Path) -> None:
    done = run(texts, tmp_path / "work")
    assert done.outcome is Outcome.COMPLETED
    assert "pretraining" in done.overheads_s
    assert taught[0].epochs == 1  # half of two
    embedding = prediction.load(tmp_path / "work/model.keras").get_layer("embedding").get_weights()[0]
    assert np.abs(embedding - 7).max() < 0.1, "only two epochs at a small rate have moved it"


@pytest.mark.slow
def test_what_goes_on_from_other_weights_is_not_taught_again(
    texts: Case, taught: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_S", 0.0)
    run(texts, tmp_path / "work", 1)
    run(texts, tmp_path / "work", 2)
    run(texts, tmp_path / "final", 1, part="train+validation", continue_from=tmp_path / "work")
    assert len(taught) == 1
    run(texts, tmp_path / "fold", 1, part="fold:0/5")
    assert len(taught) == 2, "a member of an ensemble begins anew, on its own rows"


@pytest.mark.slow
def test_it_repeats_itself(texts: Case, tmp_path: Path) -> None:
    first, second = (run(texts, tmp_path / name, 1) for name in ("a", "b"))
    assert first.overheads_s["pretraining"] > 0
    assert first.measurements[0].train_loss == second.measurements[0].train_loss


def parts_of(case: Case, epochs: int) -> tuple[Any, Any, Any]:
    """(the core, what is to be taught, the samples)."""
    quick = Choice(id=PRETRAINED.id, params={"share": 0.5, "learning_rate": 5e-3})
    techniques = tuple(quick if c == PRETRAINED else c for c in case.recipe.techniques)
    chosen = case.recipe.changed(epochs=epochs, techniques=techniques)
    plan = compose.plan_of(chosen, case.data.meta.profile)
    rows = samples.load(case.data, plan, "train", Fidelity(epochs=epochs), 7)
    core = model.build_core(chosen, plan, case.data.meta.profile, rows.preprocess, rows.shown)
    own = builders.Builder(
        plan.replace(pretraining=None), case.data.meta.profile, seed=1, preprocess=rows.preprocess, sample=rows.shown
    )
    return core, plan.pretraining.make(core=core, builder=own), rows


@pytest.mark.slow
def test_the_discriminator_learns_which_words_were_put_there(texts: Case) -> None:
    """Pairs are broken by what the generator puts: it can be told from the neighbour, which takes attention."""
    core, made, rows = parts_of(texts, 60)
    head = core.get_layer("logits").get_weights()
    losses = pretraining.run(made, rows, 32, 7, "float32")
    assert len(losses) == made.epochs * 6
    assert losses[-12:].mean() < 0.75 * losses[:12].mean()
    for before, after in zip(head, core.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    step = replaced_tokens.hide(words=WORDS)
    X, _ = step({"tokens": rows.validation_inputs["tokens"]}, rows.validation_target, np.random.default_rng(0))
    taps = keras.Model(made.model.input, [made.model.get_layer(n).output for n in ("replaced", "detection")])
    (_, wrong), found = taps(X)
    there = X["tokens"] > 0
    wrong, found = np.asarray(wrong)[there][:, 0], np.asarray(found)[there][:, 0]
    from sklearn.metrics import roc_auc_score

    # Of a broken pair either half may be the wrong one, and some 50 are wrong: by chance 0.5 ± 0.04.
    assert roc_auc_score(wrong, found) > 0.62


def test_it_ends_when_its_time_is_over(texts: Case) -> None:
    _, made, rows = parts_of(texts, 400)
    asked = iter([True, False])
    assert len(pretraining.run(made, rows, 32, 7, "float32", lambda: next(asked))) == 12


def test_at_most_half_of_the_time_is_spent(texts: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = []

    def run_until(made: Any, rows: Any, size: int, seed: int, precision: str, go_on: Any) -> np.ndarray:
        now = time.monotonic()
        for later in (0.0, 400.0, 600.0):
            monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
            said.append(go_on())
        monkeypatch.undo()
        return np.ones(1, np.float32)

    monkeypatch.setattr(pretraining, "run", run_until)
    run(texts, tmp_path / "work", deadline=time.monotonic() + 1000)
    assert said == [True, True, False]


def test_words_are_hidden_in_their_share_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 60, (500, 40)).astype(np.int32)
    tokens[:, 30:] = 0
    tokens[0], tokens[1, :] = 0, 1
    places = replaced_tokens.hidden_places(tokens, 50, rng)
    assert places.shape == (500, 6)
    assert (places[:2] == -1).all(), "an empty text, and one without a word that is known"
    for row, taken in zip(tokens[2:], places[2:], strict=True):
        taken = taken[taken >= 0]
        assert len(set(taken)) == len(taken) == max(1, round(0.15 * int((row > 0).sum())))
        assert ((row[taken] >= 3) & (row[taken] < 50)).all()
    share = np.bincount(places[places >= 0], minlength=40)[:30] / 498
    np.testing.assert_allclose(share, share.mean(), atol=0.06)


@pytest.mark.slow
def test_it_runs_under_jax(texts: Case, jax_python: Path, root: Path, tmp_path: Path) -> None:
    found = train_under(jax_python, "jax", texts, texts.recipe, tmp_path / "work", root)
    assert found["outcome"] == "COMPLETED"
