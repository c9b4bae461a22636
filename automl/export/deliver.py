"""The end of a job: the formats asked for, each written by a child process, verified by another, and returned or refused.

    reference (float model on the held-out rows, once)
        → for each format, in the order asked:  write → size limit → verify → latency limit → made | refused

What is refused says why; the reasons of limits name the nearest artifact that meets them, so these come last. A crash of
a converter, a file that its runtime rejects and a lack of time each cost that one artifact.
"""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from automl import catalog
from automl.catalog import compose, devices
from automl.export import candidate as candidates
from automl.export import card, companions, verify
from automl.report import quantities
from automl.spec import (
    Artifact,
    AutoMLError,
    Constraints,
    Fit,
    FormatRequest,
    Infeasible,
    Internal,
    Modality,
    Profile,
    Recipe,
    Refused,
    Verification,
)
from automl.spec.event import ArtifactMade, ArtifactRefused, Noted
from automl.spec.model import Json

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

Emit = Callable[[Any], None]
"""Takes a payload of `automl.spec.event`. Called from one thread at a time."""

CHILD_MEMORY_BYTES = 6 * 2**30
_REFERENCE_S = 4.0
_LIGHT = ("ai-edge-litert", "onnxruntime", "tflite-micro")
"""Runtimes that need no TensorFlow: their children start as bare interpreters."""
_VERIFY_S = {"ai-edge-litert": 1.0, "onnxruntime": 1.0, "tflite-micro": 1.0, "tensorflow": 3.0, "keras": 3.0}
"""Beside the time for the rows. These and the formats' own: measured with a warm fork server on two cores, of which other
work took one (idle: half of it; a bare interpreter instead of the fork server: 4 s more for each child with TensorFlow)."""
_MEMBER = 0.3
"""Share of a network's time by which each further member of an ensemble makes an artifact take longer."""
_WORTH = 0.4
"""An artifact is tried while so much of the time that it takes beside other work is left: it may take less."""
_GRACE_S = 10.0
"""A job that comes so much too late with one file is worth more than one that ends in time with none."""
_SLACK = 5.0
"""A child may take so many times its estimate before it is ended, and `_PATIENCE_S` at least; one that hangs must not
take the time of all others."""
_PATIENCE_S = 30.0
_CHILD_LIMIT_S = 600.0
"""Of a child when there is no deadline."""
_ROWS_LIMIT_S = 30.0
"""Of one artifact's predictions on the held-out rows."""


class RunInChild(Protocol):
    """Runs `module:function` on a request in a fresh process (`automl.execution.children.run_in_child`).

    Raises an `AutoMLError` whose text is for people when the child fails: an exception, a signal, its time or memory limit.
    """

    def __call__(
        self, *, target: str, request: dict[str, Json], timeout_s: float, memory_bytes: int | None = None,
        env: Mapping[str, str] | None = None, preload: str | None = None,
    ) -> dict[str, Json]: ...


CHILD_ENV = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
"""Artifacts are made and measured with TensorFlow on the CPU, whatever backend and device trained."""


def warm() -> str | None:
    """What a child with TensorFlow may be forked from: nothing where trainings run on another backend, since a process
    that has loaded Keras can't change it."""
    return "tensorflow" if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" else None


@dataclasses.dataclass(frozen=True)
class _Outsized:
    """Written and sound, but beyond a limit; refused at the end, when the nearest that meets it is known."""

    format: str
    precision: str
    exceeds: str
    """What and by how much: "is 231 KB, and at most 200 KB were asked for"."""


def deliver(
    candidate: Path,
    prepared: PreparedDataset,
    *,
    formats: Sequence[FormatRequest],
    constraints: Constraints,
    tolerance: float,
    metric: str,
    out: Path,
    run_in_child: RunInChild,
    deadline: float | None,
    emit: Emit,
    reference: Path | None = None,
    scratch: Path | None = None,
    part: str = "test",
    slots: int = 2,
    seed: int = 0,
) -> list[Artifact | Refused]:
    """Writes and verifies a candidate's artifacts; returns one result for each of `formats`, in their order.

    `candidate` is a candidate's folder, `out` the folder that gets the files (each appears whole or not at all).
    `deadline` is on the clock of `time.monotonic()`; an artifact for which too little time is left is refused, and with
    little time two are made at once if there are two `slots`. `reference` is the candidate whose model counts as the
    float model: the candidate itself, unless compression changed it. `emit` hears of each artifact as it is known.

    `scratch` (default: `verification` beside `out`) keeps `reference.json` (the float model's metrics on the held-out
    rows) and `predictions.npz` (`y`, `float`, `classes`, and each artifact's outputs under its id) for the report.

    Raises the child's error when the float model itself can't be run; failures of single artifacts are results, not errors.
    """
    job = _Delivery(
        source=candidates.Candidate(Path(candidate)), prepared=prepared, constraints=constraints, tolerance=tolerance,
        metric=metric, out=Path(out), scratch=Path(scratch) if scratch is not None else Path(out).parent / "verification",
        run_in_child=run_in_child, deadline=deadline, emit=emit, part=part, slots=slots, seed=seed,
        float_candidate=Path(reference) if reference is not None else Path(candidate),
    )
    return job.run(list(formats))


def held_out_metrics(scratch: Path) -> dict[str, float]:
    """Every metric of the float model on the held-out rows, as the delivery into `scratch` measured them.

    Raises `FileNotFoundError` when no delivery came so far.
    """
    return dict(json.loads((scratch / verify.ACCOUNT).read_text(encoding="utf-8"))["metrics"])


def estimate_s(
    formats: Sequence[FormatRequest], *, parameters: int = 100_000, rows: int = 10_000, slots: int = 1, graphs: float = 1.0,
    modality: str = "image",
) -> float:
    """Seconds that `deliver` takes for a model of so many parameters and so many held-out rows, so that they can be
    reserved. `graphs`: of the model, see the function of that name.

    The rows' share is a guess until the model is known, and verification predicts fewer rows rather than be late. `slots`
    doesn't shorten it: with time enough artifacts are made one after the other, so that latencies are measured undisturbed.
    """
    del slots
    pass_s = _rows_s(parameters, rows, modality)
    return _REFERENCE_S + pass_s + sum(_artifact_s(wanted, parameters, graphs, modality) + pass_s for wanted in formats)


def graphs(recipe: Recipe, profile: Profile) -> float:
    """How many times the time of a plain network an artifact of this one takes to write: by the architecture's factor, and
    for each further member of an ensemble `_MEMBER` of it."""
    families = [(catalog.architectures[member.architecture.id], member.architecture) for member in recipe.single]
    factors = [family.conversion(profile, **compose.complete(choice, family.params)) for family, choice in families]
    return max(factors) + _MEMBER * (sum(factors) - max(factors))


def infeasible(results: Sequence[Artifact | Refused], constraints: Constraints) -> Infeasible | None:
    """The error to end a job with when limits were set and no artifact is left; None when one is, or nothing was
    limited."""
    if any(isinstance(result, Artifact) for result in results) or constraints == Constraints():
        return None
    reasons = [f"{_name(r.format, r.precision)}: {r.reason}" for r in results if isinstance(r, Refused)]
    return Infeasible("no artifact meets the limits: " + "; ".join(reasons))


def _rows_s(parameters: int, rows: int, modality: str) -> float:
    """One pass over the rows. Dense layers take 2 operations a parameter, and a bit around them; of texts nearly all
    parameters are vectors of words, of which a text needs a few; convolutions take a hundred and more: 16 is between."""
    operations = {Modality.TABLE: 3, Modality.TEXT: 1}.get(Modality(modality), 16)
    return min(_ROWS_LIMIT_S / 3, rows * (1e-5 + operations * parameters / 2e10))


def _artifact_s(wanted: FormatRequest, parameters: int, graphs: float, modality: str) -> float:
    """Seconds for one artifact beside its pass over the rows. Weights take their time where calibration computes with them
    at each place of a picture or series; 2 million of dense layers or of vectors of words make a conversion 0.2 s longer."""
    entry = catalog.formats[wanted.format]
    write_s = importlib.import_module(entry.exporter.partition(":")[0]).estimate_s
    counted = parameters // 20 if modality in (Modality.TABLE, Modality.TEXT) else parameters
    for_graph, for_weights = float(write_s(0)), float(write_s(counted)) - float(write_s(0))
    return graphs * (for_graph + _VERIFY_S.get(entry.runtime, 6.0)) + for_weights


def _urgency(wanted: FormatRequest) -> int:
    """What is made first, should time run out: the smallest file, then each format as it is, then what lies between."""
    return ("int8", "float32").index(wanted.precision) if wanted.precision in ("int8", "float32") else 2


def _name(format: str, precision: str) -> str:
    return str(FormatRequest(format=format, precision=precision))


@dataclasses.dataclass
class _Delivery:
    source: candidates.Candidate
    float_candidate: Path
    prepared: PreparedDataset
    constraints: Constraints
    tolerance: float
    metric: str
    out: Path
    scratch: Path
    run_in_child: RunInChild
    deadline: float | None
    emit: Emit
    part: str
    slots: int
    seed: int

    def __post_init__(self) -> None:
        self._emitting = threading.Lock()
        self._account: dict[str, Any] = {}
        self._lanes = 1
        self._made = False
        self._waiting: dict[str, float] = {}
        """Artifacts that have no verdict yet, with the seconds that each takes beside its rows."""

    def run(self, formats: list[FormatRequest]) -> list[Artifact | Refused]:
        self.out.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)
        parameters = int(self.source.result.get("parameters") or 100_000)
        modality = self.prepared.meta.modality
        factor = graphs(self.source.recipe, self.prepared.meta.profile)
        self._waiting = {artifact_id(w): _artifact_s(w, parameters, factor, modality) for w in formats}
        self._account = self.run_in_child(
            target="automl.export.verify:reference", preload=warm(), env=CHILD_ENV, memory_bytes=CHILD_MEMORY_BYTES,
            timeout_s=_CHILD_LIMIT_S if self.deadline is None else max(1.0, self._latest()),
            request={
                "candidate": str(self.float_candidate), "prepared": str(self.prepared.path), "part": self.part,
                "out": str(self.scratch), "threads": self.slots, "seed": self.seed, "time_s": self._reference_rows_s(),
            },
        )
        rows, whole = int(self._account["rows"]), int(self._account["held_out_rows"])
        if rows < whole:
            self._emit(Noted(
                severity="warning",
                message=f"Time was short: the float model was run on {rows:,} of {whole:,} held-out rows, each class with "
                "its share, and its test figures and the files' are of these.",
            ))
        needed = sum(self._waiting.values()) + len(formats) * _rows_s(parameters, rows, modality)
        self._lanes = min(2, self.slots) if self._left() < 1.3 * needed else 1
        with ThreadPoolExecutor(self._lanes, thread_name_prefix="deliver") as lanes:
            tasks = {wanted: lanes.submit(self._one, wanted) for wanted in sorted(formats, key=_urgency)}
            outcomes = [tasks[wanted].result() for wanted in formats]
        made = [outcome for outcome in outcomes if isinstance(outcome, Artifact)]
        results: list[Artifact | Refused] = []
        for outcome in outcomes:
            if isinstance(outcome, _Outsized):
                reason = f"{outcome.exceeds}; {self._nearest(made, outcomes)}"
                results.append(self._refuse(outcome.format, outcome.precision, reason))
            else:
                results.append(outcome)
        self._store_predictions(made)
        return results

    def _one(self, wanted: FormatRequest) -> Artifact | Refused | _Outsized:
        """One format from nothing to its verdict."""
        fixed_s = self._waiting[artifact_id(wanted)]
        if lacking := catalog.formats[wanted.format].lacking:
            return self._refuse(wanted.format, wanted.precision, lacking)
        if self._latest() < _WORTH * fixed_s:
            return self._refuse(
                wanted.format, wanted.precision,
                f"no time was left: it takes about {fixed_s:.0f} s, and the budget had {max(0.0, self._left()):.1f} s left",
            )
        try:
            return self._make(wanted, fixed_s)
        except AutoMLError as error:
            return self._refuse(wanted.format, wanted.precision, _plain(error))
        finally:
            self._temporary(wanted).unlink(missing_ok=True)
            self._waiting.pop(artifact_id(wanted))

    def _make(self, wanted: FormatRequest, fixed_s: float) -> Artifact | Refused | _Outsized:
        entry = catalog.formats[wanted.format]
        final = self.out / filename(wanted)
        temporary = self._temporary(wanted)
        temporary.unlink(missing_ok=True)
        written = self.run_in_child(
            target=entry.exporter, preload=warm(), env=CHILD_ENV, memory_bytes=CHILD_MEMORY_BYTES,
            timeout_s=self._limit_s(fixed_s),
            request={
                "candidate": str(self.source.path), "prepared": str(self.prepared.path), "precision": wanted.precision,
                "companions": str(self._companions(wanted, final.name)), "out": str(temporary), "seed": self.seed,
            },
        )
        if not temporary.is_file():
            raise Internal("the converter ended without an error and without a file")
        size = temporary.stat().st_size
        limit = self.constraints.max_size_bytes
        # What a format packs beside the model, a runtime or sources, isn't limited.
        limited = int(written.get("limited_bytes", size))
        if limit is not None and limited > limit:
            what = "the file" if limited == size else "the model in the file"
            return _Outsized(
                wanted.format, wanted.precision,
                f"{what} is {quantities.size(limited)}, and at most {quantities.size(limit)} were asked for",
            )
        memory, most = written.get("activation_bytes"), self.constraints.max_memory_bytes
        if most is not None and memory is not None and int(memory) > most:
            return _Outsized(
                wanted.format, wanted.precision,
                f"its activations take {quantities.size(int(memory))} at once, and at most {quantities.size(most)} were "
                "asked for",
            )
        fit = self._fit(written)
        if (exceeds := self._unfit(written, fit)) is not None:
            return _Outsized(wanted.format, wanted.precision, exceeds)
        digest = verify.sha256(temporary)
        id = artifact_id(wanted)
        rows_s = self._rows_share_s()
        # Of another device the time is estimated, and was compared before.
        slowest = self.constraints.max_latency_ms if self._device.latency == "measured" else None
        verdict = Verification.from_dict(
            self.run_in_child(
                target="automl.export.verify:artifact", env=CHILD_ENV, memory_bytes=CHILD_MEMORY_BYTES,
                timeout_s=self._limit_s(fixed_s + rows_s),
                preload=None if entry.runtime in _LIGHT else warm(),
                request={
                    "artifact": str(temporary), "format": wanted.format, "sha256": digest,
                    "prepared": str(self.prepared.path), "part": self.part, "metric": self.metric,
                    "tolerance": self.tolerance, "reference": str(self.scratch),
                    "predictions": str(self.scratch / f"{id}.npy"), "threads": 1, "seed": self.seed,
                    "time_s": rows_s, "max_latency_ms": slowest,
                },
            )
        )
        if not verdict.passed:
            return self._refuse(wanted.format, wanted.precision, verdict.reason)
        if slowest is not None and verdict.latency is not None and verdict.latency.median_ms > slowest:
            return _Outsized(
                wanted.format, wanted.precision,
                f"one example takes {verdict.latency.median_ms:.3g} ms (median, one thread), "
                f"and at most {slowest:g} ms were asked for",
            )
        made = Artifact(
            id=id, format=wanted.format, precision=wanted.precision, filename=final.name, size_bytes=size,
            compressed_bytes=len(gzip.compress(temporary.read_bytes(), compresslevel=6, mtime=0)), sha256=digest,
            parameters=int(written["parameters"]), sparsity=float(written["sparsity"]), verification=verdict,
            members=companions.digests(temporary), fit=fit,
        )
        _appear(temporary, final)
        self._made = True
        for note in written.get("notes") or ():
            self._emit(Noted(message=str(note)))
        self._emit(ArtifactMade(artifact=made))
        return made

    @property
    def _device(self) -> devices.Device:
        return devices.of(self.constraints)

    def _fit(self, written: Mapping[str, Any]) -> Fit | None:
        """What a .tflite file is on the device that it is for; None on this machine, and of what isn't one."""
        macs = written.get("macs")
        if macs is None or (ms := self._device.estimated_ms(int(macs))) is None:
            return None
        memory = int(written["activation_bytes"])
        return Fit(device=self._device.id, latency_ms=ms, macs=int(macs), activation_bytes=memory)

    def _unfit(self, written: Mapping[str, Any], fit: Fit | None) -> str | None:
        """Why a file doesn't fit its device; None where it does, or nothing tells."""
        there = self._device.operations
        if there is not None and (lacking := sorted(set(written.get("operations") or ()) - there)):
            return f"{self._device.id} has no {', '.join(lacking)}"
        slowest = self.constraints.max_latency_ms
        if fit is not None and slowest is not None and fit.latency_ms > slowest:
            return (
                f"one example is estimated from {fit.macs:,} multiplications to take {fit.latency_ms:.3g} ms on "
                f"{fit.device}, and at most {slowest:g} ms were asked for"
            )
        return None

    def _companions(self, wanted: FormatRequest, name: str) -> Path:
        """A folder with what travels in this artifact."""
        folder = self.scratch / artifact_id(wanted)
        folder.mkdir(parents=True, exist_ok=True)
        text = card.model_card(
            self.source, format=wanted.format, precision=wanted.precision, filename=name, data_key=self.prepared.meta.key,
            content=self.prepared.meta.content, parts=self.prepared.meta.parts, metric=self.metric,
            validation=self.source.result.get("validation") or {}, test=self._account["metrics"], tolerance=self.tolerance,
        )
        contents: Mapping[str, bytes] = {
            companions.PREPROCESS: json.dumps(self.source.preprocess, ensure_ascii=False, separators=(",", ":")).encode(),
            companions.RECIPE: self.source.recipe.canonical_json(),
            companions.LABELS: companions.labels(self.source.classes),
            companions.CARD: text.encode(),
            companions.SAMPLES: (self.scratch / companions.SAMPLES).read_bytes(),
        }
        for member in companions.traveling(self.constraints.max_size_bytes):
            (folder / member).write_bytes(contents[member])
        return folder

    def _nearest(self, made: list[Artifact], outcomes: Sequence[object]) -> str:
        if made:
            best = min(made, key=lambda a: a.size_bytes)
            took = best.verification.latency
            speed = f" and takes {took.median_ms:.3g} ms" if took is not None else ""
            return f"{_name(best.format, best.precision)} meets the limits: it is {quantities.size(best.size_bytes)}{speed}"
        others = [f"{_name(o.format, o.precision)}: {o.exceeds}" for o in outcomes if isinstance(o, _Outsized)]
        return "no artifact of this model meets the limits" + (f" ({'; '.join(others)})" if len(others) > 1 else "")

    def _store_predictions(self, made: list[Artifact]) -> None:
        """`predictions.npz`: targets, the float model's outputs, and those of each artifact that reached every row."""
        import numpy as np

        temporary = self.scratch / "predictions.npz.part"
        with np.load(self.scratch / verify.REFERENCE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "rows"}
        for artifact in made:
            outputs = self.scratch / f"{artifact.id}.npy"
            if outputs.exists():
                arrays[artifact.id] = np.load(outputs, allow_pickle=False)
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        temporary.replace(self.scratch / "predictions.npz")

    def _refuse(self, format: str, precision: str, reason: str) -> Refused:
        refused = Refused(format=format, precision=precision, reason=reason)
        self._emit(ArtifactRefused(refused=refused))
        return refused

    def _emit(self, payload: Any) -> None:
        with self._emitting:
            self.emit(payload)

    def _temporary(self, wanted: FormatRequest) -> Path:
        """Beside the scratch files, with the suffix that Keras insists on."""
        return self.scratch / ("unverified-" + filename(wanted))

    def _left(self) -> float:
        """Seconds until the deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def _latest(self) -> float:
        """Seconds until the last moment: the deadline, and while nothing has been made somewhat later."""
        return self._left() + (0.0 if self._made else _GRACE_S)

    def _limit_s(self, expected_s: float) -> float:
        """The time limit of a child that is expected to take so long."""
        if self.deadline is None:
            return _CHILD_LIMIT_S
        return max(1.0, min(max(_PATIENCE_S, _SLACK * expected_s), self._latest()))

    def _reference_rows_s(self) -> float | None:
        """Seconds that the float model may predict: half of what the files leave, whose rows it decides; None where time
        isn't limited."""
        if self.deadline is None:
            return None
        return max(1.0, (self._left() - _REFERENCE_S - sum(self._waiting.values())) / 2)

    def _rows_share_s(self) -> float:
        """Seconds that one artifact may predict: its share of what the others without verdict leave."""
        if self.deadline is None:
            return _ROWS_LIMIT_S
        waiting = list(self._waiting.values())
        spare = self._lanes * self._left() - sum(waiting)
        return max(1.0, min(_ROWS_LIMIT_S, spare / max(1, len(waiting))))


def artifact_id(wanted: FormatRequest) -> str:
    """"tflite-int8", "saved-model"."""
    return str(wanted).replace(":", "-")


def filename(wanted: FormatRequest) -> str:
    """"model-int8.tflite", "model.keras"."""
    entry = catalog.formats[wanted.format]
    return f"model-{wanted.precision}{entry.suffix}" if len(entry.precisions) > 1 else f"model{entry.suffix}"


def _appear(temporary: Path, final: Path) -> None:
    """Moves a file to its place so that it is there whole or not at all, also after a power cut."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _plain(error: AutoMLError) -> str:
    """The error's text as one line, within bounds."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else text[:399] + "…"


__all__ = ["RunInChild", "artifact_id", "deliver", "estimate_s", "filename", "graphs", "infeasible", "held_out_metrics"]
