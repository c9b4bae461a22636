"""Limits of size before training, for networks whose file is foreseen."""

from __future__ import annotations

import pytest

from automl.architectures import vgg
from automl.catalog import architectures, space
from automl.catalog.footprint import footprint
from automl.catalog.precisions import BYTES
from automl.export import companions
from automl.search import sizing
from automl.spec import Choice, Constraints, FormatRequest, Infeasible, Recipe, SearchSettings
from tests.unit.search.fakes import PICTURES, TABLE

SPACE = space.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution"))
INT8 = (FormatRequest(format="tflite", precision="int8"),)
FLOAT = (FormatRequest(format="tflite", precision="float32"),)


def recipe(family: str, **params) -> Recipe:
    made = SPACE.recipe(SPACE.complete({"architecture": family}), 0)
    whole = {**made.architecture.params, **params}
    return made.model_copy(update={"architecture": Choice(id=family, params=whole)})


def file_bytes(made: Recipe) -> int:
    family = architectures[made.architecture.id]
    return footprint(family.blueprint(PICTURES, **made.architecture.params), PICTURES.outputs).int8_bytes


def sized(made: Recipe, limits: Constraints, formats=INT8) -> Recipe | None:
    return sizing.within(SPACE, made, sizing.Limits.of(limits, formats))


def test_a_file_of_many_small_operations_is_judged_by_its_bytes():
    """By its weights alone it would be let through, and refused when it is written."""
    wide = recipe("nas-darts", width=16, cells=3)
    limits = Constraints(max_size_bytes=60_000)
    assert sizing.parameters(wide, PICTURES) < sizing.limit_parameters(limits, INT8)
    assert file_bytes(wide) > 60_000
    found = sized(wide, limits)
    assert found is not None
    assert file_bytes(found) + companions.expected_bytes(60_000) <= 60_000
    assert found.architecture.params["genotype"] == wide.architecture.params["genotype"]


def test_networks_drawn_by_hand_leave_room_for_what_stands_beside_their_weights():
    hand = space.derive(PICTURES.task, PICTURES, SearchSettings())
    wide = hand.recipe(hand.complete({"architecture": "vgg", "vgg.width": 32}), 0)
    for limit in (20_000, 50_000, 100_000):
        limits = sizing.Limits.of(Constraints(max_size_bytes=limit), INT8)
        made = sizing.within(hand, wide, limits)
        params = made.architecture.params
        beside = architectures["vgg"].overhead(PICTURES, **params)
        assert sizing.parameters(made, PICTURES) + beside + companions.expected_bytes(limit) <= limit
        assert params["stages"] == 3
        larger = wide.model_copy(
            update={"architecture": Choice(id="vgg", params={**params, "width": params["width"] + 1})}
        )
        assert limits.share(larger, PICTURES) > 1
    assert "an int8 file of about" in sizing.Limits(file_bytes=10_000).passed(wide, PICTURES)


@pytest.mark.parametrize("limit", [50_000, 100_000, 200_000])
def test_a_family_that_knows_its_files_may_have_a_weight_for_every_byte(limit):
    """A tenth more than where only the number of weights is known; what was let through isn't refused when it is built."""
    hand = space.derive(PICTURES.task, PICTURES, SearchSettings())
    limits = sizing.Limits.of(Constraints(max_size_bytes=limit), INT8, modality=PICTURES.modality)
    made = sizing.within(hand, hand.recipe(hand.complete({"architecture": "vgg", "vgg.width": 64}), 0), limits)
    beside = architectures["vgg"].overhead(PICTURES, **made.architecture.params)
    assert limits.shares(made, PICTURES)["file"] == (sizing.parameters(made, PICTURES) + beside) / limits.file_bytes
    statistics = 2 * sum(vgg.channels(PICTURES, **made.architecture.params))
    assert sizing.parameters(made, PICTURES) + statistics <= limits.most_parameters(made)
    blind = hand.recipe(hand.complete({"architecture": "vit"}), 0)
    assert architectures["vit"].overhead is None
    assert limits.most_parameters(blind) == int((limits.file_bytes - sizing.GRAPH_BYTES) / BYTES["int8"])


def test_what_a_technique_makes_travel_counts_as_part_of_the_file():
    profile = TABLE.changed(numeric_values=(2, 40, *[5_000] * 6))
    tables = space.derive(profile.task, profile, SearchSettings())
    plain = tables.recipe(tables.complete({"architecture": "mlp", "mlp.width": 32}), 0)
    assert all(choice.id != "quantile-scaling" for choice in plain.techniques)
    scaled = plain.model_copy(update={
        "techniques": (*[c for c in plain.techniques if c.id != "standardization"],
                       Choice(id="quantile-scaling", params={"knots": 256})),
    })
    limits = sizing.Limits.of(Constraints(max_size_bytes=20_000), INT8, modality=profile.modality)
    travels = round(4.4 * (2 + 40 + 6 * 0.8 * 256))
    more = limits.shares(scaled, profile)["file"] - limits.shares(plain, profile)["file"]
    assert more * limits.file_bytes == pytest.approx(travels, abs=1)
    assert limits.shares(scaled, TABLE) == limits.shares(plain, TABLE)  # where nothing is known of the columns


def test_a_network_that_turned_out_too_large_speaks_for_its_family():
    hand = space.derive(PICTURES.task, PICTURES, SearchSettings())
    wide = hand.recipe(hand.complete({"architecture": "vgg", "vgg.width": 24}), 0)
    foreseen = sizing.parameters(wide, PICTURES)
    limits = sizing.Limits(parameters=foreseen)
    assert sizing.within(hand, wide, limits) == wide
    known = limits.after(wide, PICTURES, int(1.004 * foreseen))
    assert sizing.within(hand, wide, known).architecture.params["width"] == 23
    assert known.after(wide, PICTURES, foreseen) == known
    assert limits.after(wide, PICTURES, 3 * foreseen).heavier == {"vgg": sizing.MOST_HEAVIER}
    other = hand.recipe(hand.complete({"architecture": "resnet", "resnet.width": 8}), 0)
    assert known.shares(other, PICTURES) == limits.shares(other, PICTURES)


def test_what_turned_out_too_heavy_is_expected_within_its_file_afterwards():
    """Of a family that doesn't know its files: they are judged by its weights."""
    hand = space.derive(PICTURES.task, PICTURES, SearchSettings())
    made = hand.recipe(hand.complete({"architecture": "vit"}), 0)
    limit = int(1.001 * BYTES["int8"] * sizing.parameters(made, PICTURES)) + 10_000
    limits = sizing.Limits.of(Constraints(max_size_bytes=limit), INT8, modality=PICTURES.modality)
    built = int(1.05 * limits.most_parameters(made))
    known = limits.after(made, PICTURES, built)
    found = sizing.within(hand, made, known)
    assert known.heavier["vit"] * sizing.parameters(found, PICTURES) <= known.most_parameters(found)


def test_what_fits_stays_as_it_is_and_what_never_can_is_named():
    small = recipe("nas-cell", width=8, cells=1)
    assert sized(small, Constraints(max_size_bytes=200_000)) is small
    assert sized(recipe("nas-darts", width=16, cells=8), Constraints(max_size_bytes=9_000)) is None
    with pytest.raises(Infeasible, match="no model of the space fits into 2500 bytes"):
        sizing.check_feasible(SPACE, Constraints(max_size_bytes=2_500), INT8)


def test_without_an_8_bit_file_weights_alone_count():
    wide = recipe("nas-darts", width=16, cells=3)
    assert sizing.limit_file_bytes(Constraints(max_size_bytes=60_000), FLOAT) is None
    assert sizing.limit_file_bytes(Constraints(max_parameters=10), INT8) is None
    weights = 4 * sizing.parameters(wide, PICTURES)
    enough = Constraints(max_size_bytes=weights + sizing.GRAPH_BYTES + companions.expected_bytes(weights) + 4)
    assert sized(wide, enough, FLOAT) is wide


def test_the_nearest_limit_counts():
    made = recipe("nas-cell", width=16)
    weights, content = sizing.parameters(made, PICTURES), file_bytes(made)
    costs = footprint(architectures["nas-cell"].blueprint(PICTURES, **made.architecture.params), PICTURES.outputs)
    loose = sizing.Limits(parameters=10 * weights, file_bytes=content // 2, memory_bytes=4 * costs.peak_bytes)
    assert loose.shares(made, PICTURES) == pytest.approx({"parameters": 0.1, "file": 2.0, "memory": 0.25}, rel=1e-3)
    assert loose.share(made, PICTURES) == pytest.approx(2.0, rel=1e-3)
    assert loose.passed(made, PICTURES).startswith("an int8 file of about")
    assert sizing.Limits().share(made, PICTURES) is None


def test_memory_narrows_what_needs_too_much_of_it():
    made = recipe("nas-cell", width=32)

    def peak(one: Recipe) -> int:
        net = architectures["nas-cell"].blueprint(PICTURES, **one.architecture.params)
        return footprint(net, PICTURES.outputs).peak_bytes

    limit = peak(made) // 2
    found = sized(made, Constraints(max_memory_bytes=limit))
    assert found is not None
    assert peak(found) <= limit
    assert found.architecture.params["genotype"] == made.architecture.params["genotype"]
    with pytest.raises(Infeasible, match="no model of the space computes within 100 bytes"):
        sizing.check_feasible(SPACE, Constraints(max_memory_bytes=100), INT8)


def test_latency_that_is_foreseen_narrows_too():
    """A millisecond for each thousand weights: the widest network below the limit is taken."""
    made = recipe("nas-cell", width=32)

    def foreseen(one: Recipe) -> float:
        return sizing.parameters(one, PICTURES) / 1000

    limits = sizing.Limits.of(Constraints(max_latency_ms=foreseen(made) / 3), INT8, foreseen)
    found = sizing.within(SPACE, made, limits)
    assert found is not None
    assert foreseen(found) <= sizing.LATENCY_MARGIN * limits.latency_ms
    assert limits.passed(made, PICTURES).startswith(f"about {foreseen(made):.3g} ms for one example")
    assert sizing.quickest(SPACE, limits) is None
    assert sizing.quickest(SPACE, sizing.Limits.of(Constraints(max_latency_ms=1e-3), INT8, foreseen))[0] > 1
    # Where nothing tells, nothing is refused.
    assert sizing.within(SPACE, made, sizing.Limits.of(Constraints(max_latency_ms=1e-3), INT8)) is made


@pytest.mark.parametrize(("size", "kept"), [(20_000, False), (100_000, True), (200_000, True), (500_000, True)])
def test_pictures_networks_become_narrower_before_they_lose_depth(size: int, kept: bool):
    hand = space.derive(PICTURES.task, PICTURES, SearchSettings())
    limits = sizing.Limits.of(Constraints(max_size_bytes=size), INT8)
    params = {"width": 64, "stages": 3, "blocks": 1}
    wide = hand.recipe(hand.complete({"architecture": "resnet", **{f"resnet.{k}": v for k, v in params.items()}}), 0)
    found = sizing.within(hand, wide, limits)
    assert found is not None

    def weights(width: int, stages: int) -> int:
        params = {"width": width, "stages": stages, "blocks": 1}
        changed = wide.model_copy(update={"architecture": Choice(id="resnet", params=params)})
        return (sizing.parameters(changed, PICTURES) or 0) if limits.share(changed, PICTURES) <= 1 else 0

    every = [(n, weights(width, n)) for width in (8, 12, 16, 20, 24, 32, 48, 64) for n in (1, 2, 3)]
    best = max(one for one in every if one[1])
    assert (found.architecture.params["stages"], sizing.parameters(found, PICTURES)) == best
    assert (best[0] == 3) == kept
