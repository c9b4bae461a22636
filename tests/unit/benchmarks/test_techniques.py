"""The benchmark of techniques: its statistics, what it compares, and how it goes on after a break."""

from __future__ import annotations

import json
import math
import types
from pathlib import Path

import pytest
from scipy import stats

from automl.catalog import compose, slots, techniques
from automl.spec import Profile, Recipe
from benchmarks.techniques import __main__ as benchmark
from benchmarks.techniques import arms, figures, runs, table
from benchmarks.techniques.sets import SETS
from tests.unit.training.conftest import make_table

TABLE = Profile(
    modality="table", task="tabular-classification", rows=800, numeric=6, categorical=2, cardinality_max=6, classes=2,
    class_min=300, imbalance=1.7, outputs=2, missing_fraction=0.02,
)
PROFILES = (
    TABLE,
    TABLE.changed(task="tabular-regression", classes=0, class_min=0, outputs=1, imbalance=1.0),
    TABLE.changed(class_min=80, imbalance=9.0),
    Profile(
        modality="image", task="image-classification", rows=1_000, classes=10, class_min=100, outputs=10,
        image_shape=(32, 32, 3),
    ),
    Profile(
        modality="text", task="text-classification", rows=2_400, classes=4, class_min=600, outputs=4, length=64,
        vocabulary=5_000, ngrams=9_000,
    ),
    Profile(
        modality="series", task="timeseries-classification", rows=500, classes=9, class_min=40, outputs=9, length=32,
        channels=12,
    ),
)

# --- statistics ----------------------------------------------------------------------------------

ON, OFF = [0.91, 0.90, 0.93, 0.92, 0.95], [0.90, 0.905, 0.90, 0.91, 0.92]


def test_the_plain_interval_is_that_of_the_paired_t_test():
    found = figures.difference(ON, OFF)
    expected = stats.ttest_rel(ON, OFF).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.pairs) == (pytest.approx(0.015), 5)


def test_folds_widen_it_as_nadeau_and_bengio_have_it():
    plain, corrected = figures.difference(ON, OFF), figures.difference(ON, OFF, test_over_train=1 / 4)
    assert corrected.mean == plain.mean
    widening = (corrected.high - corrected.low) / (plain.high - plain.low)
    assert widening == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5))) == pytest.approx(1.5)


def test_factors_on_time_are_averaged_geometrically():
    found = figures.factor([2.0, 8.0], [1.0, 1.0])
    assert found.mean == pytest.approx(4.0)
    assert found.low < 4 < found.high
    assert figures.factor([3.0, 3.0], [2.0, 2.0]) == figures.Estimate(
        pytest.approx(1.5), pytest.approx(1.5), pytest.approx(1.5), 2
    )


def test_too_few_pairs_have_no_interval_and_unequal_ones_are_refused():
    assert math.isnan(figures.difference([], []).mean)
    one = figures.difference([2.0], [1.5])
    assert (one.mean, one.pairs, math.isnan(one.low)) == (0.5, 1, True)
    assert figures.verdict(one) == ""
    with pytest.raises(ValueError, match="1 and 2"):
        figures.difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize(("low", "high", "said"), [(0.1, 0.2, "helps"), (-0.2, -0.1, "hurts"), (-0.1, 0.1, "")])
def test_a_verdict_needs_an_interval_without_zero(low, high, said):
    assert figures.verdict(figures.Estimate((low + high) / 2, low, high, 5)) == said


# --- what is compared ----------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: f"{p.task}-{p.imbalance:g}")
def test_the_two_arms_differ_in_the_technique_alone(profile):
    compared = 0
    for technique in techniques:
        if not technique.searched or technique.stage in slots.AFTER_TRAINING:
            continue
        made = arms.of(technique, profile.task, profile)
        if isinstance(made, str):
            assert made
            continue
        compared += 1
        on, off = made.at(3, 5, 7)
        for recipe in (on, off):
            assert not compose.violations(recipe, profile), technique.id
            assert (recipe.seed, recipe.fold, recipe.epochs) == (4, "3/5", 7)
        assert on.has(technique.id), technique.id
        assert not off.has(technique.id), technique.id
        assert (on.architecture, on.batch_size) == (off.architecture, off.batch_size)
        differing = {c.id for c in on.techniques} ^ {c.id for c in off.techniques}
        assert differing - {technique.id, made.instead} == set(made.differs_too)
        if technique.slot is not None and not slots.SLOTS[technique.slot].optional:
            assert techniques[made.instead].slot == technique.slot
        same = {c.id: c.params for c in on.techniques}
        assert all(same[c.id] == c.params for c in off.techniques if c.id in same)
    assert compared > 20


def plan(only=("mixup", "swish"), seeds=5):
    prepared = {"telco_churn": types.SimpleNamespace(meta=types.SimpleNamespace(profile=TABLE))}
    return benchmark.planned(prepared, list(only), seeds)


def test_a_technique_is_tried_on_the_first_set_of_a_modality_that_it_applies_to():
    numbers, churn, oil = PROFILES[1], PROFILES[0], PROFILES[2]
    prepared = {
        name: types.SimpleNamespace(meta=types.SimpleNamespace(profile=profile))
        for name, profile in (("california_housing", numbers), ("telco_churn", churn), ("adult_rare", oil))
    }
    found, skipped = benchmark.planned(prepared, ["mixup", "huber", "undersampling", "relu"], 2)
    assert {c.arms.technique: c.chosen.name for c in found} == {
        "mixup": "telco_churn", "huber": "california_housing", "undersampling": "adult_rare",
    }
    assert [(id, modality) for id, modality, _ in skipped] == [("relu", "table")]


def test_sets_have_names_of_their_own_and_tasks_of_their_modality():
    assert len({s.name for s in SETS}) == len(SETS)
    assert {s.modality for s in SETS} == {"table", "image", "text", "series"}


# --- going on ------------------------------------------------------------------------------------


class Trainer:
    """Trains nothing; the score says whether mixup was there."""

    def __init__(self, breaks_after: int | None = None):
        self.seen: list[str] = []
        self._left = breaks_after

    def __call__(self, key: str, recipe: Recipe, chosen) -> runs.Run:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        self.seen.append(key)
        return runs.Run(key, "COMPLETED", 0.8 + 0.01 * recipe.has("mixup") + recipe.seed / 1000, 2.0, 2.1, 3.0)


def test_baselines_are_trained_once_and_a_second_call_trains_nothing(tmp_path):
    comparisons, _ = plan()
    trainer = Trainer()
    assert benchmark.carry_out(comparisons, runs.Ledger(tmp_path / "runs.jsonl"), trainer) == 0
    assert len(trainer.seen) == len(set(trainer.seen)) == 15, "5 with mixup, 5 with swish, 5 without both"
    again = Trainer()
    assert benchmark.carry_out(comparisons, runs.Ledger(tmp_path / "runs.jsonl"), again, jobs=2) == 0
    assert not again.seen


def test_it_goes_on_where_it_was_broken_off(tmp_path):
    comparisons, _ = plan()
    path = tmp_path / "runs.jsonl"
    first = Trainer(breaks_after=4)
    with pytest.raises(KeyboardInterrupt):
        benchmark.carry_out(comparisons, runs.Ledger(path), first)
    with path.open("a") as file:
        file.write('{"key": "torn')  # killed while it wrote
    second = Trainer()
    ledger = runs.Ledger(path)
    assert len(ledger.runs) == 4
    assert benchmark.carry_out(comparisons, ledger, second) == 0
    assert not set(first.seen) & set(second.seen)
    assert len(first.seen) + len(second.seen) == 15
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 15


def test_nothing_is_started_after_the_time_limit(tmp_path):
    comparisons, _ = plan()
    trainer = Trainer()
    assert benchmark.carry_out(comparisons, runs.Ledger(tmp_path / "runs.jsonl"), trainer, ends=-math.inf) == 15
    assert not trainer.seen


def test_the_figures_of_a_comparison_count_whole_pairs_and_name_failures(tmp_path):
    comparisons, _ = plan(("mixup",))
    [comparison] = comparisons
    ledger = runs.Ledger(tmp_path / "runs.jsonl")
    assert benchmark.summed_up(comparison, ledger) is None
    benchmark.carry_out(comparisons, ledger, Trainer())
    broken = comparison.run_keys()[2][0]
    ledger.add(runs.Run(broken, "NAN", None, None, None, 1.0, "the loss is NaN"))
    found = benchmark.summed_up(comparison, runs.Ledger(tmp_path / "runs.jsonl"))
    assert found is not None
    assert found["difference"]["mean"] == pytest.approx(0.01)
    assert (found["difference"]["pairs"], found["verdict"], found["failures"]) == (4, "helps", {"on NAN": 1})
    assert found["epoch_factor"]["mean"] == pytest.approx(1.0)
    assert found["off_mean"] == pytest.approx(0.8 + (1 + 2 + 4 + 5) / 4 / 1000)
    assert found["messages"] == ["the loss is NaN"]
    written = json.loads(json.dumps(found, allow_nan=False))
    about = {
        "commit": "0123456789ab", "changed_files": 0, "taken": "now", "comparisons": [written],
        "skipped": [["relu", "table", "x"]], "machine": {"processor": "p", "cores": 2, "load_average": 0.5},
    }
    [line] = [line for line in table.page([about]).splitlines() if line.startswith("| `mixup`")]
    assert "+0.0100" in line
    assert "1 × on NAN" in line
    assert len(line.split(" | ")) == len(table.HEAD)
    later = {**about, "commit": "ba9876543210", "comparisons": [{**written, "off_mean": 0.5}]}
    page = table.page([about, later])
    [line] = [line for line in page.splitlines() if line.startswith("| `mixup`")]
    assert ("0.5000" in line, "run 2" in line) == (True, True)
    assert "1. Commit 0123456789" in page
    assert "2. Commit ba98765432" in page


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_in_its_own_process(tmp_path):
    prepared = make_table(tmp_path / "prepared")
    comparisons, _ = plan(("swish",), seeds=1)
    _, off = comparisons[0].pairs[0]
    profile = json.loads((Path(prepared) / "meta.json").read_text())["profile"]
    off = arms.of(techniques["swish"], "tabular-classification", Profile.from_dict(profile)).at(0, 5, 4)[1]
    run = runs.train("k", off, Path(prepared), "accuracy", limit_s=200)
    assert run.outcome == "COMPLETED", run.message
    assert 0.5 < run.score <= 1
    assert 0 < run.epoch_cpu_s < 60
    broken = runs.train("k", off.changed(techniques=()), Path(prepared), "accuracy", limit_s=200)
    assert (broken.outcome, broken.score) == ("ERROR", None)
    assert "needed" in broken.message
    late = runs.train("k", off.changed(epochs=10_000), Path(prepared), "accuracy", limit_s=1.0)
    assert late.outcome == "TIMED_OUT"
