"""Pretraining by replaced tokens (ELECTRA)."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality, Profile
from automl.techniques.attention.forms import MOST_TOKENS


def _short(profile: Profile) -> str | None:
    if profile.length <= MOST_TOKENS:
        return None
    return f"needs a state for each token, which texts of more than {MOST_TOKENS} don't have; there are {profile.length}"


@technique(
    id="replaced-token-detection", stage="architecture", part="token-states", modalities=(Modality.TEXT,),
    params={"share": Float(0.1, 2.0, 0.5), "learning_rate": Float(1e-4, 5e-3, 1e-3, log=True)}, when=_short, cost=2.0,
    on_request="pretraining takes as long as training, and pays on many texts with few or hard labels",
    reference="Clark et al.: ELECTRA, arXiv:2003.10555 (ICLR 2020)",
)
def replaced_token_detection(plan: TrainPlan, *, share: float, learning_rate: float) -> TrainPlan:
    """Replaced-token detection (ELECTRA): before it learns labels, the network learns which words of a text were put there.

    What it changes: `share` times as many epochs as training has go before it, on the training texts without their labels.
    15 % of a text's words are hidden; a small generator (a quarter of the width, at least 32, one block) learns to guess
    them, and its guesses are put in their place; the network itself, as discriminator, learns for every token whether it is
    the text's own. Its weights then start the classifier; the generator is thrown away. Why it may help: a label teaches a
    network one bit or two for each text, this task one for each word, and every word counts, not the hidden ones alone as in
    BERT. When it hurts: the texts are those that have labels anyway, so it can't bring in knowledge of a language as
    published models do, which saw billions of words; on a few thousand texts the time is often better spent on training
    itself. How: minimise Σ −log p_G(x_t | hidden text) / |hidden| + 50 · mean of binary cross-entropy(D(x̂, t), x̂_t ≠ x_t),
    x̂_t ~ p_G where hidden. Both share the embedding; the gradient doesn't pass the draw; a guess that happens to be right
    counts as the text's own. Words beyond the 4,096 most frequent are neither hidden nor guessed. AdamW at
    `learning_rate`, warmed up over a tenth and then falling to 0; at most half of the time that a trial has is spent.
    """
    made = Component("automl.training.replaced_tokens:pretraining", {"share": share, "learning_rate": learning_rate})
    return plan.replace(pretraining=made)
