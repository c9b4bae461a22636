"""Another artifact of a delivered model, from its kit: `python -m automl.execution.again`.

Reads {"kit", "out", "format", "precision", "max_size_bytes", "max_latency_ms", "tolerance", "retarget", "cache"} as a line
of JSON on standard input; `precision` "" takes the most exact one that meets the limit. With `retarget` another network is
cut out of the supernet that was kept (`automl.nas.retargeting`), as int8 where no precision is named; `cache` is a folder
for its table of latencies. Conversion and verification are children, as in a job; the artifact is
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
from automl.export import companions, deliver, kit
from automl.spec import Artifact, AutoMLError, Constraints, FormatRequest, InvalidInput
from automl.spec.event import Noted

RETARGET_S = 120.0
"""For a network to be chosen and cut out, at most."""
MARGINS = (0.95, 0.85, 0.7)
"""Shares of the limits that are aimed at, one after the other."""
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
        limits = Constraints(max_size_bytes=request["max_size_bytes"], max_latency_ms=request.get("max_latency_ms"))
        retarget = bool(request.get("retarget"))
        if retarget:
            wanted = wanted or ("int8" if "int8" in offered else offered[0])
        # What is foreseen may be a little wrong: then the next network is cut with more room.
        precisions = [wanted] if wanted else offered
        attempts = [(p, margin) for p in precisions for margin in (MARGINS if retarget else (1.0,))]
        for precision, margin in attempts:
            candidate = folder / "candidate"
            if retarget:
                candidate, note = _retargeted(folder, said, precision, limits, margin, request)
                notes.append(note)
            one = FormatRequest.from_dict({"format": entry.id, "precision": precision})
            [made] = deliver.deliver(
                candidate, prepared, formats=[one], constraints=limits, tolerance=float(tolerance),
                metric=str(said["metric"]), out=out, run_in_child=children.run_in_child, deadline=None, emit=emit,
                scratch=folder / "verification", slots=1,
            )
            if isinstance(made, Artifact):
                path = out / made.filename
                if retarget:
                    # Beside the model's own artifact of that format, not in its place.
                    name = f"{path.stem}-{made.sha256[:8]}{path.suffix}"
                    made = made.changed(id=f"{made.id}-{made.sha256[:8]}", filename=name)
                return {"artifact": made.to_dict(), "path": str(path), "notes": notes}
            refused.append(made.to_dict())
    return {"refused": refused}


def _retargeted(
    folder: Path, said: dict[str, Any], precision: str, limits: Constraints, margin: float, request: dict[str, Any]
) -> tuple[Path, str]:
    """The folder of a candidate that was cut out of the kept supernet, and a line about it. Raises `InvalidInput`."""
    if not (folder / kit.SUPERNET).is_dir():
        raise InvalidInput.at(
            "retarget", "nothing but the network itself was kept: a job with --strategy once-for-all keeps its supernet",
            reason="NO_SUPERNET",
        )
    size = limits.max_size_bytes
    room = size and max(1, int(margin * (size - companions.expected_bytes(size))))
    milliseconds = limits.max_latency_ms and margin * limits.max_latency_ms
    answer = children.run_in_child(
        target="automl.nas.retargeting:choose_in_child", timeout_s=RETARGET_S, env=deliver.CHILD_ENV,
        memory_bytes=deliver.CHILD_MEMORY_BYTES,
        request={
            "supernet": str(folder / kit.SUPERNET), "prepared": str(folder / "data"), "out": str(folder / "retargeted"),
            "cache": str(request["cache"]), "metric": str(said["metric"]), "precision": precision, "max_size_bytes": room,
            "max_latency_ms": milliseconds,
        },
    )
    foreseen = "" if answer["ms"] is None else f", {answer['ms']:.3g} ms by the table"
    note = (
        f"nas-mobile:{answer['genotype']} with {answer['width']} channels at {answer['resolution']:.0%} of the resolution: "
        f"{answer['macs'] / 1e6:.2f} million multiplications{foreseen}"
    )
    return folder / "retargeted", note


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
