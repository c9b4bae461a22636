"""`automl verify`: an artifact's own bytes on labelled rows, here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_client.cli import quantities

if TYPE_CHECKING:
    from automl_client import verification


@click.command(short_help="Check and measure an artifact on labelled DATA here.")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path),
              help="Artifact to compare with. Default: the float32 file of the same model in the same folder.")
@click.option("--target", default="", metavar="COLUMN", help="Column of the labels. Default: the one that the model learnt.")
@click.option("--metric", default="", help="Metric to judge by. Default: the one that the model was chosen by.")
@click.option("--tolerance", type=float, default=0.01, show_default=True,
              help="Largest loss of the metric against the other artifact.")
@click.option("--threads", default="1", show_default=True, metavar="N[,N…]", help="Threads to measure the latency with.")
@click.option("--rows", type=click.IntRange(min=1), help="Predict so many rows at most, drawn at random.")
@click.option("--timeout", type=quantities.Duration(), default="10m", show_default=True, help="Of the process that runs it.")
@click.option("--memory", type=quantities.Size(), default="4GiB", show_default=True, help="Of the same process.")
@click.option("--key", "keys", multiple=True, metavar="HEX", help="Public key that you trust, 64 digits. May be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the result there, signed with your own key.")
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns. Default: found out.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
def verify(
    artifact: Path, data: Path, against: Path | None, target: str, metric: str, tolerance: float, threads: str,
    rows: int | None, timeout: float, memory: int, keys: tuple[str, ...], out: Path | None, header: bool | None,
    as_json: bool,
) -> int:
    """Run ARTIFACT's own bytes in their own runtime on the labelled rows of DATA, and tell how good, fast and large it is.

    ARTIFACT is a .tflite, .onnx or .keras file, a SavedModel's .zip, or a folder that `automl submit` wrote. The file, each
    companion in it and the proof beside it are checked first; what was changed is named. Exit code 1: something is not as it
    should be. TFLite files need no TensorFlow.
    """
    from automl_client import embedded, errors, proofs, verification
    from automl_client.cli import output

    home = embedded.Place.of().home
    trusted = proofs.known_keys(home) | {key.lower() for key in keys}
    result = verification.verify(
        artifact, data, against=against, target=target, metric=metric, has_header=header, threads=_threads(threads),
        tolerance=tolerance, keys=frozenset(trusted), limits=verification.Limits(timeout, memory, rows),
    )
    if out is not None:
        if not out.absolute().parent.is_dir():
            raise errors.InvalidInput.at("--out", f"there is no folder {out.absolute().parent}.")
        envelope = proofs.signed(verification.statement(result), proofs.own_key(home))
        out.write_text(json.dumps(envelope, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        output.emit({**output.jsonable(result), "passed": not result.faults})
    else:
        _tell(result)
        if out is not None:
            click.echo(f"Signed result: {out}")
    return 1 if result.faults else 0


def _threads(text: str) -> tuple[int, ...]:
    from automl_client import errors

    try:
        found = tuple(int(one) for one in text.split(","))
    except ValueError:
        found = ()
    if not found or any(not 1 <= one <= 256 for one in found):
        raise errors.InvalidInput.at("--threads", f"expected numbers from 1 to 256 with commas between, got {text!r}.")
    return found


def _tell(result: verification.Result) -> None:
    from automl_client.cli import output

    name = Path(result.artifact).name
    if result.faults:
        output.say(f"{name} did NOT pass:")
        for fault in result.faults:
            output.say(f"  {fault.about}: {fault.message}")
    for note in result.notes:
        output.say(note)
    gone = [f"{result.unlabelled:,} without a label"] if result.unlabelled else []
    gone += [f"{count:,} with the unknown label {label!r}" for label, count in result.unknown_labels.items()]
    left = f" ({', '.join(gone)} left out)" if gone else ""
    between = result.interval
    span = f", 95 %: {between.low:.4g} to {between.high:.4g} ({between.method})" if between is not None else ""
    signed_by = f", key {result.key[:16]}…{' (known)' if result.key_known else ''}" if result.key else ""
    lines = [
        ("Artifact", f"{name}, run by {result.runtime}"),
        ("SHA-256", result.sha256),
        ("Proof", f"{result.proof}{signed_by}"),
        ("Rows", f"{result.compared:,}{left}"),
        (result.metric, f"{result.value:.4g}{span}"),
        ("Others", ", ".join(f"{id} {value:.4g}" for id, value in result.metrics.items() if id != result.metric)),
    ]
    if result.calibration_error is not None:
        lines.append(("Calibration", f"off by {result.calibration_error:.4f} on average (ECE)"))
    if (other := result.comparison) is not None:
        shift = "" if other.calibration_shift is None else f", calibration shifted by {other.calibration_shift:+.4f}"
        lines.append(
            ("Against", f"{other.file} on {other.rows:,} rows: {result.metric} {other.value:.4g} there, agrees on "
             f"{other.agreement:.2%}, largest difference {other.max_difference:.3g}{shift}")
        )
    if result.sample_difference is not None:
        lines.append(
            ("Samples", f"differ from the float model's outputs by at most {result.sample_difference:.3g}")
        )
    for one in result.latency:
        threads = f"{one['threads']} thread{'s' if one['threads'] > 1 else ''}"
        lines.append(
            ("One row", f"{one['median_ms']:.3g} ms (p90 {one['p90_ms']:.3g}), {threads}, {one['runs']} runs after "
             f"{one['warm_up']}")
        )
    lines.append(("Machine", result.machine))
    if result.peak_memory_bytes is not None:
        lines.append(("Peak memory", f"{quantities.size_text(result.peak_memory_bytes)} beside the runtime's own"))
    lines.append(
        ("Size", f"{quantities.size_text(result.size_bytes)}, {quantities.size_text(result.compressed_bytes)} compressed")
    )
    for label, value in lines:
        click.echo(f"{label + ':':<13}{output.clean(value)}")
