"""Names every data set by its content, so that a model can say what it learned from.

What it changes: an uploaded file is stored once under the SHA-256 of its bytes, and a data set's version is the first
16 digits of it: `projects/…/datasets/adult@3f2c…`. Versions are never changed; one more byte is another version. Why it
may help: a result that can't be traced to its data can't be repeated or trusted. When it hurts: old versions keep their
space until they are deleted. How: a job names its data by version; from the file's hash, the settings of reading and
splitting, the task and the seed follows the key of the prepared data, which stands in the model card of every artifact
beside the version and the SHA-256 of the bytes, so that the same key means the same rows in the same parts. The store
reads files with their hash and says when one is no longer what it was.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="dataset-versioning", stage="data", options="", doc=__doc__ or "",
    reference="Sculley et al.: Hidden Technical Debt in Machine Learning Systems (NIPS 2015)",
)
