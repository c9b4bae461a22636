"""`verify(artifact, data)`: an artifact's own bytes on labelled rows, in their own runtime, in a process of its own.

    checks       the bytes and each companion against the proof beside the file; the companions against each other; the
                 bundled samples against the float model's answers to them
    measures     the metric with its interval, every other metric, calibration, latency by threads, peak memory, sizes
    comparison   with another artifact of the model (its float file), on the same rows: agreement, largest difference, loss

Nothing of the artifact is loaded in this process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import errors, predictor, proofs, runtimes, scores, types

TIMEOUT_S = 600.0
MEMORY_BYTES = 4 << 30
TOLERANCE = 0.01

_ALLOWED = {"float": 1e-3, "other": 0.35}
"""Largest difference of the bundled samples' outputs, as a share of their spread, beyond which the preprocessing isn't the
model's. Integers of 8 bits resolve 1/256 of a range in each of several layers; another model's tables miss by more."""
_OUTPUT_BYTES = 8 << 20
_TAIL_BYTES = 4096
_SIGNALS = {
    signal.SIGSEGV: "native code crashed", signal.SIGKILL: "usually for want of memory", signal.SIGABRT: "it aborted",
}


@dataclass(frozen=True)
class Limits:
    """Of the process that runs the artifact."""

    time_s: float = TIMEOUT_S
    memory_bytes: int | None = MEMORY_BYTES
    rows: int | None = None
    """Most rows to predict, drawn at random; None for all."""


@dataclass(frozen=True)
class Comparison:
    """With a float artifact of the same model, on the rows that both predicted."""

    file: str
    rows: int
    value: float
    """The other's metric."""
    loss: float
    """By how much the artifact's metric is worse; of errors, relative to the other's."""
    agreement: float
    max_difference: float
    calibration_error: float | None
    calibration_shift: float | None
    """The artifact's calibration error less the other's."""


@dataclass(frozen=True)
class Result:
    """What `verify` found. `faults` empty: the artifact is what it claims to be."""

    artifact: str
    sha256: str
    size_bytes: int
    compressed_bytes: int
    runtime: str
    data: str
    data_sha256: str
    rows: int
    """Labelled rows in the data…"""
    compared: int
    """… and of them, those that were predicted."""
    unlabelled: int
    unknown_labels: Mapping[str, int]
    metric: str
    value: float
    interval: types.Interval | None
    metrics: Mapping[str, float]
    calibration_error: float | None
    latency: tuple[Mapping[str, Any], ...]
    machine: str
    peak_memory_bytes: int | None
    comparison: Comparison | None
    sample_difference: float | None
    """Largest difference of the outputs for the bundled samples from the float model's; None where there are none."""
    sample_agreement: float | None
    proof: str
    """"valid", "absent" or "broken"."""
    key: str
    """The public key of the proof; "" without."""
    key_known: bool
    """The key is this user's, or was named."""
    members: Mapping[str, str]
    """SHA-256 by companion."""
    faults: tuple[proofs.Fault, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def verify(
    artifact: str | Path, data: str | Path, *, against: str | Path | None = None, target: str = "", metric: str = "",
    has_header: bool | None = None, threads: tuple[int, ...] = (1,), tolerance: float = TOLERANCE,
    keys: frozenset[str] = frozenset(), limits: Limits | None = None,
) -> Result:
    """Checks and measures an artifact on labelled rows.

    `against`: another artifact to compare with; None for the float file of the same model in the same folder, if one is
    there. `target`: the labels' column, if it isn't the one that the model learnt. `keys`: public keys that are known.

    Raises `NotFound`, `InvalidInput` and `InvalidData` for what can't be used, `Unavailable` for a runtime that isn't
    installed, `Internal` when the process that runs the artifact crashes or passes its limits. What isn't as it was proven
    is no error but one of the result's faults; `DataLoss` where it can't be run any more.
    """
    limits = limits or Limits()
    path = predictor.chosen(Path(artifact))
    sound = _bundle(path, keys)
    document = predictor.document(path)
    wanted = metric or str(document.get("metric") or ("accuracy" if document.get("classes") else "r2"))
    numbers = not document.get("classes")
    offered = [id for id in scores.METRICS if (id in scores.OF_NUMBERS) == numbers]
    if wanted not in offered:
        raise errors.InvalidInput.at("--metric", f"this model has no metric {wanted!r}; there are {', '.join(offered)}.")
    if not runtimes.light(path):
        predictor.check_runnable(path)
    other = _float_sibling(path, sound.members) if against is None else predictor.chosen(Path(against))
    notes = [*sound.notes]
    with tempfile.TemporaryDirectory(prefix="automl-verify-") as folder:
        request = {
            "data": str(data), "target": target, "has_header": has_header, "threads": list(threads), "rows": limits.rows,
            "time_s": 0.6 * limits.time_s, "memory_bytes": limits.memory_bytes,
        }
        try:
            account, arrays = _child(path, request, Path(folder) / "artifact.npz", limits)
        except (errors.InvalidInput, errors.Internal) as error:
            if sound.proof != "broken":
                raise
            found = " ".join(f"{fault.about}: {fault.message}" for fault in sound.faults)
            raise errors.DataLoss(f"{path.name} is not what was proven, and doesn't run: {found} ({error})") from error
        others: Mapping[str, NDArray[Any]] | None = None
        if other is not None:
            _, others = _child(other, {**request, "threads": [1]}, Path(folder) / "other.npz", limits)
    y, outputs = arrays["y"], arrays["outputs"]
    reached = ~np.isnan(outputs).all(axis=1)
    faults = [*sound.faults]
    y_reached, made = y[reached], outputs[reached]
    if not np.isfinite(made).all():
        bad = int((~np.isfinite(made).all(axis=1)).sum())
        faults.append(proofs.Fault("outputs", f"of {bad} of {len(made)} rows are NaN or infinite."))
        made = np.nan_to_num(made, nan=0.0, posinf=0.0, neginf=0.0)
    if document.get("classes") and made.shape[1] != len(document["classes"]):
        raise errors.InvalidInput.at(
            str(path), f"preprocess.json doesn't belong to this model: it has {len(document['classes'])} classes, and the "
            f"model gives {made.shape[1]} probabilities.", "PREPROCESS_MISMATCH",
        )
    values = {id: value for id in offered if not math.isnan(value := scores.METRICS[id](y_reached, made))}
    if wanted not in values:
        raise errors.InvalidData.at(str(data), f"{wanted} needs rows of two classes at least; these {len(made)} have one.")
    comparison = None
    if other is not None and others is not None:
        comparison = _compared(other, wanted, y, outputs, others, numbers)
        if comparison.loss > tolerance + 1e-9:
            faults.append(
                proofs.Fault(
                    "metric", f"{wanted} is {values[wanted]:.4f}, and {comparison.value:.4f} for {other.name} on the same "
                    f"rows: {comparison.loss:.4f} worse, and the tolerance is {tolerance:g}.",
                )
            )
    difference, agrees = _samples(arrays)
    exact = "float32" in path.name or sound.precision == "float32"
    if difference is not None and (fault := _samples_fault(difference, arrays["samples_float"], exact)):
        faults.append(fault)
    if account["done"] < account["rows"]:
        notes.append(f"{account['done']:,} of {account['rows']:,} rows were predicted, drawn at random.")
    return Result(
        artifact=str(path), sha256=sound.sha256, size_bytes=path.stat().st_size,
        compressed_bytes=len(gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)), runtime=account["runtime"],
        data=str(data), data_sha256=_sha256(Path(data)), rows=account["rows"], compared=account["done"],
        unlabelled=account["unlabelled"], unknown_labels=account["strange"], metric=wanted, value=values[wanted],
        interval=scores.interval(wanted, y_reached, made), metrics=values,
        calibration_error=None if numbers else scores.calibration_error(y_reached, made),
        latency=tuple(account["latency"]), machine=account["machine"], peak_memory_bytes=account["peak_memory_bytes"],
        comparison=comparison, sample_difference=difference, sample_agreement=agrees, proof=sound.proof, key=sound.key,
        key_known=sound.known, members=proofs.digests(sound.members), faults=tuple(faults), notes=tuple(notes),
    )


def statement(result: Result) -> dict[str, Any]:
    """What is signed of a result (see `proofs`)."""
    return {
        "artifact": {"filename": Path(result.artifact).name, "sha256": result.sha256, "size_bytes": result.size_bytes},
        "members": dict(result.members),
        "data": {"filename": Path(result.data).name, "sha256": result.data_sha256, "rows": result.compared},
        "verification": json.loads(json.dumps(dataclasses.asdict(result), default=dict)),
        "issued": datetime.now(UTC).isoformat(timespec="seconds"),
    }


# --- the bundle -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bundle:
    sha256: str
    members: dict[str, bytes]
    faults: tuple[proofs.Fault, ...]
    notes: tuple[str, ...]
    proof: str
    key: str
    known: bool
    precision: str
    """As the proof has it; "" without."""


def _bundle(path: Path, keys: frozenset[str]) -> _Bundle:
    """What can be told of an artifact without running it."""
    digest, members = _sha256(path), proofs.members_of(path)
    faults = proofs.contradictions(members)
    beside = proofs.path_of(path)
    if not beside.is_file():
        note = "There is no proof beside the file: nobody vouches for its bytes, and only whether they agree can be told."
        return _Bundle(digest, members, tuple(faults), (note,), "absent", "", False, "")
    try:
        proof = proofs.read(beside)
    except errors.InvalidInput as error:
        return _Bundle(digest, members, (*faults, proofs.Fault("proof", str(error))), (), "broken", "", False, "")
    found = proofs.faults(digest, members, proof)
    notes = () if proof.key in keys else (
        f"The proof is signed by the key {proof.key[:16]}…, which isn't one of yours: --key says whom you trust.",
    )
    named = {fault.about for fault in found}
    return _Bundle(
        digest, members, (*found, *(fault for fault in faults if fault.about not in named)), notes,
        "broken" if found else "valid", proof.key, proof.key in keys, str(proof.statement["artifact"].get("precision", "")),
    )


def _float_sibling(path: Path, members: Mapping[str, bytes]) -> Path | None:
    """The float32 file of the same model in the same folder: of the same recipe and tables, another file."""
    for suffix in runtimes.RUNTIMES:
        for one in sorted(path.parent.glob(f"*{suffix}")):
            if one == path or "float32" not in one.name:
                continue
            with contextlib.suppress(errors.InvalidInput):
                theirs = proofs.members_of(one)
                if all(theirs.get(name) == members.get(name) for name in ("preprocess.json", "recipe.json")):
                    return one
    return None


def _sha256(path: Path) -> str:
    """Of a file; of a folder over its files' names and digests."""
    if path.is_dir():
        held = hashlib.sha256()
        for file in sorted(one for one in path.rglob("*") if one.is_file()):
            held.update(f"{file.relative_to(path).as_posix()}\0{_sha256(file)}\n".encode())
        return held.hexdigest()
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


# --- the comparison -------------------------------------------------------------------------------------------------------


def _compared(
    other: Path, metric: str, y: NDArray[Any], outputs: NDArray[Any], others: Mapping[str, NDArray[Any]], numbers: bool
) -> Comparison:
    theirs = others["outputs"]
    if theirs.shape != outputs.shape or not np.array_equal(others["y"], y):
        raise errors.InvalidInput.at(str(other), "is of another model: it gives other outputs, or has other labels.")
    both = np.isfinite(outputs).all(axis=1) & np.isfinite(theirs).all(axis=1)
    before, after = scores.METRICS[metric](y[both], theirs[both]), scores.METRICS[metric](y[both], outputs[both])
    loss = before - after
    if metric in ("log-loss", "rmse", "mae"):
        loss = (after - before) / abs(before) if before else (math.inf if after > 0 else 0.0)
    errors_of = None if numbers else [scores.calibration_error(y[both], one[both]) for one in (outputs, theirs)]
    return Comparison(
        other.name, int(both.sum()), before, loss, scores.agreement(theirs[both], outputs[both]),
        float(np.abs(theirs[both] - outputs[both]).max()), None if errors_of is None else errors_of[1],
        None if errors_of is None else errors_of[0] - errors_of[1],
    )


def _samples(arrays: Mapping[str, NDArray[Any]]) -> tuple[float | None, float | None]:
    made, expected = arrays["samples"], arrays["samples_float"]
    if not made.size:
        return None, None
    if made.shape != expected.shape:
        return math.inf, 0.0
    return float(np.abs(made - expected).max()), scores.agreement(expected, made)


def _samples_fault(difference: float, expected: NDArray[Any], exact: bool) -> proofs.Fault | None:
    # Of probabilities the whole range, else what the samples' numbers cover.
    spread = 1.0 if expected.shape[1] > 1 else max(float(np.ptp(expected)), 0.1 * float(np.abs(expected).max()), 1e-12)
    allowed = _ALLOWED["float" if exact else "other"] * spread
    if difference <= allowed:
        return None
    return proofs.Fault(
        "preprocess.json", "or samples.json doesn't belong to this model: the bundled samples should give the float model's "
        f"outputs within {allowed:.3g}, and differ by up to {difference:.3g}.",
    )


# --- the child ------------------------------------------------------------------------------------------------------------


def _child(
    artifact: Path, request: Mapping[str, Any], out: Path, limits: Limits
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The account and the arrays of `automl_client.trial_run`. Raises as `verify`."""
    line = json.dumps({**request, "artifact": str(artifact), "out": str(out)}) + "\n"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "automl_client.trial_run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, start_new_session=True,
        )
        try:
            said, _ = process.communicate(line.encode(), timeout=limits.time_s)
        except subprocess.TimeoutExpired as error:
            raise errors.Internal(
                f"{artifact.name} was not done after {limits.time_s:g} s, and was stopped: --timeout gives it longer, "
                "--rows fewer rows."
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
        printed = log.read().decode("utf-8", "replace").strip()
    last = said[-_OUTPUT_BYTES:].strip().rpartition(b"\n")[2]
    if process.returncode == 2 and last:
        _raise(json.loads(last))
    if process.returncode != 0:
        raise errors.Internal(f"{artifact.name} could not be run: {_ending(process.returncode, printed, limits)}")
    account: dict[str, Any] = json.loads(last)
    with np.load(out, allow_pickle=False) as held:
        return account, {name: held[name] for name in held.files}


def _raise(said: Mapping[str, Any]) -> None:
    """The error that the child met."""
    kind: type[errors.AutoMLError] = getattr(errors, str(said["error"]), errors.Internal)
    violations = [errors.Violation(**one) for one in said["violations"]]
    raise kind(str(said["message"]), violations) if issubclass(kind, errors.InvalidInput) else kind(str(said["message"]))


def _ending(returncode: int, printed: str, limits: Limits) -> str:
    if returncode < 0:
        number = signal.Signals(-returncode)
        return f"its process was ended by {number.name} ({_SIGNALS.get(number, 'a signal')})."
    last = printed.splitlines()[-1] if printed else "without a word"
    if "MemoryError" in printed or "bad_alloc" in printed:
        limit = "its limit" if limits.memory_bytes is None else f"{limits.memory_bytes / 2**20:.0f} MiB"
        return f"it takes more memory than {limit}: --memory allows more."
    return f"its process ended with code {returncode}: {last}"
