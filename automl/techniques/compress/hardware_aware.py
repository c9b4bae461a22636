"""Hardware-aware compression: limits of the device decide which files are returned.

What it changes: `--max-size` and `--max-latency` bind the files that are returned, and `--max-parameters` the network.
Why it may help: a model that doesn't fit its device is worth nothing there, however good it is. When it hurts: latency
is measured on the machine that runs the job, so a limit for another device has to be given in this one's time. How: the
search proposes no network with more weights than the limit of size leaves; the compression ladder measures the chosen
model as the file that it would become, and where it doesn't meet a limit tries a student (`compress-distillation`) and
fewer channels (`structured-pruning`) by what is missing; each file's own bytes are then measured once more, and one
beyond a limit isn't returned, with the nearest that meets it.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="hardware-aware", stage="compress", options="--max-size, --max-latency, --max-parameters", doc=__doc__ or "",
    reference="arXiv:1807.11626; arXiv:1812.00332",
)
