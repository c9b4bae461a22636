"""Hardware-aware compression: limits of the device decide which files are returned.

What it changes: `--max-size`, `--max-latency` and `--max-memory` bind the files that are returned, `--max-parameters` the
network. `--device` names a device (`automl devices`): its flash bounds the file, its RAM the activations that are alive at
once, and a file with an operation that it lacks isn't returned. Why it may help: a model that doesn't fit its device is
worth nothing there, however good it is. When it hurts: latency is measured on the machine that runs the job, and of every
other device estimated from the model's multiplications by one published figure, so there it is good for orders of
magnitude alone; RAM is all of the device's, though more than the activations lives there; without a .tflite model no
memory of a file is known. Energy is neither measured nor bounded: no counter of the device's could be read here; the
multiplications, `macs` in a file's `device_fit`, are its nearest stand-in, and no more than that. How: the search proposes
no network with more weights than the limit of size leaves, none that is foreseen to be too slow, and of genotypes, whose
operations are known before they are trained, none that needs too much memory; the compression ladder measures the chosen
model as the file that it would become, and where it doesn't meet a limit of size or latency tries a student
(`compress-distillation`) and fewer channels (`structured-pruning`) by what is missing; each file's own bytes, operations
and activations are then looked at once more, and one beyond a limit isn't returned, with the nearest that meets it.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="hardware-aware", stage="compress", doc=__doc__ or "",
    options="--max-size, --max-latency, --max-memory, --max-parameters, --device",
    reference="arXiv:1807.11626; arXiv:1812.00332",
)
