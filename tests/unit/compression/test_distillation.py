"""A student learns from a teacher's outputs, an ensemble's too, and is smaller at the same metric."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from automl.compression import distillation
from automl.data.prepared import PreparedDataset
from automl.export import candidate as candidates
from automl.spec import Choice
from automl.training import samples
from automl.training.batches import Batches
from tests.unit.compression.conftest import Trained


@pytest.fixture(scope="module")
def student(bars: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[candidates.Candidate, dict[str, object]]:
    out = tmp_path_factory.mktemp("student") / "candidate"
    small = bars.recipe.changed(
        architecture=Choice(id="convnet", params={"width": 8, "stages": 2, "residual": False}), epochs=8
    )
    return candidates.Candidate(out), distillation.distill({**bars.request(out, weight=0.7), "recipe": small.to_dict()})


def test_the_student_is_smaller_at_the_same_metric(
    bars: Trained, student: tuple[candidates.Candidate, dict[str, object]]
) -> None:
    made, answer = student
    teacher = candidates.Candidate(bars.candidate)
    assert made.model.count_params() < 0.5 * teacher.model.count_params()
    assert made.result["validation"]["accuracy"] >= teacher.result["validation"]["accuracy"] - 0.05
    assert made.recipe.params_of("compress-distillation") == {"weight": 0.7}
    assert made.result["recipe"] == made.recipe.identity
    assert "student" in str(answer["notes"])


def test_numbers_are_learned_from_the_teacher_alone_where_its_weight_is_all(sums: Trained, tmp_path: pathlib.Path) -> None:
    """The truth of the training rows is spoilt: with the teacher's whole weight nothing of it reaches the student."""
    prepared = PreparedDataset.open(sums.data.path)
    spoilt = tmp_path / "spoilt"
    import shutil

    shutil.copytree(sums.data.path, spoilt)
    target = np.load(spoilt / "target.npy")
    rows = prepared.meta.parts["train"]
    target[:rows] = np.random.default_rng(0).permutation(target[:rows])
    np.save(spoilt / "target.npy", target)
    request = {**sums.request(tmp_path / "out", weight=1.0), "recipe": sums.recipe.to_dict(), "prepared": str(spoilt)}
    distillation.distill(request)
    assert candidates.Candidate(tmp_path / "out").result["validation"]["r2"] > 0.8


def test_targets_are_mixed_by_the_weight(bars: Trained) -> None:
    from automl.catalog import compose
    from automl.spec import Fidelity

    plan = compose.plan_of(bars.recipe, bars.data.meta.profile)
    plain = samples.load(bars.data, plan, "train", Fidelity(epochs=1), 1)
    teacher = np.random.default_rng(0).dirichlet([1, 1], plain.rows).astype(np.float32)
    taught = samples.taught(plain, teacher, 0.25, bars.data.meta)
    batches = Batches(taught, plan, 32, seed=1)
    rows = np.sort(batches.rows(1)[0])
    expected = 0.25 * teacher[rows] + 0.75 * np.eye(2)[plain.target[rows]]
    np.testing.assert_allclose(next(batches.stream(1)).target, expected, atol=1e-6)
    np.testing.assert_allclose(batches.whole(1).target[rows], expected, atol=1e-6)
    with pytest.raises(ValueError, match="rows"):
        samples.taught(plain, teacher[1:], 0.5, bars.data.meta)


def test_epochs_are_those_that_fit() -> None:
    from automl.spec import Recipe

    recipe = Recipe(task="image-classification", architecture=Choice(id="convnet"), epochs=20)
    known = distillation.Student(recipe, setup_s=3.0, epoch_s=2.0, parameters=None)
    assert known.epochs_within(3 + 2 + 2 * 11) == 11
    assert known.epochs_within(1000.0) == 20
    assert known.epochs_within(3 + 2 + 2 * 4) == 0
