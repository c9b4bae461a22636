"""Reckons what a candidate's steps need before it is trained, and refuses one that can't fit.

What it changes: before a trial's first step its memory (weights, gradients, optimizer, activations of a batch) and its
multiply-adds are counted from the built model, and the time of a step is measured once. A candidate whose weights, gradients
and optimizer alone exceed the memory that a trial may use is refused as OVERSIZE; one that exceeds it with its activations
ends as OOM before it has begun, and is tried once more with half the batch. Why it may help: running out of memory costs a
worker and the time until then, and on a machine without limits other programs. When it hurts: the count knows layers'
outputs, not what a compiler fuses or a library needs for itself, so models near the limit may still fail, or be refused
though they would just have fitted.

How: every job does it. A trial may use its slot's memory: the machine's (or control group's) over the number of slots, or
that of the slot's GPUs over the slots that share them; of a limit on the trial itself the less counts. Weights count 4
bytes, again for each trainable one's gradient, and for each variable of the optimizer; activations are the outputs of all
layers that have memory of their own, times the batch, at the width of the arithmetic. Multiply-adds of an example: for
dense layers and convolutions, the kernel's weights times the places at which it is applied. A step is run twice on the
first batch and the second is timed; the state before it is restored. The account stands in each candidate's `result.json`.
"""

from __future__ import annotations

from automl.catalog import capability

ENTRY = capability(
    id="profile-step", stage="precision", options="", doc=__doc__ or "",
    reference="arXiv:1604.06174 (section 2, memory of training)",
)
