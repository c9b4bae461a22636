"""A policy of distortions: its strength follows its magnitude, its operations are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage, stats

from automl.techniques.data import randaugment

N, SIDE = 24, 20


def pictures(channels: int = 3) -> np.ndarray:
    """Smooth pictures with structure, so that what moves shows."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(N, SIDE, SIDE, channels)), (0, 2, 2, 0))
    low, high = noise.min((1, 2, 3), keepdims=True), noise.max((1, 2, 3), keepdims=True)
    return (20 + 200 * (noise - low) / (high - low)).astype(np.uint8)


def changed(variant: str, magnitude: int, operations: int = 2, seeds: int = 8) -> float:
    x, y = pictures(), np.eye(N, dtype=np.float32)
    step = randaugment.distorted(variant=variant, operations=operations, magnitude=magnitude)
    total = 0.0
    for seed in range(seeds):
        new, targets = step({"image": x}, y, np.random.default_rng(seed))
        assert targets is y
        assert new["image"].dtype == np.uint8
        total += float(np.abs(new["image"].astype(float) - x).mean())
    return total / seeds


@pytest.mark.parametrize("variant", ["randaugment", "trivialaugment", "augmix"])
def test_strength_follows_magnitude(variant):
    found = [changed(variant, magnitude) for magnitude in (1, 10, 20, 30)]
    assert found == sorted(found)
    assert found[-1] > 1.15 * found[0]


def test_strength_follows_the_number_of_operations():
    found = [changed("randaugment", 15, operations) for operations in (1, 2, 3)]
    assert found == sorted(found)


FIXED = {"autocontrast", "equalize"}


@pytest.mark.parametrize("name", sorted(set(randaugment.OPERATIONS) - FIXED))
def test_each_operation_grows_from_nothing_with_its_strength(name):
    x = pictures()
    operation = randaugment.OPERATIONS[name]
    sizes = [
        np.abs(operation(x, np.full(N, s, np.float32)).astype(float) - x).mean() for s in (0.0, 0.25, 0.5, 1.0)
    ]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1


PILLOW = {
    "autocontrast": lambda image, s: ImageOps.autocontrast(image),
    "posterize": lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
    "solarize": lambda image, s: ImageOps.solarize(image, round(256 * (1 - abs(s)))),
    "brightness": lambda image, s: ImageEnhance.Brightness(image).enhance(1 + 0.9 * s),
    "sharpness": lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * s),
}


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("s", [0.5, -0.25])
def test_operations_agree_with_pillows(name, s):
    x = pictures()[:6]
    found = randaugment.OPERATIONS[name](x, np.full(6, s, np.float32))
    for old, new in zip(x, found):
        expected = np.asarray(PILLOW[name](Image.fromarray(old), s)).astype(float)
        # Pillow cuts off what we round.
        assert np.abs(new - expected).max() <= 2


def test_equalised_values_keep_their_order_and_are_spread_evenly():
    x = pictures(1)
    found = randaugment.OPERATIONS["equalize"](x, np.zeros(N, np.float32))
    for old, new in zip(x[..., 0].reshape(N, -1), found[..., 0].reshape(N, -1)):
        order = np.argsort(old, kind="stable")
        assert (np.diff(new[order].astype(int)) >= 0).all()
        assert (new.min(), new.max()) == (0, 255)
        assert stats.kstest(new / 255, "uniform").statistic < 0.05


def test_shifts_move_by_their_share_of_the_side():
    x = pictures()
    for name, axis in (("shift-down", 1), ("shift-across", 2)):
        found = randaugment.OPERATIONS[name](x, np.full(N, 0.5, np.float32))
        pixels = round(0.3 * 0.5 * SIDE)
        kept = np.take(x, range(pixels, SIDE), axis=axis)
        np.testing.assert_array_equal(np.take(found, range(SIDE - pixels), axis=axis), kept)


def test_shear_slopes_an_edge_as_scipy_does():
    x = pictures(1)[:3]
    found = randaugment.OPERATIONS["shear-across"](x, np.full(3, 1.0, np.float32))
    matrix, centre = np.array([[1.0, 0.0], [0.3, 1.0]]), np.full(2, (SIDE - 1) / 2)
    for old, new in zip(x[..., 0], found[..., 0]):
        expected = ndimage.affine_transform(
            old.astype(float), matrix, offset=centre - matrix @ centre, order=1, mode="nearest"
        )
        assert np.abs(new - expected).max() <= 1


def test_grey_pictures_and_constant_ones_survive():
    for x in (pictures(1), np.full((N, 8, 8, 3), 77, np.uint8), np.zeros((N, 5, 5, 1), np.uint8)):
        for variant in ("randaugment", "trivialaugment", "augmix"):
            step = randaugment.distorted(variant=variant, operations=3, magnitude=30)
            new, _ = step({"image": x}, np.zeros((N, 1)), np.random.default_rng(0))
            assert new["image"].shape == x.shape
