"""Making a trained candidate smaller and faster, and better in integers, behind a guard of accuracy.

`ladder` measures a candidate as the file that it would become (`point`), tries the rungs that a measured need calls for,
and keeps what the guard accepts. Rungs are declared in `automl.techniques.compress`; each is a function of a child process:

- on the Keras 3 model itself, by the trainer: `structured` (whole channels; `channels` says which hang together) and
  `distillation` (a smaller student); `finetuning` is what they share;
- through tfmot, on the model that `bridge` rebuilds in tf_keras, which is all that tfmot takes: `magnitude`, `clustering`
  and `qat`; `twins` has what the bridge puts in the place of layers that tf_keras lacks, `twin_training` trains.

Plain quantisation is done by the converters in `automl.export`. Only child processes import tfmot: importing it sets
`TF_USE_LEGACY_KERAS=1`, which every process that they start would inherit.
"""
