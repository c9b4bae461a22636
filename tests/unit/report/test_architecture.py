"""The section that draws a found architecture."""

from __future__ import annotations

from automl.catalog import architectures
from automl.report import architecture
from automl.report.view import View
from automl.spec import Choice, Event, Fidelity, JobSpec, JobState, Outcome, Profile, Recipe
from automl.spec.event import BestChanged, DataPrepared, TrialEnded, TrialStarted

PROFILE = Profile(modality="image", task="image-classification", rows=5000, classes=10, outputs=10, image_shape=(32, 32, 3))


def view(family: str, **params) -> View:
    recipe = Recipe(task="image-classification", architecture=Choice(id=family, params=params))
    said = [
        DataPrepared(
            task="image-classification", task_inferred=True, target=None, metric="accuracy", parts={"train": 5000},
            profile=PROFILE, findings=(), key="k",
        ),
        TrialStarted(trial="t1", attempt=1, recipe=recipe, fidelity=Fidelity(epochs=3), origin="evolution", slot=0),
        TrialEnded(trial="t1", attempt=1, outcome=Outcome.COMPLETED, score=0.7, best_epoch=3, wall_s=1.0, step_s=1.0),
        BestChanged(trial="t1", score=0.7, validation={"accuracy": 0.7}, size_bytes=10),
    ]
    state = JobState.fold(Event(sequence=n + 1, time=0.0, payload=p) for n, p in enumerate(said))
    return View(state, JobSpec(dataset="projects/default/datasets/d"))


def test_each_operation_is_an_arrow_with_its_name():
    page = architecture.drawn(view("nas-cell", genotype="conv3.none.avg3.skip.none.conv1", width=8))
    assert "nas-cell:conv3.none.avg3.skip.none.conv1" in page
    assert page.count("<path") == 4
    for operation in ("conv3", "avg3", "skip", "conv1"):
        assert f">{operation}</text>" in page
    assert "input to 1: conv3; 1 to 2: avg3; input to output: skip; 2 to output: conv1" in page


def test_the_figures_are_those_of_the_whole_network():
    params = {n: d.default for n, d in architectures["nas-cell"].params.items()}
    page = architecture.drawn(view("nas-cell", **params))
    size = architectures["nas-cell"].size(PROFILE, **params)
    assert f"<dd>{size:,}</dd>".replace(",", "\u202f") in page or f"<dd>{size:,}</dd>" in page


def test_each_cell_of_a_freely_wired_network_is_drawn():
    params = {n: d.default for n, d in architectures["nas-darts"].params.items()}
    page = architecture.drawn(view("nas-darts", **params))
    assert page.count("<svg") == 2
    assert "normal cell" in page
    assert "reduce cell" in page


def test_families_drawn_by_hand_and_genotypes_of_another_version_have_no_such_section():
    assert architecture.drawn(view("convnet", width=8)) is None
    assert architecture.drawn(view("nas-cell", genotype="conv9.none")) is None
    assert architecture.drawn(view("gone", genotype="skip")) is None
