"""`preprocess.json` of series as TensorFlow operations: the preprocessing inside a SavedModel.

The meaning is `automl.data.series_encoder`'s; the golden suite and random series show that the two agree. TensorFlow is
imported at module level, so the catalogue's discovery leaves this module out (its name begins with an underscore).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class SeriesGraph(tf.Module):
    """From raw series float32 [b, any steps, channels], NaN where a value is missing or beyond the end, to the input."""

    def __init__(self, preprocess: Mapping[str, Any]):
        super().__init__()
        self.length, self.ragged = int(preprocess["length"]), bool(preprocess["ragged"])
        self.steps, self.channels = int(preprocess["inputs"]["steps"]), len(preprocess["channels"])
        self._shift, self._scale = np.asarray(preprocess["shift"], np.float32), np.asarray(preprocess["scale"], np.float32)
        self._clip = float(preprocess["clip"])

    @property
    def signature(self) -> list[tf.TensorSpec]:
        return [tf.TensorSpec((None, None, self.channels), tf.float32, name="series")]

    def encode(self, columns: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        raw = columns[0]
        there = tf.logical_not(tf.math.is_nan(raw))
        # At least `steps` + 1 steps, so that one can be cut off whatever came; and `length`, to which equal series go on.
        wanted = max(self.steps + 1, self.length)
        more = tf.maximum(0, wanted - tf.shape(raw)[1])
        raw = tf.pad(raw, [[0, 0], [0, more], [0, 0]])
        there = tf.pad(there, [[0, 0], [0, more], [0, 0]])
        place = tf.range(tf.shape(raw)[1])
        measured = tf.reduce_any(there, axis=2)
        lengths = tf.reduce_max(tf.where(measured, place[None, :] + 1, 0), axis=1)
        if not self.ragged:
            lengths = tf.maximum(lengths, self.length)
        filled = _filled(raw, there, place, self._shift)
        new = lengths
        if self.length > self.steps:
            new = tf.maximum(1, (2 * lengths * self.steps + self.length) // (2 * self.length))
            filled = _resampled(filled, lengths, new, self.steps)
            new = tf.where(lengths > 0, new, 0)
        values = tf.cast(filled[:, : self.steps], tf.float32)
        inside = tf.cast(tf.range(self.steps)[None, :] < new[:, None], tf.float32)[..., None]
        values = tf.clip_by_value((values - self._shift) * self._scale, -self._clip, self._clip)
        # Beyond the end interpolation holds values, not NaN, so that a product leaves zeros.
        values = values * inside
        return {"series": tf.concat([values, inside], axis=2) if self.ragged else values}


def _filled(raw: tf.Tensor, there: tf.Tensor, place: tf.Tensor, shift: np.ndarray) -> tf.Tensor:
    """float64 [b, steps, channels] without NaN: between the nearest values before and after, at the ends the nearest."""
    steps = tf.shape(raw)[1]
    position = place[None, :, None]
    before = _running_maximum(tf.where(there, position, -1))
    after = steps - 1 - tf.reverse(_running_maximum(tf.reverse(tf.where(there, steps - 1 - position, -1), [1])), [1])
    any_before, any_after = before >= 0, after <= steps - 1
    values = tf.cast(tf.where(there, raw, 0.0), tf.float64)
    low = _gathered(values, tf.where(any_before, before, tf.minimum(after, steps - 1)))
    high = _gathered(values, tf.where(any_after, after, tf.maximum(before, 0)))
    span = tf.cast(tf.maximum(after - before, 1), tf.float64)
    share = tf.cast(position - before, tf.float64) / span
    between = low + (high - low) * share
    filled = tf.where(any_before & any_after, between, tf.where(any_before, low, high))
    return tf.where(any_before | any_after, filled, tf.cast(shift, tf.float64))


def _running_maximum(x: tf.Tensor) -> tf.Tensor:
    """The largest so far along axis 1 of int32 [b, steps, channels] ≥ −1, by doubling."""

    def doubled(reach: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shifted = tf.pad(found, [[0, 0], [reach, 0], [0, 0]], constant_values=-1)[:, : tf.shape(found)[1]]
        return 2 * reach, tf.maximum(found, shifted)

    _, found = tf.while_loop(
        lambda reach, found: reach < tf.shape(found)[1], doubled, (tf.constant(1), x),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, x.shape[2]])),
    )
    return found


def _gathered(values: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """values[b, places[b, t, c], c]."""
    channels_first = tf.transpose(values, [0, 2, 1])
    found = tf.gather(channels_first, tf.transpose(places, [0, 2, 1]), batch_dims=2)
    return tf.transpose(found, [0, 2, 1])


def _resampled(values: tf.Tensor, old: tf.Tensor, new: tf.Tensor, steps: int) -> tf.Tensor:
    """float64 [b, any, channels] with `old` steps each → [b, steps, channels], of which the first `new` hold the means over
    their shares."""
    total = tf.pad(tf.cumsum(values, axis=1), [[0, 0], [1, 0], [0, 0]])
    old = tf.maximum(old, 1)
    ratio = tf.cast(old, tf.float64) / tf.cast(new, tf.float64)
    edges = tf.cast(tf.range(steps + 1), tf.float64)[None, :] * ratio[:, None]
    edges = tf.minimum(edges, tf.cast(old, tf.float64)[:, None])
    at = tf.minimum(tf.cast(edges, tf.int32), old[:, None] - 1)
    part = (edges - tf.cast(at, tf.float64))[..., None]
    integral = tf.gather(total, at, batch_dims=1) + part * tf.gather(values, at, batch_dims=1)
    return (integral[:, 1:] - integral[:, :-1]) / ratio[:, None, None]
