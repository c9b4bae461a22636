"""Differentiable architecture search: a network whose edges hold all operations at once learns which of them it wants.

What it changes: one network, the supernet, is trained in the place of many. On each edge of its cells stands a mixture of
all operations, weighed by a softmax over logits α; the training rows are halved, one half teaches the network's weights
w, the other one α. Then each edge is left with one operation; that cell, and the closest second choices beside it, are
trained as ordinary trials of the usual size. Why it may help: gradients say for all operations at once which way is
up, where evolution pays a training for each candidate; on 2 cores a supernet of a few minutes stands for thousands of
cells. When it hurts: short budgets (some hundred steps are the least that α takes to tell operations apart), and
collapse: shortcuts train fastest, so α may drift towards cells of nothing but shortcuts, which end worst.

How: first order, ∇_α L_valid(w, α); second order (`order` 2), ∇_α L_valid(w − ξ ∇_w L_train(w, α), α), whose product with
the Hessian is taken by differences: ∇²_{α,w} L_train ∇_{w'} L_valid ≈ (∇_α L_train(w⁺) − ∇_α L_train(w⁻)) / 2ε with w± =
w ± ε ∇_{w'} L_valid; it takes three times as long. `partial` = K: the operations of an edge see 1/K of the channels, the
others pass it by, dealt out anew behind it; each edge then has a strength β, a softmax over the edges into the same node,
which steadies what chance the channels bring (PC-DARTS). α learns after a first 15 % of the search, by Adam; w by descent
with momentum.

Which operation stays (`selection`): by `perturbation`, in the last third of the search, edge by edge in random order, the
one without which L_valid grows most, while w learns on between the decisions (Wang et al.); by `magnitude`, the one with
the largest weight when the search ends, as first published. Weights say what trains fast: measured on cells of 16 × 16
pictures, trained alike, what weighed most ended below random cells of the size, what was missed most above all of them.

Guards (`guard`) against collapse: more than two shortcuts preferred in a cell (DARTS+); the dominant eigenvalue of
∇²_α L_valid on the same rows, averaged over three rounds, has doubled within four (Zela et al.). α stops learning there:
the decisions begin at once, or, by magnitude, the search ends and the genotype from before the collapse counts. The report
draws the entropy of the choices over time, and says which guard ended the search and why.
"""

from __future__ import annotations

from automl.catalog import Categorical, Int, capability

capability(
    id="darts", stage="search", doc=__doc__ or "", modalities=("image",), options="--strategy darts",
    params={
        "order": Int(1, 2, 1),
        "partial": Categorical((1, 2, 4), 1),
        "guard": Categorical(("both", "skips", "eigenvalue", "none"), "both"),
        "selection": Categorical(("perturbation", "magnitude"), "perturbation"),
    },
    reference="Liu et al.: DARTS, arXiv:1806.09055; Wang et al.: Rethinking Architecture Selection in Differentiable NAS, "
    "arXiv:2108.04392; Xu et al.: PC-DARTS, arXiv:1907.05737; Liang et al.: DARTS+, "
    "arXiv:1909.06035; Zela et al.: Understanding and Robustifying Differentiable Architecture Search, arXiv:1909.09656",
)
