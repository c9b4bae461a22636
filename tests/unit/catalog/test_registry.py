"""Declaring and finding: an id once, near misses named, nothing heavy loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from automl.catalog import Float, architectures, formats, space, technique, techniques
from automl.spec import InvalidInput, Profile, SearchSettings

PROGRAM = """
import sys, time, random
from automl.catalog import techniques, architectures, tasks, space, compose, validation
from automl.spec import Profile, SearchSettings
profile = Profile(modality="table", task="tabular-classification", rows=5000, numeric=20, categorical=10, cardinality_max=50,
                  classes=3, class_min=100, imbalance=4.0, outputs=3)
assert len(techniques) >= 35 and len(architectures) >= 5 and len(tasks) >= 3
taken = []
for seed in range(5):
    start = time.process_time()
    derived = space.derive(profile.task, profile, SearchSettings())
    recipe = derived.recipe(derived.sample(random.Random(seed)), seed)
    compose.plan_of(recipe, profile)
    taken.append(time.process_time() - start)
heavy = [m for m in ("keras", "tensorflow", "jax", "pandas", "sklearn", "scipy") if m in sys.modules]
assert not heavy, heavy
print(min(taken))
"""


def test_deriving_sampling_and_planning_is_quick_and_loads_no_keras():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.05


def test_an_id_is_declared_once():
    assert "relu" in techniques
    with pytest.raises(ValueError, match="declared twice"):
        technique(id="relu", stage="activation")(lambda plan: plan)


def _essay(plan):
    """An essay."""
    return plan


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"stage": "nowhere"}, "stage 'nowhere'"), ({"stage": "data", "slot": "nothing"}, "slot 'nothing'")],
)
def test_a_declaration_names_a_stage_and_slot_that_exist(fields, message):
    with pytest.raises(ValueError, match=message):
        technique(id="new-one", **fields)(_essay)


def test_a_technique_of_ones_own_takes_one_declaration():
    @technique(
        id="my-scaling", stage="data", slot="scaling", modalities=("table",), params={"power": Float(0.1, 2.0, 1.0)},
        default=False, reference="2026",
    )
    def apply(plan, *, power):
        """Raises numbers to a power."""
        return plan

    try:
        assert techniques["my-scaling"].summary == "Raises numbers to a power"
        assert not techniques["my-scaling"].default
    finally:
        techniques.remove("my-scaling")
    assert "my-scaling" not in techniques


def test_every_format_is_a_technique_of_the_stage_export():
    listed = {t.id: t for t in techniques if t.stage == "export"}
    assert {t.options for t in listed.values()} == {f"--format {f.id}" for f in formats}
    assert {"tflite", "saved-model", "onnx", "keras-file", "edge-mobile", "edge-browser", "edge-mcu"} <= listed.keys()
    assert listed["edge-mcu"].doc == formats["microcontroller"].doc
    assert not any(t.searched for t in listed.values())


def test_what_names_a_format_where_a_technique_is_forced_says_how_it_is_asked_for():
    profile = Profile(
        modality="table", task="tabular-classification", rows=500, numeric=4, classes=2, class_min=100, outputs=2
    )
    with pytest.raises(InvalidInput, match=r"edge-mobile can't be forced.*see --format mobile"):
        space.derive(profile.task, profile, SearchSettings(force=("edge-mobile",)))


def test_a_near_miss_is_named():
    with pytest.raises(InvalidInput, match="did you mean label-smoothing"):
        techniques["label-smothing"]
    with pytest.raises(InvalidInput, match="there are: boosted-trees, convnet"):
        architectures["xyzzy"]


def test_entries_come_in_order_of_their_ids():
    ids = [t.id for t in techniques]
    assert ids == sorted(ids)
    assert len(ids) == len(techniques)
