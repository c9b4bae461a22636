"""What the table foresees of whole networks, against what their files take.

Twenty genotypes, drawn evenly from the three families for pictures at 32×32, are built, get the statistics of their
normalisations from some pictures, and are converted to int8 as every artifact is. The operations of each follow from its
blueprint alone, are timed alone (`automl.nas.latency`, an empty table) and summed. The files are timed in three rounds,
before, between and after, so that what else the machine does meets all of them alike; both by the thread's clock
(`automl.nas.timing`). The time by the wall, which waits for other processes, stands beside it.
"""

from __future__ import annotations

import itertools
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.nas.rows import Given

NAME = "latency-table"
AIM = "of 20 whole networks predicted against measured int8 latency: median error ≤ 15 %, rank correlation ≥ 0.9"
MEDIAN_ERROR, CORRELATION = 0.15, 0.9
FAMILIES = ("nas-cell", "nas-darts", "nas-mobile")
NETWORKS, SEED = 20, 11
SIDE, CLASSES, ROWS = 32, 10, 128
ROUND_S, ROUNDS = 0.4, 3


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row."""
    from scipy import stats

    from automl.catalog import operations
    from automl.execution.children import run_in_child
    from automl.nas.latency import Table

    networks = []
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        for number, family in zip(range(NETWORKS), itertools.cycle(FAMILIES)):
            params = drawn(family, random.Random(SEED + number))
            net, content = network(family, params)
            file = Path(folder) / f"{number}.tflite"
            file.write_bytes(content)
            networks.append({"family": family, "params": params, "file": str(file), "net": net, "bytes": len(content)})
            given.say(f"{number + 1} of {NETWORKS}: {family}, {len(content):,} bytes")
        table = Table.here(Path(folder))
        rounds = []
        for turn in range(ROUNDS):
            request = {"files": [n["file"] for n in networks], "seconds": ROUND_S}
            rounds.append(run_in_child("benchmarks.nas.latency_table:time_files", request, timeout_s=600)["times"])
            if turn == 0:
                began = time.monotonic()
                wanted = [o for n in networks for o in operations.of_network(n["net"], CLASSES, "int8")]
                kinds = len(table.missing(wanted))
                table.measure(wanted, run_in_child)
                table_s = time.monotonic() - began
        found = []
        for number, n in enumerate(networks):
            ops = operations.of_network(n["net"], CLASSES, "int8")
            timing = table.predict(ops)
            if timing is None:
                raise RuntimeError("the table has not been measured whole")
            found.append({
                "family": n["family"], "params": n["params"], "file_bytes": n["bytes"], "operations": len(ops),
                "unknown": list(timing.unknown), "macs": n["net"].headed(CLASSES).macs, "predicted_us": 1e3 * timing.ms,
                "measured_us": statistics.median(times[number][0] for times in rounds),
                "rounds_us": [times[number][0] for times in rounds],
                "wall_us": statistics.median(times[number][1] for times in rounds),
            })
    predicted, measured = ([one[name] for one in found] for name in ("predicted_us", "measured_us"))
    errors = [p / m - 1 for p, m in zip(predicted, measured)]
    summary = {
        "median_error": statistics.median(map(abs, errors)), "largest_error": max(map(abs, errors)),
        "median_bias": statistics.median(errors), "spearman": float(stats.spearmanr(predicted, measured).statistic),
        "kendall": float(stats.kendalltau(predicted, measured).statistic),
        "kendall_of_macs": float(stats.kendalltau([one["macs"] for one in found], measured).statistic),
        "operations_timed": kinds, "table_s": table_s,
    }
    met = summary["median_error"] <= MEDIAN_ERROR and summary["spearman"] >= CORRELATION
    return {"met": met, "summary": summary, "networks": found}


def drawn(family: str, rng: random.Random) -> dict[str, Any]:
    from automl.catalog import architectures

    return {name: domain.sample(rng) for name, domain in architectures[family].params.items()}


def network(family: str, params: dict[str, Any]) -> tuple[Any, bytes]:
    """The blueprint and the int8 file of a network whose normalisations have seen some batches."""
    import types

    import numpy as np

    from automl.architectures import model
    from automl.catalog import architectures, compose
    from automl.catalog import space as spaces
    from automl.export import tflite
    from automl.spec import Choice, Profile, SearchSettings
    from automl.tasks import head

    shape = (SIDE, SIDE, 3)
    profile = Profile(
        modality="image", task="image-classification", rows=10_000, classes=CLASSES, class_min=1_000, outputs=CLASSES,
        image_shape=shape,
    )
    space = spaces.derive(profile.task, profile, SearchSettings(strategy="evolution", force=(family, "batch-norm")))
    recipe = space.recipe(space.default(), 1)
    recipe = recipe.changed(architecture=Choice(id=family, params=params).to_dict())
    rng = np.random.default_rng(0)
    # Blotches of 8 pixels: in noise without them all pictures are alike to a network that averages places.
    blotches = rng.integers(0, 256, (ROWS, SIDE // 8, SIDE // 8, 3)).repeat(8, 1).repeat(8, 2)
    inputs = {"image": np.clip(blotches + rng.normal(0, 20, (ROWS, *shape)), 0, 255).astype(np.uint8)}
    preprocess = {"height": SIDE, "width": SIDE, "channels": 3}
    core = model.build_core(recipe, compose.plan_of(recipe, profile), profile, preprocess, inputs)
    for _ in range(30):
        core(inputs, training=True)
    meta = types.SimpleNamespace(kind="classification", target_mean=None, target_std=None, target_min=None, target_max=None)
    rows = {name: array[:16] for name, array in inputs.items()}
    content = tflite.convert(head.inference_model(core, meta), "int8", rows)
    return architectures[family].blueprint(profile, **params), content


def time_files(request: dict[str, Any]) -> dict[str, Any]:
    """In a child: {"files", "seconds" for each} → {"times": [(median by the thread's clock, by the wall's) in µs]}."""
    import numpy as np

    from automl.nas import timing

    times = []
    for file in request["files"]:
        content = Path(file).read_bytes()
        by_thread = timing.median_us(content, request["seconds"])
        runner, wall = timing.interpreter(content), []
        end = time.perf_counter() + request["seconds"] / 2
        while len(wall) < 10 or time.perf_counter() < end:
            start = time.perf_counter()
            runner.invoke()
            wall.append(time.perf_counter() - start)
        times.append((by_thread, float(np.median(wall[3:])) * 1e6))
    return {"times": times}


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    s = result["summary"]
    lines = [
        f"Median error {s['median_error']:.1%} (largest {s['largest_error']:.0%}, mostly {s['median_bias']:+.1%}), rank "
        f"correlation {s['spearman']:.3f} (Spearman), {s['kendall']:.3f} (Kendall; by multiplications alone "
        f"{s['kendall_of_macs']:.3f}). {s['operations_timed']} operations were timed in {s['table_s']:.0f} s.", "",
        "| family | operations | million MACs | predicted µs | measured µs | error | by the wall µs |", "|" + "---|" * 7,
    ]
    for one in sorted(result["networks"], key=lambda n: n["measured_us"]):
        lines.append(
            f"| {one['family']} | {one['operations']} | {one['macs'] / 1e6:.1f} | {one['predicted_us']:.0f} | "
            f"{one['measured_us']:.0f} | {one['predicted_us'] / one['measured_us'] - 1:+.1%} | {one['wall_us']:.0f} |"
        )
    return "\n".join(lines)
