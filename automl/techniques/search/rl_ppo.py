"""PPO: a policy network writes an architecture decision by decision, and is moved towards what trained well.

What it changes: who proposes what is trained: of genotypes the architecture, under asynchronous halving, all trained alike;
of families drawn by hand the twelve most important dimensions of the recipe, each among a few values. Why it
may help: each decision is made knowing those before it, so what goes together is learned together, and nothing but the
order of the scores is needed. When it hurts: it learns slowly, from the latest trainings alone; with fewer than some fifty
it is little better than chance, and a policy that is sure too early looks no farther (an entropy bonus holds against that).
How: the chance of each option from a masked softmax; advantages by GAE (γ = 1, λ = 0.95) from a learned baseline; after
each training that ends a few steps up mean min(ρ A, clip(ρ, 0.8, 1.2) A) + c H over the latest 24, ρ = π(a|s) /
π_then(a|s), H the entropy.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="rl-ppo", stage="search", options="--strategy rl-ppo", doc=__doc__ or "",
    reference="Schulman et al.: PPO, arXiv:1707.06347; Zoph, Le: Neural Architecture Search with RL, arXiv:1611.01578",
)
