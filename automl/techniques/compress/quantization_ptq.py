"""Quantisation after training, by the converter."""

from __future__ import annotations

from automl.catalog import TrainPlan, technique


@technique(id="quantization-ptq", stage="compress", reference="arXiv:1712.05877; arXiv:1806.08342")
def quantization_ptq(plan: TrainPlan) -> TrainPlan:
    """Post-training quantisation: stores weights, and with int8 also activations, as 8-bit integers.

    What it changes: nothing in training; it happens when `tflite:dynamic` or `tflite:int8` is written. Why it may
    help: a quarter of the size, and integer arithmetic is faster on CPUs and the only kind on many accelerators. When
    it hurts: activations with rare large values leave few of the 256 steps for the usual ones; numbers as output have
    256 steps over their whole range; small models lose more than large ones. Verification refuses what loses more than
    the tolerance. How: weights get a scale for each output channel, w ≈ s·q; activations a scale and zero point from
    the smallest and largest value that some hundred training rows produce (int8), or from each batch as it comes
    (dynamic).
    """
    return plan.tagged("quantization-ptq")
