"""Text augmentation: training texts lose words, change the order of neighbours, and have a span hidden.

What it changes: in each batch every token is deleted with probability `dropout` (what follows moves up; n-grams of
characters go with the same probability); a share `swap` of the tokens changes places with the next one; and one span that
covers the share `span` of the text is replaced by the code of unknown tokens. Why it may help: no single word decides,
which on a few thousand texts is what overfitting looks like; a bag of words learns to use words that say the same, a
convolution or a recurrent net to bear gaps. When it hurts: short texts, of which one word is the message, and words like
"not". Targets stay.

How: independent draws for each token; of neighbours only pairs that don't overlap are swapped, and only inside the text;
a text that would lose everything keeps its tokens. Swapping changes nothing for bags of words. Evaluation and the
exported model see every token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]
UNKNOWN = 1
"""The code of unknown tokens (`automl.data.text_encoder`)."""


@technique(
    id="text-augment",
    stage="data",
    modalities=(Modality.TEXT,),
    params={"dropout": Float(0.0, 0.5, 0.1), "swap": Float(0.0, 0.3, 0.05), "span": Float(0.0, 0.4, 0.1)},
    reference="arXiv:1901.11196 (EDA: deletion, swap); arXiv:1904.08779 (masked spans)",
    cost=1.4,
)
def apply(plan: TrainPlan, *, dropout: float, swap: float, span: float) -> TrainPlan:
    return plan.extended("batch_steps", Component(f"{__name__}:disturb", {"dropout": dropout, "swap": swap, "span": span}))


def disturb(*, dropout: float, swap: float, span: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        tokens = inputs["tokens"]
        changed = dict(inputs)
        if swap > 0:
            tokens = swapped(tokens, swap, rng)
        if span > 0:
            tokens = masked(tokens, span, rng)
        if dropout > 0:
            tokens = dropped(tokens, dropout, rng)
            if "ngrams" in inputs:
                grams = inputs["ngrams"]
                changed["ngrams"] = np.where(rng.random(grams.shape, np.float32) < dropout, 0, grams).astype(grams.dtype)
        changed["tokens"] = tokens
        return changed, y

    return step


def dropped(tokens: NDArray[Any], rate: float, rng: np.random.Generator) -> NDArray[Any]:
    """[b, steps] without a share of the tokens, the others moved up."""
    kept = (tokens > 0) & (rng.random(tokens.shape, np.float32) >= rate)
    kept |= ~kept.any(axis=1, keepdims=True)
    # A stable sort brings what is kept to the front and leaves its order.
    order = np.argsort(~kept, axis=1, kind="stable")
    return np.take_along_axis(np.where(kept, tokens, 0), order, axis=1)


def swapped(tokens: NDArray[Any], rate: float, rng: np.random.Generator) -> NDArray[Any]:
    """[b, steps] with the share `rate` of the tokens in the place of a neighbour: pairs are drawn at half that rate."""
    b, steps = tokens.shape
    if steps < 2:
        return tokens
    first = rng.random((b, steps - 1), np.float32) < rate / 2
    first &= tokens[:, 1:] > 0
    first[:, 1:] &= ~first[:, :-1]  # of a chain of pairs that overlap the first is kept, and every one behind a free place
    places = np.tile(np.arange(steps), (b, 1))
    places[:, :-1] += first
    places[:, 1:] -= first
    return np.take_along_axis(tokens, places, axis=1)


def masked(tokens: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[Any]:
    """[b, steps] with one span of each text, of `share` of its tokens (rounded), as unknown."""
    lengths = (tokens > 0).sum(axis=1)
    sizes = np.rint(share * lengths).astype(np.int64)
    starts = np.floor(rng.random(len(tokens)) * (lengths - sizes + 1)).astype(np.int64)
    places = np.arange(tokens.shape[1])
    inside = (places >= starts[:, None]) & (places < (starts + sizes)[:, None])
    return np.where(inside, UNKNOWN, tokens).astype(tokens.dtype)
