"""`preprocess.json` of series: raw series in, what a model takes out. This module owns its meaning.

    {"version": 1, "modality": "series", "task", "kind", "target", "classes", "metric", "output",
     "channels": ["dim_0", …],          measured values of a step, by name
     "length": 29, "ragged": true,      steps of the longest series that was learnt from; whether lengths differ
     "fill": "linear", "shift": […], "scale": […], "clip": 10.0,
     "source": {"form": "ts"},          how series come (below)
     "inputs": {"steps": 29, "channels": 13}}

A raw series is float [n, channels], NaN where a value is missing; it ends at the last step at which any channel has a
value. One after the other:

1. Where lengths don't differ (`ragged` false) what is shorter than `length` goes on, without values, up to it.
2. `fill` "linear": a missing value lies on the line between the nearest values of its channel before and after, at the
   ends it is the nearest one; a channel without any value is `shift`.
3. Where `length` is larger than `inputs.steps` the n steps become m = ⌊(2 n steps + length) / (2 length)⌋, at least 1: the
   j-th is the mean of the piecewise constant signal over [j n/m, (j + 1) n/m). All series shrink by the same factor, so
   that a second remains a second.
4. What is beyond `inputs.steps` is cut off.
5. (x − shift) · scale for each channel, then bounds of ± `clip`.
6. Zeros fill up to `inputs.steps` steps. With `ragged` a last channel says which steps are there (1) and which only
   fill (0).

`source` says how files give series: {"form": "ts"}; {"form": "wide", "columns": [steps' columns]}, one row a series with
one channel; {"form": "long", "series": id column, "time": {"name", "kind": "numeric" | "date", "format"} or null,
"columns": [one for each channel]}, one row a step, in the order of the time, or of the file. `missing` lists the texts
that mean a missing value in a table. """

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import encoder
from automl.data.series import Series, trimmed
from automl.spec import sizes
from automl.spec.errors import InvalidData, InvalidInput, Violation
from automl.spec.model import Json

CAP = sizes.SERIES_LENGTH
"""Steps of the longest series that a network sees; longer ones are resampled: a training step's work grows with it."""
CLIP = 10.0
"""Standard deviations beyond which a value says no more: one spike would else take the resolution of 8-bit integers."""


class SeriesEncoder:
    """A document, ready to encode. Raises `InvalidInput` for another version or modality."""

    def __init__(self, document: Mapping[str, Json]):
        if document.get("version") != encoder.VERSION or document.get("modality") != "series":
            raise InvalidInput.at(
                "preprocess",
                f"expected version {encoder.VERSION} of series, got version {document.get('version')!r} of "
                f"{document.get('modality')!r}",
            )
        self.length = int(document["length"])
        self.ragged = bool(document["ragged"])
        self.steps = int(document["inputs"]["steps"])
        self.channels = len(document["channels"])
        self._shift = np.asarray(document["shift"], np.float32)
        self._scale = np.asarray(document["scale"], np.float32)
        self._clip = np.float32(document["clip"])

    def encode(self, values: Iterable[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Raw series [n, channels] each as {"series": float32 [series, steps, channels (+ 1)]}.

        Raises `InvalidData` for a series with another number of channels."""
        given = list(values)
        out = np.zeros((len(given), self.steps, self.channels + self.ragged), np.float32)
        faults = [
            Violation(
                field=f"series {row + 1}", reason="WRONG_SHAPE",
                message=f"expected [steps, {self.channels}], got {list(np.shape(one))}",
            )
            for row, one in enumerate(given) if np.ndim(one) != 2 or np.shape(one)[1] != self.channels
        ]
        if faults:
            raise InvalidData(faults[:20])
        for row, one in enumerate(given):
            found = self._one(trimmed(np.asarray(one, np.float64)))
            out[row, : len(found), : self.channels] = found
            if self.ragged:
                out[row, : len(found), self.channels] = 1.0
        return {"series": out}

    def _one(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """A trimmed series [n, channels] as [up to `steps`, channels]."""
        if not self.ragged and len(values) < self.length:
            missing = np.full((self.length - len(values), self.channels), np.nan, np.float32)
            values = np.concatenate([values, missing])
        if not len(values):
            return values
        filled = _filled(values, self._shift)
        if self.length > self.steps:
            wanted = max(1, (2 * len(filled) * self.steps + self.length) // (2 * self.length))
            filled = resampled(filled, wanted)
        scaled = (filled[: self.steps].astype(np.float32) - self._shift) * self._scale
        return np.asarray(np.clip(scaled, -self._clip, self._clip), np.float32)


def _filled(values: NDArray[np.float32], shift: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n, channels] without NaN."""
    out = values.astype(np.float64)
    absent = np.isnan(out)
    for channel in np.flatnonzero(absent.any(axis=0)):
        there = np.flatnonzero(~absent[:, channel])
        gaps = np.flatnonzero(absent[:, channel])
        out[gaps, channel] = np.interp(gaps, there, out[there, channel]) if len(there) else shift[channel]
    return out


def resampled(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """[n, channels] → [steps, channels], each the mean over its share of the n steps."""
    if steps == len(values):
        return values
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    edges = np.arange(steps + 1) * (len(values) / steps)
    at = np.minimum(edges.astype(np.int64), len(values) - 1)
    # The integral up to an edge: whole steps before it, and its part of the step that it lies in.
    integral = total[at] + (edges - at)[:, None] * values[at]
    return np.diff(integral, axis=0) * (steps / len(values))


def document(
    series: Series, own: Sequence[NDArray[np.float32]], train: Sequence[NDArray[np.float32]], *, ragged: bool, task: str,
    kind: str, target: str, classes: tuple[str, ...], metric: str, cap: int = CAP,
) -> dict[str, Json]:
    """The document for series: lengths from the training and validation rows `own`, scaling from the training rows."""
    length = max(len(values) for values in own)
    steps, channels = min(length, cap), len(series.channels)
    shift, scale = _scaling(train, channels)
    return {
        "version": encoder.VERSION, "modality": "series", "task": task, "kind": kind, "target": target,
        "classes": list(classes), "metric": metric, "output": "probabilities", "missing": list(encoder.MISSING),
        "channels": list(series.channels), "length": length, "ragged": ragged, "fill": "linear",
        "shift": shift, "scale": scale, "clip": CLIP, "source": dict(series.form),
        "inputs": {"steps": steps, "channels": channels + ragged},
    }


def _scaling(train: Sequence[NDArray[np.float32]], channels: int) -> tuple[list[float], list[float]]:
    """(mean, 1 / standard deviation) of each channel's values, as float32 has them; 0 and 1 without any value or spread."""
    count, total, squares = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    for values in train:
        there = ~np.isnan(values)
        count += there.sum(axis=0)
        total += np.where(there, values, 0.0).sum(axis=0, dtype=np.float64)
    mean = total / np.maximum(count, 1)
    for values in train:
        squares += np.nansum((values.astype(np.float64) - mean) ** 2, axis=0)
    deviation = np.sqrt(squares / np.maximum(count, 1))
    # A deviation that is but rounding is none.
    scale = np.where(deviation > 1e-6 * np.maximum(1e-30, np.abs(mean)), 1 / np.maximum(deviation, 1e-30), 1.0)
    return [float(np.float32(m)) for m in mean], [float(np.float32(s)) for s in scale]
