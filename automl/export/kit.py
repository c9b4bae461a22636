"""What is kept of a delivered model so that another artifact can be made of it later: a zip with the candidate and a few
rows of its data.

    candidate/model.keras, preprocess.json, recipe.json, result.json, and the files that quantisation-aware training made
    data/            a prepared data set in miniature: rows to calibrate with, rows for samples, held-out rows to verify on
    supernet/        weights.npz and space.json of the supernet that other networks can be cut out of, where there is one
    delivery.json    the metric and the tolerance of the job

The rows are the user's data; whoever deletes a model's kit deletes these rows too.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import candidate as candidates
from automl.export import companions, inference, verify
from automl.spec import Internal

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

FILENAME = "model.kit.zip"
HELD_OUT_ROWS = 2_000
MAX_BYTES = 2 * 2**30
"""Of a kit's contents; a zip may claim anything."""

SUPERNET, SUPERNET_FILES = "supernet", ("weights.npz", "space.json")
_CANDIDATE = (candidates.MODEL, "preprocess.json", "recipe.json", "result.json")
_DELIVERY = "delivery.json"


def pack(
    candidate: Path, prepared: PreparedDataset, out: Path, *, metric: str, tolerance: float, supernet: Path | None = None
) -> None:
    """Writes the kit of a candidate; the file appears whole or not at all."""
    from automl.data import miniature

    rows = miniature.Rows(train=inference.REPRESENTATIVE_ROWS, validation=verify.SAMPLE_ROWS, test=HELD_OUT_ROWS)
    temporary = out.with_name(out.name + ".part")
    with tempfile.TemporaryDirectory(prefix="automl-kit-") as folder:
        data = miniature.write(prepared, Path(folder) / "data", rows)
        with zipfile.ZipFile(temporary, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in (*_CANDIDATE, *candidates.trained_files(candidate)):
                archive.writestr(companions.entry(f"candidate/{name}"), (candidate / name).read_bytes())
            for file in sorted(path for path in data.path.rglob("*") if path.is_file()):
                archive.writestr(companions.entry(f"data/{file.relative_to(data.path).as_posix()}"), file.read_bytes())
            if supernet is not None:
                for name in SUPERNET_FILES:
                    archive.writestr(companions.entry(f"{SUPERNET}/{name}"), (supernet / name).read_bytes())
            said = {"metric": metric, "tolerance": tolerance}
            archive.writestr(companions.entry(_DELIVERY), json.dumps(said))
    temporary.replace(out)


def unpack(kit: Path, folder: Path) -> dict[str, Any]:
    """Puts a kit's files into `folder`; returns the job's "metric" and "tolerance". Raises `Internal` for a damaged one."""
    try:
        with zipfile.ZipFile(kit) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                raise Internal(f"{kit.name} claims more than {MAX_BYTES} bytes")
            for info in archive.infolist():
                if ".." not in Path(info.filename).parts and not Path(info.filename).is_absolute():
                    archive.extract(info, folder)
        return dict(json.loads((folder / _DELIVERY).read_text(encoding="utf-8")))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Internal(f"the model's kit can't be read: {error}") from error
