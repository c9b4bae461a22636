"""Rainbow: deep Q-learning says what each option of each decision is worth, with six improvements over the plain method.

What it changes: who proposes what is trained, architectures or recipes, as with PPO. Why it may help: every training is
learned from again and again, not only the latest, so it gets far with few; distributions of the return tell a safe option
from one that is sometimes excellent. When it hurts: many parts, each of which can go wrong; where no option is better
whatever the rest, it settles on what was good early. How: double Q-learning (the newest weights choose, older ones judge),
dueling streams V + A - mean A, prioritised replay (drawn with p^0.5), targets three decisions ahead, returns as
distributions over 21 values (C51), and layers with learned noise that explore in place of random options.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="rl-rainbow", stage="search", options="--strategy rl-rainbow", doc=__doc__ or "",
    reference="Hessel et al.: Rainbow, arXiv:1710.02298; Baker et al.: MetaQNN, arXiv:1611.02167",
)
