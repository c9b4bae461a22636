"""How long it takes to derive a space, to sample and build a recipe, and to come to a compiled small model, for each task.

    python -m benchmarks.space

Writes `results/<commit>-<time>.json` and the table in `results/README.md`. See README.md for what is timed.
"""

from __future__ import annotations

import functools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from automl.catalog import architectures, compose, space
from automl.catalog.domains import Categorical, Int
from automl.spec import Modality, Profile, Recipe, SearchSettings
from benchmarks import machine

RESULTS = Path(__file__).parent / "results"
AIM_SAMPLE_MS, AIM_BUILD_S = 50.0, 1.0
DERIVED, SAMPLED, BUILT = 20, 1000, 5

PROFILES = {
    profile.task: profile
    for profile in (
        Profile(
            modality=Modality.TABLE, task="tabular-classification", rows=20_000, numeric=12, categorical=8,
            cardinality_max=40, classes=2, class_min=4_000, imbalance=4.0, outputs=2,
        ),
        Profile(
            modality=Modality.TABLE, task="tabular-regression", rows=14_000, numeric=8, categorical=1, cardinality_max=6,
        ),
        Profile(
            modality=Modality.IMAGE, task="image-classification", rows=40_000, classes=10, class_min=3_900, outputs=10,
            image_shape=(32, 32, 3),
        ),
        Profile(
            modality=Modality.TEXT, task="text-classification", rows=4_000, classes=2, class_min=500, imbalance=6.5,
            outputs=2, length=48, vocabulary=4_000, ngrams=12_000,
        ),
        Profile(
            modality=Modality.SERIES, task="timeseries-classification", rows=500, classes=9, class_min=24, outputs=9,
            length=29, channels=12,
        ),
    )
}
PREPROCESS = {
    Modality.TABLE: lambda p: {
        "inputs": {"numeric": p.numeric, "categorical": p.categorical}, "cardinalities": [p.cardinality_max] * p.categorical,
    },
    Modality.IMAGE: lambda p: dict(zip(("height", "width", "channels"), p.image_shape)),
    Modality.TEXT: lambda p: {
        "inputs": {"tokens": p.length, "vocabulary": p.vocabulary, "ngrams": 4 * p.length, "ngram_vocabulary": p.ngrams}
    },
    Modality.SERIES: lambda p: {"inputs": {"steps": p.length, "channels": p.channels}, "ragged": False},
}


class Times:
    """Of one thing done many times: seconds on the clock and of the processor (all threads)."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def add(self, work: Callable[[], Any]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)

    def told(self, name: str, factor: float = 1.0) -> dict[str, float]:
        """Median and 95th percentile of both."""
        found = {}
        for clock, values in (("", self.wall), ("cpu_", self.cpu)):
            found[f"{name}_{clock}median"] = round(factor * statistics.median(values), 6)
            found[f"{name}_{clock}p95"] = round(factor * statistics.quantiles(values, n=20, method="inclusive")[-1], 6)
        return found


def without_keras(profile: Profile) -> dict[str, Any]:
    """The figures of the space; nothing heavy may be loaded."""
    derive, sample, plan = Times(), Times(), Times()
    for _ in range(DERIVED):
        derive.add(lambda: space.derive(profile.task, profile, SearchSettings()))
    derived = space.derive(profile.task, profile, SearchSettings())
    rng = random.Random(0)
    recipes: list[Recipe] = []
    for _ in range(SAMPLED):
        sample.add(lambda: recipes.append(derived.recipe(derived.sample(rng), 0)))
        plan.add(lambda: compose.plan_of(recipes[-1], profile))
    if loaded := {"keras", "tensorflow"} & sys.modules.keys():
        raise RuntimeError(f"{', '.join(sorted(loaded))} came in with the space, which must do without")
    return {
        "dimensions": len(derived.dimensions), **derive.told("derive_ms", 1e3), **sample.told("sample_ms", 1e3),
        **plan.told("plan_ms", 1e3),
    }


def smallest(profile: Profile) -> Recipe:
    """The default recipe, on the cheapest architecture as small as its parameters go."""
    derived = space.derive(profile.task, profile, SearchSettings())
    recipe = derived.recipe(derived.default(), 0)
    params = dict(recipe.architecture.params)
    for name, domain in architectures[recipe.architecture.id].params.items():
        if isinstance(domain, Int):
            params[name] = domain.low
        elif isinstance(domain, Categorical) and all(isinstance(v, int) and not isinstance(v, bool) for v in domain.values):
            params[name] = min(domain.values)
    return recipe.changed(architecture={"id": recipe.architecture.id, "params": params})


def build_and_compile(profile: Profile, recipe: Recipe) -> int:
    """A compiled model of the recipe, as the trainer makes it. Returns its weights."""
    import numpy as np

    from automl.architectures import model

    rng = np.random.default_rng(0)
    sample = {
        Modality.TABLE: lambda: {
            "numeric": rng.normal(size=(1000, profile.numeric)).astype(np.float32),
            "categorical": rng.integers(0, 6, (1000, profile.categorical)).astype(np.int32),
        },
        Modality.IMAGE: lambda: {"image": rng.integers(0, 256, (1000, *(profile.image_shape or ())), np.uint8)},
        Modality.TEXT: lambda: {
            "tokens": rng.integers(0, 100, (1000, profile.length)).astype(np.int32),
            "ngrams": rng.integers(0, 100, (1000, 4 * profile.length)).astype(np.int32),
        },
        Modality.SERIES: lambda: {"series": rng.normal(size=(1000, profile.length, profile.channels)).astype(np.float32)},
    }[profile.modality]()
    plan = compose.plan_of(recipe, profile)
    core = model.build_core(recipe, plan, profile, PREPROCESS[profile.modality](profile), sample)
    rate = plan.learning_rate if plan.schedule is None else plan.schedule.make(
        peak=plan.learning_rate, steps=1000, steps_per_epoch=100
    )
    optimizer = plan.optimizer.make(learning_rate=rate, **plan.optimizer_options)
    for wrapper in plan.optimizer_wrappers:
        optimizer = wrapper.make(optimizer)
    optimizer.build(core.trainable_variables)
    core.compile(optimizer=optimizer, loss=plan.loss.make(), jit_compile=False)
    return int(core.count_params())


def with_keras() -> dict[str, dict[str, Any]]:
    """The figures of the models, in this process."""
    import keras

    found = {}
    for task, profile in PROFILES.items():
        recipe = smallest(profile)
        build_and_compile(profile, recipe)
        times = Times()
        for _ in range(BUILT):
            keras.backend.clear_session(free_memory=False)
            times.add(functools.partial(build_and_compile, profile, recipe))
        weights = build_and_compile(profile, recipe)
        found[task] = {"architecture": recipe.architecture.id, "weights": weights, **times.told("build_s")}
    return found


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    head = (
        "task", "dimensions", "derive ms", "sample ms", "p95", "cpu p95", "plan ms", "smallest model", "weights", "build s",
        "cpu s",
    )
    lines = [
        "# The space: figures", "",
        f"Commit {result['commit'][:12]}, {result['machine']['processor']}, {result['machine']['cores']} cores, load "
        f"{result['machine']['load_average']:.1f} at the start; {result['taken']}. Aims, of the processor's time: a "
        f"recipe sampled and made a plan in {AIM_SAMPLE_MS:g} ms, a small model compiled in {AIM_BUILD_S:g} s: "
        f"{'met' if result['met'] else 'missed'}.", "",
        f"| {' | '.join(head)} |", "|" + "---|" * len(head),
    ]
    for task, one in result["tasks"].items():
        lines.append(
            f"| {task} | {one['dimensions']} | {one['derive_ms_median']:.1f} | {one['sample_ms_median']:.2f} | "
            f"{one['sample_ms_p95']:.2f} | {one['sample_ms_cpu_p95']:.2f} | {one['plan_ms_median']:.2f} | "
            f"{one['architecture']} | {one['weights']:,} | {one['build_s_median']:.3f} | {one['build_s_cpu_median']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    if sys.argv[1:] == ["--models"]:
        print(json.dumps(with_keras()))
        return 0
    result: dict[str, Any] = {**machine.describe(), "tasks": {task: without_keras(p) for task, p in PROFILES.items()}}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.space", "--models"], env=environment, cwd=machine.ROOT, check=True,
        stdout=subprocess.PIPE, text=True,
    ).stdout
    for task, figures in json.loads(said.splitlines()[-1]).items():
        result["tasks"][task] |= figures
    result["met"] = all(
        one["sample_ms_cpu_p95"] + one["plan_ms_cpu_p95"] <= AIM_SAMPLE_MS and one["build_s_cpu_median"] <= AIM_BUILD_S
        for one in result["tasks"].values()
    )
    RESULTS.mkdir(exist_ok=True)
    stamp = result["taken"].replace(":", "").partition("+")[0]
    file = RESULTS / f"{result['commit'][:12]}-{stamp}.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "README.md").write_text(table(result), encoding="utf-8")
    print(table(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
