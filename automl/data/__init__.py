"""From what a user uploads to columns that a trial opens in milliseconds.

The path of a data set: `readers` recognises the form and reads it (`delimited`, `parquet`, `picture_folders`, `manifest`,
`arrays`, `idx`, all through `source`, which keeps archives within `limits`); `schema` says what each column holds;
`inspection` sums that up without a target; `prepare` checks, splits and encodes it for a job; `prepared` opens the result
and `encoder` gives `preprocess.json` its meaning.

Importing `automl.data.prepared` and `automl.data.encoder` loads NumPy and the types only, so that workers start fast; the
readers load pyarrow and Pillow and run in a child process.
"""
