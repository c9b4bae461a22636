"""Steps on batches: what moves, by how much, how often, and what targets become."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from automl.catalog import techniques
from automl.techniques.data import color_jitter, geometry, mixing, occlusion, tabular_noise

B, H, W = 64, 12, 16


def pictures(seed: int = 0, h: int = H, w: int = W, channels: int = 3):
    rng = np.random.default_rng(seed)
    return {"image": rng.integers(0, 256, (B, h, w, channels), np.uint8)}, np.eye(4, dtype=np.float32)[rng.integers(0, 4, B)]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


STEPS = [
    t for t in techniques
    if t.apply(__import__("automl.catalog", fromlist=["TrainPlan"]).TrainPlan(), **{
        n: d.default for n, d in t.params.items()
    }).batch_steps
]


@pytest.mark.parametrize("technique", STEPS, ids=lambda t: t.id)
def test_a_step_keeps_shapes_and_types_and_its_arguments(technique, apply):
    x, y = pictures()
    if technique.modalities == {"text"}:
        x = {"tokens": np.random.default_rng(0).integers(2, 50, (B, 30)).astype(np.int32),
             "ngrams": np.random.default_rng(1).integers(1, 50, (B, 40)).astype(np.int32)}
    elif technique.modalities == {"series"}:
        x = {"series": np.random.default_rng(0).normal(size=(B, 30, 3)).astype(np.float32)}
    elif "image" not in technique.modalities or technique.id == "tabular-noise":
        x = {"numeric": np.random.default_rng(0).normal(size=(B, 3)).astype(np.float32),
             "categorical": np.random.default_rng(0).integers(0, 5, (B, 2)).astype(np.int32)}
    before = {name: a.copy() for name, a in x.items()}
    for component in apply(technique.id).batch_steps:
        new, soft = component.make()(x, y, rng())
        again, _ = component.make()(x, y, rng())
        for name in x:
            assert new[name].shape == x[name].shape
            assert new[name].dtype == x[name].dtype
            np.testing.assert_array_equal(x[name], before[name], err_msg="changed in place")
            np.testing.assert_array_equal(new[name], again[name], err_msg="not repeatable")
        assert any((new[name] != x[name]).any() for name in x)
        np.testing.assert_allclose(soft.sum(1), 1, atol=1e-5)
        assert soft.dtype == np.float32


@pytest.mark.parametrize(("axes", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_flip_mirrors_about_half_of_the_pictures_whole(axes, axis):
    x, y = pictures()
    new, _ = geometry.flipped(axes=axes)(x, y, rng())
    same = (new["image"] == x["image"]).all((1, 2, 3))
    mirrored = (new["image"] == np.flip(x["image"], axis + 1)).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.3 < mirrored.mean() < 0.7


@pytest.mark.parametrize("border", ["reflect", "zero"])
def test_a_random_crop_is_a_shift_within_the_padding(border):
    x, y = pictures()
    new, _ = geometry.cropped(padding=0.125, border=border)(x, y, rng())
    up, side = round(0.125 * H), round(0.125 * W)
    shifts = set()
    for old, cropped in zip(x["image"], new["image"]):
        padded = np.pad(old, ((up, up), (side, side), (0, 0)), **({"mode": "reflect"} if border == "reflect" else {}))
        found = [
            (i, j) for i in range(2 * up + 1) for j in range(2 * side + 1)
            if (padded[i : i + H, j : j + W] == cropped).all()
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert len(shifts) > (2 * up + 1) * (2 * side + 1) / 2


@pytest.mark.parametrize("degrees", [0.0, 10.0, 90.0, -37.0])
def test_rotation_agrees_with_scipy(degrees):
    h = w = 15
    x = pictures(h=h, w=w)[0]["image"][:4]
    theta = np.deg2rad(degrees)
    new = geometry.warped(x, np.full(4, np.cos(theta)), np.full(4, np.sin(theta)))
    matrix = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    centre = np.array([(h - 1) / 2, (w - 1) / 2])
    for old, turned in zip(x, new):
        for channel in range(3):
            expected = ndimage.affine_transform(
                old[..., channel].astype(float), matrix, offset=centre - matrix @ centre, order=1, mode="nearest"
            )
            assert np.abs(turned[..., channel] - expected).max() <= 1


def test_angles_stay_within_their_bound():
    """A vertical bar's direction, by its principal axis."""
    image = np.zeros((B, 41, 41, 1), np.uint8)
    image[:, 5:36, 19:22] = 255
    new, _ = geometry.rotated(degrees=20.0)({"image": image}, np.zeros((B, 1)), rng())
    rows, columns = np.mgrid[:41, :41] - 20
    weight = new["image"][..., 0].astype(float)
    mixed, spread = ((weight * moment).sum((1, 2)) for moment in (rows * columns, rows**2 - columns**2))
    angle = 0.5 * np.rad2deg(np.arctan2(2 * mixed, spread))
    assert np.abs(angle).max() < 21
    assert np.abs(angle).max() > 15
    assert angle.min() < 0 < angle.max()


def test_zoom_scales_a_disc_by_its_factor():
    rows, columns = np.mgrid[:41, :41] - 20
    disc = ((rows**2 + columns**2 <= 100) * 255).astype(np.uint8)
    image = np.repeat(disc[None, :, :, None], B, 0)
    new, _ = geometry.zoomed(factor=0.3)({"image": image}, np.zeros((B, 1)), rng())
    scale = np.sqrt(new["image"].astype(float).sum((1, 2, 3)) / image.astype(float).sum((1, 2, 3)))
    assert 1 / 1.33 < scale.min() < 0.85
    assert 1.2 < scale.max() < 1.33


def test_color_jitter_bounds_the_change_of_brightness_and_leaves_grey_pictures_grey():
    image = np.full((B, 4, 4, 3), 100, np.uint8)
    new, _ = color_jitter.jittered(strength=0.2)({"image": image}, np.zeros((B, 1)), rng())
    level = new["image"].mean((1, 2, 3))
    assert 79 <= level.min() < 90
    assert 110 < level.max() <= 121
    assert (new["image"] == new["image"][:, :1, :1, :1]).all()


def test_cutout_hides_a_square_of_the_side_asked_for():
    image = np.zeros((B, 16, 16, 3), np.uint8)
    new, _ = occlusion.squares(side=0.25)({"image": image}, np.zeros((B, 1)), rng())
    hidden = (new["image"] == occlusion.GREY).all(3)
    assert set(np.unique(new["image"])) == {0, occlusion.GREY}
    rows, columns = hidden.any(2).sum(1), hidden.any(1).sum(1)
    np.testing.assert_array_equal(hidden.sum((1, 2)), rows * columns)  # rectangles
    assert rows.max() == columns.max() == 4
    assert min(rows.min(), columns.min()) >= 2  # cut at the border at most to half
    assert len({tuple(np.argwhere(h)[0]) for h in hidden}) > 20  # in many places


def test_random_erasing_erases_a_share_of_pictures_up_to_an_area():
    image = np.zeros((400, 32, 32, 1), np.uint8)
    new, _ = occlusion.rectangles(share=0.5, area=0.3)({"image": image}, np.zeros((400, 1)), rng())
    touched = (new["image"] > 0).any((1, 2, 3))
    assert 0.42 < touched.mean() < 0.58
    area = (new["image"] > 0).mean((1, 2, 3))
    assert area.max() < 0.33


def test_mixup_targets_are_the_mixing_weights():
    x = {"image": np.zeros((B, 2, 2, 1), np.uint8), "numeric": np.zeros((B, 1), np.float32)}
    y = np.eye(2, dtype=np.float32)[np.arange(B) % 2]
    x["image"][y[:, 1] == 1] = 200
    x["numeric"][y[:, 1] == 1] = 1.0
    new, soft = mixing.mixed(alpha=1.0)(x, y, rng())
    np.testing.assert_allclose(new["numeric"][:, 0], soft[:, 1], atol=1e-6)
    np.testing.assert_allclose(new["image"][:, 0, 0, 0], 200 * soft[:, 1], atol=0.51)
    assert ((y * soft).sum(1) >= 0.5 - 1e-6).all(), "a row keeps at least half of itself"


def test_mixup_leaves_categories_and_mixes_numbers_as_targets():
    generator = np.random.default_rng(0)
    x = {"numeric": generator.normal(size=(B, 2)).astype(np.float32), "categorical": generator.integers(0, 9, (B, 3))}
    y = x["numeric"][:, :1] * 3
    new, target = mixing.mixed(alpha=0.4)(x, y, rng())
    np.testing.assert_array_equal(new["categorical"], x["categorical"])
    np.testing.assert_allclose(target, new["numeric"][:, :1] * 3, atol=1e-5)


def test_cutmix_targets_are_the_areas():
    y = np.eye(2, dtype=np.float32)[np.arange(B) % 2]
    x = {"image": np.repeat(y[:, 1].astype(np.uint8) * 255, 140).reshape(B, 10, 14, 1)}
    new, soft = mixing.pasted(alpha=1.0)(x, y, rng())
    np.testing.assert_allclose((new["image"] == 255).mean((1, 2, 3)), soft[:, 1], atol=1e-6)


def test_swap_noise_keeps_each_columns_values_and_its_rate():
    generator = np.random.default_rng(0)
    x = {"numeric": generator.normal(size=(2000, 3)).astype(np.float32) + np.array([0, 100, 200], np.float32),
         "categorical": generator.integers(0, 1000, (2000, 2))}
    new, _ = tabular_noise.disturb(swap=0.1, noise=0.0)(x, np.zeros((2000, 1)), rng())
    for name in x:
        for column in range(x[name].shape[1]):
            assert set(new[name][:, column]) <= set(x[name][:, column])
            assert (new[name][:, column] != x[name][:, column]).mean() == pytest.approx(0.1, abs=0.03)


def test_gaussian_noise_has_its_deviation_and_leaves_categories():
    x = {"numeric": np.zeros((5000, 2), np.float32), "categorical": np.ones((5000, 1), np.int32)}
    new, _ = tabular_noise.disturb(swap=0.0, noise=0.2)(x, np.zeros((5000, 1)), rng())
    assert new["numeric"].std() == pytest.approx(0.2, rel=0.03)
    np.testing.assert_array_equal(new["categorical"], x["categorical"])


def test_mixing_comes_behind_other_augmentations(apply):
    from automl.catalog import compose
    from automl.spec import Choice, Profile, Recipe

    data = Profile(modality="image", task="image-classification", rows=100, classes=2, outputs=2, image_shape=(8, 8, 3))
    ids = ["cutmix", "flip", "cutout", "standardization", "relu", "he", "adamw", "cross-entropy"]
    recipe = Recipe(task=data.task, architecture=Choice(id="convnet"), techniques=tuple(Choice(id=i) for i in ids))
    steps = [c.factory.rpartition(":")[2] for c in compose.plan_of(recipe, data).batch_steps]
    assert steps[-1] == "pasted"
    assert set(steps) == {"pasted", "flipped", "squares"}
