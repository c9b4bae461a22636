"""Recurrent cells: what a network for sequences remembers from step to step."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality, Profile

MODALITIES = (Modality.TEXT, Modality.SERIES)
LONGEST = 64
"""Steps up to which the two-level cell is offered: unrolled for TFLite it takes 20 s to convert at 32 steps."""


@technique(
    id="lstm", stage="block", slot="cell", modalities=MODALITIES, default=True,
    reference="Hochreiter, Schmidhuber: Long Short-Term Memory (Neural Computation 1997)",
)
def lstm(plan: TrainPlan) -> TrainPlan:
    """Long short-term memory: a cell that adds to its memory through gates.

    What it changes: beside its output h the cell keeps a memory c, which gates erase from, write to and read out. Why it
    may help: c is passed on by addition, so what was stored, and its gradient, survive dozens of steps; the first choice
    for texts and series of medium length. When it hurts: four matrices a step, one step after the other: slow on long
    inputs, and more than small data can fill. How: f, i, o = σ(W x_t + U h_{t−1} + b), g = tanh(…), c_t = f ∘ c_{t−1} +
    i ∘ g, h_t = o ∘ tanh(c_t); the forget gate's bias begins at 1, U orthogonal.
    """
    return plan.replace(cell=Component(f"{__name__}:stock", {"kind": "LSTM"}))


@technique(id="gru", stage="block", slot="cell", modalities=MODALITIES, cost=0.9, reference="arXiv:1406.1078")
def gru(plan: TrainPlan) -> TrainPlan:
    """Gated recurrent unit: one state, blended with its successor by a gate.

    What it changes: two gates and no separate memory: the state itself is kept or overwritten. Why it may help: three
    quarters of an LSTM's weights for nearly its accuracy; often better on small data. When it hurts: where counting or a
    memory apart from the output is needed, LSTM is ahead. How: z, r = σ(W x_t + U h_{t−1} + b), n = tanh(W x_t + r ∘ (U
    h_{t−1} + b')), h_t = z ∘ h_{t−1} + (1 − z) ∘ n.
    """
    return plan.replace(cell=Component(f"{__name__}:stock", {"kind": "GRU"}))


@technique(
    id="rnn", stage="block", slot="cell", modalities=MODALITIES, cost=0.7,
    reference="Elman: Finding Structure in Time (Cognitive Science 1990)",
)
def rnn(plan: TrainPlan) -> TrainPlan:
    """Plain recurrence: the state is a layer of its own past.

    What it changes: no gates: the new state is one layer of input and old state. Why it may help: a quarter of an LSTM's
    weights and time; enough where the last few steps decide. When it hurts: gradients through many steps shrink or
    grow geometrically, so it forgets within some ten steps what it can't keep by luck of its matrix. How: h_t = tanh(W
    x_t + U h_{t−1} + b) with U orthogonal in the beginning.
    """
    return plan.replace(cell=Component(f"{__name__}:stock", {"kind": "SimpleRNN"}))


@technique(
    id="qrnn", stage="block", slot="cell", modalities=MODALITIES, params={"window": Categorical((1, 2, 3, 4), 2)}, cost=1.6,
    reference="arXiv:1611.01576",
)
def qrnn(plan: TrainPlan, *, window: int) -> TrainPlan:
    """Quasi-recurrent cell: gates from convolutions, and a recurrence that only blends.

    What it changes: candidates and gates come from a causal convolution over the last `window` steps instead of from the
    last state. Why it may help: nothing but a blend runs through time, and that is linear in the state, so all steps are
    computed at once in log₂(steps) rounds: many times faster than an LSTM, in TFLite too, where it needs no unrolling.
    When it hurts: gates don't see the state, so one layer can't decide by what it remembers; stack two. How: z = tanh(Wz
    ∗ x), f = σ(Wf ∗ x), o = σ(Wo ∗ x), c_t = f_t ∘ c_{t−1} + (1 − f_t) ∘ z_t, h_t = o_t ∘ c_t (fo-pooling).
    """
    return plan.replace(cell=Component(f"{__name__}:quasi_recurrent", {"window": window}))


@technique(
    id="indrnn", stage="block", slot="cell", modalities=MODALITIES, cost=0.7, reference="arXiv:1803.04831",
    unsupported_formats={
        "tflite:int8": "its state adds up every rounding: a network that was right 93 times of 100 was so 58 times",
    },
)
def indrnn(plan: TrainPlan) -> TrainPlan:
    """Independently recurrent cell: each unit remembers only itself.

    What it changes: the recurrent matrix becomes a vector, and the activation a rectifier; units meet in the next layer.
    Why it may help: a unit's gradient through time is a power of one number, which is kept in bounds, so hundreds of steps
    are within reach, and deep stacks train. When it hurts: one layer alone mixes nothing over time; take two or more.
    How: h_t = relu(W x_t + u ∘ h_{t−1} + b) with |u| ≤ 2^(1/steps), u from U(0, 1) in the beginning.
    """
    return plan.replace(cell=Component(f"{__name__}:independent"))


def _short(profile: Profile) -> str | None:
    longest = f"needs at most {LONGEST} steps, since each is a large piece of graph"
    return None if 0 < profile.length <= LONGEST else f"{longest}; there are {profile.length}"


@technique(
    id="hm-lstm", stage="block", slot="cell", modalities=MODALITIES, cost=5.0, when=_short, reference="arXiv:1609.01704",
)
def hm_lstm(plan: TrainPlan) -> TrainPlan:
    """Hierarchical multiscale LSTM: a second level that moves only at boundaries which the first one finds.

    What it changes: two LSTM levels; a learned, binary detector in the lower one says where a piece (a word, a phase)
    ends, upon which the upper level takes it in and the lower one begins anew. Why it may help: where signals have
    pieces of their own length, the upper level takes fewer, larger steps and so remembers further back. When it hurts:
    nearly three times an LSTM's weights and time, and decisions that are hard to learn on small data. How: boundary z =
    [s > 0] with the gradient of clip((s + 1) / 2, 0, 1), straight through; copy, update and flush as in the paper, in
    `automl.layers.recurrent.HierarchicalCell`; the slope of the detector stays 1 instead of being annealed.
    """
    return plan.replace(cell=Component(f"{__name__}:hierarchical"))


def stock(*, kind: str, builder: Any, units: int, steps: int, name: str) -> Any:
    import keras

    return getattr(keras.layers, kind)(
        units, return_sequences=True, kernel_initializer=builder.initializer(), kernel_regularizer=builder.regularizer(),
        recurrent_initializer=_orthogonal(builder), name=name,
    )


def quasi_recurrent(*, window: int, builder: Any, units: int, steps: int, name: str) -> Any:
    from automl.layers import recurrent

    return recurrent.QuasiRecurrent(
        units, window, kernel_initializer=builder.initializer(), kernel_regularizer=builder.regularizer(), name=name
    )


def independent(*, builder: Any, units: int, steps: int, name: str) -> Any:
    import keras

    from automl.layers import recurrent

    cell = recurrent.IndependentCell(
        units, steps, kernel_initializer=builder.initializer(), kernel_regularizer=builder.regularizer(),
        recurrent_initializer=keras.initializers.RandomUniform(0.0, 1.0, seed=builder.seed()),
    )
    return keras.layers.RNN(cell, return_sequences=True, name=name)


def hierarchical(*, builder: Any, units: int, steps: int, name: str) -> Any:
    import keras

    from automl.layers import recurrent

    cell = recurrent.HierarchicalCell(
        units, kernel_initializer=builder.initializer(), kernel_regularizer=builder.regularizer(),
        recurrent_initializer=_orthogonal(builder),
    )
    return keras.layers.RNN(cell, return_sequences=True, name=name)


def _orthogonal(builder: Any) -> Any:
    import keras

    return keras.initializers.Orthogonal(seed=builder.seed())
