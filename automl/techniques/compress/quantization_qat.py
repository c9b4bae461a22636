"""Quantisation-aware training."""

from __future__ import annotations

from automl.catalog import Float, Rung, TrainPlan, technique
from automl.catalog.rung import FEWEST_ROWS


@technique(
    id="quantization-qat", stage="compress", params={"rate": Float(1e-5, 1e-2, 3e-4, log=True)},
    reference="arXiv:1712.05877; arXiv:1806.08342",
    rung=Rung(
        target="automl.compression.qat:train", place=50, needs=("precision",), shortest_s=25.0, longest_s=180.0,
        rows=FEWEST_ROWS, carried_by=("tflite:int8", "mobile:int8"),
    ),
)
def quantization_qat(plan: TrainPlan, *, rate: float) -> TrainPlan:
    """Quantisation-aware training: the finished network learns to live with eight bits before it is given them.

    What it changes: nothing in training; where int8 is asked for and loses more than half of the tolerance by plain
    quantisation, a copy of the network is trained on with weights and activations rounded to 256 steps in each forward
    pass, and `tflite:int8` and `mobile:int8` are made of it, with the ranges learned that way; all other files stay as
    they were, in int8 too, which a note then says, and where neither of the two is asked for it isn't tried. Why it
    may help: the weights move to where rounding hurts least, and rare large activations are clipped instead of
    stretching the range for all others. When it hurts: it takes time, and where plain quantisation loses nothing it
    wins nothing, so it is tried only on a measured loss, and kept only if the int8 file gets better. How: tfmot's 8-bit
    scheme on the model rebuilt in tf_keras (`automl.compression.bridge`), at the rate `rate`, gradients straight
    through the rounding. Zeros and shared values that earlier steps made stay in the file (PQAT, CQAT, PCQAT:
    `--force magnitude-pruning --force weight-clustering --force quantization-qat` where the download's size is the
    goal), by masks and places that are held through the training (`automl.compression.kept` says why not by tfmot's
    schemes of these names). Layers that tfmot doesn't know, and what stands behind the logits, stay float; models whose
    weights are mostly in unknown layers are not for it, which the job's events say.
    """
    return plan.tagged("quantization-qat")
