"""Whether a model can be given in a format, found out with untrained weights before anything is trained.

A converter may refuse a model, crash on it or hang. `tried` builds a recipe's network as it is before training, writes each
format and precision in a child process, runs the file in its own runtime and compares a few rows with the network: what
doesn't come through is unconvertible, with the reason. A child that dies costs the artifact that it was at; the others are
tried in a new one.

What has been tried is known: `KNOWN` (written by `docs/conversions.py`) holds the answer for every architecture, format and
precision with the default recipe, and the versions of the libraries that gave it. With these versions installed a job
looks up instead of trying.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.catalog import Categorical
from automl.export import companions
from automl.export.deliver import CHILD_ENV, CHILD_MEMORY_BYTES, RunInChild, warm
from automl.spec import AutoMLError, FormatRequest, Recipe

if TYPE_CHECKING:
    from automl.catalog.space import Space
    from automl.data.prepared import PreparedDataset

KNOWN = Path(__file__).with_name("conversions.json")
LIBRARIES = ("tensorflow", "keras", "ai-edge-litert", "tflite-micro", "tf2onnx", "onnx", "onnxruntime")
ROWS = 8
"""That are compared."""
LEAST_S = 10.0
"""With less time a space's families aren't tried: a child would hardly have begun."""
ONE_S = 45.0
"""For one format and precision, before its converter counts as hanging."""
LEAST_RANGE, LEAST_DEVIATION, MOST_CERTAIN = 1e-6, 0.05, 0.99
"""Outputs of which a difference says something: of a number the range over rows; of probabilities the deviation over rows,
as a share of 1/classes, and the median of the largest, which is 1 where softmax says nothing but 1 and 0."""
SETTLED_ROWS = 64
"""By which an untrained network's scales are set."""
LEAST_VARIATION = 1e-2
"""Of a logit over rows, as a share of the largest logit, for it to be scaled up: of less float32's rounding would become a
difference."""
FLOAT_DIFFERENCE = 1e-3
"""Of a float32 file's outputs from the network's, as a share of their spread: more means another function."""


@functools.cache
def versions() -> dict[str, str]:
    """Of the libraries that convert and run; "" for one that isn't installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


@functools.cache
def _stored() -> dict[str, Any]:
    return dict(json.loads(KNOWN.read_text(encoding="utf-8"))) if KNOWN.is_file() else {"versions": {}, "answers": {}}


def known(architecture: str, modality: str, wanted: FormatRequest) -> str | None:
    """Why the architecture can't be given in the format with the default recipe, "" when it can; None when that isn't known
    for the libraries that are installed here."""
    stored = _stored()
    if any(version and stored["versions"].get(name) != version for name, version in versions().items()):
        return None
    answer = stored["answers"].get(f"{modality}/{architecture}", {}).get(f"{wanted.format}:{wanted.precision}")
    return None if answer is None else str(answer["reason"])


def tried(
    recipe: Recipe, prepared: PreparedDataset, formats: Sequence[FormatRequest], *, run_in_child: RunInChild,
    deadline: float | None = None,
) -> dict[str, dict[str, Any]]:
    """For each of `formats` (as text, "tflite:int8") {"reason": "" when it works, "size_bytes", "difference", "seconds",
    "vacuous": "" or why the difference says nothing}.

    Those for which no time was left until `deadline` (monotonic) are absent.
    """
    found: dict[str, dict[str, Any]] = {}
    left = [one for one in formats if not catalog.formats[one.format].lacking]
    for one in formats:
        if one not in left:
            found[str(one)] = {"reason": catalog.formats[one.format].lacking}
    with tempfile.TemporaryDirectory(prefix="automl-convertible-") as folder:
        while left and (deadline is None or time.monotonic() < deadline):
            progress = Path(folder) / "progress.jsonl"
            progress.write_text("", encoding="utf-8")
            limit = ONE_S * (1 + len(left))
            if deadline is not None:
                limit = min(limit, max(1.0, deadline - time.monotonic()))
            failure = ""
            cut = False
            try:
                run_in_child(
                    target=f"{__name__}:try_all", preload=warm(), env=CHILD_ENV, memory_bytes=CHILD_MEMORY_BYTES,
                    timeout_s=limit,
                    request={
                        "recipe": recipe.to_dict(), "prepared": str(prepared.path),
                        "formats": [one.to_dict() for one in left], "progress": str(progress),
                    },
                )
            except AutoMLError as error:
                failure = " ".join(str(error).split())
                # Time that was ours to end says nothing of the format that the child was at.
                cut = getattr(error, "kind", "") == "timeout" and limit < ONE_S * (1 + len(left))
            lines = [json.loads(line) for line in progress.read_text(encoding="utf-8").splitlines()]
            done = {line["format"]: line for line in lines if "reason" in line}
            begun = [line["format"] for line in lines if "reason" not in line and line["format"] not in done]
            if begun and failure and not cut:
                done[begun[-1]] = {"format": begun[-1], "reason": failure}
            if not done:
                # Not even the network could be built: none of the formats is to blame, and training will say it.
                break
            found |= {name: {key: value for key, value in line.items() if key != "format"} for name, line in done.items()}
            left = [one for one in left if str(one) not in found]
            if cut:
                break
    return found


def of_space(
    space: Space, prepared: PreparedDataset, formats: Sequence[FormatRequest], *, run_in_child: RunInChild, deadline: float,
) -> dict[str, dict[str, str]]:
    """For each family of a space, and each format, "" or why it can't be given in it; by its default recipe.

    What is known is looked up; the rest is tried, family by family, until `deadline` (monotonic): what is absent then isn't
    known, and is found out when the artifact is made.
    """
    families = next(d for d in space.dimensions if d.name == "architecture").domain
    assert isinstance(families, Categorical)
    modality = str(prepared.meta.modality)
    worthwhile = deadline - time.monotonic() >= LEAST_S
    found: dict[str, dict[str, str]] = {}
    for family in map(str, families.values):
        answers = {str(one): known(family, modality, one) for one in formats}
        found[family] = {name: why for name, why in answers.items() if why is not None}
        unknown = [one for one in formats if answers[str(one)] is None]
        if unknown and worthwhile and time.monotonic() < deadline:
            recipe = space.recipe(space.complete({"architecture": family}), 0)
            said = tried(recipe, prepared, unknown, run_in_child=run_in_child, deadline=deadline)
            found[family] |= {name: str(answer["reason"]) for name, answer in said.items()}
    return found


# --- in the child ---------------------------------------------------------------------------------------------------------


def try_all(request: dict[str, Any]) -> dict[str, Any]:
    """Builds the network and tries each format; says before and after each what it is at, as a line of `progress`."""
    import numpy as np

    from automl.data.prepared import PreparedDataset
    from automl.export import candidate as candidates

    keras = candidates.load_keras()
    prepared = PreparedDataset.open(Path(request["prepared"]))
    recipe = Recipe.from_dict(request["recipe"])
    progress = Path(request["progress"])

    def say(line: dict[str, Any]) -> None:
        with progress.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    with tempfile.TemporaryDirectory(prefix="automl-untrained-") as name:
        source, inputs = _untrained(recipe, prepared, Path(name))
        rows = {key: np.asarray(value[:ROWS]) for key, value in inputs.items()}
        expected = np.asarray(source.model(source.encode(rows), training=False), np.float32)
        vacuous = vacuous_reason(expected)
        for wanted in map(FormatRequest.from_dict, request["formats"]):
            say({"format": str(wanted)})
            began = time.monotonic()
            try:
                size, difference = _one(source, prepared, wanted, Path(name), expected)
                said: dict[str, Any] = {"reason": "", "size_bytes": size, "difference": difference, "vacuous": vacuous}
            except Exception as error:  # noqa: BLE001 — whatever a converter raises is the answer.
                said = {"reason": _sentence(error)}
            say({"format": str(wanted), **said, "seconds": round(time.monotonic() - began, 2)})
    keras.backend.clear_session()
    return {}


def _untrained(recipe: Recipe, prepared: PreparedDataset, folder: Path) -> Any:
    """A candidate with the weights that a training would begin with, and some of the data's rows.

    Where no difference from its outputs would say anything the network is settled (see `_settle`). A family that a library
    fits is fitted, which takes a second: nothing else fills its tables. Where the few rows lack a class it can't be, and its
    outputs are the same for all rows.
    """
    import numpy as np

    from automl.architectures import model as architectures
    from automl.catalog import compose
    from automl.data import miniature
    from automl.export import candidate as candidates
    from automl.spec import Fidelity
    from automl.tasks import head
    from automl.training import samples, trainer

    meta = prepared.meta
    small = miniature.write(prepared, folder / "data", miniature.Rows(train=300, validation=ROWS, test=ROWS))
    of_each = meta.kind != "classification" or len(np.unique(small.target("train"))) == meta.profile.classes
    if catalog.architectures[recipe.architecture.id].fitted_by and of_each:
        fitted = folder / "fitted"
        trainer.train(
            recipe, small, fidelity=Fidelity(epochs=recipe.epochs), metric=str(meta.preprocess["metric"]), workdir=fitted,
            on_epoch=lambda measured: True,
        )
        return candidates.Candidate(fitted), small.inputs("test")
    plan = compose.plan_of(recipe, meta.profile).replace(precision="float32", resampling=None)
    shown = samples.load(small, plan, "train", Fidelity(epochs=1), recipe.seed)
    core = architectures.build_core(recipe, plan, meta.profile, shown.preprocess, shown.shown)
    settling = {name: array[:SETTLED_ROWS] for name, array in shown.shown.items()}
    if vacuous_reason(np.asarray(head.inference_model(core, meta)(settling, training=False))):
        _settle(core, settling)
    path = folder / "candidate"
    path.mkdir()
    head.inference_model(core, meta).save(path / candidates.MODEL)
    (path / "preprocess.json").write_text(json.dumps(shown.preprocess), encoding="utf-8")
    (path / "recipe.json").write_bytes(recipe.canonical_json())
    return candidates.Candidate(path), small.inputs("test")


def vacuous_reason(outputs: Any) -> str:
    """Why no difference from these outputs [n, outputs] would say anything; "" for outputs of ordinary spread."""
    import numpy as np

    if outputs.shape[1] == 1:
        return "" if float(np.ptp(outputs)) > LEAST_RANGE else "the network gives every row the same number"
    deviation, least = float(outputs.std(axis=0).max()), LEAST_DEVIATION / outputs.shape[1]
    if deviation < least:
        return f"the network's probabilities deviate by {deviation:.2g} over rows, expected at least {least:.2g}"
    certainty = float(np.median(outputs.max(axis=1)))
    if certainty > MOST_CERTAIN:
        return f"the network's largest probabilities have the median {certainty:.4f}, expected at most {MOST_CERTAIN:g}"
    return ""


def _settle(core: Any, inputs: dict[str, Any]) -> None:
    """Gives an untrained core the scales that a trained one has, so that a difference of outputs says something.

    Batch normalisations begin with a mean of 0 and a variance of 1, which normalises nothing: behind the residual branches
    of a transformer logits are some hundreds, softmax says 1 or 0, and a file of any precision agrees or says the opposite.
    They get the statistics of `inputs`. Other logits hardly vary, and anything agrees with a constant: the last layer is
    scaled and shifted so that each output has mean 0 and deviation 1 over the rows.
    """
    import keras
    import numpy as np

    from automl.layers import averagers
    from automl.tasks import head

    if normalizations := averagers.batch_normalizations(core):
        averagers.reestimate(core, normalizations, lambda: iter([inputs]))
    if not any(layer.name == head.LOCATION for layer in core.layers):
        return
    last = core.get_layer(head.LOCATION)
    outputs = np.asarray(keras.Model(core.input, last.output)(inputs, training=False), np.float64)
    middle = outputs.mean(axis=tuple(range(outputs.ndim - 1)))
    deviation = outputs.std(axis=0).reshape(-1, outputs.shape[-1]).mean(axis=0)
    deviation = np.where(deviation > LEAST_VARIATION * np.abs(outputs).max(), deviation, 1.0)
    kernel, bias = last.get_weights()
    last.set_weights([kernel / deviation, (bias - middle) / deviation])


def _one(source: Any, prepared: PreparedDataset, wanted: FormatRequest, folder: Path, expected: Any) -> tuple[int, float]:
    """Writes and runs one artifact; its size, and the largest difference as a share of the outputs' spread."""
    import numpy as np

    from automl.data.prepared import PreparedDataset
    from automl.export import verify

    entry = catalog.formats[wanted.format]
    module = importlib.import_module(entry.exporter.partition(":")[0])
    travelling = folder / "companions"
    travelling.mkdir(exist_ok=True)
    for name in companions.NAMES:
        (travelling / name).write_text("{}", encoding="utf-8")
    (travelling / companions.PREPROCESS).write_text(json.dumps(source.preprocess), encoding="utf-8")
    (travelling / companions.LABELS).write_bytes(companions.labels(source.classes))
    out = folder / f"untrained-{wanted.precision}{entry.suffix}"
    small = PreparedDataset.open(folder / "data")
    module.write({
        "candidate": str(source.path), "prepared": str(small.path), "precision": wanted.precision, "seed": 0,
        "companions": str(travelling), "out": str(out),
    })
    predictor = module.load(out, 1)
    rows = verify.Part(small, "test", predictor, out)
    outputs = predictor.predict(rows.take(np.arange(len(expected))))
    if outputs.shape != expected.shape:
        raise ValueError(f"the file gives outputs {list(outputs.shape)}, the network {list(expected.shape)}")
    if not np.isfinite(outputs).all():
        raise ValueError("the file's outputs are NaN or infinite")
    spread = 1.0 if expected.shape[1] > 1 else max(float(np.ptp(expected)), LEAST_RANGE)
    difference = float(np.abs(outputs - expected).max()) / spread
    if wanted.precision == "float32" and difference > FLOAT_DIFFERENCE:
        raise ValueError(f"the file computes something else: its outputs differ by {difference:.2g} of their range")
    return out.stat().st_size, difference


def _sentence(error: Exception) -> str:
    """What a converter raised, as one line within bounds."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"
