"""The end of a job on the command line: wait, fetch the files, and tell what came out."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_client import errors, names, types
from automl_client.cli import app, output, quantities, watching

if TYPE_CHECKING:
    from automl_client.client import Client, JobHandle

RESULT = "result.json"
REPORT = "report.html"
RECIPE = "recipe.json"
ORIGIN = "origin"
"""Key in `recipe.json` beside the recipe's own: the data settings and the result, so that one file re-runs and compares."""


@dataclass(frozen=True)
class Place:
    """The folder for a result; None: named after the job, where the command was started."""

    folder: Path | None

    @classmethod
    def checked(cls, folder: Path | None) -> Place:
        """Raises `InvalidInput` now rather than after the budget was spent, when the folder can't be written."""
        if folder is None:
            parent = Path.cwd()
            if not os.access(parent, os.W_OK):
                raise errors.InvalidInput.at("--out", f"{parent} can't be written: name another folder with --out.")
            return cls(None)
        if folder.exists() and not folder.is_dir():
            raise errors.InvalidInput.at("--out", f"{folder} is a file; a folder is wanted.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.InvalidInput.at("--out", f"{folder} can't be made: {error.strerror}.") from error
        if not os.access(folder, os.W_OK):
            raise errors.InvalidInput.at("--out", f"{folder} can't be written.")
        return cls(folder)

    def of(self, job_id: str) -> Path:
        return self.folder or Path(f"automl-{job_id}")


def complete(
    client: Client,
    job: JobHandle,
    place: Place,
    *,
    ends: float | None,
    started: float,
    budget_s: float,
    as_json: bool,
) -> int:
    """Follows a job to its end and delivers; returns the exit code. Times are of `time.monotonic()`."""
    try:
        watching.follow(job, ends=ends)
    except watching.Detached as left:
        if as_json:
            output.emit({"job": job.id, "state": job.get().state, "detached": True})
        output.say(how_to_return(job.id))
        return app.INTERRUPTED if left.interrupted else 0
    return deliver(client, job.get(), place, started=started, budget_s=budget_s, as_json=as_json)


def deliver(client: Client, job: types.Job, place: Place, *, started: float, budget_s: float, as_json: bool) -> int:
    """Fetches what an ended job made and tells about it; returns the exit code."""
    failure = watching.check_ended(job)
    folder = place.of(job.id)
    if failure is not None:
        report = _report(client, job, folder) if place.folder or job.trials else None
        if as_json:
            line = summary(job, None, {}, wall_s=time.monotonic() - started, budget_s=budget_s)
            output.emit({**line, "error": output.error_as_dict(failure)})
        output.show_error(failure)
        if report:
            output.say(f"What happened stands in {report}.")
        return failure.exit_code
    got = fetch(client, job, folder, started=started, budget_s=budget_s)
    if as_json:
        output.emit(got.result)
    else:
        _tell(job, got)
    return 0


@dataclass(frozen=True)
class Delivered:
    """What lies in the folder now."""

    folder: Path
    version: types.ModelVersion
    files: dict[str, Path]
    """By the artifact's id."""
    result: dict[str, Any]
    """The JSON line of `submit --json`."""


def fetch(client: Client, job: types.Job, folder: Path, *, started: float, budget_s: float) -> Delivered:
    """Brings the artifacts of a job that succeeded, its report, recipe and result into the folder."""
    version = client.get_model_version(job.model_version)
    files = {artifact.id: client.download(artifact, folder) for artifact in version.artifacts}
    _report(client, job, folder)
    result = summary(job, version, files, wall_s=time.monotonic() - started, budget_s=budget_s)
    _write(folder / RECIPE, recipe_file(job, version))
    # Inside the folder paths are relative, so that it can be moved.
    relative = [{**one, "path": Path(one["path"]).name} for one in result["artifacts"]]
    _write(folder / RESULT, {**result, "artifacts": relative})
    return Delivered(folder, version, files, result)


def summary(
    job: types.Job, version: types.ModelVersion | None, files: dict[str, Path], *, wall_s: float, budget_s: float
) -> dict[str, Any]:
    """The JSON line of `submit --json`."""
    return {
        "job": job.id,
        "state": job.state.value,
        "task": (version.task if version else "") or job.spec.task,
        "metric": {"name": job.metric, "validation": job.validation_metric, "test": job.test_metric},
        "artifacts": [
            {
                "format": artifact.format,
                "precision": artifact.precision,
                "path": str(files[artifact.id]) if artifact.id in files else None,
                "size_bytes": artifact.size_bytes,
                "sha256": artifact.sha256,
                "metric": artifact.verification.artifact_value if artifact.verification else None,
                **_certainty(artifact.verification),
                "latency_ms": artifact.verification.latency_median_ms if artifact.verification else None,
                **_by_threads(artifact.verification),
                **({"device_fit": output.jsonable(artifact.fit)} if artifact.fit else {}),
            }
            for artifact in (version.artifacts if version else ())
        ],
        "trials": dict(job.trials),
        "wall_s": round(wall_s, 3),
        "budget_s": budget_s,
        "goodput": job.goodput,
        "refused": [
            {"format": one.format, "precision": one.precision, "reason": one.reason} for one in job.refused
        ],
        "model_version": names.short_version(version.name) if version else "",
    }


def recipe_file(job: types.Job, version: types.ModelVersion) -> dict[str, Any]:
    """The recipe, and beside it what `automl reproduce` needs to run it again and to compare."""
    recipe = json.loads(version.recipe_json or "{}")
    return {
        **recipe,
        ORIGIN: {
            "job": job.id,
            "dataset": names.short(version.dataset),
            "test_dataset": names.short(job.spec.test_dataset),
            "data": output.jsonable(job.spec.data),
            "metric": {"name": job.metric, "validation": job.validation_metric, "test": job.test_metric},
            "seed": job.spec.search.seed,
            "budget_s": job.spec.budget.wall_s,
        },
    }


def how_to_return(job_id: str) -> str:
    """What a person needs to know after leaving."""
    return (
        f"The job goes on as {job_id}.\n"
        f"  Watch it:   automl jobs watch {job_id}\n"
        f"  Look at it: automl jobs show {job_id}\n"
        f"  Stop it:    automl jobs cancel {job_id}   (--finish delivers the best so far)"
    )


def _of(proof: types.Verification) -> str:
    """" of 10,000" where not all rows were compared."""
    return f" of {proof.held_out_rows}" if proof.held_out_rows > proof.rows else ""


def _certainty(proof: types.Verification | None) -> dict[str, Any]:
    """How exactly the metric is known, and how far the probabilities are to be believed."""
    return {
        "interval": output.jsonable(proof.interval) if proof else None,
        "calibration_error": proof.calibration_error if proof else None,
        "calibration_shift": proof.calibration_shift if proof else None,
    }


def _by_threads(proof: types.Verification | None) -> dict[str, Any]:
    """The latency by numbers of threads, where more than one was measured."""
    if proof is None or not proof.more_threads or proof.latency_median_ms is None:
        return {}
    measured = {proof.threads: proof.latency_median_ms} | {one.threads: one.median_ms for one in proof.more_threads}
    return {"latency_ms_by_threads": {str(threads): measured[threads] for threads in sorted(measured)}}


def _report(client: Client, job: types.Job, folder: Path) -> Path | None:
    """Stores the report beside the files; None, and a word about it, when there is none (the files matter more)."""
    try:
        html = client.get_report(job.name)
    except errors.AutoMLError as error:
        output.say(f"The report could not be fetched: {error}")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT
    path.write_text(html, encoding="utf-8")
    return path


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(output.jsonable(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _tell(job: types.Job, got: Delivered) -> None:
    """The summary: meant for somebody who hasn't read a word about this program."""
    version, folder = got.version, got.folder
    about = f" of {job.spec.data.target!r}" if job.spec.data.target else ""
    click.echo(
        f"Done in {quantities.duration_text(got.result['wall_s'])} "
        f"(budget {quantities.duration_text(got.result['budget_s'])}). "
        + output.clean(f"Task: {version.task}{about}.")
    )
    click.echo(
        f"\n{job.metric} of the float model: {quantities.number_text(job.validation_metric)} on the validation rows, by "
        f"which it was chosen; {quantities.number_text(job.test_metric)} on the test rows, which were read once, at the end."
    )
    others = {name: value for name, value in job.test_metrics.items() if name != job.metric}
    if others:
        listed = ", ".join(f"{name} {quantities.number_text(value)}" for name, value in sorted(others.items()))
        click.echo(f"Also on the test rows: {listed}.")
    click.echo(f"\nFiles in {folder}{os.sep}, each run in its own runtime on held-out rows:\n")
    rows = []
    for artifact in version.artifacts:
        proof = artifact.verification
        rows.append(
            (
                got.files[artifact.id].name,
                f"{artifact.format} {artifact.precision}",
                quantities.size_text(artifact.size_bytes),
                "–" if proof is None or proof.latency_median_ms is None else f"{proof.latency_median_ms:.3g} ms",
                quantities.number_text(proof.artifact_value if proof else None),
                "–" if proof is None else f"{proof.artifact_value - proof.float_value:+.4f}",
            )
        )
    output.table(
        ("file", "format", "size", "one example", job.metric, "against float"), rows,
        right=("size", "one example", job.metric, "against float"),
    )
    with contextlib.suppress(StopIteration):
        proven, first = next((one, one.verification) for one in version.artifacts if one.verification)
        within = "" if first.interval is None else (
            f", which put that of {got.files[proven.id].name} between {quantities.number_text(first.interval.low)} and "
            f"{quantities.number_text(first.interval.high)} (95 %)"
        )
        click.echo(
            f"\n{job.metric} on {first.rows}{_of(first)} {first.part} rows{within}; one example on {first.threads} "
            f"thread{'' if first.threads == 1 else 's'} of {output.clean(first.machine)}."
        )
    for artifact in version.artifacts:
        if (fit := artifact.fit) is not None:
            click.echo(
                f"{got.files[artifact.id].name} on {output.clean(fit.device)}: {fit.latency_ms:.3g} ms for one example, "
                f"estimated from {fit.macs:,} multiplications, and {quantities.size_text(fit.activation_bytes)} of "
                "activations."
            )
    if job.refused:
        click.echo("\nNot returned:")
        for one in job.refused:
            click.echo(output.clean(f"  {one.format} {one.precision}: {one.reason}"))
    counts = ", ".join(f"{count} {outcome.lower()}" for outcome, count in sorted(job.trials.items()))
    click.echo(f"\nTrials: {counts or 'none'}. The report, with every failure and why: {folder / REPORT}")
    click.echo(f"Predict:   automl predict {folder} NEW_DATA --out predictions.csv")
    click.echo(f"Reproduce: automl reproduce {folder / RECIPE} DATA")
