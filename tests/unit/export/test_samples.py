"""What stands in samples.json: few bytes, and what the float model really answers to it."""

from __future__ import annotations

import base64
import json
import pathlib
import types
import zlib
from typing import Any

import numpy as np
import pytest

from automl.export import candidate, verify
from automl.export.raw import pictures, series
from tests.unit.export import planted


def of_pictures(images: np.ndarray) -> tuple[list[dict[str, Any]], np.ndarray]:
    rows, inputs = pictures.samples(types.SimpleNamespace(inputs=lambda part: {"image": images}), len(images))
    return rows, inputs["image"]


def test_pictures_that_dont_compress_become_blocks_of_one_colour() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    rows, shown = of_pictures(noise)
    blocks = noise.astype(float).reshape(1, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(shown, blocks.repeat(4, axis=1).repeat(4, axis=2), atol=0.5)
    data = base64.b64decode(rows[0]["image"]["data"])
    np.testing.assert_array_equal(np.frombuffer(data, np.uint8).reshape(rows[0]["image"]["shape"]), shown[0])
    assert len(zlib.compress(json.dumps(rows).encode(), 9)) <= pictures.SAMPLE_BYTES


@pytest.mark.parametrize("shape", [(11, 300, 1), (3, 5, 3), (1, 1, 4), (90, 9, 3)])
def test_sides_that_blocks_dont_divide_lose_no_pixel(shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1, *shape)).astype(np.uint8)
    _, shown = of_pictures(noise)
    assert shown.shape == noise.shape
    # Blocks have their pixels' mean, so the whole keeps its own.
    np.testing.assert_allclose(shown.mean(axis=(1, 2)), noise.mean(axis=(1, 2)), atol=0.5)


def test_pictures_that_compress_stay_as_they_are() -> None:
    plain = np.zeros((2, 28, 28, 1), np.uint8)
    plain[0, 5:20, 7:9] = 255
    np.testing.assert_array_equal(of_pictures(plain)[1], plain)


@pytest.mark.parametrize(("values", "places"), [
    ([1000.01, 1000.06], 4), ([0.0, 7.2], 2), ([1e6, 2e6], -4), ([5.0, 5.0], 2), ([0.0, 0.0], 0), ([np.nan], 0), ([], 0),
])
def test_series_keep_three_digits_of_what_they_cover(values: list[float], places: int) -> None:
    assert series._places(np.array(values)) == places


def test_samples_take_few_bytes_and_have_the_float_models_outputs(tmp_path: pathlib.Path) -> None:
    waves = planted.plant_series(tmp_path)
    source = candidate.Candidate(waves.candidate)
    found = verify._samples(source, waves.data)
    assert 1 <= len(found["inputs"]) == len(found["outputs"]) <= verify.SAMPLE_ROWS
    assert len(found["inputs"]) == 1 or len(zlib.compress(verify._json(found), 9)) <= verify.SAMPLE_BYTES
    given = [np.array(row["series"], np.float32) for row in found["inputs"]]
    inputs = candidate.encode_raw(source.preprocess, {"series": given})
    np.testing.assert_allclose(np.asarray(source.model(inputs, training=False)), found["outputs"], rtol=1e-4, atol=1e-5)
    # Rounded, but the series that was prepared.
    whole = waves.data.raw("validation", limit=1)["series"][0][: len(given[0])]
    np.testing.assert_allclose(given[0], whole, atol=0.01 * np.ptp(given[0]))
