"""Writes the golden suite of `preprocess.json` of series: raw series, the document, and what encoders must make of them.

Three encoders are held to these files: `automl.data.series_encoder`, the client's, and the graph inside a SavedModel. The
expected numbers come from the first one; those that can be worked out by hand are so in
`tests/unit/data/test_series_encoder.py`. Run it after a deliberate change of meaning, and raise `encoder.VERSION` with it.

A file holds {"about", "preprocess", "raw": series as lists of steps of channels (null is missing), "expected": nested lists
[series, steps, channels]}.
"""

from __future__ import annotations

import json
import pathlib

import numpy as np

from automl.data import series_encoder

HERE = pathlib.Path(__file__).parent / "series"
NAN = float("nan")


def document(channels, *, steps, length=None, ragged=False, shift=None, scale=None, clip=10.0):
    return {
        "version": 1, "modality": "series", "task": "timeseries-classification", "kind": "classification",
        "target": "label", "classes": ["a", "b"], "metric": "accuracy", "output": "probabilities",
        "missing": ["", "?"], "channels": [f"dim_{i}" for i in range(channels)], "length": length or steps,
        "ragged": ragged, "fill": "linear", "shift": shift or [0.0] * channels, "scale": scale or [1.0] * channels,
        "clip": clip, "source": {"form": "ts"}, "inputs": {"steps": steps, "channels": channels + ragged},
    }


def waves(seed, lengths, channels, missing=0.0):
    rng = np.random.default_rng(seed)
    found = []
    for length in lengths:
        values = np.round(np.cumsum(rng.normal(size=(length, channels)), axis=0), 3)
        values[rng.random(values.shape) < missing] = NAN
        found.append(values.tolist())
    return found


def cases():
    yield (
        "equal", "series of one length, scaled and bounded",
        document(2, steps=5, shift=[1.0, -2.0], scale=[0.5, 2.0], clip=3.0), waves(1, [5, 5, 5], 2),
    )
    yield (
        "equal-others", "of a model for one length: shorter series hold their last values, longer ones are cut off, one has "
        "no value", document(1, steps=4, shift=[0.5]), [[[1.0], [2.0]], [[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]], [[NAN]]],
    )
    yield (
        "gaps", "missing values inside, at both ends, and a whole channel; all missing at the end is no step",
        document(2, steps=6, ragged=True, shift=[0.25, 7.0]),
        [
            [[NAN, 1.0], [2.0, NAN], [NAN, NAN], [NAN, 4.0], [8.0, NAN], [NAN, NAN]],
            [[1.0, NAN], [NAN, NAN], [3.0, NAN]],
            [[NAN, NAN], [NAN, NAN]],
            [[NAN, NAN], [NAN, 5.0], [1.0, NAN]],
        ],
    )
    yield (
        "ragged", "lengths from one to beyond the longest that was learnt from", document(3, steps=7, ragged=True),
        waves(2, [1, 3, 7, 9], 3, missing=0.2),
    )
    yield (
        "resampled", "longer than the network sees: means over shares, all by one factor",
        document(1, steps=4, length=10, ragged=True, scale=[0.5]), waves(3, [10, 9, 5, 3, 1, 12, 25], 1),
    )
    yield (
        "resampled-equal", "the same for series of one length, with gaps",
        document(2, steps=6, length=9), waves(4, [9, 9, 4, 14], 2, missing=0.3),
    )


def case(name, about, preprocess, raw):
    """One golden file's content."""
    given = [np.array(one, float).reshape(len(one), -1) for one in raw]
    found = series_encoder.SeriesEncoder(preprocess).encode(given)["series"]
    return {
        "about": about,
        "preprocess": preprocess,
        "raw": [[[None if v != v else v for v in step] for step in one] for one in raw],
        "expected": [[[float(str(np.float32(v))) for v in step] for step in one] for one in found],
    }


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, *rest in cases():
        (HERE / f"{name}.json").write_text(json.dumps(case(name, *rest), ensure_ascii=False) + "\n", encoding="utf-8")
