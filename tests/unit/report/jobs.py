"""Jobs made up for the report's tests: finished ones of both kinds, with losses, refusals and hostile names."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from automl.spec import (
    Artifact,
    Choice,
    Constraints,
    Event,
    Fidelity,
    Finding,
    JobPhase,
    JobSpec,
    JobState,
    Latency,
    Measurement,
    Modality,
    Outcome,
    Profile,
    Recipe,
    Refused,
    Severity,
    Verification,
)
from automl.spec import event as events

HOSTILE = "<img src=x onerror=alert(1)>\"'&</style>\u202e"


def recipe(rng: random.Random, task: str, seed: int) -> Recipe:
    return Recipe(
        task=task,
        architecture=Choice(
            id="mlp", params={"width": rng.choice([64, 128, 256]), "depth": rng.choice([1, 2, 3, 4]), "residual": True}
        ),
        techniques=(
            Choice(id="adamw", params={"learning_rate": 10 ** rng.uniform(-4, -2)}),
            Choice(id=rng.choice(["dropout", "label-smoothing", "batch-norm"]), params={"rate": 0.1}),
        ),
        seed=seed,
    )


def history(kind: str, *, trials: int = 40, finished: bool = True, names: str = "plain") -> list[Event]:
    """Events of a job of that kind ("classification" or "regression")."""
    rng = random.Random(7)
    hostile = names == "hostile"
    classification = kind == "classification"
    metric = "accuracy" if classification else "rmse"
    sign = 1 if classification else -1
    target = HOSTILE if hostile else "species" if classification else "median_house_value"
    column = HOSTILE if hostile else "body_mass_g"
    said: list[events.Payload] = [
        events.PhaseStarted(phase=JobPhase.PREPARING),
        events.DataPrepared(
            task=f"tabular-{kind}",
            task_inferred=True,
            target=target,
            metric=metric,
            parts={"train": 5_200, "validation": 1_300, "test": 1_147},
            profile=Profile(
                modality=Modality.TABLE,
                task=f"tabular-{kind}",
                rows=5_200,
                numeric=9,
                categorical=3,
                missing_fraction=0.031,
                classes=3 if classification else 0,
                class_min=412,
                imbalance=2.2,
            ),
            findings=(
                Finding(
                    check="target-leak",
                    severity=Severity.WARNING,
                    columns=(column,),
                    rows=(3, 17),
                    message=f"Column {column!r} alone gives the target away in 99.2 % of the rows; it was kept.",
                ),
                Finding(
                    check="missing-values",
                    severity=Severity.INFO,
                    message="11 rows lack values in 5 columns; they were imputed.",
                ),
            ),
            key="3f9ac1" * 8,
        ),
        events.SpaceDerived(
            strategy="auto",
            techniques=("adamw", "sgd", "dropout", "label-smoothing", "batch-norm", "one-cycle", "mixup"),
            excluded={"cutout": "applies to image, the data are table", "focal": "forbidden by the user"},
            dimensions=61,
        ),
        events.Noted(message="The task was inferred from the target: 3 classes as text."),
        events.PhaseStarted(phase=JobPhase.SEARCHING),
    ]
    best: tuple[float, str] | None = None
    for i in range(trials):
        name = f"t{i + 1:03d}"
        said.append(
            events.TrialStarted(
                trial=name,
                attempt=1,
                recipe=recipe(rng, f"tabular-{kind}", i),
                fidelity=Fidelity(epochs=30),
                slot=i % 2,
                origin="portfolio" if i < 3 else rng.choice(["tpe", "evolution"]),
            )
        )
        if i % 9 == 8:
            outcome = [Outcome.NAN, Outcome.OOM, Outcome.ERROR, Outcome.TIMED_OUT][i // 9 % 4]
            said.append(
                events.TrialEnded(
                    trial=name,
                    attempt=1,
                    outcome=outcome,
                    wall_s=3.1,
                    step_s=1.0,
                    message=f"ValueError: {HOSTILE}" if hostile else f"{outcome.value.lower()} in epoch 2",
                )
            )
            continue
        ceiling, speed = rng.uniform(0.86, 0.985), rng.uniform(0.1, 0.5)
        epochs = rng.choice([30, 30, 9, 3])
        for epoch in range(1, epochs + 1):
            good = ceiling - 0.6 * (1 - speed) ** epoch + rng.gauss(0, 0.004)
            value = good if classification else 42_000 + 90_000 * (1 - good)
            score = sign * value
            said.append(
                events.TrialMeasured(
                    trial=name,
                    attempt=1,
                    measurement=Measurement(
                        epoch=epoch,
                        train_loss=1.4 * (1 - speed) ** epoch + 0.05,
                        validation={metric: value},
                        score=score,
                        elapsed_s=epoch * 0.4,
                        step_s=epoch * 0.36,
                    ),
                )
            )
            if best is None or score > best[0]:
                best = (score, name)
                said.append(
                    events.BestChanged(
                        trial=name, score=score, validation={metric: value, "log-loss": 0.21}, size_bytes=90_000
                    )
                )
        said.append(
            events.TrialEnded(
                trial=name,
                attempt=1,
                outcome=Outcome.COMPLETED if epochs == 30 else Outcome.PRUNED,
                best_epoch=epochs,
                parameters=int(10 ** rng.uniform(3.2, 5.6)),
                wall_s=epochs * 0.45,
                step_s=epochs * 0.36,
            )
        )
    if finished:
        assert best is not None
        said += [
            events.PhaseStarted(phase=JobPhase.COMPRESSING),
            events.Compressed(
                technique="quantization-ptq", need="first", sparsity=0.0, validation_before=0.982, validation_after=0.98,
                accepted=True, precision="int8", float_after=0.982, size_bytes=64_000, compressed_bytes=41_000,
                latency_ms=0.02, parameters=52_000, macs=700_000, rows=500,
            ),
            events.Compressed(
                technique="structured-pruning", need="width", sparsity=0.0, validation_before=0.98, validation_after=0.981,
                accepted=True, precision="int8", float_after=0.982, size_bytes=41_000, compressed_bytes=30_000,
                latency_ms=0.012, parameters=31_000, macs=410_000, rows=500, candidate="structured-pruning-1",
                settings={"keep": 0.6, "of": "macs"}, wall_s=21.5,
            ),
            events.Compressed(
                technique="magnitude-pruning", need="download", sparsity=0.8, validation_before=0.98, validation_after=0.941,
                accepted=False, reason="lost 0.041, more than the tolerance of 0.01", precision="int8", float_after=0.943,
                size_bytes=41_000, compressed_bytes=15_000, latency_ms=0.012, parameters=31_000, macs=410_000, rows=500,
                candidate="magnitude-pruning-1", settings={"sparsity": 0.8}, wall_s=18.0,
            ),
        ]
        for format, precision, bytes_, ms in (
            ("tflite", "int8", 24_312, 0.011),
            ("tflite", "float32", 90_120, 0.02),
            ("saved-model", "float32", 210_400, 1.4),
        ):
            value = abs(best[0]) - (0.002 if precision == "int8" else 0.0)
            said.append(
                events.ArtifactMade(
                    artifact=Artifact(
                        id=f"{format}-{precision}",
                        format=format,
                        precision=precision,
                        filename=f"model-{precision}.{format}",  # type: ignore[arg-type]
                        size_bytes=bytes_,
                        compressed_bytes=bytes_ * 2 // 3,
                        sha256="ab" * 32,
                        parameters=22_000,
                        sparsity=0.5,
                        verification=Verification(
                            part="test",
                            rows=1_147,
                            metric=metric,
                            float_value=abs(best[0]),
                            artifact_value=value,
                            agreement=0.998,
                            max_difference=0.013,
                            tolerance=0.01,
                            passed=True,
                            runtime="ai-edge-litert 2.3.0",
                            latency=Latency(median_ms=ms, p90_ms=ms * 1.2, runs=200, threads=1, machine="2 cores"),
                            peak_memory_bytes=31_000_000,
                        ),
                    )
                )
            )
        said += [
            events.ArtifactRefused(
                refused=Refused(format="tflite", precision="dynamic", reason="lost 0.021 of accuracy, more than 0.01")
            ),
            events.JobFinished(
                state="SUCCEEDED",
                metric=metric,
                validation=abs(best[0]),
                test=abs(best[0]) - sign * 0.006,
                test_metrics={metric: abs(best[0]) - sign * 0.006, "log-loss": 0.24},
                wall_s=171.3,
                goodput=0.74,
                recipe=recipe(rng, f"tabular-{kind}", 3),
            ),
        ]
    return [Event(sequence=i + 1, time=1.8e9 + i, payload=p) for i, p in enumerate(said)]


def job(kind: str, **how: object) -> tuple[JobState, JobSpec]:
    spec = JobSpec(
        dataset="projects/default/datasets/penguins@0123456789abcdef",
        constraints=Constraints(max_size_bytes=1_000_000),
        budget={"wall_s": 180},  # type: ignore[arg-type]
        display_name=HOSTILE if how.get("names") == "hostile" else "",
    )
    return JobState.fold(history(kind, **how)), spec  # type: ignore[arg-type]


def predictions(path: Path, kind: str, *, classes: tuple[str, ...] = ("Adelie", "Chinstrap", "Gentoo")) -> Path:
    """A file as verification writes it."""
    rng = np.random.default_rng(5)
    if kind == "classification":
        y = rng.integers(0, len(classes), 1_147).astype(np.int32)
        output = rng.dirichlet(np.ones(len(classes)), len(y)) + 0.5 * np.eye(len(classes))[y]
        np.savez(path, y=y, float=(output / output.sum(1, keepdims=True)).astype(np.float32), classes=np.array(classes))
    else:
        y = rng.lognormal(12, 0.5, 1_147).astype(np.float32)
        np.savez(path, y=y, float=(y + rng.normal(0, 40_000, len(y)))[:, None].astype(np.float32))
    return path
