"""`python -m automl.report`: {"state": …, "spec": …} as JSON on standard input, the page on standard output.

The server runs this in a process of its own. Optional keys: "job" and "dataset" (names for people), "predictions" (path of
verification's predictions.npz). Exit code 2 for input that is none of this.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import pydantic

from automl.report import page
from automl.spec import InvalidInput, JobSpec, JobState


class Request(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    state: JobState
    spec: JobSpec
    job: str = ""
    dataset: str = ""
    predictions: Path | None = None


def main() -> Literal[0, 2]:
    try:
        request = Request.model_validate(json.load(sys.stdin))
        html = page.render(
            request.state, request.spec, job=request.job, dataset=request.dataset, predictions=request.predictions
        )
    except (json.JSONDecodeError, pydantic.ValidationError, InvalidInput) as error:
        print(f"automl.report: {error}", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(html.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
