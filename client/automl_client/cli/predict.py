"""`automl predict`: a downloaded artifact on new data, here."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(short_help="Run a downloaded artifact on DATA here.")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="CSV for the predictions. Default: standard output.")
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns. Default: found out.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with rows, path and artifact (needs --out).")
def predict(artifact: Path, data: Path, out: Path | None, header: bool | None, as_json: bool) -> None:
    """Run ARTIFACT on DATA and write one row an input row, in order: prediction, p_CLASS for each class, for pictures file.

    ARTIFACT is a .tflite or .keras file, a SavedModel's .zip, or a folder that `automl submit` wrote (then its best file).
    TFLite files run without TensorFlow. Unseen categories and missing values are fine.
    """
    from automl_client import errors, predictor
    from automl_client.cli import output

    if as_json and out is None:
        raise click.UsageError("--json needs --out: the predictions would stand on standard output too.")
    if out is not None and not out.absolute().parent.is_dir():
        raise errors.InvalidInput.at("--out", f"there is no folder {out.absolute().parent}.")
    if not data.exists():
        raise errors.InvalidData.at(str(data), "there is no such file or folder.", "FILE_NOT_FOUND")
    model = predictor.Predictor(artifact)
    if out is None:
        _print(model, data, header)
        return
    rows = model.predict_to_csv(data, out, has_header=header)
    if as_json:
        output.emit({"rows": rows, "path": str(out), "artifact": str(model.path), "task": model.task})
    else:
        click.echo(f"{rows:,} predictions by {model.path.name}: {out}")


def _print(model: object, data: Path, header: bool | None) -> None:
    import csv

    from automl_client import predictor

    assert isinstance(model, predictor.Predictor)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for place, block in enumerate(model.predict_file(data, has_header=header)):
        if place == 0:
            writer.writerow(predictor.header(model.classes, model.form.heading if block.names else ""))
        writer.writerows(predictor.lines(block))
