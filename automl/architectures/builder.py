"""Builds blocks as a plan says: each kernel gets the plan's initializer, penalty and reparametrisation, each block its
normalisation, activation and dropout, in one place, so that a family states only its shape.

A block is kernel → normalisation → activation → dropout. Every random part has a seed of its own, derived from the
recipe's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan
from automl.spec import Profile

TOKEN_STATES = "token_states"
"""The layer whose output a pretraining takes for the tokens' states."""


def divisible(channels: float, by: int = 8) -> int:
    """Channels rounded to a multiple of `by`, at least `by`, never more than 10 % below (as MobileNet does)."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


class Builder:
    """Makes Keras layers for one recipe's plan."""

    def __init__(
        self, plan: TrainPlan, profile: Profile, *, seed: int, preprocess: Mapping[str, Any],
        sample: Mapping[str, NDArray[Any]],
    ):
        # Not at the module's top: the catalogue walks this package, and listing it loads no Keras.
        import keras

        self.layers = keras.layers
        self.plan = plan
        self.profile = profile
        self.preprocess = preprocess
        """The encoder's tables; "cardinalities" are the codes of each categorical column."""
        self.sample = sample
        """Encoded training inputs by name (some thousand rows)."""
        self._seed = seed
        self._calls = 0

    def seed(self) -> int:
        """The next layer's seed: 31 bits, the same for the same recipe and place."""
        self._calls += 1
        digest = hashlib.sha256(f"{self._seed}:{self._calls}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def initializer(self) -> Any:
        return self.plan.init.make(seed=self.seed())

    def uniform(self, limit: float) -> Any:
        """Initial values in [-limit, limit]."""
        import keras

        return keras.initializers.RandomUniform(-limit, limit, seed=self.seed())

    def regularizer(self) -> Any:
        return self.plan.regularizer.make() if self.plan.regularizer else None

    # --- dense ---------------------------------------------------------------------------------

    def dense(self, x: Any, units: int, *, name: str, activate: bool = True, use_bias: bool | None = None) -> Any:
        """A dense block on [b, f] or [b, members, f]."""
        layer = self.dense_layer(units, name=name, use_bias=self.plan.norm is None if use_bias is None else use_bias)
        x = layer(x)
        return self.finish(x, name=name) if activate else x

    def dense_layer(self, units: int, *, name: str, use_bias: bool = True) -> Any:
        """A dense layer alone, for parts that apply it more than once."""
        layer = self.layers.Dense(
            units, use_bias=use_bias, kernel_initializer=self.initializer(), kernel_regularizer=self.regularizer(),
            name=name,
        )
        if self.plan.kernel_noise is not None:
            return self.plan.kernel_noise.make(layer, seed=self.seed())
        return self._reparametrised(layer)

    # --- convolutions --------------------------------------------------------------------------

    def conv(
        self, x: Any, filters: int, kernel: int, *, name: str, strides: int = 1, finish: bool = True, activate: bool = True,
        plain: bool = False, use_bias: bool | None = None,
    ) -> Any:
        """A convolution block on [b, h, w, channels] with "same" padding; without `finish` the convolution alone, whose
        normalisation (and with it the bias) follows later. What the plan puts in the place of convolutions stands for
        those over more than one pixel, unless it has to be a `plain` one."""
        if kernel > 1 and not plain and self.plan.convolution is not None:
            x = self.plan.convolution.make(x, self, filters=filters, kernel=kernel, strides=strides, name=name)
        else:
            x = self.plain_conv(x, filters, kernel, strides=strides, name=name, use_bias=use_bias)
        return self.finish(x, name=name, activate=activate) if finish else x

    def plain_conv(
        self, x: Any, filters: int, kernel: int | tuple[int, int], *, name: str,
        strides: int | tuple[int, int] = 1, dilation: int | tuple[int, int] = 1,
        use_bias: bool | None = None, initializer: Any = None,
    ) -> Any:
        """A convolution alone, with "same" padding, and a bias where the plan normalises nothing."""
        layer = self.layers.Conv2D(
            filters, kernel, strides=strides, dilation_rate=dilation, padding="same",
            use_bias=self.plan.norm is None if use_bias is None else use_bias,
            kernel_initializer=self.initializer() if initializer is None else initializer,
            kernel_regularizer=self.regularizer(), name=name,
        )
        return self._reparametrised(layer)(x)

    def conv1d(
        self, x: Any, filters: int, kernel: int, *, name: str, strides: int = 1, dilation: int = 1, finish: bool = True,
        activate: bool = True, use_bias: bool | None = None,
    ) -> Any:
        """A convolution block along the steps of [b, 1, steps, channels] with "same" padding, as `conv`."""
        x = self.plain_conv(
            x, filters, (1, kernel), strides=(1, strides), dilation=(1, dilation), name=name, use_bias=use_bias
        )
        return self.finish(x, name=name, activate=activate) if finish else x

    def depthwise(
        self, x: Any, kernel: int | tuple[int, int], *, name: str, strides: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1, finish: bool = True, activate: bool = True, use_bias: bool | None = None,
    ) -> Any:
        """A depthwise convolution block: one filter for each channel. Strides and dilation exclude each other."""
        layer = self.layers.DepthwiseConv2D(
            kernel, strides=strides, padding="same", dilation_rate=dilation,
            use_bias=self.plan.norm is None if use_bias is None else use_bias,
            depthwise_initializer=self.initializer(), depthwise_regularizer=self.regularizer(), name=name,
        )
        return self.finish(layer(x), name=name, activate=activate) if finish else layer(x)

    def causal(self, x: Any, filters: int, kernel: int, *, dilation: int, name: str) -> Any:
        """A block of a convolution over time, [b, steps, f] → [b, steps, filters], in which no step sees a later one."""
        layer = self.layers.Conv1D(
            filters, kernel, dilation_rate=dilation, padding="causal", use_bias=self.plan.norm is None,
            kernel_initializer=self.initializer(), kernel_regularizer=self.regularizer(), name=name,
        )
        return self.finish(self._reparametrised(layer)(x), name=name)

    def gate(self, x: Any, *, name: str) -> Any:
        """The channels of a branch, scaled if the plan says so."""
        return x if self.plan.channel_gates is None else self.plan.channel_gates.make(x, self, name=name)

    def block(self, x: Any, filters: int, *, name: str, strides: int, depth: float) -> Any:
        """A block as the plan has it."""
        return self.plan.block.make(x, self, filters=filters, strides=strides, depth=depth, name=name)

    # --- parts ---------------------------------------------------------------------------------

    def finish(self, x: Any, *, name: str, normalize: bool = True, activate: bool = True, drop: bool = True) -> Any:
        """Normalisation, activation and dropout, as far as the plan has them."""
        if normalize:
            x = self.normalize(x, name=name)
        if activate:
            x = self.activate(x, name=name)
            if drop:
                x = self.drop(x)
        return x

    def normalize(self, x: Any, *, name: str) -> Any:
        if self.plan.norm is None:
            return x
        layer = self.plan.norm.make(rank=len(x.shape), channels=int(x.shape[-1]))
        return x if layer is None else _named(layer, f"{name}_norm")(x)

    def activate(self, x: Any, *, name: str) -> Any:
        return _named(self.plan.activation.make(rank=len(x.shape)), f"{name}_act")(x)

    def drop(self, x: Any) -> Any:
        """The plan's dropout for this rank."""
        for component in self.plan.dropout:
            layer = component.make(rank=len(x.shape), seed=self.seed())
            if layer is not None:
                x = layer(x)
        return x

    def represent(self, x: Any) -> Any:
        """What the plan makes of the last representation."""
        for component in self.plan.representation:
            x = component.make(x, seed=self.seed())
        return x

    def token_states(self, x: Any) -> Any:
        """States [b, steps, width] of a text's tokens, marked by the layer's name for a pretraining that teaches them."""
        if self.plan.pretraining is None:
            return x
        return self.layers.Activation("linear", name=TOKEN_STATES)(x)

    def residual(self, x: Any, branch: Any, *, depth: float, name: str) -> Any:
        """x + branch, the branch dropped for whole examples at the plan's rate × `depth` (0 first block … 1 last)."""
        rate = self.plan.stochastic_depth * depth
        if rate > 0:
            shape = (None,) + (1,) * (len(branch.shape) - 1)
            branch = self.layers.Dropout(rate, noise_shape=shape, seed=self.seed(), name=f"{name}_drop_path")(branch)
        return self.layers.Add(name=f"{name}_add")([x, branch])

    def pixels(self, x: Any) -> Any:
        """uint8 pictures → floats as the plan scales them; [-1, 1] if it says nothing."""
        if self.plan.pixel_scaling is None:
            return self.layers.Rescaling(1 / 127.5, offset=-1.0, name="pixels")(x)
        scale, offset = self.plan.pixel_scaling.make(np.asarray(self.sample["image"]))
        return self.layers.Rescaling([float(s) for s in scale], offset=[float(o) for o in offset], name="pixels")(x)

    def _reparametrised(self, layer: Any) -> Any:
        return layer if self.plan.reparametrisation is None else self.plan.reparametrisation.make(layer)


def _named(layer: Any, name: str) -> Any:
    """The layer under a name that says its place. Only before the layer is used."""
    layer.name = name
    return layer
