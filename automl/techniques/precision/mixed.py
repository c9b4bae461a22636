"""Trains in 16-bit arithmetic, with weights and everything delicate in float32.

What it changes: matrix products and convolutions run in bfloat16 or float16; weights, statistics, the last activation and
the loss stay in float32. Why it may help: accelerators with units for halves train two to four times as fast, in little
more than half the memory for activations, which leaves room for larger batches. When it hurts: on CPUs, where halves are
emulated, it is several times slower, so that the search tries it only when it is named; bfloat16 has 8 bits of precision,
float16 a range that ends at 65,504.

How: the layers' dtype policy is mixed. Under float16 the loss is multiplied by a factor before gradients are taken, so that
small ones don't vanish, and they are divided by it again (Keras's LossScaleOptimizer). A step whose gradients aren't finite
is left out and the factor halved; after 2,000 good steps it is doubled. The finished model is float32, so that what is
delivered is the same in every format.
"""

from __future__ import annotations

from automl.catalog import Categorical, TrainPlan, technique


@technique(
    id="mixed-precision", stage="precision", slot="precision",
    params={"dtype": Categorical(("bfloat16", "float16"), "bfloat16")}, reference="arXiv:1710.03740; arXiv:1905.12322",
    on_request="it is faster on accelerators with units for it, and several times slower on CPUs",
)
def apply(plan: TrainPlan, *, dtype: str) -> TrainPlan:
    return plan.replace(precision=f"mixed_{dtype}")
