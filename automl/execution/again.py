"""Another artifact of a delivered model, from its kit: `python -m automl.execution.again`.

Reads {"kit", "out", "format", "precision", "max_size_bytes", "tolerance"} as a line of JSON on standard input; `precision`
"" takes the most exact one that meets the limit. Conversion and verification are children, as in a job; the artifact is
verified on the held-out rows that the kit kept. Prints {"artifact": …, "path": …, "notes": […]}, or {"refused": [{"format",
"precision", "reason"}…]} when none could be made. Exit code 2 with a line on standard error for a request that makes no
sense.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from automl import catalog
from automl.data.prepared import PreparedDataset
from automl.execution import children
from automl.export import deliver, kit
from automl.spec import Artifact, AutoMLError, Constraints, FormatRequest
from automl.spec.event import Noted

EXACT_FIRST = ("float32", "float16", "int16x8", "dynamic", "int8")


def make(request: dict[str, Any]) -> dict[str, Any]:
    """See the module. Raises `InvalidInput` for an unknown format or precision, `Internal` for a damaged kit."""
    entry = catalog.formats[str(request["format"])]
    wanted = str(request["precision"])
    # 16-bit activations are slow on a CPU, so nobody gets them without having named them.
    offered = [p for p in EXACT_FIRST if p in entry.precisions and p != "int16x8"]
    out = Path(request["out"])
    notes: list[str] = []
    refused: list[dict[str, Any]] = []

    def emit(payload: Any) -> None:
        if isinstance(payload, Noted):
            notes.append(payload.message)

    with tempfile.TemporaryDirectory(prefix="automl-again-") as name:
        folder = Path(name)
        said = kit.unpack(Path(request["kit"]), folder)
        tolerance = said["tolerance"] if request["tolerance"] is None else request["tolerance"]
        prepared = PreparedDataset.open(folder / "data")
        for precision in [wanted] if wanted else offered:
            one = FormatRequest.from_dict({"format": entry.id, "precision": precision})
            [made] = deliver.deliver(
                folder / "candidate", prepared, formats=[one],
                constraints=Constraints(max_size_bytes=request["max_size_bytes"]), tolerance=float(tolerance),
                metric=str(said["metric"]), out=out, run_in_child=children.run_in_child, deadline=None, emit=emit,
                scratch=folder / "verification", slots=1,
            )
            if isinstance(made, Artifact):
                return {"artifact": made.to_dict(), "path": str(out / made.filename), "notes": notes}
            refused.append(made.to_dict())
    return {"refused": refused}


def main() -> int:
    # Standard output is for the answer alone.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        said = make(json.loads(sys.stdin.readline()))
    except AutoMLError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    answer.write(json.dumps(said) + "\n")
    answer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
