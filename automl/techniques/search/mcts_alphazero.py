"""AlphaZero's tree search: a network guides a search over decisions, and learns to decide as the search does.

What it changes: who proposes what is trained, architectures or recipes, as with PPO. Why it may help: the value network
judges hundreds of architectures for each one that is trained, and the search looks only where the network or the counts say
it may pay. When it hurts: while the network knows little its judgement is noise, and it is the slowest to propose (some
hundredths of a second). How: simulations go down by Q + c P √(1 + ΣN) / (1 + N) and are judged by the network at new
positions; what was trained already is closed; options are drawn by their visits. After each training that ends the policy
learns the visits (cross-entropy), the value the training's standing (squared error).
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="mcts-alphazero", stage="search", options="--strategy mcts-alphazero", doc=__doc__ or "",
    reference="Silver et al.: AlphaZero, arXiv:1712.01815; Wang et al.: AlphaX, arXiv:1805.07440",
)
