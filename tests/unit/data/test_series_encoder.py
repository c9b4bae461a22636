"""`preprocess.json` of series means what `automl.data.series_encoder` says: golden files, values worked out by hand."""

from __future__ import annotations

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from automl.data import series_encoder
from automl.data.series_encoder import SeriesEncoder
from automl.spec import InvalidData, InvalidInput

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "preprocess"
CASES = sorted((GOLDEN / "series").glob("*.json"))
NAN = np.nan


def make_module():
    found = importlib.util.spec_from_file_location("golden_make_series", GOLDEN / "make_series.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def document(**changes):
    return make_module().document(1, **{"steps": 4, **changes})


def encoded(preprocess, *values):
    return SeriesEncoder(preprocess).encode([np.array(v, float).reshape(len(v), -1) for v in values])["series"]


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_golden_files_are_what_the_encoder_gives(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    given = [np.array(one, float) for one in case["raw"]]
    found = SeriesEncoder(case["preprocess"]).encode(given)["series"]
    np.testing.assert_allclose(found, np.array(case["expected"]), atol=1e-6)


def test_the_golden_files_are_those_that_their_maker_writes():
    module = make_module()
    cases = {name: module.case(name, *rest) for name, *rest in module.cases()}
    assert set(cases) == {path.stem for path in CASES}
    for path in CASES:
        assert json.loads(path.read_text(encoding="utf-8")) == cases[path.stem]


def test_scaling_and_bounds_by_hand():
    found = encoded(document(shift=[2.0], scale=[0.5], clip=1.0), [2.0, 3.0, 10.0, -10.0])
    np.testing.assert_allclose(found[0, :, 0], [0.0, 0.5, 1.0, -1.0])


def test_missing_values_lie_on_the_line_between_their_neighbours():
    found = encoded(document(), [NAN, 1.0, NAN, 5.0], [2.0, NAN, NAN, NAN])
    np.testing.assert_allclose(found[0, :, 0], [1.0, 1.0, 3.0, 5.0])
    # Of series of one length the end goes on as it was.
    np.testing.assert_allclose(found[1, :, 0], 2.0)


def test_the_mask_says_which_steps_are_there():
    found = encoded(document(ragged=True, shift=[1.0]), [3.0, 4.0], [5.0, NAN, NAN, NAN])
    np.testing.assert_allclose(found[0], [[2, 1], [3, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(found[1], [[4, 1], [0, 0], [0, 0], [0, 0]])


def test_a_channel_without_a_value_is_the_mean():
    preprocess = make_module().document(2, steps=2, shift=[1.0, 7.0])
    found = SeriesEncoder(preprocess).encode([np.array([[1.0, NAN], [3.0, NAN]])])["series"]
    np.testing.assert_allclose(found[0], [[0.0, 0.0], [2.0, 0.0]])


def test_resampling_takes_means_over_equal_shares():
    # Six steps become four: shares of one and a half.
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[:, None]
    np.testing.assert_allclose(
        series_encoder.resampled(values, 4)[:, 0],
        [(1 + 0.5 * 2) / 1.5, (0.5 * 2 + 3) / 1.5, (4 + 0.5 * 5) / 1.5, (0.5 * 5 + 6) / 1.5],
    )
    assert series_encoder.resampled(values, 6) is values
    # The mean of the whole stays, and repeating values is the way back of halving.
    np.testing.assert_allclose(series_encoder.resampled(values, 3).mean(), values.mean())
    np.testing.assert_allclose(series_encoder.resampled(values, 12)[::2], values)


def test_all_series_shrink_by_one_factor():
    found = encoded(document(steps=4, length=8, ragged=True), np.ones(8), np.ones(4), np.ones(1), np.ones(20))
    assert found[..., 1].sum(axis=1).tolist() == [4, 2, 1, 4]


def test_the_document_is_fitted_on_the_training_rows():
    from automl.data.series import Series

    train = [np.array([[1.0, 5.0], [3.0, 5.0]], np.float32), np.array([[5.0, NAN]], np.float32)]
    longer = np.zeros((700, 2), np.float32)
    data = Series("x.ts", "ts", [*train, longer], ("a", "b"), None)
    made = series_encoder.document(
        data, data.values, train, ragged=True, task="timeseries-classification", kind="classification", target="label",
        classes=("x", "y"), metric="accuracy",
    )
    assert (made["length"], made["inputs"]) == (700, {"steps": 512, "channels": 3})
    np.testing.assert_allclose(made["shift"], [3.0, 5.0])
    np.testing.assert_allclose(made["scale"], [1 / np.std([1, 3, 5]), 1.0], rtol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidInput, match="version 1 of series"):
        SeriesEncoder({"version": 1, "modality": "table"})
    with pytest.raises(InvalidData, match=r"series 2.*expected \[steps, 1\], got \[3, 2\]"):
        SeriesEncoder(document()).encode([np.zeros((3, 1)), np.zeros((3, 2))])
