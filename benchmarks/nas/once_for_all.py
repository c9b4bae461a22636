"""Whether the order of networks inside a once-for-all supernet is that of networks that trained alone.

One supernet on the small pictures; twenty random networks inside it are scored on the validating half, without training,
and each trains alone from scratch on the training half. What counts is Kendall's τ of the two.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from benchmarks.nas import small, supernets
from benchmarks.nas.rows import Given
from benchmarks.techniques import runs

NAME = "once-for-all"
AIM = "Kendall τ ≥ 0.5 between sub-network score and stand-alone accuracy over 20 sub-networks"
AGREEMENT = 0.5
WIDTH, SETTINGS = 16, {"kernel": 5, "expansion": 4, "depth": 3, "stages": 3}
STEPS, SEED = 4_000, 3
NETWORKS, EPOCHS, BATCH = 20, 15, 64
LEDGER = Path(__file__).parent / "once_for_all.jsonl"


def networks() -> list[Any]:
    """The networks that are compared."""
    from automl.nas.once_for_all import space_of

    space, rng, found = space_of((small.SIDE, small.SIDE, 3), SETTINGS, WIDTH), random.Random(SEED), []
    while len(found) < NETWORKS:
        if space.fits(sub := space.sample(rng)) and sub.choice not in [s.choice for s in found]:
            found.append(sub)
    return found


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row."""
    from scipy import stats

    if given.data is None:
        raise SystemExit("once-for-all trains on pictures: name their folder with --data")
    data, ledger, subs = small.prepared(given.data, given.work), runs.Ledger(LEDGER), networks()
    trained = []
    for number, sub in enumerate(subs):
        if time.monotonic() >= given.ends:
            return {"met": None, "left": NETWORKS - number}
        score = supernets.alone(ledger, data, "nas-mobile", sub.choice.params, epochs=EPOCHS, batch=BATCH, seed=1)
        given.say(f"{number + 1} of {NETWORKS} alone: {sub.genotype} {score}")
        trained.append(score)
    if time.monotonic() >= given.ends:
        return {"met": None, "left": 0}
    answer = supernets.train(
        "once-for-all", "nas-mobile", {"width": WIDTH}, SETTINGS, data=data, work=given.work, steps=STEPS, seed=SEED,
        ask={"score": [sub.choice.to_dict() for sub in subs]},
    )
    pairs = [
        {"genotype": sub.genotype, "width": sub.width, "resolution": sub.resolution, "inside": inside, "alone": score}
        for sub, inside, score in zip(subs, answer["scores"], trained) if score is not None
    ]
    tau = float(stats.kendalltau([p["inside"] for p in pairs], [p["alone"] for p in pairs]).statistic)
    return {"kendall": tau, "met": tau >= AGREEMENT, "networks": pairs, "supernet": answer["message"], "steps": STEPS}


def table(result: dict[str, Any]) -> str:
    if "kendall" not in result:
        return f"{result['left']} trainings are left."
    lines = [
        f"Kendall's τ = {result['kendall']:.2f} over {len(result['networks'])} networks, after {result['steps']} steps "
        f"of the supernet ({result['supernet']}).",
        "", "| network | channels | resolution | inside | alone |", "|---|---|---|---|---|",
    ]
    for one in sorted(result["networks"], key=lambda p: -p["alone"]):
        lines.append(
            f"| `{one['genotype']}` | {one['width']} | {one['resolution']:.0%} | {one['inside']:.4f} | {one['alone']:.4f} |"
        )
    return "\n".join(lines)
