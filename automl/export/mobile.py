"""Phones: a TFLite model for one row at a time with metadata, by which Android's and iOS's tools know what goes in and out.

What it changes: the `.tflite` file gets metadata, a batch of one, and a table of its latency by threads. Why it may help:
tools of Android and iOS then know by themselves what goes in and out. When it hurts: one row at a time is slow on
servers, and the metadata take some kilobytes. How: converted as for `tflite`, the metadata added to the flatbuffer, its
files appended.

The file is a `.tflite` like those of the format `tflite`, and runs wherever these do. Beside that:

- It holds TFLite's metadata (`TFLITE_METADATA`, the schema of tflite-support and MediaPipe): what the model is, each input
  and output with a description, for pictures their size, colours and normalisation, for classes the file of their names.
  Android Studio shows it and writes classes for it, MediaPipe's and tflite-support's libraries read it.
- The files that it names (`labels.txt`, `preprocess.json`) lie in the archive appended to the file with the other
  companions, uncompressed, as these libraries want them.
- The batch is fixed to 1, so that delegates (GPU, NNAPI, Core ML) can plan all memory; weights are aligned to 16 bytes.
- Its latency is measured with 1, 2 and 4 threads (as far as there are cores) and stands in the report with its size.

Pictures go in as they are, uint8 or their numbers from 0 to 255: the normalisation that the metadata states is the identity
(mean 0, deviation 1), because the model scales by itself. Of tables, texts and series the metadata name `preprocess.json`,
the rules by which raw rows become inputs: the schema has no place for them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import _flatbuffer, _metadata, companions, tflite
from automl.export import candidate as candidates

if TYPE_CHECKING:
    from automl.export.predictor import Predictor

FORMAT = catalog.format(
    id="mobile", precisions=("float32", "float16", "dynamic", "int8"), suffix=".mobile.tflite", runtime="ai-edge-litert",
    raw_input=False, exporter=f"{__name__}:write", doc=__doc__ or "", model="tflite", threads=(1, 2, 4),
    technique="edge-mobile", reference="TensorFlow Lite metadata schema, identifier M001 (2020)",
)
FILES = {companions.LABELS: "The classes, one a line, in the order of the outputs.",
         companions.PREPROCESS: "How raw rows become the model's inputs."}


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 2.5 + 2.0 * parameters / 1e6


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate; runs in a fresh child process. See `deliver` for the request."""
    source, precision = candidates.Candidate(Path(request["candidate"])), str(request["precision"])
    plain = tflite.contents(source, Path(request["prepared"]), precision, int(request["seed"]), batch=1)
    out, members = Path(request["out"]), companions.collected(Path(request["companions"]))
    described = _metadata.encoded(description(source, plain, carded=companions.CARD in members))
    content = _flatbuffer.rewritten(plain, lambda model: _flatbuffer.add_metadata(model, _metadata.NAME, described))
    out.write_bytes(content)
    companions.append(out, members, compressed=False)
    return {**tflite.account(source, content), "notes": tflite.notes_on(source, content, "mobile", precision)}


def description(source: candidates.Candidate, content: bytes, *, carded: bool) -> _metadata.Model:
    """What the metadata say of a model, its inputs and outputs in the order of the graph, and of its card if it has one."""
    preprocess = source.preprocess
    classes = list(source.classes)
    target = str(preprocess.get("target") or "the target")
    if classes:
        output = _metadata.Tensor(
            name="probabilities", description=f"Probability of each class of {target}.", low=[0.0], high=[1.0],
            files=[_metadata.File(companions.LABELS, FILES[companions.LABELS], _metadata.AXIS_LABELS)],
        )
    else:
        output = _metadata.Tensor(name="prediction", description=f"{target}, in its own unit.")
    said = f"{source.recipe.architecture.id} for {source.recipe.task}, recipe {source.recipe.identity} of automl."
    if carded:
        said += f" {companions.CARD} says how good it is."
    return _metadata.Model(
        name=f"{target}: {source.recipe.task}",
        description=said,
        inputs=[_input(name, shape) for name, shape in _flatbuffer.inputs(content)], outputs=[output],
        files=[_metadata.File(companions.PREPROCESS, FILES[companions.PREPROCESS], _metadata.DESCRIPTIONS)],
    )


def _input(name: str, shape: list[int]) -> _metadata.Tensor:
    if name == "image":
        return _metadata.Tensor(
            name=name, description="The picture, values from 0 to 255.", low=[0.0], high=[255.0],
            picture=_metadata.Picture(width=shape[2], height=shape[1], colours=shape[3]), mean=[0.0], deviation=[1.0],
        )
    said = {
        "numeric": "Numbers of the columns", "categorical": "Codes of the categories", "tokens": "Codes of words",
        "ngrams": "Codes of parts of words", "series": "The series, step by step",
    }
    size = math.prod(shape[1:])
    return _metadata.Tensor(
        name=name,
        description=f"{said.get(name, name)}: {size} values, which {companions.PREPROCESS} makes of a raw row.",
        files=[_metadata.File(companions.PREPROCESS, FILES[companions.PREPROCESS], _metadata.DESCRIPTIONS)],
    )


def load(path: Path, threads: int) -> Predictor:
    """Raises `ValueError` for bytes that are no TFLite model."""
    return tflite.load(path, threads)
