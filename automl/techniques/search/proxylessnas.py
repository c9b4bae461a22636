"""Differentiable search over paths of which one at a time is computed, with the latency that is to be expected in the loss.

What it changes: one network, the supernet, holds for each of `nas-mobile`'s blocks every path: kernel × expansion, and
leaving the block out, each with weights of its own. A step of the weights draws one path for each block and teaches nothing
else; a step of the blocks' preferences draws two. In the end each block keeps its likeliest path, and the genotype is
trained anew, as an ordinary trial. Why it may help: a step costs time and memory of one path however many there are, so the
network that is wanted is searched itself, at its own width, on its own data, and not a smaller stand-in; and where a latency
or a size is limited the search knows it from the first step on, for the device that is meant. When it hurts: short budgets
(each path is trained in one of about seven steps, so preferences mean little before some hundred); it prefers what trains
fast, as its kin do, and shortcuts and small kernels train fastest.

How: block b has logits α_b, p = softmax α_b. After a first 25 % of the search a step on the second half of the rows draws
two paths by p, takes one of them by their share p̃ and computes both; from the gradient of their binary gates follows
∂L/∂α_i = p̃_i (∂L/∂g_i − Σ_j p̃_j ∂L/∂g_j), and both logits are shifted so that the other paths' probabilities stay. With
limits the loss is CE + λ Σ s(log(E / limit)), λ = `weight`, s(z) = z above a limit and 0.01 z below; E = base + Σ p F is the
expected latency or size, with F of each path from the table of operations timed in the artifacts' runtime (for another
device from multiplications), or from the bytes that the path adds to the int8 file. The candidates are those up to
`kernel` and `expansion`, in `depth` blocks of each of `stages` stages. The report draws the entropy of the choices and the
expectation against its limit over time.
"""

from __future__ import annotations

from automl.catalog import Categorical, Float, Int, capability

capability(
    id="proxylessnas", stage="search", doc=__doc__ or "", modalities=("image",), options="--strategy proxylessnas",
    params={
        "kernel": Categorical((3, 5, 7), 5),
        "expansion": Categorical((2, 4, 6), 6),
        "depth": Int(2, 3, 3),
        "stages": Int(2, 4, 3),
        "weight": Float(0.0, 100.0, 5.0),
    },
    reference="Cai, Zhu, Han: ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, arXiv:1812.00332",
)
