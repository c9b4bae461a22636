"""Once for all: one network is trained so that thousands of smaller ones can be cut out of it, each for another limit.

What it changes: the supernet is the largest network of `nas-mobile` that the settings name. Its kernels' centres, its first
blocks, its front channels, on smaller pictures too, are networks of their own, trained in turn: one for each step. In the
end those that suit a limit are cut out, and nothing is trained again. Why it may help: devices differ, and each would want a
search; here the next one costs seconds (`automl models retarget`). When it hurts: a network that shares its weights with
thousands is a little worse than one that trained alone, the more the shorter the training was; where one artifact is wanted,
train one.

How: progressive shrinking. The largest network trains alone for 35 % of the time; then kernels, depth, expansion, width and
resolution become elastic, one after the other. A step draws a network of what is open (by 15 % the largest), and learns from
½ y + ½ p, with p what the largest gave when its own training ended. Channels are taken from the front, kernels at their
centre; only what is drawn is computed, by one graph. In the last 12 % random networks are scored on validation rows; a ridge
regression on their decisions foresees the others, and evolution looks for the best of them under a limit on multiplications,
bytes or milliseconds. What is cut out gets its normalisations' means and variances from training rows. The report says by
Kendall's τ, each network left out in turn, how well the predictor orders.
"""

from __future__ import annotations

from automl.catalog import Categorical, Int, capability

capability(
    id="once-for-all", stage="search", doc=__doc__ or "", modalities=("image",), options="--strategy once-for-all",
    params={
        "kernel": Categorical((3, 5, 7), 5),
        "expansion": Categorical((2, 4, 6), 4),
        "depth": Int(2, 3, 3),
        "stages": Int(2, 4, 3),
    },
    reference="Cai et al.: Once-for-All: Train One Network and Specialize it for Efficient Deployment, arXiv:1908.09791; "
    "Yu et al.: BigNAS, arXiv:2003.11142",
)
