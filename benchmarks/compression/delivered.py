"""What int8 costs and brings in what jobs deliver, beside others that quantise the same float model.

Metric and latency are taken anew, on rows that the job never had: the first of them calibrate the peers, the others score
everybody.
"""

from __future__ import annotations

import csv
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import jobs, peers, rows
from benchmarks.mainjob import sets as mainjob
from benchmarks.mainjob.sets import Prepared

NAME = "delivered"
AIM = (
    "the delivered int8 loses at most 0.5 points (mean of the seeds of each set) and is at least 3.5 × smaller than "
    "float32, for pictures at least 2 × faster"
)
MOST_LOSS, LEAST_SMALLER, LEAST_FASTER = 0.005, 3.5, 2.0
CALIBRATION = 300
FORMATS = ("tflite:float32", "tflite:int8", "keras-file", "onnx")


def ag_news(data: Path, work: Path) -> Prepared:
    """Title and description; a fifth held out, by chance with a fixed seed."""
    with (data / "ag_news" / "ag_news.csv").open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.reader(file) if len(row) == 3]
    random.Random(42).shuffle(table)
    held = len(table) // 5
    for name, head, part in (
        ("news.csv", ["label", "title", "description"], table[held:]),
        ("news-new.csv", ["title", "description"], [row[1:] for row in table[:held]]),
    ):
        with (work / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *part])
    return Prepared(
        work / "news.csv", work / "news-new.csv", [row[0] for row in table[:held]],
        ("--target", "label", "--task", "text-classification"), "accuracy",
    )


SETS = {
    "adult": (mainjob.adult, 180.0, False), "mnist": (mainjob.mnist, 300.0, True),
    "cifar10_subset": (mainjob.cifar10_subset, 600.0, True), "ag_news": (ag_news, 300.0, False),
}
"""Name → how it is prepared, its budget, whether it is pictures."""


def measure(given: rows.Given) -> dict[str, Any]:
    assert given.data is not None, "--data is needed"
    data, names = given.data, [n for n in SETS if not given.sets or n in given.sets]
    found = []
    for name in names:
        for seed in range(given.seeds):
            unit = given.unit(
                NAME, {"set": name, "seed": seed}, lambda name=name, seed=seed: job(data, name, seed, given.factor)
            )
            found += [] if unit is None else [unit]
    conditions = ["fault" not in u for u in found]
    for name in names:
        mine = [u for u in found if u["set"] == name and "fault" not in u]
        if mine:
            conditions += [
                float(np.mean([u["loss"] for u in mine])) <= MOST_LOSS, min(u["smaller"] for u in mine) >= LEAST_SMALLER,
                not SETS[name][2] or min(u["faster"] for u in mine) >= LEAST_FASTER,
            ]
    return {"units": found, "met": rows.verdict(conditions, len(found) == len(SETS) * given.seeds)}


def table(result: dict[str, Any]) -> str:
    lines = [
        "| set | seed | float32 | int8 | loss | smaller (model alone) | faster | " + " | ".join(peers.PEERS) + " |",
        "|---|---|---|---|---|---|---|" + "---|" * len(peers.PEERS),
    ]
    for u in result["units"]:
        if "fault" in u:
            lines.append(f"| {u['set']} | {u['seed']} | {u['fault'][:150]} |" + " |" * (4 + len(peers.PEERS)))
            continue
        others = [
            p["fault"][:60] if "fault" in p else f"{p['metric']:.4f}, {p['bytes'] / 1e3:.0f} KB"
            + ("" if p["latency_ms"] is None else f", {p['latency_ms']:.3g} ms")
            for p in u["peers"].values()
        ]
        lines.append(
            f"| {u['set']} | {u['seed']} | {u['float']['metric']:.4f}, {u['float']['bytes'] / 1e3:.0f} KB, "
            f"{u['float']['latency_ms']:.3g} ms | {u['int8']['metric']:.4f}, {u['int8']['bytes'] / 1e3:.0f} KB, "
            f"{u['int8']['latency_ms']:.3g} ms | {u['loss']:.4f} | {u['smaller']:.2f} × ({u['smaller_alone']:.2f} ×) | "
            f"{u['faster']:.2f} × | " + " | ".join(others) + " |"
        )
    return "\n".join(lines)


def job(data: Path, name: str, seed: int, factor: float) -> dict[str, Any]:
    prepare, budget_s, _ = SETS[name]
    with jobs.place() as (user, work):
        prepared = prepare(data, work)
        options = [part for one in FORMATS for part in ("--format", one)]
        result = jobs.submitted(
            user, work / "out", str(prepared.train), *prepared.options, "--metric", prepared.metric, *options,
            budget_s=factor * budget_s, seed=seed,
        )
        if result["state"] != "SUCCEEDED":
            raise RuntimeError(f"the job ended as {result['state']}: {result['said']}")
        paths = {(a["format"], a["precision"]): Path(a["path"]) for a in result["artifacts"]}
        lacking = [p for p in ("float32", "int8") if ("tflite", p) not in paths]
        if lacking:
            raise RuntimeError(f"tflite:{lacking[0]} was not delivered: {result['refused']}")
        inputs, truth, classes = encoded(paths["tflite", "float32"], prepared)
        calibration = {k: v[:CALIBRATION] for k, v in inputs.items()}
        rest = {k: v[CALIBRATION:] for k, v in inputs.items()}

        def judge(run: peers.Run) -> float:
            return score(run(rest), truth[CALIBRATION:], classes, prepared)

        own = {
            p: {"metric": judge(peers.litert(paths["tflite", p].read_bytes())), **jobs.measured(paths["tflite", p]),
                "alone": alone(paths["tflite", p])}
            for p in ("float32", "int8")
        }
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            others = peers.figures(work / "out", calibration, judge, jobs.measured, Path(folder))
    sign = -1.0 if prepared.metric in ("log-loss", "rmse") else 1.0
    return {
        "job": result["job"], "metric": prepared.metric, "float": own["float32"], "int8": own["int8"], "peers": others,
        "loss": sign * (own["float32"]["metric"] - own["int8"]["metric"]),
        "smaller": own["float32"]["bytes"] / own["int8"]["bytes"],
        "smaller_alone": own["float32"]["alone"] / own["int8"]["alone"],
        "faster": own["float32"]["latency_ms"] / own["int8"]["latency_ms"], "wall_job_s": result["wall_s"],
    }


def alone(file: Path) -> int:
    """Bytes of the model without what travels in the file."""
    import zipfile

    with zipfile.ZipFile(file) as archive:
        return min(info.header_offset for info in archive.infolist())


def encoded(file: Path, prepared: Prepared) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """The held-out rows as the model takes them, what they are, and the classes, by the tables that travel in the file."""
    from automl_client import Predictor

    predictor = Predictor(file)
    blocks, names = [], []
    for found, inputs in predictor.form.blocks(prepared.new, None):
        blocks.append({k: np.asarray(v) for k, v in inputs.items()})
        names += list(found)
    truth = prepared.truth if prepared.by_file is None else [prepared.by_file[Path(n).name] for n in names]
    whole = {k: np.concatenate([b[k] for b in blocks]) for k in blocks[0]}
    order = np.random.default_rng(0).permutation(len(truth))
    return {k: v[order] for k, v in whole.items()}, [truth[i] for i in order], list(predictor.classes)


def score(outputs: np.ndarray, truth: list[str], classes: list[str], prepared: Prepared) -> float:
    from sklearn import metrics

    if prepared.metric == "roc-auc":
        column = outputs[:, classes.index(prepared.positive)]
        return float(metrics.roc_auc_score([t == prepared.positive for t in truth], column))
    return float(np.mean([classes[i] == t for i, t in zip(outputs.argmax(axis=1), truth, strict=True)]))
