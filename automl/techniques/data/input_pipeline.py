"""Brings rows to the training step so that the step doesn't wait for them.

What it changes: files are read, decoded (pictures by several threads) and encoded once for a job, before the first
trial, into memory-mapped arrays that every trial opens in milliseconds and all share. Why it may help: decoding a
picture costs more than a small network's step on it, and a search would pay for it in every epoch of every trial.
When it hurts: the decoded pictures of large sets take disk space: height × width × channels bytes each. How: data
that no step changes are handed to the backend whole, up to 1 GiB, and batches are gathered there by row number, many
steps in one call; batches that are augmented are made in NumPy, several at once, on a GPU by a thread of its own
while the step before runs. On a CPU the same core does both, one after the other, and the report's "batches" says
what that took. TFRecord files of `tf.train.Example` (also gzipped, or in shards) are read as pictures or as a table, every
record's checksum compared; `python -m automl.data convert DATA OUT.tfrecord` writes them. Trials read no TFRecord: it is
a stream that has to be parsed again in every epoch and can't be taken by row number, which is what shuffling, folds and
fidelities do with the memory-mapped arrays.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="input-pipeline", stage="data", options="DATA.tfrecord; python -m automl.data convert", doc=__doc__ or "",
    reference="Murray et al.: tf.data: A Machine Learning Data Processing Framework, arXiv:2101.12127 (2021)",
)
