"""Divides the rows into training, validation and test, before anything is learned from them.

What it changes: trials learn on the training rows and are judged on the validation rows; the test rows are sealed in
files of their own, which only the verification of finished artifacts opens. Why it may help: a number that is told is
only worth something if nothing of its rows was seen before. When it hurts: tiny data, where each part says little;
from 30 validation rows on a score's chance alone moves it by several points. How: a separate test file, or a column
that names each row's part, is taken as it is; what lacks is cut at random with a fixed seed (test 15 %, from 10,000
rows on 1,500 rows or 10 %, at most 10,000; validation as much of the rest), stratified by class or by tenths of a number,
so that each part has the same shares. Rows with an equal value in the group column stay together in one part, and so do
identical rows while they are few. The same seed gives the same rows. Trials are judged on one validation part; k
folds of training and validation rows together, with strata and groups kept, are what the final ensemble's members
learn on (see `bagging`). With a time column (dates, or numbers that grow) the split is by time instead: the newest rows
are the test part, those before them validation, the oldest training, of the same sizes; rows of one moment stay
together, the moment at a border goes where most of its rows would lie. The column itself isn't learned from; rows
without a time that can be read are refused, by number. Strata and copies don't count then, and there are no folds: the
final model is one network, fitted on all rows before the test part. A series in long form stands at its latest step.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="split-train-val-test", stage="data", doc=__doc__ or "",
    options="--test-data, --test-fraction, --split-column, --group-column, --time-column",
    reference="Hastie, Tibshirani, Friedman: The Elements of Statistical Learning (2009), section 7.2",
)
