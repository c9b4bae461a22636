"""What scores without training say of trained accuracy: Kendall's τ over fifty genotypes.

The genotypes are the first fifty of `trained` (cells drawn at random, trained alike on cifar10_subset at 16×16), which are
trained where that wasn't done. Each is scored as a job scores candidates (`automl.nas.zero_cost`), on one batch of the same
pictures; scores are kept line by line in `zero_cost.jsonl`, so that the same call goes on where the last one ended. Weights
and multiplications stand beside them: a score that says no more than a network's size isn't worth its second.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.nas import small, trained
from benchmarks.nas.rows import Given

NAME = "zero-cost"
AIM = "Kendall τ of each score with trained accuracy over 50 genotypes; the combined rank's above 0.3"
COMBINED = 0.3
COUNT = 50
RECORDS = Path(__file__).parent / "zero_cost.jsonl"
TOGETHER = 10
"""Networks scored in one child process."""
CHILD_S = 300.0
RESAMPLES = 1000


def known() -> dict[str, dict[str, float | None]]:
    """Scores by genotype, so far. What a kill left of the last line is left out."""
    if not RECORDS.exists():
        return {}
    lines = RECORDS.read_text(encoding="utf-8").split("\n")[:-1]
    return {one["genotype"]: one["scores"] for one in map(json.loads, lines)}


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row; "met" is None while trainings or scores are missing."""
    if given.data is None:
        raise SystemExit("zero-cost needs --data")
    genotypes = trained.chosen(COUNT)
    if any(one not in trained.records() for one in genotypes) and time.monotonic() < given.ends:
        trained.train(given.data, given.work, ends=given.ends, say=given.say)
    missing = [one for one in genotypes if one not in known()]
    if missing and time.monotonic() < given.ends:
        score(missing, given)
    accuracy, scored = trained.records(), known()
    both = [one for one in genotypes if one in accuracy and one in scored]
    if len(both) < 10:
        return {"met": None, "genotypes": len(both), "taus": {}}
    taus = agreement([accuracy[one] for one in both], [scored[one] for one in both], [costs(one) for one in both])
    met = None if len(both) < COUNT else taus["combined"]["tau"] > COMBINED
    spread = [accuracy[one] for one in both]
    return {
        "met": met, "genotypes": len(both), "taus": taus, "accuracy": [min(spread), statistics.median(spread), max(spread)],
    }


def score(missing: list[str], given: Given) -> None:
    """Appends the scores of these genotypes."""
    from automl.execution.children import run_in_child
    from automl.export.deliver import CHILD_ENV

    assert given.data is not None
    prepared = small.prepared(given.data, given.work)
    space = small.space_of(prepared, trained.ARCHITECTURE)
    for start in range(0, len(missing), TOGETHER):
        if time.monotonic() >= given.ends:
            return
        batch = missing[start : start + TOGETHER]
        recipes = [
            small.recipe_of(
                space, trained.ARCHITECTURE, {**trained.PARAMS, "genotype": one}, trained.EPOCHS, trained.BATCH
            ).to_dict()
            for one in batch
        ]
        answer = run_in_child(
            "automl.nas.zero_cost:score_in_child", timeout_s=2 * CHILD_S, env=CHILD_ENV,
            request={"recipes": recipes, "prepared": str(prepared.path), "seconds": CHILD_S},
        )
        with RECORDS.open("a", encoding="utf-8") as file:
            for genotype, scores in zip(batch, answer["scores"]):
                file.write(json.dumps({"genotype": genotype, "scores": scores}) + "\n")
        given.say(f"{start + len(answer['scores'])} of {len(missing)} scored")


def costs(genotype: str) -> dict[str, float]:
    """Weights and multiplications of the trained network."""
    from automl.catalog import architectures
    from automl.spec import Profile

    shape = (small.SIDE, small.SIDE, 3)
    profile = Profile(
        modality="image", task=small.TASK, rows=1, classes=10, class_min=1, outputs=10, image_shape=shape
    )
    family = architectures[trained.ARCHITECTURE]
    params = {name: domain.default for name, domain in family.params.items()} | trained.PARAMS
    assert family.blueprint is not None
    net = family.blueprint(profile, **params | {"genotype": genotype}).headed(10)
    return {"weights": net.parameters, "multiplications": net.macs}


def agreement(
    accuracy: list[float], scores: list[dict[str, float | None]], sizes: list[dict[str, float]]
) -> dict[str, dict[str, float]]:
    """τ of each score with a 95 % interval by resampling the genotypes, seeded."""
    from automl.nas import zero_cost

    columns = {
        name: [-math.inf if (value := one.get(name)) is None else value for one in scores] for name in zero_cost.SCORES
    }
    columns["combined"] = zero_cost.combined(scores)
    columns |= {name: [one[name] for one in sizes] for name in sizes[0]}
    rng = random.Random(0)
    drawn = [[rng.randrange(len(accuracy)) for _ in accuracy] for _ in range(RESAMPLES)]
    found = {}
    for name, values in columns.items():
        resampled = sorted(kendall([accuracy[i] for i in places], [values[i] for i in places]) for places in drawn)
        found[name] = {
            "tau": kendall(accuracy, values), "low": resampled[RESAMPLES // 40], "high": resampled[-RESAMPLES // 40],
        }
    return found


def kendall(one: list[float], other: list[float]) -> float:
    """τ-b; 0 where one of them doesn't vary."""
    from scipy import stats

    ranks = [stats.rankdata(values) for values in (one, other)]
    value = float(stats.kendalltau(*ranks).statistic)
    return value if math.isfinite(value) else 0.0


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    if not result["taus"]:
        return f"{result['genotypes']} of {COUNT} genotypes are trained and scored so far."
    low, middle, high = result["accuracy"]
    lines = [
        f"{result['genotypes']} genotypes; accuracy from {low:.3f} to {high:.3f}, median {middle:.3f}.", "",
        "| by | Kendall τ | 95 % interval |", "|---|---|---|",
    ]
    lines += [f"| {name} | {t['tau']:.2f} | {t['low']:.2f} to {t['high']:.2f} |" for name, t in result["taus"].items()]
    return "\n".join(lines)
