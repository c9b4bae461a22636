"""A delivered file and the proof that goes with it."""

from __future__ import annotations

import math

from automl.spec.job import Precision
from automl.spec.model import Frozen

_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


class Latency(Frozen):
    """Time for one example, batch 1."""

    median_ms: float
    p90_ms: float
    runs: int
    threads: int
    machine: str
    warm_up: int = 0
    """Calls before the first that counts; 0 in results of versions that didn't say."""


class Interval(Frozen):
    """Of 95 %, within which a metric's value is by the rows that it was measured on."""

    low: float
    high: float
    method: str
    """"Wilson" or "bootstrap, N resamples"."""

    @classmethod
    def of_share(cls, share: float, rows: int) -> Interval:
        """Wilson's score interval of a share of rows (Wilson 1927): sound near 0 and 1 too."""
        spread = _Z * _Z / rows
        centre, scale = share + spread / 2, 1 + spread
        half = _Z * math.sqrt((share * (1 - share) + spread / 4) / rows)
        return cls(low=max(0.0, (centre - half) / scale), high=min(1.0, (centre + half) / scale), method="Wilson")


class Verification(Frozen):
    """The artifact's bytes, run in their own runtime, against the float Keras model on the same held-out rows."""

    part: str
    """"test" or "validation": the rows used."""
    rows: int
    """On which they were compared."""
    held_out_rows: int = 0
    """In that part: more than `rows` where time was short, or the artifact slow. 0 in events of before this was told."""
    reference_rows: int = 0
    """On which the float model was run, all of them unless time was short."""
    metric: str
    float_value: float
    artifact_value: float
    interval: Interval | None = None
    """Of the artifact's value. None where the rows don't settle one, or time was short, and in events of older versions."""
    calibration_error: float | None = None
    """Of the artifact's probabilities: expected calibration error over 15 bins. None for numbers, and in such events."""
    calibration_shift: float | None = None
    """The artifact's calibration error less the float model's, on the same rows."""
    agreement: float
    """Share of rows with the same predicted class; for numbers, R² of the artifact against the float model."""
    max_difference: float
    """Largest absolute difference of the outputs."""
    tolerance: float
    passed: bool
    reason: str = ""
    """Why not, when it did not pass."""
    latency: Latency | None = None
    more_threads: tuple[Latency, ...] = ()
    """The same with more threads, of formats whose declaration asks for that."""
    peak_memory_bytes: int | None = None
    runtime: str
    """Name and version of what ran it, e.g. "ai-edge-litert 2.3.0"."""


class Fit(Frozen):
    """A file on the device that it is for, where that isn't the machine that verified it."""

    device: str
    latency_ms: float
    """Of one example, estimated from its multiplications: not measured."""
    macs: int
    activation_bytes: int


class Artifact(Frozen):
    """One file (SavedModel: a zip) of the result."""

    id: str
    """Unique in its model version: "tflite-int8", "saved-model"."""
    format: str
    precision: Precision
    filename: str
    size_bytes: int
    compressed_bytes: int
    """Of the file after gzip: what a download costs."""
    sha256: str
    parameters: int
    sparsity: float = 0.0
    """Share of exact zeros among the weights."""
    verification: Verification
    members: dict[str, str] = {}
    """SHA-256 of each companion inside the file, by its name."""
    fit: Fit | None = None
    proof: str = ""
    """What was measured, signed by the server's key, as JSON; "" before it is registered."""


class Refused(Frozen):
    """An artifact that was asked for and is not returned, and why."""

    format: str
    precision: Precision
    reason: str
