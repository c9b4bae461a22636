"""Random convolutions and a linear classifier (ROCKET): hundreds of fixed kernels measure a series, one layer is learnt.

The 84 kernels of MiniRocket (length 9, three weights 2 and six weights −1, so that a constant gives 0) in `dilations`
dilations, from neighbouring steps to the whole series; with several channels each kernel looks at a few, drawn at random.
Of each kernel's answer `features_each` shares are taken, "how much of the time is it above a bias", with biases that are
quantiles of the answers to training series; and its maximum. Nothing of this is trained: the features are standardised by
the training rows, and the linear head learns from them, in milliseconds a step. A few dozen series suffice, where a deep
network learns them by heart; with thousands of series, deep ones pass it.

Differently from the originals, the shares are soft: a ramp of a quarter of the answer's standard deviation, clip((answer −
bias) / ramp + 1/2, 0, 1), in place of a step. The ramp is part of the convolution and a ReLU that ends at 1, so that the
model is made of stock layers, and 8-bit integers lose nothing by a bias that lies between two of their values. The learner
is the recipe's own in place of ridge regression. `differences` also shows the kernels the steps' differences (as
MultiRocket does). Activation, normalisation and initialisation of a recipe shape nothing here, its dropout acts on the
features. """

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import _series
from automl.architectures.builder import Builder
from automl.catalog import Bool, Int, architecture
from automl.spec import Profile

KERNELS = np.array(
    [[3.0 if place in high else 0.0 for place in range(9)] for high in itertools.combinations(range(9), 3)], np.float32
)
"""[84, 9], to be laid on taps whose mean is taken away: the same as weights 2 and −1 on the taps themselves, but exact in
8-bit integers, where 2 : −1 is 127 : −64, which gives every level of a series an answer."""
RAMP, LEAST_RAMP = 0.25, 0.4
"""Width of a soft step, in standard deviations of the kernel's answers, and the least, in those of the series' values: of
what is smaller 8-bit integers see noise."""
FULL = 6.0
"""A share of 1 is this much: the ReLU that ends at 6 is the one that TFLite computes within the convolution."""
SPREAD = 0.1
"""Standard deviation of the features: the head's random beginning, in directions of which few series say anything, stays
small, while a step of the optimizer moves the outputs enough."""
LEAST_SPREAD = 0.5
"""Features that vary less than this share of the median aren't blown up to the size of the others."""
LOOKED_AT = 256
"""Training series from which biases and the features' statistics are taken."""
GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, spread evenly over [0, 1) however many are taken: the biases' quantiles."""


def dilations_of(length: int, most: int) -> list[int]:
    """Up to `most` dilations, evenly spread on a logarithmic scale up to the one that spans the series."""
    top = max(0.0, float(np.log2((max(length, 9) - 1) / 8)))
    return sorted({int(2**e) for e in np.linspace(0, top, most)})


def size(profile: Profile, *, dilations: int, features_each: int, differences: bool) -> int:
    """Parameters of the head, which are those that are trained, and of the fixed kernels."""
    channels = max(1, profile.channels) * (1 + differences)
    count = len(dilations_of(profile.length, dilations)) * len(KERNELS)
    fixed = count * (features_each + 1) * (9 * channels + 1)
    features = count * (features_each + 1)
    return fixed + 4 * features + (features + 1) * profile.outputs


@architecture(
    id="rocket",
    modalities=("series",),
    params={"dilations": Int(2, 8, 6), "features_each": Int(1, 6, 3), "differences": Bool(False)},
    reference="arXiv:1910.13051; arXiv:2012.08791; arXiv:2102.00457",
    cost=0.5,
    lacks=("hidden-layers",),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, dilations: int, features_each: int, differences: bool) -> Any:
    import keras

    from automl.layers import sequences

    layers = builder.layers
    x, mask = _series.entrance(inputs, builder)
    sample, there = _sample(builder)
    if differences:
        x = _differences(x, mask, builder)
        sample = np.concatenate([sample, np.diff(sample, axis=1, prepend=0)], axis=2) * there
    rng = np.random.default_rng(builder.seed())
    channels = sample.shape[2]
    found = []
    typical = int(np.median(there.sum(axis=1)))
    for dilation in dilations_of(typical, dilations):
        kernels = _kernels(rng, channels)
        answers = _answers(sample, kernels, dilation)
        biases, deviation = _biases(answers, there, features_each, rng)
        name = f"kernels_{dilation}"
        # (answer − bias) / ramp + 1/2, for each bias a convolution of its own.
        steepness = FULL / np.maximum(RAMP * deviation, LEAST_RAMP)
        weights = np.concatenate([kernels * steepness] * features_each, axis=2)
        offsets = np.concatenate([FULL / 2 - bias * steepness for bias in biases])
        seen = sequences.Taps(9, dilation, centred=True, name=f"{name}_taps")(x)
        soft = _fixed(builder, seen, weights, offsets, f"{name}_shares")
        soft = layers.ReLU(max_value=FULL, name=f"{name}_ramp")(soft)
        found.append(_series.mean(soft, mask, builder, name=f"{name}_share"))
        # By the largest answer to the training series maxima are about as large as shares: one 8-bit scale suits both.
        largest = np.maximum((answers * there).max(axis=(0, 1)), deviation) / FULL
        plain = _fixed(builder, seen, kernels / largest, np.zeros(len(KERNELS), np.float32), f"{name}_answers")
        plain = _series.present(plain, mask, builder, name=f"{name}_present")
        found.append(layers.GlobalMaxPooling2D(name=f"{name}_maximum")(plain))
    features = layers.Concatenate(name="features")(found) if len(found) > 1 else found[0]
    scaling = layers.BatchNormalization(epsilon=1e-6, trainable=False, name="standardised")
    standardised = scaling(features)
    shown = {name: np.asarray(array[:LOOKED_AT]) for name, array in builder.sample.items()}
    measured = np.asarray(keras.ops.convert_to_numpy(keras.Model(inputs, features)(shown, training=False)), np.float64)
    scale = np.full(measured.shape[1], SPREAD)
    # What hardly varies says little: blown up to the size of the others, it would take the resolution of 8-bit weights.
    variance = measured.var(axis=0)
    variance = np.maximum(variance, max(1e-6, LEAST_SPREAD**2 * float(np.median(variance))))
    scaling.set_weights([scale, np.zeros_like(scale), measured.mean(axis=0), variance])
    return builder.drop(standardised)


def _sample(builder: Builder) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(training series [n, steps, channels], which steps are there [n, steps, 1])."""
    series = np.asarray(builder.sample["series"][:LOOKED_AT], np.float32)
    if not builder.preprocess.get("ragged"):
        return series, np.ones((*series.shape[:2], 1), np.float32)
    return series[..., :-1], series[..., -1:]


def _differences(x: Any, mask: Any | None, builder: Builder) -> Any:
    """x and its steps' differences, [b, 1, steps, channels] → [b, 1, steps, 2 channels]; at the first step x itself."""
    from automl.layers import sequences

    channels = int(x.shape[-1])
    weights = np.zeros((3, channels, channels), np.float32)
    weights[1, range(channels), range(channels)], weights[0, range(channels), range(channels)] = 1.0, -1.0
    taps = sequences.Taps(3, 1, name="neighbours")(x)
    changes = _fixed(builder, taps, weights, np.zeros(channels, np.float32), "differences")
    changes = _series.present(changes, mask, builder, name="differences_present")
    return builder.layers.Concatenate(name="with_differences")([x, changes])


def _fixed(builder: Builder, taps: Any, weights: NDArray[Any], offsets: NDArray[Any], name: str) -> Any:
    """A convolution of taps with given weights [kernel, channels, filters] that training leaves alone."""
    layer = builder.layers.Conv2D(weights.shape[2], 1, trainable=False, name=name)
    x = layer(taps)
    layer.set_weights([weights.reshape(1, 1, -1, weights.shape[2]), offsets])
    return x


def _kernels(rng: np.random.Generator, channels: int) -> NDArray[np.float32]:
    """[9, channels, 84]: each kernel on channels of its own, few more often than many."""
    weights = np.zeros((9, channels, len(KERNELS)), np.float32)
    for place, kernel in enumerate(KERNELS):
        count = int(2 ** rng.uniform(0, np.log2(min(channels, 9) + 1)))
        weights[:, rng.choice(channels, min(count, channels), replace=False), place] = kernel[:, None]
    return weights


def _answers(series: NDArray[np.float32], kernels: NDArray[np.float32], dilation: int) -> NDArray[np.float32]:
    """The kernels' answers to series, [n, steps, 84], as a convolution with zeros beyond the ends gives them."""
    steps = series.shape[1]
    padded = np.pad(series, ((0, 0), (4 * dilation, 4 * dilation), (0, 0)))
    out = np.zeros((*series.shape[:2], kernels.shape[2]), np.float32)
    # The kernels are laid on centred taps: what is taken from each is the mean of them.
    kernels = kernels - kernels.mean(axis=0)
    for place in range(9):
        out += padded[:, place * dilation : place * dilation + steps] @ kernels[place]
    return out


def _biases(
    answers: NDArray[np.float32], there: NDArray[np.float32], count: int, rng: np.random.Generator
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """(`count` biases [84], the answers' standard deviations [84]): each bias is a quantile of the answers to one series."""
    present = there[..., 0] > 0
    deviation = np.maximum(answers[present].std(axis=0), 1e-3)
    biases = []
    for nth in range(count):
        chosen = rng.integers(0, len(answers), len(KERNELS))
        biases.append(np.array([
            np.quantile(answers[row][present[row], place], ((place * count + nth + 1) * GOLDEN) % 1)
            if present[row].any() else 0.0
            for place, row in enumerate(chosen)
        ], np.float32))
    return biases, deviation
